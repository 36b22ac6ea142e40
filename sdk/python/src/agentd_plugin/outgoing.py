"""From an author's `Output` to what goes over the wire: masked, cut to the limits, in pieces that
each fit. Nothing leaves a plugin but through here, `failure.py` and `call.py`."""

import dataclasses
import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import to_jsonable_python

from .facts import Observation, Relation
from .failure import Failure
from .limits import (
    MAX_ENTRIES,
    MAX_LINE,
    MAX_OBSERVATIONS,
    MAX_RELATIONS,
    MAX_SUMMARY,
    MAX_UPDATE,
    MAX_VALUE,
    PIECE,
    clean,
    cut_middle,
    span,
)
from .output import Output
from .redact import redact, redact_json
from .wire import observation_pb2 as facts
from .wire import tool_pb2 as wire

_ENVELOPE: Final = 128 * 1024
"""Space left in the last update for everything that is not `result_json` or facts."""
_MAX_EFFECTS: Final = 256


@dataclasses.dataclass(frozen=True)
class Prepared:
    """An outcome that is masked and bounded, but for the size of its JSON, which each call bounds
    for itself."""

    json: bytes
    result: wire.CallResult
    facts: wire.ResultFacts

    @property
    def size(self) -> int:
        """Bytes it holds, roughly."""
        return len(self.json) + self.result.ByteSize() + self.facts.ByteSize()


def prepare(said: Any) -> Prepared:
    """What a tool returned, made ready. An `Output` is taken as it is; anything else is a result.

    Raises Failure, class BUG, when it cannot be said in JSON.
    """
    output = said if isinstance(said, Output) else Output(result=said)
    for name, kind in (("observations", Observation), ("relations", Relation)):
        if not all(isinstance(item, kind) for item in getattr(output, name)):
            raise Failure.bug("RESULT_OF_WRONG_TYPE", f"{name} holds what is no {kind.__name__}")
    seen, edges = output.observations[:MAX_OBSERVATIONS], output.relations[:MAX_RELATIONS]
    result = wire.CallResult(
        summary=cut_middle(redact(clean(output.summary)), MAX_SUMMARY),
        truncated=output.truncated
        or bool(output.next_page)
        or len(output.observations) > len(seen)
        or len(output.relations) > len(edges)
        or len(output.gaps) > MAX_ENTRIES
        or len(output.links) > MAX_ENTRIES,
        next_page_token=clean(output.next_page),
        planned_effects=[
            cut_middle(redact(clean(line)), MAX_LINE)
            for line in output.planned_effects[:_MAX_EFFECTS]
        ],
    )
    for subject, why in output.gaps[:MAX_ENTRIES]:
        subject = cut_middle(redact(clean(subject)), MAX_LINE)
        result.gaps.add(subject=subject, failure=why.to_wire())
    for title, uri in output.links[:MAX_ENTRIES]:
        title = cut_middle(redact(clean(title)), MAX_LINE)
        result.links.add(title=title, uri=cut_middle(redact(clean(uri)), MAX_VALUE))
    _add_rest(result, output)
    return Prepared(
        json=to_json(output.result),
        result=result,
        facts=wire.ResultFacts(
            observations=[observation.to_wire() for observation in seen],
            relations=[relation.to_wire() for relation in edges],
        ),
    )


def _add_rest(result: wire.CallResult, output: Output) -> None:
    for undo in output.compensations[:MAX_ENTRIES]:
        made = result.compensations.add(
            tool=undo.tool,
            # Not masked: an undo with a mask in it undoes something else.
            arguments_json=to_json(undo.arguments, masked=False).decode(),
            summary=cut_middle(redact(clean(undo.summary)), MAX_LINE),
        )
        if undo.expires is not None:
            made.expire_time.FromDatetime(undo.expires)
    if output.usage is not None:
        result.usage.backend_requests = output.usage.backend_requests
        result.usage.cost_usd = output.usage.cost_usd
        result.usage.backend_time.FromTimedelta(span(output.usage.backend_time))
    if output.observed_at is not None:
        if output.observed_at.tzinfo is None:
            raise Failure.bug("TIME_WITHOUT_ZONE", "observed_at has no zone")
        result.observe_time.FromDatetime(output.observed_at)


