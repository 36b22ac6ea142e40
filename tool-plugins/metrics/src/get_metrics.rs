//! The tool `get_metrics`: how the services and containers near the alerted one fare, by typed
//! recipes, with what was usual before.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use agent_sdk::{
    Applies, CallCx, Entity, Failure, Observation, Output, Relation, RelationKind, Spec, Tool,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    judge::{containers, edges as judge_edges, memory::Load, services},
    live::Purpose,
    reach,
    recipes::{self, load},
    recording::{Asked, Measured, Recording},
    remaining::Remaining,
    scope::{self, Edge, Rank, Scope},
    usage,
    view::View,
    world::World,
};

/// Facts at most; those farthest from the alert and those of health are left out first.
const MAX_FACTS: usize = 400;

const EMITS: &[&str] = &[
    "target.resolved",
    "target.unknown",
    "container.memory_near_limit",
    "container.memory_growing",
    "container.memory_steady",
    "container.cpu_throttled",
    "container.cpu_busy",
    "container.cpu_unthrottled",
    "container.cpu_saturated",
    "service.error_ratio_high",
    "service.error_ratio_normal",
    "service.client_errors_high",
    "service.latency_high",
    "service.latency_normal",
    "service.traffic_up",
    "service.traffic_down",
    "service.traffic_normal",
    "traffic.flood",
    "container.limit_changed",
    "container.memory_jumped",
    "container.oom_killed",
    "cache.hit_ratio_low",
    "cache.evicting",
    "cache.emptied",
    "cache.capacity_changed",
    "cache.down",
    "cache.healthy",
    "cache.misses_land",
    "queue.backlog_growing",
    "queue.consumer_stalled",
    "queue.inflow_up",
    "queue.broker_blocked",
    "queue.keeping_up",
    "storage.volume_full",
    "storage.volume_filling",
    "storage.volume_ok",
    "node.disk_full",
    "node.disk_filling",
    "db.log_retained",
    "db.connections_exhausted",
    "db.connections_held",
    "db.connections_free",
    "db.lock_waits",
    "db.lock_held",
    "db.slow_query",
    "pool.saturated",
    "pool.free",
    "dependency.failing",
    "dependency.slow",
    "dependency.healthy",
    "certificate.expired",
    "certificate.expiring",
    "certificate.valid",
];

/// See [`Tool`].
#[derive(Debug, Clone)]
pub struct GetMetrics {
    recording: Arc<Recording>,
}

/// Arguments of the tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Args {
    /// Namespace to look at; empty means where the service is found, else the whole cluster.
    pub namespace: String,
    /// The alerted service: a workload, a Service or a label. It and what it calls come first.
    pub service: String,
}

/// One fact with its place in the answer.
struct Ranked {
    rank: Rank,
    fact: Observation,
}

#[derive(Debug, Serialize)]
struct Answer {
    namespace: String,
    from: String,
    to: String,
    services: Vec<String>,
    facts: Vec<String>,
    left_out: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    prometheus: Option<Asked>,
}

// === impl GetMetrics ===

impl GetMetrics {
    /// The tool over `recording`.
    #[must_use]
    pub fn new(recording: Arc<Recording>) -> Self {
        Self { recording }
    }
}

impl Tool for GetMetrics {
    type Args = Args;

