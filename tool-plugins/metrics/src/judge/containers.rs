//! How a container stands with its memory and CPU limits. Health is told as well as harm.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};

use super::{
    memory::{self, Load},
    percent,
    services::tail,
    since, time, timed,
};
use crate::{
    change::{self, Shift, median},
    flow::Frame,
    thresholds as t,
    usage::{self, Place, Usage},
    view::{Course, bytes, number},
};

/// All facts about one container; `all` holds its predecessors, too.
#[must_use]
pub fn judge(
    place: &Place,
    all: &BTreeMap<Place, Usage>,
    load: Load<'_>,
    frame: Frame,
) -> Vec<Observation> {
    let Some(usage) = all.get(place) else { return Vec::new() };
    let subject = Entity::new("Pod", place.namespace.as_str(), place.pod.as_str())
        .container(place.container.as_str());
    let mut facts = memory::judge(&subject, usage, load, frame);
    facts.extend(killed(&subject, usage, frame));
    let past = usage::before(all, place, |u| &u.throttled);
    let traffic = load.total.and_then(Course::of);
    facts.extend(throttling(&subject, usage, (past, traffic), frame));
    facts.extend(saturation(&subject, usage, frame));
    facts.extend(busy(&subject, usage, frame));
    let memory = usage::limit_change(all, place, |u| &u.limits.memory);
    facts.extend(memory.and_then(|c| limit_changed(&subject, "memory", c, frame)));
    let cpu = usage::limit_change(all, place, |u| &u.limits.cpu);
    facts.extend(cpu.and_then(|c| limit_changed(&subject, "cpu", c, frame)));
    facts
}

/// A limit that is another one than before.
fn limit_changed(
    subject: &Entity,
    resource: &str,
    (old, new, point): (f64, f64, usize),
    frame: Frame,
) -> Option<Observation> {
    let shown = |value: f64| {
        if resource == "memory" { bytes(value) } else { format!("{} cores", number(value)) }
    };
    let direction = if new < old { "lowered" } else { "raised" };
    let at = time(frame, point)?;
    let says = format!(
        "{resource} limit of container {} was {direction} at {}: {} -> {}",
        subject.container,
        at.strftime("%H:%M"),
        shown(old),
        shown(new)
    );
    Some(
        Observation::new("container.limit_changed", subject.clone(), says)
            .value(new, if resource == "memory" { "By" } else { "1" })
            .baseline(old)
            .since(at)
            .attr("resource", resource)
            .attr("direction", direction)
            .attr("old", shown(old))
            .attr("new", shown(new)),
    )
}

/// Restarts within the recording of a container whose last end was for memory.
fn killed(subject: &Entity, usage: &Usage, frame: Frame) -> Option<Observation> {
    let for_memory = usage.oom.iter().rev().find(|v| v.is_finite()).is_some_and(|v| *v > 0.0);
    let counts: Vec<(usize, f64)> =
        usage.restarts.iter().copied().enumerate().filter(|(_, v)| v.is_finite()).collect();
    let steps = counts.windows(2).filter_map(|pair| match pair {
        [(_, before), (point, after)] if after > before => Some((*point, after - before)),
        _ => None,
    });
    let steps: Vec<(usize, f64)> = steps.collect();
    let (first, last) = (steps.first()?.0, steps.last()?.0);
    if !for_memory {
        return None;
    }
    let kills: f64 = steps.iter().map(|(_, by)| by).sum();
    let limit = usage.memory_limit.map(bytes).unwrap_or_default();
    let of = if limit.is_empty() { String::new() } else { format!(", limit {limit}") };
    let says = format!(
        "container {} was OOMKilled {} times since {}{of}",
        subject.container,
        number(kills),
        time(frame, first)?.strftime("%H:%M")
    );
    let fact = Observation::new("container.oom_killed", subject.clone(), says)
        .maybe_since(time(frame, first))
        .maybe_until(time(frame, last))
        .attr("limit", limit)
        .attr("restarts", number(kills));
    Some(fact.count(steps.len().try_into().unwrap_or(1)))
}

fn throttling(
    subject: &Entity,
    usage: &Usage,
    (past, traffic): (Option<f64>, Option<Course>),
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
        .attr("load", load_then(traffic))
        .attr("limit", limit);
    let fact = begun(fact, onset, (&usage.throttled, shift), frame);
    Some(match before {
        Some(before) => fact.baseline(before),
        None => fact,
    })
}

/// Whether requests grew as well: then the limit is not what changed.
fn load_then(traffic: Option<Course>) -> &'static str {
    match traffic {
        Some(traffic) if traffic.now >= t::TRAFFIC_TIMES * traffic.before => "up",
        Some(_) => "level",
        None => "unknown",
    }
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

/// Much CPU where no limit says how much is too much: neither harm nor health.
fn busy(subject: &Entity, usage: &Usage, frame: Frame) -> Option<Observation> {
    let used = median(tail(&usage.cpu)).filter(|used| *used >= t::BUSY_CORES)?;
    if usage.cpu_limit.is_some_and(|limit| limit > 0.0) {
        return None;
    }
    let shift = change::shift(&usage.cpu).filter(|s| s.score >= t::CLEAR && s.after > s.before);
    let (onset, when) = onset(&usage.cpu, shift, frame);
    let says = format!("container {} uses {} cores {when}", subject.container, number(used));
    let fact = Observation::new("container.cpu_busy", subject.clone(), says).value(used, "1");
    Some(begun(fact, onset, (&usage.cpu, shift), frame))
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
