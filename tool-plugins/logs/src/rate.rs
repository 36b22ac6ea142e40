//! How often something was seen over time, in a fixed number of buckets, and whether that changed:
//! the split of time that makes two steady rates most likely (the likelihood ratio of two Poisson
//! rates against one, scanned over splits; Kulldorff, "A spatial scan statistic", 1997, in one
//! dimension). Memory does not grow with what is counted.

use jiff::{SignedDuration, Timestamp};

/// Buckets of a window.
pub const BUCKETS: usize = 48;

/// How much of the past is compared with. Shorter logs, of containers that are older, have no
/// earlier part to compare with.
pub const PAST: SignedDuration = SignedDuration::from_mins(60);
/// A log that spans less than this has no earlier part.
const SHORT: SignedDuration = SignedDuration::from_mins(40);

/// The time that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// Time of the first line.
    pub from: Timestamp,
    /// The time of the data; not before `from`.
    pub to: Timestamp,
    /// For a container younger than [`PAST`]: the time before it began, in which what it logs was
    /// not there. Zero for others: a log cut by rotation tells nothing about before.
    pub lead: SignedDuration,
}

/// Counts over a window.
#[derive(Debug, Clone)]
pub struct Counts {
    /// All together.
    pub total: u64,
    /// First time seen.
    pub first: Option<Timestamp>,
    /// Last time seen.
    pub last: Option<Timestamp>,
    buckets: [u32; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        Self { total: 0, first: None, last: None, buckets: [0; BUCKETS] }
    }
}

/// A change of rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// When, to the bucket.
    pub at: Timestamp,
    /// Events per hour before.
    pub before: f64,
    /// Events per hour after.
    pub after: f64,
    /// Events before.
    pub seen_before: f64,
    /// Events after.
    pub seen_after: f64,
    /// Logarithm of the likelihood ratio: 6 convinces although many kinds of lines are looked
    /// at, 10 is clear.
    pub evidence: f64,
    /// Share of the window that lies before.
    pub past: f64,
    /// The bucket with which the time after begins.
    pub bucket: usize,
}

// === impl Window ===

impl Window {
    /// Whether the log has an earlier part that later lines can be compared with.
    #[must_use]
    pub fn has_past(&self) -> bool {
        self.to.duration_since(self.from) + self.lead >= SHORT
    }

    fn seconds(&self) -> f64 {
        self.to.duration_since(self.from).as_secs_f64().max(1.0)
    }

    fn bucket(&self, time: Timestamp) -> usize {
        let share = time.duration_since(self.from).as_secs_f64() / self.seconds();
        (1..BUCKETS).find(|edge| share < real(*edge) / real(BUCKETS)).map_or(BUCKETS - 1, |e| e - 1)
    }
}

// === impl Counts ===

impl Counts {
    /// Counts one event.
    pub fn add(&mut self, time: Option<Timestamp>, window: &Window) {
        self.total += 1;
        let Some(time) = time else { return };
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        if let Some(bucket) = self.buckets.get_mut(window.bucket(time)) {
            *bucket = bucket.saturating_add(1);
        }
    }

    /// The clearest change of rate. With `with_lead` the lead counts as time in which nothing was
    /// seen. `None` when nothing changed at all.
    #[must_use]
    pub fn change(&self, window: &Window, with_lead: bool) -> Option<Change> {
        let width = window.seconds() / real(BUCKETS);
        let lead = if with_lead { window.lead.as_secs_f64().max(0.0) } else { 0.0 };
        let total: f64 = self.buckets.iter().map(|c| f64::from(*c)).sum();
        let whole = lead + window.seconds();
        let mut seen = 0.0;
        let mut best: Option<Change> = None;
        // A split before the first bucket compares with the lead alone.
        for edge in 0..BUCKETS {
            if edge > 0 {
                seen += self.buckets.get(edge - 1).map_or(0.0, |c| f64::from(*c));
            }
            let past = lead + width * real(edge);
            if past <= 0.0 {
                continue;
            }
            let rest = whole - past;
            let evidence =
                likelihood(seen, past) + likelihood(total - seen, rest) - likelihood(total, whole);
            if evidence > best.map_or(0.0, |b| b.evidence) {
                let at = SignedDuration::try_from_secs_f64(width * real(edge)).unwrap_or_default();
                best = Some(Change {
                    at: window.from.checked_add(at).unwrap_or(window.from),
                    before: seen / past * 3600.0,
                    after: (total - seen) / rest * 3600.0,
                    seen_before: seen,
                    seen_after: total - seen,
                    evidence,
                    past: past / whole,
                    bucket: edge,
                });
            }
        }
        best
    }
}

