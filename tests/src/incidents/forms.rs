//! The forms: one file per category, one line here for each.

mod admission_webhook_failure;
mod bad_deploy_regression;
mod cache_failure;
mod config_change_regression;
mod cpu_throttling;
mod crash_loop_config_error;
mod credentials_invalid;
mod db_connection_pool_exhausted;
mod db_lock_or_slow_query;
mod disk_full;
mod dns_failure;
mod downstream_dependency_failure;
mod failed_liveness_probe;
mod failed_readiness_probe;
mod false_alarm_healthy;
mod hpa_misconfigured;
mod image_pull_failure;
mod ingress_misconfigured;
mod job_failed;
mod memory_leak;
mod message_queue_backlog;
mod missing_configmap_or_secret;
mod network_policy_denied;
mod node_not_ready;
mod node_pressure;
mod oom_killed;
mod pvc_pending;
mod quota_exceeded;
mod rbac_forbidden;
mod service_selector_mismatch;
mod tls_certificate_expired;
mod traffic_spike;
mod unschedulable_resources;
mod unschedulable_taint_or_affinity;

use super::{Form, cluster::Cluster, truth::Truth};

/// Something that tells a story in a cluster, and what is true of it.
pub type Tale = fn(&mut Cluster) -> Truth;

/// Every category of the scorer's vocabulary with its forms.
const CATEGORIES: [(&str, &[(&str, Tale)]); 34] = [
    ("admission_webhook_failure", admission_webhook_failure::FORMS),
    ("bad_deploy_regression", bad_deploy_regression::FORMS),
    ("cache_failure", cache_failure::FORMS),
    ("config_change_regression", config_change_regression::FORMS),
    ("cpu_throttling", cpu_throttling::FORMS),
    ("crash_loop_config_error", crash_loop_config_error::FORMS),
    ("credentials_invalid", credentials_invalid::FORMS),
    ("db_connection_pool_exhausted", db_connection_pool_exhausted::FORMS),
    ("db_lock_or_slow_query", db_lock_or_slow_query::FORMS),
    ("disk_full", disk_full::FORMS),
    ("dns_failure", dns_failure::FORMS),
    ("downstream_dependency_failure", downstream_dependency_failure::FORMS),
    ("failed_liveness_probe", failed_liveness_probe::FORMS),
    ("failed_readiness_probe", failed_readiness_probe::FORMS),
    ("false_alarm_healthy", false_alarm_healthy::FORMS),
    ("hpa_misconfigured", hpa_misconfigured::FORMS),
    ("image_pull_failure", image_pull_failure::FORMS),
    ("ingress_misconfigured", ingress_misconfigured::FORMS),
    ("job_failed", job_failed::FORMS),
    ("memory_leak", memory_leak::FORMS),
    ("message_queue_backlog", message_queue_backlog::FORMS),
    ("missing_configmap_or_secret", missing_configmap_or_secret::FORMS),
    ("network_policy_denied", network_policy_denied::FORMS),
    ("node_not_ready", node_not_ready::FORMS),
    ("node_pressure", node_pressure::FORMS),
    ("oom_killed", oom_killed::FORMS),
    ("pvc_pending", pvc_pending::FORMS),
    ("quota_exceeded", quota_exceeded::FORMS),
    ("rbac_forbidden", rbac_forbidden::FORMS),
    ("service_selector_mismatch", service_selector_mismatch::FORMS),
    ("tls_certificate_expired", tls_certificate_expired::FORMS),
    ("traffic_spike", traffic_spike::FORMS),
    ("unschedulable_resources", unschedulable_resources::FORMS),
    ("unschedulable_taint_or_affinity", unschedulable_taint_or_affinity::FORMS),
];

/// All forms of all categories.
#[must_use]
pub fn all() -> Vec<Form> {
    let forms = CATEGORIES.into_iter().flat_map(|(category, forms)| {
        forms.iter().map(move |&(name, tell)| Form { category, name, tell })
    });
    forms.collect()
}
