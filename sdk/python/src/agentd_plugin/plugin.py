"""A plugin as its author puts it together, and how it is served: listen or open slots, keep the
lease, drain. What a call does is elsewhere; here is the life of the process."""

import asyncio
import inspect
import logging
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

from . import process
from .connection import Connection
from .instance import Instance
from .lease import Keeper
from .options import Options, PluginError, SettingsError, advertised
from .relay import Relay
from .server import Server
from .tool import Polarity, Spec, Tool
from .waiting import within
from .wire import registry_pb2 as registry
from .wire import types_pb2 as wire

log = logging.getLogger("agentd_plugin")

_CLOSING: Final = 0.2
"""Seconds that connections may take to close once no call runs; a health watch never does."""
_WITHDRAWAL: Final = 2.0
"""Seconds that calls may take to notice that they were withdrawn."""

P = ParamSpec("P")
R = TypeVar("R")


class Plugin:
    """A plugin: a name that matches `[a-z][a-z0-9_]{1,23}`, the semantic version of the software,
    and tools."""

    def __init__(self, name: str, version: str, *, title: str = "", contact: str = "") -> None:
        self.catalog = wire.PluginCatalog(
            plugin=name,
            version=version,
            title=title,
            contact=contact,
            min_protocol=1,
            max_protocol=1,
        )
        """What is announced to agentd."""
        self._tools: list[Tool] = []
        self._faults: list[str] = []
        if not re.fullmatch(r"[a-z][a-z0-9_]{1,23}", name) or "__" in name:
            self._faults.append(f"the name {name!r} is not 2 to 24 of a-z, 0-9 and single _")

    def tool(self, **spec: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Makes a function, async or not, a tool. Without anything said it only reads, with low risk,
        version 1.0.0 and 30 s for a call; its name is the function's and its description the
        docstring.

        Takes the fields of `Spec`: name, description, title, version, side_effect, risk,
        idempotency, always_ask, permissions, timeout, max_attempts, rate_limit, typical_latency,
        cache, undo, dry_run, reports_progress, sensitive, labels, deprecation, examples, applies,
        output. Faults are told by `run`, all together.
        """

        def add(function: Callable[P, R]) -> Callable[P, R]:
            name = spec.pop("name", None) or function.__name__
            try:
                said = spec.pop("description", None) or inspect.getdoc(function) or ""
                tool = Tool(function, Spec(name=name, description=said, **spec))
            except (TypeError, ValueError) as fault:
                self._faults.append(f"tool {name}: {fault}")
            else:
                self._tools.append(tool)
                self.catalog.tools.append(tool.descriptor)
            return function

        return add

    def signal(self, name: str, meaning: str, polarity: Polarity) -> None:
        """Explains a signal of the plugin's own, so that it counts when causes are weighed; `name` is
        below the plugin's, and may be given without it."""
        plugin = self.catalog.plugin
        full = name if "." in name else f"{plugin}.{name}"
        if not full.startswith(f"{plugin}."):
            self._faults.append(f"signal {full} is not below {plugin}, the plugin's name")
        if not isinstance(polarity, Polarity):
            known = ", ".join(str(one) for one in Polarity)
            self._faults.append(f"signal {full}: polarity {polarity!r} is none of {known}")
            return
        self.catalog.signals.add(name=full, meaning=meaning, polarity=polarity.value)

    def cause(self, document: str) -> None:
        """Brings a cause of the plugin's own, a YAML document in the form of agentd's catalogue. agentd
        checks it at registration; what it leaves out, and why, is logged."""
        self.catalog.cause_documents.append(document)

    def run(self) -> None:
        """The whole `main` of a plugin: log on stderr, settings from the environment, serving until
        SIGTERM, ctrl-c or agentd's wish to stop; then running calls may finish. Ends the process
        with 2 on wrong settings and 1 when agentd refuses the plugin, each with what to change."""
        process.start_log()
        try:
            options = Options.from_environment()
            asyncio.run(self.serve(options, lambda: process.told_to_stop(options.drain_timeout)))
        except (PluginError, OSError) as error:
            log.error("%s: %s", self.catalog.plugin, error)
            sys.exit(error.exit_code if isinstance(error, PluginError) else 1)

    async def serve(self, options: Options, told_to_stop: Callable[[], Awaitable[float]]) -> None:
        """Serves until `told_to_stop` returns, with the seconds that running calls may take, or until
        agentd wants the plugin to stop.

        Raises PluginError, or OSError when the address cannot be listened on.
        """
        instance = self.instance(options.capacity, options.drain_timeout)
        life = _RelayLife(instance, options) if options.relay else _DirectLife(instance, options)
        stop = asyncio.ensure_future(_seconds(told_to_stop))
        try:
            await life.start()
            kept = [asyncio.ensure_future(work) for work in life.work()]
            await asyncio.wait({stop, *kept}, return_when=asyncio.FIRST_COMPLETED)
            drain_timeout = stop.result() if stop.done() else options.drain_timeout
            kept[0].cancel()  # the keeper; what is left to say is said below
            await asyncio.gather(kept[0], return_exceptions=True)
            await life.drain(drain_timeout, kept[1:])
            for task in kept:
                if not task.cancelled():
                    task.result()
        finally:
            stop.cancel()
            await asyncio.gather(stop, return_exceptions=True)
            await life.close()

    def instance(self, capacity: int, drain_timeout: float = 25.0) -> Instance:
        """An instance that serves this plugin. Raises SettingsError with all faults of the plugin."""
        faults = list(self._faults)
        seen = set()
        for tool in self._tools:
            key = (tool.spec.name, tool.spec.version)
            if key in seen:
                faults.append(f"tool {key[0]} {key[1]} is there twice")
            seen.add(key)
        if not self._tools and not faults:
            faults.append("it has no tools")
        if faults:
            raise SettingsError(faults, "the plugin is put together wrongly")
        return Instance(self.catalog, self._tools, capacity, drain_timeout)


class _Life:
    """What both ways of being reached have in common."""

    keeper: Keeper

    def __init__(self, instance: Instance, options: Options) -> None:
        self.instance = instance
        self.options = options
        self.connection = Connection(options)

    async def start(self) -> None:
        """Gets ready to be announced."""

    def work(self) -> list[Awaitable[None]]:
        """What runs until the plugin stops; the keeper first."""
        return [self.keeper.run()]

    async def release(self) -> None:
        """Gives back what waits for calls."""

    async def drain(self, timeout: float, others: Sequence["asyncio.Future[None]"]) -> None:
        """Says goodbye in the order of the contract: no new calls, running ones finish, gone."""
        self.instance.is_draining = True
        await self.keeper.announce_drain()
        await self.release()
        over = asyncio.gather(self.instance.idle(), *others, return_exceptions=True)
        try:
            await within(timeout, asyncio.shield(over))
        except asyncio.TimeoutError:
            log.warning("%d calls did not end in time; withdrawn", self.instance.in_flight)
            self.instance.withdraw_all()
            with suppress(asyncio.TimeoutError):
                await within(_WITHDRAWAL, over)
        for other in others:
            if not other.done():
                other.cancel()
        await self.keeper.leave("the plugin stops")

    async def close(self) -> None:
        """Closes what is open."""
        await self.connection.close()


class _DirectLife(_Life):
    def __init__(self, instance: Instance, options: Options) -> None:
        super().__init__(instance, options)
        self.server = Server(instance)

    async def start(self) -> None:
        options = self.options
        port = await self.server.start(options.listen, options.tls)
        endpoint = advertised(options, port)
        log.info("listening on %s:%d", options.listen.rpartition(":")[0], port)
        direct = registry.DirectTransport(
            endpoint=endpoint, caller_token=self.instance.caller_token
        )
        self.keeper = Keeper(
            self.instance,
            self.connection,
            options.agentd_url,
            {"direct": direct},
            self.server.set_ready,
        )

    async def release(self) -> None:
        await self.server.set_ready(False)

    async def close(self) -> None:
        await self.server.stop(_CLOSING)
        await super().close()


class _RelayLife(_Life):
    def __init__(self, instance: Instance, options: Options) -> None:
        super().__init__(instance, options)
        transport = {"relay": registry.RelayTransport(slots=instance.capacity)}
        url = options.agentd_url

        async def ready(_: bool) -> None:
            """Slots say it by being there."""

        self.keeper = Keeper(instance, self.connection, url, transport, ready)
        self.relay = Relay(instance, self.connection, self.keeper, url)

    def work(self) -> list[Awaitable[None]]:
        return [self.keeper.run(), self.relay.run()]

    async def release(self) -> None:
        self.relay.release()


async def _seconds(told_to_stop: Callable[[], Awaitable[float]]) -> float:
    return await told_to_stop()
