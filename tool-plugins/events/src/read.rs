//! What one event says. The reason decides who reads the sentence; a Warning nobody can read is
//! passed on as it is.

mod containers;
mod nodes;
mod others;
mod pods;

pub(crate) use others::by_webhook;
use plugin_cluster::Event;

use crate::gather::{Finding, Rank};

/// The facts in one event; a Normal one mostly has none.
pub(crate) fn findings(event: &Event) -> Vec<Finding> {
    let known = match event.reason.as_str() {
        "Unhealthy" | "ProbeWarning" => containers::probe(event),
        "Killing" => containers::killing(event),
        "BackOff" => containers::back_off(event),
        "Failed" | "ErrImagePull" | "ErrImageNeverPull" | "InspectFailed" | "InvalidImageName" => {
            containers::failed(event)
        }
        "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => pods::mount(event),
        "FailedScheduling" => pods::unschedulable(event),
        "Evicted" => pods::evicted(event),
        "Preempted" | "Preempting" => pods::preempted(event),
        "TaintManagerEviction" => pods::deleted(event),
        "FailedCreate" | "FailedUpdate" | "ReplicaSetCreateError" => others::refused(event),
        "FailedBinding" | "ProvisioningFailed" => others::claim(event),
        "BackoffLimitExceeded" | "DeadlineExceeded" => others::job(event),
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
