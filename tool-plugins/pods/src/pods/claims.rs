//! Claims that keep pods from starting: not bound, or not there at all. A claim that waits for
//! its first pod is in order as long as the scheduler does not complain of volumes.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};
use plugin_cluster::{Answer, Cluster, Kind, Object, sayings};

use super::uses;

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    pods: &[Object],
    answer: &mut Answer,
) {
    let held: Vec<&Object> = pods.iter().filter(|pod| held_by_volumes(pod)).collect();
    if held.is_empty() {
        return;
    }
    let listed = cluster.list(Kind::PersistentVolumeClaim, namespace).await;
    let known = cluster.records(Kind::PersistentVolumeClaim) && listed.is_ok();
    let claims = answer.or_gap("persistentvolumeclaims", listed);
    let classes = cluster.list(Kind::StorageClass, None).await;
    let classes =
        cluster.records(Kind::StorageClass).then(|| answer.or_gap("storageclasses", classes));
    // Several pods may wait for one claim.
    let mut told = BTreeMap::new();
    for pod in held {
        for need in uses::needs(pod).iter().filter(|n| n.kind == "PersistentVolumeClaim") {
            let entity = Entity::new(need.kind, pod.namespace(), need.name.as_str());
            let claim = claims.iter().find(|c| c.entity() == entity);
            let seen = match claim {
                Some(claim) if claim.text("/status/phase") == "Bound" => continue,
                Some(claim) => unbound(claim, classes.as_deref()),
                None if known => absent(entity.clone(), pod),
                None => continue,
            };
            told.entry(entity).or_insert_with(|| seen.until(cluster.now()).peer(pod.entity()));
        }
    }
    for seen in told.into_values() {
        answer.harm(seen);
    }
}

/// Whether the scheduler says that volumes keep a pod from a node.
fn held_by_volumes(pod: &Object) -> bool {
    let placed = pod.condition("PodScheduled").filter(|c| c.reason == "Unschedulable");
    placed.is_some_and(|c| {
        let read = sayings::unschedulable(c.message).unwrap_or_default();
        read.exclusions.iter().any(|e| e.why == "volume")
    })
}

fn unbound(claim: &Object, classes: Option<&[Object]>) -> Observation {
    let class = claim.text("/spec/storageClassName");
    let phase = claim.text("/status/phase");
    let missing =
        !class.is_empty() && classes.is_some_and(|all| !all.iter().any(|c| c.name() == class));
    let why = if missing { ", which does not exist" } else { "" };
    let asks = claim.text("/spec/resources/requests/storage");
    let says = format!(
        "PersistentVolumeClaim {} is {phase}: asks for {asks} of class {class}{why}",
        claim.name()
    );
    Observation::new("storage.claim_pending", claim.entity(), says)
        .maybe_since(claim.created())
        .attr("class", class)
        .attr("class_missing", if missing { "true" } else { "false" })
}

fn absent(claim: Entity, pod: &Object) -> Observation {
    let says = format!(
        "PersistentVolumeClaim {} does not exist, needed by pod {}",
        claim.name,
        pod.name()
    );
    Observation::new("storage.claim_pending", claim, says)
        .maybe_since(pod.created())
        .attr("class", "")
}
