//! How many replicas there are and how many there should be.

use agent_sdk::Observation;
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Object, Rules, sayings};

use crate::{
    pods::{desired, ready},
    policies::quotas,
    within,
};

/// Scaling is told for a day.
const TOLD_HOURS: i64 = 24;

pub(super) fn judge(
    workload: &Object,
    pods: &[&Object],
    (rules, webhooks): (&Rules, &[Object]),
    now: Timestamp,
    answer: &mut Answer,
) {
    let (wanted, there) = (desired(workload), ready(workload));
    if wanted == 0 && workload.kind() != "DaemonSet" {
        answer.change(scaled_to_zero(workload, now));
    } else if let Some(edit) = scaling(workload, now).filter(|e| within(e.0, now, TOLD_HOURS)) {
        answer.change(scaled(workload, wanted, edit));
    }
    if there < wanted {
        answer.harm(replicas_missing(workload, pods, now).until(now));
    }
    if let Some((rule, seen)) = quotas::refused(rules, workload, now) {
        answer.relate(quotas::governs(&rule, workload));
        answer.harm(seen);
    } else if let Some(c) = workload.condition("ReplicaFailure").filter(|c| c.status == "True")
        && let Some(seen) = refused(workload, c.message, webhooks)
    {
        answer.harm(seen.maybe_since(c.since).until(now));
    }
}

/// Pods that the server would not let be made, and by whose word.
fn refused(workload: &Object, message: &str, webhooks: &[Object]) -> Option<Observation> {
    let refusal = sayings::refusal(message)?;
    let word = refusal.signal.trim_start_matches("policy.").replace('_', " ");
    let says = format!("{} {} cannot create pods: {word}", workload.kind(), workload.name());
    if let Some(failure) = sayings::webhook(message) {
        let by = failure.culprit(webhooks).unwrap_or_else(|| workload.entity());
        return Some(
            Observation::new(refusal.signal, by, says)
                .attr("webhook", failure.name)
                .attr("why", failure.why)
                .peer(workload.entity())
                .quote(message),
        );
    }
    Some(
        Observation::new(refusal.signal, workload.entity(), says)
            .attr("by", refusal.by.as_str())
            .quote(message),
    )
}

fn replicas_missing(workload: &Object, pods: &[&Object], now: Timestamp) -> Observation {
    let (wanted, there) = (desired(workload), ready(workload));
    let unready = pods
        .iter()
        .filter_map(|p| p.condition("Ready").filter(|c| c.status != "True").and_then(|c| c.since))
        .chain(pods.iter().filter_map(|p| {
            p.condition("PodScheduled").filter(|c| c.status == "False").and_then(|c| c.since)
        }))
        .filter(|since| *since <= now)
        .min();
    let unavailable =
        workload.condition("Available").filter(|c| c.status == "False").and_then(|c| c.since);
    let since = unready.or(unavailable);
    let says = format!(
        "{} {} has {there} of {wanted} replicas ready{}",
        workload.kind(),
        workload.name(),
        since.map(|t| format!(", short since {t}")).unwrap_or_default()
    );
    Observation::new("workload.replicas_missing", workload.entity(), says)
        .maybe_since(since)
        .value(count(there), "1")
        .baseline(count(wanted))
}

fn count(replicas: i64) -> f64 {
    f64::from(i32::try_from(replicas).unwrap_or(i32::MAX))
}

/// Pods that were made anew long after the last rollout: someone deleted or moved them, and what
/// was edited meanwhile came into force with them.
pub(super) fn pods_replaced(
    workload: &Object,
    pods: &[&Object],
    in_force_since: Option<Timestamp>,
    now: Timestamp,
) -> Option<Observation> {
    let settled = in_force_since?.checked_add(SignedDuration::from_mins(15)).ok()?;
    let runs = |p: &&&Object| p.text("/status/phase") == "Running";
    let running: Vec<&&Object> = pods.iter().filter(runs).collect();
    let anew: Vec<Timestamp> = running
        .iter()
        .filter_map(|p| p.created())
        .filter(|made| *made > settled && within(*made, now, TOLD_HOURS))
        .collect();
    let (first, last) = (anew.iter().min()?, anew.iter().max()?);
    let says = format!(
        "{} of {} pods of {} {} were started anew since {first}, without a rollout",
        anew.len(),
        running.len(),
        workload.kind(),
        workload.name()
    );
    Some(
        Observation::new("workload.pods_replaced", workload.entity(), says)
            .since(*first)
            .until(*last)
            .count(u64::try_from(anew.len()).unwrap_or(1))
            .attr("replaced", anew.len().to_string())
            .attr("of", running.len().to_string()),
    )
}

/// When and by whom the replica count alone was last written.
fn scaling(workload: &Object, now: Timestamp) -> Option<(Timestamp, String)> {
    let created = workload.created();
    let edits = workload.edits(now);
    let edit = edits.into_iter().rev().find(|e| {
        e.fields.pointer("/f:spec/f:replicas").is_some()
            && e.fields.pointer("/f:spec/f:template").is_none()
    })?;
    created
        .is_none_or(|c| edit.time.duration_since(c).as_secs() > 1)
        .then_some((edit.time, edit.manager))
}

fn scaled(workload: &Object, to: i64, (time, by): (Timestamp, String)) -> Observation {
    let says =
        format!("{} {} was scaled to {to} by {by} at {time}", workload.kind(), workload.name());
    Observation::new("workload.scaled", workload.entity(), says)
        .since(time)
        .until(time)
        .attr("from", "")
        .attr("to", to.to_string())
        .attr("manager", by)
}

/// No replica wanted: with what people wrote on it, which often says why.
fn scaled_to_zero(workload: &Object, now: Timestamp) -> Observation {
    let edit = scaling(workload, now);
    let since = edit.as_ref().map(|(time, _)| *time);
    let by = edit.map(|(_, by)| by).unwrap_or_default();
    let reason = notes(workload);
    let said = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    let at = since.map(|t| format!(" since {t}")).unwrap_or_default();
    let says = format!("{} {} is scaled to zero{at}{said}", workload.kind(), workload.name());
    Observation::new("workload.scaled_to_zero", workload.entity(), says)
        .maybe_since(since)
        .attr("since", since.map(|t| t.to_string()).unwrap_or_default())
        .attr("reason", reason)
        .attr("manager", by)
}

/// Annotations written by people: not those of the cluster and its tools.
pub(super) fn notes(workload: &Object) -> String {
    let kept = workload.map("/metadata/annotations").into_iter().filter(|(key, value)| {
        let cause = key == "kubernetes.io/change-cause";
        let machine =
            key.contains("kubernetes.io/") || key.contains("helm.sh/") || key.contains("checksum");
        (cause || !machine) && value.len() <= 200
    });
    let notes: Vec<String> = kept.map(|(k, v)| format!("{k}: {v}")).collect();
    notes.join("; ")
}
