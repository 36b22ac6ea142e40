//! Each kind of event, and how events about one thing become one fact.

use agent_sdk::{FailureClass, Observation, Output, wire};
use plugin_cluster::{Cluster, kit::Recording};
use plugin_events::{args::Where, events::check_events};
use serde_json::{Value, json};
use tempfile::TempDir;

const NOW: &str = "2025-05-01T12:00:00Z";

pub(crate) fn cluster(objects: &[Value]) -> (TempDir, Cluster) {
    let dir = TempDir::new().unwrap();
    let recording = Recording::write(dir.path(), NOW, objects).unwrap();
    let cluster = recording.open().unwrap();
    (dir, cluster)
}

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_events(&cluster, &Where::default()).await.unwrap()
}

/// A Warning about container `app` of pod `web-7d-a`.
pub(crate) fn event(reason: &str, message: &str) -> Value {
    about(
        reason,
        message,
        &json!({"kind": "Pod", "namespace": "shop", "name": "web-7d-a", "fieldPath": "spec.containers{app}"}),
    )
}

fn about(reason: &str, message: &str, object: &Value) -> Value {
    // Names of events differ, or the recording would hold one only.
    json!({"kind": "Event", "metadata": {"name": format!("{reason}.{message}.{object}"), "namespace": "shop"}, "type": "Warning", "reason": reason, "message": message,
        "involvedObject": object, "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2025-05-01T11:00:00Z", "lastTimestamp": "2025-05-01T11:50:00Z", "count": 5})
}

fn signals(output: &Output) -> Vec<&str> {
    output.observations().iter().map(Observation::signal).collect()
}

fn fact<'a>(output: &'a Output, signal: &str) -> &'a wire::Observation {
    let found: Vec<&Observation> =
        output.observations().iter().filter(|o| o.signal() == signal).collect();
    assert_eq!(found.len(), 1, "{signal} among {:?}", signals(output));
    found[0].as_wire()
}

fn peer(observation: &wire::Observation) -> String {
    observation.peer.as_ref().map(|p| format!("{}/{}", p.kind, p.name)).unwrap_or_default()
}

#[tokio::test]
async fn each_reason_is_told_in_the_words_of_the_catalogue() {
    let pod = json!({"kind": "Pod", "namespace": "shop", "name": "web-7d-a"});
    let node = json!({"kind": "Node", "name": "node-1"});
    let of = |kind: &str, name: &str| json!({"kind": kind, "namespace": "shop", "name": name});
    for (event, signal, attribute, value) in [
        (
            event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"),
            "container.liveness_failed",
            "status",
            "500",
        ),
        (
            event(
                "Unhealthy",
                "Readiness probe failed: dial tcp 10.0.0.1:80: connect: connection refused",
            ),
            "container.readiness_failed",
            "port",
            "80",
        ),
        (
            event("Unhealthy", "Startup probe failed: command timed out"),
            "container.startup_failed",
            "why",
            "timeout",
        ),
        (
            event("Killing", "Container app failed liveness probe, will be restarted"),
            "container.liveness_failed",
            "killed",
            "true",
        ),
        (
            event("Failed", "Failed to pull image \"r/web:1.5\": manifest unknown"),
            "container.image_pull_failed",
            "tag",
            "1.5",
        ),
        (
            event("Failed", "Error: failed to create containerd task: exec format error"),
            "container.create_failed",
            "why",
            "exec_format",
        ),
        (
            about("FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.", &pod),
            "pod.unschedulable",
            "resources",
            "cpu",
        ),
        (about("Preempted", "Preempted by pod x", &pod), "pod.preempted", "", ""),
        (
            about(
                "FailedCreate",
                "Error creating: pods \"web-7d-x\" is forbidden: exceeded quota: team, requested: pods=1",
                &of("ReplicaSet", "web-7d"),
            ),
            "policy.quota_exceeded",
            "by",
            "team",
        ),
        (
            about(
                "FailedCreate",
                "Error creating: Internal error occurred: failed calling webhook \"check.example\": timeout",
                &of("ReplicaSet", "web-7d"),
            ),
            "policy.webhook_failed",
            "webhook",
            "check.example",
        ),
        (
            about(
                "ProvisioningFailed",
                "storageclass.storage.k8s.io \"fast\" not found",
                &of("PersistentVolumeClaim", "data"),
            ),
            "storage.claim_pending",
            "class",
            "fast",
        ),
        (
            about(
                "BackoffLimitExceeded",
                "Job has reached the specified backoff limit",
                &of("Job", "nightly"),
            ),
            "job.failed",
            "reason",
            "BackoffLimitExceeded",
        ),
        (
            about("NodeNotReady", "Node node-1 status is now: NodeNotReady", &node),
            "node.not_ready",
            "",
            "",
        ),
        (
            about("EvictionThresholdMet", "Attempting to reclaim memory", &node),
            "node.memory_pressure",
            "resource",
            "memory",
        ),
        (
            about("SomethingNew", "never seen before", &pod),
            "event.warning",
            "reason",
            "SomethingNew",
        ),
    ] {
        let output = check(&[event]).await;
        let seen = fact(&output, signal);
        assert_eq!(seen.attributes.get(attribute).map_or("", String::as_str), value, "{signal}");
        assert_eq!(seen.count, 5, "{signal}");
    }
}

