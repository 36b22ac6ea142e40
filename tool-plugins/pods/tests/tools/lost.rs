//! Lost nodes, preempted pods, images that cannot be pulled, and runs that do not come.

use agent_sdk::{Output, RelationKind};
use plugin_pods::{args::Where, nodes::check_nodes, pods::check_pods, rollouts::check_rollouts};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod, start, waiting};

async fn nodes(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_nodes(&cluster).await.unwrap()
}

async fn pods(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_pods(&cluster, &Where::default()).await.unwrap()
}

async fn rollouts(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_rollouts(&cluster, &Where::default()).await.unwrap()
}

fn node(name: &str, ready: &str) -> Value {
    json!({"kind": "Node", "metadata": {"name": name}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": ready, "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastTransitionTime": "2025-05-01T11:40:00Z"}]}})
}

fn lease(node: &str, renewed: &str) -> Value {
    json!({"kind": "Lease", "metadata": {"name": node, "namespace": "kube-node-lease"},
        "spec": {"holderIdentity": node, "renewTime": renewed}})
}

#[tokio::test]
async fn a_silent_node_is_told_with_its_stranded_pods() {
    let mut stuck =
        pod("web-7d-a", &json!({"metadata": {"deletionTimestamp": "2025-05-01T11:46:00Z"}}));
    stuck["spec"]["nodeName"] = json!("node-1");
    let silent =
        pod("web-7d-b", &json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}));
    let output = nodes(&[node("node-1", "Unknown"), node("node-2", "True"), stuck, silent]).await;
    let seen = fact(&output, "node.unreachable");
    assert_eq!(
        (seen.attributes["why"].as_str(), start(seen).as_str()),
        ("silent", "2025-05-01T11:40:00Z")
    );
    assert_eq!(fact(&output, "node.not_ready").attributes["why"], "silent");
    let how: Vec<&str> =
        facts(&output, "pod.lost").iter().map(|o| o.attributes["how"].as_str()).collect();
    assert_eq!(how, ["terminating", "silent"]);
    assert_eq!(peer(facts(&output, "pod.lost")[0]), "Node/node-1");
}

#[tokio::test]
async fn a_node_that_is_gone_is_told_by_the_pods_still_bound_to_it() {
    let waits = pod(
        "db-0",
        &json!({"status": {"phase": "Pending", "conditions": [{"type": "Ready", "status": "False"}]}}),
    );
    let output = nodes(&[node("node-2", "True"), waits]).await;
    assert_eq!(fact(&output, "node.unreachable").attributes["why"], "gone");
    // One that runs in order may stand on a node that was not recorded.
    let output = nodes(&[node("node-2", "True"), pod("web-7d-a", &json!({}))]).await;
    assert!(facts(&output, "node.unreachable").is_empty());
}

#[tokio::test]
async fn a_lease_that_lags_behind_the_others_tells_before_the_condition_does() {
    let output = nodes(&[
        node("node-1", "True"),
        node("node-2", "True"),
        lease("node-1", "2025-05-01T11:57:00Z"),
        lease("node-2", "2025-05-01T11:59:55Z"),
    ])
    .await;
    let seen = fact(&output, "node.unreachable");
    assert_eq!(
        (seen.attributes["why"].as_str(), seen.attributes["lease_age"].as_str()),
        ("lease", "175 s")
    );
    assert_eq!(facts(&output, "node.healthy").len(), 1);
    let even = nodes(&[node("node-1", "True"), lease("node-1", "2025-05-01T09:00:00Z")]).await;
    assert!(facts(&even, "node.unreachable").is_empty());
}

#[tokio::test]
async fn a_node_that_is_taken_away_or_has_no_network_is_told() {
    let mut spot = node("node-1", "True");
    spot["spec"] = json!({"taints": [{"key": "cloud.example.com/impending-node-termination", "effect": "NoSchedule", "timeAdded": "2025-05-01T11:55:00Z"}]});
    let mut dark = node("node-2", "True");
    dark["status"]["conditions"]
        .as_array_mut()
        .unwrap()
        .push(json!({"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"}));
    let output = nodes(&[spot, dark]).await;
    assert_eq!(start(fact(&output, "node.reclaimed")), "2025-05-01T11:55:00Z");
    assert_eq!(fact(&output, "node.network_unavailable").attributes["reason"], "NoRouteCreated");
}

