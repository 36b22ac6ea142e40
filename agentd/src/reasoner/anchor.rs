//! What the alert is about, in terms of the objects met: the units it names, else those its words
//! name, else its namespace, else everything. Also the moment the trouble began there.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    catalogue::{Catalogue, Polarity, matches_any},
    claim::Claim,
    facts::{Facts, Seen},
    topology::{Topology, Unit},
};
use crate::{alert::Alert, fact::Entity};

/// How the alert was matched to objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// A tool resolved the service, or an object carries its name.
    Named,
    /// The description names an object.
    Described,
    /// Only the namespace is known.
    Namespace,
    /// Nothing is known: every object met is a candidate.
    Everything,
}

/// What the alert is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Anchor {
    /// How it was found.
    pub how: Match,
    /// The objects named, best first; empty when only a namespace or nothing is known.
    pub entities: Vec<Entity>,
    /// Their units.
    pub units: BTreeSet<Unit>,
    /// Namespaces it lies in.
    pub namespaces: BTreeSet<String>,
    /// When the trouble began at these units.
    pub onset: Timestamp,
    /// "Now" in the world that was looked at.
    pub now: Timestamp,
    /// What the alert asked for and nothing answers to, with its namespace where nothing at all lies
    /// in that, and the nearest names.
    pub unknown: Option<(String, String)>,
}

/// Harm that ended longer ago than this is not of this trouble.
pub const OLD: SignedDuration = SignedDuration::from_hours(2);
/// Trouble that began longer before the alert than this does not set the onset.
const LONG_BEFORE: SignedDuration = SignedDuration::from_hours(6);

impl Anchor {
    /// Finds what `alert` is about. `fallback_now` is used while no data carries a time.
    #[must_use]
    pub fn find(
        alert: &Alert,
        facts: &Facts,
        topology: &Topology,
        catalogue: &Catalogue,
        fallback_now: Timestamp,
    ) -> Self {
        let now = facts.now().unwrap_or(fallback_now);
        let (how, entities) = named(alert, facts, topology);
        let mut namespaces: BTreeSet<String> =
            entities.iter().map(|e| e.namespace.clone()).filter(|n| !n.is_empty()).collect();
        if namespaces.is_empty() && !alert.namespace.is_empty() {
            namespaces.insert(alert.namespace.clone());
        }
        let units = match how {
            Match::Named | Match::Described => {
                entities.iter().filter_map(|e| topology.unit(e)).collect()
            }
            Match::Namespace => units_of(topology, |e| namespaces.contains(&e.namespace)),
            Match::Everything => units_of(topology, |_| true),
        };
        let mut anchor = Self {
            how,
            entities,
            units,
            namespaces,
            onset: now,
            now,
            unknown: unknown(alert, facts),
        };
        anchor.onset = anchor.find_onset(alert, facts, topology, catalogue);
        anchor
    }

    /// Whether harm seen is of this trouble, judged by when it was last seen.
    #[must_use]
    pub fn current(&self, seen: &Seen) -> bool {
        let last = seen.observation.end.or(seen.observation.start);
        last.is_none_or(|last| self.now.duration_since(last) <= OLD)
    }

    /// Whether an object lies in one of the anchor's namespaces.
    #[must_use]
    pub fn neighbour(&self, entity: &Entity) -> bool {
        self.namespaces.contains(&entity.namespace)
    }

