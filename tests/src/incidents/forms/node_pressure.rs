//! Nodes that run short and throw pods off.

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    event::Happening,
    mishap::unscheduled,
    node::Ill,
    object::Ref,
    traffic::Id,
    truth::Truth,
    workload::{Kind, State},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("hog_takes_the_memory", hog_takes_the_memory),
    ("disk_of_the_only_node", disk_of_the_only_node),
];

/// The kubelet of node `place` reports pressure since `at`, and takes no more pods.
fn press(cluster: &mut Cluster, place: usize, (kind, at): (&'static str, Sec)) -> String {
    let (reason, message, taint, resource, status) = match kind {
        "MemoryPressure" => (
            "KubeletHasInsufficientMemory",
            "kubelet has insufficient memory available",
            "node.kubernetes.io/memory-pressure",
            "memory",
            "NodeHasInsufficientMemory",
        ),
        _ => (
            "KubeletHasDiskPressure",
            "kubelet has disk pressure",
            "node.kubernetes.io/disk-pressure",
            "ephemeral-storage",
            "NodeHasDiskPressure",
        ),
    };
    let Some(node) = cluster.nodes.get_mut(place) else { return String::new() };
    node.ills.push(Ill { kind, status: "True", reason, message: message.to_owned(), since: at });
    node.taints.push((taint.to_owned(), String::new(), "NoSchedule"));
    let name = node.name.clone();
    let falls = [(at - 2400, 0.42), (at, 0.02), (NOW, 0.025)];
    match kind {
        "MemoryPressure" => node.memory_free = falls.to_vec(),
        _ => node.disk_free = vec![(at - 3000, 0.45), (at, 0.095), (NOW, 0.08)],
    }
    let object = Ref::new("Node", "", &name);
    let met = Happening::warning(
        object.clone(),
        "kubelet",
        "EvictionThresholdMet",
        format!("Attempting to reclaim {resource}"),
    );
    let now = Happening::normal(
        object.clone(),
        "kubelet",
        status,
        format!("Node {name} status is now: {status}"),
    );
    cluster.events.push(met.on(&name).times(at - 2, NOW - 7, (NOW - at) / 60 + 1));
    cluster.events.push(now.on(&name).at(at));
    if kind == "DiskPressure" {
        let freed = Happening::warning(object, "kubelet", "FreeDiskSpaceFailed", "Failed to garbage collect required amount of images. Attempted to free 5368709120 bytes, but only found 0 bytes eligible to free.".to_owned());
        cluster.events.push(freed.on(&name).times(at + 40, NOW - 60, (NOW - at) / 300 + 1));
    }
    name
}

/// The pods of `id` on `node` are evicted at `at`; the controller makes others. Gives the places
/// of these.
fn evict(cluster: &mut Cluster, id: Id, node: &str, (at, why): (Sec, &str)) -> Vec<usize> {
    let workload = cluster[id].clone();
    let revision = workload.revisions.len().saturating_sub(1);
    let mut made = Vec::new();
    for (number, pod) in workload.pods.iter().enumerate() {
        if pod.node != node || pod.gone.is_some() {
            continue;
        }
        if let Some(pod) = cluster[id].pods.get_mut(number) {
            pod.state = State::Evicted(why.to_owned());
            pod.ready_until = at;
            pod.ip.clear();
        }
        let object = Ref::new("Pod", &workload.namespace, &pod.name);
        let mut event =
            Happening::warning(object, "kubelet", "Evicted", why.to_owned()).on(node).at(at);
        event.uid.clone_from(&pod.uid);
        cluster.events.push(event);
        let other = cluster.pod(&workload, number, revision, at + 1);
        cluster[id].pods.push(other);
        made.push(cluster[id].pods.len() - 1);
    }
    made
}

/// A worker without a limit takes the memory of its node; the kubelet evicts what else is there.
/// The alert is on a service whose pod was thrown off; others of it serve on.
fn hog_takes_the_memory(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    let space = cluster.home();
    let at = cluster.minutes_ago(5, 40);
    let place = cluster.dice.below(cluster.nodes.len());
    let total = cluster.nodes.get(place).map_or(16, |node| node.memory) as f64 * 1024.0;
    let worker = cluster.names.worker();
    let mut hog = cluster.draft(&space, &worker, Kind::Deployment);
    (hog.replicas, hog.instrumented) = (1, false);
    // It stays below its large request, so that the kubelet takes others first.
    let asked = cluster.nodes.get(place).map_or(16, |node| node.memory) * 570;
    hog.always(|template| (template.memory_limit, template.memory_request) = (0, asked));
    hog.memory_course = vec![(at - 2400, total * 0.1), (at, total * 0.52), (NOW, total * 0.52)];
    hog.routine = vec![
        "holding {n} frames in memory for the merge".to_owned(),
        "frame {n} decoded in {ms}ms".to_owned(),
    ];
    let hog = cluster.add(hog);
    let node = cluster.nodes.get(place).map(|node| node.name.clone()).unwrap_or_default();
    for pod in &mut cluster[hog].pods {
        pod.node.clone_from(&node);
    }
    if let Some(pod) = cluster[id].pods.first_mut() {
        pod.node.clone_from(&node);
    }
    press(cluster, place, ("MemoryPressure", at));
    let container = cluster[id].container.clone();
    let request = cluster[id].template().memory_request;
    let had = cluster.dice.between(request + 20, request + 90);
    cluster[id].memory_used = (request + 40) as f64;
    let left = cluster.dice.between(61, 98);
    let why = format!(
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: {left}Mi. Container {container} was using {}Ki, request is {request}Mi, has larger consumption of memory. ",
        had * 1024
    );
    evict(cluster, id, &node, (at + 3, &why));
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["pod_evicted", "pods_evicted", "node_memory_pressure"]);
    Truth::new(cluster, alert, id, Ref::new("Node", "", &node))
        .accept([cluster.reference(hog)])
        .accept(cluster.parts(hog))
        .claimed("warning")
        .told(
            "A node runs out of memory and evicts",
            &format!("Pods of {name} were evicted from {node}."),
            &format!("Node {node} is under MemoryPressure because {worker}, which has no memory limit, takes more than half of it; the kubelet evicts pods of others such as {name}."),
        )
        .rated("medium", "P3")
        .mention(&["memory pressure", "MemoryPressure", "low on resource", "evict"])
        .mention(&[&node, &worker])
        .not_claim(&["disk pressure", "image pull", "bad release", "network policy", "dns failure"])
        .or_category(&["memory_leak"])
}

