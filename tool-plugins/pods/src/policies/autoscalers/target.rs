//! What autoscalers point at: nothing, the wrong thing, or what another one scales already.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{Answer, Kind, Object, names, sayings};

use super::{All, One, target};

/// Told when nothing answers to the target; with the edge to what is most likely meant.
pub(super) fn missing(
    one: &One<'_>,
    all: &All<'_>,
    exists: bool,
) -> Option<(Observation, Option<Relation>)> {
    let autoscaler = one.autoscaler;
    let told = autoscaler.condition("AbleToScale").filter(|c| {
        c.status == "False" && sayings::scaling_failure(c.reason, c.message).why == "target_missing"
    });
    let target = target(autoscaler);
    let known = Kind::of(&target.kind).is_some_and(|kind| {
        matches!(kind, Kind::Deployment | Kind::StatefulSet) && one.scene.cluster.records(kind)
    });
    if told.is_none() && (exists || !known) {
        return None;
    }
    // The controller's word may be older than the workload.
    if exists && told.is_some_and(|c| !c.message.contains("no matches for kind")) {
        return None;
    }
    let meant = meant(autoscaler, &target, all);
    let nearest = meant.as_ref().map_or("", |w| w.name.as_str());
    let like = if nearest.is_empty() { String::new() } else { format!("; there is {nearest}") };
    let since = told.and_then(|c| c.since).or_else(|| autoscaler.created());
    let says = format!(
        "points at {} {}, which does not exist{like}{}",
        target.kind,
        target.name,
        since.map(|t| format!(" (since {t})")).unwrap_or_default()
    );
    let mut seen = one
        .observe("policy.hpa_target_missing", &says)
        .maybe_since(since)
        .attr("target", format!("{}/{}", target.kind, target.name))
        .attr("nearest", nearest)
        .attr("lasting", "true")
        .quote(told.map_or("", |c| c.message));
    let mut edge = None;
    if let Some(meant) = meant {
        edge = Some(Relation::new(autoscaler.entity(), RelationKind::Governs, meant.clone()));
        seen = seen.peer(meant);
    }
    Some((seen, edge))
}

/// The workload without an autoscaler that carries the autoscaler's own name, or one much like the
/// name it asks for.
fn meant(autoscaler: &Object, target: &Entity, all: &All<'_>) -> Option<Entity> {
    let free = |w: &&Object| {
        w.namespace() == autoscaler.namespace()
            && !all.autoscalers.iter().any(|a| super::target(a) == w.entity())
    };
    let own = all.workloads.iter().filter(free).find(|w| carries(autoscaler.name(), w.name()));
    let alike = |w: &&Object| {
        let (a, b) = (w.name(), target.name.as_str());
        let near = names::distance(a, b);
        near * 3 <= a.len().max(b.len()) || a.contains(b) || b.contains(a)
    };
    let near = || {
        let all = all.workloads.iter().filter(free).filter(alike);
        all.min_by_key(|w| names::distance(w.name(), &target.name))
    };
    own.or_else(near).map(Object::entity)
}

/// Whether an autoscaler's name is a workload's, bare or with a word for what it is.
fn carries(autoscaler: &str, workload: &str) -> bool {
    let rest = autoscaler.strip_prefix(workload);
    matches!(rest, Some("" | "-hpa" | "-autoscaler" | "-scaler" | ".hpa"))
        || autoscaler.strip_prefix("hpa-") == Some(workload)
        || autoscaler.strip_prefix("keda-hpa-") == Some(workload)
}

/// Autoscalers that carry one workload's name and scale another, while that one has none.
pub(super) fn wrong(all: &All<'_>, answer: &mut Answer) {
    for autoscaler in all.autoscalers {
        let target = target(autoscaler);
        let namesake = all.workloads.iter().find(|w| {
            w.namespace() == autoscaler.namespace() && carries(autoscaler.name(), w.name())
        });
        let Some(namesake) = namesake.filter(|w| w.entity() != target) else { continue };
        let exists = all.workloads.iter().any(|w| w.entity() == target);
        let scaled = all.autoscalers.iter().any(|a| super::target(a) == namesake.entity());
        if !exists || scaled {
            continue;
        }
        let says = format!(
            "HorizontalPodAutoscaler {} scales {} {}, while {} {} has no autoscaler",
            autoscaler.name(),
            target.kind,
            target.name,
            namesake.kind(),
            namesake.name()
        );
        answer.relate(Relation::new(autoscaler.entity(), RelationKind::Governs, namesake.entity()));
        answer.harm(
            Observation::new("policy.hpa_wrong_target", autoscaler.entity(), says)
                .attr("target", format!("{}/{}", target.kind, target.name))
                .attr("namesake", namesake.name())
                .peer(namesake.entity()),
        );
    }
}

/// Several autoscalers of one workload.
pub(super) fn conflicts(all: &All<'_>, answer: &mut Answer) {
    let mut by_target: BTreeMap<Entity, Vec<&Object>> = BTreeMap::new();
    for autoscaler in all.autoscalers {
        by_target.entry(target(autoscaler)).or_default().push(autoscaler);
    }
    for (target, several) in by_target.into_iter().filter(|(_, all)| all.len() > 1) {
        let names: Vec<&str> = several.iter().map(|a| a.name()).collect();
        // The younger one is what was added.
        let Some(newest) = several.iter().max_by_key(|a| a.created()) else { continue };
        let says = format!(
            "HorizontalPodAutoscalers {} scale {} {} at once",
            names.join(" and "),
            target.kind,
            target.name
        );
        answer.harm(
            Observation::new("policy.hpa_conflict", newest.entity(), says)
                .maybe_since(newest.created())
                .attr("others", names.join(","))
                .peer(target),
        );
    }
}