def to_json(value: Any, masked: bool = True) -> bytes:
    """`value` as JSON in UTF-8. Integers keep all their digits; what is no number is a defect.

    Raises Failure, class BUG.
    """
    if value is None:
        return b""
    try:
        plain = _plain(value)
        if masked:
            plain = redact_json(plain)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as fault:
        raise Failure.bug("RESULT_NOT_JSON", f"the result is not JSON: {fault}") from fault
    return text.encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    """`value` in dicts, lists, strings and numbers, digits and all; pydantic knows the rest."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int) and type(value) is int:
        return value
    if isinstance(value, float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {clean(str(k)): _plain(v) for k, v in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return to_jsonable_python(value, inf_nan_mode="constants")


def result_updates(prepared: Prepared, result_bytes: int) -> Iterator[wire.CallResponse]:
    """The updates that end a successful call: pieces first, then the result."""
    result = wire.CallResult()
    result.CopyFrom(prepared.result)
    whole = prepared.json
    if len(whole) > result_bytes:
        result.truncated = True
        result.total_bytes = len(whole)
        whole = head_of(whole.decode(), result_bytes)
    if len(whole) + prepared.facts.ByteSize() <= MAX_UPDATE - _ENVELOPE:
        result.result_json = whole.decode()
        result.observations.extend(prepared.facts.observations)
        result.relations.extend(prepared.facts.relations)
    else:
        for piece in _fact_pieces(prepared.facts):
            yield wire.CallResponse(facts=piece)
        if len(whole) <= PIECE:
            result.result_json = whole.decode()
        else:
            for fragment in _json_pieces(whole):
                yield wire.CallResponse(chunk=wire.ResultChunk(json_fragment=fragment))
    while result.ByteSize() > MAX_UPDATE - MAX_LINE and _shed(result):
        result.truncated = True
    yield wire.CallResponse(result=result)


def _shed(result: wire.CallResult) -> bool:
    """Drops the last of what may be missing; False when nothing is left to drop."""
    for entries in (result.gaps, result.links, result.planned_effects):
        if len(entries):
            del entries[-1]
            return True
    return False


def head_of(text: str, size: int) -> bytes:
    """A valid JSON document of at most `size` bytes that holds the beginning of `text` as text."""
    before, after = b'{"truncated":true,"head":"', b'"}'
    room = size - len(before) - len(after)
    if room < 0:
        return b"{}" if size >= 2 else b""
    head = bytearray()
    for character in text:
        # JSON text holds no raw control characters, so these two are all there is to escape.
        octets = (f"\\{character}" if character in '"\\' else character).encode()
        if len(head) + len(octets) > room:
            break
        head += octets
    return before + bytes(head) + after


def _json_pieces(whole: bytes) -> Iterator[str]:
    begin = 0
    while begin < len(whole):
        end = min(begin + PIECE, len(whole))
        # Back to where a character begins.
        while end < len(whole) and whole[end] & 0xC0 == 0x80:
            end -= 1
        yield whole[begin:end].decode()
        begin = end


def _fact_pieces(all_facts: wire.ResultFacts) -> Iterator[wire.ResultFacts]:
    piece, size = wire.ResultFacts(), 0
    entries: list[facts.Observation | facts.Relation] = [
        *all_facts.observations,
        *all_facts.relations,
    ]
    for entry in entries:
        more = entry.ByteSize() + 8
        if size and size + more > PIECE:
            yield piece
            piece, size = wire.ResultFacts(), 0
        if isinstance(entry, facts.Observation):
            piece.observations.append(entry)
        else:
            piece.relations.append(entry)
        size += more
    if size:
        yield piece
