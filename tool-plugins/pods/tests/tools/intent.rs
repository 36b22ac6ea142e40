//! What people declared, as `check_rollouts` tells it.

use plugin_pods::{args::Where, rollouts::check_rollouts};
use serde_json::{Value, json};

use crate::recorded::{cluster, facts, merge, pod};

fn deployment(name: &str, part: &Value) -> Value {
    let mut deployment = json!({"kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": name}}}},
        "status": {"readyReplicas": 2, "conditions": [{"type": "Progressing", "status": "True",
            "reason": "NewReplicaSetAvailable", "lastUpdateTime": "2025-04-01T10:00:00Z"}]}});
    merge(&mut deployment, part);
    deployment
}

async fn declared(objects: &[Value]) -> Vec<(String, String)> {
    let (_dir, cluster) = cluster(objects);
    let args = Where { namespace: "shop".to_owned(), ..Where::default() };
    let output = check_rollouts(&cluster, &args).await.unwrap();
    facts(&output, "intent.declared")
        .iter()
        .map(|f| (f.subject.as_ref().unwrap().name.clone(), f.attributes["what"].clone()))
        .collect()
}

fn told(name: &str, what: &str) -> (String, String) {
    (name.to_owned(), what.to_owned())
}

#[tokio::test]
async fn notes_pauses_and_suspensions_are_told_and_denials_are_not() {
    let note = |key: &str, value: &str| json!({"metadata": {"annotations": {key: value}}});
    let found = declared(&[
        deployment("old", &note("team.example/status", "retired 2025-04-30, see ADR 12")),
        deployment("kept", &note("team.example/deprecated", "false")),
        deployment("cache", &note("note", "heap is preallocated, memory is flat by design")),
        deployment("held", &json!({"spec": {"paused": true}})),
        deployment("none", &json!({"spec": {"replicas": 0}, "status": {"readyReplicas": 0}})),
        json!({"kind": "CronJob", "metadata": {"name": "nightly", "namespace": "shop"}, "spec": {"suspend": true}}),
    ])
    .await;
    for (name, what) in [
        ("old", "retired"),
        ("cache", "by_design"),
        ("held", "paused"),
        ("none", "scaled_to_zero"),
        ("nightly", "suspended"),
    ] {
        assert!(found.contains(&told(name, what)), "{name} {what}: {found:?}");
    }
    assert!(found.iter().all(|(name, _)| name != "kept"), "{found:?}");
}

#[tokio::test]
async fn pods_made_anew_after_a_cordon_were_moved_and_those_of_a_rollout_were_not() {
    let node = json!({"kind": "Node", "metadata": {"name": "node-9"}, "spec": {"unschedulable": true,
        "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": "2025-05-01T10:00:00Z"}]}});
    let made = |at: &str| json!({"metadata": {"creationTimestamp": at}});
    let rolled = json!({"status": {"conditions": [{"type": "Progressing", "status": "True",
        "reason": "NewReplicaSetAvailable", "lastUpdateTime": "2025-05-01T10:05:00Z"}]}});
    let pods = [
        pod("web-7d-a", &made("2025-04-02T10:00:00Z")),
        pod("web-7d-b", &made("2025-05-01T10:02:00Z")),
    ];
    let all = |web: Value| [vec![node.clone(), web], pods.to_vec()].concat();
    assert!(declared(&all(deployment("web", &json!({})))).await.contains(&told("web", "drain")));
    assert!(!declared(&all(deployment("web", &rolled))).await.contains(&told("web", "drain")));
}
