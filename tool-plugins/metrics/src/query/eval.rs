//! Evaluates a [`Query`] on recorded samples, at one time or at equal steps.

use std::{collections::BTreeMap, time::Duration};

use super::{Fold, Function, Query, Selector, counter, histogram};
use crate::{
    labels::Labels,
    store::{Sample, Series, Store},
};

/// The times at which a query is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// First time, milliseconds since the epoch.
    pub start_ms: i64,
    /// Distance of times, milliseconds, above zero.
    pub step_ms: i64,
    /// How many times.
    pub points: usize,
    /// How old an instant sample may be; Prometheus takes 5 minutes.
    pub look_back_ms: i64,
}

/// One resulting series: a value per time of the grid, NaN where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Labels that are left.
    pub labels: Labels,
    /// Values.
    pub values: Vec<f64>,
}

/// Grids of more points are cut to this; it bounds the memory of an answer.
const MAX_POINTS: usize = 2_000;

// === impl Grid ===

impl Grid {
    /// One time only, with the look-back of Prometheus.
    #[must_use]
    pub fn at(time_ms: i64) -> Self {
        Self { start_ms: time_ms, step_ms: 1, points: 1, look_back_ms: 300_000 }
    }

    /// From `start_ms` to `end_ms` in steps. An instant sample may be two steps old, so that what
    /// ended is seen to end.
    #[must_use]
    pub fn between(start_ms: i64, end_ms: i64, step_ms: i64) -> Self {
        let step_ms = step_ms.max(1);
        let points = usize::try_from((end_ms - start_ms) / step_ms + 1).unwrap_or(0);
        Self { start_ms, step_ms, points: points.min(MAX_POINTS), look_back_ms: 2 * step_ms }
    }

    /// The same times so much earlier.
    #[must_use]
    pub fn earlier(self, by_ms: i64) -> Self {
        Self { start_ms: self.start_ms - by_ms, ..self }
    }

    /// The time of a point, milliseconds since the epoch.
    #[must_use]
    pub fn time_ms(&self, point: usize) -> i64 {
        self.start_ms + self.step_ms * i64::try_from(point).unwrap_or(0)
    }

    fn times(self) -> impl Iterator<Item = i64> {
        (0..self.points).map(move |point| self.time_ms(point))
    }
}

/// The answer to `query`, a track per resulting series in order of labels.
#[must_use]
pub fn evaluate(store: &Store, query: &Query, grid: Grid) -> Vec<Track> {
    match query {
        Query::Instant(selector) => select(store, selector)
            .map(|series| Track {
                labels: series.labels.clone(),
                values: instants(&series.samples, grid),
            })
            .collect(),
        Query::Over { function, selector, window } => select(store, selector)
            .map(|series| Track {
                labels: series.labels.clone(),
                values: windowed(*function, series, *window, grid),
            })
            .collect(),
        Query::By { fold, labels, of } => by(*fold, labels, evaluate(store, of, grid)),
        Query::Quantile { q, of } => quantiles(*q, &evaluate(store, of, grid), grid.points),
        Query::Share { part, whole } => {
            share(evaluate(store, part, grid), &evaluate(store, whole, grid))
        }
    }
}

fn select<'a>(store: &'a Store, selector: &'a Selector) -> impl Iterator<Item = &'a Series> {
    store.named(&selector.metric).filter(|series| {
        selector.matchers.iter().all(|m| m.condition.holds(series.labels.get(&m.label)))
    })
}

/// A series that a server made rates of has them; all else is computed.
fn windowed(function: Function, series: &Series, window: Duration, grid: Grid) -> Vec<f64> {
    let growth = matches!(function, Function::Rate | Function::Increase);
    if !series.is_rate || !growth {
        return over(function, &series.samples, window, grid);
    }
    let mut rates = instants(&series.samples, grid);
    if function == Function::Increase {
        rates.iter_mut().for_each(|rate| *rate *= window.as_secs_f64());
    }
    rates
}

