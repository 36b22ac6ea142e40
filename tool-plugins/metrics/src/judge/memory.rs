//! How a container's memory stands against its limit and how it moves. Growth counts as steady
//! only when it goes on through the whole life of a process: what jumps at once is a large input,
//! what grows less and less is a cache that fills.

use agent_sdk::{Entity, Observation};

use super::{percent, time};
use crate::{
    change::{self, median},
    flow::Frame,
    thresholds as t,
    usage::Usage,
    view::bytes,
};

/// Requests before and during growth, when they are known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load<'a> {
    /// Requests per second that the container's workload gets.
    pub total: Option<&'a [f64]>,
}

/// Growth of one life of a process.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Growth {
    per_step: f64,
    from: usize,
    to: usize,
    start: f64,
    end: f64,
}

/// All facts about memory.
#[must_use]
pub fn judge(subject: &Entity, usage: &Usage, load: Load<'_>, frame: Frame) -> Vec<Observation> {
    let limit = usage.memory_limit.filter(|limit| *limit > 0.0);
    let lives = lives(&usage.memory);
    let longest = lives.iter().max_by_key(|(from, to)| to - from).copied();
    let growth = longest.and_then(|life| {
        growth(&usage.memory, life, t::GROWTH_LEAST, frame).or_else(|| {
            // Creeping is less than the noise of single values.
            let calm = calmed(&usage.memory, life);
            let slow = growth(&calm, life, t::CREEPING_LEAST, frame)?;
            limit.is_some_and(|limit| fills_soon(slow, limit, frame)).then_some(slow)
        })
    });
    let level = steady(subject, &usage.memory, limit);
    let mut facts = Vec::new();
    // What was near its limit all along and does not move is sized so.
    if let Some(limit) = limit
        && level.as_ref().is_none_or(|fact| fact.as_wire().value >= Some(t::AT_LIMIT))
    {
        facts.extend(near_limit(subject, &usage.memory, limit, frame));
    }
    match growth {
        Some(growth) => {
            let falls = lives.len().saturating_sub(1);
            facts.extend(growing(subject, limit, (growth, falls, load), frame));
        }
        None => {
            facts.extend(jumped(subject, &usage.memory, limit, frame));
            facts.extend(level);
        }
    }
    facts
}

/// A level that rose at once: more was given to it, or it was given more to hold.
fn jumped(
    subject: &Entity,
    memory: &[f64],
    limit: Option<f64>,
    frame: Frame,
) -> Option<Observation> {
    let shift = change::shift(memory)
        .filter(|s| s.score >= t::CLEAR && s.after >= t::MEMORY_JUMPS * s.before)?;
    let of = limit.map(|l| format!(", its limit is {}", bytes(l))).unwrap_or_default();
    let says = format!(
        "memory of container {} jumped at {}: {}, before {}{of}",
        subject.container,
        time(frame, shift.start)?.strftime("%H:%M"),
        bytes(shift.after),
        bytes(shift.before)
    );
    let fact = Observation::new("container.memory_jumped", subject.clone(), says)
        .value(shift.after, "By")
        .baseline(shift.before);
    Some(super::timed(fact, Some(shift), frame))
}

/// Parts between falls by [`t::FALL`]: from one restart or collection to the next.
fn lives(memory: &[f64]) -> Vec<(usize, usize)> {
    let mut lives: Vec<(usize, usize)> = Vec::new();
    let mut top = 0.0_f64;
    let mut last = None;
    for (index, value) in memory.iter().copied().enumerate().filter(|(_, v)| v.is_finite()) {
        let begins = last.is_none() || value < top * (1.0 - t::FALL);
        if begins {
            lives.push((index, index));
            top = value;
        } else {
            top = top.max(value);
            if let Some(life) = lives.last_mut() {
                life.1 = index;
            }
        }
        last = Some(index);
    }
    lives
}

/// The same values, each the median of the tenth of a life in which it lies.
fn calmed(memory: &[f64], (from, to): (usize, usize)) -> Vec<f64> {
    let part = ((to + 1).saturating_sub(from) / 10).max(1);
    let place = |index: usize| from + (index.saturating_sub(from) / part) * part;
    let tenth = |index: usize| memory.get(place(index)..(place(index) + part).min(to + 1));
    (0..memory.len()).map(|index| tenth(index).and_then(median).unwrap_or(f64::NAN)).collect()
}

/// Whether memory that creeps comes to its limit within the day, and is not far from it by now.
fn fills_soon(growth: Growth, limit: f64, frame: Frame) -> bool {
    let per_hour = growth.per_step * 3600.0 / frame.step_seconds();
    let left = (limit - growth.end).max(0.0);
    let lasted = frame.grid.time_ms(growth.to) - frame.grid.time_ms(growth.from);
    lasted >= t::CREEPING_LASTS_MS
        && growth.end >= t::CREEPING_FROM * limit
        && left <= per_hour * t::CREEPING_HOURS
}

