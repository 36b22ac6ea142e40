//! Objects and recordings for these tests.

use agent_sdk::{Observation, Output, wire};
use plugin_cluster::{Cluster, kit::Recording};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const NOW: &str = "2025-05-01T12:00:00Z";

pub(crate) fn cluster(objects: &[Value]) -> (TempDir, Cluster) {
    let dir = TempDir::new().unwrap();
    let recording = Recording::write(dir.path(), NOW, objects).unwrap();
    let cluster = recording.open().unwrap();
    (dir, cluster)
}

/// Merges `part` into `whole`, objects key by key.
pub(crate) fn merge(whole: &mut Value, part: &Value) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                merge(whole.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (whole, part) => *whole = part.clone(),
    }
}

/// A ready pod of Deployment `web` in namespace `shop` with container `app`, changed by `part`.
pub(crate) fn pod(name: &str, part: &Value) -> Value {
    let mut pod = json!({"kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-05-01T08:00:00Z",
            "labels": {"app": "web", "pod-template-hash": "7d"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7d", "controller": true}]},
        "spec": {"nodeName": "node-1", "containers": [{"name": "app", "image": "r.example/web:1.4",
            "ports": [{"name": "http", "containerPort": 8080}],
            "resources": {"limits": {"memory": "256Mi"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "app", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2025-05-01T08:00:05Z"}}}]}});
    merge(&mut pod, part);
    pod
}

/// What a pod looks like whose container waits.
pub(crate) fn waiting(reason: &str, message: &str) -> Value {
    json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2025-05-01T11:00:00Z"}],
        "containerStatuses": [{"name": "app", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": reason, "message": message}}}]}})
}

pub(crate) fn facts<'a>(output: &'a Output, signal: &str) -> Vec<&'a wire::Observation> {
    let all = output.observations().iter().filter(|o| o.signal() == signal);
    all.map(Observation::as_wire).collect()
}

/// The only fact of `signal`.
pub(crate) fn fact<'a>(output: &'a Output, signal: &str) -> &'a wire::Observation {
    let found = facts(output, signal);
    let seen: Vec<&str> = output.observations().iter().map(Observation::signal).collect();
    assert_eq!(found.len(), 1, "{signal} among {seen:?}");
    found[0]
}

pub(crate) fn start(observation: &wire::Observation) -> String {
    let time = observation.start_time.as_ref().expect("a start");
    jiff::Timestamp::new(time.seconds, time.nanos).unwrap().to_string()
}

pub(crate) fn peer(observation: &wire::Observation) -> String {
    observation.peer.as_ref().map(|p| format!("{}/{}", p.kind, p.name)).unwrap_or_default()
}

/// A recording of `objects` in which the containers say `logs`: path below `logs/` and content.
pub(crate) fn speaking(objects: &[Value], logs: &[(&str, &str)]) -> (TempDir, Cluster) {
    let dir = TempDir::new().unwrap();
    let mut recording = Recording::write(dir.path(), NOW, objects).unwrap();
    for (path, lines) in logs {
        recording = recording.file(&format!("logs/{path}"), lines).unwrap();
    }
    let cluster = recording.open().unwrap();
    (dir, cluster)
}
