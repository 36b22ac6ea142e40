"""The lease: registering, renewing, agentd away and back, agentd that says no."""

import asyncio
from typing import Any

import grpc
import pytest
from fake import FakeAgentd, Refusal, agentd, serving, until

from agentd_plugin import Call, Plugin, PluginError
from agentd_plugin.lease import Backoff, jitter
from agentd_plugin.waiting import within
from agentd_plugin.wire import registry_pb2 as wire
from agentd_plugin.wire import tool_pb2 as tools
from agentd_plugin.wire import types_pb2 as types


def make() -> Plugin:
    plugin = Plugin("trial", "1.0.0")

    @plugin.tool(description="Says what it was told.")
    def echo(text: str = "") -> str:
        return text

    @plugin.tool(description="Works until it is stopped.")
    async def work(call: Call) -> str:
        await asyncio.sleep(3600)
        return "never"

    return plugin


def call_of(fake: FakeAgentd, tool: str = "echo", digest: str = "") -> Any:
    token = fake.registrations[-1].direct.caller_token
    ref = types.ToolRef(plugin="trial", tool=tool, digest=digest)
    request = tools.CallRequest(tool=ref, mode=tools.CALL_MODE_EXECUTE)
    return fake.stub().Call(request, metadata=(("authorization", f"Bearer {token}"),))


def unavailable() -> Refusal:
    return Refusal(grpc.StatusCode.UNAVAILABLE)


def draining(fake: FakeAgentd) -> bool:
    states = [renewal.state for renewal in fake.renewals]
    return wire.INSTANCE_STATE_DRAINING in states


async def test_it_registers_renews_and_says_goodbye() -> None:
    async with agentd() as fake, serving(make(), fake, token="t0ken") as served:
        await until(lambda: len(fake.renewals) >= 3, "renewals")
        first = fake.registrations[0]
        assert len(fake.registrations) == 1
        assert first.direct.endpoint.startswith("127.0.0.1:")
        assert [t.name for t in first.catalog.tools] == ["echo", "work"]
        assert first.max_concurrent_calls == 8
        assert fake.renewals[0].catalog_digest == "sha256:catalog"
        assert fake.renewals[0].state == wire.INSTANCE_STATE_READY
        assert set(fake.tokens) == {"Bearer t0ken"}
        updates = [u async for u in call_of(fake, digest="sha256:echo")]
        assert updates[-1].result.result_json == '""'
        wrong = [u async for u in call_of(fake, digest="sha256:work")]
        assert wrong[0].failure.reason == "DESCRIPTOR_MISMATCH"
        await served.end()
        assert fake.renewals[-1].state == wire.INSTANCE_STATE_DRAINING
        assert [d.lease_id for d in fake.departures] == [fake.renewals[-1].lease_id]


async def test_calls_that_run_are_counted_and_do_not_hold_the_lease_up() -> None:
    async with agentd() as fake, serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        calls = [call_of(fake, "work") for _ in range(5)]
        for call in calls:
            await call.read()
        await until(lambda: fake.renewals[-1].calls_in_flight == 5, "five calls in flight")
        for call in calls:
            call.cancel()
        await until(lambda: fake.renewals[-1].calls_in_flight == 0, "none in flight", limit=2)


async def test_a_lease_that_agentd_does_not_know_is_made_anew() -> None:
    async with agentd() as fake, serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        fake.leases.clear()
        await until(lambda: len(fake.registrations) == 2, "a second registration")
        one, two = fake.registrations
        assert one.instance_id == two.instance_id
        assert one.catalog.SerializeToString(deterministic=True) == two.catalog.SerializeToString(
            deterministic=True
        )


async def test_an_agentd_that_is_away_is_tried_again_over_a_new_connection() -> None:
    fake = FakeAgentd()
    fake.on_register.extend(unavailable() for _ in range(3))
    async with agentd(fake), serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        assert len(fake.registrations) == 4
        assert len(fake.peers) >= 2, "two failures doubt the connection"


