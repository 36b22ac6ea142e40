//! Pods that no node has enough room for.

mod pushed_out;

use super::Tale;
use crate::incidents::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    dice::count,
    drawn::newer,
    mishap::unscheduled,
    object::Ref,
    scaling::Scaler,
    traffic::{Id, Peer},
    truth::Truth,
    workload::Kind,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("asks_for_more_than_a_node", asks_for_more_than_a_node),
    ("no_room_to_grow", no_room_to_grow),
    ("pushed_out_by_a_batch", pushed_out::pushed_out_by_a_batch),
];

fn said(nodes: usize, resource: &str) -> String {
    format!(
        "0/{nodes} nodes are available: {nodes} Insufficient {resource}. preemption: 0/{nodes} nodes are available: {nodes} No preemption victims found for incoming pod."
    )
}

/// A rollout raises a request beyond what any node has; the old pods go on serving. Another
/// service was released at the same time, and well.
fn asks_for_more_than_a_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let place = cluster.dice.below(app.path.len());
    let id = app.path.get(place).copied().unwrap_or(app.gate());
    let nodes = cluster.nodes.len();
    let at = cluster.minutes_ago(16, 50);
    let cores = cluster.nodes.iter().map(|node| node.cores).max().unwrap_or(8);
    let memory = cluster.nodes.iter().map(|node| node.memory).max().unwrap_or(32);
    let resource = cluster.dice.pick(&["cpu", "memory"]);
    let (shown, amount) = match resource {
        "cpu" => (format!("{} CPU", cores * 2), cores * 2000),
        _ => (format!("{}Gi of memory", memory + 16), (memory + 16) * 1024),
    };
    let message = said(nodes, resource);
    cluster.stick(
        id,
        at,
        |template| match resource {
            "cpu" => {
                template.cpu_request = amount;
                template.cpu_limit = if template.cpu_limit > 0 { amount } else { 0 };
            }
            _ => (template.memory_request, template.memory_limit) = (amount, amount),
        },
        |pod| unscheduled(pod, &message),
    );
    cluster.unscheduled_events(id);
    if let Some(&side) = app.sides.first() {
        let other: Sec = at + cluster.dice.between(-120, 400);
        cluster.roll(side, other, |template| template.tag = newer(&template.tag));
    }
    let name = cluster[id].name.clone();
    let alert =
        cluster.dice.pick(&["pod_pending", "rollout_stuck", "deployment_replicas_mismatch"]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "A request that no node can meet",
            &format!("The rollout of {name} makes no progress for more than 15 minutes."),
            &format!("The new revision of {name} requests {shown} per pod, more than any node has; its pods stay Pending while the old ones serve."),
        )
        .rated("easy", "P3")
        .mention(&[&name, cluster[id].called()])
        .mention(&["insufficient", "request", "no node", "capacity", resource])
        .not_claim(&["taint", "image pull", "OOM", "quota", "volume"])
}

/// Room on every node in MiB that stands free of requests, when everything present is counted.
fn reserved(cluster: &Cluster, node: &str) -> i64 {
    let of = |id: Id| {
        let workload = &cluster[id];
        let here = workload.present().filter(|pod| pod.node == node).count();
        count(here) * workload.template().memory_request
    };
    (0..cluster.workloads.len()).map(|place| of(Id(place))).sum()
}

