//! `check_nodes`.

use plugin_pods::nodes::check_nodes;
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod, start};

fn node(name: &str, part: &Value) -> Value {
    let mut node = json!({"kind": "Node", "metadata": {"name": name}, "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2025-01-01T00:00:00Z"}]}});
    merge(&mut node, part);
    node
}

#[tokio::test]
async fn conditions_cordons_and_taints_are_told_with_their_times() {
    let condition = |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status, "reason": "R", "lastTransitionTime": "2025-05-01T11:00:00Z"}]}});
    let (_dir, cluster) = cluster(&[
        node("fine", &json!({})),
        node("lost", &condition("Ready", "Unknown")),
        node("full", &condition("DiskPressure", "True")),
        node("small", &condition("MemoryPressure", "True")),
        node(
            "closed",
            &json!({"spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": "2025-05-01T10:00:00Z"}]}}),
        ),
        node(
            "kept",
            &json!({"spec": {"taints": [{"key": "team", "value": "data", "effect": "NoExecute", "timeAdded": "2025-05-01T09:00:00Z"}]}}),
        ),
    ]);
    let output = check_nodes(&cluster).await.unwrap();
    for (signal, name, since) in [
        ("node.not_ready", "lost", "2025-05-01T11:00:00Z"),
        ("node.disk_pressure", "full", "2025-05-01T11:00:00Z"),
        ("node.memory_pressure", "small", "2025-05-01T11:00:00Z"),
        ("node.cordoned", "closed", "2025-05-01T10:00:00Z"),
        ("node.tainted", "kept", "2025-05-01T09:00:00Z"),
    ] {
        let seen = fact(&output, signal);
        assert_eq!(
            (seen.subject.as_ref().unwrap().name.as_str(), start(seen).as_str()),
            (name, since),
            "{signal}"
        );
    }
    assert_eq!(fact(&output, "node.tainted").attributes["taints"], "team=data:NoExecute");
    let healthy: Vec<&str> = facts(&output, "node.healthy")
        .iter()
        .map(|o| o.subject.as_ref().unwrap().name.as_str())
        .collect();
    assert_eq!(healthy, ["closed", "fine", "kept"]);
}

#[tokio::test]
async fn on_a_node_short_of_disk_those_are_told_that_may_fill_it() {
    let spool = json!({"spec": {"containers": [{"name": "app", "volumeMounts": [{"name": "spool", "mountPath": "/spool"}]}],
        "volumes": [{"name": "spool", "emptyDir": {}}, {"name": "small", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "ram", "emptyDir": {"medium": "Memory"}}]}});
    let mut elsewhere = pod("web-7d-b", &spool);
    elsewhere["spec"]["nodeName"] = json!("node-2");
    let (_dir, cluster) = cluster(&[
        node(
            "node-1",
            &json!({"status": {"conditions": [{"type": "DiskPressure", "status": "True"}]}}),
        ),
        node("node-2", &json!({})),
        pod("web-7d-a", &spool),
        elsewhere,
    ]);
    let output = check_nodes(&cluster).await.unwrap();
    let seen = fact(&output, "pod.scratch_unbounded");
    assert_eq!((seen.attributes["path"].as_str(), peer(seen).as_str()), ("/spool", "Node/node-1"));
    assert_eq!(output.relations().iter().filter(|r| r.to.name == "node-1").count(), 1);
}
