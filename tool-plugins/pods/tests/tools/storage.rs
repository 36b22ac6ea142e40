//! `check_storage`.

use agent_sdk::{Output, RelationKind};
use plugin_pods::{args::Where, storage::check_storage};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod};

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_storage(&cluster, &Where::default()).await.unwrap()
}

fn claim(name: &str, part: &Value) -> Value {
    let mut claim = json!({"kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-05-01T11:00:00Z", "uid": "u-1"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "block", "resources": {"requests": {"storage": "10Gi"}}},
        "status": {"phase": "Pending"}});
    merge(&mut claim, part);
    claim
}

fn class(name: &str, part: &Value) -> Value {
    let mut class = json!({"kind": "StorageClass", "metadata": {"name": name},
        "provisioner": "block.csi.example.com", "volumeBindingMode": "Immediate"});
    merge(&mut class, part);
    class
}

fn volume(name: &str, part: &Value) -> Value {
    let mut volume = json!({"kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": "10Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "block"},
        "status": {"phase": "Available"}});
    merge(&mut volume, part);
    volume
}

/// A pod that mounts claim `data`, changed by `part`.
fn user(name: &str, part: &Value) -> Value {
    let mounts = json!({"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}});
    let mut user = pod(name, &mounts);
    merge(&mut user, part);
    user
}

fn unplaced(said: &str) -> Value {
    json!({"spec": {"nodeName": ""}, "status": {"phase": "Pending", "containerStatuses": [],
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}]}})
}

const UNBOUND: &str = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.";

#[tokio::test]
async fn why_a_claim_has_no_volume_is_told_from_its_objects() {
    let none = json!({"spec": {"storageClassName": null}});
    let by_hand = json!({"spec": {"storageClassName": ""}});
    let late = json!({"volumeBindingMode": "WaitForFirstConsumer"});
    let named = |name: &str| json!({"spec": {"volumeName": name}});
    let taken = json!({"spec": {"claimRef": {"name": "other", "namespace": "shop"}}, "status": {"phase": "Bound"}});
    for (claim, others, why, says) in [
        (
            claim("data", &json!({"spec": {"storageClassName": "blok"}})),
            vec![class("block", &json!({})), class("file", &json!({}))],
            "class_missing",
            "class blok, which does not exist; there are block, file",
        ),
        (
            claim("data", &none),
            vec![class("block", &json!({}))],
            "no_class",
            "no class is the default",
        ),
        (
            claim("data", &by_hand),
            vec![
                class("block", &json!({})),
                volume(
                    "small",
                    &json!({"spec": {"capacity": {"storage": "5Gi"}, "storageClassName": ""}}),
                ),
            ],
            "volume_mismatch",
            "small has 5Gi where 10Gi is asked for",
        ),
        (
            claim("data", &named("gone")),
            vec![class("block", &json!({})), volume("v", &json!({}))],
            "volume_missing",
            "volume gone does not exist",
        ),
        (
            claim("data", &named("v")),
            vec![class("block", &json!({})), volume("v", &taken)],
            "volume_taken",
            "belongs to claim other",
        ),
        (
            claim("data", &json!({"status": {"phase": "Lost"}, "spec": {"volumeName": "v"}})),
            vec![],
            "volume_lost",
            "is gone",
        ),
        (
            claim("data", &json!({})),
            vec![class("block", &json!({}))],
            "waits_for_provisioner",
            "block.csi.example.com has made no volume",
        ),
        (
            claim("data", &json!({})),
            vec![class("block", &late), user("db-0", &unplaced(UNBOUND))],
            "other",
            "Pending",
        ),
    ] {
        let mut objects = others;
        objects.push(claim);
        let output = check(&objects).await;
        let seen = fact(&output, "storage.claim_pending");
        assert_eq!(seen.attributes["why"], why);
        assert!(seen.statement.contains(says), "{} lacks {says}", seen.statement);
    }
}

#[tokio::test]
async fn a_claim_that_waits_for_its_first_pod_is_in_order() {
    let late = json!({"volumeBindingMode": "WaitForFirstConsumer"});
    let full = user("db-0", &unplaced("0/2 nodes are available: 2 Insufficient memory."));
    for pods in [vec![], vec![full]] {
        let mut objects = vec![class("block", &late), claim("data", &json!({}))];
        objects.extend(pods);
        assert!(facts(&check(&objects).await, "storage.claim_pending").is_empty());
    }
}

