//! Events about workloads, claims and Jobs.

use agent_sdk::Entity;
use plugin_cluster::{Event, Object, sayings};

use super::one_line;
use crate::gather::{Finding, Rank};

/// A pod that the server would not let be made.
pub(super) fn refused(event: &Event) -> Vec<Finding> {
    let Some(refusal) = sayings::refusal(&event.message) else { return Vec::new() };
    let says = format!("cannot create a pod: {}", one_line(&event.message));
    let by = if refusal.kind == "Webhook" { "webhook" } else { "by" };
    let finding = Finding::new(refusal.signal, Rank::Harm, event.about.clone(), says)
        .attr(by, refusal.by.as_str());
    vec![match refusal.kind {
        "ResourceQuota" => {
            finding.peer(Entity::new("ResourceQuota", event.about.namespace.as_str(), refusal.by))
        }
        _ => finding,
    }]
}

/// A refusal by a webhook is a fact about the configuration that holds it, when that is known.
pub(crate) fn by_webhook(mut finding: Finding, event: &Event, webhooks: &[Object]) -> Finding {
    if finding.signal != "policy.webhook_failed" {
        return finding;
    }
    let Some(failure) = sayings::webhook(&event.message) else { return finding };
    if let Some(culprit) = failure.culprit(webhooks) {
        let refused = std::mem::replace(&mut finding.subject, culprit);
        finding.says = format!("refuses pods of {} {}", refused.kind, refused.name);
        finding.peer = Some(refused);
    }
    finding.attr("why", failure.why)
}

/// A claim that is not bound. Waiting for a first pod is its ordinary state.
pub(super) fn claim(event: &Event) -> Vec<Finding> {
    let kind = event.about.kind.as_str();
    if kind != "PersistentVolumeClaim" || event.message.contains("waiting for first consumer") {
        return Vec::new();
    }
    let class = event
        .message
        .split_once("storageclass.storage.k8s.io \"")
        .or_else(|| event.message.split_once("StorageClass \""));
    let class = class.and_then(|(_, rest)| rest.split_once('"')).map_or("", |(class, _)| class);
    let says = format!("is not bound: {}", one_line(&event.message));
    let finding = Finding::new("storage.claim_pending", Rank::Harm, event.about.clone(), says);
    vec![finding.attr("class", class)]
}

pub(super) fn job(event: &Event) -> Vec<Finding> {
    if event.about.kind != "Job" {
        return Vec::new();
    }
    let says = format!("gave up: {}", event.reason);
    let finding = Finding::new("job.failed", Rank::Harm, event.about.clone(), says);
    vec![finding.attr("reason", event.reason.as_str())]
}