impl Counts {
    /// Adds what was counted elsewhere over the same window.
    pub fn merge(&mut self, other: &Self) {
        self.total += other.total;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.last = self.last.max(other.last);
        for (own, more) in self.buckets.iter_mut().zip(other.buckets) {
            *own = own.saturating_add(more);
        }
    }

    /// Events before and from a bucket on.
    #[must_use]
    pub fn around(&self, bucket: usize) -> (f64, f64) {
        let (before, after) = self.buckets.split_at(bucket.min(BUCKETS));
        let sum = |part: &[u32]| part.iter().map(|c| f64::from(*c)).sum();
        (sum(before), sum(after))
    }
}

/// Logarithm of the likelihood of `count` events in `seconds` at their own mean rate, without the
/// terms that cancel.
fn likelihood(count: f64, seconds: f64) -> f64 {
    if count <= 0.0 || seconds <= 0.0 { 0.0 } else { count * (count / seconds).ln() }
}

fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

// === impl Change ===

impl Change {
    /// Whether it is as good as new: hardly any before, and that not by chance.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.evidence >= 6.0 && self.before <= 0.05 * self.after
    }

    /// Whether the rate clearly grew or fell by `times`.
    #[must_use]
    pub fn is_clear(&self, times: f64) -> bool {
        let (low, high) = (self.before.min(self.after), self.before.max(self.after));
        self.evidence >= 10.0 && high >= times * low
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn window(lead_minutes: i64) -> Window {
        let from: Timestamp = "2025-01-01T10:00:00Z".parse().unwrap();
        let to = from.checked_add(SignedDuration::from_mins(60)).unwrap();
        Window { from, to, lead: SignedDuration::from_mins(lead_minutes) }
    }

    fn counts(minutes: impl IntoIterator<Item = i64>, window: &Window) -> Counts {
        let mut counts = Counts::default();
        for minute in minutes {
            let time = window.from.checked_add(SignedDuration::from_mins(minute)).unwrap();
            counts.add(Some(time), window);
        }
        counts
    }

    #[test]
    fn what_begins_late_is_new_and_what_was_there_all_along_is_not() {
        let window = window(0);
        let table: [(&str, Vec<i64>, bool); 5] = [
            ("begins", (40..60).collect(), true),
            ("three at the end", vec![57, 58, 59], true),
            ("all along", (0..60).collect(), false),
            ("now and then", vec![5, 25, 45], false),
            ("one", vec![30], false),
        ];
        for (what, minutes, expected) in table {
            let change = counts(minutes, &window).change(&window, true);
            assert_eq!(change.is_some_and(|c| c.is_new()), expected, "{what}: {change:?}");
        }
    }

    #[test]
    fn a_young_container_compares_with_the_time_before_it() {
        let window = window(60);
        let counts = counts(0..60, &window);
        assert!(counts.change(&window, true).unwrap().is_new());
        assert!(!counts.change(&window, false).is_some_and(|c| c.is_new()));
    }

    #[test]
    fn a_change_of_rate_is_placed_and_measured() {
        let window = window(0);
        let minutes = (0..60).flat_map(|m| vec![m; if m < 30 { 1 } else { 10 }]);
        let change = counts(minutes, &window).change(&window, false).unwrap();
        assert!(change.is_clear(4.0));
        let at = change.at.duration_since(window.from).as_mins();
        assert!((28..=31).contains(&at), "{at}");
        assert!((change.after / change.before - 10.0).abs() < 2.0);
    }

    #[test]
    fn without_times_nothing_is_claimed() {
        let window = window(0);
        let mut counts = Counts::default();
        counts.add(None, &window);
        assert_eq!((counts.total, counts.first), (1, None));
        assert_eq!(counts.change(&window, true), None);
    }
}
