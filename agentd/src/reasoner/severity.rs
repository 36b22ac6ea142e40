//! Severity by effect on users, measured, never copied from the alert: P1 cannot be served, P2
//! badly or soon not, P3 degraded, P4 none.

use std::collections::BTreeSet;

use super::{case::Case, catalogue::Place, facts::Seen, topology::Unit, weigh::Weighed};
use crate::investigation::finding::Severity;

/// Share of server errors at the alerted service from which users cannot be served.
const OUTAGE: f64 = 0.10;
/// Answers that take this long, in seconds, and this many times as long as usual, come too late.
const CRAWL: f64 = 2.0;
const CRAWL_TIMES: f64 = 5.0;
/// Share from which they are served badly.
const BAD: f64 = 0.01;
/// Share of calls to one callee that must fail for those to be lost who need it, where what the
/// caller itself answers is not measured: it may have other things to answer with.
const MOST: f64 = 0.5;
/// Share of the usual requests below which users are turned away before they are asked for.
const FEW: f64 = 0.2;

/// Judges the effect of the causes that stand.
#[must_use]
pub fn judge(case: &Case<'_>, standing: &[&Weighed<'_>]) -> Severity {
    let explained: BTreeSet<usize> =
        standing.iter().flat_map(|h| h.explained.iter().copied()).collect();
    let symptoms = case.symptoms();
    let seen = case.facts.seen();
    let at_alert = symptoms.iter().filter_map(|index| seen.get(*index));
    let at_alert = at_alert.map(|seen| at_alerted(case, seen)).min();
    let crawls = crawls(case).then_some(Severity::P1);
    let felt = felt(case, &explained);
    let cut_off = standing.iter().any(|h| cut_off(case, h)).then_some(Severity::P1);
    let at_cause = explained.iter().filter_map(|index| seen.get(*index)).map(elsewhere).min();
    let least = standing.iter().map(|h| h.cause.severity).min();
    let all = [at_alert, crawls, felt, cut_off, at_cause, least];
    all.into_iter().flatten().min().unwrap_or(Severity::P3)
}

/// What users meet: errors of a service that nobody else stands before; calls of the alerted one
/// that fail, where its own answers are not measured; requests that no longer come, when it is
/// known why.
fn felt(case: &Case<'_>, explained: &BTreeSet<usize>) -> Option<Severity> {
    let alerted = |unit: Option<Unit>| unit.is_some_and(|unit| case.anchor.units.contains(&unit));
    let first = |unit: Option<Unit>| {
        unit.is_some_and(|unit| case.topology.at(unit, Place::Callers).is_empty())
    };
    let measured = |unit: Option<Unit>| {
        let own = ["service.error_ratio_high", "service.error_ratio_normal"];
        unit.is_some_and(|unit| case.shows(unit, &own))
    };
    let graded = |value: f64, outage: f64| match value {
        v if v >= outage => Some(Severity::P1),
        v if v >= BAD => Some(Severity::P2),
        _ => None,
    };
    let harm = case.all().filter(|(_, _, placed)| placed.harm && !placed.guest);
    harm.filter_map(|(index, seen, placed)| {
        let observation = &seen.observation;
        let value = observation.value.unwrap_or_default();
        let usual = observation.baseline.unwrap_or_default();
        let caused = explained.contains(&index);
        match observation.signal.as_str() {
            "service.error_ratio_high" if caused && first(placed.unit) => graded(value, OUTAGE),
            "dependency.failing" if alerted(placed.peer) && !measured(placed.peer) => {
                graded(value, MOST)
            }
            "service.traffic_down"
                if caused && alerted(placed.unit) && usual > 0.0 && value <= FEW * usual =>
            {
                Some(Severity::P1)
            }
            _ => None,
        }
    })
    .min()
}

/// Slow beyond patience, and giving up in part: who waits is not served.
fn crawls(case: &Case<'_>) -> bool {
    let at_alert = || {
        let symptoms = case.symptoms().iter().filter_map(|index| case.facts.seen().get(*index));
        symptoms.map(|seen| &seen.observation)
    };
    let slow = at_alert().any(|o| {
        let (now, usual) = (o.value.unwrap_or_default(), o.baseline.unwrap_or_default());
        o.signal == "service.latency_high" && now >= CRAWL && now >= CRAWL_TIMES * usual
    });
    let gives_up = at_alert()
        .any(|o| o.signal == "service.error_ratio_high" && o.value.unwrap_or_default() >= BAD);
    slow && gives_up
}

/// Where nobody measures how the alerted service answers: it complains about what it needs, and
/// nothing of that is there.
fn cut_off(case: &Case<'_>, weighed: &Weighed<'_>) -> bool {
    let Some(unit) = weighed.unit.filter(|unit| !case.anchor.units.contains(unit)) else {
        return false;
    };
    let measured = ["service.error_ratio_high", "service.error_ratio_normal"];
    let unmeasured = !case.anchor.units.iter().any(|unit| case.shows(*unit, &measured));
    let complains =
        case.symptoms().iter().filter_map(|index| case.get(*index)).any(|(seen, at)| {
            at.peer == Some(unit) && seen.observation.signal == "log.connection_refused"
        });
    unmeasured && complains && case.shows(unit, &["service.no_endpoints"])
}

/// Whether anybody is seen to need the unit of an object.
fn needed(case: &Case<'_>, seen: &Seen) -> bool {
    case.topology.unit(&seen.observation.subject).is_some_and(|unit| {
        !case.topology.at(unit, Place::Callers).is_empty()
            || case.shows(unit, &["service.error_ratio_high", "service.traffic_down"])
    })
}

fn at_alerted(case: &Case<'_>, seen: &Seen) -> Severity {
    let observation = &seen.observation;
    let value = observation.value.unwrap_or_default();
    match observation.signal.as_str() {
        "service.error_ratio_high" if value >= OUTAGE => Severity::P1,
        "service.error_ratio_high" if value >= BAD => Severity::P2,
        "service.no_endpoints" | "service.selector_matches_nothing" if needed(case, seen) => {
            Severity::P1
        }
        "service.no_endpoints" | "service.selector_matches_nothing" => Severity::P2,
        _ => elsewhere(seen),
    }
}

fn elsewhere(seen: &Seen) -> Severity {
    let observation = &seen.observation;
    match observation.signal.as_str() {
        "container.crash_looping" | "container.oom_killed" | "job.failed" | "pod.evicted" => {
            Severity::P2
        }
        "workload.replicas_missing" => {
            let ready = observation.value.unwrap_or_default();
            let wanted = observation.baseline.unwrap_or_default();
            // Less than half of the replicas: soon nobody is served.
            if ready * 2.0 < wanted { Severity::P2 } else { Severity::P3 }
        }
        _ => Severity::P3,
    }
}
