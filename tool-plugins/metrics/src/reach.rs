//! Which services of other namespaces the alerted one reaches by calls, so that their measurements
//! can be had as well.

use std::collections::BTreeSet;

use agent_sdk::Entity;
use plugin_cluster::{Object, selector};

use crate::{
    live::{About, Beyond},
    recording::Measured,
    scope::{self, Rank, Scope},
    world::World,
};

/// Pods of one service that are looked at.
const MAX_PODS: usize = 50;

/// What a call is about, by what its names stand for.
#[must_use]
pub fn about(world: &World) -> About {
    let namespace = world.namespace().to_owned();
    let alerted = |pod: &&Object| {
        world.owners.chain(pod).iter().any(|step| world.resolution.workloads.contains(step))
    };
    let pods = world.pods.iter().filter(alerted).map(|pod| pod.name().to_owned());
    About { namespace, pods: pods.take(MAX_PODS).collect() }
}

/// The services of other namespaces that are reached.
#[must_use]
pub fn beyond(measured: &Measured, world: &World) -> Vec<Beyond> {
    if world.namespace().is_empty() {
        return Vec::new();
    }
    let edges = scope::edges(&measured.flows, &world.peers);
    let scope = Scope::of(&world.resolution, &edges, (&world.services, &world.pods), &world.owners);
    let reached: BTreeSet<&Entity> = edges
        .iter()
        .filter_map(|edge| edge.called.as_ref())
        .filter(|called| !called.namespace.is_empty() && called.namespace != world.namespace())
        .filter(|called| scope.service(called).is_some_and(|rank| rank <= Rank::Reached))
        .collect();
    reached
        .into_iter()
        .map(|service| Beyond {
            namespace: service.namespace.clone(),
            service: service.name.clone(),
            pods: pods(service, world),
        })
        .collect()
}

fn pods(service: &Entity, world: &World) -> Vec<String> {
    let found = world
        .services
        .iter()
        .find(|s| s.name() == service.name && s.namespace() == service.namespace);
    let Some(found) = found else { return Vec::new() };
    let selected = found.map("/spec/selector");
    let behind = |pod: &&Object| {
        pod.namespace() == service.namespace && selector::pairs_match(&selected, &pod.labels())
    };
    let names = world.pods.iter().filter(behind).map(|pod| pod.name().to_owned());
    names.take(MAX_PODS).collect()
}
