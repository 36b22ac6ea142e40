//! The tool `find_anomalies`: any series near a namespace that left its usual range, whatever it
//! measures. It does not know what a metric means; it says what changed, by how much and when.
//!
//! Usual is what the hours before show ([`crate::change`], with its method and sources). Gaps are
//! points without a value, never zeros; counters are looked at as rates that see through resets
//! ([`crate::query`]); and where the source reaches back a day or a week, what came at the same hour
//! then as well is no anomaly ([`crate::season`]).

mod earlier;
mod strength;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use agent_sdk::{Applies, CallCx, Entity, Failure, Observation, Output, Spec, Tool};
use plugin_cluster::Peers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::{
    earlier::Earlier,
    strength::{is_event, is_strong, strength},
};
use crate::{
    change::{self, Shift},
    flow::Frame,
    judge::{time, timed},
    labels::Labels,
    live::{About, Purpose},
    object,
    query::{Query, Selector, Track, evaluate},
    recording::{Asked, Measured, Recording, SEASONS},
    remaining::Remaining,
    store::Store,
};

/// Facts at most.
const MAX_FACTS: usize = 40;
/// Objects at most of one metric, so that one common cause does not hide the others.
const MAX_OF_ONE_METRIC: usize = 6;
/// Changes whose metrics are compared with other days.
const MAX_COMPARED: usize = 80;

const EMITS: &[&str] = &["metric.shifted"];

/// See [`Tool`].
#[derive(Debug, Clone)]
pub struct FindAnomalies {
    recording: Arc<Recording>,
}

/// Arguments of the tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Args {
    /// Namespace to look at; series that belong to no namespace (nodes, cluster services) are
    /// always looked at. Empty means all namespaces.
    pub namespace: String,
}

/// One thing measured of one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    metric: String,
    object: Entity,
    kind_of_value: Labels,
}

struct Anomaly {
    key: Key,
    /// The metric it was computed from.
    metric: String,
    values: Vec<f64>,
    shift: Shift,
    unit: &'static str,
    shape: &'static str,
}

#[derive(Debug, Serialize)]
struct Answer {
    looked_at: usize,
    shifted: Vec<String>,
    /// Changes that came at the same hour of another day as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    usual: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prometheus: Option<Asked>,
}

// === impl FindAnomalies ===

impl FindAnomalies {
    /// The tool over `recording`.
    #[must_use]
    pub fn new(recording: Arc<Recording>) -> Self {
        Self { recording }
    }
}

impl Tool for FindAnomalies {
    type Args = Args;

