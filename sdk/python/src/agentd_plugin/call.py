"""What a running call knows and can say: its deadline, whether it was withdrawn, progress and log
lines. Nothing here waits: what a slow caller does not take is dropped and counted, so that no
tool hangs and nothing queues without bound."""

import contextvars
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Final

from .limits import MAX_LINE, Bounds, clean, cut_middle
from .redact import redact
from .wire import tool_pb2 as wire

_WAITING: Final = 128
"""Log lines that may wait for a slow reader, of 2 KiB each."""

current: contextvars.ContextVar["Call | None"] = contextvars.ContextVar("agentd_call", default=None)
"""The call that this task or thread works on, for log records."""


class Severity(Enum):
    """How serious a log line is."""

    DEBUG = wire.LOG_SEVERITY_DEBUG
    INFO = wire.LOG_SEVERITY_INFO
    WARN = wire.LOG_SEVERITY_WARN
    ERROR = wire.LOG_SEVERITY_ERROR


class Cancelled(Exception):
    """The call was withdrawn or its time is over: nobody waits for the work any more."""


@dataclass(frozen=True)
class Trace:
    """W3C trace context of the call, empty where there is none."""

    traceparent: str = ""
    tracestate: str = ""
    baggage: str = ""

    def headers(self) -> dict[str, str]:
        """As headers for a request to a backend."""
        pairs = {
            "traceparent": self.traceparent,
            "tracestate": self.tracestate,
            "baggage": self.baggage,
        }
        return {name: value for name, value in pairs.items() if value}


@dataclass(frozen=True)
class Asked:
    """Parts of the request that a tool may want to know."""

    tool: str = ""
    call_id: str = ""
    idempotency_key: str = ""
    page_token: str = ""
    dry_run: bool = False
    attempt: int = 1
    investigation: str = ""
    step_id: str = ""
    principal: str = ""
    environment: str = ""
    approval: str = ""
    trace_context: Mapping[str, str] = field(default_factory=dict)


class Call:
    """The call a tool is working on. Safe to use from any thread.

    A tool that is not `async` runs in a thread, which nothing can stop: it should look at
    `cancelled`, or call `check`, between its steps.
    """

    def __init__(self, asked: Asked, bounds: Bounds) -> None:
        self.asked = asked
        """The request."""
        self.max_result_bytes = bounds.result_bytes
        """Largest result as JSON; a larger one is cut."""
        self.timeout = bounds.timeout
        """Seconds allowed for this attempt, as it was when the call began."""
        self.deadline = time.monotonic() + bounds.timeout
        """When it must be done, on the clock of `time.monotonic`."""
        self.cancelled = threading.Event()
        """Set when the call was withdrawn or its time is over. Also has `wait`."""
        self._interval = bounds.progress_interval
        self._lock = threading.Lock()
        self._lines: deque[wire.CallLog] = deque()
        self._dropped = 0
        self._progress: wire.CallProgress | None = None
        self._told: tuple[float, float] | None = None
        self._wake: Callable[[], None] = _nothing
        self._sections = 0
        self._left: Callable[[], None] = _nothing

    @classmethod
    def detached(cls, timeout: float = 30.0, **asked: str) -> "Call":
        """A call that belongs to nothing, for unit tests of a tool."""
        return cls(Asked(**asked), Bounds(timeout=timeout))  # type: ignore[arg-type]

    @property
    def call_id(self) -> str:
        """Id of this attempt, a UUID."""
        return self.asked.call_id

    @property
    def idempotency_key(self) -> str:
        """Same for all attempts at one step with the same arguments; empty when none was given."""
        return self.asked.idempotency_key

    @property
    def page_token(self) -> str:
        """Where to go on, as given in `Output.next_page`; empty for the beginning."""
        return self.asked.page_token

    @property
    def dry_run(self) -> bool:
        """Whether to check everything, change nothing and fill `Output.planned_effects`."""
        return self.asked.dry_run

    @property
    def trace(self) -> Trace:
        """Trace context, to be handed on to backends."""
        known = self.asked.trace_context
        return Trace(*(known.get(k, "") for k in ("traceparent", "tracestate", "baggage")))

    def time_left(self) -> float:
        """Seconds until the deadline, never below 0."""
        return max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raises `Cancelled` when nobody waits for the work any more; not in a protected part."""
        if self.cancelled.is_set() and not self._sections:
            raise Cancelled

    @contextmanager
    def protect(self) -> Iterator[None]:
        """A part that is finished although the call is withdrawn meanwhile: `with call.protect():`
        around what must not be done by half. It may take as long as a draining plugin waits."""
        with self._lock:
            self._sections += 1
        try:
            yield
        finally:
            with self._lock:
                self._sections -= 1
                last = self._sections == 0
            if last:
                self._left()

    @property
    def is_protected(self) -> bool:
        """Whether a protected part is running."""
        return self._sections > 0

    def progress(self, done: float, total: float | None = None, message: str = "") -> None:
        """Tells how far the work got. Only growing `done` is told, and not more often than the
        caller wants; the rest is dropped."""
        now = time.monotonic()
        with self._lock:
            told = self._told
            grows = told is None or (done > told[0] and now - told[1] >= self._interval)
            if not math.isfinite(done) or not grows:
                return
            self._told = (done, now)
            self._progress = wire.CallProgress(
                done=done, message=cut_middle(redact(clean(message)), MAX_LINE)
            )
            if total is not None and math.isfinite(total):
                self._progress.total = total
        self._wake()

    def log(self, line: str, severity: Severity = Severity.INFO) -> None:
        """Tells a line that is worth keeping with the investigation."""
        message = cut_middle(redact(clean(line)), MAX_LINE)
        made = wire.CallLog(severity=severity.value, message=message)
        made.time.FromDatetime(datetime.now(timezone.utc))
        with self._lock:
            if len(self._lines) >= _WAITING:
                self._dropped += 1
                return
            self._lines.append(made)
        self._wake()

    def on_news(self, wake: Callable[[], None], left: Callable[[], None]) -> None:
        """For the one who runs the call: `wake` when there is something to tell, `left` when the
        last protected part has ended; both from any thread."""
        self._wake, self._left = wake, left

    def take_news(self) -> list[wire.CallResponse]:
        """For the one who runs the call: what is to be told since the last time."""
        with self._lock:
            lines, self._lines = self._lines, deque()
            dropped, self._dropped = self._dropped, 0
            progress, self._progress = self._progress, None
        news = [wire.CallResponse(log=line) for line in lines]
        if dropped:
            said = f"{dropped} further lines were dropped: the caller reads too slowly"
            news.append(
                wire.CallResponse(log=wire.CallLog(severity=Severity.WARN.value, message=said))
            )
        if progress is not None:
            news.append(wire.CallResponse(progress=progress))
        return news


def _nothing() -> None:
    """What is called where nobody listens."""
