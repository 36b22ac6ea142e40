//! Weighing: from facts to hypotheses with a belief each. The arithmetic is stated here and in
//! ARCHITECTURE.md; weights are data of the cause catalogue.
//!
//! - support = 1 − Π(1 − weight·strength) over the clauses that speak for a cause ("noisy or",
//!   Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, section 4.3.2);
//! - opposition multiplies by Π(1 − weight·strength) over the clauses against it;
//! - relevance is 1 where the culprit is the alerted unit or what it explains hurts there, less
//!   where only the namespace is shared, little elsewhere;
//! - coverage is the share of the alerted unit's own harm that the cause explains.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    case::{Case, soon},
    catalogue::{Cause, Clause, CulpritRule, Place, Polarity, matches_any},
    facts::{Blind, Seen},
    relevance::Nearness,
    spread::Spread,
    topology::Unit,
};
use crate::fact::{Entity, Relation};

/// Most hypotheses of one plugin's causes.
const PER_GUEST: usize = 16;
/// What is left for a source that could not be asked about the signals of a cause.
const UNSEEN: f64 = 0.95;
/// What is left besides, once, where one of them could tell what speaks strongly against the cause.
const UNSEEN_RIVAL: f64 = 0.92;
/// Most that is then believed: what was not seen may be the rival, and nobody is sure of it.
const UNSURE: f64 = 0.69;
/// Weight from which a clause speaks strongly against its cause.
const STRONGLY: f64 = 0.5;
/// Share of the alerted unit's harm that is taken as explained when none of it could be seen.
const UNKNOWN_SHARE: f64 = 0.5;

/// One candidate cause with its belief and what it rests on. Indices are into
/// [`super::facts::Facts::seen`].
#[derive(Debug, Clone)]
pub struct Weighed<'a> {
    /// Name within the investigation, such as `h3`; given once the hypotheses are sorted.
    pub id: String,
    /// What kind of cause.
    pub cause: &'a Cause,
    /// The object it blames.
    pub culprit: Entity,
    /// Its unit.
    pub unit: Option<Unit>,
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
    /// The terms that belief is the product of.
    pub terms: Terms,
    /// Belief before rivals are compared, 0 to 1.
    pub belief: f64,
}

/// The terms of a belief, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Terms {
    /// What speaks for it.
    pub support: f64,
    /// What is left of it after what speaks against it.
    pub opposition: f64,
    /// How near the alert it lies.
    pub relevance: f64,
    /// Share of the alerted unit's harm it explains.
    pub coverage: f64,
    /// What is left for each source that could not be asked about it.
    pub sight: f64,
}

/// The ways from the alerted object.
struct Ways {
    /// To what it depends on.
    needs: BTreeMap<Unit, Vec<Relation>>,
    /// To whatever is linked with it.
    linked: BTreeMap<Unit, Vec<Relation>>,
}

impl Terms {
    /// Their product, with coverage counting for a quarter.
    #[must_use]
    pub fn belief(&self) -> f64 {
        self.factors().into_iter().map(|(_, value)| value).product()
    }

    /// What is multiplied, with its name.
    #[must_use]
    pub fn factors(&self) -> [(&'static str, f64); 5] {
        [
            ("support", self.support),
            ("opposition", self.opposition),
            ("relevance", self.relevance),
            ("coverage", 0.75 + 0.25 * self.coverage),
            ("sight", self.sight),
        ]
    }
}

impl<'a> Case<'a> {
    /// Every hypothesis the facts give rise to, strongest belief first.
    #[must_use]
    pub fn hypotheses(&self) -> Vec<Weighed<'a>> {
        let mut found: Vec<Weighed<'a>> = Vec::new();
        let ways = Ways {
            needs: self.topology.reach(&self.anchor.units),
            linked: self.topology.linked(&self.anchor.units),
        };
        for cause in self.catalogue.causes() {
            for culprit in self.culprits(cause) {
                if let Some(weighed) = self.weigh(cause, culprit, &ways) {
                    found.push(weighed);
                }
            }
        }
        found.sort_by(|a, b| {
            b.belief
                .total_cmp(&a.belief)
                .then_with(|| (&a.cause.id, &a.culprit).cmp(&(&b.cause.id, &b.culprit)))
        });
        // A plugin that accuses everybody must not crowd out the others.
        let mut guests: BTreeMap<String, usize> = BTreeMap::new();
        found.retain(|h| {
            let told = guests.entry(h.cause.source.to_string()).or_default();
            *told += 1;
            !h.cause.source.is_guest() || *told <= PER_GUEST
        });
        found
    }

