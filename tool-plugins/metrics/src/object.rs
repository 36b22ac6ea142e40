//! Which object a series is about, by its labels.

use agent_sdk::Entity;
use plugin_cluster::Peers;

use crate::{
    families::{NAMESPACE, SERVICE},
    labels::Labels,
};

/// Labels that name a pod.
pub(crate) const POD: &[&str] =
    &["exported_pod", "pod", "k8s_pod_name", "pod_name", "kubernetes_pod_name"];
/// Labels that name a container.
pub(crate) const CONTAINER: &[&str] =
    &["exported_container", "container", "k8s_container_name", "container_name"];
/// Labels that name a node.
pub(crate) const NODE: &[&str] =
    &["node", "k8s_node_name", "nodename", "kubernetes_node", "host_name"];
/// Labels that name a workload or another object, with its kind.
pub(crate) const WORKLOADS: &[(&str, &str)] = &[
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("job_name", "Job"),
    ("cronjob", "CronJob"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("resourcequota", "ResourceQuota"),
    ("replicaset", "ReplicaSet"),
    ("ingress", "Ingress"),
];
/// Labels that say who or how something was measured: they tell objects, not kinds of value.
const ABOUT: &[&str] = &["instance", "job", "endpoint", "uid", "id", "name", "image", "prometheus"];

/// The namespace a series is about; empty for the cluster's own.
#[must_use]
pub fn namespace(labels: &Labels) -> &str {
    labels.first_of(NAMESPACE)
}

/// The object a series is about: the most particular one that its labels name.
#[must_use]
pub fn object(labels: &Labels, peers: &Peers) -> Entity {
    let namespace = namespace(labels);
    let pod = labels.first_of(POD);
    if !pod.is_empty() && !namespace.is_empty() {
        return Entity::new("Pod", namespace, pod).container(labels.first_of(CONTAINER));
    }
    for (label, kind) in WORKLOADS {
        let name = labels.get(label);
        if !name.is_empty() && !namespace.is_empty() {
            return Entity::new(*kind, namespace, name);
        }
    }
    let node = labels.first_of(NODE);
    if !node.is_empty() && namespace.is_empty() {
        return Entity::cluster_wide("Node", node);
    }
    let instance = labels.get("instance");
    if let Some(found) = peers.known(instance, namespace).or_else(|| peers.address(instance)) {
        return found;
    }
    by_service(labels, peers)
}

/// What a program that measures others says it measured: it names the address.
#[must_use]
pub fn measured(labels: &Labels, peers: &Peers) -> Option<Entity> {
    let instance = Some(labels.get("instance")).filter(|i| i.contains("://"));
    let named = [labels.get("addr"), labels.get("target"), labels.get("redis_addr")];
    let address = instance.or_else(|| named.into_iter().find(|a| !a.is_empty()))?;
    peers.host(address, namespace(labels)).filter(|found| found.kind != "External")
}

fn by_service(labels: &Labels, peers: &Peers) -> Entity {
    let namespace = namespace(labels);
    let service = labels.first_of(SERVICE);
    // A scrape job is often called "namespace/service".
    let name = service.rsplit('/').next().unwrap_or_default();
    let named_by_job = service == labels.get("job");
    match (name.is_empty(), namespace.is_empty(), named_by_job) {
        (false, false, false) => Entity::new("Service", namespace, name),
        (false, false, true) => peers
            .known(name, namespace)
            .unwrap_or_else(|| Entity::cluster_wide("Namespace", namespace)),
        (true, false, _) => Entity::cluster_wide("Namespace", namespace),
        (false, true, _) => {
            peers.unique(name).unwrap_or_else(|| Entity::cluster_wide("Service", name))
        }
        (true, true, _) => Entity::cluster_wide("Cluster", ""),
    }
}

/// What is left of the labels once the object is known: the kind of value, such as
/// `reason=OOMKilled`.
#[must_use]
pub fn kind_of_value(labels: &Labels) -> Labels {
    let mut object: Vec<&str> = ABOUT.to_vec();
    for list in [POD, CONTAINER, NODE, SERVICE, NAMESPACE] {
        object.extend(list);
    }
    object.extend(WORKLOADS.iter().map(|(label, _)| *label));
    labels.without(&object)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use plugin_cluster::Object;
    use serde_json::json;

    use super::*;

    #[test]
    fn series_belong_to_the_most_particular_object_named() {
        let peers = Peers::of(&[
            Object::new(json!({"kind": "Pod", "metadata": {"name": "c-0", "namespace": "n"},
                "status": {"podIP": "10.244.0.7"}})),
            Object::new(json!({"kind": "Service", "metadata": {"name": "dns", "namespace": "k"}})),
        ]);
        type Row = (&'static [(&'static str, &'static str)], Entity);
        let table: [Row; 8] = [
            (
                &[("namespace", "n"), ("pod", "p"), ("container", "c"), ("node", "w")],
                Entity::new("Pod", "n", "p").container("c"),
            ),
            (&[("namespace", "n"), ("deployment", "d")], Entity::new("Deployment", "n", "d")),
            (&[("namespace", "n"), ("service", "s")], Entity::new("Service", "n", "s")),
            (&[("instance", "c-0"), ("namespace", "n")], Entity::new("Pod", "n", "c-0")),
            (&[("instance", "10.244.0.7:80")], Entity::new("Pod", "n", "c-0")),
            (&[("node", "w"), ("instance", "x:9100")], Entity::cluster_wide("Node", "w")),
            (&[("job", "dns")], Entity::new("Service", "k", "dns")),
            (&[("namespace", "n")], Entity::cluster_wide("Namespace", "n")),
        ];
        for (labels, expected) in table {
            assert_eq!(object(&Labels::of(labels), &peers), expected, "{labels:?}");
        }
    }

    #[test]
    fn the_kind_of_value_is_what_the_object_does_not_tell() {
        let labels = Labels::of(&[("namespace", "n"), ("pod", "p"), ("reason", "OOMKilled")]);
        assert_eq!(kind_of_value(&labels).to_string(), "reason=OOMKilled");
    }
}
