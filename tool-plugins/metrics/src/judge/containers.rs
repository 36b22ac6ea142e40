//! How a container stands with its memory and CPU limits. Health is told as well as harm.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};

use super::{percent, services::tail, since, time, timed};
use crate::{
    change::{self, Shift, median},
    flow::Frame,
    thresholds as t,
    usage::{self, Place, Usage},
};

/// All facts about one container; `all` holds its predecessors, too.
#[must_use]
pub fn judge(place: &Place, all: &BTreeMap<Place, Usage>, frame: Frame) -> Vec<Observation> {
    let Some(usage) = all.get(place) else { return Vec::new() };
    let subject = Entity::new("Pod", place.namespace.as_str(), place.pod.as_str())
        .container(place.container.as_str());
    let mut facts = memory(&subject, usage, frame);
    let past = usage::before(all, place, |u| &u.throttled);
    facts.extend(throttling(&subject, usage, past, frame));
    facts.extend(saturation(&subject, usage, frame));
    facts
}

fn memory(subject: &Entity, usage: &Usage, frame: Frame) -> Vec<Observation> {
    let limit = usage.memory_limit.filter(|limit| *limit > 0.0);
    let mut facts = Vec::new();
    let growing = growth(&usage.memory, frame);
    if let Some(limit) = limit {
        facts.extend(near_limit(subject, &usage.memory, limit, frame));
    }
    if let Some((slope, from, to)) = growing {
        let start = usage.memory.get(from).copied().unwrap_or(f64::NAN);
        let scale = limit.unwrap_or(start);
        let per_hour = slope * 3600.0 / frame.step_seconds() / scale;
        if per_hour >= t::GROWTH_PER_HOUR {
            let of = if limit.is_some() { "its limit" } else { "where it began" };
            let says = format!(
                "memory of container {} grows by {} of {of} per hour",
                subject.container,
                percent(per_hour)
            );
            facts.push(
                Observation::new("container.memory_growing", subject.clone(), says)
                    .value(per_hour, "1/h")
                    .maybe_since(time(frame, from))
                    .maybe_until(time(frame, to)),
            );
        }
    } else if let Some(fact) = limit.and_then(|limit| steady(subject, &usage.memory, limit)) {
        facts.push(fact);
    }
    facts
}

fn near_limit(subject: &Entity, memory: &[f64], limit: f64, frame: Frame) -> Option<Observation> {
    let near = |v: &f64| *v >= t::NEAR_LIMIT * limit;
    let first = memory.iter().position(near)?;
    let last = memory.iter().rposition(near)?;
    let peak = memory.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max) / limit;
    let usual = median(memory.get(..first)?).map(|m| m / limit);
    let says = format!(
        "memory of container {} reaches {} of its limit of {}",
        subject.container,
        percent(peak),
        bytes(limit)
    );
    let begins = memory.iter().position(|v| v.is_finite());
    let onset = if begins == Some(first) { "before_data" } else { "seen" };
    let fact = Observation::new("container.memory_near_limit", subject.clone(), says)
        .value(peak, "1")
        .maybe_since(time(frame, first))
        .maybe_until(time(frame, last))
        .attr("limit", bytes(limit))
        .attr("onset", onset);
    Some(match usual {
        Some(usual) => fact.baseline(usual),
        None => fact,
    })
}

/// Steady growth of the longest time without a fall: slope per step, first and last point.
fn growth(memory: &[f64], frame: Frame) -> Option<(f64, usize, usize)> {
    let (from, to) = longest_rise(memory)?;
    let lasts = frame.grid.time_ms(to) - frame.grid.time_ms(from);
    let values = memory.get(from..=to)?;
    if lasts < t::GROWTH_LASTS_MS {
        return None;
    }
    let trend = change::trend(values)?;
    let (begin, end) = (median(values.get(..5)?)?, median(values.get(values.len() - 5..)?)?);
    let steady = trend.rising >= t::GROWTH_RISING && end - begin >= t::GROWTH_LEAST * begin;
    (steady && trend.slope > 0.0).then_some((trend.slope, from, to))
}

/// The longest run of values in which none falls by [`t::FALL`] from the highest before.
fn longest_rise(memory: &[f64]) -> Option<(usize, usize)> {
    let mut best: Option<(usize, usize)> = None;
    let mut run: Option<(usize, usize, f64)> = None;
    for (index, value) in memory.iter().enumerate().filter(|(_, v)| v.is_finite()) {
        run = Some(match run {
            Some((from, _, top)) if *value >= top * (1.0 - t::FALL) => {
                (from, index, top.max(*value))
            }
            _ => (index, index, *value),
        });
        let Some((from, to, _)) = run else { continue };
        if best.is_none_or(|(a, b)| to - from > b - a) {
            best = Some((from, to));
        }
    }
    best
}