    fn culprits(&self, cause: &Cause) -> BTreeSet<Entity> {
        let naming = cause.speaks_for.iter().filter(|clause| clause.names_culprit());
        naming
            .flat_map(|clause| {
                let signals = self.of_signals(|signal| matches_any(&clause.any, signal));
                signals.filter_map(|index| self.get(index)).filter(|(seen, placed)| {
                    placed.strength > 0.0 && clause.matches(&seen.observation)
                })
            })
            .filter_map(|(seen, _)| self.blamed(cause, seen))
            .filter(|culprit| {
                cause.culprit_kinds.is_empty() || cause.culprit_kinds.contains(&culprit.kind)
            })
            .collect()
    }

    fn blamed(&self, cause: &Cause, seen: &Seen) -> Option<Entity> {
        let observation = &seen.observation;
        match cause.culprit {
            CulpritRule::Workload => Some(self.topology.controller(&observation.subject)),
            CulpritRule::Subject => Some(observation.subject.whole()),
            CulpritRule::Peer => observation.peer.as_ref().map(Entity::whole),
            CulpritRule::PeerWorkload => {
                observation.peer.as_ref().map(|peer| self.topology.controller(peer))
            }
            CulpritRule::Callee if observation.signal.starts_with("dependency.") => {
                Some(observation.subject.whole())
            }
            CulpritRule::Callee => observation.peer.as_ref().map(Entity::whole),
        }
    }

