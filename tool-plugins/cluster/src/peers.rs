//! Which object a host name, an address or a bare word of a source stands for: cluster names by
//! the rules of cluster DNS, addresses by who has them, and what is neither as a host outside.
//! It knows names only; whether such an object exists is told apart by [`Peers::known`].

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::Entity;

use crate::{Cluster, kind::Kind, names::distance, object::Object, server};

/// The names and addresses of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Peers {
    named: BTreeMap<(String, String), Entity>,
    pods: BTreeMap<(String, String), Entity>,
    nodes: BTreeMap<String, Entity>,
    addresses: BTreeMap<String, Entity>,
    namespaces: BTreeSet<String>,
    /// By namespace, the workloads that are servers, with their kind.
    servers: BTreeMap<String, Vec<(&'static str, Entity)>>,
}

// === impl Peers ===

impl Peers {
    /// Reads names and addresses. A kind that cannot be listed costs only certainty: its names
    /// are then taken by form alone.
    pub async fn read(cluster: &Cluster) -> Self {
        let mut objects = Vec::new();
        for kind in [Kind::Service, Kind::Pod, Kind::Node].into_iter().chain(Kind::WORKLOADS) {
            objects.extend(cluster.list(kind, None).await.unwrap_or_default());
        }
        Self::of(&objects)
    }

    /// The names and addresses told by `objects`. Of a Service and a workload of one name the
    /// Service is what callers mean.
    #[must_use]
    pub fn of(objects: &[Object]) -> Self {
        let mut peers = Self::default();
        for object in objects {
            peers.learn(object);
        }
        peers
    }

    fn learn(&mut self, object: &Object) {
        let (entity, namespace) = (object.entity(), object.namespace().to_owned());
        let key = (namespace.clone(), object.name().to_owned());
        if !namespace.is_empty() {
            self.namespaces.insert(namespace);
        }
        match object.kind() {
            "Service" => {
                for address in [object.text("/spec/clusterIP"), object.text("/spec/loadBalancerIP")]
                {
                    self.learn_address(address, &entity);
                }
                self.named.insert(key, entity);
            }
            "Pod" => {
                let host_network =
                    object.at("/spec/hostNetwork").and_then(serde_json::Value::as_bool);
                if host_network != Some(true) {
                    self.learn_address(object.text("/status/podIP"), &entity);
                }
                self.pods.insert(key, entity);
            }
            "Node" => {
                for address in object.list("/status/addresses") {
                    let address = address.get("address").and_then(serde_json::Value::as_str);
                    self.learn_address(address.unwrap_or_default(), &entity);
                }
                self.nodes.insert(key.1, entity);
            }
            _ => {
                // A run that carries a server's image, to dump it, serves nobody.
                let serves = matches!(object.kind(), "Deployment" | "StatefulSet" | "DaemonSet");
                let spec = object.at("/spec/template/spec").filter(|_| serves);
                if let Some(kind) = spec.and_then(server::of_spec) {
                    let served = (kind, entity.clone());
                    self.servers.entry(key.0.clone()).or_default().push(served);
                }
                self.named.entry(key).or_insert(entity);
            }
        }
    }

    fn learn_address(&mut self, address: &str, entity: &Entity) {
        if address.parse::<std::net::IpAddr>().is_ok() {
            self.addresses.insert(address.to_owned(), entity.clone());
        }
    }

