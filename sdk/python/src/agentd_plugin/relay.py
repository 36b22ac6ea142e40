"""Slots towards agentd, for a plugin that cannot be dialled. One slot is one stream: it is parked,
takes at most one call, answers it as a direct call is answered, and ends; another is opened at once.
A parked slot is never reset from here: a call may be on its way down."""

import asyncio
import logging
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc import aio

from .connection import Connection
from .failure import Failure
from .instance import Instance
from .lease import Backoff, Keeper, Lease
from .limits import seconds
from .running import Running
from .verdict import NO_RELAY, Refused
from .wire import relay_pb2 as wire
from .wire import relay_pb2_grpc, tool_pb2

log = logging.getLogger("agentd_plugin")

_ANSWER: Final = 5.0
"""Seconds that agentd may take to confirm a slot, and to end one."""
_PING: Final = 15.0
_MISSED: Final = 3
"""Intervals without a ping after which a slot is given up."""

Heard = wire.ServeResponse | Exception | None
"""A message, why the stream broke, or nothing more: it ended well."""


class Relay:
    """The slots of one instance, as many as it takes calls."""

    def __init__(
        self, instance: Instance, connection: Connection, keeper: Keeper, url: str
    ) -> None:
        self.instance = instance
        self.connection = connection
        self.keeper = keeper
        self.url = url
        self.draining = asyncio.Event()

    async def run(self) -> None:
        """Keeps the slots parked; ends once `release` was called, all were given back and every call
        is told. Raises Refused when agentd knows no relay."""
        slots = [asyncio.ensure_future(_Slot(self).run()) for _ in range(self.instance.capacity)]
        try:
            await asyncio.gather(*slots)
        finally:
            for slot in slots:
                slot.cancel()
            await asyncio.gather(*slots, return_exceptions=True)

    def release(self) -> None:
        """Gives every idle slot back."""
        self.draining.set()


class _Slot:
    """One place for calls: opened again and again."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._backoff = Backoff()
        self._inbox: asyncio.Queue[Heard] = asyncio.Queue()
        self._running: Running | None = None

    async def run(self) -> None:
        """Until the plugin drains."""
        relay, keeper = self._relay, self._relay.keeper
        while not relay.draining.is_set():
            changed, lease = keeper.changed, keeper.lease
            if lease is None:
                await _any_of(changed, relay.draining)
                continue
            try:
                await self._open(lease, changed)
                # A parked slot is spare room: none, while the work of a call goes on after its end.
                if self._running is not None:
                    await _any_of(self._running.over, relay.draining)
                continue
            except aio.AioRpcError as error:
                pause = self._pause(error, lease)
            except asyncio.TimeoutError:
                log.debug("agentd was not heard of on a slot; another is opened")
                pause = self._backoff.next()
            await _any_of(changed, relay.draining, timeout=pause)

    def _pause(self, error: aio.AioRpcError, lease: Lease) -> float:
        """Seconds until the next try."""
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            said = "it does not serve agentd.tool.v1.ToolRelayService"
            raise Refused(self._relay.url, said, NO_RELAY)
        log.debug("a slot ended: %s, %s", error.code().name, error.details())
        if error.code() is grpc.StatusCode.NOT_FOUND:
            # Only another lease mends that, and its keeper hears of it with the next renewal.
            return 2 * lease.renewal + self._backoff.next()
        return self._backoff.next()

    async def _open(self, lease: Lease, changed: asyncio.Event) -> None:
        """One stream, from its opening to its end."""
        relay = self._relay
        self._inbox, self._running = asyncio.Queue(), None
        async with relay.connection.borrowed() as channel:
            stub = relay_pb2_grpc.ToolRelayServiceStub(channel)
            stream = stub.Serve(metadata=relay.connection.metadata())
            reader = asyncio.ensure_future(_read(stream, self._inbox))
            try:
                opened = wire.SlotOpened(lease_id=lease.id)
                await _write(stream, wire.ServeRequest(opened=opened))
                request = await self._parked(stream, changed)
                if request is not None:
                    await self._answer(stream, request)
                    await stream.done_writing()
                    while await self._hear(_ANSWER) is not None:
                        pass
            finally:
                stream.cancel()  # nothing happens when it has ended
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)

    async def _parked(self, stream: Any, changed: asyncio.Event) -> tool_pb2.CallRequest | None:
        """Waits for the call of this slot; nothing when it ended without one."""
        silence, leaving = _ANSWER, [self._relay.draining, changed]
        while True:
            heard = await self._hear(silence, *leaving)
            if isinstance(heard, asyncio.Event):
                # The plugin stops, or this slot belongs to a lease of the past.
                await _write(stream, wire.ServeRequest(released=wire.SlotReleased()))
                silence, leaving = _ANSWER, []
            elif heard is None:
                return None
            elif heard.HasField("call"):
                request: tool_pb2.CallRequest = heard.call
                return request
            elif heard.HasField("parked"):
                self._backoff = Backoff()
                if leaving:
                    interval = seconds(heard.parked.ping_interval) or _PING
                    silence = _MISSED * interval

    async def _answer(self, stream: Any, request: tool_pb2.CallRequest) -> None:
        try:
            running = self._relay.instance.begin(request)
        except Failure as refusal:
            update = self._relay.instance.refusal(refusal)
            await _write(stream, wire.ServeRequest(update=update))
            return

        async def send(update: tool_pb2.CallResponse) -> None:
            await _write(stream, wire.ServeRequest(update=update))

        self._running = running
        telling = asyncio.ensure_future(running.tell(send))
        try:
            while not telling.done():
                hearing = asyncio.ensure_future(self._hear(None))
                await asyncio.wait({telling, hearing}, return_when=asyncio.FIRST_COMPLETED)
                if not hearing.done():
                    hearing.cancel()
                    break
                heard = hearing.result()  # raises when the stream broke: nobody listens any more
                if heard is None:
                    break
                if isinstance(heard, wire.ServeResponse) and heard.HasField("cancelled"):
                    running.withdraw()
        finally:
            if not telling.done():
                telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if not telling.cancelled():
            telling.result()

    async def _hear(self, silence: float | None, *events: asyncio.Event) -> Any:
        """The next message, nothing at the end of the stream, or the event that was set first.

        Raises what the stream broke with, and TimeoutError after `silence` seconds.
        """
        hearing = asyncio.ensure_future(self._inbox.get())
        waiting = {asyncio.ensure_future(event.wait()): event for event in events}
        try:
            await asyncio.wait(
                {hearing, *waiting}, timeout=silence, return_when=asyncio.FIRST_COMPLETED
            )
            if hearing.done():
                heard = hearing.result()
                if isinstance(heard, Exception):
                    raise heard
                return heard
            for task, event in waiting.items():
                if task.done():
                    return event
            raise asyncio.TimeoutError
        finally:
            hearing.cancel()
            for task in waiting:
                task.cancel()


async def _read(stream: Any, inbox: "asyncio.Queue[Heard]") -> None:
    """Hands on what comes. The one reader: to cancel a read is to reset the stream."""
    try:
        while (message := await stream.read()) is not aio.EOF:
            inbox.put_nowait(message)
        inbox.put_nowait(None)
    except aio.AioRpcError as error:
        inbox.put_nowait(error)


async def _write(stream: Any, message: wire.ServeRequest) -> None:
    """Writes; a stream that has ended meanwhile says why to its reader."""
    with suppress(asyncio.InvalidStateError):
        await stream.write(message)


async def _any_of(*events: asyncio.Event, timeout: float | None = None) -> None:
    """Returns when one of `events` is set, or after `timeout` seconds."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