    fn spec(&self) -> Spec {
        Spec::read_only(
            "get_metrics",
            "Memory, CPU throttling, error ratio, latency and traffic of a service and of all \
             services and containers of its namespace, and who calls whom with what outcome, \
             each compared with the time before it changed. Use it early: it shows where errors \
             and slowness begin, and clears what is fine.",
        )
        .title("Metrics of services and containers")
        .permissions(&["prometheus:query"])
        .timeout(Duration::from_secs(25))
        .typical_latency(Duration::from_millis(400))
        .example("One service", r#"{"namespace":"market","service":"web"}"#)
        .example("A whole namespace", r#"{"namespace":"market"}"#)
        .applies(
            Applies::from_start(r#"{"namespace":"{namespace}","service":"{service}"}"#)
                .emits(EMITS),
        )
        .applies(
            Applies::after(
                &["dependency.*", "service.*", "log.*"],
                &["Service", "Deployment", "StatefulSet", "DaemonSet"],
                r#"{"namespace":"{namespace}","service":"{name}"}"#,
            )
            .emits(EMITS),
        )
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let cluster = self.recording.cluster().view();
        let now = cluster.now();
        let time = Remaining::of(&cx);
        let world = World::read(&cluster, &args.namespace, &args.service).await;
        let about = reach::about(&world);
        let measured = self.recording.measured(&about, Purpose::Recipes, time.left()).await?;
        let measured = if self.recording.is_live() {
            let beyond = reach::beyond(&measured, &world);
            self.recording.reach(measured, &beyond, time.left()).await?
        } else {
            measured
        };
        let judging = tokio::task::spawn_blocking(move || judge(&measured, &world));
        let output = judging.await.map_err(|error| {
            Failure::bug("JUDGEMENT_FAILED", format!("judging metrics ended early: {error}"))
        })??;
        Ok(output.observed_at(now))
    }
}

fn judge(measured: &Measured, world: &World) -> Result<Output, Failure> {
    let edges = scope::edges(&measured.flows, &world.peers);
    let scope = Scope::of(&world.resolution, &edges, (&world.services, &world.pods), &world.owners);
    let mut facts = judge_flows(measured, &scope, &edges);
    facts.extend(judge_containers(measured, (world, &edges), &scope));
    let view = View { store: &measured.store, frame: measured.frame, world, edges: &edges };
    let recipes = recipes::all(view);
    facts.extend(recipes.facts.into_iter().filter_map(|fact| {
        let rank = rank_of(&fact, world, &scope)?;
        Some(Ranked { rank, fact })
    }));
    // Stable: within a rank harm comes first and the order of names stays.
    facts.sort_by_key(|f| (f.rank, is_health(&f.fact)));
    let left_out = facts.len().saturating_sub(MAX_FACTS);
    facts.truncate(MAX_FACTS);
    let relations = calls(&scope, &edges).into_iter().chain(owners(&facts, world));
    let relations = relations.chain(recipes.relations);
    let facts: Vec<Observation> = facts.into_iter().map(|f| f.fact).collect();
    let mut output = Output::new(&answer(measured, world, &edges, (&facts, left_out)))?
        .summary(summary(&facts))
        .observe_all(world.resolution.observations())
        .relate_all(relations.collect::<BTreeSet<_>>())
        .observe_all(facts);
    for (subject, failure) in &world.gaps {
        output = output.gap(subject.as_str(), failure.clone());
    }
    if left_out > 0 {
        output = output.truncated("");
    }
    Ok(measured.with_gaps(output))
}

fn judge_flows(measured: &Measured, scope: &Scope, edges: &[Edge<'_>]) -> Vec<Ranked> {
    let mut facts = Vec::new();
    for edge in edges {
        let own = scope.service(&edge.subject);
        let (rank, found) = match &edge.called {
            None => {
                let mut found = services::judge(&edge.subject, edge.flow, measured.frame);
                found.extend(load::judge(&edge.subject, edge.flow, edges, measured.frame));
                (own, found)
            }
            Some(called) => {
                let rank = [own, scope.service(called)].into_iter().flatten().min();
                (rank, judge_edges::judge(&edge.subject, called, edge.flow, measured.frame))
            }
        };
        let Some(rank) = rank else { continue };
        facts.extend(found.into_iter().map(|fact| Ranked { rank, fact }));
    }
    facts
}

/// How near what a recipe found is to the alert: by its subject, else by its other side.
fn rank_of(fact: &Observation, world: &World, scope: &Scope) -> Option<Rank> {
    let wire = fact.as_wire();
    let rank = |entity: Option<&agent_sdk::wire::EntityRef>| {
        let entity = entity?;
        if entity.namespace.is_empty() {
            return Some(Rank::Neighbour);
        }
        let named = |w: &Entity| w.name == entity.name && w.namespace == entity.namespace;
        if world.resolution.workloads.iter().any(named) {
            return Some(Rank::Target);
        }
        scope.service(&Entity::new("Service", entity.namespace.as_str(), entity.name.as_str()))
    };
    rank(wire.subject.as_ref()).into_iter().chain(rank(wire.peer.as_ref())).min()
}

fn judge_containers(
    measured: &Measured,
    (world, edges): (&World, &[Edge<'_>]),
    scope: &Scope,
) -> Vec<Ranked> {
    // Of another namespace only what the alerted service reaches counts.
    let usages = usage::usages(&measured.store, measured.frame, None);
    let live: BTreeSet<(&str, &str)> =
        world.pods.iter().map(|p| (p.namespace(), p.name())).collect();
    let mut facts = Vec::new();
    for place in usages.keys() {
        let known =
            live.is_empty() || live.contains(&(place.namespace.as_str(), place.pod.as_str()));
        let Some(rank) = scope.pod(&place.namespace, &place.pod).filter(|_| known) else {
            continue;
        };
        let pod = Entity::new("Pod", place.namespace.as_str(), place.pod.as_str());
        let workload = world.top(&pod);
        let asked =
            edges.iter().find(|e| e.called.is_none() && world.is_in_front(&e.subject, &workload));
        let load = Load { total: asked.map(|e| e.flow.total.as_slice()) };
        let found = containers::judge(place, &usages, load, measured.frame);
        facts.extend(found.into_iter().map(|fact| Ranked { rank, fact }));
    }
    facts
}

fn is_health(fact: &Observation) -> bool {
    matches!(
        fact.signal(),
        "container.memory_steady"
            | "container.cpu_unthrottled"
            | "service.error_ratio_normal"
            | "service.latency_normal"
            | "service.traffic_normal"
            | "dependency.healthy"
            | "cache.healthy"
            | "queue.keeping_up"
            | "storage.volume_ok"
            | "db.connections_free"
            | "pool.free"
            | "certificate.valid"
    )
}

/// Who calls whom, as far as an end is in scope.
fn calls(scope: &Scope, edges: &[Edge<'_>]) -> Vec<Relation> {
    edges
        .iter()
        .filter_map(|edge| {
            let called = edge.called.as_ref()?;
            scope.service(&edge.subject).or_else(|| scope.service(called))?;
            Some(Relation::new(edge.subject.clone(), RelationKind::Calls, called.clone()))
        })
        .collect()
}

/// The owners of the pods that facts are about.
fn owners(facts: &[Ranked], world: &World) -> Vec<Relation> {
    let named: BTreeSet<(&str, &str)> = facts
        .iter()
        .filter_map(|f| f.fact.as_wire().subject.as_ref())
        .filter(|subject| subject.kind == "Pod")
        .map(|subject| (subject.namespace.as_str(), subject.name.as_str()))
        .collect();
    world
        .pods
        .iter()
        .filter(|pod| named.contains(&(pod.namespace(), pod.name())))
        .flat_map(|pod| world.owners.relations(pod))
        .collect()
}

fn answer(
    measured: &Measured,
    world: &World,
    edges: &[Edge<'_>],
    (facts, left_out): (&[Observation], usize),
) -> Answer {
    let grid = measured.frame.grid;
    let time = |point: usize| {
        jiff::Timestamp::from_millisecond(grid.time_ms(point)).map(|t| t.to_string())
    };
    let measured_services: BTreeSet<&Entity> =
        edges.iter().filter(|e| e.called.is_none()).map(|e| &e.subject).collect();
    let namespace = world.resolution.namespace.clone().unwrap_or_default();
    Answer {
        from: time(0).unwrap_or_default(),
        to: time(grid.points.saturating_sub(1)).unwrap_or_default(),
        services: measured_services
            .into_iter()
            .filter(|s| namespace.is_empty() || s.namespace == namespace)
            .map(|s| format!("{}/{}", s.namespace, s.name))
            .collect(),
        namespace,
        facts: facts.iter().map(|f| f.as_wire().statement.clone()).collect(),
        left_out,
        prometheus: measured.asked,
    }
}

fn summary(facts: &[Observation]) -> String {
    let harm: Vec<&str> = facts
        .iter()
        .filter(|f| !is_health(f))
        .map(|f| f.as_wire().statement.as_str())
        .take(15)
        .collect();
    if harm.is_empty() {
        return format!("nothing unusual in {} measured facts", facts.len());
    }
    harm.join("\n")
}
