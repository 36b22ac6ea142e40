//! The reasoner: typed facts in, hypotheses, verdict and the objects worth asking about out. Rules
//! alone, no model: the cause catalogue is data, the arithmetic is stated in [`weigh`] and
//! [`select`]. It never parses results or prose of tools, and it knows no tool.

mod account;
pub mod anchor;
pub mod case;
pub mod catalogue;
pub mod claim;
pub mod conclude;
pub mod facts;
pub mod health;
mod relevance;
pub mod select;
pub mod severity;
pub mod spread;
mod suited;
pub mod template;
#[cfg(test)]
mod tests;
mod told;
pub mod topology;
pub mod weigh;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;

use self::{
    anchor::Anchor,
    case::Case,
    catalogue::{Catalogue, Polarity, matches_any},
    facts::Facts,
    select::Choice,
    topology::Topology,
    weigh::Weighed,
};
use crate::{
    alert::Alert,
    fact::Entity,
    investigation::{finding::Hypothesis, report::Conclusion},
};

/// Belief from which, with nothing left unexplained, no further question is asked.
pub const SETTLED: f64 = 0.8;

/// The reasoning of one investigation: its facts and the ids given so far.
#[derive(Debug, Clone)]
pub struct Reasoning {
    catalogue: Arc<Catalogue>,
    /// What is known.
    pub facts: Facts,
    ids: BTreeMap<(String, Entity), String>,
}

/// An object worth asking about, with why.
#[derive(Debug, Clone, PartialEq)]
pub struct Suspect {
    /// The object.
    pub entity: Entity,
    /// Signals seen on it that are not health.
    pub signals: BTreeSet<String>,
    /// Tools that have told something of it or its unit, as people read their names.
    pub told_by: BTreeSet<String>,
    /// How urgent an answer is, 0 to 1.
    pub urgency: f64,
}

/// Where the reasoning stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// Candidate causes as believed now, strongest first.
    pub hypotheses: Vec<Hypothesis>,
    /// Signals that would confirm or refute the leading ones.
    pub wanted: Vec<String>,
    /// Signals that would speak loudly against what stands.
    pub refuting: Vec<String>,
    /// Objects worth asking about, most urgent first.
    pub suspects: Vec<Suspect>,
    /// True when a verdict stands and nothing near the alert is unexplained.
    pub settled: bool,
    /// Signals of harm at the alerted object that nothing standing explains, and complaints there
    /// about others, as `SIGNAL of KIND NAMESPACE/NAME`.
    pub unexplained: BTreeSet<String>,
    /// What the alert names and nothing answers to, with the nearest names.
    pub unknown: Option<(String, String)>,
    /// What would be reported now.
    pub conclusion: Conclusion,
}

impl Reasoning {
    /// Reasoning that knows nothing yet.
    #[must_use]
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, facts: Facts::default(), ids: BTreeMap::new() }
    }

    /// Reasoning that has been told nothing, but knows as well what could not be looked at.
    #[must_use]
    pub fn untaught(&self) -> Self {
        Self { facts: self.facts.without_answers(), ..Self::new(Arc::clone(&self.catalogue)) }
    }

    /// The words it thinks in.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Takes up the words in force now: plugins come and go while an investigation runs. What was
    /// in force before stays, so that a plugin that leaves does not take its evidence with it.
    pub fn adopt(&mut self, now: Arc<Catalogue>) {
        if !Arc::ptr_eq(&now, &self.catalogue) && *now != *self.catalogue {
            self.catalogue = Arc::new(Catalogue::clone(&now).after(&self.catalogue));
        }
    }

    /// Weighs all that is known. `now` stands in while no data carries a time.
    pub fn assess(&mut self, alert: &Alert, now: Timestamp) -> Assessment {
        let catalogue = Arc::clone(&self.catalogue);
        let observed: Vec<&Entity> = self
            .facts
            .seen()
            .iter()
            .flat_map(|s| std::iter::once(&s.observation.subject).chain(&s.observation.peer))
            .collect();
        let told = self.facts.told_calls();
        let topology = Topology::of(self.facts.relations().iter().chain(&told), observed);
        let anchor = Anchor::find(alert, &self.facts, &topology, &catalogue, now);
        let case = Case::new(&self.facts, &topology, &anchor, &catalogue, alert);
        let mut weighed = case.hypotheses();
        for hypothesis in &mut weighed {
            let next = format!("h{}", self.ids.len().saturating_add(1));
            let key = (hypothesis.cause.id.clone(), hypothesis.culprit.clone());
            hypothesis.id.clone_from(self.ids.entry(key).or_insert(next));
        }
        let choice = select::choose(&case, &weighed);
        let hypotheses = told::hypotheses(&case, &weighed, &choice);
        let conclusion = conclude::conclude(&case, alert, &weighed, &choice, &hypotheses);

        Assessment {
            settled: settled(&choice),
            refuting: refuting(&weighed, &choice),
            wanted: wanted(&weighed, &choice),
            suspects: suspects(&case, &weighed, &choice),
            unexplained: unexplained(&case, &choice),
            unknown: anchor.unknown.clone(),
            hypotheses,
            conclusion,
        }
    }
}

