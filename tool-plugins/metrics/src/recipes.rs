//! Recipes beyond requests and containers: caches, queues, volumes, databases, certificates and
//! who brings load. Each knows the names under which its things are measured, as a table and by shape, and
//! says how they fare. No causes across objects.

pub mod caches;
pub mod certificates;
pub mod databases;
pub mod load;
pub mod queues;
pub mod volumes;

use crate::view::{Found, View};

/// All that the recipes find.
#[must_use]
pub fn all(view: View<'_>) -> Found {
    let mut all = Found::default();
    let recipes =
        [caches::judge, queues::judge, volumes::judge, databases::judge, certificates::judge];
    for recipe in recipes {
        let found = recipe(view);
        all.facts.extend(found.facts);
        all.relations.extend(found.relations);
    }
    all
}

/// Metrics about the cluster's own machinery, in which the words of a recipe mean something else.
pub(crate) fn is_machinery(metric: &str) -> bool {
    const OWN: &[&str] = &[
        "kube_",
        "container_",
        "node_",
        "kubelet_",
        "apiserver_",
        "etcd_",
        "prometheus_",
        "go_",
        "process_",
        "workqueue_",
        "rest_client_",
        "scheduler_",
        "kubeproxy_",
        "coredns_",
        "alertmanager_",
        "grafana_",
        "thanos_",
        "cortex_",
        "loki_",
        "scrape_",
        "net_conntrack_",
        "cadvisor_",
        "machine_",
        "authentication_",
        "promhttp_",
    ];
    OWN.iter().any(|own| metric.starts_with(own))
}
