"""One running instance of a plugin: who may call, what may be called, and in which order that is
checked. Refusals come before `accepted` and have no effects."""

import asyncio
import hmac
import secrets
import uuid
from collections.abc import Iterable
from typing import Any, Final

from .call import Asked, Call
from .failure import Effects, Failure, FailureClass
from .keyed import Keys, fingerprint
from .limits import Bounds
from .running import Running
from .tool import Tool
from .wire import registry_pb2 as registry
from .wire import tool_pb2 as wire
from .wire import types_pb2 as types
from .work import Work

_BUSY_RETRY: Final = 1.0
"""Seconds after which a caller that met a full instance may come back."""
_UNAUTHENTICATED = (
    "a caller token is needed: authorization: Bearer and the token of Register",
    "the caller token is not the one registered",
)


class Instance:
    """A process of the plugin, as agentd sees it."""

    def __init__(
        self,
        catalog: types.PluginCatalog,
        tools: list[Tool],
        capacity: int,
        drain_timeout: float = 25.0,
    ) -> None:
        self.id = str(uuid.uuid4())
        self.caller_token = secrets.token_hex(32)
        self.catalog = catalog
        self.capacity = max(1, capacity)
        self.is_draining = False
        self.drain_timeout = drain_timeout
        self._tools = tools
        self._running: set[Running] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._digests: dict[tuple[str, str], str] = {}
        self._keys = Keys()

    @property
    def in_flight(self) -> int:
        """Calls now running, or whose work still runs."""
        return len(self._running)

    async def idle(self) -> None:
        """Returns once no call runs."""
        await self._idle.wait()

    def withdraw_all(self) -> None:
        """Ends what still runs."""
        for running in list(self._running):
            running.stop()

    def learn_digests(self, verdicts: Iterable[registry.ToolVerdict]) -> None:
        """Takes over what agentd calls the accepted tools."""
        self._digests = {
            (verdict.tool.tool, verdict.tool.version): verdict.tool.digest
            for verdict in verdicts
            if verdict.accepted or verdict.quarantined
        }

    def refused_token(self, metadata: Iterable[tuple[str, Any]]) -> str:
        """Why the caller is not let in; empty when it is."""
        for name, value in metadata or ():
            if name.lower() == "authorization":
                said = value if isinstance(value, bytes) else str(value).encode()
                scheme, _, token = said.partition(b" ")
                if scheme.lower() == b"bearer":
                    same = hmac.compare_digest(token, self.caller_token.encode())
                    return "" if same else _UNAUTHENTICATED[1]
        return _UNAUTHENTICATED[0]

    def begin(self, request: wire.CallRequest) -> Running:
        """The call, checked and with its place taken.

        Raises Failure, with effects NONE, for what is refused.
        """
        try:
            return self._begin(request)
        except Failure as refusal:
            refusal.effects = Effects.NONE
            raise

    def refusal(self, failure: Failure) -> wire.CallResponse:
        """The one update of a refused call."""
        told = failure.to_wire(self.catalog.plugin, Effects.NONE)
        return wire.CallResponse(sequence=1, failure=told)

    def _begin(self, request: wire.CallRequest) -> Running:
        if self.is_draining:
            said = "the plugin is stopping and takes no new calls"
            raise Failure.transient("DRAINING", said)
        tool = self._find(request.tool)
        dry_run = _checked_mode(request.mode, tool)
        arguments = tool.signature.read(request.arguments_json)
        bounds = Bounds.read(request)
        if bounds.timeout <= 0:
            said = "no time was left when the call arrived"
            raise Failure(FailureClass.TIMEOUT, "TIMEOUT", said)
        earlier, key = None, ""
        if tool.is_keyed and request.idempotency_key and not dry_run:
            key = fingerprint(tool.spec.version, request.arguments_json)
            earlier = self._keys.find(tool.spec.name, request.idempotency_key, key)
        if len(self._running) >= self.capacity:
            said = f"{self.capacity} calls are running, no more are taken"
            failure = Failure(FailureClass.RATE_LIMITED, "AT_CAPACITY", said)
            failure.retry_after = _BUSY_RETRY
            raise failure
        call = Call(_asked(request, tool, dry_run), bounds)
        if tool.signature.call_name is not None:
            arguments[tool.signature.call_name] = call
        work = earlier or Work(tool, call, arguments)
        if key and earlier is None:
            self._keys.add(tool.spec.name, request.idempotency_key, key, work)
        running = Running(
            call,
            work,
            leads=earlier is None,
            instance_id=self.id,
            plugin=self.catalog.plugin,
            longest_protected=self.drain_timeout,
            over=self._ended,
        )
        self._running.add(running)
        self._idle.clear()
        return running

    def _ended(self, running: Running) -> None:
        self._running.discard(running)
        if not self._running:
            self._idle.set()

    def _find(self, wanted: types.ToolRef) -> Tool:
        plugin = self.catalog.plugin
        if wanted.plugin and wanted.plugin != plugin:
            raise _unknown_tool(f"this is plugin {plugin}, not {wanted.plugin}")
        named = [tool for tool in self._tools if tool.spec.name == wanted.tool]
        if not named:
            raise _unknown_tool(f"plugin {plugin} has no tool {wanted.tool}")
        for tool in reversed(named):  # the newest comes last
            version = tool.spec.version
            if wanted.version and wanted.version != version:
                continue
            if wanted.digest and self._digests.get((tool.spec.name, version)) != wanted.digest:
                continue
            return tool
        raise Failure.config(
            "DESCRIPTOR_MISMATCH",
            f"tool {wanted.tool} is not offered as version {wanted.version!r} with digest "
            f"{wanted.digest!r}",
        )


def _asked(request: wire.CallRequest, tool: Tool, dry_run: bool) -> Asked:
    context = request.context
    return Asked(
        tool=tool.spec.name,
        call_id=request.call_id,
        idempotency_key=request.idempotency_key,
        page_token=request.page_token,
        dry_run=dry_run,
        attempt=max(1, request.attempt),
        investigation=context.investigation,
        step_id=context.step_id,
        principal=context.principal,
        environment=context.environment,
        approval=context.approval,
        trace_context=dict(context.trace_context),
    )


def _unknown_tool(message: str) -> Failure:
    # Its code is not the usual one of its class.
    return Failure(FailureClass.CONFIG, "UNKNOWN_TOOL", message, code=5)


def _checked_mode(mode: int, tool: Tool) -> bool:
    """Whether it is a dry run. Mode unset, or of a number not known, is never read as "act"."""
    if mode == wire.CALL_MODE_EXECUTE:
        return False
    if mode != wire.CALL_MODE_DRY_RUN and tool.is_read_only:
        return False
    if tool.spec.dry_run:
        return True
    if mode == wire.CALL_MODE_DRY_RUN:
        raise Failure.invalid_argument("mode", "this tool does not support a dry run")
    said = "must be CALL_MODE_EXECUTE for a tool that changes something"
    raise Failure.invalid_argument("mode", said)
