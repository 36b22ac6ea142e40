//! Which policies were made or edited lately, and by whom. Cluster-wide ones that the cluster
//! keeps itself are left out.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{Answer, Object};

use super::{KINDS, Scene};
use crate::{
    rollouts::{drift, edits},
    within,
};

/// Edits are told for two days.
const TOLD_HOURS: i64 = 48;

/// Tells edits; answers all policies in sight.
pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) -> Vec<Object> {
    let mut all = Vec::new();
    for kind in KINDS {
        let listed = scene.cluster.list(kind, None).await;
        let found = answer.or_gap(kind.plural(), listed);
        all.extend(found.into_iter().filter(|object| scene.covers(object)));
    }
    for policy in all.iter().filter(|p| !kept_by_cluster(p)) {
        if let Some(seen) = changed(policy, &all, scene.cluster.now()) {
            answer.change(seen);
        }
    }
    all
}

fn kept_by_cluster(policy: &Object) -> bool {
    policy.name().starts_with("system:")
        || policy.labels().contains_key("kubernetes.io/bootstrapping")
        || (policy.kind() == "ServiceAccount" && policy.name() == "default")
}

/// When and how a policy last came to be as it is: its last edit, or that it was made after the
/// others of its kind.
pub(crate) fn changed(policy: &Object, all: &[Object], now: Timestamp) -> Option<Observation> {
    let (time, manager, fields, how) = match edits::last_edit(policy, now) {
        Some(edit) => (edit.time, edit.manager.clone(), edits::paths(&edit), "edited"),
        None => {
            let made = policy.created().filter(|made| joined_late(*made, policy, all))?;
            let manager = policy.edits(now).pop().map(|e| e.manager).unwrap_or_default();
            (made, manager, String::new(), "created")
        }
    };
    if !within(time, now, TOLD_HOURS) {
        return None;
    }
    let by = if manager.is_empty() { String::new() } else { format!(" by {manager}") };
    let what = if fields.is_empty() { String::new() } else { format!(": {fields}") };
    let differs = drift::drift(policy);
    let was = drift::words(&differs);
    let says = format!("{} {} was {how}{by} at {time}{what}{was}", policy.kind(), policy.name());
    let seen = Observation::new("policy.changed", policy.entity(), says)
        .since(time)
        .until(time)
        .attr("manager", manager)
        .attr("fields", fields)
        .attr("how", how);
    Some(drift::tell(seen, &differs))
}

/// Something new among older things is a change; in a cluster that is all new it is not.
fn joined_late(made: Timestamp, policy: &Object, all: &[Object]) -> bool {
    all.iter()
        .filter(|o| o.namespace() == policy.namespace())
        .filter_map(Object::created)
        .any(|older| made.duration_since(older).as_hours() >= 1)
}