    /// What a host stands for when something in `namespace` calls it. A URL, a port, credentials
    /// and a closing dot are taken off first. `None` for the caller's own machine and for what is
    /// no host.
    #[must_use]
    pub fn host(&self, written: &str, namespace: &str) -> Option<Entity> {
        let host = bare_host(written)?;
        if is_own_machine(&host) {
            return None;
        }
        if host.parse::<std::net::IpAddr>().is_ok() {
            let known = self.addresses.get(&host).cloned();
            return known.or_else(|| Some(Entity::external(host)));
        }
        let parts: Vec<&str> = host.split('.').collect();
        Some(match parts.as_slice() {
            [name] => self
                .known(name, namespace)
                .unwrap_or_else(|| Entity::new("Service", namespace, *name)),
            [name, home, "svc", ..] => Entity::new("Service", *home, *name),
            [pod, name, home, "svc", ..] => self
                .pods
                .get(&((*home).to_owned(), (*pod).to_owned()))
                .cloned()
                .unwrap_or_else(|| Entity::new("Service", *home, *name)),
            [name, home] if self.namespaces.contains(*home) => Entity::new("Service", *home, *name),
            _ => self.nodes.get(&host).cloned().unwrap_or_else(|| Entity::external(host)),
        })
    }

    /// The Service, workload, pod or node called `name`, seen from `namespace`; `None` when there
    /// is none.
    #[must_use]
    pub fn known(&self, name: &str, namespace: &str) -> Option<Entity> {
        let key = (namespace.to_owned(), name.to_owned());
        let found = self.named.get(&key).or_else(|| self.pods.get(&key));
        found.or_else(|| self.nodes.get(name)).cloned()
    }

    /// The only Service or workload called `name` in any namespace.
    #[must_use]
    pub fn unique(&self, name: &str) -> Option<Entity> {
        let mut all = self.named.iter().filter(|((_, n), _)| n == name).map(|(_, entity)| entity);
        let first = all.next()?;
        all.next().is_none().then(|| first.clone())
    }

    /// The only workload of a namespace that is a server of one of these kinds.
    #[must_use]
    pub fn only_server(&self, namespace: &str, kinds: &[&str]) -> Option<Entity> {
        let all = self.servers.get(namespace).map_or(&[][..], Vec::as_slice);
        let mut fit = all.iter().filter(|(kind, _)| kinds.contains(kind));
        let (_, first) = fit.next()?;
        fit.next().is_none().then(|| first.clone())
    }

    /// The `CronJob`s of a namespace.
    pub fn scheduled(&self, namespace: &str) -> impl Iterator<Item = &Entity> {
        let own = self.named.iter().filter(move |((ns, _), _)| ns == namespace);
        own.map(|(_, entity)| entity).filter(|entity| entity.kind == "CronJob")
    }

    /// Whether some Service of a namespace is known, so that the absence of another means
    /// something.
    #[must_use]
    pub fn has_services(&self, namespace: &str) -> bool {
        let mut own = self.named.iter().filter(|((ns, _), _)| ns == namespace);
        own.any(|(_, entity)| entity.kind == "Service")
    }

    /// The Service of a namespace whose name comes nearest, when one is near enough to be meant.
    #[must_use]
    pub fn nearest(&self, name: &str, namespace: &str) -> Option<String> {
        let own = self.named.iter().filter(|((ns, _), e)| ns == namespace && e.kind == "Service");
        let near = own.map(|((_, other), _)| (distance(name, other), other));
        let (far, nearest) = near.min()?;
        (far <= name.len().div_ceil(3)).then(|| nearest.clone())
    }

    /// Who has an address; a port is taken off first.
    #[must_use]
    pub fn address(&self, address: &str) -> Option<Entity> {
        self.addresses.get(&bare_host(address)?).cloned()
    }
}

fn is_own_machine(host: &str) -> bool {
    host == "localhost" || host.starts_with("127.") || host == "::1" || host == "0.0.0.0"
}

