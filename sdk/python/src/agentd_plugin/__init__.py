"""Write tools for agentd in Python: see README.md for the smallest plugin."""

from .call import Call, Cancelled, Severity, Trace
from .facts import Entity, Observation, Relation, RelationKind
from .failure import Effects, Failure, FailureClass
from .options import Options, PluginError, SettingsError, TlsFiles
from .output import Compensation, Output, Usage
from .plugin import Plugin
from .process import MarkedRecords
from .tool import (
    Applies,
    Cache,
    Idempotency,
    Polarity,
    RateLimit,
    Risk,
    SideEffect,
    Undo,
)

__all__ = [
    "Applies",
    "Cache",
    "Call",
    "Cancelled",
    "Compensation",
    "Effects",
    "Entity",
    "Failure",
    "FailureClass",
    "Idempotency",
    "MarkedRecords",
    "Observation",
    "Options",
    "Output",
    "Plugin",
    "PluginError",
    "Polarity",
    "RateLimit",
    "Relation",
    "RelationKind",
    "Risk",
    "SettingsError",
    "Severity",
    "SideEffect",
    "TlsFiles",
    "Trace",
    "Undo",
    "Usage",
]