    fn find_onset(
        &self,
        alert: &Alert,
        facts: &Facts,
        topology: &Topology,
        catalogue: &Catalogue,
    ) -> Timestamp {
        let alerted = alert.start.or(facts.first_observed_at()).unwrap_or(self.now);
        let claim = Claim::of(catalogue.claims(), alert);
        let mut earliest = [None::<Timestamp>; 4];
        for seen in facts.seen().iter().filter(|seen| self.sets_onset(seen, topology, catalogue)) {
            let observation = &seen.observation;
            let recent = |at: &Timestamp| alerted.duration_since(*at) <= LONG_BEFORE;
            let Some(start) = observation.start.filter(recent) else { continue };
            let signal = observation.signal.as_str();
            let claimed = claim.is_some_and(|claim| matches_any(&claim.harm, signal));
            // What the alert speaks of tells best when it began, and what was measured better than
            // what a program says: a stray error before it does not, and still less a warning.
            let tier = match observation.attr("level") {
                "WARN" => 3,
                _ if !claimed => 2,
                _ if signal.starts_with("log.") => 1,
                _ => 0,
            };
            if let Some(known) = earliest.get_mut(tier) {
                *known = Some(known.map_or(start, |known| known.min(start)));
            }
        }
        let first = earliest.into_iter().flatten().next();
        first.map_or(alerted, |first| first.min(alerted))
    }

    fn sets_onset(&self, seen: &Seen, topology: &Topology, catalogue: &Catalogue) -> bool {
        let observation = &seen.observation;
        catalogue.polarity(&observation.signal) == Polarity::Harm
            && self.current(seen)
            && observation.attr("is_new") != "false"
            // A plugin's own words do not move the onset, by which changes are judged.
            && !catalogue.is_guest(&observation.signal)
            && topology.unit(&observation.subject).is_some_and(|u| self.units.contains(&u))
    }
}

fn named(alert: &Alert, facts: &Facts, topology: &Topology) -> (Match, Vec<Entity>) {
    let resolved: Vec<Entity> = facts
        .seen()
        .iter()
        .filter(|seen| seen.observation.signal == "target.resolved")
        .filter(|seen| seen.observation.attr("asked") == alert.service)
        .map(|seen| seen.observation.subject.whole())
        .collect();
    if !alert.service.is_empty() && !resolved.is_empty() {
        return (Match::Named, resolved);
    }
    let carries = |name: &str| -> Vec<Entity> {
        let fits = |e: &&Entity| {
            e.name == name && (alert.namespace.is_empty() || e.namespace == alert.namespace)
        };
        topology.entities().iter().filter(fits).cloned().collect()
    };
    if !alert.service.is_empty() {
        let found = carries(&alert.service);
        if !found.is_empty() {
            return (Match::Named, found);
        }
    } else if let Some(found) = described(alert, topology) {
        return (Match::Described, found);
    }
    if alert.namespace.is_empty() {
        (Match::Everything, Vec::new())
    } else {
        (Match::Namespace, Vec::new())
    }
}

/// Objects whose name stands in the description as a word; the longest such name wins.
fn described(alert: &Alert, topology: &Topology) -> Option<Vec<Entity>> {
    let words: BTreeSet<&str> = alert
        .description
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.'))
        .map(|word| word.trim_matches(['.', '-']))
        .collect();
    let hit = topology
        .entities()
        .iter()
        .filter(|e| matches!(e.kind.as_str(), "Service" | "Deployment" | "StatefulSet" | "Job"))
        .filter(|e| alert.namespace.is_empty() || e.namespace == alert.namespace)
        .filter(|e| words.contains(e.name.as_str()))
        .max_by_key(|e| e.name.len())?;
    let same = topology.entities().iter().filter(|e| e.name == hit.name);
    Some(same.filter(|e| e.namespace == hit.namespace).cloned().collect())
}

fn units_of(topology: &Topology, wanted: impl Fn(&Entity) -> bool) -> BTreeSet<Unit> {
    topology.entities().iter().filter(|e| wanted(e)).filter_map(|e| topology.unit(e)).collect()
}

fn unknown(alert: &Alert, facts: &Facts) -> Option<(String, String)> {
    let seen = facts.seen().iter().find(|seen| {
        seen.observation.signal == "target.unknown"
            && seen.observation.attr("asked") == alert.service
    })?;
    let observation = &seen.observation;
    let asked = match observation.attr("empty_namespace") {
        "" => observation.attr("asked").to_owned(),
        namespace => format!("{namespace}/{}", observation.attr("asked")),
    };
    Some((asked, observation.attr("nearest").to_owned()))
}