    fn weigh(&self, cause: &'a Cause, culprit: Entity, ways: &Ways) -> Option<Weighed<'a>> {
        let unit = self.topology.unit(&culprit);
        let (evidence, support) = self.support(cause, &culprit, unit)?;
        let start = self.start_of(cause, &evidence);
        let spread = Spread::of(self, cause, unit);
        let mut explained = spread.explained(self, start);
        let own_harm = evidence.iter().map(|(index, _)| *index);
        explained.extend(own_harm.filter(|i| self.get(*i).is_some_and(|(_, p)| p.harm)));
        let (against, opposition) = self.opposition(cause, &culprit, unit);
        let (coverage, covered) = self.coverage(cause, unit, &explained);
        let touches = spread.touches(&self.anchor.units);
        let path = unit.and_then(|unit| {
            let directed = ways.needs.get(&unit);
            directed.or_else(|| ways.linked.get(&unit).filter(|_| touches)).cloned()
        });
        let near = Nearness { path: path.as_deref(), explains: touches && covered > 0.0 };
        let relevance = self.relevance(&culprit, &near, &explained, start);
        let terms = Terms { support, opposition, relevance, coverage, sight: 1.0 };
        let terms = Terms { sight: self.sight(cause, terms.belief()), ..terms };
        Some(Weighed {
            id: String::new(),
            cause,
            culprit,
            unit,
            evidence,
            against,
            explained,
            start,
            path,
            terms,
            belief: terms.belief().min(cause.source.ceiling()),
        })
    }

    /// Whether nothing is known to hurt at the alerted unit only because it could not be seen: then
    /// what ails another need not be what the alert is about.
    fn may_hurt_unseen(&self, unit: Option<Unit>) -> bool {
        let here = unit.is_some_and(|unit| self.anchor.units.contains(&unit));
        !here && !self.facts.blindness().is_empty()
    }

    /// The share of the alerted unit's harm that a cause explains, of what it could know of: what a
    /// plugin's own words tell is not held against the causes of others. Then what it explains
    /// there, weighed.
    fn coverage(
        &self,
        cause: &Cause,
        unit: Option<Unit>,
        explained: &BTreeSet<usize>,
    ) -> (f64, f64) {
        let guest = cause.source.is_guest();
        let known = explained.iter().copied().filter(|index| self.symptoms().contains(index));
        let covered = self.weight_of(known, guest);
        let all = self.symptom_weight(guest);
        let share = match all > 0.0 {
            true => covered / all,
            false if self.may_hurt_unseen(unit) => UNKNOWN_SHARE,
            false => 1.0,
        };
        (share, covered)
    }

    /// Observations that speak for a cause with their strengths; none when a required one lacks.
    fn support(
        &self,
        cause: &Cause,
        culprit: &Entity,
        unit: Option<Unit>,
    ) -> Option<(Vec<(usize, f64)>, f64)> {
        let changed = self.change_time(cause, culprit, unit);
        let mut evidence: Vec<(usize, f64)> = Vec::new();
        let mut doubt = 1.0;
        for clause in &cause.speaks_for {
            let mut best = 0.0_f64;
            for (index, seen, strength) in self.found(cause, clause, culprit, unit) {
                let strength = strength
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

    /// The observations of a clause that lie where it wants them, with their strength.
    fn found<'s>(
        &'s self,
        cause: &Cause,
        clause: &Clause,
        culprit: &Entity,
        unit: Option<Unit>,
    ) -> Vec<(usize, &'a Seen, f64)> {
        let candidates: Vec<usize> = match (clause.at, unit) {
            (Place::Anywhere, _) => self.anywhere(clause).to_vec(),
            (_, None) => self.of_signals(|signal| matches_any(&clause.any, signal)).collect(),
            (Place::Own, Some(unit)) => {
                let here = self.on_of(unit, |signal| matches_any(&clause.any, signal));
                here.chain(self.of_peer(unit).iter().copied()).collect()
            }
            (Place::Peer, Some(unit)) => self.of_peer(unit).to_vec(),
            (place, Some(unit)) => {
                let units = self.topology.at(unit, place);
                let wanted = |signal: &str| matches_any(&clause.any, signal);
                units.into_iter().flat_map(|unit| self.on_of(unit, wanted)).collect()
            }
        };
        let mut once = BTreeSet::new();
        let mut found = Vec::new();
        for index in candidates.into_iter().filter(|index| once.insert(*index)) {
            let Some((seen, placed)) = self.get(index) else { continue };
            let own = clause.at != Place::Own
                || self.blamed(cause, seen).as_ref() == Some(culprit)
                || placed.controller == *culprit;
            if own && clause.matches(&seen.observation) {
                found.push((index, seen, placed.strength));
            }
        }
        found
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

    fn change_time(
        &self,
        cause: &Cause,
        culprit: &Entity,
        unit: Option<Unit>,
    ) -> Option<Timestamp> {
        let required = cause.speaks_for.iter().filter(|clause| clause.required);
        required
            .flat_map(|clause| self.found(cause, clause, culprit, unit))
            .filter(|(index, _, strength)| {
                let change = self.get(*index).is_some_and(|(_, p)| p.polarity == Polarity::Change);
                change && *strength > 0.0
            })
            .filter_map(|(_, seen, _)| seen.observation.start)
            .max()
    }

    fn opposition(&self, cause: &Cause, culprit: &Entity, unit: Option<Unit>) -> (Vec<usize>, f64) {
        let mut against = Vec::new();
        let mut left = 1.0;
        for clause in &cause.against {
            let mut best = 0.0_f64;
            for (index, _, strength) in self.found(cause, clause, culprit, unit) {
                against.push(index);
                best = best.max(strength);
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

    /// Less belief for each source that could not be asked about the very signals of the cause, and
    /// still less where what it would have told may be the rival. `sighted` is the belief without.
    fn sight(&self, cause: &Cause, sighted: f64) -> f64 {
        let strongly = |blind: &Blind| {
            let tells = |c: &Clause| blind.signals.iter().any(|s| matches_any(&c.any, s));
            cause.against.iter().any(|c| c.weight >= STRONGLY && tells(c))
        };
        let merely = (0..self.unseen(cause).count().min(4)).fold(1.0, |left, _| left * UNSEEN);
        if !self.unseen(cause).any(strongly) {
            return merely;
        }
        (merely * UNSEEN_RIVAL).min(UNSURE / sighted.max(UNSURE))
    }

    /// The sources that could not be asked about the very signals of the cause.
    pub(super) fn unseen(&self, cause: &Cause) -> impl Iterator<Item = &Blind> {
        let wanted = move |signal: &String| {
            let of = |clauses: &[Clause]| clauses.iter().any(|c| matches_any(&c.any, signal));
            of(&cause.speaks_for) || of(&cause.against)
        };
        self.facts.blindness().iter().filter(move |b| b.signals.iter().any(wanted))
    }
}

/// How well harm fits a change: the sooner after it, the better. Without times the order is only
/// possible.
fn after(change: Option<Timestamp>, harm: Option<Timestamp>) -> f64 {
    change.zip(harm).map_or(0.5, |(change, harm)| soon(harm.duration_since(change)))
}