async def test_an_agentd_that_was_restarted_empty_gets_the_plugin_back() -> None:
    async with agentd() as fake, serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        await fake.stop()
        again = FakeAgentd()
        again.port = fake.port
        async with agentd(again):
            await until(lambda: again.registrations, "the plugin is back")
            await until(lambda: again.renewals, "a renewal")


async def test_a_renewal_that_fails_once_does_not_lose_the_lease() -> None:
    async with agentd() as fake, serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        fake.on_renew.append(unavailable())
        before = len(fake.renewals)
        await until(lambda: len(fake.renewals) > before + 2, "renewals go on")
        assert len(fake.registrations) == 1


async def test_a_lease_that_ran_out_by_the_own_clock_is_not_believed() -> None:
    fake = FakeAgentd(ttl=0.2)
    async with agentd(fake), serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        fake.on_renew.extend(unavailable() for _ in range(100))
        await until(lambda: len(fake.registrations) >= 2, "it registers again")


async def test_health_says_whether_a_lease_is_held() -> None:
    from grpc import aio
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    fake = FakeAgentd()
    async with agentd(fake), serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")
        async with aio.insecure_channel(fake.registrations[0].direct.endpoint) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service="agentd.tool.v1.ToolService"))
            kinds = health_pb2.HealthCheckResponse
            assert (await watch.read()).status == kinds.SERVING
            fake.on_register.append(unavailable())
            fake.leases.clear()
            assert (await watch.read()).status == kinds.NOT_SERVING
            assert (await watch.read()).status == kinds.SERVING


async def test_reregister_sends_the_whole_catalog_again() -> None:
    fake = FakeAgentd()

    def again(response: Any) -> None:
        response.directive = wire.INSTANCE_DIRECTIVE_REREGISTER

    fake.on_renew.append(again)
    async with agentd(fake), serving(make(), fake):
        await until(lambda: len(fake.registrations) == 2, "a second registration")
        assert len(fake.registrations[1].catalog.tools) == 2


async def test_stop_drains_and_ends_well() -> None:
    fake = FakeAgentd()

    def stop(response: Any) -> None:
        response.directive = wire.INSTANCE_DIRECTIVE_STOP

    fake.on_renew.append(stop)
    async with agentd(fake), serving(make(), fake) as served:
        await asyncio.wait_for(served.task, 5)
        assert fake.departures


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "AGENTD_PLUGIN_TOKEN"),
        (grpc.StatusCode.UNAUTHENTICATED, "AGENTD_PLUGIN_TOKEN"),
        (grpc.StatusCode.FAILED_PRECONDITION, "revision"),
        (grpc.StatusCode.INVALID_ARGUMENT, "mend"),
        (grpc.StatusCode.ALREADY_EXISTS, "version"),
    ],
)
async def test_an_agentd_that_says_no_ends_it_with_words(code: grpc.StatusCode, words: str) -> None:
    fake = FakeAgentd()
    fake.on_register.append(Refusal(code, "because"))
    async with agentd(fake), serving(make(), fake) as served:
        with pytest.raises(PluginError, match=f"because.*{words}") as raised:
            await asyncio.wait_for(served.task, 5)
        assert raised.value.exit_code == 1
        assert len(fake.registrations) == 1, "no hot loop"


async def test_a_revision_that_is_not_spoken_ends_it() -> None:
    fake = FakeAgentd()

    def newer(response: Any) -> None:
        response.protocol = 2

    fake.on_register.append(newer)
    async with agentd(fake), serving(make(), fake) as served:
        with pytest.raises(PluginError, match="revision 2"):
            await asyncio.wait_for(served.task, 5)


def rejecting(count: int) -> Any:
    def reject(response: Any) -> None:
        for verdict in response.verdicts[:count]:
            verdict.accepted = False
            verdict.rejection.reason = "VERSION_RULE"
            verdict.rejection.violations.add(field="version", description="raise it")

    return reject


