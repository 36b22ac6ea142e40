//! What people declared to be on purpose: workloads retired, paused or suspended, nodes cordoned
//! and emptied, runs by schedule, maintenance noted in annotations. A declaration is shown with
//! its words; it clears nobody by itself, since anyone may write an annotation.

mod sized;

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, object::time_of};
use serde_json::Value;

use crate::{nodes::taint_time, pods::desired, within};

/// What a note speaks of, by its words; the first that fits is told.
const NOTES: &[(&str, &[&str])] = &[
    (
        "retired",
        &[
            "retire",
            "retired",
            "retiring",
            "decommission",
            "decommissioned",
            "decommissioning",
            "deprecated",
            "sunset",
            "end-of-life",
            "end of life",
            "obsolete",
            "replaced by",
            "replaced-by",
            "superseded",
            "migrated to",
            "moved to",
            "switched off",
            "turned off",
            "shut down",
            "no longer used",
            "no longer needed",
        ],
    ),
    (
        "maintenance",
        &["maintenance", "planned downtime", "downtime", "change-window", "change window"],
    ),
    (
        "by_design",
        &[
            "by design",
            "by-design",
            "on purpose",
            "intentional",
            "intentionally",
            "preallocate",
            "preallocated",
            "preallocates",
            "pre-allocate",
            "pre-allocated",
            "pre-allocates",
        ],
    ),
];
/// Longest note that is quoted.
const LONGEST: usize = 240;
/// A drain is over some time after the node was cordoned.
const DRAINS: SignedDuration = SignedDuration::from_hours(3);
/// Pods moved longer ago than this are no news.
const NEWS_HOURS: i64 = 24;

/// Tells what is declared about workloads, their pods and nodes.
pub async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    (workloads, pods, owners): (&[Object], &[Object], &Owners),
    answer: &mut Answer,
) {
    let now = cluster.now();
    for workload in workloads {
        noted(workload, answer);
        set_aside(workload, answer);
        sized::judge(workload, answer);
    }
    let jobs = cluster.list(Kind::Job, namespace).await.unwrap_or_default();
    let crons = cluster.list(Kind::CronJob, namespace).await.unwrap_or_default();
    for job in crons.iter().chain(&jobs) {
        suspended(job, answer);
        noted(job, answer);
    }
    for cron in &crons {
        scheduled(cron, &jobs, now, answer);
    }
    for kind in [Kind::Service, Kind::Namespace] {
        let found = cluster.list(kind, namespace.filter(|_| kind == Kind::Service)).await;
        let own = |o: &Object| kind == Kind::Service || namespace.is_none_or(|ns| ns == o.name());
        found.unwrap_or_default().iter().filter(|o| own(o)).for_each(|o| noted(o, answer));
    }
    let nodes = cluster.list(Kind::Node, None).await.unwrap_or_default();
    for node in nodes.iter().filter(|node| is_cordoned(node)) {
        noted(node, answer);
        drained(node, (workloads, pods, owners), now, answer);
    }
}

/// Whether a text has a word, or words in a row, and not only letters of another word:
/// `retirement-accounts` retires nothing, and nothing is planned about `unplanned-work`.
fn says(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, _)| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let (before, after) = text.split_at(at);
        let after = after.get(words.len()..).unwrap_or_default();
        !letter(before.chars().next_back()) && !letter(after.chars().next())
    })
}

/// Annotations of people that speak of purpose, and labels whose key does.
fn noted(object: &Object, answer: &mut Answer) {
    let annotations = object.map("/metadata/annotations");
    let labels = object.labels();
    for (what, words) in NOTES {
        let note = annotations.iter().chain(&labels).find(|(key, value)| {
            let machine = key.contains("kubernetes.io/last-applied") || value.len() > LONGEST;
            // The value of a label is a name, of a team or a product; names mean nothing.
            let name = !annotations.contains_key(*key);
            let text = if name { (*key).clone() } else { format!("{key} {value}") };
            let text = text.to_ascii_lowercase();
            !machine && !denied(value) && words.iter().any(|word| says(&text, word))
        });
        let Some((key, value)) = note else { continue };
        let says = format!(
            "{} {} is noted as {}: {key}: {value}",
            object.kind(),
            object.name(),
            what.replace('_', " ")
        );
        answer.neutral(declared(object.entity(), what, says).quote(&format!("{key}: {value}")));
    }
}

/// `deprecated: "false"` declares the opposite.
fn denied(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "0" | "none" | "off")
}

pub(crate) fn declared(subject: Entity, what: &str, says: String) -> Observation {
    // Line breaks of a note must not break the sentence.
    Observation::new("intent.declared", subject, says.replace(['\n', '\r'], " "))
        .attr("what", what)
        .attr("key", what)
}

/// Rollouts that are paused, workloads scaled to nothing.
fn set_aside(workload: &Object, answer: &mut Answer) {
    if workload.at("/spec/paused") == Some(&Value::Bool(true)) {
        let says =
            format!("{} {} is paused: it rolls out nothing", workload.kind(), workload.name());
        answer.neutral(declared(workload.entity(), "paused", says));
    }
    let keda = workload.map("/metadata/annotations").keys().any(|k| k.contains("keda"));
    if desired(workload) == 0 && workload.kind() != "DaemonSet" {
        let by = if keda { ", by an autoscaler" } else { "" };
        let says = format!("{} {} is meant to have no pods{by}", workload.kind(), workload.name());
        answer.neutral(declared(workload.entity(), "scaled_to_zero", says));
    }
}

