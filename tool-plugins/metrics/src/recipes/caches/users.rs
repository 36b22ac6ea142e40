//! Who uses a cache. Calls and settings tell it as a rule. Where neither does, the users are
//! those whose calls to something else began to suffer right when the cache lost its hits: misses
//! end there. That is a conclusion from time alone, and the fact that carries it says so.

use std::collections::BTreeSet;

use agent_sdk::{Entity, Observation, Relation, RelationKind};

use crate::{
    change,
    flow::Flow,
    judge::{services::slow, time},
    scope::Edge,
    thresholds as t,
    view::View,
    words,
};

/// After a cache lost its hits, what stands behind it suffers within this time, milliseconds.
const SOON_MS: i64 = 15 * 60 * 1000;
/// Clocks and windows of rates differ; it may seem to suffer this much before.
const SLACK_MS: i64 = 3 * 60 * 1000;

/// The users that are concluded from time, as edges and as a fact per thing they fall through to.
/// None when calls or settings tell who uses `cache`.
pub(super) fn concluded(
    view: View<'_>,
    cache: &Entity,
    fell: usize,
) -> (Vec<Observation>, Vec<Relation>) {
    let (mut facts, mut relations) = (Vec::new(), Vec::new());
    if is_used_knowingly(view, cache) {
        return (facts, relations);
    }
    let suffers: Vec<(&Edge<'_>, &Entity)> = view
        .edges
        .iter()
        .filter_map(|edge| Some((edge, edge.called.as_ref()?)))
        .filter(|(edge, _)| edge.subject.namespace == cache.namespace)
        .filter(|(edge, _)| began(edge.flow).is_some_and(|at| is_soon(view, fell, at)))
        .collect();
    // Of a chain of callers only its end stands behind the cache.
    let passes_on: BTreeSet<&Entity> = suffers.iter().map(|(edge, _)| &edge.subject).collect();
    let ends: BTreeSet<&Entity> =
        suffers.iter().map(|(_, called)| *called).filter(|c| !passes_on.contains(c)).collect();
    for end in ends {
        let users: BTreeSet<&Entity> = suffers
            .iter()
            .filter(|(_, called)| *called == end)
            .map(|(edge, _)| &edge.subject)
            .filter(|user| view.world.top(user) != *cache)
            .collect();
        if users.is_empty() || view.world.top(end) == *cache {
            continue;
        }
        let names: Vec<&str> = users.iter().map(|user| user.name.as_str()).collect();
        let says = format!(
            "as {} lost its hits, calls of {} to {} began to suffer: nothing else tells who uses the cache",
            cache.name,
            names.join(", "),
            end.name
        );
        facts.push(
            Observation::new("cache.misses_land", cache.clone(), says)
                .maybe_since(time(view.frame, fell))
                .attr("users", names.join(", "))
                .peer(end.clone()),
        );
        relations.extend(
            users
                .into_iter()
                .map(|user| Relation::new(user.clone(), RelationKind::Calls, cache.clone())),
        );
    }
    (facts, relations)
}

/// Whether calls or settings name the cache.
fn is_used_knowingly(view: View<'_>, cache: &Entity) -> bool {
    let called = |edge: &Edge<'_>| {
        edge.called.as_ref().is_some_and(|called| view.world.is_in_front(called, cache))
    };
    let mut names: BTreeSet<&str> = BTreeSet::from([cache.name.as_str()]);
    names.extend(
        view.world
            .services
            .iter()
            .filter(|s| view.world.top(&s.entity()) == *cache)
            .map(plugin_cluster::Object::name),
    );
    let told = view.world.told().filter(|(workload, _)| *workload != cache).any(|(_, told)| {
        told.iter().any(|(_, value)| {
            names
                .iter()
                .any(|name| words::mentions(value, name) || value.contains(&format!("{name}.")))
        })
    });
    told || view.edges.iter().any(called)
}

/// When calls got slow or began to fail.
fn began(flow: &Flow) -> Option<usize> {
    let slower = change::shift(&flow.latency).filter(slow).map(|s| s.start);
    let failing = change::shift(&flow.failed)
        .filter(|s| s.score >= t::CLEAR && s.after > s.before)
        .map(|s| s.start);
    [slower, failing].into_iter().flatten().min()
}

fn is_soon(view: View<'_>, fell: usize, at: usize) -> bool {
    let after = view.frame.grid.time_ms(at) - view.frame.grid.time_ms(fell);
    (-SLACK_MS..=SOON_MS).contains(&after)
}
