//! Who resolves names for the pods of a cluster: the Service they ask, what stands behind it, and
//! caching resolvers of single nodes. Read only when somebody could not resolve a name.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Relation, RelationKind};
use plugin_cluster::{Cluster, Kind, Object, Owners, pod, selector};

/// What stands behind the resolver.
#[derive(Debug, Default)]
pub struct Resolvers {
    /// The edges from the Service that is asked down to what a person deployed.
    pub central: Vec<Relation>,
    /// By node the caching resolver there that is not ready, with its edges.
    pub of_nodes: BTreeMap<String, (Entity, Vec<Relation>)>,
}

impl Resolvers {
    /// Reads them; `service` is what [`service`] found.
    pub async fn read(cluster: &Cluster, service: Option<&Object>) -> Self {
        Self { central: behind(cluster, service).await, of_nodes: node_resolvers(cluster).await }
    }
}

/// The pods behind the resolver and who owns them.
async fn behind(cluster: &Cluster, service: Option<&Object>) -> Vec<Relation> {
    let Some(service) = service else { return Vec::new() };
    let namespace = Some(service.namespace());
    let pods = cluster.list(Kind::Pod, namespace).await.unwrap_or_default();
    let owners = Owners::read(cluster, namespace).await;
    let selector = service.map("/spec/selector");
    let selected = pods.iter().filter(|pod| selector::pairs_match(&selector, &pod.labels()));
    let edges = selected.flat_map(|pod| {
        let selects = Relation::new(service.entity(), RelationKind::Selects, pod.entity());
        owners.relations(pod).into_iter().chain([selects])
    });
    edges.collect()
}

/// Caching resolvers that nodes have for themselves and that are not ready, by their nodes: what
/// runs there asks them first.
async fn node_resolvers(cluster: &Cluster) -> BTreeMap<String, (Entity, Vec<Relation>)> {
    let namespace = Some("kube-system");
    let pods = cluster.list(Kind::Pod, namespace).await.unwrap_or_default();
    let owners = Owners::read(cluster, namespace).await;
    let is_cache = |pod: &&Object| {
        let app = pod.labels().get("k8s-app").cloned().unwrap_or_default();
        let image = |container: &serde_json::Value| {
            let image = container.get("image").and_then(serde_json::Value::as_str);
            image.is_some_and(|image| {
                ["dns-node-cache", "node-local-dns", "nodelocaldns"]
                    .iter()
                    .any(|name| image.contains(name))
            })
        };
        app == "node-local-dns" || pod.list("/spec/containers").iter().any(image)
    };
    let unwell = |pod: &&Object| {
        let containers = pod::containers(pod);
        containers.is_empty() || containers.iter().any(|container| !container.ready())
    };
    let found = pods.iter().filter(is_cache).filter(unwell);
    found
        .map(|pod| (pod.text("/spec/nodeName").to_owned(), (pod.entity(), owners.relations(pod))))
        .collect()
}

/// The Service that pods ask for names.
pub async fn service(cluster: &Cluster) -> Option<Object> {
    let services = cluster.list(Kind::Service, Some("kube-system")).await.ok()?;
    let by_label = |s: &&Object| {
        let labels = s.labels();
        labels.get("k8s-app").is_some_and(|app| app == "kube-dns" || app == "coredns")
    };
    let by_port = |s: &&Object| {
        s.list("/spec/ports").iter().any(|p| p.get("port").is_some_and(|port| *port == 53))
    };
    let found = services.iter().find(by_label).or_else(|| services.iter().find(by_port));
    found.cloned()
}