fn steady(subject: &Entity, memory: &[f64], limit: f64) -> Option<Observation> {
    let mut sorted: Vec<f64> = memory.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| sorted.get(sorted.len() * share / 100).copied();
    let (low, middle, high) = (at(5)?, at(50)?, at(95)?);
    if sorted.len() < 10 || high - low > t::LEVEL_SPREAD * middle {
        return None;
    }
    let says = format!(
        "memory of container {} is level at {} of its limit of {}",
        subject.container,
        percent(middle / limit),
        bytes(limit)
    );
    let fact = Observation::new("container.memory_steady", subject.clone(), says);
    Some(fact.value(middle / limit, "1").attr("limit", bytes(limit)))
}

fn throttling(
    subject: &Entity,
    usage: &Usage,
    past: Option<f64>,
    frame: Frame,
) -> Option<Observation> {
    let now = median(tail(&usage.throttled)).or_else(|| median(&usage.throttled))?;
    let shift = change::shift(&usage.throttled)
        .filter(|s| s.score >= t::CLEAR && s.after >= t::THROTTLED_TIMES * s.before);
    let value = shift.map_or(now, |s| s.after);
    let before = shift.map(|s| s.before).or(past);
    let clearly = before.is_none_or(|before| value >= t::THROTTLED_TIMES * before);
    if value < t::THROTTLED || !clearly {
        let says = format!(
            "container {} is held back in {} of its CPU periods",
            subject.container,
            percent(now)
        );
        let fact = Observation::new("container.cpu_unthrottled", subject.clone(), says);
        return (now < t::UNTHROTTLED).then(|| fact.value(now, "1"));
    }
    let limit = usage.cpu_limit.map(|l| format!("{l}")).unwrap_or_default();
    let usual = before.map(|b| format!(", before {}", percent(b))).unwrap_or_default();
    let of = if limit.is_empty() { String::new() } else { format!(" of {limit} cores") };
    let (onset, when) = onset(&usage.throttled, shift, frame);
    let says = format!(
        "container {} is held back by its CPU limit{of} in {} of its periods {when}{usual}",
        subject.container,
        percent(value)
    );
    let fact = Observation::new("container.cpu_throttled", subject.clone(), says)
        .value(value, "1")
        .attr("limit", limit);
    let fact = begun(fact, onset, (&usage.throttled, shift), frame);
    Some(match before {
        Some(before) => fact.baseline(before),
        None => fact,
    })
}

/// A container that began within the recording began to suffer no earlier than that.
fn onset(values: &[f64], shift: Option<Shift>, frame: Frame) -> (Option<usize>, String) {
    let begins = values.iter().position(|v| v.is_finite()).filter(|i| *i > 0);
    match (shift, begins) {
        (None, Some(point)) => {
            let at = time(frame, point).map(|t| t.strftime("%H:%M").to_string());
            (Some(point), format!("since it began at {}", at.unwrap_or_default()))
        }
        _ => (None, since(shift, frame)),
    }
}

fn begun(
    fact: Observation,
    onset: Option<usize>,
    (values, shift): (&[f64], Option<Shift>),
    frame: Frame,
) -> Observation {
    let Some(point) = onset else { return timed(fact, shift, frame) };
    let last = values.iter().rposition(|v| v.is_finite()).and_then(|last| time(frame, last));
    fact.maybe_since(time(frame, point)).maybe_until(last).attr("onset", "seen")
}

fn saturation(subject: &Entity, usage: &Usage, frame: Frame) -> Option<Observation> {
    let limit = usage.cpu_limit.filter(|limit| *limit > 0.0)?;
    let shares: Vec<f64> = usage.cpu.iter().map(|v| v / limit).collect();
    let shift = change::shift(&shares).filter(|s| s.score >= t::CLEAR && s.after > s.before);
    let value = shift.map_or_else(|| median(tail(&shares)), |s| Some(s.after))?;
    if value < t::SATURATED {
        return None;
    }
    let (onset, when) = onset(&shares, shift, frame);
    let says = format!(
        "container {} uses {} of its CPU limit of {limit} cores {when}",
        subject.container,
        percent(value)
    );
    let fact = Observation::new("container.cpu_saturated", subject.clone(), says)
        .value(value, "1")
        .attr("limit", format!("{limit}"));
    let fact = begun(fact, onset, (&shares, shift), frame);
    Some(match shift {
        Some(shift) => fact.baseline(shift.before),
        None => fact,
    })
}

/// Bytes as a person writes a limit: `512Mi`, `1.5Gi`.
fn bytes(value: f64) -> String {
    const UNITS: [(&str, f64); 3] = [("Gi", 1_073_741_824.0), ("Mi", 1_048_576.0), ("Ki", 1024.0)];
    for (unit, size) in UNITS {
        if value >= size {
            let number = format!("{:.2}", value / size);
            return format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.'));
        }
    }
    format!("{value:.0}")
}
