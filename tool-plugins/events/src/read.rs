//! What one event says. The reason decides who reads the sentence; a Warning nobody can read is
//! passed on as it is.

mod containers;
mod nodes;
mod others;
mod pods;
mod scheduled;
mod storage;

pub(crate) use others::by_webhook;
use plugin_cluster::{Event, Rules};

use crate::gather::{Finding, Rank};

/// The facts in one event; a Normal one mostly has none.
pub(crate) fn findings(event: &Event, rules: &Rules) -> Vec<Finding> {
    let known = match event.reason.as_str() {
        "Unhealthy" | "ProbeWarning" => containers::probe(event),
        "Killing" => containers::killing(event),
        "BackOff" => containers::back_off(event),
        "Failed" | "ErrImagePull" | "ErrImageNeverPull" | "InspectFailed" | "InvalidImageName" => {
            containers::failed(event)
        }
        "FailedMount" | "FailedMapVolume" | "FailedAttachVolume" => storage::mount(event),
        "FailedScheduling" => pods::unschedulable(event),
        "Evicted" => pods::evicted(event),
        "Preempted" | "Preempting" => pods::preempted(event),
        "TaintManagerEviction" => pods::deleted(event),
        "NodeNotReady" if event.about.kind == "Pod" => pods::lost(event),
        "FailedCreatePodSandBox" | "NetworkNotReady" => pods::sandbox(event),
        "FailedCreate" | "FailedUpdate" | "ReplicaSetCreateError" => others::refused(event, rules),
        "FailedBinding"
        | "ProvisioningFailed"
        | "ExternalProvisioning"
        | "VolumeMismatch"
        | "ClaimLost" => storage::claim(event),
        "BackoffLimitExceeded" | "DeadlineExceeded" | "PodFailurePolicy" | "FailedIndexes" => {
            others::job(event)
        }
        "FailedToRetrieveImagePullSecret" => containers::pull_secret(event),
        _ if event.about.kind == "HorizontalPodAutoscaler" => others::autoscaler(event),
        _ if event.about.kind == "CronJob" => scheduled::missed(event),
        _ if event.about.kind == "Node" => nodes::read(event),
        _ => Vec::new(),
    };
    if known.is_empty() && event.warning { vec![warning(event)] } else { known }
}

/// A Warning that has no word of its own.
fn warning(event: &Event) -> Finding {
    let says = format!("has warning {}: {}", event.reason, one_line(&event.message));
    Finding::new("event.warning", Rank::Neutral, event.about.clone(), says)
        .attr("reason", event.reason.as_str())
        .distinct(&["reason"])
}

/// The beginning of a sentence, fit for a statement.
fn one_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(140) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}
