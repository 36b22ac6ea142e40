"""An agentd for tests: its registry and its relay, with scripted answers, in the test's loop."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
from grpc import aio

from agentd_plugin import Options, Plugin
from agentd_plugin.testing import Seen
from agentd_plugin.wire import (
    registry_pb2,
    registry_pb2_grpc,
    relay_pb2,
    relay_pb2_grpc,
    tool_pb2,
    tool_pb2_grpc,
    types_pb2,
)


async def until(condition: Callable[[], Any], what: str, limit: float = 10.0) -> Any:
    """Waits for a condition; says what was waited for when it does not come."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit
    while not (found := condition()):
        assert loop.time() < end, f"not seen within {limit} s: {what}"
        await asyncio.sleep(0.002)
    return found


class Refusal(Exception):
    """A status to answer with."""

    def __init__(self, code: grpc.StatusCode, details: str = "scripted") -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Slot:
    """One parked stream."""

    def __init__(self, lease_id: str, context: Any) -> None:
        self.lease_id = lease_id
        self.context = context
        self.heard: list[relay_pb2.ServeRequest] = []
        self.half_closed = False
        self.released = False
        self.reset = False
        self.finish = asyncio.Event()
        self.taken = False

    async def send(self, **message: Any) -> None:
        await self.context.write(relay_pb2.ServeResponse(**message))

    async def call(self, request: tool_pb2.CallRequest) -> Seen:
        """Sends the call down, waits for its end and ends the stream with OK."""
        await self.begin(request)
        return await self.ended()

    async def begin(self, request: tool_pb2.CallRequest) -> None:
        self.taken = True
        await self.send(call=request)

    async def ended(self) -> Seen:
        await until(lambda: self.half_closed, "the slot is half-closed after its call")
        self.finish.set()
        return Seen([r.update for r in self.heard if r.HasField("update")])


class FakeAgentd:
    """Answers as scripted, else well; remembers what it was asked."""

    def __init__(self, renew_interval: float = 0.05, ttl: float = 5.0) -> None:
        self.renew_interval = renew_interval
        self.ttl = ttl
        self.ping_interval = 15.0
        self.on_register: deque[Any] = deque()
        self.answers = asyncio.Event()
        self.answers.set()
        self.on_renew: deque[Any] = deque()
        self.serves_relay = True
        self.ends_released = True
        self.registrations: list[registry_pb2.RegisterRequest] = []
        self.renewals: list[registry_pb2.RenewRequest] = []
        self.departures: list[registry_pb2.DeregisterRequest] = []
        self.tokens: list[str] = []
        self.leases: set[str] = set()
        self.slots: list[Slot] = []
        self.refused_slots = 0
        self.peers: set[str] = set()
        self.port = 0

    async def start(self, credentials: grpc.ServerCredentials | None = None) -> None:
        self._server = aio.server(options=[("grpc.so_reuseport", 0)])
        registry_pb2_grpc.add_PluginRegistryServiceServicer_to_server(self, self._server)
        if self.serves_relay:
            relay_pb2_grpc.add_ToolRelayServiceServicer_to_server(self, self._server)
        address = f"127.0.0.1:{self.port}"
        if credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, credentials)
        await self._server.start()

    async def stop(self) -> None:
        for slot in self.slots:
            slot.finish.set()
        await self._server.stop(0)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def parked(self) -> list[Slot]:
        return [s for s in self.slots if not (s.taken or s.reset or s.released or s.half_closed)]

    def stub(self) -> Any:
        """A client of the plugin that registered last, in direct mode."""
        channel = aio.insecure_channel(self.registrations[-1].direct.endpoint)
        return tool_pb2_grpc.ToolServiceStub(channel)

    # === the registry ===

    async def Register(self, request: registry_pb2.RegisterRequest, context: Any) -> Any:
        self.registrations.append(request)
        self._note(context)
        response = registry_pb2.RegisterResponse(protocol=1, catalog_digest="sha256:catalog")
        for tool in request.catalog.tools:
            ref = types_pb2.ToolRef(plugin=request.catalog.plugin, tool=tool.name)
            ref.version, ref.digest = tool.version, f"sha256:{tool.name}"
            response.verdicts.add(tool=ref, accepted=True)
        await self._scripted(self.on_register, response, context)
        await self.answers.wait()
        response.lease_id = response.lease_id or str(uuid.uuid4())
        response.lease_ttl.FromTimedelta(timedelta(seconds=self.ttl))
        response.renew_interval.FromTimedelta(timedelta(seconds=self.renew_interval))
        self.leases.add(response.lease_id)
        return response

    async def Renew(self, request: registry_pb2.RenewRequest, context: Any) -> Any:
        self.renewals.append(request)
        self._note(context)
        response = registry_pb2.RenewResponse()
        if request.lease_id not in self.leases:
            await context.abort(grpc.StatusCode.NOT_FOUND, "LEASE_UNKNOWN")
        await self._scripted(self.on_renew, response, context)
        response.lease_ttl.FromTimedelta(timedelta(seconds=self.ttl))
        response.renew_interval.FromTimedelta(timedelta(seconds=self.renew_interval))
        return response

    async def Deregister(self, request: registry_pb2.DeregisterRequest, context: Any) -> Any:
        self.departures.append(request)
        return registry_pb2.DeregisterResponse()

    async def _scripted(self, script: deque[Any], response: Any, context: Any) -> None:
        step = script.popleft() if script else None
        if isinstance(step, Refusal):
            await context.abort(step.code, step.details)
        elif step is not None:
            step(response)

    def _note(self, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.tokens.append(str(metadata.get("authorization", "")))
        self.peers.add(context.peer())

    # === the relay ===

    async def Serve(self, requests: AsyncIterator[relay_pb2.ServeRequest], context: Any) -> None:
        slot: Slot | None = None
        try:
            async for request in requests:
                if request.HasField("opened"):
                    if request.opened.lease_id not in self.leases:
                        self.refused_slots += 1
                        await context.abort(grpc.StatusCode.NOT_FOUND, "LEASE_UNKNOWN")
                    slot = Slot(request.opened.lease_id, context)
                    interval = timedelta(seconds=self.ping_interval)
                    parked = relay_pb2.SlotParked()
                    parked.ping_interval.FromTimedelta(interval)
                    await slot.send(parked=parked)
                    self.slots.append(slot)
                    continue
                assert slot is not None
                slot.heard.append(request)
                if request.HasField("released"):
                    slot.released = True
                    if self.ends_released:
                        return
            if slot is not None:
                slot.half_closed = True
                await slot.finish.wait()
        except asyncio.CancelledError:
            if slot is not None:
                slot.reset = True
            raise


class Served:
    """A plugin that is being served in the loop of the test."""

    def __init__(self, plugin: Plugin, options: Options) -> None:
        self._stop = asyncio.Event()
        self.task = asyncio.ensure_future(plugin.serve(options, self._told))
        self._drain = options.drain_timeout

    async def _told(self) -> float:
        await self._stop.wait()
        return self._drain

    def stop(self) -> None:
        self._stop.set()

    async def end(self) -> None:
        self.stop()
        await asyncio.wait_for(self.task, 10)


@asynccontextmanager
async def agentd(fake: FakeAgentd | None = None) -> AsyncIterator[FakeAgentd]:
    made = fake or FakeAgentd()
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@asynccontextmanager
async def serving(plugin: Plugin, fake: FakeAgentd, **options: Any) -> AsyncIterator[Served]:
    served = Served(plugin, Options(agentd_url=fake.url, **options))
    try:
        yield served
    finally:
        served.stop()
        if not served.task.done():
            await asyncio.wait_for(served.task, 10)