fn instants(samples: &[Sample], grid: Grid) -> Vec<f64> {
    let mut next = 0;
    grid.times()
        .map(|time| {
            while samples.get(next).is_some_and(|s| s.at_ms <= time) {
                next += 1;
            }
            match next.checked_sub(1).and_then(|last| samples.get(last)) {
                Some(sample) if sample.at_ms > time - grid.look_back_ms => sample.value,
                _ => f64::NAN,
            }
        })
        .collect()
}

/// Windows are open at their start and closed at their end, as in Prometheus 3.
fn over(function: Function, samples: &[Sample], window: Duration, grid: Grid) -> Vec<f64> {
    let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let (mut low, mut high) = (0, 0);
    grid.times()
        .map(|time| {
            while samples.get(high).is_some_and(|s| s.at_ms <= time) {
                high += 1;
            }
            while low < high && samples.get(low).is_some_and(|s| s.at_ms <= time - window_ms) {
                low += 1;
            }
            let inside = samples.get(low..high).unwrap_or_default();
            let value = match function {
                Function::Rate => counter::rate(inside, time, window_ms),
                Function::Increase => counter::increase(inside, time, window_ms),
                Function::Average => average(inside.iter().map(|s| s.value)),
                Function::Max => inside.iter().map(|s| s.value).reduce(f64::max),
                Function::Last => inside.last().map(|s| s.value),
                Function::Count => {
                    u32::try_from(inside.len()).ok().filter(|n| *n > 0).map(f64::from)
                }
            };
            value.unwrap_or(f64::NAN)
        })
        .collect()
}

fn average(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    (count > 0.0).then(|| sum / count)
}

fn by(fold: Fold, labels: &[String], tracks: Vec<Track>) -> Vec<Track> {
    let mut groups: BTreeMap<Labels, Vec<Vec<f64>>> = BTreeMap::new();
    for track in tracks {
        groups.entry(track.labels.only(labels)).or_default().push(track.values);
    }
    groups
        .into_iter()
        .map(|(labels, members)| {
            let points = members.iter().map(Vec::len).max().unwrap_or(0);
            let values = (0..points).map(|point| fold_point(fold, &members, point)).collect();
            Track { labels, values }
        })
        .collect()
}

fn fold_point(fold: Fold, members: &[Vec<f64>], point: usize) -> f64 {
    let mut there = members.iter().filter_map(|m| m.get(point).copied()).filter(|v| !v.is_nan());
    let folded = match fold {
        Fold::Sum => there.reduce(|a, b| a + b),
        Fold::Max => there.reduce(f64::max),
        Fold::Average => average(&mut there),
        Fold::Count => there.map(|_| 1.0).reduce(|a, b| a + b),
    };
    folded.unwrap_or(f64::NAN)
}

fn quantiles(q: f64, tracks: &[Track], points: usize) -> Vec<Track> {
    let mut groups: BTreeMap<Labels, Vec<(f64, &[f64])>> = BTreeMap::new();
    for track in tracks {
        // `+Inf` is how the format writes it; parse knows `inf` with a sign.
        let Ok(bound) = track.labels.get("le").parse::<f64>() else { continue };
        groups.entry(track.labels.without(&["le"])).or_default().push((bound, &track.values));
    }
    groups
        .into_iter()
        .map(|(labels, buckets)| {
            let at = |point: usize| {
                let row = buckets.iter().filter_map(|(bound, v)| Some((*bound, *v.get(point)?)));
                histogram::quantile(q, row.collect())
            };
            Track { labels, values: (0..points).map(at).collect() }
        })
        .collect()
}

fn share(parts: Vec<Track>, wholes: &[Track]) -> Vec<Track> {
    let wholes: BTreeMap<&Labels, &[f64]> =
        wholes.iter().map(|t| (&t.labels, t.values.as_slice())).collect();
    parts
        .into_iter()
        .filter_map(|part| {
            let whole = wholes.get(&part.labels)?;
            let values = part.values.iter().zip(*whole).map(|(part, whole)| part / whole);
            Some(Track { values: values.collect(), labels: part.labels })
        })
        .collect()
}

#[cfg(test)]
#[path = "eval_tests.rs"]
mod tests;
