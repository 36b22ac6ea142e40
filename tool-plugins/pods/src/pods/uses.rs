//! What pods need to start and run: `ConfigMap`s, Secrets, claims. And, for pods that do not
//! start, which of it does not exist.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{
    Answer, Cluster, Kind, Object, Owners,
    pod::{self, list},
};
use serde_json::Value;

/// One object that a pod needs.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The pod starts without it, too.
    optional: bool,
}

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    (pods, owners): (&[Object], &Owners),
    answer: &mut Answer,
) {
    let mut missing: BTreeMap<(String, Need), Vec<&Object>> = BTreeMap::new();
    let known = known(cluster, namespace).await;
    for pod in pods {
        let stuck =
            pod.text("/status/phase") == "Pending" && !pod.text("/spec/nodeName").is_empty();
        for need in needs(pod) {
            let object = Entity::new(need.kind, pod.namespace(), need.name.as_str());
            answer.relate(Relation::new(pod.entity(), RelationKind::Uses, object.clone()));
            let names = known.get(need.kind);
            let there = names.is_none_or(|all| all.contains(&(object.namespace, object.name)));
            if stuck && !need.optional && !there {
                missing.entry((pod.namespace().to_owned(), need)).or_default().push(pod);
            }
        }
    }
    for ((namespace, need), pods) in missing {
        let Some(first) = pods.first() else { continue };
        let says = format!(
            "{} {} does not exist, needed by {} pods such as {}",
            need.kind,
            need.name,
            pods.len(),
            first.name()
        );
        answer.harm(
            Observation::new("config.missing", Entity::new(need.kind, namespace, need.name), says)
                .maybe_since(pods.iter().filter_map(|p| p.created()).min())
                .until(cluster.now())
                .count(u64::try_from(pods.len()).unwrap_or(1))
                .peer(owners.top(first)),
        );
    }
}

type Names = BTreeSet<(String, String)>;

/// The names of what exists, for the kinds where absence means something.
async fn known(cluster: &Cluster, namespace: Option<&str>) -> BTreeMap<&'static str, Names> {
    let mut known = BTreeMap::new();
    for kind in [Kind::ConfigMap, Kind::Secret] {
        if let (true, Ok(all)) = (cluster.records(kind), cluster.list(kind, namespace).await) {
            let names = all.iter().map(|o| (o.namespace().to_owned(), o.name().to_owned()));
            known.insert(kind.name(), names.collect());
        }
    }
    known
}

/// Everything a pod refers to, each once.
pub(crate) fn needs(pod: &Object) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    let mut need = |kind, value: Option<&Value>, field: &str| {
        let Some(value) = value else { return };
        let Some(name) = value.get(field).and_then(Value::as_str) else { return };
        let optional = value.get("optional").and_then(Value::as_bool) == Some(true);
        // Put into every pod by the cluster itself.
        if name != "kube-root-ca.crt" {
            needs.insert(Need { kind, name: name.to_owned(), optional });
        }
    };
    for volume in pod.list("/spec/volumes") {
        need("ConfigMap", volume.get("configMap"), "name");
        need("Secret", volume.get("secret"), "secretName");
        need("PersistentVolumeClaim", volume.get("persistentVolumeClaim"), "claimName");
        for source in volume.get("projected").map_or(&[][..], |p| list(p, "sources")) {
            need("ConfigMap", source.get("configMap"), "name");
            need("Secret", source.get("secret"), "name");
        }
    }
    for container in pod::containers(pod) {
        for from in list(container.spec, "envFrom") {
            need("ConfigMap", from.get("configMapRef"), "name");
            need("Secret", from.get("secretRef"), "name");
        }
        for from in list(container.spec, "env").iter().filter_map(|e| e.get("valueFrom")) {
            need("ConfigMap", from.get("configMapKeyRef"), "name");
            need("Secret", from.get("secretKeyRef"), "name");
        }
    }
    for secret in pod.list("/spec/imagePullSecrets") {
        // The kubelet goes on without a missing one.
        if let Some(name) = secret.get("name").and_then(Value::as_str) {
            needs.insert(Need { kind: "Secret", name: name.to_owned(), optional: true });
        }
    }
    needs
}
