"""One call after the other and many at once, over a real connection."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from agentd_plugin import (
    Call,
    Effects,
    Entity,
    Failure,
    MarkedRecords,
    Observation,
    Output,
    Plugin,
    SideEffect,
)
from agentd_plugin.testing import Harness
from agentd_plugin.wire import tool_pb2 as wire
from agentd_plugin.wire import types_pb2 as types

WAIT = 10.0


def until(condition: Callable[[], Any], what: str, limit: float = WAIT) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"not seen: {what}"
        time.sleep(0.002)


class World:
    """What the tools below did."""

    def __init__(self) -> None:
        self.ticks = 0
        self.begun = threading.Event()
        self.go = threading.Event()
        self.stopped = threading.Event()
        self.done = threading.Event()


def make(world: World) -> Plugin:
    plugin = Plugin("trial", "1.0.0")

    @plugin.tool(description="Says what it was told.")
    def echo(call: Call, text: str = "", number: int = 0) -> Output:
        return Output(
            result={"text": text, "number": number, "key": call.idempotency_key},
            observations=[Observation("trial.echo", Entity("Thing", "", text), text)],
        )

    @plugin.tool(description="Says what it was told, later.")
    async def echo_async(call: Call, text: str) -> dict[str, str]:
        await asyncio.sleep(0)
        return {"text": text, "trace": call.trace.traceparent, "page": call.page_token}

    @plugin.tool(description="Works until it is stopped.")
    async def work(call: Call) -> None:
        world.begun.set()
        try:
            while True:
                world.ticks += 1
                call.progress(world.ticks)
                await asyncio.sleep(0.001)
        finally:
            world.stopped.set()

    @plugin.tool(description="Works in a thread until it is told.")
    def work_thread(call: Call) -> None:
        world.begun.set()
        call.cancelled.wait(WAIT)
        world.stopped.set()
        call.check()

    @plugin.tool(
        description="Works in a thread and does not listen.", side_effect=SideEffect.ADDITIVE
    )
    def deaf() -> None:
        world.begun.set()
        world.go.wait(WAIT)

    @plugin.tool(description="Raises.")
    def raises(kind: str) -> None:
        kinds: dict[str, Callable[[], BaseException]] = {
            "value": lambda: ValueError("no password=hunter2"),
            "stop": lambda: StopIteration(7),
            "exit": lambda: SystemExit(3),
            "interrupt": KeyboardInterrupt,
            "failure": lambda: Failure.not_found("v1/Pod shop/cart-0"),
            "depth": RecursionError,
        }
        raise kinds[kind]()

    @plugin.tool(description="Raises, async.")
    async def raises_async(kind: str) -> None:
        raise {"exit": SystemExit, "cancel": asyncio.CancelledError, "value": ValueError}[kind]()

    @plugin.tool(description="Changes something.", side_effect=SideEffect.DESTRUCTIVE)
    async def change(call: Call) -> None:
        with call.protect():
            world.begun.set()
            while not world.go.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        world.done.set()

    @plugin.tool(description="Plans.", side_effect=SideEffect.ADDITIVE, dry_run=True)
    def plan(call: Call) -> Output:
        return Output(result={"dry": call.dry_run}, planned_effects=["a"] if call.dry_run else [])

    @plugin.tool(description="Talks a lot.")
    def talk(call: Call, lines: int) -> str:
        for n in range(lines):
            call.log(f"line {n} password=hunter2")
            call.progress(float(-n if n % 2 else n), total=float(lines), message="on")
        return "done"

    return plugin


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def served(world: World) -> Iterator[Harness]:
    with Harness(make(world)) as harness:
        yield harness
        world.go.set()


def test_a_call_gives_back_its_result_and_facts(served: Harness) -> None:
    seen = served.call("echo", {"text": "a", "number": 9007199254740993})
    assert '"number":9007199254740993' in seen.result_json
    assert seen.observations[0].subject.name == "a"
    assert seen.is_accepted
    assert seen.updates[0].accepted.instance_id


def test_an_async_tool_knows_its_trace_and_its_page(served: Harness) -> None:
    context = wire.CallContext(trace_context={"traceparent": "00-ab-cd-01"})
    seen = served.call("echo_async", {"text": "b"}, context=context, page_token="p7")
    assert seen.result == {"text": "b", "trace": "00-ab-cd-01", "page": "p7"}


def test_log_records_carry_the_call_they_were_written_in(world: World) -> None:
    records: list[Any] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = Kept()
    handler.addFilter(MarkedRecords())
    author = logging.getLogger("author")
    author.addHandler(handler)
    plugin = make(world)

    @plugin.tool(description="Logs.")
    def logs() -> None:
        author.warning("here")

    context = wire.CallContext(trace_context={"traceparent": "00-ab-cd-01"})
    with Harness(plugin) as harness:
        harness.call("logs", context=context)
    author.removeHandler(handler)
    assert (records[0].tool, records[0].traceparent) == ("logs", "00-ab-cd-01")


@pytest.mark.parametrize(
    ("asked", "failure_class", "code", "reason"),
    [
        ({"tool": "no_such"}, "CONFIG", 5, "UNKNOWN_TOOL"),
        ({"tool": "echo", "arguments": {"x": 1}}, "INVALID_ARGUMENT", 3, "INVALID_ARGUMENT"),
        ({"tool": "echo", "timeout": 0}, "TIMEOUT", 4, "TIMEOUT"),
        ({"tool": "echo", "timeout": -1}, "TIMEOUT", 4, "TIMEOUT"),
        (
            {"tool": "echo", "mode": wire.CALL_MODE_DRY_RUN},
            "INVALID_ARGUMENT",
            3,
            "INVALID_ARGUMENT",
        ),
        (
            {"tool": "deaf", "mode": wire.CALL_MODE_UNSPECIFIED},
            "INVALID_ARGUMENT",
            3,
            "INVALID_ARGUMENT",
        ),
        ({"tool": "deaf", "mode": 99}, "INVALID_ARGUMENT", 3, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_refused_is_refused_before_accepted_and_changes_nothing(
    served: Harness, asked: dict[str, Any], failure_class: str, code: int, reason: str
) -> None:
    seen = served.call(**asked)
    assert not seen.is_accepted
    assert types.FailureClass.Name(seen.failure.failure_class) == f"FAILURE_CLASS_{failure_class}"
    assert (seen.failure.code, seen.failure.reason) == (code, reason)
    assert seen.failure.effects == types.EFFECT_STATE_NONE
    assert seen.failure.domain == "trial"


def test_wrong_arguments_name_every_field(served: Harness) -> None:
    failure = served.call("echo_async", {"b": 1, "c": 2}).failure
    assert [v.field for v in failure.violations] == ["arguments.text", "arguments.b", "arguments.c"]


@pytest.mark.parametrize("token", ["", "wrong", "ä".encode().decode("latin-1")])
def test_a_caller_without_the_token_is_not_let_in(served: Harness, token: str) -> None:
    if not token.isascii():
        request = wire.CallRequest(tool=types.ToolRef(tool="echo"))
        stream = served.stub.Call(request, metadata=(("authorization", b"Bearer \xff"),))
        with pytest.raises(grpc.RpcError):
            list(stream)
        return
    with pytest.raises(grpc.RpcError) as raised:
        served.call("echo", token=token)
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_digest_that_was_not_learnt_is_refused(served: Harness) -> None:
    request = wire.CallRequest(tool=types.ToolRef(tool="echo", digest="sha256:other"))
    token = served._instance.caller_token
    updates = list(served.stub.Call(request, metadata=(("authorization", f"Bearer {token}"),)))
    assert updates[0].failure.reason == "DESCRIPTOR_MISMATCH"
    assert updates[0].failure.code == 9


@pytest.mark.parametrize("kind", ["value", "stop", "exit", "interrupt", "depth"])
def test_whatever_a_tool_raises_is_a_bug_and_the_next_call_works(
    served: Harness, kind: str
) -> None:
    failure = served.call("raises", {"kind": kind}, timeout=5).failure
    assert (failure.failure_class, failure.reason) == (types.FAILURE_CLASS_BUG, "EXCEPTION")
    assert "hunter2" not in failure.message
    assert served.call("echo", {"text": "still"}).result["text"] == "still"


@pytest.mark.parametrize("kind", ["exit", "cancel", "value"])
def test_whatever_an_async_tool_raises_is_a_bug(served: Harness, kind: str) -> None:
    failure = served.call("raises_async", {"kind": kind}, timeout=5).failure
    assert failure.reason == "EXCEPTION"
    assert served.call("echo", {"text": "still"}).result["text"] == "still"


def test_a_failure_that_a_tool_raises_is_told_as_it_is(served: Harness) -> None:
    failure = served.call("raises", {"kind": "failure"}).failure
    assert failure.failure_class == types.FAILURE_CLASS_NOT_FOUND
    assert (failure.resource, failure.effects) == ("v1/Pod shop/cart-0", types.EFFECT_STATE_NONE)


def test_time_that_runs_out_ends_an_async_tool_and_its_work(served: Harness, world: World) -> None:
    failure = served.call("work", timeout=0.2).failure
    assert (failure.failure_class, failure.code) == (types.FAILURE_CLASS_TIMEOUT, 4)
    assert failure.effects == types.EFFECT_STATE_NONE
    until(world.stopped.is_set, "the work stops")
    until(lambda: served.calls_in_flight == 0, "no call in flight")


def test_a_deaf_thread_does_not_keep_its_caller_waiting(served: Harness, world: World) -> None:
    begun = time.monotonic()
    failure = served.call("deaf", timeout=0.2).failure
    assert time.monotonic() - begun < 2
    assert failure.failure_class == types.FAILURE_CLASS_TIMEOUT
    assert failure.effects == types.EFFECT_STATE_MAYBE
    assert served.calls_in_flight == 1, "what still runs takes a place"
    world.go.set()
    until(lambda: served.calls_in_flight == 0, "the place is free again")


def test_a_cancel_stops_async_work_and_not_only_the_listening(
    served: Harness, world: World
) -> None:
    begun = served.begin("work")
    until(lambda: world.ticks > 3, "the work goes on")
    begun.cancel()
    until(world.stopped.is_set, "the work stops")
    ticks = world.ticks
    until(lambda: served.calls_in_flight == 0, "no call in flight")
    assert world.ticks == ticks


async def test_a_cancel_before_the_first_step_of_the_work_gives_its_place_back() -> None:
    plugin = Plugin("trial", "1.0.0")

    @plugin.tool(description="Never comes to its first step.")
    async def work() -> str:
        raise AssertionError("it has begun")

    instance = plugin.instance(1)
    tool = types.ToolRef(tool="work")
    running = instance.begin(wire.CallRequest(tool=tool, arguments_json="{}"))
    told = []

    async def send(update: wire.CallResponse) -> None:
        told.append(update)
        if update.HasField("accepted"):
            asyncio.get_running_loop().call_soon(running.withdraw)

    await running.tell(send)
    assert told[-1].failure.failure_class == types.FAILURE_CLASS_CANCELLED
    await asyncio.wait_for(running.over.wait(), WAIT)
    assert instance.in_flight == 0


def test_a_cancel_is_seen_by_a_thread(served: Harness, world: World) -> None:
    begun = served.begin("work_thread")
    until(world.begun.is_set, "the work begins")
    begun.cancel()
    until(world.stopped.is_set, "the work learns of it")
    until(lambda: served.calls_in_flight == 0, "no call in flight")


def test_a_protected_part_is_finished_although_the_caller_left(
    served: Harness, world: World
) -> None:
    begun = served.begin("change")
    until(world.begun.is_set, "the part begins")
    begun.cancel()
    until(lambda: any(r._call.cancelled.is_set() for r in served._instance._running), "it is told")
    assert not world.done.is_set()
    world.go.set()
    until(world.done.is_set, "the part is finished")
    until(lambda: served.calls_in_flight == 0, "no call in flight")


def test_a_protected_part_outlives_the_deadline_and_may_have_had_effects(
    served: Harness, world: World
) -> None:
    failure = served.call("change", timeout=0.1).failure
    assert failure.failure_class == types.FAILURE_CLASS_TIMEOUT
    assert failure.effects == types.EFFECT_STATE_MAYBE
    world.go.set()
    until(world.done.is_set, "the part is finished")


def test_a_protected_part_that_never_ends_is_given_up(world: World) -> None:
    with Harness(make(world), drain_timeout=0.05) as harness:
        harness.call("change", timeout=0.05)
        until(lambda: harness.calls_in_flight == 0, "the part is given up")
    assert not world.done.is_set()


def test_a_dry_run_goes_to_tools_that_know_it_and_is_what_unset_means(served: Harness) -> None:
    for mode, dry in [
        (wire.CALL_MODE_DRY_RUN, True),
        (wire.CALL_MODE_UNSPECIFIED, True),
        (wire.CALL_MODE_EXECUTE, False),
    ]:
        seen = served.call("plan", mode=mode)
        assert seen.result == {"dry": dry}
        assert list(seen.outcome.planned_effects) == (["a"] if dry else [])
    assert served.call("echo", mode=wire.CALL_MODE_UNSPECIFIED).is_accepted


def test_lines_are_told_masked_and_those_of_a_slow_reader_are_bounded(served: Harness) -> None:
    seen = served.call("talk", {"lines": 5000})
    lines = [u.log.message for u in seen.updates if u.HasField("log")]
    assert lines[0] == "line 0 password=[REDACTED]"
    progress = [u.progress.done for u in seen.updates if u.HasField("progress")]
    assert progress[0] == 0
    assert seen.result == "done"


def test_64_calls_at_once_do_not_mix(world: World) -> None:
    with Harness(make(world), capacity=64) as harness:
        for tool in ("echo", "echo_async"):
            begun = [harness.begin(tool, {"text": f"t{n}"}) for n in range(64)]
            assert [b.wait().result["text"] for b in begun] == [f"t{n}" for n in range(64)]


def test_one_call_too_many_is_told_to_come_back(world: World) -> None:
    with Harness(make(world), capacity=1) as harness:
        first = harness.begin("work_thread")
        until(world.begun.is_set, "the first runs")
        failure = harness.call("echo").failure
        assert failure.failure_class == types.FAILURE_CLASS_RATE_LIMITED
        assert failure.retry_delay.seconds == 1
        first.cancel()
        until(lambda: harness.calls_in_flight == 0, "the place is free")
        assert harness.call("echo").is_accepted


def test_a_hundred_cancels_leave_nothing_behind(served: Harness, world: World) -> None:
    threads = threading.active_count()
    for _ in range(100):
        # Right after `accepted`: a cancel must not be lost to the write that is just done.
        begun = served.begin("work_thread")
        next(iter(begun))
        begun.cancel()
        until(lambda: served.calls_in_flight == 0, "no call in flight", 2.0)
    assert threading.active_count() <= threads + 2


def test_effects_that_a_tool_names_are_told(world: World) -> None:
    plugin = make(world)

    @plugin.tool(description="Fails after it acted.", side_effect=SideEffect.ADDITIVE)
    def acted(named: bool) -> None:
        failure = Failure.external("disk", "FULL", "no space")
        failure.effects = Effects.APPLIED if named else None
        raise failure

    with Harness(plugin) as harness:
        assert harness.call("acted", {"named": True}).failure.effects == types.EFFECT_STATE_APPLIED
        assert harness.call("acted", {"named": False}).failure.effects == types.EFFECT_STATE_MAYBE


def test_health_and_reflection_are_served_beside(served: Harness) -> None:
    from grpc_health.v1 import health_pb2, health_pb2_grpc
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    channel = grpc.insecure_channel(served.address)
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "agentd.tool.v1.ToolService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "agentd.tool.v1.ToolService" in database.get_services()
    file = database.FindFileContainingSymbol("agentd.tool.v1.ToolService")
    assert file.name == "agentd/tool/v1/tool.proto"
    assert database.FindFileByName("google/protobuf/duration.proto")
    assert database.FindFileContainingSymbol("grpc.health.v1.Health")


def test_the_catalog_is_told_to_anybody(served: Harness) -> None:
    catalog = served.stub.GetCatalog(wire.GetCatalogRequest()).catalog
    assert catalog.plugin == "trial"
    assert len(catalog.tools) == len(served._plugin.catalog.tools)
