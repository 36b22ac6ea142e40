//! The verdict "healthy": it answers the alert's own claim with observations of health and finds
//! no harm of this trouble on the alerted units. It is never the mere absence of findings.

use std::collections::BTreeSet;

use super::{
    case::Case,
    catalogue::{Polarity, matches_any},
    facts::Seen,
};
use crate::alert::Alert;

/// Observations of health on the alerted units that answer the claim, when they carry the verdict.
#[must_use]
pub fn answers(case: &Case<'_>, alert: &Alert) -> Option<Vec<usize>> {
    let named = case.anchor.unknown.is_none() || !case.anchor.entities.is_empty();
    if !named || case.anchor.units.is_empty() || !case.symptoms().is_empty() {
        return None;
    }
    let health: Vec<usize> = on_anchor(case, Polarity::Health);
    if blind(case) {
        return None;
    }
    let wanted = wanted(case, alert)?;
    let answered = health
        .iter()
        .filter_map(|index| case.facts.seen().get(*index))
        // A plugin's own words stand beside, they do not answer alone.
        .filter(|seen| !case.catalogue.is_guest(&seen.observation.signal))
        .filter(|seen| !at_the_brim(seen))
        .any(|seen| wanted.is_empty() || matches_any(&wanted, &seen.observation.signal));
    let tools: BTreeSet<_> = health
        .iter()
        .filter_map(|index| case.facts.seen().get(*index))
        .map(|seen| &seen.tool)
        .collect();
    // One source alone may be blind in one eye.
    (answered && tools.len() >= 2).then_some(health)
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

/// What is remarkable on the alerted units without being harm, such as answers of 4xx.
#[must_use]
pub fn remarkable(case: &Case<'_>) -> Vec<usize> {
    let mut found = on_anchor(case, Polarity::Neutral);
    found.retain(|index| {
        case.facts
            .seen()
            .get(*index)
            .is_some_and(|seen| seen.observation.signal == "service.client_errors_high")
    });
    found
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

/// The signals that answer the alert's claim: any of health when it claims nothing in particular,
/// none at all when nothing here can see what it claims.
fn wanted(case: &Case<'_>, alert: &Alert) -> Option<Vec<String>> {
    if alert.kind.is_empty() && alert.description.is_empty() {
        return Some(Vec::new());
    }
    case.claim.map(|claim| claim.health.clone())
}
