//! Severity by effect on users, measured, never copied from the alert: P1 cannot be served, P2
//! badly or soon not, P3 degraded, P4 none.

use std::collections::BTreeSet;

use super::{case::Case, catalogue::Place, facts::Seen, weigh::Weighed};
use crate::investigation::finding::Severity;

/// Share of server errors at the alerted service from which users cannot be served.
const OUTAGE: f64 = 0.10;
/// Answers that take this long, in seconds, and this many times as long as usual, come too late.
const CRAWL: f64 = 2.0;
const CRAWL_TIMES: f64 = 5.0;
/// Share from which they are served badly.
const BAD: f64 = 0.01;

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
    let at_cause = explained.iter().filter_map(|index| seen.get(*index)).map(elsewhere).min();
    let least = standing.iter().map(|h| h.cause.severity).min();
    [at_alert, crawls, at_cause, least].into_iter().flatten().min().unwrap_or(Severity::P3)
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
