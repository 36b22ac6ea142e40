//! Which of the series that a server has are worth moving, and how: as they are, or folded there
//! when they are many. Names and numbers in, a plan out; nothing is asked here.

use std::time::Duration;

use super::Purpose;
use crate::{
    families::shape,
    query::{Condition, Matcher, Selector},
    recipes::is_machinery,
    usage,
};

/// How far back is looked: an hour of the usual before trouble that began two hours ago. Recorded
/// incidents are about half as long.
pub(super) const RANGE: Duration = Duration::from_secs(3 * 3600);
/// Over this time series and their samples are counted, to know how many there are in [`RANGE`]:
/// short enough to be cheap for the server, long enough for slow scrapes.
pub(super) const PROBE: Duration = Duration::from_secs(600);
/// How many times [`PROBE`] fits into [`RANGE`].
const PROBES: usize = 18;
/// Samples of one call, about 16 bytes each here and 26 on the wire: 32 MB and 52 MB.
pub(super) const MAX_SAMPLES: usize = 2_000_000;
/// Series of one call.
pub(super) const MAX_SERIES: usize = 20_000;
/// Samples of one metric that are moved as they are: 200 series at 15 s. Beyond, a metric is told
/// apart by labels that no recipe looks at.
const MAX_OF_METRIC: usize = 150_000;
/// The same for what tells of containers, which cannot be folded without losing them: 500.
const MAX_OF_CONTAINERS: usize = 400_000;
/// Samples of one request: 6 MB of JSON.
const MAX_OF_BATCH: usize = 250_000;
/// Names of one request, which bounds its length.
const MAX_NAMES: usize = 60;
/// Metrics folded on the server in one call; each is a request of its own.
pub(super) const MAX_FOLDED: usize = 16;

/// How much a metric matters when not all fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Containers,
    Requests,
    Other,
    Machinery,
}

/// Series that share where they are found.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// For people: what is looked at.
    pub(super) what: String,
    /// What all of them meet.
    pub(super) matchers: Vec<Matcher>,
    /// Whether they belong to no namespace.
    pub(super) is_clusters: bool,
    /// The label that names the pod where this place's label names the namespace.
    pub(super) pod_label: &'static str,
}

/// One metric at one place.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) place: usize,
    pub(super) name: String,
    pub(super) rank: Rank,
    /// Series of late.
    pub(super) series: usize,
}

/// Some metrics of one place, moved by one request.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) place: usize,
    pub(super) names: Vec<String>,
    /// Whether only the alerted pods' series are taken.
    pub(super) narrow: bool,
    /// Whether only the last third of [`RANGE`] is taken.
    pub(super) short: bool,
}

/// What is asked for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) batches: Vec<Batch>,
    pub(super) folded: Vec<Item>,
    /// Metrics that are looked at in part only.
    pub(super) narrowed: Vec<String>,
    pub(super) left_out: Vec<String>,
}

// === impl Place ===

impl Place {
    /// The series here that are called one of `names`.
    pub(super) fn called(&self, names: &[String]) -> Selector {
        let mut selector = match names {
            [one] => Selector::new(one),
            several => Selector::new("").matching("__name__", Condition::OneOf(several.to_vec())),
        };
        selector.matchers.extend(self.matchers.iter().cloned());
        selector
    }

    /// All series here.
    pub(super) fn all(&self) -> Selector {
        Selector { metric: String::new(), matchers: self.matchers.clone() }
    }
}

