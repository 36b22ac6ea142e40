//! Ingresses: whether a controller takes them up, whether what they send to exists, whether their
//! certificates exist, whether the requests that come in fit their rules. A backend without
//! endpoints is the Service's matter and not told here.

mod class;
mod gateway;
mod notes;
mod route;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, names::distance};

use crate::{
    rollouts::{drift, edits},
    within,
};
use gateway::Gateway;
use route::Route;

/// Edits are told for two days.
const TOLD_HOURS: i64 = 48;

/// What Ingresses are judged against.
struct Around<'a> {
    services: &'a [Object],
    classes: Option<Vec<Object>>,
    secrets: Option<Vec<Object>>,
    all: &'a [Object],
    now: Timestamp,
}

/// One thing wrong with an Ingress.
struct Fault {
    why: &'static str,
    says: String,
    /// Whether the objects alone prove it.
    certain: bool,
    attributes: Vec<(&'static str, String)>,
    peer: Option<Entity>,
    quote: String,
}

pub(super) async fn judge(cluster: &Cluster, namespace: Option<&str>, answer: &mut Answer) {
    let listed = cluster.list(Kind::Ingress, None).await;
    let all = answer.or_gap("ingresses", listed);
    if all.is_empty() {
        return;
    }
    let listed = cluster.list(Kind::Service, None).await;
    let services = answer.or_gap("services", listed);
    let pods = cluster.list(Kind::Pod, None).await.unwrap_or_default();
    let owners = Owners::read(cluster, None).await;
    let around = Around {
        services: &services,
        classes: recorded(cluster, Kind::IngressClass).await,
        secrets: recorded(cluster, Kind::Secret).await,
        all: &all,
        now: cluster.now(),
    };
    let gateways: Vec<&Object> = pods.iter().filter(|p| crate::gateway::serves(p)).collect();
    let heard = Gateway::listen(cluster, &gateways).await;
    // A controller serves Ingresses of any namespace.
    let everywhere = gateways.iter().any(|p| Some(p.namespace()) == namespace);
    let here = |i: &&Object| everywhere || namespace.is_none_or(|ns| i.namespace() == ns);
    for ingress in all.iter().filter(here) {
        relate(ingress, &gateways, &owners, answer);
        if let Some(seen) = changed(ingress, cluster.now()) {
            answer.change(seen);
        }
        let faults = around.faults(ingress, &heard);
        if faults.is_empty() {
            answer.health(routed(ingress, cluster.now()));
        }
        for fault in faults {
            if let Some(meant) = fault.peer.as_ref().filter(|peer| peer.kind == "Service") {
                let leads = Relation::new(ingress.entity(), RelationKind::Calls, meant.clone());
                answer.relate(leads);
            }
            answer.harm(misrouted(ingress, fault, cluster.now()));
        }
    }
}

/// The objects of a kind, when their absence means something.
async fn recorded(cluster: &Cluster, kind: Kind) -> Option<Vec<Object>> {
    let all = cluster.list(kind, None).await.ok()?;
    (cluster.records(kind) && !all.is_empty()).then_some(all)
}

fn relate(ingress: &Object, gateways: &[&Object], owners: &Owners, answer: &mut Answer) {
    let home = ingress.namespace();
    for route in route::routes(ingress) {
        let service = Entity::new("Service", home, route.service);
        answer.relate(Relation::new(ingress.entity(), RelationKind::Calls, service));
    }
    for (secret, _) in route::certificates(ingress) {
        let secret = Entity::new("Secret", home, secret);
        answer.relate(Relation::new(ingress.entity(), RelationKind::Uses, secret));
    }
    for gateway in gateways {
        let workload = owners.top(gateway);
        answer.relate(Relation::new(workload, RelationKind::Uses, ingress.entity()));
    }
}

fn changed(ingress: &Object, now: Timestamp) -> Option<Observation> {
    let edit = edits::last_edit(ingress, now).filter(|e| within(e.time, now, TOLD_HOURS))?;
    let fields = edits::paths(&edit);
    let differs = drift::drift(ingress);
    let says = format!(
        "Ingress {} was edited by {} at {}: {fields}{}",
        ingress.name(),
        edit.manager,
        edit.time,
        drift::words(&differs)
    );
    let seen = Observation::new("ingress.changed", ingress.entity(), says)
        .since(edit.time)
        .until(edit.time)
        .attr("manager", edit.manager)
        .attr("fields", fields);
    Some(drift::tell(seen, &differs))
}

fn routed(ingress: &Object, now: Timestamp) -> Observation {
    let routes = route::routes(ingress);
    let hosts: Vec<&str> = routes.iter().map(|r| r.host).filter(|h| !h.is_empty()).collect();
    let says = format!(
        "Ingress {} sends {} to Services and ports that exist",
        ingress.name(),
        if hosts.is_empty() { "all hosts".to_owned() } else { hosts.join(", ") }
    );
    Observation::new("ingress.routed", ingress.entity(), says)
        .until(now)
        .attr("routes", routes.len().to_string())
}

fn misrouted(ingress: &Object, fault: Fault, now: Timestamp) -> Observation {
    let edit = edits::last_edit(ingress, now).filter(|e| within(e.time, now, 14 * 24));
    let differs = drift::drift(ingress);
    let by = edit.as_ref().map(|e| format!("; edited by {} at {}", e.manager, e.time));
    let says = format!(
        "Ingress {}: {}{}{}",
        ingress.name(),
        fault.says,
        by.unwrap_or_default(),
        drift::words(&differs)
    );
    let mut seen = Observation::new("ingress.misrouted", ingress.entity(), says)
        .maybe_since(edit.map(|e| e.time))
        .until(now)
        .attr("why", fault.why)
        .attr("certain", if fault.certain { "true" } else { "false" })
        .quote(&fault.quote);
    for (key, value) in fault.attributes {
        seen = seen.attr(key, value);
    }
    match fault.peer {
        Some(peer) => seen.peer(peer),
        None => seen,
    }
}

// === impl Around ===

impl Around<'_> {
    fn faults(&self, ingress: &Object, heard: &Gateway) -> Vec<Fault> {
        let mut faults = Vec::new();
        faults.extend(class::fault(ingress, self.classes.as_deref(), self.all));
        let routes = route::routes(ingress);
        faults.extend(routes.iter().filter_map(|route| self.backend(ingress, route)));
        faults.extend(self.certificate(ingress));
        faults.extend(notes::faults(ingress, &routes, self.services));
        faults.extend(heard.fault(ingress, self.all, self.now));
        faults.dedup_by(|a, b| a.says == b.says);
        faults
    }

