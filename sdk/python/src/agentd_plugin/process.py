"""What a plugin shares with its process: signals, stdin, the log."""

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Final

from .call import current
from .options import is_supervised
from .redact import redact

log = logging.getLogger("agentd_plugin")

_ORPHAN_DRAIN: Final = 1.0
"""Seconds to drain without a parent: nobody waits for the answers."""


class MarkedRecords(logging.Filter):
    """Gives each record the call it was written in: `tool`, `call_id` and `traceparent`, empty
    outside of calls. Add it to a handler to use them in its format."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        call = current.get()
        record.tool = call.asked.tool if call is not None else ""
        record.call_id = call.call_id if call is not None else ""
        record.traceparent = call.trace.traceparent if call is not None else ""
        return True


class _Masked(logging.Formatter):
    """A line on stderr, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        said = {"tool": "tool", "call_id": "call", "traceparent": "trace"}
        marks = [f"{name}={v}" for key, name in said.items() if (v := getattr(record, key, ""))]
        return redact(" ".join([line, *marks]))


def start_log() -> None:
    """Lines on stderr from INFO on; a program that has set its log up keeps it as it is."""
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(MarkedRecords())
    handler.setFormatter(_Masked("%(asctime)s %(levelname)s %(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)


async def told_to_stop(drain_timeout: float) -> float:
    """Returns when the process is told to stop, with the seconds that running calls may take."""
    loop = asyncio.get_running_loop()
    stop, orphaned = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not everywhere, and not outside of the main thread; then it is for others to say.
        with suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(number, stop.set)
    if is_supervised():
        _watch_stdin(loop, orphaned)
    waiting = [asyncio.ensure_future(event.wait()) for event in (stop, orphaned)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    if stop.is_set():
        log.info("told to stop; running calls may finish")
        return drain_timeout
    log.info("stdin was closed: the parent is gone")
    return min(_ORPHAN_DRAIN, drain_timeout)


def _watch_stdin(loop: asyncio.AbstractEventLoop, orphaned: asyncio.Event) -> None:
    def watch() -> None:
        # The descriptor itself: a lock on sys.stdin would be held at the end of the process.
        with suppress(OSError):
            while os.read(0, 256):
                pass
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(orphaned.set)

    threading.Thread(target=watch, name="stdin", daemon=True).start()
