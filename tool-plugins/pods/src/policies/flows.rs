//! Connections that are needed: what pods are told to call (environment, arguments,
//! configuration), what they say they cannot reach, what Ingresses send to. Each with the pods at
//! both ends, so that policies can be held against it. A name that is told is a weaker sign than a
//! call that was seen to fail.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::Entity;
use plugin_cluster::{Answer, Kind, Object, Peers, selector};

use super::{
    Scene,
    heard::{Heard, Times},
};
use crate::{gateway, pods::calls};

/// One end as policies see it.
#[derive(Debug, Clone)]
pub(super) enum Far<'a> {
    /// Pods of the cluster, with the ports they are asked on; empty when no port is known.
    Pods(Vec<&'a Object>, BTreeSet<u16>),
    /// Outside, with the address when it is one.
    Outside(Option<std::net::IpAddr>, Option<u16>),
}

/// A needed connection.
#[derive(Debug, Clone)]
pub(super) struct Flow<'a> {
    pub(super) caller: Entity,
    /// One pod of the caller: all carry the same labels but for those of a rollout.
    pub(super) from: &'a Object,
    pub(super) to: Entity,
    /// As callers write it.
    pub(super) port: Option<u16>,
    pub(super) far: Far<'a>,
    /// By what it is known.
    pub(super) told: bool,
    pub(super) failed: Option<Times>,
}

/// What ends may be, read once.
pub(super) struct Ends {
    services: Vec<Object>,
    configs: Vec<Object>,
    ingresses: Vec<Object>,
    peers: Peers,
}

// === impl Ends ===

impl Ends {
    pub(super) async fn read(scene: &Scene<'_>, answer: &mut Answer) -> Self {
        let listed = scene.cluster.list(Kind::Service, None).await;
        let services = answer.or_gap("services", listed);
        let listed = scene.cluster.list(Kind::ConfigMap, None).await;
        let configs = answer.or_gap("configmaps", listed);
        let ingresses = scene.cluster.list(Kind::Ingress, None).await.unwrap_or_default();
        Self { services, configs, ingresses, peers: Peers::read(scene.cluster).await }
    }

    /// The needed connections of which one end lies where the question looks.
    pub(super) fn flows<'a>(&'a self, scene: &'a Scene<'_>, heard: &Heard) -> Vec<Flow<'a>> {
        let mut flows: BTreeMap<(Entity, Entity, Option<u16>), Flow<'a>> = BTreeMap::new();
        let known: calls::Known<'_> =
            self.services.iter().map(|s| ((s.namespace(), s.name()), s)).collect();
        let callers = callers(scene);
        for (caller, pod) in &callers {
            for (to, port) in calls::callees(pod, &self.configs, &known) {
                if scene.namespace.is_none_or(|ns| caller.namespace == ns || to.namespace == ns) {
                    self.add(&mut flows, (caller, pod, scene), (to, port), None);
                }
            }
        }
        for ((speaker, end), times) in &heard.unreached {
            let Some(pod) = callers.get(speaker) else { continue };
            let Some(to) = self.peers.host(&end.host, &speaker.namespace) else { continue };
            // A bare word that nothing is called by is no host.
            let lone = !end.host.contains('.') && !end.host.contains(':');
            if lone && self.peers.known(&end.host, &speaker.namespace).is_none() {
                continue;
            }
            self.add(&mut flows, (speaker, pod, scene), (to, end.port), Some(times));
        }
        for (controller, pod) in callers.iter().filter(|(_, pod)| gateway::serves(pod)) {
            for (to, port) in self.ingresses.iter().flat_map(backends) {
                if scene.namespace.is_none_or(|ns| to.namespace == ns) {
                    self.add(&mut flows, (controller, pod, scene), (to, port), None);
                }
            }
        }
        flows.into_values().collect()
    }

    fn add<'a>(
        &'a self,
        flows: &mut BTreeMap<(Entity, Entity, Option<u16>), Flow<'a>>,
        (caller, from, scene): (&Entity, &'a Object, &'a Scene<'_>),
        (to, port): (Entity, Option<u16>),
        failed: Option<&Times>,
    ) {
        let Some(far) = self.far(scene, &to, port) else { return };
        let own = matches!(&far, Far::Pods(pods, _) if pods.iter().all(|p| scene.owners.top(p) == *caller));
        if own {
            return;
        }
        let flow = flows.entry((caller.clone(), to.clone(), port)).or_insert_with(|| Flow {
            caller: caller.clone(),
            from,
            to,
            port,
            far,
            told: false,
            failed: None,
        });
        match failed {
            Some(times) => flow.failed = Some(times.clone()),
            None => flow.told = true,
        }
    }

    fn far<'a>(&'a self, scene: &'a Scene<'_>, to: &Entity, port: Option<u16>) -> Option<Far<'a>> {
        match to.kind.as_str() {
            "External" => Some(Far::Outside(to.name.parse().ok(), port)),
            "Service" => {
                let service = self
                    .services
                    .iter()
                    .find(|s| s.namespace() == to.namespace && s.name() == to.name)?;
                let wanted = service.map("/spec/selector");
                let behind: Vec<&Object> = scene
                    .pods
                    .iter()
                    .filter(|p| p.namespace() == to.namespace && is_live(p))
                    .filter(|p| selector::pairs_match(&wanted, &p.labels()))
                    .collect();
                let ports = target_ports(service, behind.first().copied(), port);
                (!behind.is_empty()).then_some(Far::Pods(behind, ports))
            }
            "Node" => None,
            kind => {
                let behind: Vec<&Object> = scene
                    .pods
                    .iter()
                    .filter(|p| p.namespace() == to.namespace && is_live(p))
                    .filter(|p| {
                        let top = scene.owners.top(p);
                        p.name() == to.name || (top.kind == kind && top.name == to.name)
                    })
                    .collect();
                (!behind.is_empty()).then(|| Far::Pods(behind, port.into_iter().collect()))
            }
        }
    }
}

