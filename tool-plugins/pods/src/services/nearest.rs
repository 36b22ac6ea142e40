//! A selector that matches nothing: which workload it most likely means, and the pair by which
//! it misses it.

use std::collections::BTreeMap;

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{Object, names};

use crate::rollouts::edits;

type Labels = BTreeMap<String, String>;

pub(super) fn mismatch(service: &Object, workloads: &[Object], now: Timestamp) -> Observation {
    let wanted = service.map("/spec/selector");
    let selector = shown(&wanted);
    let edit = edits::last_edit(service, now);
    let since = edit.as_ref().map(|e| e.time);
    let edited =
        edit.map(|e| format!("; edited by {} at {}", e.manager, e.time)).unwrap_or_default();
    let observe = |says: String| {
        Observation::new("service.selector_matches_nothing", service.entity(), says)
            .maybe_since(since.or_else(|| service.created()))
            .attr("selector", selector.as_str())
    };
    let Some((workload, labels)) = nearest(service, &wanted, workloads) else {
        return observe(format!(
            "Service {} selects {selector}, which matches no pod{edited}",
            service.name()
        ));
    };
    let wrong = wanted.iter().find(|(k, v)| labels.get(*k) != Some(v));
    let (key, want) = wrong.map_or(("", ""), |(k, v)| (k.as_str(), v.as_str()));
    let found = labels.get(key).map_or("", String::as_str);
    let carries =
        if found.is_empty() { format!("lack {key}") } else { format!("carry {key}={found}") };
    observe(format!(
        "Service {} selects {selector}, which matches no pod: pods of {} {} {carries}{edited}",
        service.name(),
        workload.kind(),
        workload.name()
    ))
    .attr("nearest_labels", shown(&labels))
    .attr("wrong_key", key)
    .attr("wanted", want)
    .attr("found", found)
    .peer(workload.entity())
}

/// The workload that matches most of the selector; among equals, and when none matches any of
/// it, the one whose values or name come nearest.
fn nearest<'a>(
    service: &Object,
    wanted: &Labels,
    workloads: &'a [Object],
) -> Option<(&'a Object, Labels)> {
    workloads
        .iter()
        .filter(|w| w.namespace() == service.namespace())
        .filter_map(|w| {
            let labels = w.map("/spec/template/metadata/labels");
            let equal = wanted.iter().filter(|(k, v)| labels.get(*k) == Some(v)).count();
            let values =
                wanted.iter().filter_map(|(k, v)| Some(names::distance(v, labels.get(k)?)));
            let name = names::distance(service.name(), w.name());
            let apart = values.min().unwrap_or(usize::MAX).min(name);
            let near = equal > 0 || apart <= (service.name().len() / 2).max(2);
            near.then_some(((std::cmp::Reverse(equal), apart), (w, labels)))
        })
        .min_by(|(a, (x, _)), (b, (y, _))| a.cmp(b).then_with(|| x.name().cmp(y.name())))
        .map(|(_, found)| found)
}

fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(",")
}
