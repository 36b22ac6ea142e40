//! Growth of counters, as Prometheus computes `rate` and `increase`.
//!
//! Semantics: <https://prometheus.io/docs/prometheus/latest/querying/functions/#rate>: breaks in
//! monotonicity (restarts) are adjusted for, and the result is extrapolated to the ends of the
//! window; the rules of the extrapolation are those of `extrapolatedRate` in Prometheus's
//! `promql/functions.go`.

use crate::store::Sample;

/// Growth over the window `(end_ms - window_ms, end_ms]`, extrapolated to its ends. `samples` are
/// those inside it. `None` with fewer than two.
pub(super) fn increase(samples: &[Sample], end_ms: i64, window_ms: i64) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < 2 || last.at_ms == first.at_ms {
        return None;
    }
    let mut growth = last.value - first.value;
    for pair in samples.windows(2) {
        if let [before, after] = pair
            && after.value < before.value
        {
            // The counter began anew at zero: what it had reached before is growth too.
            growth += before.value;
        }
    }
    let covered = seconds(last.at_ms - first.at_ms);
    let spacing = covered / seconds_of(samples.len() - 1);
    // A series that reaches nearly to the window's end is taken to go on to it; one that starts
    // or ends inside is extended by half a spacing only.
    let reach = |gap: f64| if gap >= spacing * 1.1 { spacing / 2.0 } else { gap };
    let mut to_start = reach(seconds(first.at_ms - (end_ms - window_ms)));
    let to_end = reach(seconds(end_ms - last.at_ms));
    if growth > 0.0 && first.value >= 0.0 {
        // A counter cannot have been below zero: do not extend past where it would have been.
        to_start = to_start.min(covered * (first.value / growth));
    }
    Some(growth * (covered + to_start + to_end) / covered)
}

/// [`increase`] per second.
pub(super) fn rate(samples: &[Sample], end_ms: i64, window_ms: i64) -> Option<f64> {
    Some(increase(samples, end_ms, window_ms)? / seconds(window_ms))
}

fn seconds(ms: i64) -> f64 {
    std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0)).as_secs_f64()
}

fn seconds_of(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn samples(pairs: &[(i64, f64)]) -> Vec<Sample> {
        pairs.iter().map(|(s, value)| Sample { at_ms: s * 1000, value: *value }).collect()
    }

    type Row = (&'static str, &'static [(i64, f64)], i64, i64, Option<f64>);

    /// Samples as (second, value), the window's end and length in seconds, and the increase
    /// computed by hand.
    #[test]
    fn growth_is_that_of_prometheus() {
        let table: &[Row] = &[
            ("one sample says nothing", &[(60, 5.0)], 60, 60, None),
            // Covered 0..60 of a window of 60: no extrapolation.
            ("whole window", &[(0, 0.0), (30, 30.0), (60, 60.0)], 60, 60, Some(60.0)),
            // 10..50 covered, 10 s missing at each end, below 1.1 spacings: extended to 60 s.
            ("both ends", &[(10, 100.0), (30, 120.0), (50, 140.0)], 60, 60, Some(60.0)),
            // Starts 70 s into the window of 120: extended by half a spacing (10 s) only.
            ("starts inside", &[(70, 100.0), (90, 120.0), (110, 140.0)], 120, 120, Some(60.0)),
            // 5 at the first sample, growth 40 in 40 s: zero would have been 5 s before.
            ("not below zero", &[(10, 5.0), (30, 25.0), (50, 45.0)], 60, 60, Some(55.0)),
            // 10 -> 20, restart, 5: grows 10 + 5.
            ("reset", &[(0, 10.0), (30, 20.0), (60, 5.0)], 60, 60, Some(15.0)),
            ("level", &[(0, 7.0), (30, 7.0), (60, 7.0)], 60, 60, Some(0.0)),
        ];
        for (what, given, end, window, expected) in table {
            let found = increase(&samples(given), end * 1000, window * 1000);
            match (found, expected) {
                (Some(found), Some(expected)) => {
                    assert!((found - expected).abs() < 1e-9, "{what}: {found} for {expected}");
                }
                _ => assert_eq!(found.is_some(), expected.is_some(), "{what}"),
            }
        }
    }

    #[test]
    fn a_rate_is_the_increase_by_the_window() {
        let given = samples(&[(0, 0.0), (30, 30.0), (60, 60.0)]);
        assert!((rate(&given, 60_000, 60_000).unwrap() - 1.0).abs() < 1e-9);
    }
}
