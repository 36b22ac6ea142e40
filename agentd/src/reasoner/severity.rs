//! Severity by effect on users, measured, never copied from the alert: P1 cannot be served, P2
//! badly or soon not, P3 degraded, P4 none.

use std::collections::BTreeSet;

use super::{case::Case, facts::Seen, weigh::Weighed};
use crate::investigation::finding::Severity;

/// Share of server errors at the alerted service from which users cannot be served.
const OUTAGE: f64 = 0.10;
/// Share from which they are served badly.
const BAD: f64 = 0.01;

/// Judges the effect of the causes that stand.
#[must_use]
pub fn judge(case: &Case<'_>, standing: &[&Weighed<'_>]) -> Severity {
    let explained: BTreeSet<usize> =
        standing.iter().flat_map(|h| h.explained.iter().copied()).collect();
    let symptoms = case.symptoms();
    let seen = case.facts.seen();
    let at_alert = symptoms.iter().filter_map(|index| seen.get(*index)).map(at_alerted).min();
    let at_cause = explained.iter().filter_map(|index| seen.get(*index)).map(elsewhere).min();
    let least = standing.iter().map(|h| h.cause.severity).min();
    [at_alert, at_cause, least].into_iter().flatten().min().unwrap_or(Severity::P3)
}

fn at_alerted(seen: &Seen) -> Severity {
    let observation = &seen.observation;
    let value = observation.value.unwrap_or_default();
    match observation.signal.as_str() {
        "service.error_ratio_high" if value >= OUTAGE => Severity::P1,
        "service.error_ratio_high" if value >= BAD => Severity::P2,
        "service.no_endpoints" | "service.selector_matches_nothing" => Severity::P1,
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
