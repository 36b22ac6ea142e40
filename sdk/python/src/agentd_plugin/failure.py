"""Why a call failed, as the caller needs to know it: closed classes, a stable reason, words for
people. A tool raises them; whatever else it raises is a defect of the plugin, class BUG."""

import re
from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import Final

from .limits import MAX_DETAIL, MAX_ENTRIES, MAX_MESSAGE, MAX_NAME, clean, cut_middle, span
from .redact import redact, redact_value
from .wire import types_pb2 as wire

_MAX_METADATA: Final = 16
_MAX_REASON: Final = 63
_NOT_OF_A_REASON: Final = re.compile(r"[^A-Za-z0-9]")
_NOT_OF_A_DOMAIN: Final = re.compile(r"[^A-Za-z0-9_.-]")


class FailureClass(Enum):
    """Class of a failure: decides whether agentd retries and who is told. The value is the
    contract's number; `code` the gRPC code that goes with it."""

    TRANSIENT = wire.FAILURE_CLASS_TRANSIENT
    RATE_LIMITED = wire.FAILURE_CLASS_RATE_LIMITED
    EXTERNAL = wire.FAILURE_CLASS_EXTERNAL
    INVALID_ARGUMENT = wire.FAILURE_CLASS_INVALID_ARGUMENT
    NOT_FOUND = wire.FAILURE_CLASS_NOT_FOUND
    PERMISSION = wire.FAILURE_CLASS_PERMISSION
    CONFIG = wire.FAILURE_CLASS_CONFIG
    BUG = wire.FAILURE_CLASS_BUG
    TIMEOUT = wire.FAILURE_CLASS_TIMEOUT
    CANCELLED = wire.FAILURE_CLASS_CANCELLED


_CODES: Final = {
    FailureClass.TRANSIENT: 14,
    FailureClass.RATE_LIMITED: 8,
    FailureClass.EXTERNAL: 14,
    FailureClass.INVALID_ARGUMENT: 3,
    FailureClass.NOT_FOUND: 5,
    FailureClass.PERMISSION: 7,
    FailureClass.CONFIG: 9,
    FailureClass.BUG: 13,
    FailureClass.TIMEOUT: 4,
    FailureClass.CANCELLED: 1,
}


class Effects(Enum):
    """How far a failed call had got in changing things."""

    NONE = wire.EFFECT_STATE_NONE
    MAYBE = wire.EFFECT_STATE_MAYBE
    APPLIED = wire.EFFECT_STATE_APPLIED


class Failure(Exception):
    """A failed call, or the reason of a gap. Raise it, or one made by the class methods.

    `reason` is a stable word for machines, UPPER_SNAKE_CASE; `retry_after` the earliest useful
    retry; `violations` are pairs of a field's path and what is wrong with it and how to mend it;
    `resource` is the missing or forbidden object, such as `v1/Pod shop/cart-0`; `domain` who coined
    the reason, the plugin when empty. `effects` unset means: nothing was changed where the tool only
    reads, otherwise something may have been.
    """

    def __init__(
        self,
        failure_class: FailureClass,
        reason: str,
        message: str,
        *,
        domain: str = "",
        metadata: Mapping[str, str] | None = None,
        retry_after: float | timedelta | None = None,
        violations: list[tuple[str, str]] | None = None,
        resource: str = "",
        effects: Effects | None = None,
        code: int | None = None,
    ) -> None:
        super().__init__(message)
        self.failure_class = failure_class
        self.reason = reason
        self.message = message
        self.domain = domain
        self.metadata = dict(metadata or {})
        self.retry_after = retry_after
        self.violations = list(violations or [])
        self.resource = resource
        self.effects = effects
        self.code = _CODES[failure_class] if code is None else code

    @classmethod
    def transient(cls, reason: str, message: str) -> "Failure":
        """A passing fault inside the plugin. Retried."""
        return cls(FailureClass.TRANSIENT, reason, message)

    @classmethod
    def rate_limited(cls, message: str, retry_after: float | timedelta | None = None) -> "Failure":
        """A quota or rate limit was hit. Retried after `retry_after`."""
        return cls(FailureClass.RATE_LIMITED, "RATE_LIMITED", message, retry_after=retry_after)

    @classmethod
    def external(cls, domain: str, reason: str, message: str) -> "Failure":
        """The dependency behind the tool failed; `domain` names it. Retried with backoff."""
        return cls(FailureClass.EXTERNAL, reason, message, domain=domain)

    @classmethod
    def invalid_argument(cls, field: str, how: str) -> "Failure":
        """One argument is wrong; `how` says what is wrong and how to mend it."""
        return cls.invalid_arguments([(field, how)])

    @classmethod
    def invalid_arguments(cls, violations: list[tuple[str, str]]) -> "Failure":
        """Several arguments are wrong, all told at once. Never retried as they are."""
        message = "; ".join(f"{field}: {how}" for field, how in violations)
        return cls(
            FailureClass.INVALID_ARGUMENT, "INVALID_ARGUMENT", message, violations=violations
        )

    @classmethod
    def not_found(cls, resource: str, message: str = "") -> "Failure":
        """The named object does not exist. Counts as evidence, not as an outage."""
        said = message or f"{resource} does not exist"
        return cls(FailureClass.NOT_FOUND, "NOT_FOUND", said, resource=resource)

    @classmethod
    def permission(cls, resource: str, message: str) -> "Failure":
        """The plugin's identity may not do this. Needs an operator."""
        return cls(FailureClass.PERMISSION, "PERMISSION_DENIED", message, resource=resource)

    @classmethod
    def config(cls, reason: str, message: str) -> "Failure":
        """The plugin is misconfigured. Needs an operator."""
        return cls(FailureClass.CONFIG, reason, message)

    @classmethod
    def bug(cls, reason: str, message: str) -> "Failure":
        """A defect in the plugin."""
        return cls(FailureClass.BUG, reason, message)

    def to_wire(self, plugin: str = "", unsaid: Effects = Effects.NONE) -> wire.Failure:
        """What is sent: masked and bounded. `unsaid` are the effects when none were named."""
        effects = self.effects or unsaid
        made = wire.Failure(
            failure_class=self.failure_class.value,
            code=self.code,
            message=cut_middle(redact(clean(self.message)), MAX_MESSAGE),
            reason=_upper_snake(self.reason),
            domain=_NOT_OF_A_DOMAIN.sub("_", self.domain)[:MAX_NAME] or plugin,
            resource=cut_middle(redact(clean(self.resource)), MAX_DETAIL),
            effects=effects.value,
        )
        for key, value in list(self.metadata.items())[:_MAX_METADATA]:
            masked = redact_value(str(key), clean(str(value)))
            made.metadata[cut_middle(str(key), MAX_NAME)] = cut_middle(masked, MAX_DETAIL)
        if self.retry_after is not None:
            made.retry_delay.FromTimedelta(span(self.retry_after))
        for field, how in self.violations[:MAX_ENTRIES]:
            made.violations.add(
                field=cut_middle(clean(field), MAX_NAME),
                description=cut_middle(redact(clean(how)), MAX_DETAIL),
                reason="INVALID",
            )
        return made


def _upper_snake(reason: str) -> str:
    """A reason as the contract wants it, whatever the author wrote; never empty."""
    return _NOT_OF_A_REASON.sub("_", reason[:_MAX_REASON]).upper() or "UNSPECIFIED"
