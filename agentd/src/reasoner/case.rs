//! All that one weighing works on: the facts with their place in the topology, their meaning and
//! their strength worked out once, so that every question after is a lookup. Indices are into
//! [`Facts::seen`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{
    anchor::Anchor,
    catalogue::{Catalogue, Clause, Place, Polarity, matches_any},
    claim::{self, Claim},
    facts::{Facts, Seen},
    topology::{Topology, Unit},
};
use crate::{alert::Alert, fact::Entity};

/// Clocks of nodes, probes and scrapes differ; a cause may seem to begin this much after its
/// effect.
pub const SLACK: SignedDuration = SignedDuration::from_mins(5);

/// Trouble that began no longer than this before the alert's began with it.
pub const TOGETHER: SignedDuration = SignedDuration::from_hours(3);

/// Observations weaker than this are not harm that wants explaining.
pub const WEAK: f64 = 0.3;

/// Most observations that a clause about any object at all looks at. What so many tell is no surer
/// for more of them, and each candidate of a large cluster would look at all of its observations.
const ANYWHERE: usize = 64;

/// What two clauses that look for the same share.
type Sought<'a> = (&'a [String], &'a BTreeMap<String, Vec<String>>);

/// One observation in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Unit of its subject.
    pub unit: Option<Unit>,
    /// Unit of its other side.
    pub peer: Option<Unit>,
    /// What a person would change for its subject.
    pub controller: Entity,
    /// What it tells.
    pub polarity: Polarity,
    /// How much it says about this trouble, 0 to 1: by its time and its newness.
    pub strength: f64,
    /// True for harm of this trouble that wants explaining.
    pub harm: bool,
    /// True for a word that a plugin brought.
    pub guest: bool,
}

/// What one weighing works on.
pub struct Case<'a> {
    /// What is known.
    pub facts: &'a Facts,
    /// How it hangs together.
    pub topology: &'a Topology,
    /// What the alert is about.
    pub anchor: &'a Anchor,
    /// The catalogues.
    pub catalogue: &'a Catalogue,
    /// What the alert claims, when its words tell.
    pub claim: Option<&'a Claim>,
    /// Whether the alert speaks of more than the object it names.
    pub several: bool,
    placed: Vec<Placed>,
    by_unit: BTreeMap<Unit, Vec<usize>>,
    by_place: BTreeMap<Unit, BTreeMap<&'a str, Vec<usize>>>,
    by_peer: BTreeMap<Unit, Vec<usize>>,
    by_signal: BTreeMap<&'a str, Vec<usize>>,
    anywhere: BTreeMap<Sought<'a>, Vec<usize>>,
    symptoms: BTreeSet<usize>,
    /// What they weigh, without and with those that a plugin's own words tell.
    symptom_weight: [f64; 2],
}

impl<'a> Case<'a> {
    /// Puts every fact in its place.
    #[must_use]
    pub fn new(
        facts: &'a Facts,
        topology: &'a Topology,
        anchor: &'a Anchor,
        catalogue: &'a Catalogue,
        alert: &Alert,
    ) -> Self {
        let mut case = Self {
            facts,
            topology,
            anchor,
            catalogue,
            claim: Claim::of(catalogue.claims(), alert),
            several: claim::speaks_of_several(alert),
            placed: Vec::with_capacity(facts.seen().len()),
            by_unit: BTreeMap::new(),
            by_place: BTreeMap::new(),
            by_peer: BTreeMap::new(),
            by_signal: BTreeMap::new(),
            anywhere: BTreeMap::new(),
            symptoms: BTreeSet::new(),
            symptom_weight: [0.0; 2],
        };
        for (index, seen) in facts.seen().iter().enumerate() {
            case.place(index, seen);
        }
        let weight = |guest| case.weight_of(case.symptoms.iter().copied(), guest);
        case.symptom_weight = [weight(false), weight(true)];
        let clauses = catalogue.causes().iter().flat_map(|c| c.speaks_for.iter().chain(&c.against));
        for clause in clauses.filter(|clause| clause.at == Place::Anywhere) {
            let most = case.most_telling(clause);
            case.anywhere.insert(sought(clause), most);
        }
        case
    }

