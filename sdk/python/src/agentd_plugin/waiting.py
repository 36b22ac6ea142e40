"""Waiting for a time. `asyncio.wait_for` is not used in this package: up to Python 3.11 it loses a
cancel that comes in the moment when what it waits for is done, and the task then goes on for ever."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What came of `work`. Cancels it, and raises TimeoutError, when it takes longer."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        task.cancel()  # nothing, when it is done
    if not done:
        raise asyncio.TimeoutError
    return task.result()
