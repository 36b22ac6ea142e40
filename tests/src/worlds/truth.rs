//! What is true in each world: the alert that somebody would get, and the cause that an
//! investigation has to name. The same words as the recorded incidents have.

use anyhow::Result;
use serde_json::json;

use super::Incident;
use crate::alert::Scenario;

/// One row: how the trouble shows, and what is behind it.
struct Row {
    alert: &'static str,
    service: &'static str,
    description: &'static str,
    category: &'static str,
    kind: &'static str,
    culprit: &'static str,
}

/// The truth about `incident` in `namespace`.
///
/// # Errors
/// Never, as long as a scenario can be written.
pub(super) fn of(incident: Incident, namespace: &str) -> Result<Scenario> {
    let row = row(incident);
    let culprit = row.culprit.replace("NAMESPACE", namespace);
    let cluster_wide = matches!(incident, Incident::NodeLost | Incident::DenyingWebhook);
    let of = if cluster_wide { "" } else { namespace };
    let truth = json!({
        "alert": {
            "type": row.alert, "service": row.service, "namespace": namespace,
            "severity": "critical", "description": row.description,
        },
        "category": row.category,
        "culprit": { "kind": row.kind, "namespace": of, "name": culprit },
    });
    Scenario::parse(&truth.to_string())
}

fn row(incident: Incident) -> Row {
    match incident {
        Incident::OomLoop => Row {
            alert: "pod_crash_looping",
            service: "invoice-printer",
            description: "Containers of invoice-printer restart again and again.",
            category: "oom_killed",
            kind: "Deployment",
            culprit: "invoice-printer",
        },
        Incident::MissingImage => Row {
            alert: "rollout_stuck",
            service: "basket",
            description: "The rollout of basket does not progress.",
            category: "image_pull_failure",
            kind: "Deployment",
            culprit: "basket",
        },
        Incident::MissingConfigKey => Row {
            alert: "rollout_stuck",
            service: "mailer",
            description: "The rollout of mailer does not progress.",
            category: "missing_configmap_or_secret",
            kind: "Deployment",
            culprit: "mailer",
        },
        Incident::FailingReadiness => Row {
            alert: "service_down",
            service: "search",
            description: "search answers nobody.",
            category: "failed_readiness_probe",
            kind: "Deployment",
            culprit: "search",
        },
        Incident::Unschedulable => Row {
            alert: "pods_pending",
            service: "forecaster",
            description: "Pods of forecaster are pending.",
            category: "unschedulable_resources",
            kind: "Deployment",
            culprit: "forecaster",
        },
        Incident::NodeLost => Row {
            alert: "service_down",
            service: "archive",
            description: "archive answers nobody.",
            category: "node_not_ready",
            kind: "Node",
            culprit: super::LOST,
        },
        Incident::QuotaExceeded => Row {
            alert: "replicas_missing",
            service: "checkout",
            description: "checkout has fewer replicas than it should.",
            category: "quota_exceeded",
            kind: "ResourceQuota",
            culprit: "team-quota",
        },
        Incident::SelectorMismatch => Row {
            alert: "service_down",
            service: "seating",
            description: "seating answers nobody, though its pods are well.",
            category: "service_selector_mismatch",
            kind: "Service",
            culprit: "seating",
        },
        Incident::DenyingWebhook => Row {
            alert: "replicas_missing",
            service: "payouts",
            description: "payouts has fewer replicas than it should.",
            category: "admission_webhook_failure",
            kind: "ValidatingWebhookConfiguration",
            culprit: "image-policy.NAMESPACE",
        },
    }
}
