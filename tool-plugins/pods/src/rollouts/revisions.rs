//! The newest two revisions of a workload: what was rolled out, when, and whether it gets on.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, sayings};
use serde_json::Value;

use super::{edits, templates, topics};
use crate::within;

/// Older rollouts are not told: two weeks, in hours.
const TOLD_HOURS: i64 = 14 * 24;
/// A rollout that takes longer than this without getting on is called stuck.
const PATIENCE_MINS: i64 = 5;
const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";

pub(super) struct Revisions {
    /// `ReplicaSet`s and `ControllerRevision`s.
    all: Vec<Object>,
}

/// The newest revision and the one before.
struct Pair<'a> {
    new: &'a Object,
    old: Option<&'a Object>,
}

// === impl Revisions ===

impl Revisions {
    pub(super) async fn read(
        cluster: &Cluster,
        namespace: Option<&str>,
        answer: &mut Answer,
    ) -> Self {
        let mut all = Vec::new();
        for kind in [Kind::ReplicaSet, Kind::ControllerRevision] {
            let listed = cluster.list(kind, namespace).await;
            all.extend(answer.or_gap(kind.plural(), listed));
        }
        Self { all }
    }

    fn pair(&self, workload: &Object) -> Option<Pair<'_>> {
        let mut own: Vec<&Object> = self
            .all
            .iter()
            .filter(|r| r.namespace() == workload.namespace())
            .filter(|r| r.owner() == Some((workload.kind(), workload.name())))
            .collect();
        own.sort_by_key(|r| (number(r), r.created()));
        let new = own.pop()?;
        Some(Pair { new, old: own.pop() })
    }

    /// Tells the last rollout of `workload` when it is not too old to matter.
    pub(super) fn judge(&self, workload: &Object, now: Timestamp, answer: &mut Answer) {
        let observation = match self.pair(workload) {
            Some(Pair { new, old: Some(old) }) => rolled_out(workload, new, old, now),
            Some(Pair { old: None, .. }) | None => edited(workload, now),
        };
        if let Some(observation) = observation {
            answer.change(observation);
        }
    }

    /// When the template in force came into force, as far as objects tell.
    pub(super) fn in_force_since(&self, workload: &Object, now: Timestamp) -> Option<Timestamp> {
        let pair = self.pair(workload);
        let made = pair.and_then(|p| rollout_time(workload, p.new, p.old, now));
        let edited = edits::template_edit(workload, now).map(|e| e.time);
        [made, edited, workload.created()].into_iter().flatten().max()
    }

    /// Tells a rollout that does not get on.
    pub(super) fn stuck(
        &self,
        workload: &Object,
        pods: &[&Object],
        now: Timestamp,
        answer: &mut Answer,
    ) {
        if workload.kind() != "Deployment" {
            return stuck_in_place(workload, pods, now, answer);
        }
        let overdue =
            workload.condition("Progressing").filter(|c| c.reason == "ProgressDeadlineExceeded");
        let Some(Pair { new, old: Some(_) }) = self.pair(workload) else {
            if let Some(c) = overdue {
                let says =
                    format!("Deployment {} makes no progress: {}", workload.name(), c.message);
                let seen = Observation::new("workload.rollout_stuck", workload.entity(), says);
                answer.harm(
                    seen.maybe_since(c.since).until(now).attr("reason", c.reason).quote(c.message),
                );
            }
            return;
        };
        let wanted = new.number("/spec/replicas").unwrap_or(0);
        let ready = new.number("/status/readyReplicas").unwrap_or(0);
        let began = rollout_time(workload, new, None, now);
        let late = began.is_some_and(|t| now.duration_since(t).as_mins() >= PATIENCE_MINS);
        if overdue.is_none() && (ready >= wanted || !late || !within_told(began, now)) {
            return;
        }
        let done =
            workload.condition("Progressing").is_some_and(|c| c.reason == "NewReplicaSetAvailable");
        let own = pods.iter().filter(|p| p.owner() == Some((new.kind(), new.name())));
        if done && !own.clone().any(|p| never_ready(p)) {
            // It had come through; what failed later is no matter of the rollout's progress.
            return;
        }
        let reason = overdue.map_or("NotReady", |c| c.reason);
        let says = format!(
            "rollout of Deployment {} is stuck: {ready} of {wanted} new pods ready{}",
            workload.name(),
            began.map(|t| format!(", begun {} ago at {t}", crate::ago(t, now))).unwrap_or_default()
        );
        answer.harm(
            Observation::new("workload.rollout_stuck", workload.entity(), says)
                .maybe_since(began)
                .until(now)
                .attr("revision", number(new).to_string())
                .attr("reason", reason)
                .quote(overdue.map_or("", |c| c.message)),
        );
    }
}

