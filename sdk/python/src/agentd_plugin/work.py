"""The work behind a call: the author's function, run to an outcome whatever it does. It may outlive
the call: in a protected part, or in a thread, which nothing can stop."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from .call import Call, Cancelled, current
from .failure import Effects, Failure, FailureClass
from .outgoing import Prepared, prepare
from .threads import in_thread
from .tool import Tool

log = logging.getLogger("agentd_plugin")

_WIND_UP: Final = 2.0
"""Seconds that withdrawn work has, after its last protected part, to say what came of it."""

Outcome = Prepared | Failure


class Work:
    """The function of one call. `ended` resolves to its outcome, once and always."""

    def __init__(self, tool: Tool, call: Call, arguments: dict[str, Any]) -> None:
        self._tool = tool
        self._call = call
        self._arguments = arguments
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self.ended: asyncio.Future[Outcome] = self._loop.create_future()

    @property
    def unsaid_effects(self) -> Effects:
        """What a failure means for the world where it does not say."""
        return Effects.NONE if self._tool.is_read_only else Effects.MAYBE

    def start(self) -> None:
        """Begins. Calls of the loop only, as all here."""
        self._task = self._loop.create_task(self._run())
        self._task.add_done_callback(lambda _: self._settle())

    def _settle(self) -> None:
        """A task that is cancelled before its first step never runs, and says nothing of itself."""
        if not self.ended.done():
            self.ended.set_result(cancelled_failure(Effects.NONE))

    def give_up(self) -> None:
        """Resolves work that was never begun."""
        if self._task is None and not self.ended.done():
            said = "the caller left before the work began"
            failure = Failure(FailureClass.TRANSIENT, "NOT_BEGUN", said, effects=Effects.NONE)
            self.ended.set_result(failure)

    def withdraw(self, longest: float) -> None:
        """Nobody waits any more: the work is told, and stopped unless it is in a protected part,
        which it may finish within `longest` seconds."""
        self._call.cancelled.set()
        if self._call.is_protected:
            self._loop.call_later(longest, self.stop)
        else:
            self.stop()

    def section_left(self) -> None:
        """The last protected part has ended; what is left is to say so."""
        if self._call.cancelled.is_set():
            self._loop.call_later(_WIND_UP, self.stop)

    def stop(self) -> None:
        """Stops what can be stopped: a thread cannot."""
        if self._task is not None and self._tool.is_async:
            self._task.cancel()

    async def _run(self) -> None:
        current.set(self._call)
        outcome: Outcome
        try:
            outcome = await self._outcome()
        except asyncio.CancelledError:
            outcome = self._failure(Cancelled())
        if not self.ended.done():
            self.ended.set_result(outcome)

    async def _outcome(self) -> Outcome:
        function = partial(self._tool.function, **self._arguments)
        if not self._tool.is_async:
            return self._made(await in_thread(lambda: prepare(function())))
        try:
            said = await function()
        except asyncio.CancelledError as cancelled:
            # Its own, of something it waited for, is a fault like any other.
            return self._failure(Cancelled() if self._call.cancelled.is_set() else cancelled)
        except BaseException as fault:
            return self._failure(fault)
        # A large result takes its time to be masked; the loop has others to serve.
        return self._made(await in_thread(lambda: prepare(said)))

    def _made(self, ended: tuple[Any, BaseException | None]) -> Outcome:
        made, fault = ended
        if fault is not None:
            return self._failure(fault)
        prepared: Prepared = made
        return prepared

    def _failure(self, fault: BaseException) -> Failure:
        if isinstance(fault, Failure):
            if fault.effects is None:
                fault.effects = self.unsaid_effects
            return fault
        if isinstance(fault, Cancelled):
            return cancelled_failure(self.unsaid_effects)
        log.error("tool %s raised", self._tool.spec.name, exc_info=fault)
        failure = Failure.bug("EXCEPTION", f"the tool raised {_words(fault)}")
        failure.effects = self.unsaid_effects
        return failure


def cancelled_failure(effects: Effects) -> Failure:
    """The call was withdrawn."""
    failure = Failure(FailureClass.CANCELLED, "CANCELLED", "the call was withdrawn")
    failure.effects = effects
    return failure


def timeout_failure(timeout: float, effects: Effects) -> Failure:
    """The time is over."""
    said = f"the work was not done within {timeout:g} s"
    return Failure(FailureClass.TIMEOUT, "TIMEOUT", said, effects=effects)


def _words(fault: BaseException) -> str:
    words: Callable[[BaseException], str] = str
    try:
        return f"{type(fault).__name__}: {words(fault)}"
    except Exception:  # an exception whose words raise
        return type(fault).__name__
