//! Memory and CPU of containers over the recorded time, with their limits. Made by typed queries
//! from what cAdvisor and kube-state-metrics export; judged elsewhere.

use std::collections::BTreeMap;

use crate::{
    flow::Frame,
    labels::Labels,
    query::{Condition, Fold, Query, Selector, Track, evaluate},
    store::Store,
};

/// One container of one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Namespace of the pod.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Container.
    pub container: String,
}

/// What a container used; each list has a value per point of the frame's grid.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Working set, bytes.
    pub memory: Vec<f64>,
    /// Memory limit, bytes.
    pub memory_limit: Option<f64>,
    /// CPU in use, cores.
    pub cpu: Vec<f64>,
    /// CPU limit, cores.
    pub cpu_limit: Option<f64>,
    /// Share of CPU periods in which it was held back.
    pub throttled: Vec<f64>,
}

const KEYS: &[&str] = &["namespace", "pod", "container"];

/// All containers of the recording, or those of one namespace.
#[must_use]
pub fn usages(store: &Store, frame: Frame, namespace: Option<&str>) -> BTreeMap<Place, Usage> {
    let of = |metric: &str| {
        // cAdvisor also counts the pod as a whole (no container) and its pause container.
        let selector = Selector::new(metric)
            .matching("container", Condition::IsNot(String::new()))
            .matching("container", Condition::IsNot("POD".to_owned()));
        match namespace {
            Some(namespace) => selector.with("namespace", namespace),
            None => selector,
        }
    };
    let instant = |metric: &str| Query::Instant(of(metric)).by(Fold::Max, KEYS);
    let rate = |metric: &str| Query::rate(of(metric), frame.window).by(Fold::Sum, KEYS);
    let limit = |resource: &str| {
        let selector = of("kube_pod_container_resource_limits").with("resource", resource);
        Query::Instant(selector).by(Fold::Max, KEYS)
    };
    let throttled = rate("container_cpu_cfs_throttled_periods_total")
        .share_of(rate("container_cpu_cfs_periods_total"));
    let mut usages: BTreeMap<Place, Usage> = BTreeMap::new();
    let mut fill = |query: &Query, set: &dyn Fn(&mut Usage, Vec<f64>)| {
        for Track { labels, values } in evaluate(store, query, frame.grid) {
            set(usages.entry(place(&labels)).or_default(), values);
        }
    };
    fill(&instant("container_memory_working_set_bytes"), &|u, values| u.memory = values);
    fill(&rate("container_cpu_usage_seconds_total"), &|u, values| u.cpu = values);
    fill(&throttled, &|u, values| u.throttled = values);
    fill(&limit("memory"), &|u, values| u.memory_limit = last(&values));
    fill(&limit("cpu"), &|u, values| u.cpu_limit = last(&values));
    usages
}

fn place(labels: &Labels) -> Place {
    Place {
        namespace: labels.get("namespace").to_owned(),
        pod: labels.get("pod").to_owned(),
        container: labels.get("container").to_owned(),
    }
}

fn last(values: &[f64]) -> Option<f64> {
    values.iter().rev().copied().find(|v| v.is_finite())
}

/// What the same container of earlier pods of the same workload measured before this one began:
/// the past of a pod that a rollout made. Pods of one workload share their name up to the last
/// dash, of one Deployment up to the last but one.
#[must_use]
pub fn before<'a>(
    usages: &'a BTreeMap<Place, Usage>,
    place: &Place,
    values: impl Fn(&'a Usage) -> &'a [f64],
) -> Option<f64> {
    let own = usages.get(place).map(&values)?;
    let begins = own.iter().position(|v| v.is_finite())?;
    if begins < crate::change::MIN_BEFORE {
        return None;
    }
    let earlier: Vec<f64> = usages
        .iter()
        .filter(|(other, _)| {
            other.namespace == place.namespace
                && other.container == place.container
                && other.pod != place.pod
                && workload(&other.pod) == workload(&place.pod)
        })
        .filter_map(|(_, usage)| values(usage).get(..begins))
        .flatten()
        .copied()
        .collect();
    crate::change::median(&earlier)
}

fn workload(pod: &str) -> &str {
    let set = pod.rsplit_once('-').map_or(pod, |(set, _)| set);
    set.rsplit_once('-').map_or(set, |(workload, _)| workload)
}
