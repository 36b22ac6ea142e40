//! How Jobs ended, which hang, and which runs of `CronJob`s did not come. Of a `CronJob`'s Jobs each
//! failed one is told and the newest that succeeded.

mod schedule;
mod scheduled;

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object};

use crate::within;

/// Jobs that ended well are told for a week, in hours.
const TOLD_HOURS: i64 = 7 * 24;

pub(super) async fn judge(cluster: &Cluster, namespace: Option<&str>, answer: &mut Answer) {
    let listed = cluster.list(Kind::Job, namespace).await;
    let jobs = answer.or_gap("jobs", listed);
    let mut newest: BTreeMap<Entity, (Timestamp, &Object)> = BTreeMap::new();
    for job in &jobs {
        let owner = job.owner().map(|(kind, name)| Entity::new(kind, job.namespace(), name));
        if let Some(owner) = &owner {
            answer.relate(Relation::new(job.entity(), RelationKind::OwnedBy, owner.clone()));
        }
        if let Some(seen) = failed(job) {
            if let Some(seen) = deadline(job) {
                answer.harm(seen);
            }
            answer.harm(seen);
        } else if let Some(done) = job.time("/status/completionTime") {
            let entry = newest.entry(owner.unwrap_or_else(|| job.entity())).or_insert((done, job));
            if done > entry.0 {
                *entry = (done, job);
            }
        }
    }
    for (done, job) in newest.into_values() {
        if within(done, cluster.now(), TOLD_HOURS) {
            answer.health(succeeded(job, done));
        }
    }
    for job in &jobs {
        if let Some(seen) = running_long(job, &jobs, cluster.now()) {
            answer.harm(seen);
        }
        if let Some(seen) = suspended(job, cluster.now()) {
            answer.neutral(seen);
        }
        if let Some(seen) = started(job, cluster.now()) {
            answer.change(seen);
        }
    }
    scheduled::judge(cluster, namespace, &jobs, answer).await;
}

/// A run is long when it takes this many times the longest before it, and at least so many
/// seconds more.
const LONG: i64 = 3;
const LONG_SECS: i64 = 15 * 60;

/// Seconds between start and end of a run that ended well.
fn took(job: &Object) -> Option<i64> {
    let (start, end) = (job.time("/status/startTime")?, job.time("/status/completionTime")?);
    Some(end.duration_since(start).as_secs())
}

/// Whether a run goes on: neither complete nor failed nor suspended.
fn goes_on(job: &Object) -> bool {
    job.number("/status/active").unwrap_or(0) > 0
        && job.time("/status/completionTime").is_none()
        && job.condition("Failed").is_none_or(|c| c.status != "True")
}

/// A run that takes much longer than those of the same `CronJob` before it.
fn running_long(job: &Object, jobs: &[Object], now: Timestamp) -> Option<Observation> {
    let start = job.time("/status/startTime").filter(|_| goes_on(job))?;
    let (kind, name) = job.owner()?;
    let kin = jobs.iter().filter(|j| j.namespace() == job.namespace() && j.owner() == job.owner());
    let usual = kin.filter_map(took).max()?;
    let runs = now.duration_since(start).as_secs();
    if runs < usual * LONG || runs < usual + LONG_SECS {
        return None;
    }
    let says = format!(
        "Job {} has run for {} min since {start}; runs of {kind} {name} before it took at most {} min",
        job.name(),
        runs / 60,
        usual / 60
    );
    let number = |secs: i64| f64::from(i32::try_from(secs).unwrap_or(i32::MAX));
    Some(
        Observation::new("job.running_long", job.entity(), says)
            .since(start)
            .until(now)
            .value(number(runs), "s")
            .baseline(number(usual))
            .peer(Entity::new(kind, job.namespace(), name)),
    )
}

/// Runs of which the beginning is told, in hours.
const LATELY_HOURS: i64 = 24;

