"""Keeps an instance known to agentd: Register, Renew at the pace agentd gives, Register again when
the lease is lost, goodbye at the end. It is ready exactly while a lease is held by its own clock. It
never gives up on an agentd that is away, and stops for one that says no."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import grpc
from grpc import aio

from . import verdict
from .connection import Connection
from .instance import Instance
from .limits import seconds
from .waiting import within
from .wire import registry_pb2 as wire
from .wire import registry_pb2_grpc

log = logging.getLogger("agentd_plugin")

_ATTEMPT: Final = 5.0
"""Seconds that one request may take."""
_GOODBYE: Final = 2.0
"""Seconds that a goodbye may take; agentd may be gone already."""
_STALE_AFTER: Final = 2
"""Failures after which the connection itself is doubted."""
_TTL: Final = 30.0
_RENEWAL: Final = 10.0
_SHORTEST_RENEWAL: Final = 0.01
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_SHORTEST_PAUSE: Final = 0.02
"""Full jitter may draw next to nothing; this keeps a run of bad luck from being a hot loop."""

_GONE = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
)
"""Codes that say the lease is gone, or is not ours any more: Register decides what to do."""


class Backoff:
    """Growing pauses with full jitter: 0 to 0.2 s, doubling up to 5 s."""

    def __init__(self) -> None:
        self._ceiling = _FIRST_PAUSE

    def next(self) -> float:
        """The next pause, in seconds."""
        pause = max(_SHORTEST_PAUSE, jitter(self._ceiling))
        self._ceiling = min(self._ceiling * 2, _LONGEST_PAUSE)
        return pause


def jitter(longest: float) -> float:
    """A random span from nothing to `longest`, so that many plugins do not come in one moment."""
    return random.uniform(0.0, longest)  # noqa: S311 nothing is hidden by it


@dataclass
class Lease:
    """What agentd gave: `ends` is on the clock of `time.monotonic`."""

    id: str
    catalog_digest: str
    renewal: float
    ends: float


class Lost(Enum):
    """How a lease was lost: agentd does not know it, wants the catalog again, was not heard of in
    time, or wants the plugin to stop."""

    UNKNOWN = auto()
    OUTDATED = auto()
    EXPIRED = auto()
    UNWANTED = auto()


class Keeper:
    """Keeps the lease of one instance. `ready` is told whenever it changes; `lease` is the one held,
    and `changed` is set and replaced when it is another."""

    def __init__(
        self,
        instance: Instance,
        connection: Connection,
        url: str,
        transport: dict[str, Any],
        ready: Callable[[bool], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._instance = instance
        self._connection = connection
        self._url = url
        self._transport = transport
        self._ready = ready
        self._clock = clock
        self._backoff = Backoff()
        self._failures = 0
        self.lease: Lease | None = None
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Registers and renews until agentd wants the plugin to stop. Raises Refused."""
        while True:
            await self._register()
            lost = await self._hold()
            renewal = self.lease.renewal if self.lease else _RENEWAL
            if lost is Lost.UNWANTED:
                log.info("agentd wants the plugin to stop")
                return
            if lost is Lost.UNKNOWN:
                log.info("agentd does not know the lease; registering again")
                self._set_lease(None)
                await self._ready(False)
            if lost is Lost.EXPIRED:
                log.warning("the lease ran out; registering again")
                await self._ready(False)
            else:
                await asyncio.sleep(jitter(renewal / 2))

    async def announce_drain(self) -> None:
        """Tells agentd to send no new calls, if it can be told."""
        if self.lease is not None:
            try:
                await self._renew(wire.INSTANCE_STATE_DRAINING, _GOODBYE)
            except aio.AioRpcError:
                log.debug("agentd could not be told that the plugin is draining")

    async def leave(self, reason: str) -> None:
        """Ends the lease, if agentd can be told."""
        lease = self.lease
        self._set_lease(None)
        if lease is not None:
            request = wire.DeregisterRequest(lease_id=lease.id, reason=reason)
            try:
                await self._ask("Deregister", request, _GOODBYE)
            except aio.AioRpcError:
                log.debug("agentd could not be told that the plugin has gone")

    async def _register(self) -> None:
        while True:
            asked_at = self._clock()
            request = wire.RegisterRequest(
                instance_id=self._instance.id,
                catalog=self._instance.catalog,
                max_concurrent_calls=self._instance.capacity,
                **self._transport,
            )
            asking = asyncio.ensure_future(self._ask("Register", request))
            try:
                response = await asyncio.shield(asking)
            except asyncio.CancelledError:
                await self._hear_out(asking, asked_at)
                raise
            except aio.AioRpcError as error:
                refused = verdict.refusal(error, self._url, "relay" in self._transport)
                if refused is not None:
                    raise refused from None
                # Whatever was held before, agentd cannot be shown to know us now.
                await self._ready(False)
                await asyncio.sleep(self._note_failure("register", error))
                continue
            # Held whatever the answer means to us, so that it is given back at the end.
            self._take_lease(response, asked_at)
            verdict.check(response, self._url)
            self._note_success()
            await self._ready(True)
            catalog = self._instance.catalog
            told = (catalog.plugin, len(catalog.tools), self._url)
            log.info("registered %s with %d tools at %s", *told)
            return

    async def _hear_out(self, asking: "asyncio.Future[Any]", asked_at: float) -> None:
        """Hears the answer to a registration when the plugin is told to stop meanwhile: a lease that
        nobody knows of could not be given back."""
        try:
            response = await within(_GOODBYE, asking)
        except (aio.AioRpcError, asyncio.TimeoutError):
            return
        self._take_lease(response, asked_at)

    def _take_lease(self, response: wire.RegisterResponse, asked_at: float) -> None:
        ttl = seconds(response.lease_ttl) or _TTL
        renewal = seconds(response.renew_interval) or _RENEWAL
        self._instance.learn_digests(response.verdicts)
        lease = Lease(response.lease_id, response.catalog_digest, 0.0, asked_at + ttl)
        lease.renewal = max(_SHORTEST_RENEWAL, min(renewal, ttl / 2))
        self._set_lease(lease)

    async def _hold(self) -> Lost:
        """Renews until the lease is lost."""
        lease = self.lease
        if lease is None:
            return Lost.UNKNOWN
        pause = lease.renewal
        while True:
            await asyncio.sleep(max(0.0, min(pause, lease.ends - self._clock())))
            # A process that was stopped for long wakes up here, with a lease of the past.
            asked_at = self._clock()
            if asked_at >= lease.ends:
                return Lost.EXPIRED
            try:
                left = min(_ATTEMPT, lease.ends - asked_at)
                response = await self._renew(wire.INSTANCE_STATE_READY, left)
            except aio.AioRpcError as error:
                if error.code() in _GONE:
                    return Lost.UNKNOWN
                pause = self._note_failure("renew", error)
                continue
            self._note_success()
            verdict.advise(response.warnings)
            ttl = seconds(response.lease_ttl) or _TTL
            renewal = seconds(response.renew_interval) or lease.renewal
            lease.ends = asked_at + ttl
            lease.renewal = max(_SHORTEST_RENEWAL, min(renewal, ttl / 2))
            pause = lease.renewal
            if response.directive == wire.INSTANCE_DIRECTIVE_STOP:
                return Lost.UNWANTED
            if response.directive == wire.INSTANCE_DIRECTIVE_REREGISTER:
                return Lost.OUTDATED

    async def _renew(self, state: wire.InstanceState, timeout: float) -> wire.RenewResponse:
        lease = self.lease
        request = wire.RenewRequest(
            lease_id=lease.id if lease else "",
            catalog_digest=lease.catalog_digest if lease else "",
            state=state,
            calls_in_flight=self._instance.in_flight,
        )
        answer: wire.RenewResponse = await self._ask("Renew", request, timeout)
        return answer

    async def _ask(self, method: str, request: Any, timeout: float = _ATTEMPT) -> Any:
        async with self._connection.borrowed() as channel:
            stub = registry_pb2_grpc.PluginRegistryServiceStub(channel)
            metadata = self._connection.metadata()
            return await getattr(stub, method)(request, timeout=timeout, metadata=metadata)

    def _set_lease(self, lease: Lease | None) -> None:
        self.lease = lease
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def _note_failure(self, what: str, error: aio.AioRpcError) -> float:
        """Counts a failure, dials anew when the connection is doubtful, and says how long to
        pause."""
        self._failures += 1
        level = logging.WARNING if self._failures == 1 else logging.DEBUG
        why = error.details()
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            why = f"{why}; nobody takes plugins there: AGENTD_URL is the gRPC address, not the HTTP one"
        said = (what, self._url, error.code().name, why)
        log.log(level, "cannot %s at %s, trying on: %s, %s", *said)
        if self._failures % _STALE_AFTER == 0:
            self._connection.redial()
        return self._backoff.next()

    def _note_success(self) -> None:
        self._failures = 0
        self._backoff = Backoff()
