//! How a service answers: server errors, client errors, latency. Health is told as well
//! as harm.

use agent_sdk::{Entity, Observation};

use super::{is_over, percent, seconds, share, since, time, timed};
use crate::{
    change::{self, Shift},
    flow::{Flow, Frame},
    thresholds as t,
};

/// Facts about one service; who brings its load is told elsewhere.
#[must_use]
pub fn judge(service: &Entity, flow: &Flow, frame: Frame) -> Vec<Observation> {
    let mut facts = Vec::new();
    facts.extend(errors(service, flow, frame));
    facts.extend(well_again(service, flow, frame));
    facts.extend(client_errors(service, flow, frame));
    facts.extend(latency(service, flow, frame));
    facts.extend(fast_again(service, flow, frame));
    facts
}

fn errors(service: &Entity, flow: &Flow, frame: Frame) -> Option<Observation> {
    let found = share(&flow.failed, &flow.total, frame)?;
    let name = &service.name;
    let rose = found.baseline.is_some_and(|before| found.value >= t::ERROR_TIMES * before);
    let high = match found.shift {
        Some(_) => found.value >= t::ERROR_SHARE && rose,
        None => found.value >= t::ERROR_SHARE_ALL_ALONG,
    };
    if high && found.parts >= t::ERRORS_LEAST {
        let codes = codes(flow, found.shift, |code| !code.starts_with('4'));
        let usual = found.baseline.map(|b| format!(", usually {}", percent(b))).unwrap_or_default();
        let says = format!(
            "{name} answers {} of requests with server errors ({codes}) {}{usual}",
            percent(found.value),
            since(found.shift, frame)
        );
        let fact = Observation::new("service.error_ratio_high", service.clone(), says)
            .value(found.value, "1")
            .attr("codes", codes);
        let fact = timed(fact, found.shift, frame);
        return Some(match found.baseline {
            Some(baseline) => fact.baseline(baseline),
            None => fact,
        });
    }
    // A rise too small to be harm is no proof of health either, unless it is over: then health is
    // told in the words for that. What is told as normal is the
    // state of late: an outage long over must not colour it.
    let last = recent(&flow.failed, &flow.total);
    // Who is asked nothing any more answers nothing well.
    if fell_silent(&flow.total) {
        return None;
    }
    let over = found.shift.is_some_and(|shift| is_over(shift, frame)) && rose;
    // Nor is what lately became much worse as usual.
    let worse = last >= t::ERROR_SHARE && last >= t::ERROR_TIMES * found.value;
    if over || worse || found.shift.is_some() && rose && last > t::ERROR_SHARE / 10.0 {
        return None;
    }
    let says = format!("{name} answers {} of requests with server errors, as usual", percent(last));
    Some(Observation::new("service.error_ratio_normal", service.clone(), says).value(last, "1"))
}

/// Errors that rose and came back: how it has answered since.
fn well_again(service: &Entity, flow: &Flow, frame: Frame) -> Option<Observation> {
    let found = share(&flow.failed, &flow.total, frame)?;
    let shift = found.shift.filter(|shift| is_over(*shift, frame))?;
    let rose = found.baseline.is_some_and(|before| found.value >= t::ERROR_TIMES * before);
    if !rose || fell_silent(&flow.total) {
        return None;
    }
    let since = (flow.total.len()).saturating_sub(shift.end + 1);
    let last = late(&flow.failed, &flow.total, since);
    let says = format!(
        "{} answers {} of requests with server errors since {}, as usual again",
        service.name,
        percent(last),
        time(frame, shift.end + 1)?.strftime("%H:%M")
    );
    (last < t::ERROR_SHARE).then(|| {
        let fact = Observation::new("service.error_ratio_normal", service.clone(), says);
        fact.value(last, "1").maybe_since(time(frame, shift.end + 1)).attr("again", "true")
    })
}

fn client_errors(service: &Entity, flow: &Flow, frame: Frame) -> Option<Observation> {
    let found = share(&flow.callers_fault, &flow.total, frame)?;
    let rose = found.baseline.is_some_and(|before| found.value >= t::ERROR_TIMES * before);
    let high = match found.shift {
        Some(_) => found.value >= t::CLIENT_ERROR_SHARE && rose,
        None => found.value >= t::CLIENT_ERROR_SHARE_ALL_ALONG,
    };
    if !high || found.parts < t::ERRORS_LEAST {
        return None;
    }
    let codes = codes(flow, found.shift, |code| code.starts_with('4') || !starts_with_digit(code));
    let says = format!(
        "{} refuses {} of requests as the caller's fault ({codes}) {}",
        service.name,
        percent(found.value),
        since(found.shift, frame)
    );
    let fact = Observation::new("service.client_errors_high", service.clone(), says)
        .value(found.value, "1")
        .attr("codes", codes);
    let fact = timed(fact, found.shift, frame);
    Some(match found.baseline {
        Some(baseline) => fact.baseline(baseline),
        None => fact,
    })
}

