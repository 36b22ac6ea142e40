//! How Jobs ended. Of a `CronJob`'s Jobs each failed one is told and the newest that succeeded.

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
