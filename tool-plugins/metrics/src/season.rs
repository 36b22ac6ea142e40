//! Whether a change of level comes back at the same hour of another day, as backups, batches and
//! people do. Series of numbers in, a judgement out; where the other day's numbers come from is
//! [`crate::recording`]'s.
//!
//! Method: the seasonal naive forecast, by which a value is what it was one season ago (Hyndman and
//! Athanasopoulos, Forecasting: Principles and Practice, 3rd edition, 5.2), made robust: medians over
//! the time of the change and an equal time before it stand for levels, so that a gap, an outlier or
//! a few minutes' difference do not decide; and the change, not the level, is forecast, scaled by how
//! much busier this day is. What is left must be within a third of the change, or within four robust
//! standard deviations (MAD times 1.4826) of the other day's values, but never more than half of it.
//! A change with no past to compare with is never taken for a season.

use crate::change::{self, Shift, mad, median};

/// Points before a change that stand for the time before, at least.
const FEW: usize = 20;
/// Share of points that must be there on the other day.
const THERE: f64 = 0.6;
/// How much of the change may be left unexplained.
const LEFT: f64 = 1.0 / 3.0;
/// And never more, however noisy the other day was.
const LEFT_AT_MOST: f64 = 0.5;
/// Robust standard deviations of the other day's values that are usual.
const USUAL: f64 = 4.0;
/// Days up to this much busier or calmer are alike.
const BUSIER: f64 = 2.0;

/// Whether `earlier`, one season before `today` point by point, changed as `shift` did.
#[must_use]
pub fn repeats(shift: &Shift, today: &[f64], earlier: &[f64]) -> bool {
    explained(shift, today, earlier).unwrap_or(false)
}

fn explained(shift: &Shift, today: &[f64], earlier: &[f64]) -> Option<bool> {
    let lasted = (shift.end + 1).saturating_sub(shift.start).max(FEW);
    let before = shift.start.saturating_sub(lasted)..shift.start;
    let during = shift.start..shift.end + 1;
    let level = |of: &[f64], range: &std::ops::Range<usize>| {
        let values = of.get(range.clone())?;
        let there = values.iter().filter(|v| v.is_finite()).count();
        let enough = change::real(there) >= THERE * change::real(values.len());
        enough.then(|| median(values)).flatten()
    };
    let (was, is) = (level(today, &before)?, level(today, &during)?);
    let (other_was, other_is) = (level(earlier, &before)?, level(earlier, &during)?);
    let (changed, other_changed) = (is - was, other_is - other_was);
    if changed * other_changed <= 0.0 {
        return Some(false);
    }
    let busier = if was > 0.0 && other_was > 0.0 { was / other_was } else { 1.0 };
    let busier = if (1.0 / BUSIER..=BUSIER).contains(&busier) { busier } else { 1.0 };
    let left = (changed - busier * other_changed).abs();
    let noise = mad(earlier.get(during)?, other_is).unwrap_or(0.0) * change::MAD_TO_SIGMA;
    let usual = (LEFT * changed.abs()).max(USUAL * noise).min(LEFT_AT_MOST * changed.abs());
    Some(left <= usual)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    /// A day's piece: a level with a bump, each with small, repeatable noise.
    fn bump(level: f64, at: std::ops::Range<usize>, height: f64) -> Vec<f64> {
        (0..240)
            .map(|i| {
                let noise = 1.0 + 0.01 * f64::from(u32::try_from(i % 7).unwrap());
                let up = if at.contains(&i) { height } else { 0.0 };
                (level + up) * noise
            })
            .collect()
    }

    #[test]
    fn a_bump_at_the_same_hour_is_a_season_and_another_is_not() {
        let today = bump(10.0, 150..240, 30.0);
        let shift = change::shift(&today).unwrap();
        let table = [
            ("the same", bump(10.0, 150..240, 30.0), true),
            ("a calmer day", bump(7.0, 150..240, 21.0), true),
            ("some minutes later", bump(10.0, 160..240, 30.0), true),
            ("much smaller", bump(10.0, 150..240, 10.0), false),
            ("none", bump(10.0, 0..0, 0.0), false),
            ("the other way", bump(40.0, 150..240, -30.0), false),
            ("at another hour", bump(10.0, 20..100, 30.0), false),
            ("no data", vec![f64::NAN; 240], false),
            ("too short", Vec::new(), false),
        ];
        for (what, earlier, expected) in table {
            assert_eq!(repeats(&shift, &today, &earlier), expected, "{what}");
        }
    }

    proptest! {
        #[test]
        fn yesterday_with_holes_still_tells(
            level in 1.0_f64..1e6, height in 0.5_f64..20.0, from in 40_usize..200, hole in 0_usize..230
        ) {
            let today = bump(level, from..240, height * level);
            let shift = change::shift(&today).unwrap();
            let mut earlier = today.clone();
            for value in earlier.iter_mut().skip(hole).take(7) {
                *value = f64::NAN;
            }
            prop_assert!(repeats(&shift, &today, &earlier));
            // Nothing repeats what did not happen.
            let level_day = bump(level, 0..0, 0.0);
            prop_assert!(!repeats(&shift, &today, &level_day));
        }
    }
}
