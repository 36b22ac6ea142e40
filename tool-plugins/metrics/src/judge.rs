//! From measured values to facts: compares what was measured with [`crate::thresholds`] and says
//! the outcome in the words of the signal catalogue. One object at a time; no causes across
//! objects.

pub mod containers;
pub mod edges;
pub mod memory;
pub mod services;

use agent_sdk::Observation;
use jiff::Timestamp;

use crate::{change::Shift, flow::Frame};

/// How much of a share (failed of all, throttled of all) there was, before and after it changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    /// Share since the change; of all time when there was none.
    pub(crate) value: f64,
    /// Share before the change.
    pub(crate) baseline: Option<f64>,
    /// The change.
    pub(crate) shift: Option<Shift>,
    /// How many parts make up `value`.
    pub(crate) parts: f64,
}

/// Sums both over the time before and after the clearest change of their ratio: sums and not
/// medians, as rare failures have a median of zero.
pub(crate) fn share(part: &[f64], whole: &[f64], frame: Frame) -> Option<Share> {
    let part = |i: usize| part.get(i).copied().filter(|v| v.is_finite()).unwrap_or(0.0);
    let ratios: Vec<f64> = whole
        .iter()
        .enumerate()
        .map(|(i, whole)| if *whole > 0.0 { part(i) / whole } else { f64::NAN })
        .collect();
    let sum = |from: usize, to: usize| {
        let inside = (from..to).filter(|i| whole.get(*i).is_some_and(|w| *w > 0.0));
        inside.fold((0.0, 0.0), |(parts, wholes), i| {
            (parts + part(i), wholes + whole.get(i).copied().unwrap_or(0.0))
        })
    };
    let found = crate::change::shift(&ratios).filter(|s| s.score >= crate::thresholds::CLEAR);
    let (from, to) = found.map_or((0, whole.len()), |s| (s.start, s.end + 1));
    let (parts, wholes) = sum(from, to);
    if wholes <= 0.0 {
        return None;
    }
    let before = found.map(|s| sum(0, s.start)).filter(|(_, wholes)| *wholes > 0.0);
    Some(Share {
        value: parts / wholes,
        baseline: before.map(|(parts, wholes)| parts / wholes),
        shift: found,
        parts: parts * frame.step_seconds(),
    })
}

/// The time of a point of the grid.
pub(crate) fn time(frame: Frame, point: usize) -> Option<Timestamp> {
    Timestamp::from_millisecond(frame.grid.time_ms(point)).ok()
}

/// Gives a fact its times: from the change to its end, or all of the recording with
/// `onset = before_data`, as it may be older than what was recorded.
pub(crate) fn timed(fact: Observation, shift: Option<Shift>, frame: Frame) -> Observation {
    match shift {
        Some(shift) => {
            let fact = fact
                .maybe_since(time(frame, shift.start))
                .maybe_until(time(frame, shift.end))
                .attr("onset", "seen");
            if is_over(shift, frame) { fact.attr("over", "true") } else { fact }
        }
        None => fact
            .maybe_since(time(frame, 0))
            .maybe_until(time(frame, frame.grid.points.saturating_sub(1)))
            .attr("onset", "before_data"),
    }
}

/// Whether a change came back and has stayed so: for some minutes, and for as long as it lasted.
pub(crate) fn is_over(shift: Shift, frame: Frame) -> bool {
    let steps = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    let calm = steps(frame.grid.points.saturating_sub(1 + shift.end));
    let lasted = steps(shift.end + 1 - shift.start.min(shift.end));
    calm >= lasted && calm * frame.step_seconds() >= crate::thresholds::CALM_SECONDS
}

/// Since when, for people; from when to when where it is over.
pub(crate) fn since(shift: Option<Shift>, frame: Frame) -> String {
    let shown = |point| time(frame, point).map(|t| t.strftime("%H:%M").to_string());
    match shift.and_then(|s| Some((s, shown(s.start)?))) {
        Some((shift, from)) if is_over(shift, frame) => {
            format!("from {from} to {}", shown(shift.end).unwrap_or_default())
        }
        Some((_, from)) => format!("since {from}"),
        None => "all along".to_owned(),
    }
}

/// A share in percent for people: finer when small.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// A time span in seconds for people.
pub(crate) fn seconds(value: f64) -> String {
    if value < 0.9995 { format!("{:.0} ms", value * 1000.0) } else { format!("{value:.1} s") }
}
