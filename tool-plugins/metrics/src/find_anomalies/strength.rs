//! How strong a change of level is, and whether it is one of the world at all and not of chance or of
//! the counting.

use crate::{change::Shift, flow::Frame, thresholds as t};

/// A gauge of small whole numbers (replicas, conditions) counts with any lasting change.
pub(super) fn is_strong(shift: &Shift, values: &[f64]) -> bool {
    let small = |v: &f64| !v.is_finite() || (v.fract() == 0.0 && v.abs() < 1000.0);
    let whole = values.iter().all(small);
    shift.score >= t::SHIFTED_CLEAR && (whole || relative(shift) >= t::SHIFTED)
}

/// Whether a change of a rate is one of the world and not of the counting.
pub(super) fn is_event(shift: &Shift, values: &[f64], step_seconds: f64) -> bool {
    is_many(shift, step_seconds) && !is_of_reset(shift, values)
}

/// A counter that begins anew loses what it counted last, and is away meanwhile: that takes some of
/// each rate whose window holds those moments. A dip that comes back within two windows is taken for
/// that; what it means for requests is told by their recipe.
fn is_of_reset(shift: &Shift, values: &[f64]) -> bool {
    let dip = values.get(shift.start..=shift.end).unwrap_or_default();
    let lasted = dip.iter().filter(|value| value.is_finite()).count();
    shift.after < shift.before && shift.end + 1 < values.len() && lasted <= 2 * Frame::WINDOW
}

/// Whether a change of a rate adds or takes away more than chance does to rare events.
fn is_many(shift: &Shift, step_seconds: f64) -> bool {
    let points = f64::from(u32::try_from(shift.end + 1 - shift.start).unwrap_or(u32::MAX));
    (shift.after - shift.before).abs() * points * step_seconds >= t::SHIFTED_EVENTS
}

fn relative(shift: &Shift) -> f64 {
    let larger = shift.before.abs().max(shift.after.abs());
    if larger > 0.0 { (shift.after - shift.before).abs() / larger } else { 0.0 }
}

/// How strong a change is beside others.
pub(super) fn strength(shift: &Shift) -> f64 {
    relative(shift) * shift.score.min(40.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        change,
        query::{Query, Selector, evaluate},
        store::{Limits, read},
    };

    proptest! {
        /// A counter that begins anew, and counts on as before; not at the end, where it may last.
        #[test]
        fn a_restart_is_no_anomaly(
            rate in 1_i64..2000, interval in 10_i64..90, restart in 10_i64..170, down in 0_i64..6
        ) {
            let mut text = String::new();
            for step in 0..200 {
                if (restart..restart + down).contains(&step) {
                    continue;
                }
                let since = if step < restart { step + 50 } else { step - restart - down };
                writeln!(text, "a_total {} {}", since * rate * interval, step * interval).unwrap();
            }
            let store = read(text.as_bytes(), i64::MAX, Limits::default()).unwrap();
            let frame = Frame::of(&store).unwrap();
            let query = Query::rate(Selector::new("a_total"), frame.window);
            let tracks = evaluate(&store, &query, frame.grid);
            let values = &tracks.first().unwrap().values;
            let seconds = frame.step_seconds();
            let strong = |s: &Shift| is_strong(s, values) && is_event(s, values, seconds);
            prop_assert_eq!(change::shift(values).filter(strong), None);
            prop_assert_eq!(change::drift(values).filter(strong), None);
        }
    }

    #[test]
    fn a_dip_that_comes_back_at_once_is_the_countings() {
        let values = [10.0; 100];
        let dip = |start, end| Shift { start, end, before: 10.0, after: 6.0, score: 20.0 };
        assert!(is_of_reset(&dip(50, 53), &values));
        assert!(!is_of_reset(&dip(50, 60), &values), "it lasts");
        assert!(!is_of_reset(&dip(96, 99), &values), "it may last");
        let up = Shift { after: 30.0, ..dip(50, 53) };
        assert!(!is_of_reset(&up, &values));
    }
}
