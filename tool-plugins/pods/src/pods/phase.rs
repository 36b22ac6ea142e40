//! The pod as a whole: pending, unschedulable, evicted, preempted, deleted.

use agent_sdk::{Entity, Observation};
use jiff::Timestamp;
use plugin_cluster::{Answer, Object, object::Condition, pod, sayings};

use super::leaving;

pub(super) fn judge(pod: &Object, now: Timestamp, answer: &mut Answer) {
    if leaving(pod) {
        answer.change(deleted(pod));
        return;
    }
    match pod.text("/status/phase") {
        "Failed" => failed(pod, answer),
        "Pending" => pending(pod, now, answer),
        _ => {}
    }
}

fn deleted(pod: &Object) -> Observation {
    let since = pod.time("/metadata/deletionTimestamp");
    let by = pod.condition("DisruptionTarget").map(|c| c.reason).unwrap_or_default();
    let why = if by.is_empty() { String::new() } else { format!(" ({by})") };
    Observation::new(
        "pod.deleted",
        pod.entity(),
        format!("pod {} is being deleted{why}", pod.name()),
    )
    .maybe_since(since)
    .attr("reason", by)
}

fn failed(pod: &Object, answer: &mut Answer) {
    let target = pod.condition("DisruptionTarget").filter(|c| c.status == "True");
    let reason = pod.text("/status/reason");
    match target.map(|c| c.reason) {
        // Told by `preempted`, which looks for who took the room.
        Some("PreemptionByScheduler") => {}
        Some("EvictionByEvictionAPI" | "DeletionByTaintManager" | "DeletionByPodGC")
            if reason != "Evicted" =>
        {
            let says = format!(
                "pod {} was removed from its node ({})",
                pod.name(),
                target.map_or("", |c| c.reason)
            );
            answer.change(
                Observation::new("pod.deleted", pod.entity(), says)
                    .maybe_since(target.and_then(|c| c.since))
                    .attr("reason", target.map_or("", |c| c.reason)),
            );
        }
        _ if reason == "Evicted" => answer.harm(evicted(pod, target)),
        _ if reason == "Preempting" => {}
        // What its containers did is told by them.
        _ if !pod::containers(pod).iter().all(|c| c.status.is_null()) => {}
        _ => {
            let message = pod.text("/status/message");
            let says = format!("pod {} failed before it ran: {reason} {message}", pod.name());
            answer.harm(
                Observation::new("pod.pending", pod.entity(), says)
                    .maybe_since(pod.time("/status/startTime").or_else(|| pod.created()))
                    .attr("reason", reason)
                    .quote(message),
            );
        }
    }
}

fn evicted(pod: &Object, target: Option<Condition<'_>>) -> Observation {
    let message = pod.text("/status/message");
    let resource = sayings::evicted_for(message);
    let node = pod.text("/spec/nodeName");
    let says = format!("pod {} was evicted from node {node}, short of {resource}", pod.name());
    let since = target.and_then(|c| c.since);
    Observation::new("pod.evicted", pod.entity(), says)
        .maybe_since(since)
        .maybe_until(since)
        .attr("resource", resource)
        .peer(Entity::cluster_wide("Node", node))
        .quote(message)
}

fn pending(pod: &Object, now: Timestamp, answer: &mut Answer) {
    let Some(placed) = pod.condition("PodScheduled").filter(|c| c.status == "False") else {
        return;
    };
    if placed.reason != "Unschedulable" {
        let says = format!("pod {} waits to be scheduled: {}", pod.name(), placed.reason);
        answer.harm(
            Observation::new("pod.pending", pod.entity(), says)
                .maybe_since(placed.since.or_else(|| pod.created()))
                .until(now)
                .attr("reason", placed.reason)
                .quote(placed.message),
        );
        return;
    }
    answer.harm(unschedulable(pod, placed).until(now));
}

fn unschedulable(pod: &Object, placed: Condition<'_>) -> Observation {
    let read = sayings::unschedulable(placed.message).unwrap_or_default();
    let (why, taints, resources) = (read.why(), read.what("taint"), read.what("resources"));
    let mut says = format!("no node takes pod {}", pod.name());
    for (word, what) in [("taint", &taints), ("resources", &resources)] {
        if !what.is_empty() {
            says.push_str(&format!(", {word} {what}"));
        }
    }
    says.push_str(&format!(" (why: {why})"));
    Observation::new("pod.unschedulable", pod.entity(), says)
        .maybe_since(placed.since.or_else(|| pod.created()))
        .attr("why", why)
        .attr("taints", taints)
        .attr("resources", resources)
        .quote(placed.message)
}
