//! Requests of one service, or between two, over the recorded time: how many, how many failed,
//! how long they took. Made from [`crate::families`] by typed queries; judged elsewhere.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    families::{self, Family, Outcome, Side},
    labels::Labels,
    query::{Condition, Fold, Grid, Query, Selector, Track, evaluate},
    store::Store,
};

/// Whose requests: names as the labels give them, not yet objects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Between {
    /// Who answers, or on an edge who calls.
    pub subject: String,
    /// Its namespace; may be empty.
    pub namespace: String,
    /// On an edge who is called; empty for the requests that a service answers.
    pub peer: String,
    /// The called one's namespace when a label tells it.
    pub peer_namespace: String,
}

/// Requests over time; each list has a value per point of the frame's grid, NaN where unknown.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// Requests per second.
    pub total: Vec<f64>,
    /// Failed ones per second.
    pub failed: Vec<f64>,
    /// Ones refused for the caller's fault, per second.
    pub callers_fault: Vec<f64>,
    /// 95th percentile of the duration, or the mean when there are no buckets; seconds.
    pub latency: Vec<f64>,
    /// Whether [`Self::latency`] is a 95th percentile.
    pub is_p95: bool,
    /// Requests by outcome that is not fine, per second.
    pub by_outcome: BTreeMap<String, Vec<f64>>,
}

/// When and how finely the recording is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Times of evaluation.
    pub grid: Grid,
    /// Window of rates: four samples, so that one lost scrape leaves a rate.
    pub window: Duration,
}

// === impl Frame ===

impl Frame {
    /// Points in the window of a rate.
    pub const WINDOW: usize = 4;

    /// The whole recording, at its own interval. `None` when it is empty.
    #[must_use]
    pub fn of(store: &Store) -> Option<Self> {
        let (first, last) = store.span_ms()?;
        // Longer recordings are looked at more coarsely, never partly.
        let interval = store.interval_ms().max((last - first) / 1_000).max(1_000);
        let window = 4 * interval;
        let start = (first + window).min(last);
        Some(Self {
            grid: Grid::between(start, last, interval),
            window: Duration::from_millis(u64::try_from(window).unwrap_or(120_000)),
        })
    }

    /// Seconds between points.
    #[must_use]
    pub fn step_seconds(&self) -> f64 {
        Duration::from_millis(u64::try_from(self.grid.step_ms).unwrap_or(0)).as_secs_f64()
    }
}

/// All flows of the recording. A service that several families count is taken from the first.
#[must_use]
pub fn flows(store: &Store, frame: Frame) -> BTreeMap<Between, Flow> {
    let mut flows: BTreeMap<Between, Flow> = BTreeMap::new();
    for family in families::found_in(store) {
        for (between, flow) in of_family(store, frame, &family) {
            match flows.entry(between) {
                std::collections::btree_map::Entry::Vacant(place) => _ = place.insert(flow),
                std::collections::btree_map::Entry::Occupied(mut there) => {
                    let known = there.get_mut();
                    if known.latency.is_empty() {
                        known.latency = flow.latency;
                        known.is_p95 = flow.is_p95;
                    }
                }
            }
        }
    }
    flows
}

fn of_family(store: &Store, frame: Frame, family: &Family) -> BTreeMap<Between, Flow> {
    let keys = &family.keys;
    let mut labels = key_labels(family);
    labels.push(&keys.outcome);
    let rates =
        Query::rate(selector(&family.requests, family), frame.window).by(Fold::Sum, &labels);
    let mut flows: BTreeMap<Between, Flow> = BTreeMap::new();
    for track in evaluate(store, &rates, frame.grid) {
        let Some(between) = between(family, &track.labels) else { continue };
        let flow = flows.entry(between).or_default();
        let value = track.labels.get(&keys.outcome);
        match outcome_of(value, family.side) {
            Outcome::Fine => {}
            Outcome::CallersFault => add(&mut flow.callers_fault, &track.values),
            Outcome::Failed => add(&mut flow.failed, &track.values),
        }
        if families::outcome(value) != Outcome::Fine {
            add(flow.by_outcome.entry(value.to_owned()).or_default(), &track.values);
        }
        add(&mut flow.total, &track.values);
    }
    if let Some(base) = &family.durations {
        for (between, (values, is_p95)) in latencies(store, frame, family, base) {
            if let Some(flow) = flows.get_mut(&between) {
                flow.latency = values;
                flow.is_p95 = is_p95;
            }
        }
    }
    flows
}

/// To a caller, being refused for credentials, rights or quota is a failure of the call.
fn outcome_of(value: &str, side: Side) -> Outcome {
    let outcome = families::outcome(value);
    let denied = matches!(value, "401" | "403" | "408" | "429");
    if side != Side::Server && outcome == Outcome::CallersFault && denied {
        return Outcome::Failed;
    }
    outcome
}

fn key_labels(family: &Family) -> Vec<&str> {
    let keys = &family.keys;
    [&keys.subject, &keys.namespace, &keys.peer, &keys.peer_namespace]
        .into_iter()
        .filter(|label| !label.is_empty())
        .map(String::as_str)
        .collect()
}

/// A mesh counts each request at both ends; the caller's end sees what never arrived, too.
fn selector(metric: &str, family: &Family) -> Selector {
    let mut selector = Selector::new(metric);
    if let Some((label, value)) = &family.only {
        selector = selector.matching(label, Condition::Is(value.clone()));
    }
    match family.other_end() {
        Some(other) => selector.matching("reporter", Condition::IsNot(other.to_owned())),
        None => selector,
    }
}

fn between(family: &Family, labels: &Labels) -> Option<Between> {
    let keys = &family.keys;
    let own = |label: &str| if label.is_empty() { String::new() } else { labels.get(label).into() };
    let found = Between {
        subject: own(&keys.subject),
        namespace: own(&keys.namespace),
        peer: own(&keys.peer),
        peer_namespace: own(&keys.peer_namespace),
    };
    let whole = family.side == Side::Server || !found.peer.is_empty();
    (!found.subject.is_empty() && whole).then_some(found)
}

fn latencies(
    store: &Store,
    frame: Frame,
    family: &Family,
    base: &str,
) -> BTreeMap<Between, (Vec<f64>, bool)> {
    let unit = families::seconds_per_unit(base);
    let labels = key_labels(family);
    let rate = |suffix: &str, extra: &[&str]| {
        let all: Vec<&str> = labels.iter().chain(extra).copied().collect();
        Query::rate(selector(&format!("{base}{suffix}"), family), frame.window).by(Fold::Sum, &all)
    };
    let mean = rate("_sum", &[]).share_of(rate("_count", &[]));
    let p95 = rate("_bucket", &["le"]).quantile(0.95);
    let mut found = BTreeMap::new();
    for (query, is_p95) in [(mean, false), (p95, true)] {
        for Track { labels, mut values } in evaluate(store, &query, frame.grid) {
            let Some(between) = between(family, &labels) else { continue };
            if values.iter().all(|v| !v.is_finite()) {
                continue;
            }
            values.iter_mut().for_each(|v| *v *= unit);
            found.insert(between, (values, is_p95));
        }
    }
    found
}

/// Adds point by point; a missing value is nothing, two missing values are missing.
pub(crate) fn add(sum: &mut Vec<f64>, values: &[f64]) {
    sum.resize(sum.len().max(values.len()), f64::NAN);
    for (sum, value) in sum.iter_mut().zip(values) {
        if !value.is_nan() {
            *sum = if sum.is_nan() { *value } else { *sum + value };
        }
    }
}
