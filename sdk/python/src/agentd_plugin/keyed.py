"""One key, one effect: what came of each call of a KEYED tool, kept in memory for an hour. It is
lost when the process ends; what must outlive that, a tool writes down itself."""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .failure import Effects, Failure
from .outgoing import Prepared
from .work import Outcome, Work

_MOST_KEYS: Final = 1024
_MOST_BYTES: Final = 64 * 1024 * 1024
_KEPT: Final = 3600.0
"""Seconds after its end that an outcome is kept."""


@dataclass
class _Entry:
    fingerprint: str
    work: Work
    size: int = 0
    ended_at: float | None = None


class Keys:
    """The keys that were seen, by tool."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._clock = clock

    def find(self, tool: str, key: str, fingerprint: str) -> Work | None:
        """The work that runs or ran under this key.

        Raises Failure, class INVALID_ARGUMENT with code ALREADY_EXISTS, when it was other work.
        """
        self._forget_old()
        entry = self._entries.get((tool, key))
        if entry is None:
            return None
        if entry.fingerprint != fingerprint:
            failure = Failure.invalid_argument(
                "idempotency_key", "was used with other arguments; draw a new key for a new effect"
            )
            failure.reason, failure.code = "IDEMPOTENCY_KEY_REUSED", 6
            failure.effects = Effects.NONE
            raise failure
        return entry.work

    def add(self, tool: str, key: str, fingerprint: str, work: Work) -> None:
        """Remembers `work`, which is about to run."""
        name = (tool, key)
        entry = _Entry(fingerprint, work)
        self._entries[name] = entry

        def ended(future: asyncio.Future[Outcome]) -> None:
            outcome = future.result()
            if isinstance(outcome, Failure) and outcome.effects is Effects.NONE:
                # Nothing was done, so a repeat may try.
                if self._entries.get(name) is entry:
                    del self._entries[name]
                return
            entry.size = outcome.size if isinstance(outcome, Prepared) else 0
            entry.ended_at = self._clock()
            self._make_room()

        work.ended.add_done_callback(ended)
        self._make_room()

    def _forget_old(self) -> None:
        limit = self._clock() - _KEPT
        for name in [n for n, e in self._entries.items() if e.ended_at and e.ended_at < limit]:
            del self._entries[name]

    def _make_room(self) -> None:
        size = sum(entry.size for entry in self._entries.values())
        for name, entry in list(self._entries.items()):
            if len(self._entries) <= _MOST_KEYS and size <= _MOST_BYTES:
                return
            # What still runs is held by its call, and must be found.
            if entry.ended_at is not None:
                size -= entry.size
                del self._entries[name]


def fingerprint(version: str, arguments_json: str) -> str:
    """The same for the same arguments, in whatever order and spacing they were written."""
    read = json.loads(arguments_json.strip() or "{}", parse_float=lambda digits: {"float": digits})
    return json.dumps([version, read], sort_keys=True)
