//! What of the cluster the judgement of measurements needs: names, owners, Services and what
//! workloads are told by their settings. It answers which object a word of a label stands for;
//! nothing is judged here.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Failure};
use plugin_cluster::{
    Clients, Cluster, Kind, Object, Owners, Peers, Resolution,
    clients::{self, Setting},
    object::text_map,
    peers::bare_host,
    selector, server,
};
use serde_json::Value;

use crate::words;

/// The cluster beside its measurements.
#[derive(Debug, Default)]
pub struct World {
    /// What the alert's service stands for.
    pub resolution: Resolution,
    /// Names and addresses.
    pub peers: Peers,
    /// Owners of pods.
    pub owners: Owners,
    /// All Services.
    pub services: Vec<Object>,
    /// All pods.
    pub pods: Vec<Object>,
    /// All workloads, those without pods, too.
    pub workloads: Vec<Object>,
    /// All Ingresses.
    pub ingresses: Vec<Object>,
    /// Names by which workloads go at servers.
    pub clients: Clients,
    /// What could not be listed.
    pub gaps: Vec<(String, Failure)>,
    /// What each workload's containers are told: name of the setting, or empty, and its value.
    settings: BTreeMap<Entity, Vec<Setting>>,
}

// === impl World ===

impl World {
    /// Reads it; what cannot be listed is among the gaps.
    pub async fn read(cluster: &Cluster, namespace: &str, service: &str) -> Self {
        let resolution = cluster.resolve(namespace, service).await;
        let mut gaps = resolution.gaps.clone();
        let mut objects = async |kind: Kind| match cluster.list(kind, None).await {
            Ok(objects) => objects,
            Err(failure) => {
                gaps.push((kind.plural().to_owned(), failure));
                Vec::new()
            }
        };
        let (services, pods) = (objects(Kind::Service).await, objects(Kind::Pod).await);
        let configs = cluster.list(Kind::ConfigMap, None).await.unwrap_or_default();
        let ingresses = cluster.list(Kind::Ingress, None).await.unwrap_or_default();
        let mut workloads = Vec::new();
        for kind in Kind::WORKLOADS {
            workloads.extend(cluster.list(kind, None).await.unwrap_or_default());
        }
        let peers = Peers::read(cluster).await;
        let owners = Owners::read(cluster, None).await;
        let settings: BTreeMap<Entity, Vec<Setting>> =
            workloads.iter().map(|w| (w.entity(), settings(w, &configs))).collect();
        let clients = Clients::of(settings.iter().map(|(w, told)| (w, told.as_slice())));
        Self {
            resolution,
            peers,
            owners,
            services,
            pods,
            workloads,
            ingresses,
            clients,
            gaps,
            settings,
        }
    }

    /// What a person would change for `entity`: the top owner of a pod, the one workload that a
    /// Service selects; else itself.
    #[must_use]
    pub fn top(&self, entity: &Entity) -> Entity {
        match entity.kind.as_str() {
            "Pod" => {
                let pod = self
                    .pods
                    .iter()
                    .find(|p| p.name() == entity.name && p.namespace() == entity.namespace);
                pod.map_or_else(|| self.top_by_name(entity), |pod| self.owners.top(pod))
            }
            "Service" => self.behind(entity).unwrap_or_else(|| entity.clone()),
            _ => Entity { container: String::new(), ..entity.clone() },
        }
    }

    /// A pod that is gone still tells its workload by its name.
    fn top_by_name(&self, pod: &Entity) -> Entity {
        let stem = words::stem(&pod.name);
        let found = self.workload(&pod.namespace, stem);
        found.unwrap_or_else(|| Entity::new("Pod", pod.namespace.as_str(), pod.name.as_str()))
    }

    /// The workload called `name`.
    #[must_use]
    pub fn workload(&self, namespace: &str, name: &str) -> Option<Entity> {
        let found = self.workloads.iter().find(|w| w.name() == name && w.namespace() == namespace);
        found.map(Object::entity)
    }

    /// The kind of server a workload is, by its template.
    #[must_use]
    pub fn server(&self, workload: &Entity) -> Option<&'static str> {
        let found = self.workloads.iter().find(|w| w.entity() == *workload)?;
        server::of_spec(template(found).get("spec")?)
    }

    /// The one workload behind a Service: the one whose pods it selects, else its namesake.
    fn behind(&self, service: &Entity) -> Option<Entity> {
        let found = self
            .services
            .iter()
            .find(|s| s.name() == service.name && s.namespace() == service.namespace);
        let selected = found.map(|s| s.map("/spec/selector")).unwrap_or_default();
        let mut fit = self.workloads.iter().filter(|w| {
            w.namespace() == service.namespace
                && selector::pairs_match(
                    &selected,
                    &text_map(template(w).get("metadata").and_then(|m| m.get("labels"))),
                )
        });
        match (fit.next(), fit.next()) {
            (Some(only), None) => Some(only.entity()),
            _ => self.workload(&service.namespace, &service.name),
        }
    }

    /// The Services that select a workload, and its namesake among what metrics speak of.
    #[must_use]
    pub fn is_in_front(&self, service: &Entity, workload: &Entity) -> bool {
        self.top(service) == *workload
            || (service.name == workload.name && service.namespace == workload.namespace)
    }

    /// For a program that only measures another: the one it is told to measure.
    #[must_use]
    pub fn measured_by(&self, entity: &Entity) -> Entity {
        let top = self.top(entity);
        if !top.name.contains("exporter") {
            return top;
        }
        let told = self.settings.get(&top).map(Vec::as_slice).unwrap_or_default();
        let target = told.iter().find_map(|(_, value)| {
            let hosts = value.split([',', ' ', '=']).filter(|w| w.contains(':') || w.contains('.'));
            let mut found = hosts.filter_map(|word| {
                let host = bare_host(word)?;
                let found = self.peers.host(&host, &top.namespace)?;
                (found.kind != "External" && self.exists(&found)).then_some(found)
            });
            found.find(|found| self.top(found) != top)
        });
        if let Some(target) = target {
            return self.top(&target);
        }
        let own = top.name.split("-exporter").next().unwrap_or_default();
        self.workload(&top.namespace, own).unwrap_or(top)
    }

    fn exists(&self, entity: &Entity) -> bool {
        self.peers.known(&entity.name, &entity.namespace).is_some()
    }

    /// The workloads with what they are told.
    pub fn told(&self) -> impl Iterator<Item = (&Entity, &[Setting])> {
        self.settings.iter().map(|(workload, told)| (workload, told.as_slice()))
    }

    /// The namespace the call is about; empty for the whole cluster.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.resolution.namespace.as_deref().unwrap_or_default()
    }
}

fn template(workload: &Object) -> &Value {
    let at = |pointer| workload.at(pointer);
    at("/spec/template").or_else(|| at("/spec/jobTemplate/spec/template")).unwrap_or(&Value::Null)
}

fn settings(workload: &Object, configs: &[Object]) -> Vec<Setting> {
    let spec = template(workload).get("spec").unwrap_or(&Value::Null);
    clients::settings(spec, workload.namespace(), configs)
}