    /// The observations of a clause wherever they lie: the strongest, and of those the first. The
    /// order of arrival does not matter.
    fn most_telling(&self, clause: &Clause) -> Vec<usize> {
        let matching = self.of_signals(|signal| matches_any(&clause.any, signal));
        let mut found: Vec<(usize, &Seen, &Placed)> = matching
            .filter_map(|index| self.get(index).map(|(seen, placed)| (index, seen, placed)))
            .filter(|(_, seen, _)| clause.matches(&seen.observation))
            .collect();
        found.sort_by(|(_, a, at), (_, b, bt)| {
            let first = |seen: &'a Seen| {
                let observation = &seen.observation;
                (observation.start.is_none(), observation.start, &observation.subject)
            };
            bt.strength.total_cmp(&at.strength).then_with(|| first(a).cmp(&first(b)))
        });
        found.into_iter().take(ANYWHERE).map(|(index, ..)| index).collect()
    }

    /// The most telling observations of a clause about any object at all.
    #[must_use]
    pub fn anywhere<'s>(&'s self, clause: &'s Clause) -> &'s [usize] {
        self.anywhere.get(&sought(clause)).map_or(&[], Vec::as_slice)
    }

    fn place(&mut self, index: usize, seen: &'a Seen) {
        let observation = &seen.observation;
        let polarity = self.catalogue.polarity(&observation.signal);
        let strength = self.strength_of(seen, polarity);
        let unit = self.topology.unit(&observation.subject);
        let peer = observation.peer.as_ref().and_then(|peer| self.topology.unit(peer));
        let harm = polarity == Polarity::Harm && self.anchor.current(seen) && strength >= WEAK;
        if let Some(unit) = unit {
            self.by_unit.entry(unit).or_default().push(index);
            let signals = self.by_place.entry(unit).or_default();
            signals.entry(&observation.signal).or_default().push(index);
            if harm && self.anchor.units.contains(&unit) {
                self.symptoms.insert(index);
            }
        }
        if let Some(peer) = peer {
            self.by_peer.entry(peer).or_default().push(index);
        }
        self.by_signal.entry(&observation.signal).or_default().push(index);
        let controller = self.topology.controller(&observation.subject);
        let guest = self.catalogue.is_guest(&observation.signal);
        self.placed.push(Placed { unit, peer, controller, polarity, strength, harm, guest });
    }

    /// An observation with its place.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&'a Seen, &Placed)> {
        Some((self.facts.seen().get(index)?, self.placed.get(index)?))
    }

    /// Every observation with its place.
    pub fn all(&self) -> impl Iterator<Item = (usize, &'a Seen, &Placed)> {
        let seen = self.facts.seen().iter().zip(&self.placed).enumerate();
        seen.map(|(index, (seen, placed))| (index, seen, placed))
    }

    /// Observations on a unit.
    #[must_use]
    pub fn on(&self, unit: Unit) -> &[usize] {
        self.by_unit.get(&unit).map_or(&[], Vec::as_slice)
    }

    /// Observations on a unit, of the signals that `wanted` picks.
    pub fn on_of(&self, unit: Unit, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
        let signals = self.by_place.get(&unit).into_iter().flatten();
        let picked = signals.filter(move |(signal, _)| wanted(signal));
        picked.flat_map(|(_, indices)| indices.iter().copied())
    }

    /// Observations whose other side is a unit.
    #[must_use]
    pub fn of_peer(&self, unit: Unit) -> &[usize] {
        self.by_peer.get(&unit).map_or(&[], Vec::as_slice)
    }

    /// Observations of the signals that `wanted` picks.
    pub fn of_signals(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
        let picked = self.by_signal.iter().filter(move |(signal, _)| wanted(signal));
        picked.flat_map(|(_, indices)| indices.iter().copied())
    }

    /// Harm of this trouble on the alerted units themselves.
    #[must_use]
    pub fn symptoms(&self) -> &BTreeSet<usize> {
        &self.symptoms
    }

    /// What the harm of the alerted units weighs, with or without what a plugin's own words tell.
    #[must_use]
    pub fn symptom_weight(&self, guest: bool) -> f64 {
        let [own, all] = self.symptom_weight;
        if guest { all } else { own }
    }

    /// What harm weighs: twice where the alert speaks of it; with or without a plugin's own words.
    pub fn weight_of(&self, harm: impl Iterator<Item = usize>, guest: bool) -> f64 {
        harm.filter(|index| guest || self.get(*index).is_some_and(|(_, placed)| !placed.guest))
            .map(|index| if self.claimed(index) { 2.0 } else { 1.0 })
            .sum()
    }

    /// Whether an observation is harm that the alert speaks of.
    #[must_use]
    pub fn claimed(&self, index: usize) -> bool {
        self.claim.is_some_and(|claim| {
            self.get(index).is_some_and(|(seen, placed)| {
                placed.harm && matches_any(&claim.harm, &seen.observation.signal)
            })
        })
    }

    /// Whether one of `signals` was seen on a unit, of this trouble.
    #[must_use]
    pub fn shows(&self, unit: Unit, signals: &[&str]) -> bool {
        self.on(unit).iter().filter_map(|index| self.facts.seen().get(*index)).any(|seen| {
            signals.contains(&seen.observation.signal.as_str()) && self.anchor.current(seen)
        })
    }

    fn strength_of(&self, seen: &Seen, polarity: Polarity) -> f64 {
        let observation = &seen.observation;
        match polarity {
            Polarity::Change => observation.start.map_or(0.3, |at| self.change_strength(at)),
            Polarity::Harm if !self.anchor.current(seen) => 0.1,
            // A complaint that was always there explains no new trouble.
            Polarity::Harm if observation.attr("is_new") == "false" => 0.25,
            Polarity::Harm | Polarity::Health | Polarity::Neutral => 1.0,
        }
    }

    /// A change shortly before the onset says much, one long before little, one after nothing.
    fn change_strength(&self, at: Timestamp) -> f64 {
        soon(self.anchor.onset.duration_since(at))
    }
}

fn sought(clause: &Clause) -> Sought<'_> {
    (&clause.any, &clause.holds)
}

/// What a change says about trouble that began `later`: much when shortly after it, little when
/// long after, nothing when before.
pub(super) fn soon(later: SignedDuration) -> f64 {
    match later {
        d if d < -SLACK => 0.0,
        // As long as a rollout or a reload takes to reach everybody.
        d if d <= SignedDuration::from_mins(6) => 1.0,
        d if d <= SignedDuration::from_mins(20) => 0.8,
        d if d <= SignedDuration::from_hours(2) => 0.6,
        d if d <= SignedDuration::from_hours(24) => 0.4,
        _ => 0.1,
    }
}
