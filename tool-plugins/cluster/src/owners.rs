//! Who stands behind a pod: the walk along owners up to what a person deployed.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Relation, RelationKind};

use crate::{Cluster, kind::Kind, object::Object};

/// The owners of the objects in between (`ReplicaSet`s, Jobs), by kind, namespace and name.
#[derive(Debug, Clone, Default)]
pub struct Owners {
    between: BTreeMap<(String, String, String), Option<(String, String)>>,
}

// === impl Owners ===

impl Owners {
    /// Reads what lies between pods and workloads. A source that does not answer costs only
    /// certainty: a `ReplicaSet`'s Deployment is then taken from its name.
    pub async fn read(cluster: &Cluster, namespace: Option<&str>) -> Self {
        let mut objects = Vec::new();
        for kind in [Kind::ReplicaSet, Kind::Job] {
            objects.extend(cluster.list(kind, namespace).await.unwrap_or_default());
        }
        Self::of(&objects)
    }

    /// The owners told by `objects`.
    #[must_use]
    pub fn of(objects: &[Object]) -> Self {
        let between = objects
            .iter()
            .map(|o| {
                let owner = o.owner().map(|(kind, name)| (kind.to_owned(), name.to_owned()));
                ((o.kind().to_owned(), o.namespace().to_owned(), o.name().to_owned()), owner)
            })
            .collect();
        Self { between }
    }

    /// The object itself and its owners, up to the top.
    #[must_use]
    pub fn chain(&self, object: &Object) -> Vec<Entity> {
        let namespace = object.namespace();
        let mut chain = vec![object.entity()];
        let mut next = object.owner().map(|(kind, name)| (kind.to_owned(), name.to_owned()));
        // Owners of owners end after two steps; the bound is against loops in odd data.
        while let (Some((kind, name)), true) = (next, chain.len() < 6) {
            chain.push(Entity::new(kind.as_str(), namespace, name.as_str()));
            let key = (kind, namespace.to_owned(), name);
            next = match self.between.get(&key) {
                Some(owner) => owner.clone(),
                None => guessed(object, &key.0, &key.2),
            };
        }
        chain
    }

    /// What a person would change: the top of the chain, such as the Deployment.
    #[must_use]
    pub fn top(&self, object: &Object) -> Entity {
        self.chain(object).pop().unwrap_or_else(|| object.entity())
    }

    /// The chain of something that is only named, such as the subject of an event.
    #[must_use]
    pub fn chain_of(&self, entity: &Entity) -> Vec<Entity> {
        let mut chain = vec![Entity { container: String::new(), ..entity.clone() }];
        while let Some(last) = chain.last()
            && chain.len() < 6
        {
            let key = (last.kind.clone(), last.namespace.clone(), last.name.clone());
            let Some((kind, name)) = self.between.get(&key).cloned().flatten() else { break };
            chain.push(Entity::new(kind, key.1, name));
        }
        chain
    }

    /// The chain as edges.
    #[must_use]
    pub fn relations(&self, object: &Object) -> Vec<Relation> {
        let chain = self.chain(object);
        chain
            .iter()
            .zip(chain.iter().skip(1))
            .map(|(a, b)| Relation::new(a.clone(), RelationKind::OwnedBy, b.clone()))
            .collect()
    }
}

/// A `ReplicaSet` that was not recorded still tells its Deployment: its name ends in the pod's
/// template hash.
fn guessed(pod: &Object, kind: &str, name: &str) -> Option<(String, String)> {
    let labels = pod.labels();
    let hash = labels.get("pod-template-hash")?;
    let deployment = name.strip_suffix(hash.as_str())?.strip_suffix('-')?;
    (kind == "ReplicaSet").then(|| ("Deployment".to_owned(), deployment.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use serde_json::{Value, json};

    use super::*;

    fn object(kind: &str, name: &str, owner: Option<(&str, &str)>, labels: &Value) -> Object {
        let owners: Vec<Value> = owner
            .iter()
            .map(|(kind, name)| json!({"kind": kind, "name": name, "controller": true}))
            .collect();
        Object::new(json!({"kind": kind, "metadata": {
            "name": name, "namespace": "n", "labels": labels, "ownerReferences": owners}}))
    }

    #[test]
    fn a_pod_leads_over_its_replica_set_to_its_deployment() {
        let set = object("ReplicaSet", "web-7d", Some(("Deployment", "web")), &json!({}));
        let pod = object("Pod", "web-7d-x", Some(("ReplicaSet", "web-7d")), &json!({}));
        let owners = Owners::of(&[set]);
        assert_eq!(owners.top(&pod), Entity::new("Deployment", "n", "web"));
        assert_eq!(owners.relations(&pod).len(), 2);
    }

    #[test]
    fn a_job_of_a_cron_job_leads_to_the_cron_job() {
        let job = object("Job", "tidy-1", Some(("CronJob", "tidy")), &json!({}));
        let pod = object("Pod", "tidy-1-x", Some(("Job", "tidy-1")), &json!({}));
        assert_eq!(Owners::of(&[job]).top(&pod), Entity::new("CronJob", "n", "tidy"));
    }

    #[test]
    fn without_replica_sets_the_template_hash_tells_the_deployment() {
        let labels = json!({"pod-template-hash": "7d"});
        let pod = object("Pod", "web-7d-x", Some(("ReplicaSet", "web-7d")), &labels);
        assert_eq!(Owners::default().top(&pod), Entity::new("Deployment", "n", "web"));
    }

    #[test]
    fn a_pod_without_owner_is_its_own_top() {
        let pod = object("Pod", "lone", None, &json!({}));
        assert_eq!(Owners::default().top(&pod), pod.entity());
    }
}
