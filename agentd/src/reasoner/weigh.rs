//! Weighing: from facts to hypotheses with a belief each. The arithmetic is stated here and in
//! ARCHITECTURE.md; weights are data of the cause catalogue.
//!
//! - support = 1 − Π(1 − weight·strength) over the clauses that speak for a cause ("noisy or",
//!   Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, section 4.3.2);
//! - opposition multiplies by Π(1 − weight·strength) over the clauses against it;
//! - relevance is 1 where the culprit is the alerted unit or something it depends on, less where
//!   only the namespace is shared, little elsewhere;
//! - coverage is the share of the alerted unit's own harm that the cause explains.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    anchor::{Anchor, Match},
    catalogue::{Catalogue, Cause, Clause, CulpritRule, Polarity, matches_any},
    facts::{Facts, Seen},
    topology::{Topology, Unit},
};
use crate::fact::{Entity, Relation, RelationKind};

/// What one weighing works on.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// What is known.
    pub facts: &'a Facts,
    /// How it hangs together.
    pub topology: &'a Topology,
    /// What the alert is about.
    pub anchor: &'a Anchor,
    /// The catalogues.
    pub catalogue: &'a Catalogue,
}

/// One candidate cause with its belief and what it rests on. Indices are into [`Facts::seen`].
#[derive(Debug, Clone)]
pub struct Weighed<'a> {
    /// What kind of cause.
    pub cause: &'a Cause,
    /// The object it blames.
    pub culprit: Entity,
    /// Evidence for it with its strength: the strongest of each signal first, then the others.
    pub evidence: Vec<(usize, f64)>,
    /// Evidence against it.
    pub against: Vec<usize>,
    /// Harm it explains.
    pub explained: BTreeSet<usize>,
    /// When it began.
    pub start: Option<Timestamp>,
    /// Edges from the alerted object to the culprit; empty when it is the alerted unit itself;
    /// none when nothing known leads there.
    pub path: Option<Vec<Relation>>,
    /// How near the alert it lies, 0 to 1.
    pub relevance: f64,
    /// Share of the alerted unit's harm it explains, 0 to 1.
    pub coverage: f64,
    /// Belief before rivals are compared, 0 to 1.
    pub belief: f64,
}

/// Clocks of nodes, probes and scrapes differ; a cause may seem to begin this much after its
/// effect.
const SLACK: SignedDuration = SignedDuration::from_mins(5);

