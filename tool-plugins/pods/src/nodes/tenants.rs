//! Who runs on nodes in trouble: who of them may fill a disk without bound, and pods that are
//! lost with their node.

use agent_sdk::{Entity, Failure, Observation, Relation, RelationKind};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, pod};
use serde_json::Value;

/// A pod that was told to go has this long beyond its grace period.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// Nodes at most whose pods are asked for one by one.
const MAX_TROUBLED: usize = 20;

pub(super) async fn judge(
    cluster: &Cluster,
    (nodes, troubled): (&[Object], &[&Object]),
    answer: &mut Answer,
) {
    let (pods, owners) = if cluster.is_small().await {
        let pods = cluster.list(Kind::Pod, None).await;
        (answer.or_gap("pods", pods), Owners::read(cluster, None).await)
    } else {
        (on_troubled(cluster, troubled, answer).await, Owners::default())
    };
    for pod in pods.iter().filter(|_| cluster.records(Kind::Node) && !nodes.is_empty()) {
        stranded(pod, nodes, (&owners, cluster.now()), answer);
    }
    for pod in &pods {
        let Some(node) = troubled.iter().find(|n| n.name() == pod.text("/spec/nodeName")) else {
            continue;
        };
        answer.relate(Relation::new(pod.entity(), RelationKind::RunsOn, node.entity()));
        answer.relate_all(owners.relations(pod));
        let short = node.condition("DiskPressure").is_some_and(|c| c.status == "True");
        let runs = pod.text("/status/phase") == "Running";
        for volume in unbounded(pod).into_iter().filter(|_| short && runs) {
            answer.neutral(scratch(pod, volume, node.entity()));
        }
    }
}

/// Of a large cluster only the pods on nodes in trouble are read.
async fn on_troubled(cluster: &Cluster, troubled: &[&Object], answer: &mut Answer) -> Vec<Object> {
    let mut pods = Vec::new();
    for node in troubled.iter().take(MAX_TROUBLED) {
        let there = cluster.pods_on(node.name()).await;
        pods.extend(answer.or_gap("pods", there));
    }
    if troubled.len() > MAX_TROUBLED {
        let says = format!("of {} nodes in trouble {MAX_TROUBLED} were looked at", troubled.len());
        answer.gap("pods on nodes in trouble", Failure::external("TOO_MANY_NODES", says));
    }
    pods
}

/// Scratch volumes on disk without a size limit.
fn unbounded(pod: &Object) -> Vec<&str> {
    let on_disk = |v: &&Value| {
        v.get("emptyDir").is_some_and(|e| {
            e.get("sizeLimit").is_none()
                && e.get("medium").and_then(Value::as_str) != Some("Memory")
        })
    };
    let volumes = pod.list("/spec/volumes").iter().filter(on_disk);
    volumes.filter_map(|v| v.get("name")?.as_str()).collect()
}

fn scratch(pod: &Object, volume: &str, node: Entity) -> Observation {
    let mounted: Vec<&str> = pod::containers(pod)
        .iter()
        .flat_map(|c| pod::list(c.spec, "volumeMounts"))
        .filter(|m| m.get("name").and_then(Value::as_str) == Some(volume))
        .filter_map(|m| m.get("mountPath")?.as_str())
        .collect();
    let path = mounted.first().copied().unwrap_or_default();
    let says = format!(
        "pod {}/{} keeps {path} in emptyDir {volume} without a size limit, on node {} that is short of disk",
        pod.namespace(),
        pod.name(),
        node.name
    );
    Observation::new("pod.scratch_unbounded", pod.entity(), says)
        .attr("volume", volume)
        .attr("path", path)
        .peer(node)
}

/// A pod whose node is silent or gone, told with how it shows.
fn stranded(
    pod: &Object,
    nodes: &[Object],
    (owners, now): (&Owners, Timestamp),
    answer: &mut Answer,
) {
    let name = pod.text("/spec/nodeName");
    if name.is_empty() || matches!(pod.text("/status/phase"), "Succeeded" | "Failed") {
        return;
    }
    let node = nodes.iter().find(|n| n.name() == name);
    let down = node.and_then(|n| n.condition("Ready")).filter(|c| c.status != "True");
    let ready = pod.condition("Ready").is_some_and(|c| c.status == "True");
    let leaving = pod.time("/metadata/deletionTimestamp");
    let stuck = leaving.is_some_and(|at| now.duration_since(at) > PATIENCE);
    let (how, says, since) = match (node, down) {
        // Its pods are never ready again; one that is may stand on a node not recorded.
        (None, _) if !ready => ("gone", format!("is on node {name}, which is gone"), None),
        (Some(_), Some(c)) if stuck => {
            let says = format!("stays Terminating on node {name}, which is not ready");
            ("terminating", says, c.since.or(leaving))
        }
        (Some(_), Some(c)) if c.status == "Unknown" && !ready => {
            ("silent", format!("is on node {name}, which does not answer"), c.since)
        }
        _ => return,
    };
    let node = Entity::cluster_wide("Node", name);
    answer.relate(Relation::new(pod.entity(), RelationKind::RunsOn, node.clone()));
    answer.relate_all(owners.relations(pod));
    if how == "gone" {
        let says = format!("node {name} is gone while pods are still bound to it");
        answer.harm(
            Observation::new("node.unreachable", node.clone(), says).until(now).attr("why", "gone"),
        );
    }
    let since = since.or_else(|| pod.condition("Ready").and_then(|c| c.since));
    answer.harm(
        Observation::new("pod.lost", pod.entity(), format!("pod {} {says}", pod.name()))
            .maybe_since(since)
            .until(now)
            .attr("how", how)
            .peer(node),
    );
}