    fn spec(&self) -> Spec {
        Spec::read_only(
            "find_anomalies",
            "Looks at every series of a namespace and of the cluster for a change of level \
             (evictions, hit ratios, queue lengths, replicas, anything exported) and names the \
             40 strongest with the time they began. Use it when the usual metrics do not explain \
             the trouble.",
        )
        .title("Series that left their usual range")
        .permissions(&["prometheus:query"])
        .timeout(Duration::from_secs(25))
        .typical_latency(Duration::from_secs(2))
        .example("One namespace", r#"{"namespace":"market"}"#)
        .applies(Applies::from_start(r#"{"namespace":"{namespace}"}"#).emits(EMITS))
        .applies(
            Applies::after(
                &["dependency.*", "service.*"],
                &["Service", "Deployment", "StatefulSet", "DaemonSet"],
                r#"{"namespace":"{namespace}"}"#,
            )
            .emits(EMITS),
        )
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let cluster = self.recording.cluster().view();
        let time = Remaining::of(&cx);
        // Names are looked up around the namespace that is asked about.
        cluster.resolve(&args.namespace, "").await;
        let namespace = args.namespace.trim().to_owned();
        let about = About { namespace: namespace.clone(), pods: Vec::new() };
        let measured = self.recording.measured(&about, Purpose::Anomalies, time.left()).await?;
        let peers = Arc::new(Peers::read(&cluster).await);
        let (series, objects, live) = (measured.clone(), peers.clone(), cx);
        let (looked_at, mut found) =
            blocking(move || search((&series.store, series.frame), (&namespace, &objects), &live))
                .await?;
        let (mut usual, mut requests) = (Vec::new(), 0);
        for (when, season) in SEASONS {
            let names = names(&found, &measured.store);
            let earlier = (season, time.left());
            if names.is_empty() {
                break;
            }
            let (earlier, asked) =
                self.recording.earlier(&measured, (&about, &names), earlier).await;
            requests += asked;
            let Some(earlier) = earlier else { continue };
            let (frame, objects) = (measured.frame, peers.clone());
            let namespace = about.namespace.clone();
            let compared = blocking(move || {
                let earlier = Earlier::of((&earlier, frame, season), (&namespace, &objects));
                found.into_iter().partition(|anomaly| earlier.repeats(anomaly))
            });
            let (repeated, rest): (Vec<Anomaly>, Vec<Anomaly>) = compared.await?;
            found = rest;
            usual.extend(repeated.iter().map(|a| {
                format!("{}, as {when} at that hour", fact(a, measured.frame).as_wire().statement)
            }));
        }
        let answer = Answer {
            looked_at,
            shifted: Vec::new(),
            usual,
            prometheus: measured.asked.map(|asked| asked.and(requests)),
        };
        Ok(output(answer, &strongest(found), &measured)?.observed_at(cluster.now()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::bug("SEARCH_FAILED", format!("the search ended early: {error}")))
}

fn output(mut answer: Answer, found: &[Anomaly], measured: &Measured) -> Result<Output, Failure> {
    let facts: Vec<Observation> = found.iter().map(|a| fact(a, measured.frame)).collect();
    let says: Vec<String> = facts.iter().map(|f| f.as_wire().statement.clone()).collect();
    let summary = match says.len() {
        0 => format!("none of {} series left its usual range", answer.looked_at),
        _ => says.iter().take(15).cloned().collect::<Vec<_>>().join("\n"),
    };
    answer.shifted = says;
    let output = Output::new(&answer)?;
    Ok(measured.with_gaps(output.summary(summary).observe_all(facts)))
}

/// How many things were looked at, and the changes, strongest first.
fn search(
    (store, frame): (&Store, Frame),
    (namespace, peers): (&str, &Peers),
    cx: &CallCx,
) -> (usize, Vec<Anomaly>) {
    let mut looked_at = 0;
    let mut found: BTreeMap<(String, Entity), Anomaly> = BTreeMap::new();
    for metric in store.names() {
        if cx.is_cancelled() {
            break;
        }
        let Some((name, unit, tracks)) = tracks(store, frame, &metric) else { continue };
        for (key, values) in by_object(&name, tracks, namespace, peers) {
            looked_at += 1;
            let seconds = frame.step_seconds();
            let strong = |s: &Shift| {
                is_strong(s, &values) && (unit != "1/s" || is_event(s, &values, seconds))
            };
            let step = change::shift(&values).filter(strong);
            let drift = || change::drift(&values).filter(strong);
            let shape = if step.is_some() { "step" } else { "drift" };
            let Some(shift) = step.or_else(drift) else { continue };
            let place = (key.metric.clone(), key.object.clone());
            match found.get(&place) {
                Some(known) if strength(&known.shift) >= strength(&shift) => {}
                _ => {
                    let metric = metric.to_string();
                    let anomaly = Anomaly { key, metric, values, shift, unit, shape };
                    found.insert(place, anomaly);
                }
            }
        }
    }
    let mut found: Vec<Anomaly> = found.into_values().collect();
    found.sort_by(|a, b| strength(&b.shift).total_cmp(&strength(&a.shift)));
    (looked_at, found)
}

/// The metrics that the strongest changes were seen in, with those they are computed from.
fn names(found: &[Anomaly], store: &Store) -> Vec<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for anomaly in found.iter().take(MAX_COMPARED) {
        let metric = &anomaly.metric;
        let count = metric.strip_suffix("_sum").map(|base| format!("{base}_count"));
        let others = [count, Some(metric.replace("hits", "misses"))];
        names.extend(others.into_iter().flatten().filter(|other| store.has(other)));
        names.insert(metric.clone());
    }
    names.into_iter().collect()
}

/// What a metric is looked at as: counters as rates, sums of durations as means, hits with their
/// misses as a ratio, all else as it is. `None` for what is only part of another.
fn tracks(store: &Store, frame: Frame, metric: &str) -> Option<(String, &'static str, Vec<Track>)> {
    let rate = |name: &str| Query::rate(Selector::new(name), frame.window);
    if metric.ends_with("_bucket") || metric.ends_with("_created") {
        return None;
    }
    if let Some(base) = metric.strip_suffix("_sum")
        && store.has(&format!("{base}_count"))
    {
        let count = Query::rate(Selector::new(&format!("{base}_count")), frame.window);
        let mean = rate(metric).share_of(count);
        return Some((format!("{base} (mean)"), "", evaluate(store, &mean, frame.grid)));
    }
    if metric.contains("hits") {
        let misses = metric.replace("hits", "misses");
        if store.has(&misses) {
            let hits = evaluate(store, &rate(metric), frame.grid);
            let ratio = hit_ratio(hits, &evaluate(store, &rate(&misses), frame.grid));
            let name = metric.trim_end_matches("_total").replace("hits", "hit_ratio");
            return Some((name, "1", ratio));
        }
    }
    if store.is_counter(metric) {
        return Some((metric.to_owned(), "1/s", evaluate(store, &rate(metric), frame.grid)));
    }
    let instant = Query::Instant(Selector::new(metric));
    Some((metric.to_owned(), unit(metric), evaluate(store, &instant, frame.grid)))
}

fn hit_ratio(hits: Vec<Track>, misses: &[Track]) -> Vec<Track> {
    hits.into_iter()
        .filter_map(|hit| {
            let miss = misses.iter().find(|m| m.labels == hit.labels)?;
            let values = hit.values.iter().zip(&miss.values).map(|(h, m)| h / (h + m)).collect();
            Some(Track { labels: hit.labels, values })
        })
        .collect()
}

fn unit(metric: &str) -> &'static str {
    match metric.rsplit('_').next() {
        Some("bytes") => "By",
        Some("seconds") => "s",
        Some("ratio") => "1",
        _ => "",
    }
}

fn by_object(
    metric: &str,
    tracks: Vec<Track>,
    namespace: &str,
    peers: &Peers,
) -> BTreeMap<Key, Vec<f64>> {
    let mut objects: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
    for track in tracks {
        let own = object::namespace(&track.labels);
        if !namespace.is_empty() && !own.is_empty() && own != namespace {
            continue;
        }
        let key = Key {
            metric: metric.to_owned(),
            object: object::object(&track.labels, peers),
            kind_of_value: object::kind_of_value(&track.labels),
        };
        let sum = objects.entry(key).or_insert_with(|| vec![f64::NAN; track.values.len()]);
        for (sum, value) in sum.iter_mut().zip(&track.values) {
            if !value.is_nan() {
                *sum = if sum.is_nan() { *value } else { *sum + value };
            }
        }
    }
    objects
}

/// The strongest of what is ordered by strength.
fn strongest(mut found: Vec<Anomaly>) -> Vec<Anomaly> {
    let mut of_metric: BTreeMap<String, usize> = BTreeMap::new();
    found.retain(|anomaly| {
        let count = of_metric.entry(anomaly.key.metric.clone()).or_default();
        *count += 1;
        *count <= MAX_OF_ONE_METRIC
    });
    found.truncate(MAX_FACTS);
    found
}

fn fact(anomaly: &Anomaly, frame: Frame) -> Observation {
    let Anomaly { key, shift, unit, shape, .. } = anomaly;
    let direction = if shift.after > shift.before { "up" } else { "down" };
    let object = match (key.object.kind.as_str(), key.object.container.as_str()) {
        ("Cluster", _) => "the cluster".to_owned(),
        (kind, "") => format!("{kind} {}", key.object.name),
        (kind, container) => format!("{kind} {} ({container})", key.object.name),
    };
    let at = time(frame, shift.start).map(|t| t.strftime("%H:%M").to_string());
    let kind = if key.kind_of_value.is_empty() {
        String::new()
    } else {
        format!("{{{}}}", key.kind_of_value)
    };
    let (at, metric) = (at.unwrap_or_default(), &key.metric);
    let (before, after) = (number(shift.before), number(shift.after));
    let says = if *shape == "drift" {
        format!("{metric}{kind} of {object} goes {direction} steadily: {before} to {after} {unit}")
    } else {
        format!(
            "{metric}{kind} of {object} went {direction} at {at}: {after} {unit}, usually {before}"
        )
    };
    let fact = Observation::new("metric.shifted", key.object.clone(), says)
        .value(shift.after, unit)
        .baseline(shift.before)
        .attr("metric", key.metric.as_str())
        .attr("direction", direction)
        .attr("shape", *shape)
        .attr("series", key.kind_of_value.to_string());
    let fact = timed(fact, Some(*shift), frame);
    // What drifts all along may have begun before the recording.
    if *shape == "drift" { fact.attr("onset", "before_data") } else { fact }
}

/// Four digits are enough for people.
fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{value:.3e}"),
        v if v >= 100.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
