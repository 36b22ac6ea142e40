//! Pods that no node may take, although there is room.

mod pinned;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::MIN, cluster::Cluster, dice::count, drawn::newer, mishap::unscheduled, object::Ref,
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("label_of_no_node", label_of_no_node),
    ("pool_was_tainted", pool_was_tainted),
    ("volume_behind_a_cordon", pinned::volume_behind_a_cordon),
];

fn of_no_help(nodes: usize) -> String {
    format!(
        "preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    )
}

/// A rollout asks for a label that no node has, or spreads over more nodes than there are; the
/// old pods go on serving.
fn label_of_no_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let place = cluster.dice.below(app.path.len());
    let id = app.path.get(place).copied().unwrap_or(app.gate());
    let nodes = cluster.nodes.len();
    let (key, value) = cluster.dice.pick(&[
        ("disktype", "nvme"),
        ("node.kubernetes.io/instance-type", "c7g.2xlarge"),
        ("kubernetes.io/arch", "arm64"),
        ("workload-class", "latency"),
        ("topology.kubernetes.io/zone", "north-3d"),
    ]);
    let by_affinity = cluster.dice.chance(0.5);
    let at = cluster.minutes_ago(16, 50);
    let help = of_no_help(nodes);
    let message = format!(
        "0/{nodes} nodes are available: {nodes} node(s) didn't match Pod's node affinity/selector. {help}"
    );
    let term = json!({"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]});
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [term]}}});
    cluster.stick(
        id,
        at,
        |template| {
            template.tag = newer(&template.tag);
            template.spec.push(if by_affinity {
                ("affinity".into(), affinity)
            } else {
                ("nodeSelector".into(), json!({key: value}))
            });
        },
        |pod| unscheduled(pod, &message),
    );
    cluster.unscheduled_events(id);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["pod_pending", "rollout_stuck", "kube_pod_not_scheduled"]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "New pods find no node",
            &format!("Pods of {name} are Pending for more than 15 minutes."),
            &format!("The new revision of {name} demands nodes with {key}={value}, which no node has; its pods stay Pending while the old ones serve."),
        )
        .rated("easy", "P3")
        .mention(&[&name, cluster[id].called()])
        .mention(&["selector", "affinity", "label", key, value])
        .not_claim(&["insufficient cpu", "insufficient memory", "image pull", "OOM", "quota"])
}

/// The few nodes that a service may run on were tainted for something else; when its pods were
/// moved, none could come back. The alert comes from the gate.
fn pool_was_tainted(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let pool = cluster.dice.pick(&["general", "web", "apps", "steady"]);
    let label = cluster.dice.pick(&["pool", "node-group", "tier.infra/pool"]);
    let nodes = cluster.nodes.len();
    let chosen = cluster.dice.between(1, count(nodes) - 2);
    let chosen = usize::try_from(chosen).unwrap_or(1);
    let (key, value) = cluster.dice.pick(&[
        ("dedicated", "batch"),
        ("reserved-for", "nightly-import"),
        ("team", "research"),
        ("maintenance", "planned"),
        ("spot", "true"),
    ]);
    let mut tainted = Vec::new();
    for (place, node) in cluster.nodes.iter_mut().enumerate() {
        let own = if place < chosen { pool } else { "shared" };
        node.labels.push((label.to_owned(), own.to_owned()));
        if place < chosen {
            node.taints.push((key.to_owned(), value.to_owned(), "NoSchedule"));
            tainted.push(node.name.clone());
        }
    }
    cluster[id]
        .always(|template| template.spec.push(("nodeSelector".into(), json!({label: pool}))));
    for (place, pod) in cluster[id].pods.iter_mut().enumerate() {
        if let Some(node) = tainted.get(place % tainted.len().max(1)) {
            pod.node.clone_from(node);
        }
    }
    let at = cluster.minutes_ago(7, 40);
    let help = of_no_help(nodes);
    let others = nodes - chosen;
    let message = format!(
        "0/{nodes} nodes are available: {chosen} node(s) had untolerated taint {{{key}: {value}}}, {others} node(s) didn't match Pod's node affinity/selector. {help}"
    );
    cluster.replace_all(id, at, |pod| unscheduled(pod, &message));
    cluster.unscheduled_events(id);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["high_error_rate", "availability_low"]);
    Truth::new(cluster, alert, app.gate(), cluster.reference(id))
        .accept(cluster.parts(id))
        .accept(tainted.iter().map(|node| Ref::new("Node", "", node)))
        .told(
            "A service has no node left that may take it",
            &format!("Most requests of {} fail since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("{name} may only run on nodes with {label}={pool}; these carry the taint {key}={value}:NoSchedule, which it does not tolerate, so its replaced pods stay Pending."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(app.gate()))
        .mention(&["taint", "tolerat"])
        .mention(&[&name, cluster[id].called(), key])
        .not_claim(&["insufficient cpu", "insufficient memory", "image pull", "OOM", "dns failure"])
}