#[tokio::test]
async fn a_bound_claim_is_healthy_and_an_absent_one_is_told_with_its_like() {
    let bound = json!({"status": {"phase": "Bound", "capacity": {"storage": "10Gi"}}});
    let waits = user(
        "db-0",
        &unplaced("0/2 nodes are available: persistentvolumeclaim \"data\" not found."),
    );
    let output = check(&[claim("data-0", &bound), waits]).await;
    assert_eq!(fact(&output, "storage.claim_bound").attributes["size"], "10Gi");
    let seen = fact(&output, "storage.claim_pending");
    assert_eq!(
        (seen.attributes["why"].as_str(), seen.attributes["nearest"].as_str()),
        ("absent", "data-0")
    );
}

#[tokio::test]
async fn a_provisioner_without_a_ready_pod_is_told() {
    let controller = |ready: u32| {
        json!({"kind": "Deployment", "metadata": {"name": "block-csi-controller", "namespace": "kube-system"},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "csi-provisioner"}]}}},
            "status": {"readyReplicas": ready}})
    };
    for (ready, told) in [(0, 1), (1, 0)] {
        let output =
            check(&[class("block", &json!({})), claim("data", &json!({})), controller(ready)])
                .await;
        let seen = facts(&output, "storage.provisioner_down");
        assert_eq!(seen.len(), told);
        if let Some(seen) = seen.first() {
            assert_eq!(peer(seen), "PersistentVolumeClaim/data");
        }
    }
}

fn zoned(zone: &str) -> Value {
    json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "topology.kubernetes.io/zone", "operator": "In", "values": [zone]}]}]}}}})
}

fn node(name: &str, zone: &str, part: &Value) -> Value {
    let mut node = json!({"kind": "Node", "metadata": {"name": name, "labels": {"topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": name}}, "spec": {}});
    merge(&mut node, part);
    node
}

#[tokio::test]
async fn a_volume_in_another_zone_is_told_with_the_nodes_that_are_there() {
    let bound = json!({"spec": {"volumeName": "v"}, "status": {"phase": "Bound"}});
    let waits = user(
        "db-0",
        &unplaced("0/2 nodes are available: 2 node(s) had volume node affinity conflict."),
    );
    let closed = json!({"spec": {"unschedulable": true}});
    for (zone, nodes) in [("a", "node-1: cordoned"), ("c", "none")] {
        let output = check(&[
            claim("data", &bound),
            volume("v", &zoned(zone)),
            waits.clone(),
            node("node-1", "a", &closed),
            node("node-2", "b", &json!({})),
        ])
        .await;
        let seen = fact(&output, "storage.zone_conflict");
        assert_eq!(seen.attributes["nodes"], nodes);
        assert_eq!(seen.attributes["place"], format!("zone={zone}"));
    }
}

#[tokio::test]
async fn a_volume_on_a_nodes_own_disk_lives_with_the_node() {
    let local = json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-9"]}]}]}}}});
    let bound = json!({"spec": {"volumeName": "v"}, "status": {"phase": "Bound"}});
    let output =
        check(&[claim("data", &bound), volume("v", &local), node("node-1", "a", &json!({}))]).await;
    assert!(
        output.relations().iter().any(|r| r.kind == RelationKind::RunsOn && r.to.name == "node-9")
    );
}

#[tokio::test]
async fn a_volume_that_another_pod_or_node_holds_is_told_with_its_holder() {
    let bound = json!({"spec": {"volumeName": "v"}, "status": {"phase": "Bound"}});
    let starting = json!({"spec": {"nodeName": "node-2"}, "status": {"phase": "Pending",
        "containerStatuses": [{"name": "app", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]}});
    let waits = user("web-7d-b", &starting);
    let attachment = json!({"kind": "VolumeAttachment", "metadata": {"name": "a-1"},
        "spec": {"nodeName": "node-3", "source": {"persistentVolumeName": "v"}}, "status": {"attached": true}});
    let rival = user("web-7d-a", &json!({}));
    for (holder, who) in [(rival, "Pod/web-7d-a"), (attachment, "Node/node-3")] {
        let output = check(&[claim("data", &bound), waits.clone(), holder.clone()]).await;
        let seen = fact(&output, "storage.attach_failed");
        assert_eq!((seen.attributes["why"].as_str(), peer(seen).as_str()), ("multi_attach", who));
    }
    let shared =
        json!({"spec": {"volumeName": "v", "accessModes": null}, "status": {"phase": "Bound"}});
    let mut many = claim("data", &shared);
    many["spec"]["accessModes"] = json!(["ReadWriteMany"]);
    let output = check(&[many, waits, user("web-7d-a", &json!({}))]).await;
    assert!(facts(&output, "storage.attach_failed").is_empty());
}
