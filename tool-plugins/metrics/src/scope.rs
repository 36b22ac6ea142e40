//! What a call is about: the alerted service, what it reaches by calls, who calls it, the rest.
//! Order only: the nearer to the alert, the earlier in the answer; nothing is judged here.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::Entity;
use plugin_cluster::{Object, Owners, Peers, Resolution, selector};

use crate::flow::{Between, Flow};

/// How near an object is to the alerted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// It is the alerted one.
    Target,
    /// The alerted one reaches it by calls.
    Reached,
    /// It calls the alerted one.
    Caller,
    /// It merely lives in the same namespace.
    Neighbour,
}

/// The objects of a call with their nearness.
#[derive(Debug, Default)]
pub struct Scope {
    namespace: Option<String>,
    services: BTreeMap<Entity, Rank>,
    pods: BTreeMap<(String, String), Rank>,
}

/// One flow with its ends as objects.
#[derive(Debug, Clone)]
pub struct Edge<'a> {
    /// Who answers, or calls when there is a peer.
    pub subject: Entity,
    /// Who is called; `None` for the requests that a service answers.
    pub called: Option<Entity>,
    /// The requests.
    pub flow: &'a Flow,
}

/// The flows with their ends as objects; calls to the own machine are left out.
#[must_use]
pub fn edges<'a>(flows: &'a BTreeMap<Between, Flow>, peers: &Peers) -> Vec<Edge<'a>> {
    flows
        .iter()
        .filter_map(|(between, flow)| {
            let subject = service(&between.subject, &between.namespace, peers);
            let called = if between.peer.is_empty() {
                None
            } else {
                let home = [&between.peer_namespace, &between.namespace];
                let home = home.into_iter().find(|ns| !ns.is_empty()).map_or("", |ns| ns);
                Some(peers.host(&between.peer, home)?)
            };
            Some(Edge { subject, called, flow })
        })
        .collect()
}

fn service(name: &str, namespace: &str, peers: &Peers) -> Entity {
    let name = name.rsplit('/').next().unwrap_or(name);
    if namespace.is_empty() {
        return peers.unique(name).unwrap_or_else(|| Entity::cluster_wide("Service", name));
    }
    Entity::new("Service", namespace, name)
}

// === impl Scope ===

impl Scope {
    /// The scope of what `resolution` found, among `edges`, `services` (all Services) and `pods`.
    #[must_use]
    pub fn of(
        resolution: &Resolution,
        edges: &[Edge<'_>],
        (services, pods): (&[Object], &[Object]),
        owners: &Owners,
    ) -> Self {
        let mut scope = Self { namespace: resolution.namespace.clone(), ..Self::default() };
        let targets = targets(resolution, services, pods, owners);
        scope.rank_services(&targets, edges);
        for pod in pods {
            let rank = scope.rank_of_pod(pod, resolution, services, owners);
            scope.pods.insert((pod.namespace().to_owned(), pod.name().to_owned()), rank);
        }
        scope
    }

    fn rank_services(&mut self, targets: &BTreeSet<Entity>, edges: &[Edge<'_>]) {
        for target in targets {
            self.services.insert(target.clone(), Rank::Target);
        }
        let mut frontier: Vec<Entity> = targets.iter().cloned().collect();
        while let Some(from) = frontier.pop() {
            for called in
                edges.iter().filter(|e| e.subject == from).filter_map(|e| e.called.clone())
            {
                if !self.services.contains_key(&called) {
                    self.services.insert(called.clone(), Rank::Reached);
                    frontier.push(called);
                }
            }
        }
        for edge in edges {
            if edge.called.as_ref().is_some_and(|called| targets.contains(called)) {
                self.services.entry(edge.subject.clone()).or_insert(Rank::Caller);
            }
        }
    }

    fn rank_of_pod(
        &self,
        pod: &Object,
        resolution: &Resolution,
        services: &[Object],
        owners: &Owners,
    ) -> Rank {
        if owners.chain(pod).iter().any(|step| resolution.workloads.contains(step)) {
            return Rank::Target;
        }
        let labels = pod.labels();
        let ranks = services
            .iter()
            .filter(|s| s.namespace() == pod.namespace())
            .filter(|s| selector::pairs_match(&s.map("/spec/selector"), &labels))
            .filter_map(|s| self.services.get(&s.entity()));
        ranks.min().copied().unwrap_or(Rank::Neighbour)
    }

    /// Nearness of a service; `None` when it is out of scope.
    #[must_use]
    pub fn service(&self, service: &Entity) -> Option<Rank> {
        let ranked = self.services.get(service).copied();
        ranked.or_else(|| self.inside(&service.namespace).then_some(Rank::Neighbour))
    }

    /// Nearness of a pod; `None` when it is out of scope.
    #[must_use]
    pub fn pod(&self, namespace: &str, pod: &str) -> Option<Rank> {
        let ranked = self.pods.get(&(namespace.to_owned(), pod.to_owned())).copied();
        match ranked {
            Some(rank) if rank < Rank::Neighbour || self.inside(namespace) => Some(rank),
            Some(_) => None,
            None => self.inside(namespace).then_some(Rank::Neighbour),
        }
    }

    fn inside(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

/// The Services found, and those that select the workloads found.
fn targets(
    resolution: &Resolution,
    services: &[Object],
    pods: &[Object],
    owners: &Owners,
) -> BTreeSet<Entity> {
    let found = resolution.found.iter().filter(|o| o.kind() == "Service").map(Object::entity);
    let mut targets: BTreeSet<Entity> = found.collect();
    for pod in pods {
        if !owners.chain(pod).iter().any(|step| resolution.workloads.contains(step)) {
            continue;
        }
        let labels = pod.labels();
        let selecting = services
            .iter()
            .filter(|s| s.namespace() == pod.namespace())
            .filter(|s| selector::pairs_match(&s.map("/spec/selector"), &labels));
        targets.extend(selecting.map(Object::entity));
    }
    // Programs count under their own name, which need not be a Service's.
    if let (Some(namespace), false) = (&resolution.namespace, resolution.asked.is_empty()) {
        targets.insert(Entity::new("Service", namespace.as_str(), resolution.asked.as_str()));
        let names = resolution.workloads.iter().map(|w| w.name.as_str());
        targets.extend(names.map(|name| Entity::new("Service", namespace.as_str(), name)));
    }
    targets
}
