//! When did a series leave its usual range? A scan for the one split that separates it best.
//!
//! Method, in the words of change-point analysis: the split that maximises the CUSUM statistic
//! `sqrt(k (n - k) / n) * |mean before - mean after| / noise` (at most one change; Page 1954,
//! Hinkley 1970), made robust by (1) a running median of five, which removes single outliers and
//! keeps steps (Tukey 1977), (2) the noise taken as the median absolute difference of neighbours,
//! which a step does not inflate (as in Fryzlewicz, wild binary segmentation, 2014), and (3) what
//! is reported are medians, with the median absolute deviation (MAD) as the scale of the usual.
//! The start is then walked to the first value that left the usual range for good, so that a slow
//! rise begins where it began and not at its steepest.
//!
//! It judges one series of numbers; whether a change is harm is [`crate::thresholds`]'s.

/// A change of level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Index of the first value outside the usual range.
    pub start: usize,
    /// Index of the last value outside it; the last of all when it has not come back.
    pub end: usize,
    /// Median before [`Self::start`].
    pub before: f64,
    /// Median from `start` to `end`.
    pub after: f64,
    /// Distance of the medians in robust standard deviations of the time before.
    pub score: f64,
}

/// Fewest values before a split: without a past there is no usual.
pub const MIN_BEFORE: usize = 6;
/// Fewest values after it: fewer are an outlier.
pub const MIN_AFTER: usize = 3;
/// The MAD times this estimates the standard deviation of normally distributed values.
pub(crate) const MAD_TO_SIGMA: f64 = 1.4826;
/// Least scale, as a share of the larger level: finer differences are not worth words, and a
/// perfectly level past does not make every change infinite.
const LEAST_SCALE: f64 = 0.02;
/// Values within this many scales of the past's median are usual.
const USUAL: f64 = 4.0;

/// The strongest change of level in `values` (NaN: no value then), or `None` when there are too
/// few values or both sides are alike.
#[must_use]
pub fn shift(values: &[f64]) -> Option<Shift> {
    let there: Vec<(usize, f64)> =
        values.iter().copied().enumerate().filter(|(_, v)| v.is_finite()).collect();
    let plain: Vec<f64> = there.iter().map(|(_, v)| *v).collect();
    let split = best_split(&plain)?;
    let (past, rest) = plain.split_at_checked(split)?;
    let before = median(past)?;
    // By means: what came back before the middle of the rest leaves its median as before.
    let up = mean(rest) > mean(past);
    let away = |value: f64| if up { value - before } else { before - value };
    // How far it went, the farther the more it counts; without single outliers.
    let smooth = running_median(&plain);
    let went = || smooth.get(split..).unwrap_or_default().iter().map(|v| away(*v).max(0.0));
    let sum: f64 = went().sum();
    let far = if sum > 0.0 { went().map(|v| v * v).sum::<f64>() / sum } else { 0.0 };
    let scale = scale(past, before, if up { before + far } else { before - far });
    let outside = |value: &f64| away(*value) > USUAL * scale && away(*value) > 0.1 * far;
    let start = first_outside(&plain, split, outside)?;
    let end = last_outside(&plain, start, outside);
    let after = median(plain.get(start..=end)?)?;
    let before = median(plain.get(..start)?)?;
    let scale = scale.max(LEAST_SCALE * after.abs().max(before.abs()));
    let score = if scale > 0.0 { (after - before).abs() / scale } else { 0.0 };
    let place = |index: usize| there.get(index).map(|(place, _)| *place);
    Some(Shift { start: place(start)?, end: place(end)?, before, after, score })
}

fn scale(past: &[f64], before: f64, after: f64) -> f64 {
    let spread = mad(past, before).unwrap_or(0.0) * MAD_TO_SIGMA;
    spread.max(noise(past)).max(LEAST_SCALE * before.abs().max(after.abs()))
}

/// The index that separates best; `None` with too few values or when all are equal.
fn best_split(values: &[f64]) -> Option<usize> {
    let smooth = running_median(values);
    let n = smooth.len();
    if n < MIN_BEFORE + MIN_AFTER {
        return None;
    }
    let total: f64 = smooth.iter().sum();
    let mut sum = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in smooth.iter().enumerate() {
        let k = index + 1;
        sum += value;
        if k < MIN_BEFORE || k + MIN_AFTER > n {
            continue;
        }
        let (left, right) = (real(k), real(n - k));
        let difference = (sum / left - (total - sum) / right).abs();
        let statistic = (left * right / real(n)).sqrt() * difference;
        if statistic > best.map_or(0.0, |(_, s)| s) {
            best = Some((k, statistic));
        }
    }
    best.map(|(k, _)| k)
}

