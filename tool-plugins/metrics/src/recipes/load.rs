//! Who brings load: a service that gets more requests gets them from outside, or from one caller
//! that sends more than it is asked for itself. Load travels from caller to callee, so the source
//! is looked for against the calls.

use agent_sdk::{Entity, Observation};

use crate::{
    change::{self, Shift},
    flow::{Flow, Frame},
    judge::{since, timed},
    scope::Edge,
    thresholds as t,
    view::number,
};

/// Where added load comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// No caller inside brings it.
    Outside,
    /// A caller that was itself asked for as much more.
    PassedOn(Entity),
    /// A caller that was not.
    Caller(Entity),
}

/// Facts about the requests that `service` gets: more, fewer or as many as usual, and from whom.
#[must_use]
pub fn judge(service: &Entity, flow: &Flow, edges: &[Edge<'_>], frame: Frame) -> Vec<Observation> {
    let shift = change::shift(&flow.total).filter(|s| s.score >= t::CLEAR);
    let level = change::median(&flow.total).unwrap_or(0.0);
    let Some(shift) = shift.filter(|s| s.before.max(s.after) >= t::TRAFFIC_LEAST) else {
        return as_usual(service, level).into_iter().collect();
    };
    let up = shift.after >= t::TRAFFIC_TIMES * shift.before;
    let down = shift.after * t::TRAFFIC_TIMES <= shift.before;
    if !up && !down {
        return Vec::new();
    }
    let (signal, verb) =
        if up { ("service.traffic_up", "more") } else { ("service.traffic_down", "fewer") };
    let says = format!(
        "{} gets {verb} requests {}: {}/s, usually {}/s",
        service.name,
        since(Some(shift), frame),
        number(shift.after),
        number(shift.before)
    );
    let fact = |signal: &str, subject: &Entity, says: String| {
        let fact = Observation::new(signal, subject.clone(), says)
            .value(shift.after, "1/s")
            .baseline(shift.before)
            .attr(
                "size",
                if shift.after >= t::FLOOD_TIMES * shift.before { "several" } else { "some" },
            )
            .attr("times", number(shift.after / shift.before.max(0.01)));
        timed(fact, Some(shift), frame)
    };
    if !up {
        return vec![fact(signal, service, says)];
    }
    match source(service, shift, edges) {
        Source::Outside => vec![fact(signal, service, says).attr("source", "outside")],
        Source::PassedOn(caller) => {
            let says = format!("{says}, passed on by {}", caller.name);
            vec![fact(signal, service, says).attr("source", "passed_on").peer(caller)]
        }
        Source::Caller(caller) => {
            let says = format!("{says}, from {}", caller.name);
            let up = fact(signal, service, says).attr("source", "caller").peer(caller.clone());
            std::iter::once(up).chain(flood(service, &caller, edges, frame)).collect()
        }
    }
}

fn as_usual(service: &Entity, level: f64) -> Option<Observation> {
    if level < t::TRAFFIC_LEAST {
        return None;
    }
    let says = format!("{} gets {} requests/s, as usual", service.name, number(level));
    let fact = Observation::new("service.traffic_normal", service.clone(), says);
    Some(fact.value(level, "1/s"))
}

/// Mean over a part of the time.
fn mean(values: &[f64], from: usize, to: usize) -> f64 {
    let inside = values.get(from..to.min(values.len())).unwrap_or_default();
    let there: Vec<f64> = inside.iter().copied().filter(|v| v.is_finite()).collect();
    let count = f64::from(u32::try_from(there.len().max(1)).unwrap_or(u32::MAX));
    there.iter().sum::<f64>() / count
}

/// Before the change, and from it to its end.
fn around(flow: &Flow, shift: Shift) -> (f64, f64) {
    (mean(&flow.total, 0, shift.start), mean(&flow.total, shift.start, shift.end + 1))
}

fn source(service: &Entity, shift: Shift, edges: &[Edge<'_>]) -> Source {
    let added = shift.after - shift.before;
    let callers = edges.iter().filter(|e| e.called.as_ref() == Some(service));
    let brings = |edge: &&Edge<'_>| {
        let (before, after) = around(edge.flow, shift);
        (after - before) / added
    };
    let most = callers.max_by(|a, b| brings(a).total_cmp(&brings(b)));
    let Some(edge) = most.filter(|edge| brings(edge) >= t::FLOOD_SHARE) else {
        return Source::Outside;
    };
    let (before, after) = around(edge.flow, shift);
    let times = after / before.max(0.01);
    let asked = asked(&edge.subject, edges, shift).map(|(b, a)| a / b.max(0.01));
    match asked {
        // Asked for as much more itself, it only passes on what it gets.
        Some(asked) if asked >= 0.6 * times => Source::PassedOn(edge.subject.clone()),
        _ if times >= t::TRAFFIC_TIMES => Source::Caller(edge.subject.clone()),
        _ => Source::Outside,
    }
}

/// What a service was asked for before and after a change: by its own count, else by those of all
/// who call it.
fn asked(service: &Entity, edges: &[Edge<'_>], shift: Shift) -> Option<(f64, f64)> {
    let own = edges.iter().find(|e| e.called.is_none() && e.subject == *service);
    own.map(|e| around(e.flow, shift)).or_else(|| {
        let calls = edges.iter().filter(|e| e.called.as_ref() == Some(service));
        let seen = calls.map(|e| around(e.flow, shift));
        seen.reduce(|(before, after), (b, a)| (before + b, after + a))
    })
}

/// The caller's own part in it: it sends several times what it did, unasked.
fn flood(
    service: &Entity,
    caller: &Entity,
    edges: &[Edge<'_>],
    frame: Frame,
) -> Option<Observation> {
    let edge = edges.iter().find(|e| e.called.as_ref() == Some(service) && e.subject == *caller)?;
    let shift = change::shift(&edge.flow.total).filter(|s| s.score >= t::CLEAR)?;
    if shift.after < t::FLOOD_TIMES * shift.before {
        return None;
    }
    let failing = change::shift(&edge.flow.failed)
        .filter(|f| f.after > f.before && f.start + 2 < shift.start);
    // Calls that failed before they grew in number are tried again: an effect, not the source.
    let first = if failing.is_some() { "errors" } else { "load" };
    let says = format!(
        "{} sends {}/s to {} {}, usually {}/s, without being asked for more itself",
        caller.name,
        number(shift.after),
        service.name,
        since(Some(shift), frame),
        number(shift.before)
    );
    let fact = Observation::new("traffic.flood", caller.clone(), says)
        .value(shift.after, "1/s")
        .baseline(shift.before)
        .attr("first", first)
        .attr("times", number(shift.after / shift.before.max(0.01)))
        .peer(service.clone());
    Some(timed(fact, Some(shift), frame))
}
