//! Events about pods: scheduling, eviction, preemption, loss of their node, sandboxes.

use agent_sdk::Entity;
use plugin_cluster::{Event, sayings};

use super::one_line;
use crate::gather::{Finding, Rank};

pub(super) fn unschedulable(event: &Event) -> Vec<Finding> {
    let Some(read) = sayings::unschedulable(&event.message) else { return Vec::new() };
    let (why, taints, resources) = (read.why(), read.what("taint"), read.what("resources"));
    let mut says = "finds no node".to_owned();
    for (word, what) in [("taint", &taints), ("resources", &resources)] {
        if !what.is_empty() {
            says.push_str(&format!(", {word} {what}"));
        }
    }
    says.push_str(&format!(" (why: {why})"));
    vec![
        Finding::new("pod.unschedulable", Rank::Harm, event.about.clone(), says)
            .attr("why", why)
            .attr("taints", taints)
            .attr("resources", resources),
    ]
}

pub(super) fn evicted(event: &Event) -> Vec<Finding> {
    let resource = sayings::evicted_for(&event.message);
    let says = match event.host.as_str() {
        "" => format!("was evicted, short of {resource}"),
        node => format!("was evicted from node {node}, short of {resource}"),
    };
    let finding = Finding::new("pod.evicted", Rank::Harm, event.about.clone(), says)
        .attr("resource", resource);
    vec![match event.host.as_str() {
        "" => finding,
        node => finding.peer(Entity::cluster_wide("Node", node)),
    }]
}

/// `Preempted by pod 7c.. on node n`, in older versions `by shop/web-1 on node n`.
pub(super) fn preempted(event: &Event) -> Vec<Finding> {
    let says = format!("made way for a pod of higher priority: {}", one_line(&event.message));
    let finding = Finding::new("pod.preempted", Rank::Harm, event.about.clone(), says);
    let by = event.message.split_once("reempted by ").map(|(_, rest)| rest);
    let by = by.and_then(|rest| rest.trim_start_matches("pod ").split_whitespace().next());
    let named = by.and_then(|by| by.trim_end_matches(['.', ',']).split_once('/'));
    vec![match named {
        Some((namespace, pod)) => finding.peer(Entity::new("Pod", namespace, pod)),
        None => finding,
    }]
}

/// The node controller says of each pod of a silent node that it is not ready.
pub(super) fn lost(event: &Event) -> Vec<Finding> {
    let says = "is not ready as its node does not answer";
    vec![Finding::new("pod.lost", Rank::Harm, event.about.clone(), says)]
}

/// The runtime cannot make the pod's sandbox, most often for its network.
pub(super) fn sandbox(event: &Event) -> Vec<Finding> {
    let said = event.message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| said.contains(w));
    let why = if says(&[
        "no ip addresses available",
        "no available ip",
        "failed to allocate for range",
        "ip pool",
    ]) {
        "addresses"
    } else if says(&["network", "cni", "plugin type="]) {
        "network"
    } else {
        "runtime"
    };
    let says = format!("gets no sandbox ({why}): {}", one_line(&event.message));
    let finding = Finding::new("pod.sandbox_failed", Rank::Harm, event.about.clone(), says)
        .attr("why", why)
        .distinct(&["why"]);
    vec![match event.host.as_str() {
        "" => finding,
        node => finding.peer(Entity::cluster_wide("Node", node)),
    }]
}

pub(super) fn deleted(event: &Event) -> Vec<Finding> {
    if event.message.starts_with("Cancelling") {
        return Vec::new();
    }
    let says = "is deleted as its node carries a taint it does not tolerate";
    let finding = Finding::new("pod.deleted", Rank::Change, event.about.clone(), says);
    vec![finding.attr("reason", "TaintManagerEviction")]
}
