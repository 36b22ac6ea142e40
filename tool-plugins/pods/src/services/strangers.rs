//! Whether a Service sends to the pods it is meant for: pods of another workload among them get
//! requests they do not serve, and a selector that fits another workload altogether leaves its own
//! without any.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};
use jiff::Timestamp;
use plugin_cluster::{
    Object, Owners,
    pod::{self, shown},
    selector,
};

use crate::rollouts::{drift, edits};

/// Tells pods behind a Service that do not belong there.
pub(super) fn judge(
    service: &Object,
    behind: &[&Object],
    (workloads, owners): (&[Object], &Owners),
    now: Timestamp,
) -> Option<Observation> {
    let mut by_workload: BTreeMap<Entity, Vec<&Object>> = BTreeMap::new();
    for pod in behind {
        by_workload.entry(owners.top(pod)).or_default().push(pod);
    }
    let fault = mixed(service, &by_workload).or_else(|| other(service, &by_workload, workloads))?;
    let edit = edits::last_edit(service, now);
    let selector = service.map("/spec/selector");
    let selector: Vec<String> = selector.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let selector = selector.join(",");
    let by = edit.as_ref().map(|e| format!("; edited by {} at {}", e.manager, e.time));
    let says = format!(
        "Service {} selects {selector}: {}{}{}",
        service.name(),
        fault.says,
        by.unwrap_or_default(),
        drift::words(&drift::drift(service))
    );
    Some(
        Observation::new("service.selects_strangers", service.entity(), says)
            .maybe_since(edit.map(|e| e.time))
            .until(now)
            .attr("selector", selector)
            .attr("why", fault.why)
            .attr("strangers", fault.strangers)
            .peer(fault.meant),
    )
}

struct Fault {
    why: &'static str,
    says: String,
    strangers: String,
    meant: Entity,
}

/// Workloads of which some listen where the Service sends and some do not.
fn mixed(service: &Object, by_workload: &BTreeMap<Entity, Vec<&Object>>) -> Option<Fault> {
    if by_workload.len() < 2 {
        return None;
    }
    let listens = |pods: &Vec<&Object>| pods.iter().any(|p| serves(service, p));
    let (meant, _) = by_workload.iter().find(|(_, pods)| listens(pods))?;
    let strange = |pods: &Vec<&Object>| {
        !listens(pods)
            && pods.iter().all(|p| pod::containers(p).iter().any(|c| !c.ports().is_empty()))
    };
    let strangers: Vec<&Entity> =
        by_workload.iter().filter(|(_, pods)| strange(pods)).map(|(w, _)| w).collect();
    let first = strangers.first()?;
    let ready = by_workload.get(*first).is_some_and(|pods| {
        pods.iter().any(|p| p.condition("Ready").is_some_and(|c| c.status == "True"))
    });
    ready.then(|| Fault {
        why: "mixed",
        says: format!(
            "beside the pods of {} {} it matches those of {} {}, which do not listen there",
            meant.kind, meant.name, first.kind, first.name
        ),
        strangers: names(&strangers),
        meant: meant.clone(),
    })
}

/// Whether a pod declares the port that some port of the Service leads to.
fn serves(service: &Object, pod: &Object) -> bool {
    let containers = pod::containers(pod);
    let declared: Vec<(&str, i64)> = containers.iter().flat_map(|c| c.ports()).collect();
    service.list("/spec/ports").iter().any(|port| {
        let target = port.get("targetPort").or_else(|| port.get("port")).map(shown);
        let target = target.unwrap_or_default();
        declared.iter().any(|(name, number)| *name == target || number.to_string() == target)
    })
}

/// The Service is called like one workload and selects only another.
fn other(
    service: &Object,
    by_workload: &BTreeMap<Entity, Vec<&Object>>,
    workloads: &[Object],
) -> Option<Fault> {
    let namesake = workloads.iter().find(|w| {
        w.namespace() == service.namespace()
            && w.name() == service.name()
            && crate::pods::desired(w) > 0
    })?;
    let own = namesake.entity();
    let selected: Vec<&Entity> = by_workload.keys().collect();
    if selected.is_empty() || selected.contains(&&own) {
        return None;
    }
    // Another generation of the same program is meant so: web and web-v2.
    if selected.iter().any(|w| w.name.starts_with(namesake.name())) {
        return None;
    }
    let labels = namesake.map("/spec/template/metadata/labels");
    let wanted = service.map("/spec/selector");
    (!selector::pairs_match(&wanted, &labels)).then(|| Fault {
        why: "other_workload",
        says: format!(
            "it matches the pods of {} and none of {} {}",
            names(&selected),
            own.kind,
            own.name
        ),
        strangers: names(&selected),
        meant: own,
    })
}

fn names(workloads: &[&Entity]) -> String {
    let names: Vec<String> = workloads.iter().map(|w| format!("{} {}", w.kind, w.name)).collect();
    names.join(", ")
}
