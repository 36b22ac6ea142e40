//! Events of quotas, autoscalers, storage, scheduled Jobs and lost nodes.

use agent_sdk::{Observation, Output, RelationKind};
use plugin_events::{args::Where, events::check_events};
use serde_json::{Value, json};

use crate::events::cluster;

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_events(&cluster, &Where::default()).await.unwrap()
}

fn said(kind: &str, name: &str, reason: &str, message: &str) -> Value {
    let namespace = if matches!(kind, "Node") { json!(null) } else { json!("shop") };
    json!({"kind": "Event", "metadata": {"name": format!("{name}.{reason}.{}", message.len()), "namespace": "shop"},
        "type": "Warning", "reason": reason, "message": message,
        "involvedObject": {"kind": kind, "namespace": namespace, "name": name},
        "firstTimestamp": "2025-05-01T11:00:00Z", "lastTimestamp": "2025-05-01T11:50:00Z", "count": 30})
}

#[tokio::test]
async fn each_sentence_is_told_with_its_reason() {
    for (event, signal, key, value) in [
        (
            said(
                "HorizontalPodAutoscaler",
                "web",
                "FailedGetResourceMetric",
                "failed to get cpu utilization: missing request for cpu in container app of Pod web-1",
            ),
            "policy.hpa_no_metrics",
            "why",
            "requests_missing",
        ),
        (
            said(
                "HorizontalPodAutoscaler",
                "web",
                "FailedGetScale",
                "deployments.apps \"webb\" not found",
            ),
            "policy.hpa_target_missing",
            "lasting",
            "true",
        ),
        (
            said(
                "PersistentVolumeClaim",
                "data",
                "ProvisioningFailed",
                "storageclass.storage.k8s.io \"quick\" not found",
            ),
            "storage.claim_pending",
            "class_missing",
            "true",
        ),
        (
            said(
                "PersistentVolumeClaim",
                "data",
                "ExternalProvisioning",
                "Waiting for a volume to be created either by the external provisioner 'd.example' or manually by the system administrator.",
            ),
            "storage.claim_pending",
            "why",
            "waits_for_provisioner",
        ),
        (
            said(
                "PersistentVolumeClaim",
                "data",
                "ProvisioningFailed",
                "failed to provision volume with StorageClass \"quick\": rpc error: code = InvalidArgument desc = invalid parameter",
            ),
            "storage.provisioning_failed",
            "why",
            "parameters",
        ),
        (
            said(
                "Pod",
                "db-0",
                "FailedAttachVolume",
                "Multi-Attach error for volume \"pvc-1\" Volume is already exclusively attached to one node",
            ),
            "storage.attach_failed",
            "why",
            "multi_attach",
        ),
        (
            said(
                "Pod",
                "db-0",
                "FailedMount",
                "MountVolume.SetUp failed for volume \"v\" : timed out waiting for the condition",
            ),
            "storage.mount_failed",
            "volume",
            "v",
        ),
        (said("Pod", "db-0", "NodeNotReady", "Node is not ready"), "pod.lost", "", ""),
        (
            said(
                "Pod",
                "db-0",
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: plugin type=\"x\" failed (add): no IP addresses available in range set",
            ),
            "pod.sandbox_failed",
            "why",
            "addresses",
        ),
        (
            said(
                "CronJob",
                "tidy",
                "JobAlreadyActive",
                "Not starting job because prior execution is running and concurrency policy is Forbid",
            ),
            "job.missed",
            "why",
            "blocked",
        ),
        (
            said(
                "CronJob",
                "tidy",
                "TooManyMissedTimes",
                "too many missed start times: 101. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
            ),
            "job.missed",
            "why",
            "too_many",
        ),
        (
            said(
                "Job",
                "tidy-1",
                "DeadlineExceeded",
                "Job was active longer than specified deadline",
            ),
            "job.deadline_exceeded",
            "",
            "",
        ),
        (
            said(
                "Node",
                "node-1",
                "SpotInterruption",
                "Spot instance will be interrupted in two minutes",
            ),
            "node.reclaimed",
            "reason",
            "SpotInterruption",
        ),
        (
            said("Node", "node-1", "Rebooted", "Node node-1 has been rebooted, boot id: 7c"),
            "node.rebooted",
            "",
            "",
        ),
    ] {
        let output = check(std::slice::from_ref(&event)).await;
        let found: Vec<&Observation> =
            output.observations().iter().filter(|o| o.signal() == signal).collect();
        assert_eq!(found.len(), 1, "{signal} of {event}");
        let attributes = &found[0].as_wire().attributes;
        assert_eq!(attributes.get(key).map_or("", String::as_str), value, "{event}");
    }
}