/// The host of `scheme://user:secret@host:port/path`, of `host:port` and of `[v6]:port`, in lower
/// case. `None` when what is left cannot be a host.
#[must_use]
pub fn bare_host(written: &str) -> Option<String> {
    let rest = written.split_once("://").map_or(written, |(_, rest)| rest);
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = if let Some(v6) = rest.strip_prefix('[') {
        v6.split(']').next().unwrap_or_default()
    } else if rest.matches(':').count() == 1 {
        rest.split(':').next().unwrap_or_default()
    } else {
        rest
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let starts_well = host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
    (starts_well && host.len() <= 253 && host.chars().all(fits) && !host.contains(".."))
        .then_some(host)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn peers() -> Peers {
        let object = |kind: &str, namespace: &str, name: &str, rest: serde_json::Value| {
            let mut value =
                json!({"kind": kind, "metadata": {"name": name, "namespace": namespace}});
            for (key, part) in rest.as_object().unwrap() {
                value[key.as_str()] = part.clone();
            }
            Object::new(value)
        };
        Peers::of(&[
            object("Deployment", "a", "api", json!({})),
            object("Deployment", "a", "worker", json!({})),
            object("Service", "a", "api", json!({"spec": {"clusterIP": "10.96.0.7"}})),
            object("Pod", "a", "db-0", json!({"status": {"podIP": "10.244.1.9"}})),
            object("Service", "b", "solo", json!({"spec": {"clusterIP": "None"}})),
            object("Node", "", "n1", json!({"status": {"addresses": [{"address": "10.0.0.1"}]}})),
        ])
    }

    #[test]
    fn hosts_become_objects_by_the_rules_of_cluster_names() {
        let service = |ns: &str, name: &str| Some(Entity::new("Service", ns, name));
        let table = [
            ("api", service("a", "api")),
            ("http://api:8080/v1?x=y", service("a", "api")),
            ("worker", Some(Entity::new("Deployment", "a", "worker"))),
            ("unheard-of:80", service("a", "unheard-of")),
            ("solo.b", service("b", "solo")),
            ("solo.b.svc.cluster.local.", service("b", "solo")),
            ("gone.c.svc:5432", service("c", "gone")),
            ("db-0.db.a.svc.cluster.local", Some(Entity::new("Pod", "a", "db-0"))),
            ("db-9.db.a.svc.cluster.local", service("a", "db")),
            ("10.96.0.7:80", service("a", "api")),
            ("10.244.1.9", Some(Entity::new("Pod", "a", "db-0"))),
            ("10.0.0.1:9100", Some(Entity::cluster_wide("Node", "n1"))),
            ("203.0.113.9", Some(Entity::external("203.0.113.9"))),
            ("https://u:p@API.Example.com/x", Some(Entity::external("api.example.com"))),
            ("localhost:8080", None),
            ("127.0.0.1", None),
            ("[::1]:80", None),
            ("no host", None),
            ("", None),
        ];
        for (written, expected) in table {
            assert_eq!(peers().host(written, "a"), expected, "{written}");
        }
    }

    #[test]
    fn bare_words_count_only_when_something_is_called_so() {
        assert_eq!(peers().known("api", "a"), Some(Entity::new("Service", "a", "api")));
        assert_eq!(peers().known("api", "b"), None);
        assert_eq!(peers().unique("solo"), Some(Entity::new("Service", "b", "solo")));
        assert_eq!(peers().unique("nobody"), None);
    }

    #[test]
    fn a_server_is_named_by_its_kind_only_where_it_is_the_only_one() {
        let set = |namespace: &str, name: &str, image: &str| {
            Object::new(json!({"kind": "StatefulSet",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"template": {"spec": {"containers": [{"image": image}]}}}}))
        };
        let peers = Peers::of(&[
            set("a", "store", "postgres:15"),
            set("a", "cache", "redis:7"),
            set("b", "one", "postgres:15"),
            set("b", "two", "mysql:8"),
            set("d", "db", "postgres:16"),
            Object::new(json!({"kind": "Job", "metadata": {"name": "pgdump-1", "namespace": "d"},
                "spec": {"template": {"spec": {"containers": [{"image": "postgres:16"}]}}}})),
        ]);
        let only = |namespace: &str| peers.only_server(namespace, server::DATABASES);
        assert_eq!(only("a"), Some(Entity::new("StatefulSet", "a", "store")));
        assert_eq!(only("b"), None, "one of two");
        assert_eq!(only("c"), None);
        assert_eq!(only("d"), Some(Entity::new("StatefulSet", "d", "db")), "a dump is no server");
    }
}
