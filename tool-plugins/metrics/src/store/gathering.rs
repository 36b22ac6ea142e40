//! Puts series as a server answers them together into a [`Store`]: whole series instead of lines.
//!
//! Invariant: the bounds of the store hold here too; of two copies of one series, as two servers
//! that scrape the same targets give, the fuller stays and the two are never mixed, since counters
//! of two scrapes interleaved look like restarts.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{Account, Limits, Sample, Series, Store};
use crate::{
    labels::Labels,
    query::{Grid, Track},
};

/// Labels by which a pair of servers tells its copies apart.
const COPIES: &[&str] = &["prometheus_replica", "__replica__", "thanos_replica", "rule_replica"];

/// One series of an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fetched {
    /// Metric name.
    pub(crate) name: String,
    /// Its labels without the name.
    pub(crate) labels: Vec<(String, String)>,
    /// Its samples.
    pub(crate) samples: Vec<Sample>,
    /// Whether the samples are rates that the server computed.
    pub(crate) is_rate: bool,
}

impl Fetched {
    /// The same as a value per time of `grid`; the server was asked for those times.
    pub(crate) fn track(self, grid: Grid) -> Track {
        let mut values = vec![f64::NAN; grid.points];
        for sample in &self.samples {
            let point = (sample.at_ms - grid.start_ms + grid.step_ms / 2).div_euclid(grid.step_ms);
            let place = usize::try_from(point).ok().and_then(|point| values.get_mut(point));
            if let Some(place) = place {
                *place = sample.value;
            }
        }
        let labels = self.labels.iter().map(|(k, v)| (k.as_str().into(), v.as_str().into()));
        Track { labels: Labels::new(labels.collect()), values }
    }
}

/// A store while answers come in.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    store: Store,
    limits: Limits,
    kept: usize,
    known: HashMap<(Arc<str>, Labels), usize>,
    texts: HashSet<Arc<str>>,
}

// === impl Gathering ===

impl Gathering {
    pub(crate) fn new(limits: Limits) -> Self {
        let account = Account { complete: true, ..Account::default() };
        Self { store: Store { account, ..Store::default() }, limits, ..Self::default() }
    }

    /// The same, to go on with what is there.
    pub(crate) fn over(store: Store, limits: Limits) -> Self {
        let known = store.series.iter().enumerate();
        let known = known.map(|(i, s)| ((s.name.clone(), s.labels.clone()), i)).collect();
        let kept = store.series.iter().map(|s| s.samples.len()).sum();
        Self { store, limits, kept, known, texts: HashSet::new() }
    }

    /// What the server says a family is.
    pub(crate) fn kind(&mut self, family: &str, kind: &str) {
        self.store.remember_kind(family, kind);
    }

    /// Adds a series.
    pub(crate) fn add(&mut self, fetched: Fetched) {
        let Fetched { name, labels, mut samples, is_rate } = fetched;
        if samples.is_empty() || name.is_empty() {
            return;
        }
        if !samples.is_sorted_by_key(|s| s.at_ms) {
            samples.sort_by_key(|s| s.at_ms);
        }
        samples.dedup_by_key(|s| s.at_ms);
        let labels = labels.iter().filter(|(key, _)| !COPIES.contains(&key.as_str()));
        let labels = labels.map(|(key, value)| (self.texts.text(key), self.texts.text(value)));
        let labels = Labels::new(labels.collect());
        let name = self.texts.text(&name);
        let place = (name.clone(), labels.clone());
        if let Some(known) = self.known.get(&place).and_then(|i| self.store.series.get_mut(*i)) {
            if samples.len() > known.samples.len() {
                self.kept += samples.len() - known.samples.len();
                known.samples = samples;
            }
            return;
        }
        let room = self.limits.max_samples.saturating_sub(self.kept);
        if self.store.series.len() >= self.limits.max_series || samples.len() > room {
            self.store.account.left_out += u64::try_from(samples.len()).unwrap_or(u64::MAX);
            return;
        }
        self.kept += samples.len();
        let index = self.store.series.len();
        self.known.insert(place, index);
        self.store.by_name.entry(name.clone()).or_default().push(index);
        self.store.series.push(Series { name, labels, samples, is_rate });
    }

    /// Samples kept so far.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// What is there so far.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// All of it.
    pub(crate) fn finish(self) -> Store {
        self.store
    }
}

/// One shared copy of each text.
trait Texts {
    fn text(&mut self, text: &str) -> Arc<str>;
}

impl Texts for HashSet<Arc<str>> {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.insert(shared.clone());
        shared
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn fetched(labels: &[(&str, &str)], count: i64) -> Fetched {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let samples = (0..count).map(|i| Sample { at_ms: i * 1000, value: 1.0 }).collect();
        Fetched { name: "m_total".to_owned(), labels, samples, is_rate: false }
    }

    #[test]
    fn of_two_copies_of_a_series_the_fuller_stays() {
        let mut gathering = Gathering::new(Limits::default());
        gathering.add(fetched(&[("a", "1"), ("prometheus_replica", "x")], 3));
        gathering.add(fetched(&[("a", "1"), ("prometheus_replica", "y")], 5));
        gathering.add(fetched(&[("a", "1")], 4));
        let store = gathering.finish();
        assert_eq!(store.len(), 1);
        assert_eq!(store.named("m_total").next().unwrap().samples.len(), 5);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let limits = Limits { max_series: 2, max_samples: 7 };
        let mut gathering = Gathering::new(limits);
        for name in ["1", "2", "3"] {
            gathering.add(fetched(&[("a", name)], 4));
        }
        let store = gathering.finish();
        assert_eq!((store.len(), store.account().left_out), (1, 8));
    }
}
