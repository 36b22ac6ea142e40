//! Quotas and who is held up by them: refusals that controllers wrote down, and workloads that
//! lack pods while a quota has no room for one more. The latter needs no event and no condition:
//! stateful sets and Jobs keep none.

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Kind, Object, Rules, quantity, rules, sayings};
use serde_json::Value;

use super::Scene;
use crate::pods::desired;

pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    let rules = Rules::read(scene.cluster, scene.namespace).await;
    for (subject, why) in rules.gaps.clone() {
        answer.gap(subject, why);
    }
    let workloads = workloads(scene, answer).await;
    let mut told: Vec<(Entity, Entity)> = Vec::new();
    for workload in &workloads {
        if let Some((rule, seen)) = refused(&rules, workload, scene.cluster.now()) {
            answer.relate(governs(&rule, workload));
            told.push((rule, workload.entity()));
            answer.harm(seen);
        }
    }
    for quota in &rules.quotas {
        let full: Vec<&Object> = workloads
            .iter()
            .filter(|w| w.namespace() == quota.namespace() && lacks_pods(scene, w))
            .filter(|w| !told.contains(&(quota.entity(), w.entity())))
            .collect();
        let mut holds_up = false;
        for workload in full {
            if let Some(seen) = no_room(scene, quota, workload) {
                answer.relate(governs(&quota.entity(), workload));
                answer.harm(seen);
                holds_up = true;
            }
        }
        let named = told.iter().any(|(rule, _)| *rule == quota.entity());
        if let Some(seen) = room(quota).filter(|_| !holds_up && !named) {
            answer.health(seen);
        }
    }
}

pub(crate) fn governs(rule: &Entity, workload: &Object) -> Relation {
    Relation::new(rule.clone(), RelationKind::Governs, workload.entity())
}

async fn workloads(scene: &Scene<'_>, answer: &mut Answer) -> Vec<Object> {
    let mut all = Vec::new();
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job] {
        let listed = scene.cluster.list(kind, scene.namespace).await;
        all.extend(answer.or_gap(kind.plural(), listed));
    }
    all
}

/// What a controller wrote into its workload's conditions.
pub(crate) fn refused(
    rules: &Rules,
    workload: &Object,
    now: Timestamp,
) -> Option<(Entity, Observation)> {
    let condition = ["ReplicaFailure", "FailedCreate"]
        .iter()
        .find_map(|name| workload.condition(name).filter(|c| c.status == "True"))?;
    let refusal = sayings::quota_refusal(condition.message)?;
    let rule = rules.refuser(workload.namespace(), &refusal)?;
    let says = format!(
        "{} {} refuses pods of {} {}: {}",
        rule.kind,
        rule.name,
        workload.kind(),
        workload.name(),
        refusal.amounts()
    );
    let seen = Observation::new("policy.quota_exceeded", rule.clone(), says)
        .maybe_since(condition.since)
        .until(now)
        .attr("by", rule.name.as_str())
        .quote(condition.message)
        .peer(workload.entity());
    let all = refusal.attributes().into_iter();
    Some((rule, all.fold(seen, |seen, (key, value)| seen.attr(key, value))))
}

/// Pods that were never made, unlike those that were made and do not run.
fn lacks_pods(scene: &Scene<'_>, workload: &Object) -> bool {
    let suspended = workload.at("/spec/suspend") == Some(&Value::Bool(true));
    match workload.kind() {
        "Job" => {
            let done = ["Complete", "Failed"]
                .iter()
                .any(|name| workload.condition(name).is_some_and(|c| c.status == "True"));
            let entity = workload.entity();
            let made = scene.pods.iter().any(|p| scene.owners.chain(p).contains(&entity));
            !done && !suspended && !made
        }
        "DaemonSet" => {
            workload.number("/status/currentNumberScheduled").unwrap_or(0) < desired(workload)
        }
        _ => workload.number("/status/replicas").unwrap_or(0) < desired(workload),
    }
}

/// Whether one more pod of the workload does not fit into a quota.
fn no_room(scene: &Scene<'_>, quota: &Object, workload: &Object) -> Option<Observation> {
    // A quota for some classes of pod alone may not concern this one.
    if quota.at("/spec/scopeSelector").is_some() || !quota.list("/spec/scopes").is_empty() {
        return None;
    }
    let spec = workload.at("/spec/template/spec")?;
    let hard = quota.map("/status/hard");
    let used = quota.map("/status/used");
    let (resource, demand) = hard.iter().find_map(|(resource, most)| {
        let most = quantity::parse(most)?;
        let there = quantity::parse(used.get(resource)?)?;
        let demand = rules::demand(spec, resource).filter(|d| *d > 0.0)?;
        (there + demand > most).then_some((resource.clone(), demand))
    })?;
    let amount = |map: &std::collections::BTreeMap<String, String>| {
        map.get(&resource).cloned().unwrap_or_default()
    };
    let (hard, used) = (amount(&hard), amount(&used));
    let says = format!(
        "ResourceQuota {} has no room for another pod of {} {}: {used} of {hard} {resource} used",
        quota.name(),
        workload.kind(),
        workload.name()
    );
    Some(
        Observation::new("policy.quota_exceeded", quota.entity(), says)
            .until(scene.cluster.now())
            .attr("by", quota.name())
            .attr("resource", resource.as_str())
            .attr("requested", shown(demand, &resource))
            .attr("used", used)
            .attr("hard", hard)
            .attr("why", "inferred")
            .peer(workload.entity()),
    )
}

/// An amount as people write it.
fn shown(amount: f64, resource: &str) -> String {
    const MI: f64 = 1_048_576.0;
    if resource.contains("memory") || resource.contains("storage") {
        format!("{:.0}Mi", amount / MI)
    } else if amount < 1.0 {
        format!("{:.0}m", amount * 1000.0)
    } else {
        format!("{amount}")
    }
}

/// The fullest resource of a quota that is not full.
fn room(quota: &Object) -> Option<Observation> {
    let used = quota.map("/status/used");
    let share = |(resource, most): (&String, &String)| {
        let most = quantity::parse(most).filter(|most| *most > 0.0)?;
        let there = quantity::parse(used.get(resource)?)?;
        Some((there / most, resource.clone()))
    };
    let hard = quota.map("/status/hard");
    let fullest = hard.iter().filter_map(share).max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (share, resource) = fullest;
    if share >= 1.0 {
        return None;
    }
    let says = format!(
        "ResourceQuota {} has room: at most {:.0} % used ({resource})",
        quota.name(),
        share * 100.0
    );
    Some(
        Observation::new("policy.quota_room", quota.entity(), says)
            .value(share, "1")
            .attr("resource", resource),
    )
}
