//! `check_nodes`: what nodes say of themselves, what keeps pods off them, and who runs on those
//! in trouble.

mod lost;
mod tenants;

use agent_sdk::{Failure, Observation, Output};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, object::time_of};
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
    let leases = lost::Leases::read(cluster).await;
    for node in &nodes {
        let mut trouble = judge(node, cluster.now(), &mut answer);
        trouble.extend(lost::judge(node, &leases, cluster.now(), &mut answer));
        if trouble.is_empty() {
            answer.health(healthy(node, cluster.now()));
        }
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
    tenants::judge(cluster, (&nodes, &troubled), &mut answer).await;
    let headline = format!("{} nodes, {} in trouble", nodes.len(), troubled.len());
    answer.into_output(cluster, &headline, &rows)
}

/// What is wrong with a node, as words; what it is about goes to the answer.
fn judge(node: &Object, now: Timestamp, answer: &mut Answer) -> Vec<String> {
    let mut trouble = Vec::new();
    if let Some(c) = node.condition("Ready").filter(|c| c.status != "True") {
        let quiet = if c.status == "Unknown" { ", its kubelet is silent" } else { "" };
        let since = c.since.map(|t| format!(" since {t}")).unwrap_or_default();
        let says = format!("node {} is NotReady{since}: {}{quiet}", node.name(), c.reason);
        let seen = Observation::new("node.not_ready", node.entity(), says);
        answer.harm(
            seen.maybe_since(c.since)
                .until(now)
                .attr("reason", c.reason)
                .attr("why", unready(c.reason, c.message))
                .quote(c.message),
        );
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
    trouble
}

/// What a node that is not ready lacks: its kubelet's word, its network, its runtime.
fn unready(reason: &str, message: &str) -> &'static str {
    let said = format!("{reason} {message}").to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| said.contains(w));
    if says(&["nodestatusunknown", "stopped posting", "never posted"]) {
        "silent"
    } else if says(&["networkready=false", "network plugin", "cni", "networkunavailable"]) {
        "network"
    } else if says(&["pleg", "container runtime", "runtime is down", "containerd", "docker"]) {
        "runtime"
    } else {
        "other"
    }
}

fn healthy(node: &Object, now: Timestamp) -> Observation {
    let says = format!("node {} is ready and without pressure", node.name());
    let since = node.condition("Ready").and_then(|c| c.since);
    Observation::new("node.healthy", node.entity(), says).maybe_since(since).until(now)
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