async def test_one_rejected_tool_does_not_sink_the_others() -> None:
    fake = FakeAgentd()
    fake.on_register.append(rejecting(1))
    async with agentd(fake), serving(make(), fake):
        await until(lambda: fake.renewals, "a renewal")


async def test_no_accepted_tool_ends_it_with_what_is_wrong() -> None:
    fake = FakeAgentd()
    fake.on_register.append(rejecting(2))
    async with agentd(fake), serving(make(), fake) as served:
        with pytest.raises(PluginError, match="version: raise it"):
            await asyncio.wait_for(served.task, 5)
        assert len(fake.departures) == 1, "the lease that is of no use was not given back"


async def test_a_lease_that_is_given_while_it_stops_is_given_back() -> None:
    fake = FakeAgentd()
    fake.answers.clear()
    async with agentd(fake), serving(make(), fake) as served:
        await until(lambda: fake.registrations, "a registration")
        served.stop()
        for _ in range(20):  # until it has begun to stop
            await asyncio.sleep(0)
        fake.answers.set()
        await within(5, served.task)
        assert len(fake.departures) == 1


async def test_a_wrong_endpoint_is_told_with_the_field() -> None:
    from google.protobuf import any_pb2
    from google.rpc import error_details_pb2, status_pb2
    from grpc_status import rpc_status

    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="direct.endpoint", description="serve TLS")
    detail = any_pb2.Any()
    detail.Pack(bad)
    status = status_pb2.Status(code=3, message="no")
    status.details.append(detail)
    metadata = rpc_status.to_status(status).trailing_metadata

    class Detailed(FakeAgentd):
        async def Register(self, request: wire.RegisterRequest, context: Any) -> Any:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no", metadata)

    async with agentd(Detailed()) as fake, serving(make(), fake) as served:
        with pytest.raises(PluginError, match=r"direct\.endpoint: serve TLS"):
            await asyncio.wait_for(served.task, 5)


async def test_a_call_that_comes_while_it_drains_is_refused_without_effect() -> None:
    async with agentd() as fake, serving(make(), fake, drain_timeout=5.0) as served:
        await until(lambda: fake.registrations, "a registration")
        running = call_of(fake, "work")
        await running.read()
        served.stop()
        await until(lambda: draining(fake), "it drains")
        refused = [u async for u in call_of(fake)]
        assert refused[0].failure.reason == "DRAINING"
        assert refused[0].failure.failure_class == types.FAILURE_CLASS_TRANSIENT
        assert refused[0].failure.effects == types.EFFECT_STATE_NONE
        running.cancel()
        await asyncio.wait_for(served.task, 5)


async def test_calls_that_do_not_end_in_time_are_withdrawn_with_a_last_update() -> None:
    async with agentd() as fake, serving(make(), fake, drain_timeout=0.05) as served:
        await until(lambda: fake.registrations, "a registration")
        running = call_of(fake, "work")
        await running.read()
        served.stop()
        last = await running.read()
        assert last.failure.failure_class == types.FAILURE_CLASS_CANCELLED
        await asyncio.wait_for(served.task, 5)
        assert fake.departures


async def test_a_cancel_that_comes_as_the_work_is_done_is_not_lost() -> None:
    work: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(within(5, work))
    while not work._callbacks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    work.set_result(7)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await within(5, asyncio.sleep(0, 8)) == 8
    with pytest.raises(asyncio.TimeoutError):
        await within(0.01, asyncio.sleep(60))


def test_pauses_stay_below_a_ceiling_that_doubles_to_five_seconds() -> None:
    for _ in range(200):
        backoff = Backoff()
        for ceiling in (0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0):
            assert 0.02 <= backoff.next() <= ceiling
    drawn = [jitter(1.0) for _ in range(200)]
    assert min(drawn) < 0.2
    assert max(drawn) > 0.8
