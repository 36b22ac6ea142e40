//! All samples of a dump as compact series in memory. It is filled once by [`read`] and never
//! changes; questions are asked with [`crate::query`].
//!
//! Invariant: at most [`Limits::max_series`] series and [`Limits::max_samples`] samples are held,
//! whatever is fed; the samples of a series are in order of time, one per time.

pub(crate) mod gathering;

use std::{
    collections::{HashMap, HashSet},
    io::{self, BufRead},
    sync::Arc,
};

use crate::{
    labels::Labels,
    openmetrics::{self, Row},
};

/// Bounds on what is held in memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Series at most.
    pub max_series: usize,
    /// Samples of all series together at most; each takes 16 bytes.
    pub max_samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_series: 100_000, max_samples: 6_000_000 }
    }
}

/// One measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// The value; may be NaN.
    pub value: f64,
}

/// One series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Metric name, with its suffix such as `_total`.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Labels,
    /// Its samples in order of time.
    pub samples: Vec<Sample>,
    /// Whether the samples are no counts but rates per second, computed by the server that had
    /// more series than it was worth moving.
    pub is_rate: bool,
}

/// What was read, and what of it could not be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Lines that are not of the format, and samples without a time.
    pub bad_lines: u64,
    /// The first bad line, counted from 1; 0 when there is none.
    pub first_bad_line: u64,
    /// Samples left out for the bounds.
    pub left_out: u64,
    /// Whether the closing `# EOF` was there; without it the file may be cut off.
    pub complete: bool,
}

/// Series, found by metric name.
#[derive(Debug, Clone, Default)]
pub struct Store {
    series: Vec<Series>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
    counters: HashSet<String>,
    gauges: HashSet<String>,
    account: Account,
}

/// Reads a dump to its end, its `# EOF`, or an error of the source. `until_ms` cuts later samples.
///
/// # Errors
/// When the source cannot be read.
pub fn read(mut source: impl BufRead, until_ms: i64, limits: Limits) -> io::Result<Store> {
    let mut filling = Filling { limits, until_ms, ..Filling::default() };
    let mut line = Vec::with_capacity(512);
    while !filling.store.account.complete && next_line(&mut source, &mut line)? {
        filling.line(&line);
    }
    Ok(filling.finish())
}

/// A line longer than this is no sample; the rest of it is skipped.
const MAX_LINE: u64 = 64 * 1024;

fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = io::Read::take(&mut *source, MAX_LINE).read_until(b'\n', line)?;
    if line.last() != Some(&b'\n') && u64::try_from(read).is_ok_and(|n| n >= MAX_LINE) {
        source.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

/// A store while it is being filled.
#[derive(Default)]
struct Filling {
    store: Store,
    limits: Limits,
    until_ms: i64,
    kept: usize,
    lines: u64,
    last: Vec<u8>,
    last_index: Option<usize>,
    known: HashMap<Vec<u8>, usize>,
    texts: HashSet<Arc<str>>,
}

// === impl Filling ===

impl Filling {
    fn line(&mut self, line: &[u8]) {
        self.lines += 1;
        match openmetrics::row(line, &self.last) {
            Row::Sample { series, value, at_ms: Some(at_ms) } => {
                self.sample(series, Sample { at_ms, value });
            }
            Row::Type { family, kind } => self.store.remember_kind(family, kind),
            Row::End => self.store.account.complete = true,
            Row::Nothing => {}
            Row::Bad | Row::Sample { at_ms: None, .. } => self.bad(),
        }
    }

    fn bad(&mut self) {
        self.store.account.bad_lines += 1;
        if self.store.account.first_bad_line == 0 {
            self.store.account.first_bad_line = self.lines;
        }
    }

    fn sample(&mut self, raw: &[u8], sample: Sample) {
        if sample.at_ms > self.until_ms {
            return;
        }
        if self.last != raw {
            self.last_index = self.find_or_add(raw);
            self.last.clear();
            self.last.extend_from_slice(raw);
        }
        let Some(series) = self.last_index.and_then(|index| self.store.series.get_mut(index))
        else {
            return;
        };
        if self.kept >= self.limits.max_samples {
            self.store.account.left_out += 1;
            return;
        }
        self.kept += 1;
        series.samples.push(sample);
    }

    /// The series' place; `None` when it is malformed or there is no room.
    fn find_or_add(&mut self, raw: &[u8]) -> Option<usize> {
        if let Some(index) = self.known.get(raw) {
            return Some(*index);
        }
        let Some((name, labels)) = openmetrics::series(raw) else {
            self.bad();
            return None;
        };
        if self.store.series.len() >= self.limits.max_series {
            self.store.account.left_out += 1;
            return None;
        }
        let labels = Labels::new(
            labels.iter().map(|(key, value)| (self.text(key), self.text(value))).collect(),
        );
        let name = self.text(&name);
        let index = self.store.series.len();
        self.known.insert(raw.to_vec(), index);
        self.store.by_name.entry(name.clone()).or_default().push(index);
        self.store.series.push(Series { name, labels, samples: Vec::new(), is_rate: false });
        Some(index)
    }

    /// One shared copy of each text.
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.texts.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(shared.clone());
        shared
    }

    fn finish(mut self) -> Store {
        for series in &mut self.store.series {
            let samples = &mut series.samples;
            if !samples.is_sorted_by_key(|s| s.at_ms) {
                samples.sort_by_key(|s| s.at_ms);
            }
            samples.dedup_by_key(|s| s.at_ms);
        }
        self.store
    }
}

// === impl Store ===

impl Store {
    /// All series called `name`.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Series> {
        let places = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|index| self.series.get(*index))
    }

    /// Whether there is a series called `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// All metric names in order.
    #[must_use]
    pub fn names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<_> = self.by_name.keys().cloned().collect();
        names.sort();
        names
    }

    /// Whether `name` counts up: as its `# TYPE` says, else by its suffix.
    #[must_use]
    pub fn is_counter(&self, name: &str) -> bool {
        let family = ["_total", "_count", "_sum", "_bucket", "_created"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        let said = |set: &HashSet<String>| {
            set.contains(name) || family.is_some_and(|family| set.contains(family))
        };
        if said(&self.counters) {
            return true;
        }
        !said(&self.gauges) && family.is_some() && !name.ends_with("_created")
    }

    /// What was read and what could not be kept.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// How many samples there are.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.series.iter().map(|series| series.samples.len()).sum()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// First and last time of any sample, milliseconds since the epoch.
    #[must_use]
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        let first = self.series.iter().filter_map(|s| s.samples.first()).map(|s| s.at_ms).min()?;
        let last = self.series.iter().filter_map(|s| s.samples.last()).map(|s| s.at_ms).max()?;
        Some((first, last))
    }

    /// The usual distance of samples, milliseconds: the median over series. 30 s when unknown.
    #[must_use]
    pub fn interval_ms(&self) -> i64 {
        let mut gaps: Vec<i64> = self
            .series
            .iter()
            .filter_map(|s| {
                let (first, last) = (s.samples.first()?, s.samples.last()?);
                let steps = i64::try_from(s.samples.len()).ok()? - 1;
                (steps > 0).then(|| (last.at_ms - first.at_ms) / steps)
            })
            .collect();
        gaps.sort_unstable();
        gaps.get(gaps.len() / 2).copied().filter(|gap| *gap > 0).unwrap_or(30_000)
    }

    fn remember_kind(&mut self, family: &str, kind: &str) {
        match kind {
            "counter" | "histogram" => _ = self.counters.insert(family.to_owned()),
            "gauge" | "info" | "stateset" => _ = self.gauges.insert(family.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "store/tests.rs"]
mod tests;
