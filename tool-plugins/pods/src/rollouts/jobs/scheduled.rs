//! `CronJob`s whose last due run did not start, and why.

use agent_sdk::{Entity, Observation};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Cluster, Kind, Object};
use serde_json::Value;

use super::{super::state::notes, goes_on, schedule::Schedule, suspended};

/// The controller may take this long to start a run.
const GRACE: SignedDuration = SignedDuration::from_mins(3);

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    jobs: &[Object],
    answer: &mut Answer,
) {
    let listed = cluster.list(Kind::CronJob, namespace).await;
    for scheduled in answer.or_gap("cronjobs", listed) {
        if let Some(seen) = suspended(&scheduled, cluster.now()) {
            answer.neutral(seen);
        }
        if let Some(seen) = missed(&scheduled, jobs, cluster.now()) {
            answer.harm(seen);
        }
        if let Some(seen) = no_success(&scheduled, jobs, cluster.now()) {
            answer.neutral(seen);
        }
    }
}

/// A run may be under way this long after it was due.
const UNDER_WAY: SignedDuration = SignedDuration::from_mins(30);

/// What it makes is older than its schedule says: no run since the last that was due ended well.
fn no_success(scheduled: &Object, jobs: &[Object], now: Timestamp) -> Option<Observation> {
    let schedule = Schedule::read(scheduled.text("/spec/schedule"))?;
    let due = schedule.last(now.checked_sub(UNDER_WAY).ok()?, scheduled.text("/spec/timeZone"))?;
    let runs = jobs.iter().filter(|job| {
        job.namespace() == scheduled.namespace()
            && job.owner() == Some(("CronJob", scheduled.name()))
    });
    let done = runs.clone().filter_map(|job| job.time("/status/completionTime"));
    let success = done.chain(scheduled.time("/status/lastSuccessfulTime")).max();
    let old = scheduled.created().is_none_or(|made| made < due);
    if !old || success.is_some_and(|at| at >= due) {
        return None;
    }
    let newest = runs.max_by_key(|job| job.time("/status/startTime").or_else(|| job.created()));
    let ended = newest.and_then(|job| job.condition("Failed")).filter(|c| c.status == "True");
    let why = match (ended, scheduled.at("/spec/suspend")) {
        (_, Some(&Value::Bool(true))) => "suspended",
        (Some(_), _) => "failed",
        (None, _) if newest.is_some_and(goes_on) => "running",
        (None, _) => "unknown",
    };
    let last = success.map_or_else(|| "never told".to_owned(), |at| at.to_string());
    let says = format!(
        "CronJob {} has had no good run since the one due at {due}: its last success is {last}{}",
        scheduled.name(),
        newest.map(|job| format!(", its newest run is {}", job.name())).unwrap_or_default()
    );
    let seen = Observation::new("job.no_success", scheduled.entity(), says)
        .since(due)
        .until(now)
        .attr("why", why)
        .attr("last", last);
    Some(match newest {
        Some(job) => seen.peer(Entity::new("Job", job.namespace(), job.name())),
        None => seen,
    })
}

fn missed(scheduled: &Object, jobs: &[Object], now: Timestamp) -> Option<Observation> {
    let text = scheduled.text("/spec/schedule");
    let zone = scheduled.text("/spec/timeZone");
    let schedule = Schedule::read(text);
    let runs = running(scheduled, jobs);
    let off = scheduled.at("/spec/suspend") == Some(&Value::Bool(true));
    // What people put a note on is on purpose.
    if off && !notes(scheduled).is_empty() {
        return None;
    }
    let (why, due) = match &schedule {
        None => ("schedule", None),
        Some(schedule) => {
            // One that began only after its last due time missed nothing.
            let due = schedule.last(now.checked_sub(GRACE).ok()?, zone)?;
            let began = scheduled.created().is_none_or(|made| made < due);
            let started = scheduled.time("/status/lastScheduleTime");
            if !began || started.is_none_or(|s| s >= due) {
                return None;
            }
            (of(scheduled, &runs, due, now), Some(due))
        }
    };
    let blocker = runs.first().filter(|_| why == "blocked");
    let told = match (why, blocker) {
        ("blocked", Some(job)) => {
            let since = job.text("/status/startTime");
            format!(": Job {} runs since {since} and concurrencyPolicy is Forbid", job.name())
        }
        ("suspended", _) => ": it is suspended".to_owned(),
        ("schedule", _) => format!(": its schedule {text:?} cannot be read"),
        _ => String::new(),
    };
    let last = scheduled.text("/status/lastScheduleTime");
    let when = due.map(|t| format!(" the run due at {t}")).unwrap_or_default();
    let says = format!(
        "CronJob {} did not start{when} (schedule {text}, last started at {last}){told}",
        scheduled.name()
    );
    let seen = Observation::new("job.missed", scheduled.entity(), says)
        .maybe_since(due)
        .until(now)
        .attr("why", why)
        .attr("schedule", text)
        .attr("last", last);
    Some(match blocker {
        Some(job) => seen.peer(Entity::new("Job", job.namespace(), job.name())),
        None => seen,
    })
}

/// Runs that go on.
fn running<'a>(scheduled: &Object, jobs: &'a [Object]) -> Vec<&'a Object> {
    let own = |job: &&Object| {
        job.namespace() == scheduled.namespace()
            && job.owner() == Some(("CronJob", scheduled.name()))
    };
    jobs.iter().filter(own).filter(|job| goes_on(job)).collect()
}

fn of(scheduled: &Object, runs: &[&Object], due: Timestamp, now: Timestamp) -> &'static str {
    let forbids = scheduled.text("/spec/concurrencyPolicy") == "Forbid";
    let deadline = scheduled.number("/spec/startingDeadlineSeconds");
    if scheduled.at("/spec/suspend") == Some(&Value::Bool(true)) {
        "suspended"
    } else if forbids && !runs.is_empty() {
        "blocked"
    } else if deadline.is_some_and(|d| now.duration_since(due).as_secs() > d) {
        "late"
    } else {
        "other"
    }
}