/// Load grows as on any busy day and the autoscaler asks for more pods, but every node's memory
/// is reserved already, much of it by a batch worker that was added lately.
fn no_room_to_grow(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.path.get(1).copied().unwrap_or(app.gate());
    let nodes = cluster.nodes.len();
    let names: Vec<String> = cluster.nodes.iter().map(|node| node.name.clone()).collect();
    spread(cluster, id, &names);
    let greedy = batch(cluster, &names);
    let at = cluster.minutes_ago(8, 30);
    let grows = cluster.dice.between(120, 420);
    let factor = cluster.dice.range(1.7, 2.3);
    let gate = app.gate();
    let mut usual = 0.0;
    if let Some(station) = cluster.traffic.station(gate) {
        station.surges.push((at, Sec::MAX, grows, factor));
        usual = station.rps;
    }
    let calls = &cluster.traffic.calls;
    let share = calls
        .iter()
        .find(|call| call.from == gate && call.to == Peer::In(id))
        .map_or(1.0, |call| call.share);
    let room = cluster.dice.range(1.3, 1.6);
    if let Some(station) = cluster.traffic.station(id) {
        station.capacity = usual * share * room;
    }
    cluster[id].always(|template| (template.cpu_request, template.cpu_limit) = (400, 700));
    cluster[id].cpu_used = 700.0 / room;
    let more = usize::try_from(cluster.dice.between(2, 3)).unwrap_or(2);
    let scaled = (at + grows / 2 + 60).min(NOW - 90);
    let was = cluster[id].pods.len();
    cluster.scale(id, nodes + more, scaled);
    let message = said(nodes, "memory");
    for pod in cluster[id].pods.iter_mut().skip(was) {
        unscheduled(pod, &message);
    }
    cluster.unscheduled_events(id);
    let mut scaler = Scaler::calm((nodes, nodes + 6), nodes + more);
    scaler.usage = (Some(cluster.dice.between(150, 172)), 75);
    let name = cluster[id].name.clone();
    let autoscaler = cluster.scaler(id, &name, &scaler);
    let other = cluster[greedy].name.clone();
    let alert = cluster.dice.pick(&["high_latency", "high_error_rate"]);
    Truth::new(cluster, alert, gate, cluster.reference(id))
        .accept(cluster.parts(id))
        .accept([cluster.reference(greedy)])
        .accept(names.iter().map(|node| Ref::new("Node", "", node)))
        .told(
            "A service cannot grow because no node has room",
            &format!("{} is slow and fails now and then since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("{} wants {} pods of {name}, but {more} stay Pending with Insufficient memory: all nodes are reserved by requests, much of it of {other}, so {name} has too few pods for today's load.", autoscaler.name, nodes + more),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&name, cluster[id].called()])
        .mention(&["insufficient memory", "Pending", "unschedulable", "no room", "cannot be scheduled", "node capacity"])
        .not_claim(&["memory leak", "OOM", "taint", "bad release", "dns failure"])
}

/// One pod of `id` on each node, with a large request that it mostly needs.
fn spread(cluster: &mut Cluster, id: Id, names: &[String]) {
    cluster[id].always(|template| (template.memory_request, template.memory_limit) = (6144, 6144));
    cluster[id].memory_used = cluster.dice.range(4000.0, 4900.0);
    let since = cluster[id].revisions.last().map_or(0, |revision| revision.at);
    while cluster[id].pods.len() < names.len() {
        let workload = cluster[id].clone();
        let revision = workload.revisions.len() - 1;
        let pod = cluster.pod(&workload, workload.pods.len(), revision, since + 40);
        cluster[id].pods.push(pod);
    }
    cluster[id].pods.truncate(names.len());
    cluster[id].replicas = names.len();
    for (pod, node) in cluster[id].pods.iter_mut().zip(names) {
        pod.node.clone_from(node);
    }
}

/// A worker of others with a pod on each node, which reserves nearly all that was free.
fn batch(cluster: &mut Cluster, names: &[String]) -> Id {
    let (space, name) = cluster.names.stranger();
    let mut worker = cluster.draft(&space, &format!("{name}-crunch"), Kind::Deployment);
    let born = cluster.hours_ago(1, 20);
    let most = names.iter().map(|node| reserved(cluster, node)).max().unwrap_or(0);
    let memory = cluster.nodes.iter().map(|node| node.memory).min().unwrap_or(16);
    let takes = (memory * 1024 - 1075 - most - 2300).max(512);
    worker.replicas = names.len();
    worker.created = born;
    worker.revisions.truncate(1);
    for revision in &mut worker.revisions {
        revision.at = born;
        (revision.template.memory_request, revision.template.memory_limit) = (takes, takes);
    }
    worker.instrumented = false;
    worker.memory_used = takes as f64 * cluster.dice.range(0.1, 0.3);
    worker.routine =
        vec!["partition {n} folded in {ms}ms".to_owned(), "waiting for work".to_owned()];
    let id = cluster.add(worker);
    for (pod, node) in cluster[id].pods.iter_mut().zip(names) {
        pod.node.clone_from(node);
    }
    id
}