/// Whether a pod was not ready from its first half minute on.
fn never_ready(pod: &Object) -> bool {
    let unready = pod.condition("Ready").filter(|c| c.status != "True");
    let first = unready.and_then(|c| Some(c.since?.duration_since(pod.created()?).as_secs()));
    first.is_some_and(|secs| secs <= 30)
}

/// `StatefulSet`s and `DaemonSet`s replace pods in place: stuck when an updated pod is not ready.
fn stuck_in_place(workload: &Object, pods: &[&Object], now: Timestamp, answer: &mut Answer) {
    let current = workload.text("/status/currentRevision");
    let update = workload.text("/status/updateRevision");
    let moving = workload.kind() == "StatefulSet" && !update.is_empty() && current != update;
    let Some(pod) = pods.iter().find(|p| {
        p.labels().get("controller-revision-hash").is_some_and(|h| h == update)
            && p.condition("Ready").is_none_or(|c| c.status != "True")
    }) else {
        return;
    };
    let since = pod.created();
    let late = since.is_some_and(|t| now.duration_since(t).as_mins() >= PATIENCE_MINS);
    if !moving || !late {
        return;
    }
    let says = format!(
        "rollout of {} {} is stuck: updated pod {} is not ready",
        workload.kind(),
        workload.name(),
        pod.name()
    );
    answer.harm(
        Observation::new("workload.rollout_stuck", workload.entity(), says)
            .maybe_since(since)
            .until(now)
            .attr("revision", update)
            .attr("reason", "NotReady"),
    );
}

fn number(revision: &Object) -> i64 {
    revision.number("/revision").or_else(|| revision.text(REVISION).parse().ok()).unwrap_or(0)
}

/// The template in a `ReplicaSet`, or in the data of a `ControllerRevision`.
fn template(revision: &Object) -> Option<&Value> {
    revision.at("/spec/template").or_else(|| revision.at("/data/spec/template"))
}

fn within_told(time: Option<Timestamp>, now: Timestamp) -> bool {
    time.is_some_and(|t| within(t, now, TOLD_HOURS))
}

/// When the newest revision came into force: it was made then, unless it is an old one that was
/// gone back to; then the workload's last edit tells.
fn rollout_time(
    workload: &Object,
    new: &Object,
    old: Option<&Object>,
    now: Timestamp,
) -> Option<Timestamp> {
    let made = new.created();
    let went_back = old.is_some_and(|old| old.created() > made);
    if went_back { edits::template_edit(workload, now).map(|e| e.time).or(made) } else { made }
}

fn rolled_out(
    workload: &Object,
    new: &Object,
    old: &Object,
    now: Timestamp,
) -> Option<Observation> {
    let when = rollout_time(workload, new, Some(old), now);
    if !within_told(when, now) {
        return None;
    }
    let differences = templates::differences(template(old)?, template(new)?);
    let mut fields: Vec<&str> = differences.iter().map(templates::Difference::field).collect();
    fields.sort_unstable();
    fields.dedup();
    let told: Vec<String> = differences
        .iter()
        .filter(|d| d.new != "present" && d.old != "present")
        .take(4)
        .map(|d| format!("{} {} -> {}", d.path, d.old, d.new))
        .collect();
    let written: String =
        differences.iter().map(|d| format!("{} {} {}\n", d.path, d.old, d.new)).collect();
    let what = if told.is_empty() { "same template".to_owned() } else { told.join("; ") };
    let at = when.map(|t| t.to_string()).unwrap_or_default();
    let by = edits::template_edit(workload, now).map(|e| e.manager).unwrap_or_default();
    let says = format!("{} {} was rolled out at {at}: {what}", workload.kind(), workload.name());
    let mut seen = Observation::new("workload.rolled_out", workload.entity(), says)
        .maybe_since(when)
        .maybe_until(when)
        .attr("revision", number(new).to_string())
        .attr("fields", fields.join(","))
        .attr("what", what_of(&fields, &differences))
        .attr("topics", topics::of(&written).join(","))
        .attr("manager", by);
    if let Some(image) = differences.iter().find(|d| d.field() == "image") {
        seen = seen
            .attr("image_old", image.old.as_str())
            .attr("image_new", image.new.as_str())
            .attr("tag_new", sayings::tag(&image.new));
        if sayings::registry(&image.old) != sayings::registry(&image.new) {
            seen = seen.attr("registry", "other");
        }
    }
    if differences.iter().any(cuts_cpu) {
        seen = seen.attr("cpu_limit", "cut");
    }
    for d in differences.iter().filter(|d| d.new != "present" && d.old != "present").take(20) {
        seen = seen.attr(format!("change.{}", d.path), format!("{} -> {}", d.old, d.new));
    }
    Some(seen)
}

