"""Sizes and times that the contract bounds, and how text is cut to keep to them. Sizes are bytes
of UTF-8, times are seconds."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from .wire import tool_pb2 as wire

MAX_WIRE: Final = 4 * 1024 * 1024
"""Largest message on the wire, both ways."""
MAX_UPDATE: Final = 512 * 1024
"""Largest update of a call."""
PIECE: Final = 256 * 1024
"""Size at which pieces of a result or of its facts are cut."""
MAX_ARGUMENTS: Final = 256 * 1024
MAX_MESSAGE: Final = 2 * 1024
"""Largest text of a failure."""
MAX_SUMMARY: Final = 4 * 1024
MAX_LINE: Final = 2 * 1024
"""Largest statement, log line or progress line."""
MAX_QUOTE: Final = 1024
MAX_NAME: Final = 256
"""Largest name or key."""
MAX_VALUE: Final = 4 * 1024
"""Largest value of an attribute."""
MAX_DETAIL: Final = 512
"""Largest single detail of a failure: 64 of them must fit into one update."""
MAX_ENTRIES: Final = 64
"""Most attributes of one observation, links or gaps of one result, violations of one failure."""
MAX_OBSERVATIONS: Final = 500
MAX_RELATIONS: Final = 2000

_DEFAULT_TIMEOUT: Final = 30.0
_MAX_TIMEOUT: Final = 24 * 3600.0
_DEFAULT_RESULT: Final = 256 * 1024
_MAX_RESULT: Final = 8 * 1024 * 1024
_DEFAULT_PROGRESS: Final = 0.2
_MARK: Final = " … ".encode()


@dataclass(frozen=True)
class Bounds:
    """What one call keeps to."""

    timeout: float = _DEFAULT_TIMEOUT
    """Time for this attempt; nothing or less is already over."""
    result_bytes: int = _DEFAULT_RESULT
    """Largest result as JSON."""
    progress_interval: float = _DEFAULT_PROGRESS
    """Shortest time between two progress updates."""

    @classmethod
    def read(cls, request: wire.CallRequest) -> "Bounds":
        """The bounds of `request`, the contract's own where it names none."""
        limits = request.limits
        timeout = seconds(limits.timeout) if limits.HasField("timeout") else _DEFAULT_TIMEOUT
        interval = _DEFAULT_PROGRESS
        if limits.HasField("min_progress_interval"):
            interval = max(0.0, seconds(limits.min_progress_interval))
        size = limits.max_result_bytes if limits.max_result_bytes > 0 else _DEFAULT_RESULT
        return cls(min(timeout, _MAX_TIMEOUT), min(size, _MAX_RESULT), interval)


def seconds(duration: object) -> float:
    """A `google.protobuf.Duration` of any pool in seconds, whatever a stranger put into it."""
    return float(getattr(duration, "seconds", 0)) + getattr(duration, "nanos", 0) / 1e9


def span(value: float | timedelta) -> timedelta:
    """Seconds or a span, as a span that fits a Duration; never negative."""
    length = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if not math.isfinite(length):
        raise ValueError(f"{value!r} is not a length of time")
    return timedelta(seconds=min(max(0.0, length), 365 * 24 * 3600.0))


def clean(text: str) -> str:
    """`text` as UTF-8 can carry it: a lone surrogate, as a broken name of a file brings, is none."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def cut_middle(text: str, size: int) -> str:
    """`text` cut to `size` bytes, keeping head and tail, at character boundaries."""
    if len(text) <= size and text.isascii():
        return text
    octets = text.encode("utf-8", "replace")
    if len(octets) <= size:
        return octets.decode()
    room = max(0, size - len(_MARK))
    head = octets[: (room + 1) // 2].decode(errors="ignore")
    tail = octets[len(octets) - room // 2 :].decode(errors="ignore")
    return f"{head}{_MARK.decode()}{tail}"
