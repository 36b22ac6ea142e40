//! Pods that came and went because somebody wanted it so.

use serde_json::json;

use super::told;
use crate::incidents::{
    clock::{DAY, NOW, Sec},
    cluster::Cluster,
    dice::count,
    event::Happening,
    object::{Edit, Ref},
    traffic::Id,
    truth::Truth,
};

/// Cordons a node at `at` and says why; gives its name.
fn cordoned(cluster: &mut Cluster, at: Sec) -> String {
    let place = cluster.dice.below(cluster.nodes.len());
    let firm = cluster.names.firm.clone();
    let name = cluster.nodes.get_mut(place).map_or_else(String::new, |node| {
        node.cordoned = true;
        node.labels.push((format!("{firm}.example/maintenance"), "kernel-update".to_owned()));
        node.name.clone()
    });
    let message = format!("Node {name} status is now: NodeNotSchedulable");
    let event =
        Happening::normal(Ref::new("Node", "", &name), "kubelet", "NodeNotSchedulable", message);
    cluster.events.push(event.on(&name).at(at));
    name
}

/// Moves a pod of `id` away from `node`: the old one is gone at `at`, a new one comes up.
fn moved(cluster: &mut Cluster, id: Id, node: &str, at: Sec) {
    let workload = cluster[id].clone();
    let newest = workload.revisions.len().saturating_sub(1);
    let fresh = cluster.pod(&workload, workload.pods.len(), newest, at + 1);
    if let Some(pod) = cluster[id].pods.iter_mut().find(|pod| pod.gone.is_none()) {
        node.clone_into(&mut pod.node);
        pod.gone = Some(at);
    }
    cluster[id].pods.push(fresh);
}

/// A node is emptied for maintenance; its pods are up elsewhere by now.
pub(super) fn drain_moved_its_pods(cluster: &mut Cluster) -> Truth {
    let at = cluster.minutes_ago(6, 25);
    let node = cordoned(cluster, at);
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let all: Vec<Id> = app.path.iter().chain(&app.sides).copied().collect();
    for (number, id) in all.iter().enumerate() {
        if number == 0 || cluster.dice.chance(0.6) {
            moved(cluster, *id, &node, at + 5 + 9 * count(number));
        }
    }
    let id = app.gate();
    let shown = cluster[id].called().to_owned();
    let alert = cluster.dice.pick(&[
        "pods_restarted",
        "KubePodsRecreated",
        "replicas_unavailable",
        "pod_deleted",
    ]);
    let cause = format!(
        "Node {node} was cordoned and drained for maintenance; a pod of {shown} was moved to another node and is ready, and no request failed."
    );
    told(cluster, alert, id, (&format!("A pod of {shown} disappeared."), &cause)).mention(&[
        "drain",
        "cordon",
        "maintenance",
        "moved",
        "evict",
        "rescheduled",
        "unschedulable",
        &node,
    ])
}

/// Somebody restarted a Deployment as planned: all pods are new, and all are ready.
pub(super) fn restarted_as_planned(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.last();
    let at = cluster.minutes_ago(4, 20);
    let stamp = cluster.clock.rfc(at);
    let deployer = std::mem::replace(&mut cluster.habits.deployer, "kubectl-rollout");
    cluster.roll(id, at, |t| {
        t.annotations.push(("kubectl.kubernetes.io/restartedAt".to_owned(), stamp))
    });
    cluster.habits.deployer = deployer;
    let shown = cluster[id].called().to_owned();
    let alert = cluster.dice.pick(&[
        "pods_restarted",
        "KubeDeploymentReplicasMismatch",
        "pod_churn",
        "rollout_in_progress",
    ]);
    let cause = format!(
        "{} was restarted with kubectl rollout restart; all its new pods are ready and no request failed.",
        cluster[id].name
    );
    told(
        cluster,
        alert,
        id,
        (&format!("Pods of {shown} were replaced within a few minutes."), &cause),
    )
    .mention(&["restart", "rollout", "rolled", "rolling", "replaced", "planned"])
}

/// A drain waits because a disruption budget does not let the last spare member go: as it should.
pub(super) fn budget_holds_a_drain_up(cluster: &mut Cluster) -> Truth {
    let at = cluster.minutes_ago(10, 40);
    let node = cordoned(cluster, at);
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let id = app.last();
    let wanted = cluster[id].replicas;
    if let Some(pod) = cluster[id].pods.first_mut() {
        node.clone_into(&mut pod.node);
    }
    let pod = cluster[id].pods.first().map(|pod| pod.name.clone()).unwrap_or_default();
    let (home, name) = (cluster.home(), format!("{}-pdb", cluster[id].name));
    let named = Ref::new("PodDisruptionBudget", &home, &name);
    let made = -DAY * 90;
    let meta = cluster.objects.meta(
        &named,
        made,
        &[Edit::new(made, cluster.habits.deployer, &["f:spec.f:minAvailable"])],
    );
    let labels: serde_json::Map<String, serde_json::Value> =
        cluster[id].labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    let since = cluster.clock.rfc(made);
    cluster.objects.put("PodDisruptionBudget", meta, json!({"spec": {"minAvailable": wanted, "selector": {"matchLabels": labels}},
        "status": {"currentHealthy": wanted, "desiredHealthy": wanted, "disruptionsAllowed": 0, "expectedPods": wanted, "observedGeneration": 1,
        "conditions": [{"type": "DisruptionAllowed", "status": "False", "reason": "InsufficientPods", "message": "", "lastTransitionTime": since, "observedGeneration": 1}]}}));
    let event = Happening::warning(
        Ref::new("Node", "", &node),
        "node-drainer",
        "DrainDelayed",
        format!(
            "error when evicting pod {home}/{pod}: Cannot evict pod as it would violate the pod's disruption budget. Will retry after 5s"
        ),
    );
    cluster.events.push(event.times(at + 6, NOW - 4, (NOW - at) / 5));
    let shown = cluster[id].called().to_owned();
    let alert =
        cluster.dice.pick(&["node_drain_stalled", "KubeNodeUnschedulable", "eviction_refused"]);
    let cause = format!(
        "Node {node} is cordoned for maintenance; disruption budget {name} keeps a pod of {shown} there until another is ready. Everything serves."
    );
    told(
        cluster,
        alert,
        id,
        (&format!("A pod of {shown} could not be evicted from node {node}."), &cause),
    )
    .accept([named, Ref::new("Node", "", &node)])
    .mention(&[
        "drain",
        "cordon",
        "maintenance",
        "disruption budget",
        "PDB",
        "PodDisruptionBudget",
        "evict",
        "unschedulable",
    ])
}
