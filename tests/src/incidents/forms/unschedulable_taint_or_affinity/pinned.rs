//! Pods that can only run where they may not.

use crate::incidents::{
    clock::MIN, cluster::Cluster, drawn::newer, event::Happening, mishap::unscheduled, object::Ref,
    storage::Store, truth::Truth,
};

/// A database's volume lies in one zone, whose only node was cordoned and not given back; its pod
/// was deleted since and finds no node. The application above fails.
pub(super) fn volume_behind_a_cordon(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Mysql, Store::Mongo]);
    let (app, base) = cluster.app_on(hops, kind);
    let gate = app.gate();
    let node = cluster[base].pods.first().map(|pod| pod.node.clone()).unwrap_or_default();
    let nodes = cluster.nodes.len();
    let at = cluster.minutes_ago(6, 30);
    let since = at - cluster.dice.between(100, 1500);
    for machine in cluster.nodes.iter_mut().filter(|machine| machine.name == node) {
        machine.cordoned = true;
        machine.zone = format!("{}x", machine.zone.trim_end_matches(char::is_alphabetic));
    }
    let object = Ref::new("Node", "", &node);
    let status = "NodeNotSchedulable";
    let message = format!("Node {node} status is now: {status}");
    let event = Happening::normal(object.clone(), "kubelet", status, message);
    cluster.events.push(event.on(&node).at(since));
    let others = nodes - 1;
    let message = format!(
        "0/{nodes} nodes are available: 1 node(s) were unschedulable, {others} node(s) had volume node affinity conflict. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    );
    cluster.replace_all(base, at, |pod| unscheduled(pod, &message));
    cluster.unscheduled_events(base);
    cluster.roll(app.last(), at - 130, |template| template.tag = newer(&template.tag));
    let alert =
        cluster.dice.pick(&["KubeStatefulSetReplicasMismatch", "high_error_rate", "probe_failed"]);
    let shown = if alert == "KubeStatefulSetReplicasMismatch" { base } else { gate };
    let name = cluster[base].name.clone();
    let claim = Ref::new("PersistentVolumeClaim", &cluster.home(), &format!("data-{name}-0"));
    Truth::new(cluster, alert, shown, object)
        .accept([cluster.reference(base), claim])
        .accept(cluster.parts(base))
        .told(
            "A volume behind a cordon",
            &format!("{} is not available since {} minutes.", cluster[shown].called(), -at / MIN),
            &format!("Node {node} is cordoned, and the volume of {name} can be mounted nowhere else: its pod stays Pending, and what needs the database fails."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&["cordon", "unschedulable", "node affinity", "volume node affinity"])
        .mention(&[&node, &name])
        .not_claim(&["insufficient cpu", "insufficient memory", "OOM", "image pull", "bad release"])
}