/// From the split back to where the run of unusual values began, or forward to the first one;
/// up to two usual values within the run do not end it.
fn first_outside(values: &[f64], split: usize, outside: impl Fn(&f64) -> bool) -> Option<usize> {
    let ahead = (split..values.len()).find(|i| values.get(*i).is_some_and(&outside))?;
    let mut start = ahead;
    let mut usual = 0;
    for index in (MIN_BEFORE.min(split)..ahead).rev() {
        if values.get(index).is_some_and(&outside) {
            start = index;
            usual = 0;
        } else {
            usual += 1;
            if usual > 2 {
                break;
            }
        }
    }
    Some(start)
}

/// The last unusual value; the very last value when the unusual goes on until shortly before it.
fn last_outside(values: &[f64], start: usize, outside: impl Fn(&f64) -> bool) -> usize {
    let last = values.len().saturating_sub(1);
    let seen = (start..values.len()).rev().find(|i| values.get(*i).is_some_and(&outside));
    match seen {
        Some(seen) if seen + MIN_AFTER < last => seen,
        _ => last,
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / real(values.len().max(1))
}

/// Running median of five; shorter at the ends.
fn running_median(values: &[f64]) -> Vec<f64> {
    (0..values.len())
        .map(|i| {
            let reach = 2.min(i).min(values.len() - 1 - i);
            values.get(i - reach..=i + reach).and_then(median).unwrap_or(f64::NAN)
        })
        .collect()
}

/// Noise of neighbours: their median absolute difference as a standard deviation.
fn noise(values: &[f64]) -> f64 {
    let steps: Vec<f64> = values
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] => Some((b - a).abs()),
            _ => None,
        })
        .collect();
    median(&steps).unwrap_or(0.0) * MAD_TO_SIGMA / std::f64::consts::SQRT_2
}

/// The median of the finite values; `None` when there is none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(middle.checked_sub(1)?)?, upper))
}

/// Median absolute deviation from `center`.
#[must_use]
pub fn mad(values: &[f64], center: f64) -> Option<f64> {
    let away: Vec<f64> = values.iter().map(|v| (v - center).abs()).collect();
    median(&away)
}

/// Where a series tends to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Growth per step.
    pub slope: f64,
    /// Share of pairs of values of which the later is the larger: 1 when it only rises.
    pub rising: f64,
    /// Share of pairs of values of which the later is the smaller.
    pub falling: f64,
}

/// The trend by Theil and Sen: the median of the slopes of pairs, which up to three values in ten
/// may spoil without moving it (Sen 1968); the share of rising pairs is Kendall's. Long series
/// are thinned, not cut.
#[must_use]
pub fn trend(values: &[f64]) -> Option<Trend> {
    let stride = values.len().div_ceil(60).max(1);
    let thin: Vec<(f64, f64)> = values
        .iter()
        .enumerate()
        .step_by(stride)
        .filter(|(_, v)| v.is_finite())
        .map(|(i, v)| (real(i), *v))
        .collect();
    let mut slopes = Vec::with_capacity(thin.len() * thin.len() / 2);
    for (place, (x, y)) in thin.iter().enumerate() {
        slopes.extend(thin.iter().skip(place + 1).map(|(x2, y2)| (y2 - y) / (x2 - x)));
    }
    let slope = median(&slopes)?;
    let part = |count: usize| real(count) / real(slopes.len());
    let rising = part(slopes.iter().filter(|s| **s > 0.0).count());
    let falling = part(slopes.iter().filter(|s| **s < 0.0).count());
    Some(Trend { slope, rising, falling })
}

/// A change that has no one moment: values that rise, or fall, all along, as a disk that fills.
/// The levels are those of the first and last values. `None` when it goes both ways.
#[must_use]
pub fn drift(values: &[f64]) -> Option<Shift> {
    let start = values.iter().position(|v| v.is_finite())?;
    let end = values.iter().rposition(|v| v.is_finite())?;
    let trend = trend(values.get(start..=end)?)?;
    let one_way = trend.rising.max(trend.falling) >= 0.75 && trend.rising.min(trend.falling) <= 0.1;
    if !one_way || end - start < MIN_BEFORE + MIN_AFTER {
        return None;
    }
    let before = median(values.get(start..start + MIN_AFTER)?)?;
    let after = median(values.get(end + 1 - MIN_AFTER..=end)?)?;
    let size = before.abs().max(after.abs()) * LEAST_SCALE;
    let score = if size > 0.0 { (after - before).abs() / size } else { 0.0 };
    Some(Shift { start, end, before, after, score })
}

/// A count as a number.
pub(crate) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[path = "change/tests.rs"]
mod tests;
