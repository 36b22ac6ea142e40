"""Runs tests that are coroutines, each in a loop of its own, with a limit."""

import asyncio
import inspect
from typing import Any

import pytest

LIMIT = 30.0


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.function):
        return None
    names = inspect.signature(pyfuncitem.function).parameters
    given: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}

    async def limited() -> None:
        await asyncio.wait_for(pyfuncitem.function(**given), LIMIT)

    asyncio.run(limited())
    return True
