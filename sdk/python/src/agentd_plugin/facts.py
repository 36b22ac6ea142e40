"""Typed facts: what reasoning works on. A tool says what it saw about one object; it never names
causes across objects."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from .limits import (
    MAX_ENTRIES,
    MAX_LINE,
    MAX_NAME,
    MAX_QUOTE,
    MAX_VALUE,
    clean,
    cut_middle,
)
from .redact import redact, redact_value
from .wire import observation_pb2 as wire


@dataclass(frozen=True)
class Entity:
    """One object of the world: a Kubernetes `kind`, or `External` for what lives outside the
    cluster, then named by the host that callers use."""

    kind: str
    namespace: str
    name: str
    container: str = ""
    cluster: str = ""

    @classmethod
    def cluster_wide(cls, kind: str, name: str) -> "Entity":
        """A cluster-wide object, such as a node."""
        return cls(kind, "", name)

    @classmethod
    def external(cls, host: str) -> "Entity":
        """Something outside the cluster."""
        return cls("External", "", host)

    def in_container(self, container: str) -> "Entity":
        """The same object narrowed to one of its containers."""
        return replace(self, container=container)

    def to_wire(self) -> wire.EntityRef:
        """What is sent."""
        return wire.EntityRef(
            kind=_name(self.kind),
            namespace=_name(self.namespace),
            name=_name(self.name),
            cluster=_name(self.cluster),
            container=_name(self.container),
        )


class RelationKind(Enum):
    """How two objects hang together: the first is owned by, runs on, calls, uses, selects or governs
    the second."""

    OWNED_BY = wire.RELATION_KIND_OWNED_BY
    RUNS_ON = wire.RELATION_KIND_RUNS_ON
    CALLS = wire.RELATION_KIND_CALLS
    USES = wire.RELATION_KIND_USES
    SELECTS = wire.RELATION_KIND_SELECTS
    GOVERNS = wire.RELATION_KIND_GOVERNS


@dataclass(frozen=True)
class Relation:
    """One edge of the topology."""

    begin: Entity
    kind: RelationKind
    end: Entity

    def to_wire(self) -> wire.Relation:
        """What is sent."""
        made = wire.Relation(to=self.end.to_wire(), kind=self.kind.value)
        # A word of Python: there is no other way to name the field.
        getattr(made, "from").CopyFrom(self.begin.to_wire())
        return made


@dataclass
class Observation:
    """One typed fact.

    `signal` is a word of the catalogue such as `container.oom_killed`, or one below the plugin's own
    name; `statement` is one line for people; `quote` words of the source; `peer` the other side of
    what lies between two objects; `unit` UCUM-style (`By`, `s`, `1/s`, `%`). Times need a zone.
    """

    signal: str
    subject: Entity
    statement: str
    start_time: datetime | None = None
    end_time: datetime | None = None
    count: int = 0
    value: float | None = None
    baseline: float | None = None
    unit: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)
    quote: str = ""
    peer: Entity | None = None

    def __post_init__(self) -> None:
        for name in ("start_time", "end_time"):
            time = getattr(self, name)
            if time is not None and time.tzinfo is None:
                raise ValueError(f"{name} {time} has no zone: use datetime.now(timezone.utc)")

    def to_wire(self) -> wire.Observation:
        """What is sent: masked and bounded."""
        made = wire.Observation(
            signal=_name(self.signal),
            subject=self.subject.to_wire(),
            statement=cut_middle(redact(clean(self.statement)), MAX_LINE),
            count=min(max(0, self.count), 2**31 - 1),
            unit=_name(self.unit),
            quote=cut_middle(redact(clean(self.quote)), MAX_QUOTE),
        )
        if self.peer is not None:
            made.peer.CopyFrom(self.peer.to_wire())
        # What is not a number tells nothing and spoils every comparison behind it.
        value, baseline = _number(self.value), _number(self.baseline)
        if value is not None:
            made.value = value
        if baseline is not None:
            made.baseline = baseline
        start, end = self.start_time, self.end_time
        # Both instants came from the source, so the span between them is what it told.
        if start is not None and end is not None and start > end:
            start, end = end, start
        if start is not None:
            made.start_time.FromDatetime(start)
        if end is not None:
            made.end_time.FromDatetime(end)
        for key, words in list(self.attributes.items())[:MAX_ENTRIES]:
            masked = redact_value(key, clean(str(words)))
            made.attributes[_name(key)] = cut_middle(masked, MAX_VALUE)
        return made


def _name(text: str) -> str:
    return cut_middle(clean(text), MAX_NAME)


def _number(value: float | None) -> float | None:
    try:
        number = math.nan if value is None else float(value)
    except OverflowError:  # an integer beyond every double
        return None
    return number if math.isfinite(number) else None
