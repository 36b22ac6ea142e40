//! Disruption budgets that hold up a drain: none may be disturbed while a node that runs one of
//! their pods is cordoned. A budget without room is otherwise its ordinary state.

use std::collections::BTreeSet;

use agent_sdk::{Observation, Relation, RelationKind};
use plugin_cluster::{Answer, Kind, Object, selector};
use serde_json::Value;

use super::Scene;

pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    let listed = scene.cluster.list(Kind::PodDisruptionBudget, scene.namespace).await;
    let budgets = answer.or_gap("poddisruptionbudgets", listed);
    if budgets.is_empty() {
        return;
    }
    let listed = scene.cluster.list(Kind::Node, None).await;
    let nodes = answer.or_gap("nodes", listed);
    let cordoned: BTreeSet<&str> = nodes
        .iter()
        .filter(|n| n.at("/spec/unschedulable").and_then(Value::as_bool) == Some(true))
        .map(Object::name)
        .collect();
    for budget in &budgets {
        let chosen: Vec<&Object> = scene
            .pods
            .iter()
            .filter(|p| p.namespace() == budget.namespace())
            .filter(|p| selector::matches(budget.at("/spec/selector"), &p.labels()))
            .collect();
        let Some(first) = chosen.first() else { continue };
        let workload = scene.owners.top(first);
        let edge = Relation::new(budget.entity(), RelationKind::Governs, workload.clone());
        answer.relate(edge);
        let held = chosen.iter().find(|p| cordoned.contains(p.text("/spec/nodeName")));
        let allowed = budget.number("/status/disruptionsAllowed");
        let (Some(held), Some(0)) = (held, allowed) else { continue };
        let number = |at: &str| budget.number(at).unwrap_or(0).to_string();
        let (healthy, wanted) =
            (number("/status/currentHealthy"), number("/status/desiredHealthy"));
        let says = format!(
            "PodDisruptionBudget {} allows no disruption ({healthy} healthy, {wanted} wanted), \
             so pod {} stays on cordoned node {}",
            budget.name(),
            held.name(),
            held.text("/spec/nodeName")
        );
        answer.harm(
            Observation::new("policy.pdb_blocks", budget.entity(), says)
                .until(scene.cluster.now())
                .attr("allowed", "0")
                .attr("healthy", healthy)
                .attr("wanted", wanted)
                .peer(workload),
        );
    }
}