#[tokio::test]
async fn ordinary_events_are_not_told() {
    for (reason, message) in [
        ("Scheduled", "Successfully assigned shop/web-7d-a to node-1"),
        ("Killing", "Stopping container app"),
        ("Pulled", "Container image \"r/web:1\" already present on machine"),
        ("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
    ] {
        let mut ordinary = event(reason, message);
        ordinary["type"] = json!("Normal");
        assert_eq!(signals(&check(&[ordinary]).await), Vec::<&str>::new(), "{reason}");
    }
}

#[tokio::test]
async fn a_kill_by_the_kubelet_is_told_though_its_event_is_a_normal_one() {
    let mut killing = event("Killing", "Container app failed liveness probe, will be restarted");
    killing["type"] = json!("Normal");
    let output = check(&[killing]).await;
    assert_eq!(
        fact(&output, "container.liveness_failed").subject.as_ref().unwrap().container,
        "app"
    );
}

#[tokio::test]
async fn events_about_one_thing_are_one_fact_from_first_to_last_with_the_telling_words() {
    let mut pulling = event("BackOff", "Back-off pulling image \"r/web:1.5\"");
    pulling["firstTimestamp"] = json!("2025-05-01T10:00:00Z");
    let mut bare = event("Failed", "Error: ImagePullBackOff");
    bare["lastTimestamp"] = json!("2025-05-01T11:58:00Z");
    let telling = event(
        "Failed",
        "Failed to pull image \"r/web:1.5\": rpc error: code = NotFound desc = not found",
    );
    let output = check(&[pulling, telling, bare]).await;
    let seen = fact(&output, "container.image_pull_failed");
    assert_eq!(
        (seen.count, seen.attributes["why"].as_str(), seen.attributes["image"].as_str()),
        (15, "not_found", "r/web:1.5")
    );
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    assert_eq!(seen.start_time.as_ref().unwrap().seconds, seconds("2025-05-01T10:00:00Z"));
    assert_eq!(seen.end_time.as_ref().unwrap().seconds, seconds("2025-05-01T11:58:00Z"));
    assert!(seen.quote.contains("NotFound"));
}

#[tokio::test]
async fn a_volume_that_needs_a_missing_secret_tells_the_secret_too() {
    let pod = json!({"kind": "Pod", "namespace": "shop", "name": "web-7d-a"});
    let output = check(&[about(
        "FailedMount",
        "MountVolume.SetUp failed for volume \"certs\" : secret \"edge-tls\" not found",
        &pod,
    )])
    .await;
    assert_eq!(fact(&output, "storage.mount_failed").attributes["volume"], "certs");
    assert_eq!(peer(fact(&output, "container.config_missing")), "Secret/edge-tls");
    assert_eq!(fact(&output, "config.missing").subject.as_ref().unwrap().name, "edge-tls");
}

#[tokio::test]
async fn a_missing_key_is_told_of_container_and_object() {
    let output =
        check(&[event("Failed", "Error: couldn't find key url in ConfigMap shop/settings")]).await;
    assert_eq!(fact(&output, "container.config_missing").attributes["key"], "url");
    assert_eq!(peer(fact(&output, "config.key_missing")), "Pod/web-7d-a");
}

#[tokio::test]
async fn an_evicted_pod_that_is_gone_still_leads_to_its_node_and_workload() {
    let pod = json!({"kind": "Pod", "namespace": "shop", "name": "web-7d-gone"});
    let deployment =
        |name: &str| json!({"kind": "Deployment", "metadata": {"name": name, "namespace": "shop"}});
    let output = check(&[
        about("Evicted", "The node was low on resource: memory.", &pod),
        deployment("web"),
        deployment("we"),
    ])
    .await;
    let seen = fact(&output, "pod.evicted");
    assert_eq!(
        (peer(seen).as_str(), seen.attributes["resource"].as_str()),
        ("Node/node-1", "memory")
    );
    let told: Vec<String> =
        output.relations().iter().map(|r| format!("{:?} {}", r.kind, r.to.name)).collect();
    assert_eq!(told, ["OwnedBy web", "RunsOn node-1"]);
}

#[tokio::test]
async fn events_of_other_namespaces_are_left_out_and_those_of_nodes_are_not() {
    let (_dir, cluster) = cluster(&[
        event("Preempted", "by another"),
        about("Preempted", "by another", &json!({"kind": "Pod", "namespace": "pay", "name": "x"})),
        about("NodeNotReady", "lost", &json!({"kind": "Node", "name": "node-1"})),
    ]);
    let args = Where { namespace: "pay".into(), service: String::new() };
    let output = check_events(&cluster, &args).await.unwrap();
    assert_eq!(signals(&output), ["node.not_ready", "pod.preempted"]);
    assert_eq!(fact(&output, "pod.preempted").subject.as_ref().unwrap().name, "x");
}

#[tokio::test]
async fn moving_one_replica_set_is_scaling_and_moving_two_is_a_rollout() {
    let web = json!({"kind": "Deployment", "namespace": "shop", "name": "web"});
    let step = |message: &str, at: &str| {
        let mut step = about("ScalingReplicaSet", message, &web);
        step["type"] = json!("Normal");
        step["lastTimestamp"] = json!(at);
        step
    };
    let scaled =
        check(&[step("Scaled up replica set web-7d from 2 to 6", "2025-05-01T11:50:00Z")]).await;
    let seen = fact(&scaled, "workload.scaled");
    assert_eq!((seen.attributes["from"].as_str(), seen.attributes["to"].as_str()), ("2", "6"));
    assert_eq!(seen.attributes["direction"], "up");
    let rolled = check(&[
        step("Scaled up replica set web-8e from 0 to 2", "2025-05-01T11:50:00Z"),
        step("Scaled down replica set web-7d from 2 to 1", "2025-05-01T11:50:20Z"),
    ])
    .await;
    assert_eq!(signals(&rolled), Vec::<&str>::new());
}

#[tokio::test]
async fn the_newer_shape_of_events_is_read_as_well() {
    let newer = json!({"kind": "Event", "apiVersion": "events.k8s.io/v1", "metadata": {"name": "e", "namespace": "shop"}, "type": "Warning",
        "reason": "FailedScheduling", "note": "0/1 nodes are available: 1 Insufficient memory.",
        "regarding": {"kind": "Pod", "namespace": "shop", "name": "web-7d-a"},
        "eventTime": "2025-05-01T11:00:00.000001Z", "series": {"count": 9, "lastObservedTime": "2025-05-01T11:40:00.000000Z"}});
    let output = check(&[newer]).await;
    let seen = fact(&output, "pod.unschedulable");
    assert_eq!((seen.count, seen.attributes["resources"].as_str()), (9, "memory"));
}

#[tokio::test]
async fn events_that_did_not_answer_fail_the_call_as_the_server_would() {
    let dir = TempDir::new().unwrap();
    let fault = json!({"taken_at": NOW, "source_faults": [{"target": "events", "status": 500, "message": "etcdserver: request timed out"}]});
    let recording = Recording::write(dir.path(), NOW, &[event("Preempted", "x")]).unwrap();
    let recording = recording.file("snapshot.json", fault.to_string()).unwrap();
    let cluster = recording.open().unwrap();
    let failure = check_events(&cluster, &Where::default()).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::External);
    assert!(failure.message.contains("request timed out"));
}
