//! What was edited by hand: `kubectl apply` leaves a copy of what was applied, and a later edit
//! leaves the copy as it was. Values that differ are told old -> new. Nothing of Secrets: their
//! copies are dropped before this crate sees them.

use agent_sdk::Observation;
use plugin_cluster::Object;
use serde_json::Value;

use super::templates::{self, Difference};

const COPY: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The values of `spec` (and of the rules, subjects and annotations beside it) that are no longer
/// as they were applied. What the server filled in was never applied and is no difference.
pub(crate) fn drift(object: &Object) -> Vec<Difference> {
    let Some(copy) = object.annotation(COPY) else { return Vec::new() };
    let Ok(applied) = serde_json::from_str::<Value>(copy) else { return Vec::new() };
    let mut found = Vec::new();
    for part in ["spec", "rules", "subjects", "roleRef", "webhooks"] {
        if let (Some(old), Some(new)) = (applied.get(part), object.value().get(part)) {
            found.extend(templates::between(part, old, new));
        }
    }
    let notes = |value: &Value| value.pointer("/metadata/annotations").cloned();
    if let (Some(old), Some(new)) = (notes(&applied), notes(object.value())) {
        found.extend(templates::between("annotations", &old, &new));
    }
    found.retain(|d| d.old != templates::NONE && d.new != "present" && d.old != "present");
    found.truncate(12);
    found
}

/// Puts what differs into an observation: `change.PATH` = `old -> new`.
pub(crate) fn tell(mut seen: Observation, differences: &[Difference]) -> Observation {
    for d in differences {
        seen = seen.attr(format!("change.{}", d.path), format!("{} -> {}", d.old, d.new));
    }
    seen
}

/// The differences as words, each preceded by a semicolon.
pub(crate) fn words(differences: &[Difference]) -> String {
    differences
        .iter()
        .take(4)
        .map(|d| format!("; {} was {}, is {}", d.path, d.old, d.new))
        .collect()
}