fn suspended(job: &Object, answer: &mut Answer) {
    if job.at("/spec/suspend") == Some(&Value::Bool(true)) {
        let says = format!("{} {} is suspended: it does not run", job.kind(), job.name());
        answer.neutral(declared(job.entity(), "suspended", says));
    }
}

/// A run under way by schedule, as its earlier runs were that ended well.
fn scheduled(cron: &Object, jobs: &[Object], now: Timestamp, answer: &mut Answer) {
    let own: Vec<&Object> = jobs
        .iter()
        .filter(|j| j.namespace() == cron.namespace())
        .filter(|j| j.owner() == Some(("CronJob", cron.name())))
        .collect();
    let runs = |job: &&&Object| {
        job.number("/status/active").unwrap_or(0) > 0
            && job.time("/status/startTime").is_some_and(|at| within(at, now, NEWS_HOURS))
    };
    let Some(run) = own.iter().find(runs) else { return };
    let minutes: Vec<i64> = own
        .iter()
        .filter(|j| j.number("/status/succeeded").unwrap_or(0) > 0)
        .filter_map(|j| {
            let (from, to) = (j.time("/status/startTime")?, j.time("/status/completionTime")?);
            Some(to.duration_since(from).as_mins())
        })
        .collect();
    let (Some(shortest), Some(longest)) = (minutes.iter().min(), minutes.iter().max()) else {
        return;
    };
    let Some(started) = run.time("/status/startTime") else { return };
    // One that runs twice as long as ever is not as always.
    if minutes.len() < 2 || now.duration_since(started).as_mins() > 2 * longest.max(&5) {
        return;
    }
    let says = format!(
        "Job {} runs since {} by the schedule {} of CronJob {}; {} earlier runs ended well in {shortest} to {longest} minutes",
        run.name(),
        started.strftime("%H:%M"),
        cron.text("/spec/schedule"),
        cron.name(),
        minutes.len()
    );
    answer.neutral(declared(cron.entity(), "schedule", says).since(started));
}

fn is_cordoned(node: &Object) -> bool {
    node.at("/spec/unschedulable") == Some(&Value::Bool(true))
}

/// Workloads whose pods were made anew elsewhere as a node was emptied.
fn drained(
    node: &Object,
    (workloads, pods, owners): (&[Object], &[Object], &Owners),
    now: Timestamp,
    answer: &mut Answer,
) {
    let since = cordoned_at(node, now);
    let mut of: BTreeMap<Entity, Vec<&Object>> = BTreeMap::new();
    for pod in pods.iter().filter(|p| p.text("/status/phase") != "Failed") {
        of.entry(owners.top(pod)).or_default().push(pod);
    }
    for workload in workloads.iter().filter(|w| w.kind() != "DaemonSet") {
        let own = of.remove(&workload.entity()).unwrap_or_default();
        let stays = own.iter().any(|p| p.text("/spec/nodeName") == node.name());
        let moved = |pod: &&&Object| {
            let Some(made) = pod.created().filter(|made| within(*made, now, NEWS_HOURS)) else {
                return false;
            };
            match since {
                Some(since) => made >= since && made.duration_since(since) <= DRAINS,
                // Without the time of the cordon, pods younger than their siblings.
                None => {
                    own.iter().any(|o| o.created().is_some_and(|t| made.duration_since(t) > DRAINS))
                }
            }
        };
        let moved: Vec<Timestamp> = own.iter().filter(moved).filter_map(|p| p.created()).collect();
        let (Some(first), Some(last)) = (moved.iter().min(), moved.iter().max()) else { continue };
        if stays || rolled_since(workload, *first) {
            continue;
        }
        let at = since.map(|t| format!(" at {}", t.strftime("%H:%M"))).unwrap_or_default();
        let says = format!(
            "{} of {} pods of {} {} were made anew elsewhere from {} on, as node {} was cordoned{at} and emptied",
            moved.len(),
            own.len(),
            workload.kind(),
            workload.name(),
            first.strftime("%H:%M"),
            node.name()
        );
        let fact = declared(workload.entity(), "drain", says).since(*first).until(*last);
        answer.neutral(fact.peer(node.entity()));
    }
}

/// When a node was cordoned: by its taint, else by who wrote the field.
fn cordoned_at(node: &Object, now: Timestamp) -> Option<Timestamp> {
    let wrote = |fields: &Value| fields.pointer("/f:spec/f:unschedulable").is_some();
    let by_taint = taint_time(node, "node.kubernetes.io/unschedulable");
    by_taint.or_else(|| {
        let edits = node.edits(now);
        edits.iter().rev().find(|edit| wrote(&edit.fields)).map(|edit| edit.time)
    })
}

/// Pods that a rollout made anew were not moved. A Deployment notes when its newest template was
/// last in progress; the condition's status stays as it is all the while.
fn rolled_since(workload: &Object, first: Timestamp) -> bool {
    let progress = workload
        .list("/status/conditions")
        .iter()
        .find(|c| c.get("type").and_then(Value::as_str) == Some("Progressing"));
    let updated = progress.and_then(|c| time_of(c.get("lastUpdateTime")));
    let revisions =
        (workload.text("/status/currentRevision"), workload.text("/status/updateRevision"));
    updated.is_some_and(|at| at >= first) || revisions.0 != revisions.1
}
