//! The numbers by name, as they are exposed and documented.

/// One metric, for the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// Name as exposed, without the endings of a histogram.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

const fn row(
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Described {
    Described { name, kind, labels, help }
}

/// All metrics: what is exposed and what is documented is this table.
pub const TABLE: [Described; 15] = [
    INVESTIGATIONS,
    INVESTIGATION_SECONDS,
    INVESTIGATION_STEPS,
    ACTIVE,
    QUEUED,
    CALLS,
    CALL_SECONDS,
    CACHE_HITS,
    INSTANCES,
    LEASES,
    TOOLS,
    FEEDBACK,
    ALERTS,
    NOTIFICATIONS,
    ERRORS,
];
pub(super) const INVESTIGATIONS: Described =
    row("agentd_investigations_total", "counter", &["verdict"], "Investigations that ended.");
pub(super) const INVESTIGATION_SECONDS: Described = row(
    "agentd_investigation_duration_seconds",
    "histogram",
    &[],
    "Wall time from the start of work to the report.",
);
pub(super) const INVESTIGATION_STEPS: Described =
    row("agentd_investigation_steps", "histogram", &[], "Steps of the plans of an investigation.");
pub(super) const ACTIVE: Described =
    row("agentd_active_investigations", "gauge", &[], "Investigations at work now.");
pub(super) const QUEUED: Described =
    row("agentd_queue_depth", "gauge", &[], "Investigations that wait for their turn.");
pub(super) const CALLS: Described = row(
    "agentd_tool_calls_total",
    "counter",
    &["plugin", "tool", "outcome"],
    "Attempts at tool calls; the outcome is ok or the class of the failure.",
);
pub(super) const CALL_SECONDS: Described = row(
    "agentd_tool_call_duration_seconds",
    "histogram",
    &["plugin", "tool"],
    "Time of an attempt at a tool call.",
);
pub(super) const CACHE_HITS: Described = row(
    "agentd_cache_hits_total",
    "counter",
    &["cache"],
    "Questions answered by what was kept; results are those of tools.",
);
pub(super) const INSTANCES: Described = row(
    "agentd_plugin_instances",
    "gauge",
    &["plugin", "state"],
    "Plugin processes known, by state.",
);
pub(super) const LEASES: Described =
    row("agentd_lease_expirations_total", "counter", &[], "Leases of plugins that ran out.");
pub(super) const TOOLS: Described = row(
    "agentd_tools",
    "gauge",
    &["standing"],
    "Versions of tools known, by what stands in their way.",
);
pub(super) const FEEDBACK: Described = row(
    "agentd_feedback_total",
    "counter",
    &["judgement"],
    "Outcomes judged by people: correct, partly or wrong.",
);
pub(super) const ALERTS: Described = row(
    "agentd_alerts_total",
    "counter",
    &["source", "outcome"],
    "Alerts that webhooks brought: started, attached, resolved, repeated, ignored or refused.",
);
pub(super) const NOTIFICATIONS: Described = row(
    "agentd_notifications_total",
    "counter",
    &["receiver", "outcome"],
    "Messages to receivers: delivered, failed (another try follows) or given_up.",
);
pub(super) const ERRORS: Described = row(
    "agentd_errors_total",
    "counter",
    &["kind"],
    "Faults of the daemon itself; failures of tools are outcomes of calls.",
);
