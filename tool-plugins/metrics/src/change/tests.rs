//! Changes are found where they are, and only there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::float_cmp, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::thresholds::CLEAR;

/// A level with small, repeatable noise.
fn level(value: f64, count: usize) -> Vec<f64> {
    (0..count)
        .map(|i| value + value.max(0.01) * 0.01 * f64::from(u32::try_from(i % 5).unwrap()))
        .collect()
}

fn step(before: f64, n: usize, after: f64, m: usize) -> Vec<f64> {
    [level(before, n), level(after, m)].concat()
}

#[test]
fn a_step_is_found_where_it_is() {
    for (before, n, after, m) in
        [(1.0, 100, 5.0, 30), (5.0, 20, 1.0, 100), (0.0, 120, 0.2, 5), (100.0, 10, 300.0, 3)]
    {
        let shift = shift(&step(before, n, after, m)).unwrap();
        assert_eq!(shift.start, n, "{before} {n} {after} {m}");
        assert_eq!(shift.end, n + m - 1);
        assert!(shift.score > 8.0, "{}", shift.score);
        assert!((shift.before - before).abs() < 0.05 * before.max(0.01));
        assert!((shift.after - after).abs() < 0.05 * after);
    }
}

#[test]
fn single_outliers_are_no_change() {
    let mut values = level(1.0, 130);
    values[40] = 50.0;
    values[90] = 0.0;
    assert!(shift(&values).is_none_or(|s| s.score < 4.0), "{:?}", shift(&values));
}

#[test]
fn noise_alone_scores_low() {
    // A small linear congruential generator: the same noise on every machine.
    let mut state = 12_345_u32;
    for _ in 0..20 {
        let values: Vec<f64> = (0..130)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                10.0 + f64::from(state >> 16) / 65_536.0
            })
            .collect();
        assert!(shift(&values).is_none_or(|s| s.score < 4.0), "{:?}", shift(&values));
    }
}

#[test]
fn a_slow_rise_begins_where_it_left_the_usual() {
    let mut values = level(1.0, 60);
    values.extend((0..60).map(|i| 1.0 + 0.1 * f64::from(i)));
    let shift = shift(&values).unwrap();
    assert!((60..70).contains(&shift.start), "{}", shift.start);
}

#[test]
fn a_change_that_went_back_has_an_end() {
    let values = [level(1.0, 60), level(9.0, 20), level(1.0, 40)].concat();
    let shift = shift(&values).unwrap();
    assert_eq!((shift.start, shift.end), (60, 79));
    assert!(shift.after > 8.0);
}

#[test]
fn gaps_do_not_move_the_place() {
    let mut values = step(1.0, 60, 5.0, 30);
    for gap in [3, 4, 5, 61] {
        values[gap] = f64::NAN;
    }
    assert_eq!(shift(&values).unwrap().start, 60);
}

#[test]
fn a_level_past_does_not_make_every_change_infinite() {
    let values = [vec![3.0; 60], vec![2.0; 30]].concat();
    let found = shift(&values).unwrap();
    assert!(found.score.is_finite() && found.score > 8.0);
    assert_eq!(shift(&[3.0; 90]), None);
    assert_eq!(shift(&[1.0; 5]), None);
    assert_eq!(shift(&[f64::NAN; 90]), None);
}

#[test]
fn the_trend_ignores_spoiled_values() {
    let mut values: Vec<f64> = (0..50).map(|i| 2.0 * f64::from(i)).collect();
    values[10] = 1e9;
    values[11] = -1e9;
    let trend = trend(&values).unwrap();
    assert!((trend.slope - 2.0).abs() < 1e-9);
    assert!(trend.rising > 0.9);
}

#[test]
fn medians_are_those_of_a_table() {
    for (values, expected) in
        [(vec![3.0, 1.0, 2.0], Some(2.0)), (vec![4.0, 1.0, 2.0, 3.0], Some(2.5)), (vec![], None)]
    {
        assert_eq!(median(&values), expected);
    }
    assert_eq!(mad(&[1.0, 2.0, 9.0], 2.0), Some(1.0));
}

#[test]
fn what_goes_one_way_all_along_is_a_drift() {
    let rising: Vec<f64> = (0..100).map(|i| 5.0 + 0.2 * f64::from(i)).collect();
    let found = drift(&rising).unwrap();
    assert_eq!((found.start, found.end), (0, 99));
    assert!(found.before < 6.0 && found.after > 24.0);
    assert!(drift(&rising.iter().rev().copied().collect::<Vec<_>>()).unwrap().after < 6.0);
    assert_eq!(drift(&level(3.0, 100)), None);
}

#[test]
fn a_change_that_came_back_ends_where_it_did() {
    // Noise of a few hundredths of what happened in between does not prolong it.
    let values = [level(0.001, 100), level(0.24, 6), level(0.001, 14)].concat();
    let shift = shift(&values).unwrap();
    assert_eq!((shift.start, shift.end), (100, 105));
    assert!(shift.after > 0.2 && shift.score > 8.0, "{shift:?}");
}

/// What a hole takes away.
fn with_hole(mut values: Vec<f64>, from: usize, length: usize) -> Vec<f64> {
    values.iter_mut().skip(from).take(length).for_each(|value| *value = f64::NAN);
    values
}

proptest! {
    #[test]
    fn a_hole_in_a_level_is_no_change(
        value in 0.001_f64..1e9, from in 0_usize..130, length in 1_usize..60
    ) {
        let values = with_hole(level(value, 130), from, length);
        prop_assert!(shift(&values).is_none_or(|s| s.score < CLEAR));
        prop_assert!(drift(&values).is_none_or(|d| d.score < CLEAR));
    }

    #[test]
    fn a_step_is_found_through_a_hole(
        value in 0.001_f64..1e6, times in 1.5_f64..50.0, at in 20_usize..110,
        from in 0_usize..130, length in 1_usize..15, down in any::<bool>()
    ) {
        let (before, after) = if down { (value * times, value) } else { (value, value * times) };
        let values = with_hole(step(before, at, after, 130 - at), from, length);
        let found = shift(&values).unwrap();
        // Where the hole hides the moment, the first value after it is the first sight.
        let seen = if (from..from + length).contains(&at) { from + length } else { at };
        prop_assert_eq!(found.start, seen);
        prop_assert!(found.score >= CLEAR);
    }
}
