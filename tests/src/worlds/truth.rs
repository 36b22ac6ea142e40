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

#[rustfmt::skip] // How it shows above, what is behind it below.
fn row(incident: Incident) -> Row {
    let (alert, service, description, category, kind, culprit) = match incident {
        Incident::OomLoop => (
            "pod_crash_looping", "invoice-printer", "Containers of invoice-printer restart again and again.",
            "oom_killed", "Deployment", "invoice-printer",
        ),
        Incident::MissingImage => (
            "rollout_stuck", "basket", "The rollout of basket does not progress.",
            "image_pull_failure", "Deployment", "basket",
        ),
        Incident::MissingConfigKey => (
            "rollout_stuck", "mailer", "The rollout of mailer does not progress.",
            "missing_configmap_or_secret", "Deployment", "mailer",
        ),
        Incident::FailingReadiness => (
            "service_down", "search", "search answers nobody.",
            "failed_readiness_probe", "Deployment", "search",
        ),
        Incident::Unschedulable => (
            "pods_pending", "forecaster", "Pods of forecaster are pending.",
            "unschedulable_resources", "Deployment", "forecaster",
        ),
        Incident::NodeLost => (
            "service_down", "archive", "archive answers nobody.",
            "node_not_ready", "Node", super::LOST,
        ),
        Incident::QuotaExceeded => (
            "replicas_missing", "checkout", "checkout has fewer replicas than it should.",
            "quota_exceeded", "ResourceQuota", "team-quota",
        ),
        Incident::SelectorMismatch => (
            "service_down", "seating", "seating answers nobody, though its pods are well.",
            "service_selector_mismatch", "Service", "seating",
        ),
        Incident::DenyingWebhook => (
            "replicas_missing", "payouts", "payouts has fewer replicas than it should.",
            "admission_webhook_failure", "ValidatingWebhookConfiguration", "image-policy.NAMESPACE",
        ),
    };
    Row { alert, service, description, category, kind, culprit }
}
