//! Memory and CPU of containers over the recorded time, with their limits. Made by typed queries
//! from what cAdvisor and kube-state-metrics export; judged elsewhere.

use std::collections::BTreeMap;

use crate::{
    flow::Frame,
    labels::Labels,
    query::{Condition, Fold, Query, Selector, Track, evaluate},
    store::Store,
    words,
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
    /// Limits over time, as far as they were recorded: memory in bytes, CPU in cores.
    pub limits: Limits,
    /// Restarts counted, and whether the last end was for memory (1) or not.
    pub restarts: Vec<f64>,
    /// 1 where the last end of it was for memory.
    pub oom: Vec<f64>,
}

/// Limits of a container over time.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Bytes.
    pub memory: Vec<f64>,
    /// Cores.
    pub cpu: Vec<f64>,
}

/// Labels that tell containers apart; the `exported_` ones are set where a server keeps those of
/// the one it scrapes beside them.
const KEYS: &[&str] =
    &["namespace", "pod", "container", "exported_namespace", "exported_pod", "exported_container"];

/// All metrics that are read here.
pub(crate) const NAMES: &[&str] = &[
    "container_memory_working_set_bytes",
    "container_memory_usage_bytes",
    "container_memory_rss",
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_periods_total",
    "container_spec_memory_limit_bytes",
    "container_spec_cpu_quota",
    "container_spec_cpu_period",
    "kube_pod_container_resource_limits",
    "kube_pod_container_resource_limits_memory_bytes",
    "kube_pod_container_resource_limits_cpu_cores",
    "kube_pod_container_status_restarts_total",
    "kube_pod_container_status_last_terminated_reason",
];

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
    let limits = [
        (limit("memory"), limit("cpu")),
        (
            instant("kube_pod_container_resource_limits_memory_bytes"),
            instant("kube_pod_container_resource_limits_cpu_cores"),
        ),
        (instant("container_spec_memory_limit_bytes"), cores(&instant)),
    ];
    for (memory, cpu) in limits {
        fill(&memory, &|u, values| keep(&mut u.limits.memory, values));
        fill(&cpu, &|u, values| keep(&mut u.limits.cpu, values));
    }
    fill(&instant("container_memory_usage_bytes"), &|u, values| keep(&mut u.memory, values));
    fill(&instant("container_memory_rss"), &|u, values| keep(&mut u.memory, values));
    fill(&instant("kube_pod_container_status_restarts_total"), &|u, values| u.restarts = values);
    let killed = of("kube_pod_container_status_last_terminated_reason").with("reason", "OOMKilled");
    fill(&Query::Instant(killed).by(Fold::Max, KEYS), &|u, values| u.oom = values);
    for usage in usages.values_mut() {
        // A container without limit is exported with a limit of zero.
        usage.memory_limit = last(&usage.limits.memory).filter(|l| *l > 0.0);
        usage.cpu_limit = last(&usage.limits.cpu).filter(|l| *l > 0.0);
    }
    usages.retain(|place, _| !place.pod.is_empty());
    usages
}

/// The quota of CPU in cores.
fn cores(instant: &impl Fn(&str) -> Query) -> Query {
    instant("container_spec_cpu_quota").share_of(instant("container_spec_cpu_period"))
}

/// Takes `values` where nothing better was there.
fn keep(place: &mut Vec<f64>, values: Vec<f64>) {
    if place.iter().all(|v| v.is_nan()) {
        *place = values;
    }
}

fn place(labels: &Labels) -> Place {
    Place {
        namespace: labels.first_of(&["exported_namespace", "namespace"]).to_owned(),
        pod: labels.first_of(&["exported_pod", "pod"]).to_owned(),
        container: labels.first_of(&["exported_container", "container"]).to_owned(),
    }
}

fn last(values: &[f64]) -> Option<f64> {
    values.iter().rev().copied().find(|v| v.is_finite())
}

/// What the same container of earlier pods of the same workload measured before this one began:
/// the past of a pod that a rollout made.
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
        .filter(|(other, _)| is_sibling(other, place))
        .filter_map(|(_, usage)| values(usage).get(..begins))
        .flatten()
        .copied()
        .collect();
    crate::change::median(&earlier)
}

/// A limit that was another one: what it was, what it is, and since which point. Either the same
/// container was resized, or a rollout replaced pods that had the other limit.
#[must_use]
pub fn limit_change<'a>(
    usages: &'a BTreeMap<Place, Usage>,
    place: &Place,
    limits: impl Fn(&'a Usage) -> &'a [f64],
) -> Option<(f64, f64, usize)> {
    let own = usages.get(place).map(&limits)?;
    let first = own.iter().position(|v| v.is_finite() && *v > 0.0)?;
    let now = last(own).filter(|now| *now > 0.0)?;
    let resized = (first..own.len())
        .rev()
        .find(|i| own.get(*i).is_some_and(|v| v.is_finite() && differ(*v, now)));
    if let Some(point) = resized {
        return own.get(point).filter(|was| **was > 0.0).map(|was| (*was, now, point + 1));
    }
    let others = usages.iter().filter(|(other, _)| is_sibling(other, place));
    let earlier = others.filter_map(|(_, usage)| {
        let theirs = limits(usage);
        let begins = theirs.iter().position(|v| v.is_finite() && *v > 0.0)?;
        let was = last(theirs)?;
        (begins < first && was > 0.0 && differ(was, now)).then_some(was)
    });
    earlier.reduce(f64::max).map(|was| (was, now, first))
}

fn differ(a: f64, b: f64) -> bool {
    (a - b).abs() > 0.01 * a.abs().max(b.abs())
}

/// The same container of another pod of the same workload.
fn is_sibling(other: &Place, place: &Place) -> bool {
    other.namespace == place.namespace
        && other.container == place.container
        && other.pod != place.pod
        && words::stem(&other.pod) == words::stem(&place.pod)
}