    fn backend(&self, ingress: &Object, route: &Route<'_>) -> Option<Fault> {
        let home = ingress.namespace();
        let here = self.services.iter().filter(|s| s.namespace() == home);
        let Some(service) = here.clone().find(|s| s.name() == route.service) else {
            let nearest = here.min_by_key(|s| distance(s.name(), route.service));
            let near = nearest.filter(|s| distance(s.name(), route.service) <= 12);
            let hint = near.map(|s| format!(", the nearest is {}", s.name())).unwrap_or_default();
            return Some(Fault {
                why: "backend_missing",
                says: format!(
                    "{} goes to Service {}, which does not exist{hint}",
                    route.shown(),
                    route.service
                ),
                certain: true,
                attributes: route.attributes(near.map_or("", |s| s.name())),
                peer: near.map(Object::entity),
                quote: String::new(),
            });
        };
        let ports = route::ports(service);
        let known = route.port.is_empty()
            || ports.iter().any(|(name, number)| *name == route.port || *number == route.port);
        if known {
            return None;
        }
        let shown: Vec<String> = ports
            .iter()
            .map(|(name, n)| if name.is_empty() { n.clone() } else { format!("{name}:{n}") })
            .collect();
        let shown = shown.join(",");
        let mut attributes = route.attributes("");
        attributes.push(("ports", shown.clone()));
        Some(Fault {
            why: "backend_port",
            says: format!(
                "{} goes to port {} of Service {}, which has {shown}",
                route.shown(),
                route.port,
                route.service
            ),
            certain: true,
            attributes,
            peer: Some(service.entity()),
            quote: String::new(),
        })
    }

    fn certificate(&self, ingress: &Object) -> Option<Fault> {
        let secrets = self.secrets.as_ref()?;
        let home = ingress.namespace();
        let (name, hosts) = route::certificates(ingress).into_iter().find(|(name, _)| {
            !secrets.iter().any(|s| s.namespace() == home && s.name() == *name)
        })?;
        let elsewhere = secrets.iter().find(|s| s.name() == name);
        let hint = elsewhere.map(|s| format!(", only in namespace {}", s.namespace()));
        Some(Fault {
            why: "tls_secret_missing",
            says: format!(
                "its TLS Secret {name} for {} does not exist{}, so a default certificate is served",
                hosts.join(", "),
                hint.unwrap_or_default()
            ),
            certain: true,
            attributes: vec![("secret", name.to_owned()), ("host", hosts.join(","))],
            peer: Some(Entity::new("Secret", home, name)),
            quote: String::new(),
        })
    }
}
