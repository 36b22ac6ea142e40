"""One tool: what its author says of it, the descriptor that is registered, and its function."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any

from .arguments import Signature, output_schema
from .limits import span
from .wire import types_pb2 as wire

Span = float | timedelta
"""Seconds, or a span."""


class SideEffect(Enum):
    """What a call may change: nothing outside the plugin, only additions, what can be compensated,
    or anything."""

    READ_ONLY = wire.SIDE_EFFECT_READ_ONLY
    ADDITIVE = wire.SIDE_EFFECT_ADDITIVE
    REVERSIBLE = wire.SIDE_EFFECT_REVERSIBLE
    DESTRUCTIVE = wire.SIDE_EFFECT_DESTRUCTIVE


class Risk(Enum):
    """Declared risk; agentd's policy may raise it, never lower it."""

    LOW = wire.RISK_LEVEL_LOW
    MEDIUM = wire.RISK_LEVEL_MEDIUM
    HIGH = wire.RISK_LEVEL_HIGH
    CRITICAL = wire.RISK_LEVEL_CRITICAL


class Idempotency(Enum):
    """Whether repeats are safe: a repeat may act twice, the SDK sees to it that one key has one
    effect, or a repeat has no further effect by nature."""

    NONE = wire.IDEMPOTENCY_NONE
    KEYED = wire.IDEMPOTENCY_KEYED
    NATURAL = wire.IDEMPOTENCY_NATURAL


class Polarity(Enum):
    """What a signal tells: nothing by itself, harm, health, or a change in the world."""

    NEUTRAL = wire.SIGNAL_POLARITY_NEUTRAL
    HARM = wire.SIGNAL_POLARITY_HARM
    HEALTH = wire.SIGNAL_POLARITY_HEALTH
    CHANGE = wire.SIGNAL_POLARITY_CHANGE


@dataclass(frozen=True)
class RateLimit:
    """Ceiling on the use of a tool; `max_concurrent` 0 means none of its own, and `shared` that all
    instances share it, as with one quota of a backend."""

    calls: int
    period: Span
    burst: int = 0
    max_concurrent: int = 0
    shared: bool = False


@dataclass(frozen=True)
class Cache:
    """How long a result stays fresh, and whether another principal may have it."""

    ttl: Span
    shared: bool = False


@dataclass(frozen=True)
class Undo:
    """The tool of the same plugin that undoes this one, and whether it also takes `call_id` for
    calls whose result was lost."""

    tool: str
    accepts_call_id: bool = False


@dataclass(frozen=True)
class Applies:
    """When a tool is worth asking, and how to ask it without a model. Made by `from_start` or
    `after`; arguments are templates with `{kind}` `{namespace}` `{name}` `{cluster}` `{service}`
    `{start_time}` `{end_time}`."""

    arguments: dict[str, Any] = field(default_factory=dict)
    alert_types: list[str] = field(default_factory=list)
    after_signals: list[str] = field(default_factory=list)
    subject_kinds: list[str] = field(default_factory=list)
    emits: list[str] = field(default_factory=list)

    @classmethod
    def from_start(
        cls,
        *,
        for_alerts: list[str] | None = None,
        emits: list[str] | None = None,
        **arguments: Any,
    ) -> "Applies":
        """Worth asking from the start about the alerted object; limited to types of alert where
        they are named, `*` at the end allowed."""
        return cls(arguments=arguments, alert_types=for_alerts or [], emits=emits or [])

    @classmethod
    def after(
        cls,
        signals: list[str],
        kinds: list[str],
        *,
        for_alerts: list[str] | None = None,
        emits: list[str] | None = None,
        **arguments: Any,
    ) -> "Applies":
        """Worth asking about an object of one of `kinds` once one of `signals` was seen on it."""
        return cls(
            arguments=arguments,
            alert_types=for_alerts or [],
            after_signals=signals,
            subject_kinds=kinds,
            emits=emits or [],
        )

    def to_wire(self) -> wire.Applicability:
        """What is registered."""
        return wire.Applicability(
            alert_types=self.alert_types,
            after_signals=self.after_signals,
            subject_kinds=self.subject_kinds,
            arguments_template_json=json.dumps(self.arguments, ensure_ascii=False),
            emits=self.emits,
        )


