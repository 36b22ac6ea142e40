//! How calls between two fare, seen by the caller. The subject is the one called, the peer the
//! caller.

use agent_sdk::{Entity, Observation};

use super::{is_over, percent, seconds, services, share, since, timed};
use crate::{
    change,
    flow::{Flow, Frame},
    thresholds as t,
};

/// Facts about the calls of `caller` to `called`.
#[must_use]
pub fn judge(caller: &Entity, called: &Entity, flow: &Flow, frame: Frame) -> Vec<Observation> {
    let Some(found) = share(&flow.failed, &flow.total, frame) else { return Vec::new() };
    let mut facts = Vec::new();
    let rose = found.baseline.is_some_and(|before| found.value >= t::ERROR_TIMES * before);
    let high = match found.shift {
        Some(_) => found.value >= t::ERROR_SHARE && rose,
        None => found.value >= t::ERROR_SHARE_ALL_ALONG,
    };
    if high && found.parts >= t::ERRORS_LEAST {
        let codes = services::codes(flow, found.shift, |_| true);
        let usual = found.baseline.map(|b| format!(", usually {}", percent(b))).unwrap_or_default();
        let says = format!(
            "{} of calls from {} to {} fail ({codes}) {}{usual}",
            percent(found.value),
            caller.name,
            called.name,
            since(found.shift, frame)
        );
        let fact = Observation::new("dependency.failing", called.clone(), says)
            .value(found.value, "1")
            .attr("codes", codes)
            .peer(caller.clone());
        let fact = timed(fact, found.shift, frame);
        facts.push(match found.baseline {
            Some(baseline) => fact.baseline(baseline),
            None => fact,
        });
    }
    facts.extend(slow(caller, called, flow, frame));
    let over = |fact: &Observation| {
        fact.as_wire().attributes.get("over").is_some_and(|over| over == "true")
    };
    if facts.iter().all(over) && !services::fell_silent(&flow.total) {
        let since = found.shift.filter(|shift| is_over(*shift, frame)).map(|shift| shift.end + 1);
        let late = since.map(|since| flow.total.len().saturating_sub(since));
        let last = match late {
            Some(late) => services::late(&flow.failed, &flow.total, late),
            None => services::recent(&flow.failed, &flow.total),
        };
        let says = format!(
            "calls from {} to {} work, {} of them fail",
            caller.name,
            called.name,
            percent(last)
        );
        facts.push(
            Observation::new("dependency.healthy", called.clone(), says)
                .value(last, "1")
                .peer(caller.clone()),
        );
    }
    facts
}

fn slow(caller: &Entity, called: &Entity, flow: &Flow, frame: Frame) -> Option<Observation> {
    let shift = change::shift(&flow.latency).filter(services::slow)?;
    let word = if flow.is_p95 { "p95" } else { "mean" };
    let says = format!(
        "calls from {} to {} take {} ({word}) {}, usually {}",
        caller.name,
        called.name,
        seconds(shift.after),
        since(Some(shift), frame),
        seconds(shift.before)
    );
    let fact = Observation::new("dependency.slow", called.clone(), says)
        .value(shift.after, "s")
        .baseline(shift.before)
        .attr("statistic", word)
        .peer(caller.clone());
    Some(timed(fact, Some(shift), frame))
}
