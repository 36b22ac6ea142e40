"""What a call gives back: a result for people and models, and the typed facts beside it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .facts import Observation, Relation
from .failure import Failure


@dataclass(frozen=True)
class Usage:
    """What a call cost: requests to the backend, US dollars, time spent waiting for the backend."""

    backend_requests: int = 0
    cost_usd: float = 0.0
    backend_time: float | timedelta = 0.0


@dataclass(frozen=True)
class Compensation:
    """An undo that became possible: a tool of the same plugin with its arguments, one line for the
    person who approves it, and when it may no longer work."""

    tool: str
    arguments: dict[str, Any]
    summary: str
    expires: datetime | None = None


@dataclass
class Output:
    """The outcome of a call that succeeded, perhaps with holes.

    `result` is anything that JSON can say, a dataclass or a pydantic model; `summary` a few lines for
    a model or a person; `gaps` are pairs of what is missing and why; `links` pairs of title and
    URI; `observed_at` the time the data describes when it is not now; `next_page` continues a
    result of which something was left out, and comes back as `call.page_token`. After a dry run
    `planned_effects` says what would have been changed, one line each.
    """

    result: Any = None
    summary: str = ""
    observations: list[Observation] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    gaps: list[tuple[str, Failure]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    compensations: list[Compensation] = field(default_factory=list)
    planned_effects: list[str] = field(default_factory=list)
    usage: Usage | None = None
    observed_at: datetime | None = None
    truncated: bool = False
    next_page: str = ""
