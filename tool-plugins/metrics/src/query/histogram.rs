//! Quantiles of cumulative histograms, as Prometheus computes `histogram_quantile`.
//!
//! Semantics:
//! <https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile>: linear
//! within a bucket, the lowest bucket starts at zero, and a quantile that falls into the last,
//! infinite bucket answers the upper bound of the one before.

/// The `q`-quantile of buckets given as (upper bound, cumulative count). NaN when there is no
/// infinite bucket, fewer than two buckets, or nothing was observed.
pub(super) fn quantile(q: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    buckets.retain(|(bound, count)| !bound.is_nan() && !count.is_nan());
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Rates of neighbouring buckets may disagree by rounding: cumulative means never falling.
    let mut highest = 0.0_f64;
    for (_, count) in &mut buckets {
        highest = highest.max(*count);
        *count = highest;
    }
    let Some((last, finite)) = buckets.split_last() else { return f64::NAN };
    let Some(top) = finite.last() else { return f64::NAN };
    if last.0 != f64::INFINITY || last.1 <= 0.0 || !(0.0..=1.0).contains(&q) {
        return f64::NAN;
    }
    let rank = q * last.1;
    let Some(index) = finite.iter().position(|(_, count)| *count >= rank) else { return top.0 };
    let Some((bound, count)) = finite.get(index).copied() else { return f64::NAN };
    let below = index.checked_sub(1).and_then(|i| finite.get(i)).copied();
    if below.is_none() && bound <= 0.0 {
        return bound;
    }
    let (start, under) = below.unwrap_or((0.0, 0.0));
    if count <= under {
        return bound;
    }
    start + (bound - start) * (rank - under) / (count - under)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INF: f64 = f64::INFINITY;

    type Row = (&'static str, f64, &'static [(f64, f64)], f64);

    #[test]
    fn quantiles_are_those_of_prometheus() {
        let table: &[Row] = &[
            // Rank 5 of the 10 that lie in (0.1, 0.2]: halfway.
            ("inside", 0.5, &[(0.1, 0.0), (0.2, 10.0), (INF, 10.0)], 0.15),
            ("lowest bucket starts at zero", 0.5, &[(0.1, 10.0), (INF, 10.0)], 0.05),
            ("beyond the last bound", 0.95, &[(0.1, 5.0), (1.0, 6.0), (INF, 10.0)], 1.0),
            ("order does not matter", 0.5, &[(INF, 10.0), (0.2, 10.0), (0.1, 0.0)], 0.15),
            ("falling counts are lifted", 0.9, &[(1.0, 10.0), (2.0, 9.9), (INF, 10.0)], 0.9),
        ];
        for (what, q, buckets, expected) in table {
            let found = quantile(*q, buckets.to_vec());
            assert!((found - expected).abs() < 1e-9, "{what}: {found} for {expected}");
        }
    }

    #[test]
    fn without_an_infinite_bucket_or_observations_there_is_no_quantile() {
        assert!(quantile(0.5, vec![(0.1, 1.0), (0.2, 2.0)]).is_nan());
        assert!(quantile(0.5, vec![(0.1, 0.0), (INF, 0.0)]).is_nan());
        assert!(quantile(0.5, vec![(INF, 3.0)]).is_nan());
        assert!(quantile(0.5, Vec::new()).is_nan());
    }
}
