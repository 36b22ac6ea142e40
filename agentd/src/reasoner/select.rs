//! Choosing: which hypotheses stand, which are explained away by which, what stays open. Prefers
//! the candidate that explains most of what hurts near the alert; two independent faults give two
//! causes, one fault never gives two.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    case::{Case, TOGETHER},
    weigh::Weighed,
};

/// Belief from which a cause is said to be found.
pub const FLOOR: f64 = 0.5;
/// Belief from which a further, independent cause is named beside the first.
const FURTHER: f64 = 0.65;
/// Share of a vaguer word's belief from which the more exact one takes its place.
const NEARLY: f64 = 0.75;
/// Most causes named in one report.
const MOST: usize = 3;
/// Most hypotheses that are compared with one another; the others are too weak to matter.
const COMPARED: usize = 256;

/// Why a hypothesis does not stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Another hypothesis, by index, explains all that speaks for it.
    ExplainedBy(usize),
    /// Another is the more exact word for the same thing.
    SameThing(usize),
    /// Another is the same kind of fault at an object linked with this one.
    OtherEnd(usize),
    /// Belief stays below the floor.
    Weak,
    /// It lies apart from the alert.
    Apart,
    /// It is no fault, and does not explain all that hurts.
    Partial,
}

/// The outcome of choosing. Indices are into the hypotheses given.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Those that stand with their confidence, most important first.
    pub standing: Vec<(usize, f64)>,
    /// Why each of the others does not.
    pub rejected: BTreeMap<usize, Rejection>,
    /// Confidence of every hypothesis after rivals were compared.
    pub confidence: Vec<f64>,
    /// Harm of the alerted units that nothing standing explains.
    pub unexplained: BTreeSet<usize>,
}

/// Chooses among `hypotheses`, which are sorted by belief.
#[must_use]
pub fn choose(case: &Case<'_>, hypotheses: &[Weighed<'_>]) -> Choice {
    let near: BTreeSet<usize> = case
        .all()
        .filter(|(index, seen, placed)| {
            // What a plugin's own words tell makes no cause of others worth less.
            placed.harm
                && !placed.guest
                && (case.symptoms().contains(index)
                    || case.anchor.neighbour(&seen.observation.subject))
        })
        .map(|(index, ..)| index)
        .collect();
    let mut order: Vec<usize> = (0..hypotheses.len()).collect();
    let worth = |index: &usize| hypotheses.get(*index).map_or(0.0, |h| worth(h, &near));
    order.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.cmp(b)));

    let mut choice = Choice::default();
    let mut candidates: Vec<usize> = Vec::new();
    for index in order.drain(COMPARED.min(order.len())..) {
        choice.rejected.insert(index, Rejection::Weak);
    }
    exact_first(case, hypotheses, &mut order);
    for index in &order {
        let Some(hypothesis) = hypotheses.get(*index) else { continue };
        match away(case, hypotheses, hypothesis, &candidates) {
            Some(rejection) => {
                choice.rejected.insert(*index, rejection);
            }
            None => candidates.push(*index),
        }
    }
    choice.confidence = hypotheses.iter().map(|h| h.belief).collect();
    discount_rivals(hypotheses, &candidates, &mut choice);
    stand(case, hypotheses, &candidates, &mut choice);
    let explained: BTreeSet<usize> = choice
        .standing
        .iter()
        .filter_map(|(index, _)| hypotheses.get(*index))
        .flat_map(|h| h.explained.iter().copied())
        .collect();
    let own = |index: &usize| case.get(*index).is_some_and(|(_, placed)| !placed.guest);
    let open = case.symptoms().difference(&explained).copied();
    choice.unexplained = open.filter(own).collect();
    choice
}

/// Moves the more exact word for a thing before the vaguer one that yields to it, wherever it could
/// stand by itself: a vague word collects more evidence, and is not truer for that.
fn exact_first(case: &Case<'_>, hypotheses: &[Weighed<'_>], order: &mut Vec<usize>) {
    let mut from = 0;
    while let Some(vague) = order.get(from).and_then(|index| hypotheses.get(*index)) {
        let exact = order.iter().skip(from + 1).position(|index| {
            hypotheses.get(*index).is_some_and(|exact| {
                exact.belief >= FLOOR.max(vague.belief * NEARLY)
                    && vague.cause.yields_to.contains(&exact.cause.id)
                    && !exact.cause.yields_to.contains(&vague.cause.id)
                    && linked(case, exact, vague)
            })
        });
        if let Some(at) = exact {
            let moved = order.remove(from + 1 + at);
            order.insert(from, moved);
        }
        from += 1;
    }
}

/// Belief, raised by what it explains of all the harm near the alert.
fn worth(hypothesis: &Weighed<'_>, near: &BTreeSet<usize>) -> f64 {
    let explained = hypothesis.explained.intersection(near).count();
    let share = match near.len() {
        0 => 1.0,
        all => ratio(explained, all),
    };
    hypothesis.belief * (0.6 + 0.4 * share)
}

