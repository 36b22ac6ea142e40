//! Whether a written incident holds what a recording must hold. For tests of the forms: each
//! author runs them over all forms, whoever wrote them.

use serde_json::Value;

use super::{object::Ref, recording::Incident};

/// Everything that is wrong with an incident, a line each; none is good.
#[must_use]
pub fn faults(incident: &Incident, category: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let truth = &incident.truth;
    let second = truth.also.as_ref().map(|(_, culprit, _)| culprit);
    for object in [&truth.culprit].into_iter().chain(&truth.accept).chain(second) {
        // What is referred to and missing is named by its reference.
        let missing = category == "missing_configmap_or_secret"
            && matches!(object.kind.as_str(), "ConfigMap" | "Secret");
        if !missing && !there(incident, object) {
            faults.push(format!("{object:?} is not among the objects"));
        }
    }
    for word in [category.to_owned(), category.replace('_', "-")] {
        faults.extend(named(incident, &word));
    }
    faults.extend(contradicted(incident));
    if incident.logs.values().any(|text| text.lines().any(|line| line.len() < 31)) {
        faults.push("a log line has no time or no text".to_owned());
    }
    if incident.metrics.as_ref().is_some_and(|text| !text.ends_with("# EOF\n")) {
        faults.push("metrics do not end".to_owned());
    }
    for text in [&truth.title, &truth.description, &truth.root_cause] {
        if text.is_empty() {
            faults.push("title, description or root cause is missing".to_owned());
        }
    }
    if truth.mention.is_empty() || truth.mention.iter().any(Vec::is_empty) {
        faults.push("nothing has to be mentioned".to_owned());
    }
    faults
}

/// What is outside, or hidden with its whole kind, has no object.
fn there(incident: &Incident, object: &Ref) -> bool {
    let list = incident.objects.get(&object.kind.to_lowercase());
    let hidden = object.kind == "External" || (object.kind == "Secret" && list.is_none());
    hidden
        || list.into_iter().flatten().any(|value| {
            let text =
                |path: &str| value.pointer(path).and_then(|v| v.as_str()).unwrap_or_default();
            text("/metadata/name") == object.name && text("/metadata/namespace") == object.namespace
        })
}

/// Words that have to be said of a second fault and may not be claimed of the first.
fn contradicted(incident: &Incident) -> Vec<String> {
    let bare = |value: &Value| value.as_str().unwrap_or_default().to_lowercase().replace(' ', "");
    let of = |path: &str| incident.scenario.pointer(path).and_then(Value::as_array);
    let said = of("/also/0/must_mention").into_iter().flatten().filter_map(Value::as_array);
    let said: Vec<String> = said.flatten().map(bare).collect();
    let claims = of("/must_not_claim").into_iter().flatten().map(bare);
    let both = claims.filter(|claim| said.iter().any(|word| word.contains(claim.as_str())));
    both.map(|claim| format!("{claim:?} has to be said and may not be")).collect()
}

fn named(incident: &Incident, word: &str) -> Option<String> {
    let object =
        incident.objects.values().flatten().find(|object| object.to_string().contains(word));
    let log = incident.logs.values().find(|text| text.contains(word));
    (object.is_some() || log.is_some()).then(|| format!("an object or log says {word}"))
}
