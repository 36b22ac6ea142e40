//! Whether somebody makes the volumes that claims wait for. A provisioner in the cluster is known
//! by what its containers are called and told, never by a list of products.

use std::collections::BTreeSet;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{Answer, Kind, Object, pod};

use super::{Scene, is_bound};
use crate::pods::{desired, ready};

pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for claim in scene.claims.iter().filter(|c| !is_bound(c)) {
        let class = claim.text("/spec/storageClassName");
        let Some(class) = scene.class(class) else { continue };
        let provisioner = class.text("/provisioner");
        if provisioner.is_empty() || provisioner == "kubernetes.io/no-provisioner" {
            continue;
        }
        let workloads = makers(scene, provisioner).await;
        for workload in &workloads {
            answer.relate(Relation::new(claim.entity(), RelationKind::Uses, workload.entity()));
        }
        let down = !workloads.is_empty() && workloads.iter().all(|w| ready(w) == 0);
        let Some(first) = workloads.first().filter(|_| down) else { continue };
        if asked.insert(provisioner) {
            answer.harm(told(scene, first, class, claim.entity()));
        }
    }
}

fn told(scene: &Scene<'_>, workload: &Object, class: &Object, claim: Entity) -> Observation {
    let provisioner = class.text("/provisioner");
    let says = format!(
        "{} {}/{} makes volumes of class {} ({provisioner}) and has {} of {} replicas ready",
        workload.kind(),
        workload.namespace(),
        workload.name(),
        class.name(),
        ready(workload),
        desired(workload)
    );
    let since = workload.condition("Available").filter(|c| c.status == "False");
    Observation::new("storage.provisioner_down", workload.entity(), says)
        .maybe_since(since.and_then(|c| c.since))
        .until(scene.cluster.now())
        .attr("provisioner", provisioner)
        .attr("class", class.name())
        .peer(claim)
}

/// The workloads that provision for a driver: they carry its name, or are provisioners whose own
/// name holds most of its words.
async fn makers(scene: &Scene<'_>, provisioner: &str) -> Vec<Object> {
    let mut found = Vec::new();
    for kind in [Kind::Deployment, Kind::StatefulSet] {
        let all = scene.cluster.list(kind, None).await.unwrap_or_default();
        found.extend(all.into_iter().filter(|w| makes(w, provisioner)));
    }
    found
}

fn makes(workload: &Object, provisioner: &str) -> bool {
    let containers = workload.list("/spec/template/spec/containers");
    let mut provisions = workload.name().contains("provisioner");
    let mut named = false;
    for container in containers {
        let text = |key: &str| container.get(key).and_then(|v| v.as_str()).unwrap_or_default();
        provisions |= text("name").contains("provisioner") || text("image").contains("provisioner");
        let told = ["args", "command"].into_iter().flat_map(|key| pod::list(container, key));
        named |= told.filter_map(|a| a.as_str()).any(|a| a.contains(provisioner));
        let env = pod::list(container, "env").iter().filter_map(|e| e.get("value")?.as_str());
        named |= env.into_iter().any(|value| value == provisioner);
    }
    provisions && (named || alike(workload, provisioner))
}

/// `block.csi.example.com` and a workload `block-csi-controller`.
fn alike(workload: &Object, provisioner: &str) -> bool {
    let name = provisioner.rsplit('/').next().unwrap_or(provisioner);
    let words: Vec<&str> = name.split(['.', '-']).filter(|w| w.len() > 2).take(2).collect();
    let own: Vec<&str> = workload.name().split('-').collect();
    !words.is_empty() && words.iter().all(|word| own.contains(word))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_provisioner_is_known_by_what_its_containers_are_told() {
        let workload = |name: &str, container: serde_json::Value| {
            Object::new(json!({"kind": "Deployment", "metadata": {"name": name},
                "spec": {"template": {"spec": {"containers": [container]}}}}))
        };
        let driver = "block.csi.example.com";
        for (workload, want) in [
            (
                workload(
                    "ctl",
                    json!({"name": "csi-provisioner", "args": ["--driver=block.csi.example.com"]}),
                ),
                true,
            ),
            (
                workload(
                    "nfs-provisioner",
                    json!({"env": [{"name": "PROVISIONER_NAME", "value": driver}]}),
                ),
                true,
            ),
            (workload("block-csi-controller", json!({"name": "csi-provisioner"})), true),
            (workload("file-csi-controller", json!({"name": "csi-provisioner"})), false),
            (workload("web", json!({"args": [driver]})), false),
        ] {
            assert_eq!(makes(&workload, driver), want, "{}", workload.name());
        }
    }
}