#[tokio::test]
async fn a_preempted_pod_is_told_with_who_took_its_room() {
    let victim = pod(
        "web-7d-a",
        &json!({"spec": {"priority": 0}, "status": {"phase": "Failed", "reason": "Preempting",
        "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "lastTransitionTime": "2025-05-01T11:30:00Z"}]}}),
    );
    let mut taker = pod(
        "crunch-5f-a",
        &json!({"metadata": {"uid": "u-9", "creationTimestamp": "2025-05-01T11:29:00Z", "labels": {"pod-template-hash": "5f"}},
        "spec": {"priority": 1000, "priorityClassName": "urgent"}}),
    );
    taker["metadata"]["ownerReferences"] =
        json!([{"kind": "ReplicaSet", "name": "crunch-5f", "controller": true}]);
    let output = pods(&[victim, taker]).await;
    let seen = fact(&output, "pod.preempted");
    assert_eq!(
        (peer(seen).as_str(), seen.attributes["class"].as_str()),
        ("Pod/crunch-5f-a", "urgent")
    );
    assert!(
        output
            .relations()
            .iter()
            .any(|r| r.kind == RelationKind::Governs && r.to.name == "web-7d-a")
    );
}

#[tokio::test]
async fn who_came_as_a_pod_lost_its_room_is_told_though_the_preempted_one_is_gone() {
    let waits = |made: &str| {
        pod(
            "web-7d-b",
            &json!({"metadata": {"creationTimestamp": made}, "spec": {"nodeName": ""},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient memory."}]}}),
        )
    };
    let came = |priority: i64| {
        let mut taker = pod(
            "crunch-5f-a",
            &json!({"metadata": {"creationTimestamp": "2025-05-01T11:29:00Z", "labels": {"pod-template-hash": "5f"}},
            "spec": {"priority": priority, "priorityClassName": "urgent"}}),
        );
        taker["metadata"]["ownerReferences"] =
            json!([{"kind": "ReplicaSet", "name": "crunch-5f", "controller": true}]);
        taker
    };
    let output = pods(&[waits("2025-05-01T11:29:03Z"), came(1000)]).await;
    let seen = fact(&output, "pod.preempted");
    assert_eq!(
        (peer(seen).as_str(), seen.attributes["certain"].as_str()),
        ("Pod/crunch-5f-a", "false")
    );
    for (made, priority) in [("2025-05-01T11:29:03Z", 0), ("2025-05-01T11:50:00Z", 1000)] {
        let output = pods(&[waits(made), came(priority)]).await;
        assert!(facts(&output, "pod.preempted").is_empty(), "{made} {priority}");
    }
}

#[tokio::test]
async fn a_failed_pull_is_told_with_the_secret_or_registry_at_fault() {
    let secrets = json!({"spec": {"imagePullSecrets": [{"name": "regcred"}]}});
    let other = json!({"kind": "Secret", "metadata": {"name": "other", "namespace": "shop"}});
    let there = json!({"kind": "Secret", "metadata": {"name": "regcred", "namespace": "shop"}});
    let refused = "failed to authorize: 401 Unauthorized";
    for (reason, message, part, extra, why, state, who) in [
        (
            "ErrImagePull",
            refused,
            secrets.clone(),
            other.clone(),
            "unauthorized",
            "missing",
            "Secret/regcred",
        ),
        (
            "ErrImagePull",
            refused,
            secrets.clone(),
            there,
            "unauthorized",
            "present",
            "Secret/regcred",
        ),
        ("ErrImagePull", refused, json!({}), other.clone(), "unauthorized", "none", ""),
        (
            "ErrImagePull",
            "dial tcp: lookup r.example: no such host",
            json!({}),
            other.clone(),
            "unreachable",
            "none",
            "External/r.example",
        ),
        ("ErrImagePull", "manifest unknown", secrets, other.clone(), "not_found", "missing", ""),
        (
            "ErrImageNeverPull",
            "Container image \"r.example/web:1.4\" is not present with pull policy of Never",
            json!({}),
            other,
            "never_pulled",
            "none",
            "",
        ),
    ] {
        let mut broken = pod("web-7d-a", &waiting(reason, message));
        merge(&mut broken, &part);
        let output = pods(&[broken, extra]).await;
        let seen = fact(&output, "container.image_pull_failed");
        assert_eq!(
            (seen.attributes["why"].as_str(), seen.attributes["secret_state"].as_str()),
            (why, state)
        );
        assert_eq!(peer(seen), who, "{why}");
    }
}

#[tokio::test]
async fn what_the_pod_does_not_say_of_a_pull_its_events_do() {
    let said = json!({"kind": "Event", "metadata": {"name": "e", "namespace": "shop"}, "type": "Warning", "reason": "Failed",
        "message": "Failed to pull image \"r.example/web:1.4\": 429 Too Many Requests - toomanyrequests",
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-7d-a", "fieldPath": "spec.containers{app}"},
        "lastTimestamp": "2025-05-01T11:59:00Z"});
    let output = pods(&[
        pod(
            "web-7d-a",
            &waiting("ImagePullBackOff", "Back-off pulling image \"r.example/web:1.4\""),
        ),
        said,
    ])
    .await;
    assert_eq!(fact(&output, "container.image_pull_failed").attributes["why"], "rate_limited");
}

fn scheduled(part: &Value) -> Value {
    let mut made = json!({"kind": "CronJob", "metadata": {"name": "tidy", "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"},
        "spec": {"schedule": "0 * * * *", "concurrencyPolicy": "Forbid"},
        "status": {"lastScheduleTime": "2025-05-01T09:00:00Z"}});
    merge(&mut made, part);
    made
}

fn run(name: &str, status: &Value) -> Value {
    json!({"kind": "Job", "metadata": {"name": name, "namespace": "shop", "ownerReferences": [{"kind": "CronJob", "name": "tidy", "controller": true}]},
        "spec": {"activeDeadlineSeconds": 600}, "status": status})
}

#[tokio::test]
async fn a_run_that_hangs_blocks_the_next_and_both_are_told() {
    let output = rollouts(&[
        scheduled(&json!({})),
        run("tidy-1", &json!({"startTime": "2025-05-01T08:00:00Z", "completionTime": "2025-05-01T08:05:00Z", "succeeded": 1})),
        run("tidy-2", &json!({"startTime": "2025-05-01T09:00:00Z", "active": 1})),
    ])
    .await;
    let seen = fact(&output, "job.missed");
    assert_eq!((seen.attributes["why"].as_str(), peer(seen).as_str()), ("blocked", "Job/tidy-2"));
    assert_eq!(start(seen), "2025-05-01T11:00:00Z");
    let long = fact(&output, "job.running_long");
    assert_eq!((long.value, long.baseline), (Some(10800.0), Some(300.0)));
}

#[tokio::test]
async fn why_a_run_did_not_come_is_told_and_what_is_on_purpose_is_no_harm() {
    let suspended = json!({"spec": {"suspend": true}, "metadata": {"managedFields": [{"manager": "someone", "time": "2025-05-01T09:10:00Z", "fieldsV1": {"f:spec": {"f:suspend": {}}}}]}});
    let noted = json!({"spec": {"suspend": true}, "metadata": {"annotations": {"team.example/note": "paused for the move"}}});
    for (part, why) in [
        (json!({}), "other"),
        (json!({"spec": {"startingDeadlineSeconds": 60}}), "late"),
        (json!({"spec": {"schedule": "61 * * * *"}}), "schedule"),
        (suspended, "suspended"),
        (noted, ""),
        (json!({"status": {"lastScheduleTime": "2025-05-01T11:00:00Z"}}), ""),
        (json!({"metadata": {"creationTimestamp": "2025-05-01T11:30:00Z"}}), ""),
    ] {
        let output = rollouts(&[scheduled(&part)]).await;
        let told: Vec<&str> =
            facts(&output, "job.missed").iter().map(|o| o.attributes["why"].as_str()).collect();
        let want: Vec<&str> = Some(why).filter(|w| !w.is_empty()).into_iter().collect();
        assert_eq!(told, want, "{part}");
    }
}

#[tokio::test]
async fn runs_without_success_since_the_last_that_was_due_are_told_with_their_newest() {
    let good = json!({"startTime": "2025-05-01T11:00:00Z", "completionTime": "2025-05-01T11:05:00Z", "succeeded": 1});
    let bad = json!({"startTime": "2025-05-01T11:00:00Z", "failed": 1, "conditions": [{"type": "Failed", "status": "True",
        "reason": "BackoffLimitExceeded", "lastTransitionTime": "2025-05-01T11:09:00Z"}]});
    let off = json!({"spec": {"suspend": true}});
    for (part, status, why) in [
        (json!({}), good.clone(), None),
        (json!({}), bad.clone(), Some("failed")),
        (off, bad.clone(), Some("suspended")),
        (json!({"status": {"lastSuccessfulTime": "2025-05-01T11:10:00Z"}}), bad.clone(), None),
        (json!({"metadata": {"creationTimestamp": "2025-05-01T11:30:00Z"}}), bad, None),
    ] {
        let output = rollouts(&[scheduled(&part), run("tidy-7", &status)]).await;
        let told = facts(&output, "job.no_success");
        assert_eq!(told.first().map(|o| o.attributes["why"].as_str()), why, "{part}");
        if let Some(seen) = told.first() {
            assert_eq!(
                (start(seen).as_str(), peer(seen).as_str()),
                ("2025-05-01T11:00:00Z", "Job/tidy-7")
            );
        }
    }
}

#[tokio::test]
async fn a_job_ended_at_its_deadline_says_so() {
    let failed = json!({"startTime": "2025-05-01T11:00:00Z", "failed": 1, "conditions": [{"type": "Failed", "status": "True",
        "reason": "DeadlineExceeded", "message": "Job was active longer than specified deadline", "lastTransitionTime": "2025-05-01T11:10:00Z"}]});
    let output = rollouts(&[run("tidy-3", &failed)]).await;
    assert_eq!(fact(&output, "job.deadline_exceeded").attributes["deadline"], "600");
    assert_eq!(fact(&output, "job.failed").attributes["reason"], "DeadlineExceeded");
}