/// Whether a CPU limit is a third of what it was, or less: then it was not merely trimmed.
fn cuts_cpu(difference: &templates::Difference) -> bool {
    let cores = |text: &str| plugin_cluster::quantity::parse(text).filter(|cores| *cores > 0.0);
    difference.path.ends_with("resources.limits.cpu")
        && cores(&difference.old)
            .zip(cores(&difference.new))
            .is_some_and(|(old, new)| new * 3.0 <= old)
}

/// As [`what_changed`], but a variable that only changes what a program says of itself is no setting
/// that can break it.
fn what_of(fields: &[&str], differences: &[templates::Difference]) -> &'static str {
    let telling = differences.iter().filter(|d| d.field() == "env").all(only_tells);
    if telling && fields == ["env"] { "telling" } else { what_changed(fields) }
}

/// Whether a variable only changes what a program says of itself.
fn only_tells(difference: &templates::Difference) -> bool {
    const TELLING: &[&str] =
        &["LOG_LEVEL", "LOGLEVEL", "LOG_FORMAT", "LOGGING_LEVEL", "RUST_LOG", "OTEL_", "SAMPLING"];
    let path = difference.path.to_ascii_uppercase();
    TELLING.iter().any(|word| path.contains(word))
}

/// Whether the program or its settings changed: a new image is other code, whatever came with it;
/// variables, arguments and what is mounted are settings; a mere restart takes over what was edited
/// elsewhere.
fn what_changed(fields: &[&str]) -> &'static str {
    let any = |of: &[&str]| fields.iter().any(|field| of.contains(field));
    if any(&["image"]) {
        "code"
    } else if any(&["env", "command", "volumes", "dns"]) {
        "settings"
    } else if any(&["resources", "probes", "scheduling"]) {
        "shape"
    } else if any(&["restart"]) {
        "restart"
    } else {
        "other"
    }
}

/// Without an older revision to compare with, the edit itself is all there is to tell.
fn edited(workload: &Object, now: Timestamp) -> Option<Observation> {
    let edit = edits::template_edit(workload, now)?;
    let created = workload.created();
    let later = created.is_none_or(|c| now >= c && edit.time.duration_since(c).as_secs() > 1);
    if !later || !within_told(Some(edit.time), now) {
        return None;
    }
    let paths = edits::template_paths(&edit);
    let says = format!(
        "{} {} was edited by {} at {}: {}",
        workload.kind(),
        workload.name(),
        edit.manager,
        edit.time,
        paths.join(", ")
    );
    let mut fields: Vec<&str> = paths.iter().map(|p| edits::field_of(p)).collect();
    fields.sort_unstable();
    fields.dedup();
    Some(
        Observation::new("workload.rolled_out", workload.entity(), says)
            .since(edit.time)
            .until(edit.time)
            .attr("revision", "")
            .attr("fields", fields.join(","))
            .attr("what", what_changed(&fields))
            .attr("manager", edit.manager.as_str()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_only_changes_what_is_logged_is_no_setting_that_breaks() {
        let env = |name: &str| templates::Difference {
            path: format!("containers[web].env[{name}]"),
            old: "a".to_owned(),
            new: "b".to_owned(),
        };
        let what = |names: &[&str], fields: &[&str]| {
            let differences: Vec<_> = names.iter().map(|name| env(name)).collect();
            what_of(fields, &differences)
        };
        assert_eq!(what(&["LOG_LEVEL", "OTEL_TRACES_SAMPLER"], &["env"]), "telling");
        assert_eq!(what(&["LOG_LEVEL", "DB_HOST"], &["env"]), "settings");
        assert_eq!(what(&["LOG_LEVEL"], &["env", "image"]), "code");
    }

    #[test]
    fn a_cpu_limit_is_cut_when_a_third_or_less_is_left() {
        let limit = |old: &str, new: &str| templates::Difference {
            path: "containers[web].resources.limits.cpu".to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        };
        for (old, new, cut) in [
            ("1500m", "80m", true),
            ("2", "500m", true),
            ("500m", "400m", false),
            ("100m", "1", false),
            ("(none)", "100m", false),
        ] {
            assert_eq!(cuts_cpu(&limit(old, new)), cut, "{old} -> {new}");
        }
    }
}