fn growth(memory: &[f64], (from, to): (usize, usize), least: f64, frame: Frame) -> Option<Growth> {
    let values = memory.get(from..=to)?;
    if frame.grid.time_ms(to) - frame.grid.time_ms(from) < t::GROWTH_LASTS_MS {
        return None;
    }
    let trend = change::trend(values)?;
    let few = 5.min(values.len());
    let start = median(values.get(..few)?)?;
    let end = median(values.get(values.len() - few..)?)?;
    let goes_on = thirds(values).is_some_and(|parts| {
        parts.iter().all(|part| *part >= t::GROWTH_OF_EACH_THIRD * (end - start))
    });
    let rises = trend.rising >= t::GROWTH_RISING && end - start >= least * start;
    (rises && goes_on && trend.slope > 0.0).then_some(Growth {
        per_step: trend.slope,
        from,
        to,
        start,
        end,
    })
}

/// Growth in each third of the time.
fn thirds(values: &[f64]) -> Option<[f64; 3]> {
    let n = values.len();
    let few = (n / 12).max(2);
    let at = |place: usize| {
        let from = place.saturating_sub(few / 2).min(n - few);
        median(values.get(from..from + few)?)
    };
    let [a, b, c, d] = [at(0)?, at(n / 3)?, at(2 * n / 3)?, at(n - 1)?];
    Some([b - a, c - b, d - c])
}

fn growing(
    subject: &Entity,
    limit: Option<f64>,
    (growth, falls, load): (Growth, usize, Load<'_>),
    frame: Frame,
) -> Option<Observation> {
    let per_hour = growth.per_step * 3600.0 / frame.step_seconds();
    let share = per_hour / limit.unwrap_or(growth.start);
    let soon = limit.is_some_and(|limit| fills_soon(growth, limit, frame));
    if share < t::GROWTH_PER_HOUR && !soon {
        return None;
    }
    let requests = load_during(load, growth);
    let of = limit.map(|l| format!(" ({} of its limit of {})", percent(share), bytes(l)));
    let with = match requests {
        "level" => ", at level load",
        "up" => ", as it gets more requests",
        _ => "",
    };
    let again = match falls {
        0 => String::new(),
        n => format!("; it fell and grew anew {n} times"),
    };
    let says = format!(
        "memory of container {} grows by {} per hour{}{with}: {} to {}{again}",
        subject.container,
        bytes(per_hour),
        of.unwrap_or_default(),
        bytes(growth.start),
        bytes(growth.end)
    );
    let fact = Observation::new("container.memory_growing", subject.clone(), says)
        .value(share, "1/h")
        .maybe_since(time(frame, growth.from))
        .maybe_until(time(frame, growth.to))
        .attr("load", requests)
        .attr("falls", falls.to_string())
        .attr("per_hour", bytes(per_hour))
        .attr("from", bytes(growth.start))
        .attr("to", bytes(growth.end))
        .attr("onset", if growth.from == 0 { "before_data" } else { "seen" });
    Some(match limit {
        Some(limit) => fact.attr("limit", bytes(limit)),
        None => fact,
    })
}

/// Whether requests grew as the memory did.
fn load_during(load: Load<'_>, growth: Growth) -> &'static str {
    let inside = load.total.and_then(|total| total.get(growth.from..=growth.to));
    let Some(inside) = inside else { return "unknown" };
    let third = inside.len() / 3;
    let (first, last) = (inside.get(..third), inside.get(inside.len() - third..));
    match (first.and_then(median), last.and_then(median)) {
        (Some(first), Some(last)) if last > t::AS_USUAL_TIMES * first => "up",
        (Some(_), Some(_)) => "level",
        _ => "unknown",
    }
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

fn steady(subject: &Entity, memory: &[f64], limit: Option<f64>) -> Option<Observation> {
    let mut sorted: Vec<f64> = memory.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| sorted.get(sorted.len() * share / 100).copied();
    let (low, middle, high) = (at(5)?, at(50)?, at(95)?);
    if sorted.len() < 10 || high - low > t::LEVEL_SPREAD * middle {
        return None;
    }
    let level = limit.map_or_else(
        || bytes(middle),
        |limit| format!("{} of its limit of {}", percent(middle / limit), bytes(limit)),
    );
    let says = format!("memory of container {} is level at {level}", subject.container);
    let fact = Observation::new("container.memory_steady", subject.clone(), says);
    Some(match limit {
        Some(limit) => fact.value(middle / limit, "1").attr("limit", bytes(limit)),
        None => fact.value(middle, "By"),
    })
}
