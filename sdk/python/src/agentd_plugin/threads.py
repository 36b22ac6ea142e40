"""Work in a thread of its own, for tools that are not `async` and for what would hold up the loop.

The threads are daemons: one that does not look at `cancelled` must not keep a plugin from ending. How
many there are is bounded by the calls that an instance takes."""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


async def in_thread(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """What `function` returned, or what it raised: told apart here, as a future cannot carry
    everything that a function may raise (`StopIteration` is refused, `SystemExit` ends the loop).

    Cancelled, it stops waiting; the thread goes on to its end.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def settle(outcome: tuple[Any, BaseException | None]) -> None:
        if not ended.done():
            ended.set_result(outcome)

    def run() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = (context.run(function), None)
        except BaseException as fault:
            outcome = (None, fault)
        # The loop is gone when the plugin has ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name="agentd-tool", daemon=True).start()
    return await ended