/// A run that goes on and began lately: work that was not there before.
fn started(job: &Object, now: Timestamp) -> Option<Observation> {
    let start = job.time("/status/startTime").filter(|start| within(*start, now, LATELY_HOURS))?;
    if !goes_on(job) {
        return None;
    }
    let owner = job.owner().map(|(kind, name)| format!("{kind}/{name}")).unwrap_or_default();
    let says = format!("Job {} runs since {start}", job.name());
    Some(Observation::new("job.started", job.entity(), says).since(start).attr("owner", owner))
}

/// Ended at its deadline.
fn deadline(job: &Object) -> Option<Observation> {
    let condition = job.condition("Failed").filter(|c| c.reason == "DeadlineExceeded")?;
    let deadline = job.number("/spec/activeDeadlineSeconds");
    let told = deadline.map(|d| format!(" of {d} s")).unwrap_or_default();
    let says = format!("Job {} ran longer than its deadline{told} and was ended", job.name());
    Some(
        Observation::new("job.deadline_exceeded", job.entity(), says)
            .maybe_since(condition.since)
            .maybe_until(condition.since)
            .attr("deadline", deadline.map(|d| d.to_string()).unwrap_or_default())
            .attr("started", job.text("/status/startTime"))
            .quote(condition.message),
    )
}

/// Suspended by whoever set it so; with what people wrote on it.
fn suspended(object: &Object, now: Timestamp) -> Option<Observation> {
    if object.at("/spec/suspend").and_then(serde_json::Value::as_bool) != Some(true) {
        return None;
    }
    let edit = object
        .edits(now)
        .into_iter()
        .rev()
        .find(|e| e.fields.pointer("/f:spec/f:suspend").is_some());
    let note = super::state::notes(object);
    let since = edit.as_ref().map(|e| e.time);
    let by = edit.map(|e| e.manager).unwrap_or_default();
    let at = since.map(|t| format!(" since {t} by {by}")).unwrap_or_default();
    let said = if note.is_empty() { String::new() } else { format!(" ({note})") };
    let says = format!("{} {} is suspended{at}{said}", object.kind(), object.name());
    Some(
        Observation::new("job.suspended", object.entity(), says)
            .maybe_since(since)
            .attr("manager", by)
            .attr("note", note),
    )
}

fn failed(job: &Object) -> Option<Observation> {
    let condition = job.condition("Failed").filter(|c| c.status == "True")?;
    let failed = job.number("/status/failed").unwrap_or(0);
    let limit = job.number("/spec/backoffLimit").unwrap_or(6);
    let at = condition.since.map(|t| format!(" at {t}")).unwrap_or_default();
    let says = format!(
        "Job {} gave up{at}: {}, {failed} failed attempts, backoff limit {limit}",
        job.name(),
        condition.reason
    );
    let owner = job.owner().map(|(kind, name)| Entity::new(kind, job.namespace(), name));
    let seen = Observation::new("job.failed", job.entity(), says)
        .maybe_since(condition.since)
        .maybe_until(condition.since)
        .count(u64::try_from(failed).unwrap_or(0).max(1))
        .attr("reason", condition.reason)
        .attr("failed", failed.to_string())
        .attr("backoff_limit", limit.to_string())
        .attr("started", job.text("/status/startTime"))
        .quote(condition.message);
    Some(match owner {
        Some(owner) => seen.peer(owner),
        None => seen,
    })
}

fn succeeded(job: &Object, done: Timestamp) -> Observation {
    let images: Vec<&str> = job
        .list("/spec/template/spec/containers")
        .iter()
        .filter_map(|c| c.get("image")?.as_str())
        .collect();
    let says = format!("Job {} ended well at {done} ({})", job.name(), images.join(", "));
    Observation::new("job.succeeded", job.entity(), says)
        .maybe_since(job.time("/status/startTime"))
        .until(done)
        .attr("images", images.join(","))
}