@dataclass(frozen=True)
class Spec:
    """What a tool is and what agentd must enforce; see `Plugin.tool` for each."""

    name: str
    description: str
    title: str = ""
    version: str = "1.0.0"
    side_effect: SideEffect = SideEffect.READ_ONLY
    risk: Risk = Risk.LOW
    idempotency: Idempotency | None = None
    always_ask: bool = False
    permissions: list[str] = field(default_factory=list)
    timeout: Span = 30.0
    max_attempts: int = 0
    rate_limit: RateLimit | None = None
    typical_latency: Span | None = None
    cache: Cache | None = None
    undo: Undo | None = None
    dry_run: bool = False
    reports_progress: bool = False
    sensitive: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    deprecation: str = ""
    examples: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    applies: list[Applies] = field(default_factory=list)
    output: Any = None


class Tool:
    """A tool as it is offered. Raises ValueError, with what to change, when it cannot be."""

    def __init__(self, function: Callable[..., Any], spec: Spec) -> None:
        self.function = function
        self.spec = spec
        self.is_async = inspect.iscoroutinefunction(function)
        if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
            raise ValueError(
                "it yields: return one Output, and tell what it is at by call.progress"
            )
        if not spec.description.strip():
            raise ValueError("it says nothing of itself: give a description or a docstring")
        self.signature = Signature(function, spec.sensitive)
        self.is_read_only = spec.side_effect is SideEffect.READ_ONLY
        self.is_keyed = spec.idempotency is Idempotency.KEYED
        self.descriptor = _descriptor(spec, self.signature.schema)
        for title, arguments in spec.examples:
            try:
                self.signature.read(json.dumps(arguments))
            except Exception as fault:
                raise ValueError(f"its example {title!r} is not valid: {fault}") from fault


def _descriptor(spec: Spec, schema: dict[str, Any]) -> wire.ToolDescriptor:
    unsaid = Idempotency.NATURAL if spec.side_effect is SideEffect.READ_ONLY else Idempotency.NONE
    made = wire.ToolDescriptor(
        name=spec.name,
        version=spec.version,
        title=spec.title,
        description=spec.description,
        input_schema_json=json.dumps(schema, ensure_ascii=False),
        side_effect=spec.side_effect.value,
        risk=spec.risk.value,
        approval=wire.APPROVAL_REQUIREMENT_ALWAYS
        if spec.always_ask
        else wire.APPROVAL_REQUIREMENT_BY_POLICY,
        idempotency=(spec.idempotency or unsaid).value,
        permissions=spec.permissions,
        supports_dry_run=spec.dry_run,
        reports_progress=spec.reports_progress,
        sensitive_arguments=spec.sensitive,
        labels=spec.labels,
        deprecation=spec.deprecation,
        applies=[applies.to_wire() for applies in spec.applies],
    )
    made.timeout.FromTimedelta(span(spec.timeout))
    if spec.output is not None:
        made.output_schema_json = json.dumps(output_schema(spec.output), ensure_ascii=False)
    for title, arguments in spec.examples:
        made.examples.add(title=title, arguments_json=json.dumps(arguments, ensure_ascii=False))
    _add_bounds(made, spec)
    return made


def _add_bounds(made: wire.ToolDescriptor, spec: Spec) -> None:
    if spec.max_attempts:
        made.retry.max_attempts = spec.max_attempts
    if spec.typical_latency is not None:
        made.cost.typical_latency.FromTimedelta(span(spec.typical_latency))
    if spec.rate_limit is not None:
        limit = spec.rate_limit
        made.rate_limit.calls, made.rate_limit.burst = limit.calls, limit.burst
        made.rate_limit.period.FromTimedelta(span(limit.period))
        made.rate_limit.max_concurrent = limit.max_concurrent
        made.rate_limit.shared_across_instances = limit.shared
    if spec.cache is not None:
        made.cache.ttl.FromTimedelta(span(spec.cache.ttl))
        made.cache.scope = (
            wire.CACHE_SCOPE_SHARED if spec.cache.shared else wire.CACHE_SCOPE_PRIVATE
        )
    if spec.undo is not None:
        made.compensation.tool = spec.undo.tool
        made.compensation.accepts_call_id = spec.undo.accepts_call_id
