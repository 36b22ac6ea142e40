//! How a metric with too many series is folded on the server: rates of counters and levels of
//! gauges, summed over all labels but those that some recipe looks at. Sums are what recipes make of
//! series anyway, so what they see is the same.

use std::time::Duration;

use super::select::{Item, Place, Rank};
use crate::{
    families::{NAMESPACE, OUTCOME, PEER, SERVICE, shape},
    object::{CONTAINER, NODE, POD, WORKLOADS},
    query::{Fold, Query},
    recipes::{caches, queues},
};

/// Labels that say what a value of a database, volume or pool is about.
const ABOUT: &[&str] = &[
    "instance",
    "state",
    "resource",
    "reason",
    "condition",
    "phase",
    "pool",
    "datname",
    "usename",
    "application_name",
    "client_addr",
    "granted",
    "wait_event_type",
    "slot_name",
    "mountpoint",
    "fstype",
    "host",
    "secret_name",
];

/// The question that folds `item`, with rates over `window`; and whether the answer is rates.
pub(super) fn folded(
    item: &Item,
    place: &Place,
    (is_counter, window): (bool, Duration),
) -> (Query, bool) {
    let selector = place.called(std::slice::from_ref(&item.name));
    let of = if is_counter { Query::rate(selector, window) } else { Query::Instant(selector) };
    (of.by(Fold::Sum, &labels(item)), is_counter)
}

/// The labels that stay.
fn labels(item: &Item) -> Vec<&'static str> {
    let mut labels: Vec<&str> = Vec::new();
    for list in [SERVICE, NAMESPACE, PEER, shape::ENDS] {
        labels.extend(list);
    }
    labels.extend(shape::sides());
    if item.name.ends_with("_bucket") {
        labels.push("le");
    } else {
        labels.extend(OUTCOME);
    }
    if item.rank != Rank::Requests {
        for list in [POD, CONTAINER, NODE, ABOUT, queues::QUEUE, queues::GROUP, caches::RESULT] {
            labels.extend(list);
        }
        labels.extend(caches::NAME);
        labels.extend(WORKLOADS.iter().map(|(label, _)| *label));
    }
    labels.sort_unstable();
    labels.dedup();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::promql;

    #[test]
    fn requests_lose_their_pods_and_all_that_no_recipe_reads() {
        let place = Place {
            what: String::new(),
            matchers: Vec::new(),
            is_clusters: false,
            pod_label: "pod",
        };
        let item = |name: &str, rank| Item { place: 0, name: name.to_owned(), rank, series: 0 };
        let minute = Duration::from_secs(60);
        let requests = item("http_request_duration_seconds_bucket", Rank::Requests);
        let (query, is_rate) = folded(&requests, &place, (true, minute));
        let text = promql::render(&query);
        assert!(is_rate && text.ends_with("(rate(http_request_duration_seconds_bucket[60s]))"));
        for kept in ["le", "service", "namespace", "reporter"] {
            assert!(text.contains(&format!(", {kept},")), "{kept} in {text}");
        }
        assert!(!text.contains(", pod,") && !text.contains("status_code"), "{text}");
        let (query, is_rate) = folded(&item("queue_length", Rank::Other), &place, (false, minute));
        let text = promql::render(&query);
        assert!(!is_rate && text.contains(", pod,") && text.ends_with("(queue_length)"), "{text}");
    }
}
