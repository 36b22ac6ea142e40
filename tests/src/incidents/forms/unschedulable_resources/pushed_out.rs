//! Pods that had to make room for others.

use serde_json::json;

use crate::incidents::{
    clock::MIN, cluster::Cluster, dice::count, drawn::newer, event::Happening, mishap::unscheduled,
    object::Ref, truth::Truth, workload::Kind,
};

/// A batch with a high priority takes the room of a service, whose pods are preempted and find no
/// other place.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn pushed_out_by_a_batch(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    cluster[id].always(|t| (t.memory_request, t.memory_limit) = (3072, 4096));
    let at = cluster.minutes_ago(7, 35);
    let nodes = cluster.nodes.len();
    let room = cluster.nodes.iter().map(|node| node.memory).min().unwrap_or(16);
    let (space, name) = cluster.names.stranger();
    let batch = format!("{name}-{}", cluster.dice.pick(&["training", "reindex", "backtest"]));
    let mut draft = cluster.draft(&space, &batch, Kind::Deployment);
    let class = cluster.dice.pick(&["urgent-batch", "business-critical", "high"]);
    (draft.replicas, draft.created, draft.instrumented) = (nodes, at - 2, false);
    draft.revisions.truncate(1);
    draft.revisions.iter_mut().for_each(|revision| revision.at = at - 2);
    draft.always(|t| {
        (t.memory_request, t.memory_limit) = ((room - 4) * 1024, (room - 4) * 1024);
        t.spec.push(("priorityClassName".to_owned(), json!(class)));
        t.spec.push(("priority".to_owned(), json!(900_000)));
        t.spec.push(("preemptionPolicy".to_owned(), json!("PreemptLowerPriority")));
    });
    for number in 0..nodes {
        let mut pod = cluster.pod(&draft, number, 0, at - 1);
        // One on every node.
        pod.node = cluster.nodes.get(number).map(|node| node.name.clone()).unwrap_or_default();
        draft.pods.push(pod);
    }
    let taker = cluster.add(draft);
    let victims = cluster[id].pods.clone();
    for pod in &victims {
        let by = cluster[taker].pods.iter().find(|one| one.node == pod.node);
        let uid = by.map(|one| one.uid.clone()).unwrap_or_default();
        let object = Ref::new("Pod", &home, &pod.name);
        let message = format!("Preempted by pod {uid} on node {}", pod.node);
        let event = Happening::warning(object, "default-scheduler", "Preempted", message);
        let mut event = event.at(at);
        event.uid.clone_from(&pod.uid);
        cluster.events.push(event);
    }
    let message = format!(
        "0/{nodes} nodes are available: {nodes} Insufficient memory. preemption: 0/{nodes} nodes are available: {nodes} No preemption victims found for incoming pod."
    );
    cluster.replace_all(id, at, |pod| unscheduled(pod, &message));
    cluster.unscheduled_events(id);
    if let Some(&side) = app.sides.first() {
        let other = at - count(nodes) * 100;
        cluster.roll(side, other, |template| template.tag = newer(&template.tag));
    }
    let alert =
        cluster.dice.pick(&["KubePodNotReady", "KubeDeploymentReplicasMismatch", "service_down"]);
    let called = cluster[id].name.clone();
    let shown = if alert == "service_down" { gate } else { id };
    Truth::new(cluster, alert, shown, cluster.reference(taker))
        .accept(cluster.parts(taker))
        .told(
            "A batch took the room of a service",
            &format!("{} has had no ready replica for {} minutes.", cluster[shown].called(), -at / MIN),
            &format!("Deployment {batch} in {space} was made with priority class {class} and fills every node; the pods of {called} were preempted and find no memory anywhere."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&["Insufficient memory", "memory", "preempt", "no node", "unschedulable", "FailedScheduling"])
        .mention(&[&batch, "preempt", "priority", class])
        .not_claim(&["OOM", "image pull", "dns failure", "network policy", "taint"])
}