#[tokio::test]
async fn a_quota_is_the_subject_and_the_deployment_behind_the_refused_set_its_subordinate() {
    let refused = "Error creating: pods \"web-7d-x\" is forbidden: exceeded quota: team, requested: limits.cpu=2, used: limits.cpu=9, limited: limits.cpu=10";
    let output = check(&[
        said("ReplicaSet", "web-7d", "FailedCreate", refused),
        json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}),
    ])
    .await;
    let seen = output.observations().iter().find(|o| o.signal() == "policy.quota_exceeded");
    let seen = seen.unwrap().as_wire();
    let subject = seen.subject.as_ref().unwrap();
    assert_eq!((subject.kind.as_str(), subject.name.as_str()), ("ResourceQuota", "team"));
    let amount = |key: &str| seen.attributes[key].as_str();
    assert_eq!((amount("requested"), amount("used"), amount("hard")), ("2", "9", "10"));
    let edges: Vec<(RelationKind, &str)> =
        output.relations().iter().map(|r| (r.kind, r.to.name.as_str())).collect();
    assert!(edges.contains(&(RelationKind::Governs, "web-7d")), "{edges:?}");
    assert!(edges.contains(&(RelationKind::OwnedBy, "web")), "{edges:?}");
}

#[tokio::test]
async fn a_limit_range_is_found_by_the_bound_it_enforces() {
    let refused =
        "pods \"a\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi";
    let output = check(&[
        said("Job", "tidy-1", "FailedCreate", refused),
        json!({"kind": "LimitRange", "metadata": {"name": "bounds", "namespace": "shop"},
            "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}}),
    ])
    .await;
    let seen = output.observations().iter().find(|o| o.signal() == "policy.quota_exceeded");
    assert_eq!(seen.unwrap().as_wire().subject.as_ref().unwrap().name, "bounds");
}

#[tokio::test]
async fn an_autoscaler_that_turns_again_and_again_flaps() {
    let size = |minute: u32, to: u32| {
        json!({"kind": "Event", "metadata": {"name": format!("w.{minute}"), "namespace": "shop"}, "type": "Normal",
            "reason": "SuccessfulRescale", "message": format!("New size: {to}; reason: cpu resource utilization above target"),
            "involvedObject": {"kind": "HorizontalPodAutoscaler", "namespace": "shop", "name": "web"},
            "firstTimestamp": format!("2025-05-01T11:{minute:02}:00Z"), "lastTimestamp": format!("2025-05-01T11:{minute:02}:00Z"), "count": 1})
    };
    let turning = [size(10, 6), size(14, 2), size(18, 6), size(22, 2), size(26, 6), size(30, 2)];
    let steady = [size(10, 3), size(14, 4), size(18, 6), size(22, 7)];
    for (events, flaps) in [(&turning[..], 1), (&steady[..], 0)] {
        let output = check(events).await;
        let told = output.observations().iter().filter(|o| o.signal() == "policy.hpa_flapping");
        assert_eq!(told.count(), flaps);
    }
}

#[tokio::test]
async fn an_autoscaler_that_takes_away_what_is_above_its_bound_had_it_lowered() {
    let size = |reason: &str| {
        json!({"kind": "Event", "metadata": {"name": "w.1", "namespace": "shop"}, "type": "Normal",
            "reason": "SuccessfulRescale", "message": format!("New size: 2; reason: {reason}"),
            "involvedObject": {"kind": "HorizontalPodAutoscaler", "namespace": "shop", "name": "web"},
            "firstTimestamp": "2025-05-01T11:10:00Z", "lastTimestamp": "2025-05-01T11:10:00Z", "count": 1})
    };
    let output = check(&[size("Current number of replicas above Spec.MaxReplicas")]).await;
    let told = output.observations().iter().find(|o| o.signal() == "policy.hpa_at_max");
    assert_eq!(told.unwrap().as_wire().attributes["bound"], "lowered");
    let output = check(&[size("All metrics below target")]).await;
    assert!(output.observations().iter().all(|o| o.signal() != "policy.hpa_at_max"));
}
