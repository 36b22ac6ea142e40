//! The verdict "healthy": it answers the alert's own claim with observations of health and finds
//! no harm of this trouble on the alerted units. It is never the mere absence of findings.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    case::{Case, SLACK},
    catalogue::{Place, Polarity, matches_any},
    facts::Seen,
    topology::Unit,
    weigh::Weighed,
};
use crate::alert::Alert;

/// Changes longer ago than this set no alert off.
const NEWS: SignedDuration = SignedDuration::from_hours(1);

/// Observations of health on the alerted units that answer the claim, when they carry the verdict.
#[must_use]
pub fn answers(case: &Case<'_>, alert: &Alert) -> Option<Vec<usize>> {
    let named = case.anchor.unknown.is_none() || !case.anchor.entities.is_empty();
    let well = case.symptoms().is_empty() || over(case).is_some();
    if !named || case.anchor.units.is_empty() || !well || blind(case) {
        return None;
    }
    let mut health: Vec<usize> = on_anchor(case, Polarity::Health);
    let wanted = wanted(case, alert)?;
    health.extend(around(case, &wanted));
    let neutral = on_anchor(case, Polarity::Neutral);
    // Told at its start how much to take, or noted as meant so: then it is no cache that still fills.
    let sized = neutral.iter().filter_map(|index| case.facts.seen().get(*index)).any(|seen| {
        seen.observation.signal == "intent.declared"
            && ["memory_sized", "by_design"].contains(&seen.observation.attr("what"))
    });
    let answered = health
        .iter()
        .filter_map(|index| case.facts.seen().get(*index))
        // A plugin's own words stand beside, they do not answer alone.
        .filter(|seen| !case.catalogue.is_guest(&seen.observation.signal))
        .filter(|seen| !at_the_brim(seen) || sized)
        .any(|seen| wanted.is_empty() || matches_any(&wanted, &seen.observation.signal));
    let tools: BTreeSet<_> = health
        .iter()
        .filter_map(|index| case.facts.seen().get(*index))
        .map(|seen| &seen.tool)
        .collect();
    // One source alone may be blind in one eye.
    if !answered || tools.len() < 2 {
        return None;
    }
    // What answers the claim is told first, then what is known of the whole, then of single pods.
    health.sort_by_key(|index| {
        let signal = case.facts.seen().get(*index).map_or("", |s| s.observation.signal.as_str());
        let kind = signal.split('.').next().unwrap_or_default();
        let row = ["service", "workload", "job"].iter().position(|k| *k == kind);
        (!matches_any(&wanted, signal), row.unwrap_or(usize::MAX))
    });
    Some(health)
}

/// The trouble that is over: it ended before now, as was measured, and nothing has hurt since.
/// `None` while anything goes on, or where nothing tells that it ended.
#[must_use]
pub fn over(case: &Case<'_>) -> Option<Vec<usize>> {
    let ended = ended(case)?;
    let symptoms = case.symptoms();
    symptoms.iter().all(|index| passed(case, *index, ended)).then(|| {
        symptoms.iter().copied().filter(|index| measured_end(case, *index).is_some()).collect()
    })
}

/// Whether all harm that a hypothesis rests on is over; a change is no harm and stays.
#[must_use]
pub fn is_past(case: &Case<'_>, weighed: &Weighed<'_>) -> bool {
    let harm = |index: &usize| {
        let seen = case.facts.seen().get(*index);
        seen.map(|seen| case.catalogue.polarity(&seen.observation.signal))
    };
    ended(case).is_some_and(|ended| {
        weighed.evidence.iter().all(|(index, _)| match harm(index) {
            Some(Polarity::Harm) => passed(case, *index, ended),
            Some(Polarity::Change) => false,
            Some(Polarity::Health | Polarity::Neutral) | None => true,
        })
    })
}

/// When the alerted units' trouble ended.
fn ended(case: &Case<'_>) -> Option<Timestamp> {
    case.symptoms().iter().filter_map(|index| measured_end(case, *index)).max()
}

/// When a measured harm ended that came back to the usual and stayed so.
fn measured_end(case: &Case<'_>, index: usize) -> Option<Timestamp> {
    let observation = &case.facts.seen().get(index)?.observation;
    observation.end.filter(|_| observation.attr("over") == "true")
}

/// Whether one harm ended with the trouble: by measure, or as a complaint that was not heard again.
fn passed(case: &Case<'_>, index: usize, ended: Timestamp) -> bool {
    let Some(seen) = case.facts.seen().get(index) else { return false };
    let observation = &seen.observation;
    if let Some(end) = measured_end(case, index) {
        return end.duration_since(ended) <= SLACK;
    }
    // Clocks of logs and scrapes differ by less than what must be calm after it.
    let last = observation.end.or(observation.start);
    observation.signal.starts_with("log.")
        && last.is_some_and(|last| last.duration_since(ended) <= SignedDuration::from_mins(1))
}

