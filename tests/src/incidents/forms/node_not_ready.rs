//! Nodes that are lost.

use super::Tale;
use crate::incidents::{
    clock::{MIN, Sec},
    cluster::Cluster,
    event::Happening,
    node::Ill,
    object::Ref,
    storage::Store,
    traffic::{Id, Peer},
    truth::Truth,
    workload::Kind,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("pods_of_a_silent_node", pods_of_a_silent_node),
    ("store_on_a_silent_node", store_on_a_silent_node),
];

/// The kubelet of node `place` is heard of last at `at`; 40 seconds later the node counts as
/// lost, and after five more minutes its pods are given up: Deployments make others elsewhere.
fn lose(cluster: &mut Cluster, place: usize, at: Sec) -> String {
    let Some(node) = cluster.nodes.get_mut(place) else { return String::new() };
    let since = at + 40;
    for kind in ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"] {
        let message = "Kubelet stopped posting node status.".to_owned();
        node.ills.push(Ill {
            kind,
            status: "Unknown",
            reason: "NodeStatusUnknown",
            message,
            since,
        });
    }
    for effect in ["NoSchedule", "NoExecute"] {
        node.taints.push(("node.kubernetes.io/unreachable".to_owned(), String::new(), effect));
    }
    (node.silent, node.heartbeat) = (Some(at), at);
    let name = node.name.clone();
    let object = Ref::new("Node", "", &name);
    let said = format!("Node {name} status is now: NodeNotReady");
    cluster
        .events
        .push(Happening::normal(object, "node-controller", "NodeNotReady", said).at(since));
    for id in (0..cluster.workloads.len()).map(Id) {
        lose_pods(cluster, id, &name, at);
    }
    name
}

fn lose_pods(cluster: &mut Cluster, id: Id, node: &str, at: Sec) {
    let workload = cluster[id].clone();
    let revision = workload.revisions.len().saturating_sub(1);
    for (number, pod) in workload.pods.iter().enumerate() {
        if pod.node != node || pod.gone.is_some() {
            continue;
        }
        if let Some(pod) = cluster[id].pods.get_mut(number) {
            (pod.lost, pod.ready_until) = (Some(at), at + 40);
        }
        let object = || Ref::new("Pod", &workload.namespace, &pod.name);
        let mut event = Happening::warning(
            object(),
            "node-controller",
            "NodeNotReady",
            "Node is not ready".to_owned(),
        )
        .at(at + 40);
        event.uid.clone_from(&pod.uid);
        cluster.events.push(event);
        let Some(marked) = cluster[id].pods.get(number).and_then(|pod| pod.given_up()) else {
            continue;
        };
        if workload.kind == Kind::DaemonSet {
            continue;
        }
        let said = format!("Marking for deletion Pod {}/{}", workload.namespace, pod.name);
        cluster.events.push(
            Happening::normal(object(), "taint-eviction-controller", "TaintManagerEviction", said)
                .at(marked),
        );
        if workload.kind == Kind::Deployment {
            let other = cluster.pod(&workload, number, revision, marked + 1);
            cluster[id].pods.push(other);
        }
    }
}

/// A node falls silent; some pods of a service were there, and the others serve on. The alert is
/// on the service.
fn pods_of_a_silent_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    let place = cluster.dice.below(cluster.nodes.len());
    let node = cluster.nodes.get(place).map(|node| node.name.clone()).unwrap_or_default();
    let elsewhere = cluster.nodes.iter().map(|node| node.name.clone()).find(|name| *name != node);
    let elsewhere = elsewhere.unwrap_or_default();
    for other in app.path.iter().chain(&app.sides) {
        for (number, pod) in cluster[*other].pods.iter_mut().enumerate() {
            if *other == id && number == 0 {
                pod.node.clone_from(&node);
            } else if number == 1 && pod.node == node {
                pod.node.clone_from(&elsewhere);
            }
        }
    }
    let at = cluster.minutes_ago(3, 35);
    lose(cluster, place, at);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&[
        "pod_not_ready",
        "kube_node_not_ready",
        "deployment_replicas_mismatch",
    ]);
    Truth::new(cluster, alert, id, Ref::new("Node", "", &node))
        .claimed("warning")
        .told(
            "A node stops answering",
            &format!("A pod of {name} on {node} is not ready."),
            &format!("The kubelet of node {node} stopped posting status (NotReady, unreachable); its pods are lost, among them one of {name}, whose other pods serve on."),
        )
        .rated("easy", "P3")
        .mention(&[&node])
        .mention(&["NotReady", "not ready", "unreachable", "stopped posting", "lost", "kubelet"])
        .not_claim(&["OOM", "image pull", "bad release", "disk pressure", "liveness probe"])
}

/// The one pod of a store was on a node that fell silent; a StatefulSet makes no other while that
/// one hangs. The alert comes from the gate.
fn store_on_a_silent_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let space = cluster.home();
    let name = cluster.names.thing(&["db", "store", "records"]);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Mysql, Store::Mongo, Store::Redis]);
    let id = cluster.store(&space, &name, (kind, 1, 50));
    cluster.call(app.last(), Peer::In(id), true);
    let place = cluster.dice.below(cluster.nodes.len());
    let node = cluster.nodes.get(place).map(|node| node.name.clone()).unwrap_or_default();
    let names: Vec<String> =
        cluster.nodes.iter().map(|node| node.name.clone()).filter(|name| *name != node).collect();
    for other in app.path.iter().chain(&app.sides) {
        let workload = &mut cluster[*other];
        for (pod, name) in workload.pods.iter_mut().zip(names.iter().cycle()) {
            pod.node.clone_from(name);
        }
    }
    for pod in &mut cluster[id].pods {
        pod.node.clone_from(&node);
    }
    let at = cluster.minutes_ago(6, 35);
    lose(cluster, place, at);
    if cluster.dice.chance(0.3) {
        cluster.lacks.events = true;
    }
    let alert = cluster.dice.pick(&["high_error_rate", "availability_low"]);
    let difficulty = if hops > 0 { "hard" } else { "medium" };
    Truth::new(cluster, alert, app.gate(), Ref::new("Node", "", &node))
        .told(
            "The node of the only store pod is lost",
            &format!("Requests of {} fail since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("Node {node} stopped posting status and is NotReady; the only pod of {name} was there and hangs in Terminating, so {} and all before it fail.", cluster[app.last()].called()),
        )
        .rated(difficulty, cluster.effect(app.gate()))
        .mention(&[&node])
        .mention(&["NotReady", "not ready", "unreachable", "stopped posting", "lost", "node"])
        .not_claim(&["OOM", "image pull", "bad release", "disk pressure", "pool exhausted"])
}
