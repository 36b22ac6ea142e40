//! Who edited what, by `managedFields`: the only record of changes that objects carry. Of
//! configuration the current lines are quoted, but none that may hold a secret; of Secrets only
//! names of keys exist here at all.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, object::Edit};
use serde_json::Value;

use super::{drift, templates::Difference, topics};
use crate::within;

/// Edits of configuration and Services are told for a day.
const TOLD_HOURS: i64 = 24;
/// Lines with such words are not quoted.
const HUSHED: [&str; 9] = ["pass", "secret", "token", "key", "cred", "auth", "private", "pwd", "@"];

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    workloads: &[Object],
    answer: &mut Answer,
) {
    let now = cluster.now();
    for kind in [Kind::ConfigMap, Kind::Secret] {
        let listed = cluster.list(kind, namespace).await;
        for object in answer.or_gap(kind.plural(), listed) {
            if let Some(seen) = config_changed(&object, workloads, now) {
                answer.change(seen);
            }
        }
    }
    let listed = cluster.list(Kind::Service, namespace).await;
    for service in answer.or_gap("services", listed) {
        service_changed(&service, now, answer);
    }
}

/// The last edit after creation that was not of the status alone.
pub(crate) fn last_edit(object: &Object, now: Timestamp) -> Option<Edit> {
    let created = object.created();
    let edit = object.edits(now).into_iter().rev().find(|e| !e.status_only)?;
    created.is_none_or(|c| edit.time.duration_since(c).as_secs() > 1).then_some(edit)
}

/// The last edit of a workload's pod template.
pub(super) fn template_edit(workload: &Object, now: Timestamp) -> Option<Edit> {
    let touches = |e: &Edit| !e.status_only && e.fields.pointer("/f:spec/f:template").is_some();
    workload.edits(now).into_iter().rev().find(touches)
}

/// The paths below the template that an edit wrote, short.
pub(super) fn template_paths(edit: &Edit) -> Vec<String> {
    let mut paths = Vec::new();
    if let Some(template) = edit.fields.pointer("/f:spec/f:template") {
        walk(template, "", &mut paths);
    }
    paths.truncate(12);
    paths
}

/// The catalogue's word for a path of [`template_paths`].
pub(super) fn field_of(path: &str) -> &'static str {
    let path = path.strip_prefix("spec.").unwrap_or(path).to_owned();
    Difference { path, old: String::new(), new: String::new() }.field()
}

fn walk(value: &Value, path: &str, paths: &mut Vec<String>) {
    let fields = value.as_object().into_iter().flatten().filter(|(key, _)| key.as_str() != ".");
    let mut leaf = true;
    for (key, inner) in fields {
        leaf = false;
        let step = match key.strip_prefix("f:") {
            Some(field) if path.is_empty() => field.to_owned(),
            Some(field) => format!("{path}.{field}"),
            None => format!("{path}[{}]", named(key)),
        };
        walk(inner, &step, paths);
    }
    if leaf && !path.is_empty() {
        paths.push(path.to_owned());
    }
}

/// `k:{"name":"web"}` as `web`.
fn named(key: &str) -> String {
    let parsed: Option<Value> = key.strip_prefix("k:").and_then(|k| serde_json::from_str(k).ok());
    let first = parsed.as_ref().and_then(|v| v.as_object()?.values().next());
    first.map_or_else(|| key.to_owned(), plugin_cluster::pod::shown)
}

/// Tells an edit of a Service within the last day.
pub(crate) fn service_changed(service: &Object, now: Timestamp, answer: &mut Answer) {
    let Some(edit) = last_edit(service, now).filter(|e| within(e.time, now, TOLD_HOURS)) else {
        return;
    };
    let fields = paths(&edit);
    let differs = drift::drift(service);
    let says = format!(
        "Service {} was edited by {} at {}: {fields}{}",
        service.name(),
        edit.manager,
        edit.time,
        drift::words(&differs)
    );
    let seen = Observation::new("service.changed", service.entity(), says)
        .since(edit.time)
        .until(edit.time)
        .attr("manager", edit.manager)
        .attr("fields", fields);
    answer.change(drift::tell(seen, &differs));
}

