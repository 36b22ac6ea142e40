"""One key, one effect."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from agentd_plugin import Call, Effects, Failure, Idempotency, Plugin, SideEffect
from agentd_plugin.testing import Harness
from agentd_plugin.wire import tool_pb2 as wire
from agentd_plugin.wire import types_pb2 as types


class Counter:
    def __init__(self) -> None:
        self.effects = 0
        self.begun = threading.Event()
        self.go = threading.Event()


def make(counter: Counter) -> Plugin:
    plugin = Plugin("trial", "1.0.0")
    keyed: Any = {
        "side_effect": SideEffect.ADDITIVE,
        "idempotency": Idempotency.KEYED,
        "dry_run": True,
    }

    @plugin.tool(description="Adds one.", **keyed)
    def add(call: Call, n: int, slow: bool = False) -> dict[str, int]:
        if call.dry_run:
            return {"effects": -1}
        counter.begun.set()
        if slow:
            counter.go.wait(10)
        counter.effects += 1
        return {"effects": counter.effects}

    @plugin.tool(description="Fails.", **keyed)
    def fail(effects: str) -> None:
        counter.effects += 1
        failure = Failure.external("db", "DOWN", f"try {counter.effects}")
        failure.effects = {"none": Effects.NONE, "unsaid": None}[effects]
        raise failure

    return plugin


def until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, f"not seen: {what}"
        time.sleep(0.002)


def test_a_key_used_twice_has_one_effect_and_one_result() -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        first = harness.call("add", '{"n": 1, "slow": false}', idempotency_key="k")
        again = harness.call("add", '{"slow":false,"n":1}', idempotency_key="k")
        assert first.result == again.result == {"effects": 1}
        assert counter.effects == 1
        assert harness.call("add", {"n": 1}, idempotency_key="other").result == {"effects": 2}
        assert harness.call("add", {"n": 1}).result == {"effects": 3}, "no key, no memory"


def test_the_second_of_two_at_once_waits_for_the_first() -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        asked: Any = {"arguments": {"n": 1, "slow": True}, "idempotency_key": "k"}
        first = harness.begin("add", **asked)
        until(counter.begun.is_set, "the first runs")
        second = harness.begin("add", **asked)
        until(lambda: harness.calls_in_flight == 2, "the second waits")
        counter.go.set()
        assert first.wait().result == second.wait().result == {"effects": 1}
        assert counter.effects == 1


def test_the_second_succeeds_when_the_connection_of_the_first_was_cut() -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        asked: Any = {"arguments": {"n": 1, "slow": True}, "idempotency_key": "k"}
        first = harness.begin("add", **asked)
        until(counter.begun.is_set, "the first runs")
        first.cancel()
        second = harness.begin("add", **asked)
        next(iter(second))
        counter.go.set()
        assert list(second)[-1].result.result_json == '{"effects":1}'
        assert counter.effects == 1
        assert harness.call("add", **asked).result == {"effects": 1}


def test_a_key_with_other_arguments_is_refused_without_effect() -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        harness.call("add", {"n": 1}, idempotency_key="k")
        seen = harness.call("add", {"n": 2}, idempotency_key="k")
        assert seen.failure.failure_class == types.FAILURE_CLASS_INVALID_ARGUMENT
        assert (seen.failure.code, seen.failure.effects) == (6, types.EFFECT_STATE_NONE)
        assert not seen.is_accepted
        assert counter.effects == 1


@pytest.mark.parametrize(("effects", "tries"), [("none", 2), ("unsaid", 1)])
def test_a_failure_is_tried_again_only_when_nothing_was_changed(effects: str, tries: int) -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        for _ in range(2):
            harness.call("fail", {"effects": effects}, idempotency_key="k")
        assert counter.effects == tries


def test_a_dry_run_does_not_use_the_key_up() -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        asked: Any = {"arguments": {"n": 1}, "idempotency_key": "k"}
        harness.call("add", mode=wire.CALL_MODE_DRY_RUN, **asked)
        assert harness.call("add", **asked).result == {"effects": 1}


def test_a_second_that_does_not_wait_long_enough_times_out_and_the_first_goes_on() -> None:
    counter = Counter()
    with Harness(make(counter)) as harness:
        asked: Any = {"arguments": {"n": 1, "slow": True}, "idempotency_key": "k"}
        first = harness.begin("add", **asked)
        until(counter.begun.is_set, "the first runs")
        failure = harness.call("add", timeout=0.1, **asked).failure
        assert failure.failure_class == types.FAILURE_CLASS_TIMEOUT
        counter.go.set()
        assert first.wait().result == {"effects": 1}