/// The disk of the one node that a service may run on is full; its pods are evicted and cannot
/// come back as long as the node has its taint. The alert comes from the gate.
fn disk_of_the_only_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let at = cluster.minutes_ago(7, 40);
    let place = cluster.dice.below(cluster.nodes.len());
    let (key, value) =
        cluster.dice.pick(&[("licence", "seat-1"), ("hardware", "hsm"), ("pool", "fast-scratch")]);
    if let Some(node) = cluster.nodes.get_mut(place) {
        node.labels.push((key.to_owned(), value.to_owned()));
    }
    cluster[id].always(|template| template.spec.push(("nodeSelector".into(), json!({key: value}))));
    let node = cluster.nodes.get(place).map(|node| node.name.clone()).unwrap_or_default();
    for pod in &mut cluster[id].pods {
        pod.node.clone_from(&node);
    }
    press(cluster, place, ("DiskPressure", at));
    let why = format!(
        "The node was low on resource: ephemeral-storage. Threshold quantity: 10%, available: {}Ki. ",
        cluster.dice.between(7_900_000, 9_300_000)
    );
    let made = evict(cluster, id, &node, (at + 4, &why));
    let nodes = cluster.nodes.len();
    let message = format!(
        "0/{nodes} nodes are available: 1 node(s) had untolerated taint {{node.kubernetes.io/disk-pressure: }}, {} node(s) didn't match Pod's node affinity/selector. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling.",
        nodes - 1
    );
    for place in made {
        if let Some(pod) = cluster[id].pods.get_mut(place) {
            unscheduled(pod, &message);
        }
    }
    cluster.unscheduled_events(id);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["high_error_rate", "availability_low"]);
    Truth::new(cluster, alert, app.gate(), Ref::new("Node", "", &node))
        .told(
            "The disk of the only fitting node is full",
            &format!("Most requests of {} fail since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("Node {node} is under DiskPressure and evicted the pods of {name}; they may run on no other node and stay Pending because of its taint."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(app.gate()))
        .mention(&["disk pressure", "DiskPressure", "disk-pressure", "ephemeral-storage"])
        .mention(&[&node])
        .not_claim(&["OOM", "image pull", "bad release", "network policy", "dns failure"])
}