/// One live pod of each workload.
fn callers<'a>(scene: &'a Scene<'_>) -> BTreeMap<Entity, &'a Object> {
    let mut callers = BTreeMap::new();
    // The newest pod of a workload carries the labels in force.
    let mut pods: Vec<&Object> = scene.pods.iter().filter(|p| is_live(p)).collect();
    pods.sort_by_key(|p| std::cmp::Reverse(p.created()));
    for pod in pods {
        callers.entry(scene.owners.top(pod)).or_insert(pod);
    }
    callers
}

fn is_live(pod: &Object) -> bool {
    !matches!(pod.text("/status/phase"), "Succeeded" | "Failed")
}

/// The Services an Ingress sends to.
pub(super) fn backends(ingress: &Object) -> Vec<(Entity, Option<u16>)> {
    let rules = ingress.list("/spec/rules").iter();
    let paths = rules.flat_map(|r| r.pointer("/http/paths").and_then(|p| p.as_array())).flatten();
    let services = paths
        .filter_map(|p| p.pointer("/backend/service"))
        .chain(ingress.at("/spec/defaultBackend/service"));
    services
        .filter_map(|s| {
            let port = s.pointer("/port/number").and_then(serde_json::Value::as_u64);
            let name = s.get("name")?.as_str()?;
            let port = port.and_then(|p| u16::try_from(p).ok());
            Some((Entity::new("Service", ingress.namespace(), name), port))
        })
        .collect()
}

/// The ports of the pods that a port of their Service leads to: all of them when none is asked
/// for; what is asked for itself when the Service has no such port.
fn target_ports(service: &Object, pod: Option<&Object>, asked: Option<u16>) -> BTreeSet<u16> {
    let number = |value: &serde_json::Value| value.as_u64().and_then(|n| u16::try_from(n).ok());
    let named = |name: &str| {
        let containers = pod.map(plugin_cluster::pod::containers).unwrap_or_default();
        let port = containers.iter().flat_map(|c| c.ports()).find(|(n, _)| *n == name);
        port.and_then(|(_, number)| u16::try_from(number).ok())
    };
    let mut found = BTreeSet::new();
    for port in service.list("/spec/ports") {
        let front = port.get("port").and_then(number);
        if asked.is_some() && front != asked {
            continue;
        }
        let target = port.get("targetPort");
        let target = target.map_or(front, |t| number(t).or_else(|| t.as_str().and_then(named)));
        found.extend(target);
    }
    if found.is_empty() { asked.into_iter().collect() } else { found }
}