/// How much a metric matters; `None` when nothing here looks at it.
pub(super) fn rank(name: &str, purpose: Purpose, is_clusters: bool) -> Option<Rank> {
    const NOISE: &[&str] =
        &["go_", "process_", "promhttp_", "scrape_", "prometheus_", "net_conntrack_", "ALERTS"];
    if name.ends_with("_created") || NOISE.iter().any(|noise| name.starts_with(noise)) {
        return None;
    }
    let of_requests = shape::is_of_requests(name) && !is_machinery(name);
    if name.ends_with("_bucket") && !(of_requests && purpose == Purpose::Recipes) {
        return None;
    }
    if usage::NAMES.contains(&name) {
        return Some(Rank::Containers);
    }
    if of_requests {
        return Some(Rank::Requests);
    }
    if !is_machinery(name)
        || name.starts_with("kubelet_volume_stats_")
        || name.starts_with("node_filesystem_")
    {
        return Some(Rank::Other);
    }
    let telling =
        ["kube_", "node_", "container_", "coredns_"].iter().any(|own| name.starts_with(own));
    let fits = purpose == Purpose::Anomalies && telling;
    // Of the cluster's own machinery only what tells of nodes: its parts count by the thousand.
    let fits = fits && (!is_clusters || !name.starts_with("container_"));
    fits.then_some(Rank::Machinery)
}

/// Orders by what matters and fits. `pace`: samples of a series in [`PROBE`]; `has_pods`: the
/// alerted pods are known.
pub(super) fn plan(mut items: Vec<Item>, pace: usize, has_pods: bool) -> Plan {
    let each = pace.saturating_mul(PROBES);
    items.sort_by(|a, b| {
        (a.rank, a.series, a.place, &a.name).cmp(&(b.rank, b.series, b.place, &b.name))
    });
    let mut plan = Plan::default();
    let mut left = MAX_SAMPLES;
    let mut whole: Vec<Item> = Vec::new();
    let mut narrow: Vec<Item> = Vec::new();
    for item in items {
        let samples = item.series.saturating_mul(each);
        let containers = item.rank == Rank::Containers;
        let most = if containers { MAX_OF_CONTAINERS } else { MAX_OF_METRIC };
        if samples <= most.min(left) {
            left -= samples;
            whole.push(item);
        } else if containers && has_pods {
            plan.narrowed.push(item.name.clone());
            narrow.push(item);
        } else if can_fold(item.rank) && plan.folded.len() < MAX_FOLDED {
            plan.folded.push(item);
        } else {
            plan.left_out.push(item.name);
        }
    }
    plan.batches = batches(whole, each, false);
    plan.batches.extend(batches(narrow, each, true));
    plan
}

fn batches(mut items: Vec<Item>, each: usize, narrow: bool) -> Vec<Batch> {
    // Stable: what matters stays first within a place.
    items.sort_by_key(|item| item.place);
    let mut batches: Vec<Batch> = Vec::new();
    let mut samples = 0;
    for item in items {
        let own = item.series.saturating_mul(each);
        let fits = |last: &&mut Batch| {
            let room = narrow || samples + own <= MAX_OF_BATCH;
            last.place == item.place && room && last.names.len() < MAX_NAMES
        };
        match batches.last_mut().filter(fits) {
            Some(last) => {
                last.names.push(item.name);
                samples += own;
            }
            None => {
                batches.push(Batch {
                    place: item.place,
                    names: vec![item.name],
                    narrow,
                    short: false,
                });
                samples = own;
            }
        }
    }
    batches
}

/// What to ask for where a batch was too large: two halves of its names, then less of its time.
/// `Err` when there is nothing smaller.
pub(super) fn smaller(batch: Batch) -> Result<Vec<Batch>, Batch> {
    if batch.names.len() < 2 {
        return if batch.short { Err(batch) } else { Ok(vec![Batch { short: true, ..batch }]) };
    }
    let mut first = batch.clone();
    let later = first.names.split_off(first.names.len() / 2);
    Ok(vec![first, Batch { names: later, ..batch }])
}

/// The one metric of a batch, to be folded; `None` where folding would lose what it is for.
pub(super) fn foldable(batch: &Batch, purpose: Purpose) -> Option<Item> {
    let [name] = batch.names.as_slice() else { return None };
    let rank = rank(name, purpose, false).filter(|rank| can_fold(*rank))?;
    Some(Item { place: batch.place, name: name.clone(), rank, series: 0 })
}

