//! The words each tool may say, as announced to the planner. A test holds the tools to them.

/// The signals of `check_pods`.
pub const POD_SIGNALS: [&str; 28] = [
    "target.resolved",
    "target.unknown",
    "container.oom_killed",
    "container.exited",
    "container.crash_looping",
    "container.restarted",
    "container.image_pull_failed",
    "container.config_missing",
    "container.create_failed",
    "container.waiting",
    "container.not_ready",
    "container.probe_port_undeclared",
    "container.probe_port_unserved",
    "container.probe_answered",
    "container.ended_at_probe_limit",
    "pod.pending",
    "pod.unschedulable",
    "pod.nodes_excluded",
    "pod.evicted",
    "pod.preempted",
    "pod.deleted",
    "workload.healthy",
    "config.missing",
    "config.key_missing",
    "config.credential",
    "text.instruction",
    "node.tainted",
    "storage.claim_pending",
];

/// The signals of `check_rollouts`.
pub const ROLLOUT_SIGNALS: [&str; 20] = [
    "target.resolved",
    "target.unknown",
    "workload.rolled_out",
    "workload.rollout_stuck",
    "workload.replicas_missing",
    "workload.scaled",
    "workload.pods_replaced",
    "workload.scaled_to_zero",
    "config.changed",
    "service.changed",
    "job.failed",
    "job.succeeded",
    "job.deadline_exceeded",
    "job.running_long",
    "job.suspended",
    "job.missed",
    "policy.quota_exceeded",
    "policy.webhook_failed",
    "policy.forbidden",
    "intent.declared",
];

/// The signals of `check_service`.
pub const SERVICE_SIGNALS: [&str; 12] = [
    "target.resolved",
    "target.unknown",
    "service.endpoints_ready",
    "service.no_endpoints",
    "service.selector_matches_nothing",
    "service.port_mismatch",
    "service.selects_strangers",
    "service.endpoints_stale",
    "service.changed",
    "ingress.misrouted",
    "ingress.changed",
    "ingress.routed",
];

/// The signals of `check_nodes`.
pub const NODE_SIGNALS: [&str; 12] = [
    "node.healthy",
    "node.not_ready",
    "node.memory_pressure",
    "node.disk_pressure",
    "node.pid_pressure",
    "node.cordoned",
    "node.tainted",
    "pod.scratch_unbounded",
    "pod.lost",
    "node.unreachable",
    "node.network_unavailable",
    "node.reclaimed",
];

/// The signals of `check_policies`.
pub const POLICY_SIGNALS: [&str; 24] = [
    "policy.refused_always",
    "target.resolved",
    "target.unknown",
    "policy.changed",
    "policy.network_denied",
    "policy.network_allowed",
    "policy.rbac_forbidden",
    "policy.webhook_failed",
    "policy.quota_exceeded",
    "policy.pdb_blocks",
    "policy.hpa_no_metrics",
    "policy.hpa_at_max",
    "policy.hpa_target_missing",
    "policy.hpa_ok",
    "policy.hpa_wrong_target",
    "policy.hpa_never_triggers",
    "policy.hpa_conflict",
    "policy.quota_room",
    "workload.scaled",
    "certificate.expired",
    "certificate.expiring",
    "certificate.valid",
    "certificate.untrusted",
    "certificate.not_reloaded",
];

/// The signals of `check_storage`.
pub const STORAGE_SIGNALS: [&str; 7] = [
    "target.resolved",
    "target.unknown",
    "storage.claim_pending",
    "storage.claim_bound",
    "storage.provisioner_down",
    "storage.zone_conflict",
    "storage.attach_failed",
];
