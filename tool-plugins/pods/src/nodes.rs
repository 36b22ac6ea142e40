//! `check_nodes`: what nodes say of themselves, what keeps pods off them, and who runs on those
//! in trouble.

use agent_sdk::{Entity, Failure, Observation, Output, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, object::time_of, pod};
use serde::Serialize;
use serde_json::Value;

/// Conditions that should be `False`, with the signal of their being `True`.
const PRESSURES: [(&str, &str, &str); 3] = [
    ("MemoryPressure", "node.memory_pressure", "memory"),
    ("DiskPressure", "node.disk_pressure", "disk"),
    ("PIDPressure", "node.pid_pressure", "process ids"),
];

/// Taints that the cluster itself puts on a node for a condition that is told anyway.
const TOLD_ANYWAY: &str = "node.kubernetes.io/";

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    ready: String,
    trouble: Vec<String>,
    taints: Vec<String>,
    arch: String,
}

/// Looks at all nodes.
///
/// # Errors
/// What the source answers when nodes cannot be listed.
pub async fn check_nodes(cluster: &Cluster) -> Result<Output, Failure> {
    let nodes = cluster.list(Kind::Node, None).await?;
    let mut answer = Answer::default();
    let mut rows = Vec::new();
    let mut troubled = Vec::new();
    for node in &nodes {
        let trouble = judge(node, cluster.now(), &mut answer);
        if !trouble.is_empty() {
            troubled.push(node);
        }
        rows.push(Row {
            name: node.name().to_owned(),
            ready: node.condition("Ready").map_or("Unknown", |c| c.status).to_owned(),
            trouble,
            taints: node.list("/spec/taints").iter().map(shown_taint).collect(),
            arch: node.text("/status/nodeInfo/architecture").to_owned(),
        });
    }
    neighbours(cluster, &troubled, &mut answer).await;
    let headline = format!("{} nodes, {} in trouble", nodes.len(), troubled.len());
    answer.into_output(cluster, &headline, &rows)
}

/// What is wrong with a node, as words; what it is about goes to the answer.
fn judge(node: &Object, now: Timestamp, answer: &mut Answer) -> Vec<String> {
    let mut trouble = Vec::new();
    if let Some(c) = node.condition("Ready").filter(|c| c.status != "True") {
        let quiet = if c.status == "Unknown" { ", its kubelet is silent" } else { "" };
        let says = format!("node {} is not ready: {}{quiet}", node.name(), c.reason);
        let seen = Observation::new("node.not_ready", node.entity(), says);
        answer.harm(seen.maybe_since(c.since).until(now).attr("reason", c.reason).quote(c.message));
        trouble.push("not ready".to_owned());
    }
    for (name, signal, what) in PRESSURES {
        if let Some(c) = node.condition(name).filter(|c| c.status == "True") {
            let since = c.since.map(|t| format!(" since {t}")).unwrap_or_default();
            let says = format!("node {} is short of {what}{since}", node.name());
            let seen = Observation::new(signal, node.entity(), says);
            answer.harm(
                seen.maybe_since(c.since).until(now).attr("reason", c.reason).quote(c.message),
            );
            trouble.push(what.to_owned());
        }
    }
    if node.at("/spec/unschedulable") == Some(&Value::Bool(true)) {
        let since = taint_time(node, "node.kubernetes.io/unschedulable");
        let says = format!("node {} is cordoned: it takes no new pods", node.name());
        answer.change(Observation::new("node.cordoned", node.entity(), says).maybe_since(since));
    }
    if let Some(observation) = tainted(node) {
        answer.neutral(observation);
    }
    if trouble.is_empty() {
        let says = format!("node {} is ready and without pressure", node.name());
        let since = node.condition("Ready").and_then(|c| c.since);
        answer.health(
            Observation::new("node.healthy", node.entity(), says).maybe_since(since).until(now),
        );
    }
    trouble
}

/// When a taint was put on a node.
pub(crate) fn taint_time(node: &Object, key: &str) -> Option<Timestamp> {
    let is = |t: &&Value| t.get("key").and_then(Value::as_str) == Some(key);
    time_of(node.list("/spec/taints").iter().find(is)?.get("timeAdded"))
}

/// Taints that people or controllers of theirs put on a node.
pub(crate) fn tainted(node: &Object) -> Option<Observation> {
    let own: Vec<&Value> = node
        .list("/spec/taints")
        .iter()
        .filter(|t| !t.get("key").and_then(Value::as_str).unwrap_or("").starts_with(TOLD_ANYWAY))
        .collect();
    if own.is_empty() {
        return None;
    }
    let taints: Vec<String> = own.iter().map(|t| shown_taint(t)).collect();
    let taints = taints.join(", ");
    let since = own.iter().filter_map(|t| time_of(t.get("timeAdded"))).max();
    let added = since.map(|t| format!(", added at {t}")).unwrap_or_default();
    let says = format!("node {} keeps pods off by taint {taints}{added}", node.name());
    let seen = Observation::new("node.tainted", node.entity(), says);
    Some(seen.maybe_since(since).attr("taints", taints))
}

/// A taint as `kubectl taint` takes it.
pub(crate) fn shown_taint(taint: &Value) -> String {
    let text = |key| taint.get(key).and_then(Value::as_str).unwrap_or_default();
    let value = text("value");
    let equals = if value.is_empty() { "" } else { "=" };
    format!("{}{equals}{value}:{}", text("key"), text("effect"))
}

/// Who runs on nodes in trouble, and who of them may fill a disk without bound.
async fn neighbours(cluster: &Cluster, troubled: &[&Object], answer: &mut Answer) {
    if troubled.is_empty() {
        return;
    }
    let pods = cluster.list(Kind::Pod, None).await;
    let pods = answer.or_gap("pods", pods);
    let owners = Owners::read(cluster, None).await;
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