fn latency(service: &Entity, flow: &Flow, frame: Frame) -> Option<Observation> {
    let word = if flow.is_p95 { "p95" } else { "mean" };
    let now = change::median(tail(&flow.latency))?;
    let name = &service.name;
    let shift = change::shift(&flow.latency).filter(|s| s.score >= t::CLEAR);
    let Some(shift) = shift.filter(slow) else {
        // Slower, yet not enough to be harm: neither is told.
        if shift.is_some_and(|s| s.after > t::AS_USUAL_TIMES * s.before) {
            return None;
        }
        let says = format!("{name} answers in {} ({word}), as usual", seconds(now));
        let fact = Observation::new("service.latency_normal", service.clone(), says);
        return Some(fact.value(now, "s").attr("statistic", word));
    };
    let says = format!(
        "{name} answers in {} ({word}) {}, usually {}",
        seconds(shift.after),
        since(Some(shift), frame),
        seconds(shift.before)
    );
    let fact = Observation::new("service.latency_high", service.clone(), says)
        .value(shift.after, "s")
        .baseline(shift.before)
        .attr("statistic", word);
    Some(timed(fact, Some(shift), frame))
}

/// A slowdown that came back: how long answers have taken since.
fn fast_again(service: &Entity, flow: &Flow, frame: Frame) -> Option<Observation> {
    let shift = change::shift(&flow.latency).filter(slow).filter(|s| is_over(*s, frame))?;
    let word = if flow.is_p95 { "p95" } else { "mean" };
    let now = change::median(flow.latency.get(shift.end + 1..)?)?;
    let since = time(frame, shift.end + 1)?;
    let says = format!(
        "{} answers in {} ({word}) since {}, as usual again",
        service.name,
        seconds(now),
        since.strftime("%H:%M")
    );
    (now <= t::AS_USUAL_TIMES * shift.before).then(|| {
        let fact = Observation::new("service.latency_normal", service.clone(), says);
        fact.value(now, "s").since(since).attr("statistic", word).attr("again", "true")
    })
}

/// Whether a change of a duration is a slowdown worth telling.
pub(crate) fn slow(shift: &Shift) -> bool {
    shift.score >= t::CLEAR
        && shift.after >= t::SLOW_TIMES * shift.before
        && shift.after - shift.before >= t::SLOW_LEAST
}

/// The last fifth of the values, at least ten.
pub(crate) fn tail(values: &[f64]) -> &[f64] {
    let keep = (values.len() / 5).max(10).min(values.len());
    values.get(values.len() - keep..).unwrap_or_default()
}

/// Share over the last fifth of the time.
pub(crate) fn recent(part: &[f64], whole: &[f64]) -> f64 {
    late(part, whole, tail(whole).len())
}

/// Share over so many of the last values.
pub(crate) fn late(part: &[f64], whole: &[f64], keep: usize) -> f64 {
    let end = |values: &[f64]| values.len().saturating_sub(keep);
    let sum = |values: &[f64]| {
        let late = values.get(end(values)..).unwrap_or_default();
        late.iter().filter(|v| v.is_finite()).sum::<f64>()
    };
    // Both lists run to the same end, so equal tails are equal times; an outcome that was never
    // counted has no list.
    let whole_sum = sum(whole);
    if whole_sum > 0.0 && part.len() == whole.len() { sum(part) / whole_sum } else { 0.0 }
}

/// Whether the last fifth of the time brought less than a tenth of what was usual.
pub(crate) fn fell_silent(total: &[f64]) -> bool {
    let (usual, late) = (change::median(total), change::median(tail(total)));
    late.unwrap_or_default() < usual.unwrap_or_default() / 10.0
}

fn starts_with_digit(code: &str) -> bool {
    code.starts_with(|c: char| c.is_ascii_digit())
}

/// The outcomes that fit, the most frequent first, each with its part of them.
pub(crate) fn codes(flow: &Flow, shift: Option<Shift>, fits: impl Fn(&str) -> bool) -> String {
    let mut sums: Vec<(&str, f64)> = flow
        .by_outcome
        .iter()
        .filter(|(code, _)| fits(code))
        .map(|(code, values)| {
            let (from, to) = shift.map_or((0, values.len()), |s| (s.start, s.end + 1));
            let inside = values.get(from..to.min(values.len())).unwrap_or_default();
            (code.as_str(), inside.iter().filter(|v| v.is_finite()).sum())
        })
        .filter(|(_, sum)| *sum > 0.0)
        .collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    sums.into_iter().take(4).map(|(code, _)| code).collect::<Vec<_>>().join(", ")
}
