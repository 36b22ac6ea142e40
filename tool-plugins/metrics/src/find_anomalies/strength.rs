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
    is_many(shift, step_seconds) && !is_of_reset(shift, values.len())
}

/// A counter that begins anew loses what it counted last, which takes some of each rate whose window
/// holds that moment: a dip that ends with the window.
fn is_of_reset(shift: &Shift, points: usize) -> bool {
    let lasted = shift.end + 1 - shift.start.min(shift.end);
    shift.after < shift.before && shift.end + 1 < points && lasted <= Frame::WINDOW + 1
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
    use super::*;

    #[test]
    fn a_dip_no_longer_than_a_window_is_the_countings() {
        let dip = |start, end| Shift { start, end, before: 10.0, after: 6.0, score: 20.0 };
        assert!(is_of_reset(&dip(50, 53), 100));
        assert!(!is_of_reset(&dip(50, 60), 100), "it lasts");
        assert!(!is_of_reset(&dip(96, 99), 100), "it may last");
        let up = Shift { after: 30.0, ..dip(50, 53) };
        assert!(!is_of_reset(&up, 100));
    }
}
