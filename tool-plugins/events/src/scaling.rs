//! Whether a workload was scaled or rolled out: both come as `ScalingReplicaSet`. A rollout moves
//! two `ReplicaSet`s at about the same time, scaling one alone.

use std::collections::BTreeMap;

use agent_sdk::Entity;
use jiff::SignedDuration;
use plugin_cluster::Event;

use crate::gather::{Finding, Rank};

/// `ReplicaSet`s moved within this time belong to one rollout.
const TOGETHER: SignedDuration = SignedDuration::from_mins(15);

/// One step of a `ReplicaSet`.
struct Step<'a> {
    event: &'a Event,
    set: &'a str,
    from: &'a str,
    to: &'a str,
}

pub(crate) fn findings(events: &[Event]) -> Vec<(&Event, Finding)> {
    let steps: Vec<Step<'_>> = events.iter().filter_map(step).collect();
    let alone = |step: &&Step<'_>| {
        !steps.iter().any(|other| {
            other.event.about == step.event.about
                && other.set != step.set
                && near(other.event, step.event)
        })
    };
    let scaled = steps.iter().filter(alone).filter(|s| !s.from.is_empty() && s.from != "0");
    let mut found: Vec<(&Event, Finding)> = scaled
        .map(|s| {
            let says = format!("was scaled from {} to {}", s.from, s.to);
            let finding =
                Finding::new("workload.scaled", Rank::Change, s.event.about.clone(), says)
                    .attr("from", s.from)
                    .attr("to", s.to)
                    .attr("direction", direction(s))
                    .distinct(&["from", "to"]);
            (s.event, finding)
        })
        .collect();
    found.extend(events.iter().filter_map(rescaled));
    found.extend(events.iter().filter_map(|event| Some((event, lowered(event)?))));
    found.extend(flapping(events));
    found
}

/// An autoscaler that changes its mind this often within what events remember.
const TURNS: usize = 4;

/// Autoscalers that scale up and down and up again; told with the last such event.
fn flapping(events: &[Event]) -> Vec<(&Event, Finding)> {
    let mut sizes: BTreeMap<&Entity, Vec<(u64, &Event)>> = BTreeMap::new();
    for event in events.iter().filter(|e| e.reason == "SuccessfulRescale") {
        let size = event
            .message
            .split_once("New size: ")
            .and_then(|(_, rest)| rest.split(';').next().and_then(|size| size.trim().parse().ok()));
        if let Some(size) = size {
            sizes.entry(&event.about).or_default().push((size, event));
        }
    }
    let mut found = Vec::new();
    for (autoscaler, steps) in sizes {
        let ups: Vec<bool> = steps
            .iter()
            .zip(steps.iter().skip(1))
            .filter(|((a, _), (b, _))| a != b)
            .map(|((a, _), (b, _))| b > a)
            .collect();
        let turns = ups.iter().zip(ups.iter().skip(1)).filter(|(a, b)| a != b).count();
        let Some((_, last)) = steps.last().filter(|_| turns >= TURNS) else { continue };
        let list: Vec<String> = steps.iter().map(|(size, _)| size.to_string()).collect();
        let says = format!("scales up and down in turns: {}", list.join(" → "));
        let finding = Finding::new("policy.hpa_flapping", Rank::Harm, autoscaler.clone(), says)
            .attr("sizes", list.join(","));
        found.push((*last, finding));
    }
    found
}

fn near(a: &Event, b: &Event) -> bool {
    match (a.last, b.last) {
        (Some(a), Some(b)) => a.duration_since(b).abs() <= TOGETHER,
        _ => true,
    }
}

/// `Scaled up replica set web-7d from 1 to 2`; older versions tell only the new count.
fn step(event: &Event) -> Option<Step<'_>> {
    if event.reason != "ScalingReplicaSet" {
        return None;
    }
    let (_, rest) = event.message.split_once("replica set ")?;
    let mut words = rest.split_whitespace();
    let set = words.next()?;
    let (mut from, mut to) = ("", "");
    while let Some(word) = words.next() {
        match word {
            "from" => from = words.next()?,
            "to" => to = words.next()?,
            _ => {}
        }
    }
    Some(Step { event, set, from, to })
}

/// `up` or `down`; nothing when it is not told.
fn direction(step: &Step<'_>) -> &'static str {
    match (step.from.parse::<u32>(), step.to.parse::<u32>()) {
        (Ok(from), Ok(to)) if to > from => "up",
        (Ok(_), Ok(_)) => "down",
        _ => "",
    }
}

/// The same from the reason that an autoscaler gives.
fn sense(reason: &str) -> &'static str {
    match reason {
        reason if reason.contains("above target") => "up",
        reason if reason.contains("below target") => "down",
        _ => "",
    }
}

/// An autoscaler that takes replicas away because its bound is now below them: only an edit of the
/// bound does that.
fn lowered(event: &Event) -> Option<Finding> {
    let (_, reason) = event.message.split_once("; reason: ")?;
    let told = reason.to_ascii_lowercase().contains("replicas above spec.maxreplicas");
    let (_, size) = event.message.split_once("New size: ")?;
    let size = size.split(';').next().unwrap_or_default().trim();
    let says =
        format!("had its maximum lowered below the replicas there were, to {size}: {reason}");
    (told && event.reason == "SuccessfulRescale").then(|| {
        Finding::new("policy.hpa_at_max", Rank::Harm, event.about.clone(), says)
            .attr("bound", "lowered")
            .attr("max", size)
            .distinct(&["max"])
    })
}

/// An autoscaler's `New size: 5; reason: cpu resource utilization above target`.
fn rescaled(event: &Event) -> Option<(&Event, Finding)> {
    let (_, rest) = event.message.split_once("New size: ")?;
    let (size, reason) = rest.split_once("; reason: ").unwrap_or((rest, ""));
    let says = format!("set the size to {size}: {reason}");
    let finding = Finding::new("workload.scaled", Rank::Change, event.about.clone(), says)
        .attr("from", "")
        .attr("to", size)
        .attr("direction", sense(reason))
        .attr("reason", reason)
        .distinct(&["to"]);
    (event.reason == "SuccessfulRescale").then_some((event, finding))
}
