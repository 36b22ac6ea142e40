"""Tests a plugin without agentd: serves it in this process, over a real connection, and calls it.

with Harness(plugin) as harness:
    seen = harness.call("check_queue", {"queue": "orders"})
    assert seen.result == {"waiting": 7}
"""

import asyncio
import itertools
import json
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import grpc

from .limits import MAX_WIRE
from .plugin import Plugin
from .server import Server
from .wire import observation_pb2 as facts
from .wire import tool_pb2 as wire
from .wire import tool_pb2_grpc
from .wire import types_pb2 as types

_STARTING: Final = 10.0
_PATIENCE: Final = 60.0
"""Seconds after which a test gives a call up."""


@dataclass
class Seen:
    """What came back from a call: every update in its order, and what they add up to."""

    updates: list[wire.CallResponse] = field(default_factory=list)

    @property
    def last(self) -> wire.CallResponse:
        """The last update."""
        return self.updates[-1]

    @property
    def outcome(self) -> wire.CallResult:
        """The result as it was sent; AssertionError when the call failed."""
        assert self.last.HasField("result"), f"the call failed: {self.last.failure}"  # noqa: S101
        return self.last.result

    @property
    def result_json(self) -> str:
        """The result as text, its pieces joined."""
        pieces = [u.chunk.json_fragment for u in self.updates if u.HasField("chunk")]
        return "".join(pieces) or self.outcome.result_json

    @property
    def result(self) -> Any:
        """The result, read."""
        return json.loads(self.result_json)

    @property
    def observations(self) -> list[facts.Observation]:
        """All typed facts, their pieces joined."""
        pieces = [o for u in self.updates if u.HasField("facts") for o in u.facts.observations]
        return [*pieces, *self.outcome.observations]

    @property
    def relations(self) -> list[facts.Relation]:
        """All edges of the topology, their pieces joined."""
        pieces = [r for u in self.updates if u.HasField("facts") for r in u.facts.relations]
        return [*pieces, *self.outcome.relations]

    @property
    def failure(self) -> types.Failure:
        """The failure; AssertionError when the call succeeded."""
        assert self.last.HasField("failure"), "the call did not fail"  # noqa: S101
        return self.last.failure

    @property
    def is_accepted(self) -> bool:
        """Whether the work began."""
        return any(update.HasField("accepted") for update in self.updates)

    def broken_rules(self) -> list[str]:
        """Rules of the stream that were not kept; empty when all is well."""
        broken = []
        sequence = [update.sequence for update in self.updates]
        if sequence != list(range(1, len(sequence) + 1)):
            broken.append(f"the sequence is {sequence}")
        kinds = [update.WhichOneof("update") for update in self.updates]
        if not kinds or kinds[-1] not in ("result", "failure"):
            broken.append("there is no last update")
        if any(kind in ("result", "failure") for kind in kinds[:-1]):
            broken.append("something comes after the last update")
        if kinds.count("accepted") > 1:
            broken.append("it was accepted twice")
        done = [u.progress.done for u in self.updates if u.HasField("progress")]
        if any(later <= earlier for earlier, later in itertools.pairwise(done)):
            broken.append(f"progress does not grow: {done}")
        if any(update.ByteSize() > 512 * 1024 for update in self.updates):
            broken.append("an update is larger than 512 KiB")
        return broken


class Begun:
    """A call that runs: its updates as they come, and a way to leave it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[wire.CallResponse]:
        return iter(self._stream)

    def cancel(self) -> None:
        """Leaves the call, as agentd withdraws one."""
        self._stream.cancel()

    def wait(self) -> Seen:
        """All updates, with the rules of the stream checked."""
        seen = Seen(list(self._stream))
        broken = seen.broken_rules()
        assert not broken, broken  # noqa: S101
        return seen


class Harness:
    """A plugin that is served in this process, on a free port of the loopback."""

    def __init__(self, plugin: Plugin, *, capacity: int = 8, drain_timeout: float = 25.0) -> None:
        self._plugin = plugin
        self._capacity = capacity
        self._drain_timeout = drain_timeout
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Harness":
        self._thread.start()
        try:
            port = self._do(self._serve())
        except BaseException:
            self._end()
            raise
        options = [("grpc.max_receive_message_length", MAX_WIRE)]
        self.address = f"127.0.0.1:{port}"
        """Where it is served."""
        self._channel = grpc.insecure_channel(self.address, options=options)
        self.stub = tool_pb2_grpc.ToolServiceStub(self._channel)
        """The service itself, for what `call` does not do."""
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._do(self._stop())
        self._end()

    @property
    def calls_in_flight(self) -> int:
        """Calls that run, or whose work still does."""
        return self._instance.in_flight

    def call(self, tool: str, arguments: dict[str, Any] | str | None = None, **asked: Any) -> Seen:
        """Runs a call to its end; takes what `begin` takes."""
        return self.begin(tool, arguments, **asked).wait()

    def begin(
        self,
        tool: str,
        arguments: dict[str, Any] | str | None = None,
        *,
        timeout: float | None = None,
        mode: "wire.CallMode" = wire.CALL_MODE_EXECUTE,
        token: str | None = None,
        max_result_bytes: int = 0,
        **asked: Any,
    ) -> Begun:
        """Begins a call. `asked` are further fields of `CallRequest`, such as idempotency_key,
        page_token and context; `token` replaces the caller token."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        request = wire.CallRequest(
            call_id=str(uuid.uuid4()),
            tool=types.ToolRef(plugin=self._plugin.catalog.plugin, tool=tool),
            arguments_json=text,
            mode=mode,
            **asked,
        )
        request.limits.max_result_bytes = max_result_bytes
        if timeout is not None:
            request.limits.timeout.FromTimedelta(timedelta(seconds=timeout))
        said = self._instance.caller_token if token is None else token
        metadata = (("authorization", f"Bearer {said}"),)
        return Begun(self.stub.Call(request, metadata=metadata, timeout=_PATIENCE))

    async def _serve(self) -> int:
        self._instance = self._plugin.instance(self._capacity, self._drain_timeout)
        self._server = Server(self._instance)
        port = await self._server.start("127.0.0.1:0", None)
        await self._server.set_ready(True)
        return port

    async def _stop(self) -> None:
        self._instance.withdraw_all()
        await self._server.stop(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_STARTING)

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STARTING)
        self._loop.close()
