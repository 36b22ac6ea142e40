//! What a recipe looks at: the measurements and the cluster, with the questions asked most. A
//! recipe turns series into facts about one kind of thing; what series mean is in its own table.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation};
use plugin_cluster::server;

use crate::{
    change::{self, Shift, median},
    flow::{Frame, add},
    labels::Labels,
    object,
    query::{Query, Selector, Track, evaluate},
    scope::Edge,
    store::Store,
    world::World,
};

/// What recipes look at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// All series.
    pub store: &'a Store,
    /// When and how finely they are looked at.
    pub frame: Frame,
    /// The cluster.
    pub world: &'a World,
    /// Requests of services and between them.
    pub edges: &'a [Edge<'a>],
}

/// What a recipe found.
#[derive(Debug, Default)]
pub struct Found {
    /// Facts.
    pub facts: Vec<Observation>,
    /// Edges met.
    pub relations: Vec<Relation>,
}

/// How a series is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// As it is.
    Level,
    /// Growth per second.
    Rate,
}

/// A level late in the recording against what was usual before.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Median of the last values.
    pub now: f64,
    /// Median before it changed, or of the first values.
    pub before: f64,
    /// Most of all values.
    pub peak: f64,
    /// The change, when there is a clear one.
    pub shift: Option<Shift>,
}

/// Values that make up "now" and "at first".
const FEW: usize = 5;

// === impl View ===

impl View<'_> {
    /// The series of `metric`.
    #[must_use]
    pub fn tracks(&self, metric: &str, read: Read) -> Vec<Track> {
        let selector = Selector::new(metric);
        let query = match read {
            Read::Level => Query::Instant(selector),
            Read::Rate => Query::rate(selector, self.frame.window),
        };
        evaluate(self.store, &query, self.frame.grid)
    }

    /// Counters as rates, all else as it is.
    #[must_use]
    pub fn natural(&self, metric: &str) -> Read {
        if self.store.is_counter(metric) { Read::Rate } else { Read::Level }
    }

    /// The series of `metric`, summed by a key made from their labels; series without key are
    /// left out.
    pub fn summed<K: Ord>(
        &self,
        metric: &str,
        read: Read,
        key: impl Fn(&Labels) -> Option<K>,
    ) -> BTreeMap<K, Vec<f64>> {
        let mut sums: BTreeMap<K, Vec<f64>> = BTreeMap::new();
        for track in self.tracks(metric, read) {
            if let Some(key) = key(&track.labels) {
                add(sums.entry(key).or_default(), &track.values);
            }
        }
        sums
    }

    /// What a series is about, as a person would change it.
    #[must_use]
    pub fn object(&self, labels: &Labels) -> Entity {
        let target = object::measured(labels, &self.world.peers);
        let found = target.unwrap_or_else(|| object::object(labels, &self.world.peers));
        self.world.measured_by(&found)
    }

    /// The database a series is about. Where its labels tell the namespace only, as those of an
    /// exporter without a target do, it is the one database there.
    #[must_use]
    pub fn database(&self, labels: &Labels) -> Entity {
        let found = self.object(labels);
        if found.kind != "Namespace" {
            return found;
        }
        self.world.peers.only_server(&found.name, server::DATABASES).unwrap_or(found)
    }

    /// The time of a point as people read it.
    #[must_use]
    pub fn clock(&self, point: usize) -> String {
        crate::judge::time(self.frame, point)
            .map(|t| t.strftime("%H:%M").to_string())
            .unwrap_or_default()
    }
}

// === impl Course ===

impl Course {
    /// The course of `values`; `None` with too few of them.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let there: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
        let few = FEW.min(there.len());
        let (first, last) = (there.get(..few)?, there.get(there.len() - few..)?);
        let shift = change::shift(values).filter(|s| s.score >= crate::thresholds::CLEAR);
        let before = match shift {
            Some(shift) => shift.before,
            None => median(first)?,
        };
        let peak = there.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Some(Self { now: median(last)?, before, peak, shift })
    }

    /// When it began to rise, if that was seen.
    #[must_use]
    pub fn rise(&self) -> Option<Shift> {
        self.shift.filter(|s| s.after > s.before)
    }

    /// When it began to fall, if that was seen.
    #[must_use]
    pub fn fall(&self) -> Option<Shift> {
        self.shift.filter(|s| s.after < s.before)
    }
}

/// A number for people: three digits are enough.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2}M", value / 1e6),
        v if v >= 100.0 || v.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Bytes as a person writes a limit: `512Mi`, `1.5Gi`.
#[must_use]
pub fn bytes(value: f64) -> String {
    const UNITS: [(&str, f64); 4] =
        [("Ti", 1_099_511_627_776.0), ("Gi", 1_073_741_824.0), ("Mi", 1_048_576.0), ("Ki", 1024.0)];
    for (unit, size) in UNITS {
        if value.abs() >= size {
            let number = format!("{:.2}", value / size);
            return format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{value:.0} bytes")
}