impl<'a> Case<'a> {
    /// Every hypothesis the facts give rise to, strongest belief first.
    #[must_use]
    pub fn hypotheses(&self) -> Vec<Weighed<'a>> {
        let mut found: Vec<Weighed<'a>> = Vec::new();
        let symptoms = self.symptoms();
        let reach = self.topology.reach(&self.anchor.units);
        for cause in self.catalogue.causes() {
            for culprit in self.culprits(cause) {
                if let Some(weighed) = self.weigh(cause, culprit, &symptoms, &reach) {
                    found.push(weighed);
                }
            }
        }
        found.sort_by(|a, b| {
            b.belief
                .total_cmp(&a.belief)
                .then_with(|| (&a.cause.id, &a.culprit).cmp(&(&b.cause.id, &b.culprit)))
        });
        found
    }

    /// Harm of this trouble on the alerted units themselves.
    #[must_use]
    pub fn symptoms(&self) -> BTreeSet<usize> {
        self.harm(|unit, _| unit.is_some_and(|unit| self.anchor.units.contains(&unit)))
    }

    /// Harm of this trouble that a test on unit and observation picks.
    pub fn harm(&self, wanted: impl Fn(Option<Unit>, &Seen) -> bool) -> BTreeSet<usize> {
        let harms = self.facts.seen().iter().enumerate().filter(|(_, seen)| {
            self.catalogue.polarity(&seen.observation.signal) == Polarity::Harm
                && self.anchor.current(seen)
                && self.strength(seen) >= WEAK
        });
        harms
            .filter(|(_, seen)| wanted(self.topology.unit(&seen.observation.subject), seen))
            .map(|(index, _)| index)
            .collect()
    }

    /// How much one observation says about this trouble, 0 to 1: by its time and its newness.
    #[must_use]
    pub fn strength(&self, seen: &Seen) -> f64 {
        let observation = &seen.observation;
        match self.catalogue.polarity(&observation.signal) {
            Polarity::Change => observation.start.map_or(0.3, |at| self.change_strength(at)),
            Polarity::Harm if !self.anchor.current(seen) => 0.1,
            // A complaint that was always there explains no new trouble.
            Polarity::Harm if observation.attr("is_new") == "false" => 0.25,
            Polarity::Harm | Polarity::Health | Polarity::Neutral => 1.0,
        }
    }

    /// A change shortly before the onset says much, one long before little, one after nothing.
    fn change_strength(&self, at: Timestamp) -> f64 {
        let before = self.anchor.onset.duration_since(at);
        match before {
            d if d < -SLACK => 0.0,
            d if d <= SignedDuration::from_mins(20) => 1.0,
            d if d <= SignedDuration::from_hours(2) => 0.8,
            d if d <= SignedDuration::from_hours(24) => 0.5,
            _ => 0.1,
        }
    }

    fn culprits(&self, cause: &Cause) -> BTreeSet<Entity> {
        let required = || cause.speaks_for.iter().filter(|clause| clause.required);
        self.facts
            .seen()
            .iter()
            .filter(|seen| required().any(|clause| clause.matches(&seen.observation)))
            .filter_map(|seen| self.blamed(cause, seen))
            .filter(|culprit| {
                cause.culprit_kinds.is_empty() || cause.culprit_kinds.contains(&culprit.kind)
            })
            .collect()
    }

    fn blamed(&self, cause: &Cause, seen: &Seen) -> Option<Entity> {
        match cause.culprit {
            CulpritRule::Workload => Some(self.topology.controller(&seen.observation.subject)),
            CulpritRule::Subject => Some(seen.observation.subject.whole()),
            CulpritRule::Peer => seen.observation.peer.as_ref().map(Entity::whole),
        }
    }

    fn weigh(
        &self,
        cause: &'a Cause,
        culprit: Entity,
        symptoms: &BTreeSet<usize>,
        reach: &std::collections::BTreeMap<Unit, Vec<Relation>>,
    ) -> Option<Weighed<'a>> {
        let (evidence, support) = self.support(cause, &culprit)?;
        let start = self.start_of(cause, &evidence);
        let explained = self.explained(cause, &culprit, start, &evidence);
        let (against, opposition) = self.opposition(cause, &culprit);
        let unit = self.topology.unit(&culprit);
        let path = unit.and_then(|unit| reach.get(&unit)).cloned();
        let covered = symptoms.intersection(&explained).count();
        let coverage = share(covered, symptoms.len());
        let relevance = self.relevance(&culprit, path.as_deref(), symptoms, coverage);
        let belief =
            support * opposition * relevance * (0.75 + 0.25 * coverage) * self.blindness(cause);
        Some(Weighed {
            cause,
            culprit,
            evidence,
            against,
            explained,
            start,
            path,
            relevance,
            coverage,
            belief,
        })
    }

    /// Observations that speak for a cause with their strengths; none when a required one lacks.
    fn support(&self, cause: &Cause, culprit: &Entity) -> Option<(Vec<(usize, f64)>, f64)> {
        let changed = self.change_time(cause, culprit);
        let mut evidence: Vec<(usize, f64)> = Vec::new();
        let mut doubt = 1.0;
        for clause in &cause.speaks_for {
            let mut best = 0.0_f64;
            for (index, seen) in self.facts.seen().iter().enumerate() {
                if !clause.matches(&seen.observation) || !self.belongs(cause, clause, seen, culprit)
                {
                    continue;
                }
                let strength = self.strength(seen)
                    * if clause.after_change {
                        after(changed, seen.observation.start)
                    } else {
                        1.0
                    };
                if strength > 0.0 {
                    evidence.push((index, clause.weight * strength));
                    best = best.max(strength);
                }
            }
            if clause.required && best <= 0.0 {
                return None;
            }
            doubt *= 1.0 - clause.weight * best;
        }
        evidence.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut once = BTreeSet::new();
        evidence.retain(|(index, _)| once.insert(*index));
        Some((self.varied(evidence), 1.0 - doubt))
    }

    /// One of each signal first: three pods that tell the same carry less than three facts.
    fn varied(&self, evidence: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
        let mut told = BTreeSet::new();
        let (mut varied, rest): (Vec<_>, Vec<_>) = evidence.into_iter().partition(|(index, _)| {
            let seen = self.facts.seen().get(*index);
            seen.is_some_and(|seen| told.insert(seen.observation.signal.as_str()))
        });
        varied.extend(rest);
        varied
    }

    fn change_time(&self, cause: &Cause, culprit: &Entity) -> Option<Timestamp> {
        let changes = cause.speaks_for.iter().filter(|clause| clause.required);
        changes
            .flat_map(|clause| {
                self.facts.seen().iter().filter(move |seen| {
                    clause.matches(&seen.observation)
                        && self.catalogue.polarity(&seen.observation.signal) == Polarity::Change
                        && self.strength(seen) > 0.0
                        && self.belongs(cause, clause, seen, culprit)
                })
            })
            .filter_map(|seen| seen.observation.start)
            .max()
    }

    fn belongs(&self, cause: &Cause, clause: &Clause, seen: &Seen, culprit: &Entity) -> bool {
        if clause.of_peer {
            let peer = seen.observation.peer.as_ref().and_then(|peer| self.topology.unit(peer));
            return peer.is_some() && peer == self.topology.unit(culprit);
        }
        if self.blamed(cause, seen).as_ref() == Some(culprit)
            || self.topology.controller(&seen.observation.subject) == *culprit
        {
            return true;
        }
        let unit = self.topology.unit(&seen.observation.subject);
        clause.on_unit && unit.is_some() && unit == self.topology.unit(culprit)
    }

    fn opposition(&self, cause: &Cause, culprit: &Entity) -> (Vec<usize>, f64) {
        let mut against = Vec::new();
        let mut left = 1.0;
        for clause in &cause.against {
            let mut best = 0.0_f64;
            for (index, seen) in self.facts.seen().iter().enumerate() {
                if clause.matches(&seen.observation) && self.belongs(cause, clause, seen, culprit) {
                    against.push(index);
                    best = best.max(self.strength(seen));
                }
            }
            left *= 1.0 - clause.weight * best;
        }
        (against, left)
    }

    fn start_of(&self, cause: &Cause, evidence: &[(usize, f64)]) -> Option<Timestamp> {
        let seen = self.facts.seen();
        let strong = evidence.iter().filter(|(_, weight)| *weight >= 0.15);
        let dated = |seen: &&Seen| {
            let observation = &seen.observation;
            // Many occurrences at one moment: the source knew only the last of them.
            let only_last = observation.count > 1 && observation.start == observation.end;
            !only_last
                && observation.attr("onset") != "before_data"
                && !cause.speaks_for.iter().any(|c| c.undated && c.matches(observation))
        };
        strong
            .filter_map(|(index, _)| seen.get(*index))
            .filter(dated)
            .filter(|seen| self.anchor.current(seen))
            .filter_map(|seen| seen.observation.start)
            .min()
    }

    /// Harm that the cause explains: its own evidence, what it does to its unit, and what spreads
    /// from there. A cause begins before what it explains.
    fn explained(
        &self,
        cause: &Cause,
        culprit: &Entity,
        start: Option<Timestamp>,
        evidence: &[(usize, f64)],
    ) -> BTreeSet<usize> {
        let own = self.topology.unit(culprit);
        let spread = |kinds: &[RelationKind]| {
            own.map(|unit| self.topology.dependents(unit, kinds)).unwrap_or_default()
        };
        // Through an edge that its callers see working nothing spreads.
        let callers =
            if self.serves_well(own) { BTreeSet::new() } else { spread(&[RelationKind::Calls]) };
        let tenants = spread(&[RelationKind::RunsOn]);
        let explains = &cause.explains;
        let mut explained = self.harm(|unit, seen| {
            let observation = &seen.observation;
            let in_time = match (start, observation.start) {
                (Some(cause), Some(effect)) => cause.duration_since(effect) <= SLACK,
                _ => true,
            };
            let signal = &observation.signal;
            let within = |units: &BTreeSet<Unit>| unit.is_some_and(|unit| units.contains(&unit));
            in_time
                && ((unit.is_some() && unit == own && matches_any(&explains.own, signal))
                    || (within(&callers) && matches_any(&explains.callers, signal))
                    || (within(&tenants) && matches_any(&explains.tenants, signal)))
        });
        let harm = self.harm(|_, _| true);
        explained.extend(evidence.iter().map(|(index, _)| *index).filter(|i| harm.contains(i)));
        explained
    }

    /// Whether callers see a unit working, and none sees it fail.
    fn serves_well(&self, unit: Option<Unit>) -> bool {
        let seen = |signals: &[&str]| {
            self.facts.seen().iter().any(|seen| {
                unit.is_some()
                    && self.topology.unit(&seen.observation.subject) == unit
                    && signals.contains(&seen.observation.signal.as_str())
                    && self.anchor.current(seen)
            })
        };
        seen(&["dependency.healthy"])
            && !seen(&["dependency.failing", "dependency.slow", "service.error_ratio_high"])
    }

    fn relevance(
        &self,
        culprit: &Entity,
        path: Option<&[Relation]>,
        symptoms: &BTreeSet<usize>,
        coverage: f64,
    ) -> f64 {
        match path {
            Some([]) => 1.0,
            // Something the alerted unit depends on: full weight when it explains what hurts there.
            Some(_) if coverage > 0.0 || symptoms.is_empty() => 0.97,
            Some(_) => 0.7,
            None if self.anchor.how == Match::Everything => 0.9,
            None if self.anchor.neighbour(culprit) && self.anchor.how == Match::Namespace => 0.9,
            None if self.anchor.neighbour(culprit) => 0.7,
            None => 0.2,
        }
    }

    /// Less belief for each source that could not be asked about the very signals of the cause.
    fn blindness(&self, cause: &Cause) -> f64 {
        let wanted = |signal: &String| {
            let of = |clauses: &[Clause]| clauses.iter().any(|c| matches_any(&c.any, signal));
            of(&cause.speaks_for) || of(&cause.against)
        };
        let blind = self.facts.blindness().iter().filter(|b| b.signals.iter().any(wanted)).count();
        (0..blind.min(4)).fold(1.0, |belief, _| belief * 0.95)
    }
}

/// Observations weaker than this are not harm that wants explaining.
pub const WEAK: f64 = 0.3;

fn after(change: Option<Timestamp>, harm: Option<Timestamp>) -> f64 {
    match (change, harm) {
        (Some(change), Some(harm)) if change.duration_since(harm) > SLACK => 0.0,
        (Some(_), Some(_)) => 1.0,
        // Without times the order is only possible.
        _ => 0.5,
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 1.0;
    }
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    number(part) / number(whole)
}