/// Why `hypothesis` falls to one of the candidates before it, if it does.
fn away(
    case: &Case<'_>,
    hypotheses: &[Weighed<'_>],
    hypothesis: &Weighed<'_>,
    candidates: &[usize],
) -> Option<Rejection> {
    let stronger = || candidates.iter().filter_map(|i| hypotheses.get(*i).map(|h| (*i, h)));
    for (index, stronger) in stronger() {
        // What is itself too weak to stand is nobody's more exact word.
        let yields =
            stronger.belief >= FLOOR && hypothesis.cause.yields_to.contains(&stronger.cause.id);
        let same = hypothesis.unit == stronger.unit && same_kind(hypothesis, stronger);
        if (yields || same) && linked(case, stronger, hypothesis) {
            return Some(Rejection::SameThing(index));
        }
        let mut carrying = hypothesis.evidence.iter().filter(|(_, weight)| *weight >= 0.25);
        if carrying.all(|(evidence, _)| stronger.explained.contains(evidence)) {
            return Some(Rejection::ExplainedBy(index));
        }
    }
    let mut linked_kind = stronger().filter(|(_, stronger)| {
        same_kind(hypothesis, stronger) && linked(case, stronger, hypothesis)
    });
    linked_kind.next().map(|(index, _)| Rejection::OtherEnd(index))
}

/// Whether two hypotheses speak of one thing: their culprits are one unit, or an edge joins them.
fn linked(case: &Case<'_>, a: &Weighed<'_>, b: &Weighed<'_>) -> bool {
    a.unit.zip(b.unit).is_some_and(|(a, b)| case.topology.adjoin(a, b))
}

fn same_kind(a: &Weighed<'_>, b: &Weighed<'_>) -> bool {
    a.cause.category() == b.cause.category()
}

/// The nearer a rival for the same symptoms comes, the less the first is believed. The other end of
/// the same trouble is a rival too: which end is at fault stays in question.
fn discount_rivals(hypotheses: &[Weighed<'_>], candidates: &[usize], choice: &mut Choice) {
    let Some(first) = candidates.first() else { return };
    let Some(top) = hypotheses.get(*first) else { return };
    let other_ends = choice.rejected.iter().filter_map(|(index, rejection)| {
        (*rejection == Rejection::OtherEnd(*first)).then(|| hypotheses.get(*index)).flatten()
    });
    let rival = candidates
        .iter()
        .skip(1)
        .filter_map(|index| hypotheses.get(*index))
        .filter(|h| h.explained.intersection(&top.explained).next().is_some())
        // Two that each explain what the other cannot are two faults, not rivals for one.
        .filter(|h| h.explained.is_subset(&top.explained) || top.explained.is_subset(&h.explained))
        .chain(other_ends)
        // A plugin's cause is told beside another, it does not talk it down.
        .filter(|h| top.cause.source.is_guest() || !h.cause.source.is_guest())
        .map(|h| h.belief)
        .fold(0.0, f64::max);
    if top.belief > 0.0
        && let Some(first) = choice.confidence.get_mut(*first)
    {
        let nearness = (rival / top.belief).min(1.0);
        *first *= 1.0 - 0.4 * nearness * nearness;
    }
}

fn stand(case: &Case<'_>, hypotheses: &[Weighed<'_>], candidates: &[usize], choice: &mut Choice) {
    let mut explained: BTreeSet<usize> = BTreeSet::new();
    for index in candidates {
        let Some(hypothesis) = hypotheses.get(*index) else { continue };
        let confidence = choice.confidence.get(*index).copied().unwrap_or_default();
        let first = choice.standing.is_empty();
        let rejection = if hypothesis.terms.relevance < FLOOR {
            Some(Rejection::Apart)
        } else if confidence < if first { FLOOR } else { FURTHER } {
            Some(Rejection::Weak)
        } else if hypothesis.cause.benign && (!first || hypothesis.terms.coverage < 1.0) {
            Some(Rejection::Partial)
        } else if !first && !independent(case, hypothesis, &explained) {
            Some(Rejection::Apart)
        } else if choice.standing.len() >= MOST {
            Some(Rejection::Weak)
        } else {
            None
        };
        match rejection {
            Some(rejection) => {
                choice.rejected.insert(*index, rejection);
            }
            None => {
                explained.extend(hypothesis.explained.iter().copied());
                choice.standing.push((*index, confidence));
                if hypothesis.cause.benign {
                    break;
                }
            }
        }
    }
}

/// A further cause must be a fault of its own: it began with this trouble and explains harm that
/// the others leave open. A new kind of warning is not enough: every release brings some.
fn independent(case: &Case<'_>, hypothesis: &Weighed<'_>, explained: &BTreeSet<usize>) -> bool {
    let together = hypothesis.start.is_none() || began_together(case, hypothesis);
    let warns = |index: &usize| {
        case.get(*index).is_some_and(|(seen, _)| seen.observation.attr("level") == "WARN")
    };
    together && hypothesis.explained.difference(explained).any(|index| !warns(index))
}

/// Whether its trouble began with the alert's, or shortly before.
pub(super) fn began_together(case: &Case<'_>, hypothesis: &Weighed<'_>) -> bool {
    hypothesis.start.is_some_and(|start| case.anchor.onset.duration_since(start) <= TOGETHER)
}

fn ratio(part: usize, whole: usize) -> f64 {
    let number = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    number(part) / number(whole).max(1.0)
}
