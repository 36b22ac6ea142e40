//! What a cause makes plain: harm on its own unit, on what stands in the places its document names,
//! and on the callers of whatever is so affected. Direction is data of the document: errors and
//! latency travel to callers, load to callees and to what else the callers call.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    case::{Case, SLACK},
    catalogue::{Cause, Place, matches_any},
    topology::Unit,
};

/// Units a cause affects, each with the signals it explains there.
#[derive(Debug, Clone, Default)]
pub struct Spread<'a> {
    reached: BTreeMap<Unit, Vec<(Place, &'a [String])>>,
}

impl<'a> Spread<'a> {
    /// Where the trouble of `cause` at `unit` can be felt.
    #[must_use]
    pub fn of(case: &Case<'_>, cause: &'a Cause, unit: Option<Unit>) -> Self {
        let mut spread = Self::default();
        let Some(unit) = unit else { return spread };
        let mut affected = BTreeSet::from([unit]);
        for (place, patterns) in cause.explains.places() {
            let mut units = case.topology.at(unit, place);
            if place == Place::Callees {
                units = case.topology.with_callees(units);
            }
            // Messages that wait at a broker are felt by nobody else who calls it.
            let passes_on = !patterns.iter().all(|pattern| pattern.starts_with("queue."));
            for reached in units {
                spread.reached.entry(reached).or_default().push((place, patterns));
                if passes_on {
                    affected.insert(reached);
                }
            }
        }
        if !cause.explains.callers.is_empty() {
            // Through an edge that its callers see working nothing spreads.
            let callers = case.topology.with_callers(affected, |at| serves_well(case, at));
            for caller in callers.into_iter().filter(|caller| *caller != unit) {
                let patterns = cause.explains.callers.as_slice();
                spread.reached.entry(caller).or_default().push((Place::Callers, patterns));
            }
        }
        spread
    }

    /// Whether the trouble can be felt at one of `units`.
    #[must_use]
    pub fn touches(&self, units: &BTreeSet<Unit>) -> bool {
        self.reached.keys().any(|unit| units.contains(unit))
    }

    /// The harm it explains. A cause begins before what it explains.
    #[must_use]
    pub fn explained(&self, case: &Case<'_>, start: Option<Timestamp>) -> BTreeSet<usize> {
        let mut explained = BTreeSet::new();
        let mut ails = BTreeMap::new();
        for (unit, held) in &self.reached {
            let here = case.on(*unit).iter().map(|index| (*index, false));
            let edges = case.of_peer(*unit).iter().map(|index| (*index, true));
            for (index, edge) in here.chain(edges) {
                let Some((seen, placed)) = case.get(index).filter(|(_, placed)| placed.harm) else {
                    continue;
                };
                // Who complains of another that ails by itself does not complain of this.
                let elsewhere =
                    placed.peer.filter(|peer| !edge && !self.reached.contains_key(peer));
                if held.iter().all(|(place, _)| *place == Place::Callers)
                    && elsewhere
                        .is_some_and(|peer| *ails.entry(peer).or_insert_with(|| ill(case, peer)))
                {
                    continue;
                }
                let signal = &seen.observation.signal;
                // A caller's view of a callee lies at both ends; the caller's end counts where
                // the caller itself is held back.
                let held = held.iter().filter(|(place, _)| {
                    !edge || (signal.starts_with("dependency.") && holds_back(*place))
                });
                let in_time = match (start, seen.observation.start) {
                    (Some(cause), Some(effect)) => cause.duration_since(effect) <= SLACK,
                    _ => true,
                };
                if in_time && held.into_iter().any(|(_, patterns)| matches_any(patterns, signal)) {
                    explained.insert(index);
                }
            }
        }
        explained
    }
}

fn holds_back(place: Place) -> bool {
    matches!(place, Place::Users | Place::Tenants | Place::Governed)
}

/// Whether something of this trouble hurts at a unit.
fn ill(case: &Case<'_>, unit: Unit) -> bool {
    case.on(unit).iter().any(|index| case.get(*index).is_some_and(|(_, placed)| placed.harm))
}

/// Whether callers see a unit working, and none sees it fail.
fn serves_well(case: &Case<'_>, unit: Unit) -> bool {
    case.shows(unit, &["dependency.healthy"])
        && !case.shows(unit, &["dependency.failing", "dependency.slow", "service.error_ratio_high"])
}