/// Every cause that stands is sure, and nothing at the alerted object is left unexplained.
fn settled(choice: &Choice) -> bool {
    !choice.standing.is_empty()
        && choice.standing.iter().all(|(_, confidence)| *confidence >= SETTLED)
        && choice.unexplained.is_empty()
}

/// What harm at the alerted object is open, and whom it complains of: a cause may explain a complaint
/// about another only as long as that other was not looked at.
fn unexplained(case: &Case<'_>, choice: &Choice) -> BTreeSet<String> {
    let open = choice.unexplained.iter().filter_map(|index| case.get(*index));
    let open = open.map(|(seen, _)| seen.observation.signal.clone());
    let complaints = case.symptoms().iter().filter_map(|index| {
        let (seen, placed) = case.get(*index)?;
        let other = placed.peer.is_none_or(|peer| !case.anchor.units.contains(&peer));
        let peer = seen.observation.peer.as_ref().filter(|_| other)?;
        Some(format!("{} of {}", seen.observation.signal, peer.whole()))
    });
    open.chain(complaints).collect()
}

/// Signals that would turn what stands down: a verdict should not stand for want of the question.
fn refuting(weighed: &[Weighed<'_>], choice: &Choice) -> Vec<String> {
    const LOUD: f64 = 0.5;
    let standing = choice.standing.iter().filter_map(|(index, _)| weighed.get(*index));
    let clauses = standing.flat_map(|w| &w.cause.against).filter(|c| c.weight >= LOUD);
    let mut signals: Vec<String> = clauses.flat_map(|clause| clause.any.iter().cloned()).collect();
    signals.sort();
    signals.dedup();
    signals
}

/// Signals of the clauses, for and against, of what leads: those are the questions that separate.
fn wanted(weighed: &[Weighed<'_>], choice: &Choice) -> Vec<String> {
    let mut leading: Vec<&Weighed<'_>> = weighed
        .iter()
        .enumerate()
        .filter(|(index, _)| !choice.rejected.contains_key(index))
        .map(|(_, weighed)| weighed)
        .chain(weighed.iter().take(3))
        .collect();
    leading.truncate(4);
    let clauses = leading.iter().flat_map(|w| w.cause.speaks_for.iter().chain(&w.cause.against));
    let mut signals: Vec<String> = clauses.flat_map(|clause| clause.any.iter().cloned()).collect();
    signals.sort();
    signals.dedup();
    signals
}

/// The alerted objects, what they depend on and shows harm, and the culprits that lead.
fn suspects(case: &Case<'_>, weighed: &[Weighed<'_>], choice: &Choice) -> Vec<Suspect> {
    let mut urgency: BTreeMap<Entity, f64> = BTreeMap::new();
    let mut raise = |entity: Entity, by: f64| {
        let known = urgency.entry(entity).or_insert(0.0);
        *known = known.max(by);
    };
    let reach = case.topology.reach(&case.anchor.units);
    for (index, seen, placed) in case.all().filter(|(.., placed)| placed.harm) {
        let subject = &seen.observation.subject;
        let near = match placed.unit.and_then(|unit| reach.get(&unit)) {
            Some(path) if path.is_empty() => 0.8,
            Some(_) => 0.9,
            None if case.anchor.neighbour(subject) => 0.5,
            None => continue,
        };
        let open = if choice.unexplained.contains(&index) { 0.1 } else { 0.0 };
        raise(placed.controller.clone(), near + open);
        if let Some(peer) = &seen.observation.peer {
            raise(peer.whole(), near);
        }
    }
    for hypothesis in weighed.iter().filter(|h| h.terms.relevance >= 0.5).take(4) {
        raise(hypothesis.culprit.clone(), hypothesis.belief.max(0.6));
    }
    for entity in &case.anchor.entities {
        raise(entity.clone(), 0.85);
    }
    let mut suspects: Vec<Suspect> = urgency
        .into_iter()
        .map(|(entity, urgency)| {
            let (signals, told_by) = known_of(case, &entity);
            Suspect { entity, signals, told_by, urgency }
        })
        .collect();
    suspects.sort_by(|a, b| b.urgency.total_cmp(&a.urgency).then_with(|| a.entity.cmp(&b.entity)));
    suspects
}

/// Signals seen on the unit of an object, health left out since it calls for no further question,
/// and the tools that told anything of it.
fn known_of(case: &Case<'_>, entity: &Entity) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut signals, mut told_by) = (BTreeSet::new(), BTreeSet::new());
    let Some(unit) = case.topology.unit(entity) else { return (signals, told_by) };
    let here = case.on(unit).iter().map(|index| (*index, true));
    for (index, subject) in here.chain(case.of_peer(unit).iter().map(|index| (*index, false))) {
        let Some((seen, placed)) = case.get(index) else { continue };
        if subject {
            told_by.insert(seen.tool.to_string());
        }
        if placed.polarity != Polarity::Health {
            signals.insert(seen.observation.signal.clone());
        }
    }
    (signals, told_by)
}

/// Whether any of `signals` is one of `patterns`.
#[must_use]
pub fn any_matches<'a>(patterns: &[String], signals: impl IntoIterator<Item = &'a String>) -> bool {
    signals.into_iter().any(|signal| matches_any(patterns, signal))
}