/// Containers are what they are; of the cluster's machinery a sum tells little.
fn can_fold(rank: Rank) -> bool {
    matches!(rank, Rank::Requests | Rank::Other)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn recipes_take_what_they_read_and_anomalies_all_that_tells() {
        let table = [
            ("container_memory_working_set_bytes", Some(Rank::Containers), Some(Rank::Containers)),
            ("http_requests_total", Some(Rank::Requests), Some(Rank::Requests)),
            ("http_request_duration_seconds_bucket", Some(Rank::Requests), None),
            ("queue_messages_ready", Some(Rank::Other), Some(Rank::Other)),
            ("kubelet_volume_stats_available_bytes", Some(Rank::Other), Some(Rank::Other)),
            ("kube_deployment_status_replicas", None, Some(Rank::Machinery)),
            ("jvm_gc_pause_seconds_bucket", None, None),
            ("http_requests_created", None, None),
            ("go_goroutines", None, None),
            ("rest_client_requests_total", None, None),
        ];
        for (name, recipes, anomalies) in table {
            assert_eq!(rank(name, Purpose::Recipes, false), recipes, "{name}");
            assert_eq!(rank(name, Purpose::Anomalies, false), anomalies, "{name}");
        }
        assert_eq!(rank("apiserver_request_total", Purpose::Anomalies, true), None);
        assert_eq!(rank("node_load1", Purpose::Anomalies, true), Some(Rank::Machinery));
    }

    #[test]
    fn many_series_are_folded_and_many_containers_narrowed() {
        let item =
            |name: &str, rank, series| Item { place: 0, name: name.to_owned(), rank, series };
        let items = vec![
            item("http_requests_total", Rank::Requests, 1_250),
            item("container_cpu_usage_seconds_total", Rank::Containers, 1_250),
            item("kube_pod_info", Rank::Machinery, 1_250),
            item("queue_length", Rank::Other, 40),
        ];
        let plan = plan(items.clone(), 40, true);
        assert_eq!(plan.folded.first().unwrap().name, "http_requests_total");
        assert_eq!(plan.narrowed, ["container_cpu_usage_seconds_total"]);
        assert_eq!(plan.left_out, ["kube_pod_info"]);
        assert!(plan.batches.iter().any(|b| b.narrow) && plan.batches.iter().any(|b| !b.narrow));
        assert_eq!(super::plan(items, 40, false).left_out.len(), 2);
    }

    proptest! {
        /// Whatever lies there: the requests of a plan and the samples they bring are bounded.
        #[test]
        fn a_plan_is_bounded_whatever_is_there(
            counts in proptest::collection::vec((0_usize..20_000, 0_usize..4, 0_u8..4), 0..600)
        ) {
            let ranks = [Rank::Containers, Rank::Requests, Rank::Other, Rank::Machinery];
            let items: Vec<Item> = counts.iter().enumerate().map(|(i, (series, place, rank))| Item {
                place: *place,
                name: format!("m{i}"),
                rank: ranks[usize::from(*rank)],
                series: *series,
            }).collect();
            let size = |name: &String| counts[name[1..].parse::<usize>().unwrap()].0 * 40 * PROBES;
            let count = items.len();
            let plan = plan(items, 40, false);
            let moved: usize = plan.batches.iter().flat_map(|b| &b.names).map(size).sum();
            prop_assert!(moved <= MAX_SAMPLES);
            prop_assert!(plan.folded.len() <= MAX_FOLDED);
            prop_assert!(plan.batches.iter().all(|b| b.names.len() <= MAX_NAMES));
            prop_assert!(plan.batches.len() <= 2 * MAX_SAMPLES / MAX_OF_BATCH + count / MAX_NAMES + 8);
            let placed: usize = plan.batches.iter().map(|b| b.names.len()).sum();
            prop_assert_eq!(placed + plan.folded.len() + plan.left_out.len(), count);
        }
    }
}
