"""One accepted call: its work beside, and the updates that its caller reads. A deadline, a
withdrawal and a fault end it in one place, here, and the last update is the last."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from .call import Call
from .failure import Effects, Failure
from .outgoing import Prepared, result_updates
from .threads import in_thread
from .wire import tool_pb2 as wire
from .work import Outcome, Work, cancelled_failure, timeout_failure

log = logging.getLogger("agentd_plugin")

_LINGER: Final = 60.0
"""Seconds that a caller may leave an update unread before the call is given up."""
_SMALL: Final = 64 * 1024
"""Bytes of a result that the loop itself cuts into updates."""

Send = Callable[[wire.CallResponse], Awaitable[None]]


class Running:
    """A call from `accepted` to its last update. `leads` says that the work is its own, and not
    that of an earlier call under the same key."""

    def __init__(
        self,
        call: Call,
        work: Work,
        *,
        leads: bool,
        instance_id: str,
        plugin: str,
        longest_protected: float,
        over: Callable[["Running"], None],
    ) -> None:
        self._call = call
        self._work = work
        self._leads = leads
        self._instance_id = instance_id
        self._plugin = plugin
        self._longest = longest_protected
        self._tell_over = over
        self.over = asyncio.Event()
        """Set once it is told and its work has ended."""
        self._sequence = 0
        self._told = False
        self._withdrawn = asyncio.Event()
        self._news = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._news.set)

        def left() -> None:
            loop.call_soon_threadsafe(work.section_left)

        call.on_news(wake, left)
        if leads:
            work.ended.add_done_callback(lambda _: self._check_over())

    def withdraw(self) -> None:
        """The caller does not want it any more. Work of another call goes on."""
        self._withdrawn.set()
        if self._leads and not self._work.ended.done():
            self._work.withdraw(self._longest)

    def stop(self) -> None:
        """As `withdraw`, and protected parts are not waited for."""
        self.withdraw()
        if self._leads:
            self._work.stop()

    async def tell(self, send: Send) -> None:
        """Runs the call and sends every update of it. Cancelled, it withdraws the work."""
        try:
            accepted = wire.CallAccepted(instance_id=self._instance_id)
            await self._say(send, wire.CallResponse(accepted=accepted))
            if self._leads:
                self._work.start()
            outcome = asyncio.ensure_future(self._outcome())
            try:
                await self._tell_news(send, outcome)
            finally:
                outcome.cancel()
            for update in await self._last(outcome.result()):
                await self._say(send, update)
        finally:
            self._told = True
            self.withdraw()
            if self._leads:
                self._work.give_up()
            self._check_over()

    def _check_over(self) -> None:
        if self._told and (not self._leads or self._work.ended.done()):
            self.over.set()
            self._tell_over(self)

    async def _say(self, send: Send, update: wire.CallResponse) -> None:
        self._sequence += 1
        update.sequence = self._sequence
        task = asyncio.current_task()

        def give_up() -> None:
            log.warning("the caller does not read the updates of a call; given up")
            if task is not None:
                task.cancel()

        # Not a task beside: a cancel must reach the write itself, see waiting.py.
        timer = asyncio.get_running_loop().call_later(_LINGER, give_up)
        try:
            await send(update)
        finally:
            timer.cancel()

    async def _tell_news(self, send: Send, outcome: "asyncio.Future[Outcome]") -> None:
        """Tells progress and lines until there is an outcome."""
        while not outcome.done():
            news = asyncio.ensure_future(self._news.wait())
            waited: set[asyncio.Future[Any]] = {outcome, news}
            try:
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            finally:
                news.cancel()
            self._news.clear()
            for update in self._call.take_news():
                await self._say(send, update)

    async def _outcome(self) -> Outcome:
        """What came of the work, at the latest when the time is over."""
        withdrawn = asyncio.ensure_future(self._withdrawn.wait())
        waited: set[asyncio.Future[Any]] = {withdrawn, self._work.ended}
        try:
            await asyncio.wait(
                waited, timeout=self._call.time_left(), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            withdrawn.cancel()
        if self._work.ended.done():
            return self._work.ended.result()
        effects = self._work.unsaid_effects
        if self._withdrawn.is_set():
            return cancelled_failure(effects)
        self.withdraw()
        return timeout_failure(self._call.timeout, effects)

    async def _last(self, outcome: Outcome) -> list[wire.CallResponse]:
        if isinstance(outcome, Prepared):
            cut = partial(result_updates, outcome, self._call.max_result_bytes)
            if len(outcome.json) <= _SMALL:
                return list(cut())
            updates, fault = await in_thread(lambda: list(cut()))
            if fault is None:
                return list(updates)
            log.error("a result could not be cut into updates", exc_info=fault)
            outcome = Failure.bug("RESULT_NOT_SENT", "the result could not be cut into updates")
            outcome.effects = self._work.unsaid_effects
        return [wire.CallResponse(failure=outcome.to_wire(self._plugin, Effects.NONE))]