/// Level, and so close to the limit that an hour of data cannot tell a slow leak from a full cache.
fn at_the_brim(seen: &Seen) -> bool {
    const BRIM: f64 = 0.9;
    let observation = &seen.observation;
    observation.signal == "container.memory_steady" && observation.value.unwrap_or_default() >= BRIM
}

/// Whether a source that could have borne the claim out was not there to be asked.
fn blind(case: &Case<'_>) -> bool {
    case.facts.blindness().iter().any(|blind| {
        blind.signals.iter().any(|signal| {
            case.claim.is_none_or(|claim| {
                matches_any(&claim.harm, signal) || matches_any(&claim.health, signal)
            })
        })
    })
}

/// What is remarkable on the alerted units without being harm: answers of 4xx, what was declared,
/// changes shortly before the alert, and complaints that were always there where the alert speaks of them.
#[must_use]
pub fn remarkable(case: &Case<'_>) -> Vec<usize> {
    let seen = |index: &usize| case.facts.seen().get(*index);
    let mut found: Vec<usize> = on_anchor(case, Polarity::Neutral);
    let declared = |index: &usize| {
        seen(index).is_some_and(|seen| seen.observation.signal == "intent.declared")
    };
    found.retain(|index| is_callers_fault(case, *index) || declared(index));
    let fresh = |seen: &&Seen| {
        let start = seen.observation.start;
        start.is_some_and(|at| case.anchor.now.duration_since(at) <= NEWS)
    };
    let changes = on_anchor(case, Polarity::Change).into_iter();
    found.extend(changes.filter(|index| seen(index).filter(fresh).is_some()));
    let always = |seen: &&Seen| {
        let observation = &seen.observation;
        observation.attr("is_new") == "false"
            && case.claim.is_some_and(|claim| claim.harm.contains(&observation.signal))
    };
    let mut complaints = on_anchor(case, Polarity::Harm);
    complaints.retain(|index| seen(index).filter(always).is_some());
    let count = |index: &usize| seen(index).map_or(0, |seen| seen.observation.count);
    complaints.sort_by_key(|index| std::cmp::Reverse(count(index)));
    found.extend(complaints.into_iter().take(2));
    found
}

/// Whether an observation tells of answers that callers cause.
#[must_use]
pub fn is_callers_fault(case: &Case<'_>, index: usize) -> bool {
    let seen = case.facts.seen().get(index);
    seen.is_some_and(|seen| seen.observation.signal == "service.client_errors_high")
}

fn on_anchor(case: &Case<'_>, polarity: Polarity) -> Vec<usize> {
    let seen = case.facts.seen().iter().enumerate();
    seen.filter(|(_, seen)| case.catalogue.polarity(&seen.observation.signal) == polarity)
        .filter(|(_, seen)| {
            let unit = case.topology.unit(&seen.observation.subject);
            unit.is_some_and(|unit| case.anchor.units.contains(&unit))
        })
        .map(|(index, _)| index)
        .collect()
}

/// Health that answers the claim on what the alerted units use or are governed by: an alert about
/// an autoscaler or a certificate names the service they are for.
fn around(case: &Case<'_>, wanted: &[String]) -> Vec<usize> {
    let places = [Place::Governors, Place::Used];
    let units: BTreeSet<Unit> = case
        .anchor
        .units
        .iter()
        .flat_map(|unit| places.iter().flat_map(|place| case.topology.at(*unit, *place)))
        .filter(|unit| !case.anchor.units.contains(unit))
        .collect();
    let found = units.iter().flat_map(|unit| case.on(*unit)).copied();
    let answers = |index: &usize| {
        case.get(*index).is_some_and(|(seen, placed)| {
            placed.polarity == Polarity::Health && matches_any(wanted, &seen.observation.signal)
        })
    };
    // Where one of them ails, another one's health answers nothing.
    let ails = units.iter().flat_map(|unit| case.on(*unit)).any(|index| {
        case.get(*index).is_some_and(|(seen, placed)| {
            placed.harm
                && case.claim.is_some_and(|c| matches_any(&c.harm, &seen.observation.signal))
        })
    });
    if ails { Vec::new() } else { found.filter(answers).collect() }
}

/// The signals that answer the alert's claim: any of health when it claims nothing in particular,
/// none at all when nothing here can see what it claims.
fn wanted(case: &Case<'_>, alert: &Alert) -> Option<Vec<String>> {
    if alert.kind.is_empty() && alert.description.is_empty() {
        return Some(Vec::new());
    }
    case.claim.map(|claim| claim.health.clone())
}