/// The paths that an edit wrote, a comma list.
pub(crate) fn paths(edit: &Edit) -> String {
    let mut paths = Vec::new();
    walk(&edit.fields, "", &mut paths);
    paths.truncate(12);
    paths.join(", ")
}

fn config_changed(object: &Object, workloads: &[Object], now: Timestamp) -> Option<Observation> {
    let kept_by_cluster = object.name() == "kube-root-ca.crt"
        || object.annotation("control-plane.alpha.kubernetes.io/leader").is_some();
    if kept_by_cluster {
        return None;
    }
    let (time, manager, keys, how) = match last_edit(object, now) {
        Some(edit) => (edit.time, edit.manager.clone(), data_keys(&edit), "edited"),
        None => {
            let created = object.created().filter(|_| joined_late(object, workloads))?;
            let manager = object.edits(now).pop().map(|e| e.manager).unwrap_or_default();
            (created, manager, Vec::new(), "created")
        }
    };
    if !within(time, now, TOLD_HOURS) {
        return None;
    }
    let keys = keys.join(",");
    let by = if manager.is_empty() { String::new() } else { format!(" by {manager}") };
    let what = if keys.is_empty() { String::new() } else { format!(", keys {keys}") };
    let says = format!("{} {} was {how}{by} at {time}{what}", object.kind(), object.name());
    Some(
        Observation::new("config.changed", object.entity(), says)
            .since(time)
            .until(time)
            .attr("manager", manager)
            .attr("how", how)
            .attr("topics", topics::of(&written(object, &keys)).join(","))
            .quote(&content(object, &keys))
            .attr("keys", keys),
    )
}

/// The edited keys with what they hold now, for their topics alone.
fn written(object: &Object, keys: &str) -> String {
    let data = object.map("/data");
    let edited =
        data.iter().filter(|(k, _)| keys.is_empty() || keys.split(',').any(|key| key == *k));
    let named: String = edited.map(|(key, text)| format!("{key} {text}\n")).collect();
    format!("{keys} {named}")
}

/// Something new in a namespace that was there before is a change; in a new one it is not.
fn joined_late(object: &Object, workloads: &[Object]) -> bool {
    let Some(created) = object.created() else { return false };
    workloads
        .iter()
        .filter(|w| w.namespace() == object.namespace())
        .filter_map(Object::created)
        .any(|older| created.duration_since(older).as_hours() >= 1)
}

fn data_keys(edit: &Edit) -> Vec<String> {
    ["f:data", "f:binaryData", "f:stringData"]
        .iter()
        .filter_map(|part| edit.fields.get(part)?.as_object())
        .flat_map(|keys| keys.keys())
        .filter_map(|key| key.strip_prefix("f:").map(str::to_owned))
        .collect()
}

/// The lines under `keys` as they are now, without those that may hold a secret.
fn content(object: &Object, keys: &str) -> String {
    if object.kind() != "ConfigMap" {
        return String::new();
    }
    let data = object.map("/data");
    let told = data.iter().filter(|(k, _)| keys.is_empty() || keys.split(',').any(|key| key == *k));
    let mut lines = Vec::new();
    for (key, text) in told {
        let hushed = |line: &str| {
            let line = line.to_ascii_lowercase();
            HUSHED.iter().any(|word| line.contains(word))
        };
        if text.contains('\n') {
            let kept = text.lines().map(str::trim).filter(|l| !l.is_empty() && !hushed(l));
            lines.push(format!("{key}:"));
            lines.extend(kept.map(str::to_owned));
        } else if !hushed(key) && !hushed(text) {
            lines.push(format!("{key}={text}"));
        }
    }
    lines.join("\n")
}
