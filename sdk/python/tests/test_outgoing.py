"""What leaves a plugin: masked, bounded, whole."""

import json
import math
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from agentd_plugin import (
    Compensation,
    Entity,
    Failure,
    Observation,
    Output,
    Relation,
    RelationKind,
    Usage,
)
from agentd_plugin.limits import cut_middle
from agentd_plugin.outgoing import prepare, result_updates
from agentd_plugin.testing import Seen

POD = Entity("Pod", "shop", "web-0")


def told(said: Any, size: int = 256 * 1024) -> Seen:
    return Seen(list(result_updates(prepare(said), size)))


@pytest.mark.parametrize("size", [0, 1, 2, 26, 27, 40, 100, 4096])
def test_a_result_over_the_limit_is_cut_to_valid_json_and_says_so(size: int) -> None:
    text = 'ä€🙂"\\\n\u0001' * 5000
    seen = told({"text": text}, size)
    assert len(seen.outcome.result_json.encode()) <= size
    assert seen.outcome.truncated
    assert seen.outcome.total_bytes > 50_000
    if size >= 2:
        json.loads(seen.outcome.result_json)


def test_a_large_result_goes_in_pieces_cut_at_characters() -> None:
    whole = {"text": "🙂" * 400_000}
    seen = told(whole, 8 * 1024 * 1024)
    pieces = [u.chunk.json_fragment.encode() for u in seen.updates if u.HasField("chunk")]
    assert len(pieces) > 5
    assert max(map(len, pieces)) <= 256 * 1024
    assert seen.result == whole
    assert not seen.outcome.truncated
    assert max(update.ByteSize() for update in seen.updates) <= 512 * 1024


def test_facts_beyond_fit_go_in_pieces_and_none_is_lost() -> None:
    seen = told(
        Output(
            observations=[
                Observation("queues.x", POD, f"{n} {'s' * 1500}", quote="q" * 1000)
                for n in range(500)
            ],
            relations=[
                Relation(POD, RelationKind.CALLS, Entity("S", "n", str(n))) for n in range(9)
            ],
        )
    )
    assert [o.statement.split()[0] for o in seen.observations] == [str(n) for n in range(500)]
    assert len(seen.relations) == 9
    assert max(update.ByteSize() for update in seen.updates) <= 512 * 1024
    assert len(seen.updates) > 3


def test_more_facts_than_the_contract_takes_are_left_out_and_it_is_said() -> None:
    seen = told(Output(observations=[Observation("q.x", POD, "s")] * 501))
    assert len(seen.observations) == 500
    assert seen.outcome.truncated


def test_secrets_are_masked_wherever_they_stand() -> None:
    secret = "password=hunter2"
    output = Output(
        result={"a": [secret], "password": "hunter2", secret: 1},
        summary=secret,
        observations=[
            Observation("q.x", POD, secret, quote=secret, attributes={"password": "hunter2"})
        ],
        gaps=[(secret, Failure.external("db", "DOWN", secret))],
        links=[(secret, f"https://h/?{secret}")],
        planned_effects=[secret],
    )
    seen = told(output)
    assert "hunter2" not in str(seen.updates)
    failure = Failure.bug("x", secret)
    failure.metadata, failure.violations = {"token": "hunter2"}, [("f", secret)]
    assert "hunter2" not in str(failure.to_wire())


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: object()}, [-math.inf]])
def test_what_json_cannot_say_is_a_defect_of_the_plugin(value: Any) -> None:
    with pytest.raises(Failure) as raised:
        prepare(value)
    assert raised.value.reason == "RESULT_NOT_JSON"


def test_a_result_without_end_is_a_defect_and_not_the_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(Failure, match="not JSON"):
        prepare(endless)


def test_broken_text_and_large_numbers_come_through() -> None:
    seen = told({"name": "a\ud800b", "n": 9007199254740993, "k\udfff": "password=x\ud800yz"})
    assert seen.result == {"name": "a?b", "n": 9007199254740993, "k?": "password=[REDACTED]"}
    assert "9007199254740993" in seen.result_json
    fact = Observation("q.x", Entity("File", "", "\udcff"), "\ud800", attributes={"a": "\ud800"})
    assert fact.to_wire().subject.name == "?"


def test_an_observation_keeps_only_numbers_and_turns_a_span_the_right_way() -> None:
    late, early = datetime.now(timezone.utc), datetime.now(timezone.utc) - timedelta(hours=1)
    fact = Observation("q.x", POD, "s", late, early, value=math.nan, baseline=10**400).to_wire()
    assert fact.start_time.ToDatetime(timezone.utc) == early
    assert not fact.HasField("value")
    assert not fact.HasField("baseline")
    with pytest.raises(ValueError, match="has no zone"):
        Observation("q.x", POD, "s", start_time=datetime(2026, 1, 1))


def test_the_whole_outcome_is_sent() -> None:
    seen = told(
        Output(
            result={"a": 1},
            compensations=[Compensation("undo", {"id": "password=x1"}, "back")],
            planned_effects=["one"],
            usage=Usage(3, 0.5, 1.5),
            observed_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
            next_page="p2",
        )
    )
    result = seen.outcome
    # An undo with a mask in it would undo something else.
    assert result.compensations[0].arguments_json == '{"id":"password=x1"}'
    assert list(result.planned_effects) == ["one"]
    assert (result.usage.backend_requests, result.usage.backend_time.seconds) == (3, 1)
    assert (result.next_page_token, result.truncated) == ("p2", True)
    assert result.observe_time.seconds == 1767225600


def test_a_failure_is_bounded_however_long_it_is() -> None:
    failure = Failure.external("my db", "too long & odd", "token=abcdef ä " * 2000)
    failure.metadata = {f"k{n}": "v" * 9000 for n in range(100)}
    failure.violations = [(f"f{n}", "w" * 9000) for n in range(100)]
    failure.retry_after = 3
    made = failure.to_wire("queues")
    assert len(made.message.encode()) <= 2048
    assert (made.reason, made.domain, made.code) == ("TOO_LONG___ODD", "my_db", 14)
    assert (len(made.metadata), len(made.violations)) == (16, 64)
    assert made.retry_delay.seconds == 3
    assert made.ByteSize() < 64 * 1024


def test_cut_text_keeps_head_and_tail_and_stays_within_bounds() -> None:
    for text in ("a" * 100, "ä€🙂" * 30):
        for size in range(5, 60):
            cut = cut_middle(text, size)
            assert len(cut.encode()) <= size
            assert "…" in cut
    assert cut_middle("0123456789abcdef", 11) == "012 … def"
