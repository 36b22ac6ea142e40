//! Events about pods: volumes, scheduling, eviction.

use agent_sdk::Entity;
use plugin_cluster::{Event, sayings};

use super::one_line;
use crate::gather::{Finding, Rank};

pub(super) fn mount(event: &Event) -> Vec<Finding> {
    let said = &event.message;
    let volume = sayings::volume(said).unwrap_or_default();
    let says = format!("cannot mount volume {volume}: {}", one_line(said));
    let mut findings = vec![
        Finding::new("storage.mount_failed", Rank::Harm, event.about.clone(), says)
            .attr("volume", volume)
            .distinct(&["volume"]),
    ];
    if let Some(missing) = sayings::missing(said) {
        let object =
            Entity::new(missing.kind, event.about.namespace.as_str(), missing.name.as_str());
        let what = format!("cannot start: {} {} does not exist", missing.kind, missing.name);
        findings.push(
            Finding::new("container.config_missing", Rank::Harm, event.about.clone(), what)
                .attr("key", missing.key.as_str())
                .attr("volume", volume)
                .peer(object.clone()),
        );
        let says = format!("does not exist, needed by pod {}", event.about.name);
        let signal = if missing.key.is_empty() { "config.missing" } else { "config.key_missing" };
        findings.push(
            Finding::new(signal, Rank::Harm, object, says)
                .attr("key", missing.key)
                .peer(event.about.clone()),
        );
    } else if let Some(key) = sayings::missing_volume_key(said) {
        let says = format!("cannot start: volume {volume} asks for key {key}, which is not there");
        findings.push(
            Finding::new("container.config_missing", Rank::Harm, event.about.clone(), says)
                .attr("key", key)
                .attr("volume", volume),
        );
    }
    findings
}

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

pub(super) fn preempted(event: &Event) -> Vec<Finding> {
    let says = "made way for a pod of higher priority";
    vec![Finding::new("pod.preempted", Rank::Harm, event.about.clone(), says)]
}

pub(super) fn deleted(event: &Event) -> Vec<Finding> {
    if event.message.starts_with("Cancelling") {
        return Vec::new();
    }
    let says = "is deleted as its node carries a taint it does not tolerate";
    let finding = Finding::new("pod.deleted", Rank::Change, event.about.clone(), says);
    vec![finding.attr("reason", "TaintManagerEviction")]
}
