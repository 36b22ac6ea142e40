"""Slots towards an agentd that cannot dial the plugin."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from fake import FakeAgentd, Slot, agentd, serving, until

from agentd_plugin import Call, Plugin, PluginError
from agentd_plugin.wire import relay_pb2
from agentd_plugin.wire import tool_pb2 as wire
from agentd_plugin.wire import types_pb2 as types


class World:
    def __init__(self) -> None:
        self.begun = threading.Event()
        self.stopped = threading.Event()
        self.go = threading.Event()


def make(world: World) -> Plugin:
    plugin = Plugin("trial", "1.0.0")

    @plugin.tool(description="Says what it was told.")
    def echo(text: str = "") -> str:
        return text

    @plugin.tool(description="Works until it is stopped.")
    async def work(call: Call) -> None:
        world.begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            world.stopped.set()

    @plugin.tool(description="Does not listen.")
    def deaf() -> str:
        world.begun.set()
        world.go.wait(10)
        return "done"

    return plugin


def request(tool: str = "echo", **asked: Any) -> wire.CallRequest:
    return wire.CallRequest(
        call_id="c",
        tool=types.ToolRef(plugin="trial", tool=tool),
        mode=wire.CALL_MODE_EXECUTE,
        **asked,
    )


async def parked(fake: FakeAgentd, count: int) -> list[Slot]:
    await until(lambda: len(fake.parked()) >= count, f"{count} slots are parked")
    assert len(fake.parked()) == count
    return fake.parked()


async def test_slots_are_parked_kept_and_opened_anew_after_each_call() -> None:
    async with agentd() as fake, serving(make(World()), fake, relay=True, capacity=3, token="t0k"):
        await parked(fake, 3)
        registration = fake.registrations[0]
        assert registration.relay.slots == 3
        assert not registration.HasField("direct")
        assert registration.max_concurrent_calls == 3
        for n in range(10):
            slot = fake.parked()[0]
            seen = await slot.call(request(arguments_json=f'{{"text":"t{n}"}}'))
            assert not seen.broken_rules()
            assert (seen.is_accepted, seen.result) == (True, f"t{n}")
            await parked(fake, 3)
        assert not any(slot.reset for slot in fake.slots)


async def test_calls_on_all_slots_at_once_do_not_mix() -> None:
    async with agentd() as fake, serving(make(World()), fake, relay=True, capacity=64):
        slots = await parked(fake, 64)
        asked = [request(arguments_json=f'{{"text":"t{n}"}}') for n in range(64)]
        seen = await asyncio.gather(*(s.call(r) for s, r in zip(slots, asked, strict=True)))
        assert [s.result for s in seen] == [f"t{n}" for n in range(64)]
        await parked(fake, 64)


async def test_a_call_that_is_refused_is_answered_and_the_slot_comes_back() -> None:
    async with agentd() as fake, serving(make(World()), fake, relay=True, capacity=1):
        slot = (await parked(fake, 1))[0]
        seen = await slot.call(request(arguments_json='{"x":1}'))
        assert seen.failure.failure_class == types.FAILURE_CLASS_INVALID_ARGUMENT
        assert seen.last.sequence == 1
        await parked(fake, 1)


async def test_cancelled_stops_the_work_and_the_last_update_is_still_sent() -> None:
    world = World()
    async with agentd() as fake, serving(make(world), fake, relay=True, capacity=1):
        slot = (await parked(fake, 1))[0]
        await slot.begin(request("work"))
        await until(world.begun.is_set, "the work begins")
        grace = relay_pb2.CallCancelled(reason="halt")
        grace.grace.FromTimedelta(timedelta(seconds=2))
        await slot.send(cancelled=grace)
        seen = await slot.ended()
        assert seen.failure.failure_class == types.FAILURE_CLASS_CANCELLED
        assert not seen.broken_rules()
        await until(world.stopped.is_set, "the work stops", limit=2)
        await parked(fake, 1)


async def test_a_stream_that_breaks_stops_the_work() -> None:
    world = World()
    async with agentd() as fake, serving(make(world), fake, relay=True, capacity=1):
        slot = (await parked(fake, 1))[0]
        await slot.begin(request("work"))
        await until(world.begun.is_set, "the work begins")
        await fake.stop()
        await until(world.stopped.is_set, "the work stops", limit=2)


async def test_draining_gives_idle_slots_back_and_resets_none() -> None:
    async with agentd() as fake, serving(make(World()), fake, relay=True, capacity=4) as served:
        slots = await parked(fake, 4)
        await served.end()
        assert all(slot.released for slot in slots)
        assert not any(slot.reset for slot in slots)
        assert fake.departures


async def test_a_call_that_crosses_released_is_refused_without_effect() -> None:
    fake = FakeAgentd()
    fake.ends_released = False
    async with agentd(fake), serving(make(World()), fake, relay=True, capacity=1) as served:
        slot = (await parked(fake, 1))[0]
        served.stop()
        await until(lambda: slot.released, "the slot is given back")
        await slot.begin(request())
        seen = await slot.ended()
        assert seen.failure.reason == "DRAINING"
        assert seen.failure.effects == types.EFFECT_STATE_NONE
        await asyncio.wait_for(served.task, 5)
        assert not slot.reset


async def test_a_running_call_is_finished_while_it_drains() -> None:
    world = World()
    async with agentd() as fake, serving(make(world), fake, relay=True, capacity=2) as served:
        slot = (await parked(fake, 2))[0]
        await slot.begin(request("deaf"))
        await until(world.begun.is_set, "the work begins")
        served.stop()
        await until(lambda: len([s for s in fake.slots if s.released]) == 1, "one is given back")
        world.go.set()
        seen = await slot.ended()
        assert seen.result == "done"
        await asyncio.wait_for(served.task, 5)


async def test_an_unknown_lease_is_not_hammered_and_slots_come_with_the_new_one() -> None:
    fake = FakeAgentd(renew_interval=0.3)
    async with agentd(fake), serving(make(World()), fake, relay=True, capacity=2):
        await parked(fake, 2)
        await fake.stop()
        again = FakeAgentd(renew_interval=0.3)
        again.port = fake.port
        async with agentd(again):
            slots = await parked(again, 2)
            assert {slot.lease_id for slot in slots} == again.leases
            assert again.refused_slots <= 8


async def test_slots_of_an_old_lease_are_let_go() -> None:
    async with agentd() as fake, serving(make(World()), fake, relay=True, capacity=2):
        old = await parked(fake, 2)
        fake.leases.clear()
        await until(lambda: len(fake.registrations) == 2, "a new lease")
        await until(lambda: all(slot.released for slot in old), "the old ones are given back")
        new = await parked(fake, 2)
        assert {slot.lease_id for slot in new} == fake.leases
        assert not any(slot.reset for slot in old)


async def test_a_slot_that_hears_nothing_is_opened_anew() -> None:
    fake = FakeAgentd()
    fake.ping_interval = 0.05
    async with agentd(fake), serving(make(World()), fake, relay=True, capacity=1):
        first = (await parked(fake, 1))[0]
        await until(lambda: first.reset, "the silent slot is given up")
        await until(lambda: fake.parked() and fake.parked()[0] is not first, "another is parked")


async def test_pings_keep_a_slot() -> None:
    fake = FakeAgentd()
    fake.ping_interval = 0.2
    async with agentd(fake), serving(make(World()), fake, relay=True, capacity=1):
        slot = (await parked(fake, 1))[0]
        for _ in range(20):
            await slot.send(ping=relay_pb2.SlotPing())
            await asyncio.sleep(0.05)
        assert fake.slots == [slot]


async def test_an_agentd_that_knows_no_relay_is_told_of_once() -> None:
    fake = FakeAgentd()
    fake.serves_relay = False
    async with agentd(fake), serving(make(World()), fake, relay=True) as served:
        with pytest.raises(PluginError, match="newer agentd"):
            await asyncio.wait_for(served.task, 5)
        assert fake.departures, "it says goodbye"


async def test_no_slot_is_parked_while_the_work_of_a_call_goes_on_after_its_end() -> None:
    world = World()
    async with agentd() as fake, serving(make(world), fake, relay=True, capacity=1):
        slot = (await parked(fake, 1))[0]
        asked = request("deaf")
        asked.limits.timeout.FromTimedelta(timedelta(seconds=0.1))
        seen = await slot.call(asked)
        assert seen.failure.failure_class == types.FAILURE_CLASS_TIMEOUT
        renewals = len(fake.renewals)
        await until(lambda: len(fake.renewals) > renewals + 2, "time goes by")
        assert not fake.parked()
        world.go.set()
        await parked(fake, 1)
