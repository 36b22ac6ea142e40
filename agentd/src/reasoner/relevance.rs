//! Relevance: how near the alert a culprit lies, by the way from the alerted unit to it and by what
//! the alert claims. It is one factor of belief; it never adds any.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{
    anchor::Match,
    case::{Case, TOGETHER},
};
use crate::fact::{Entity, Relation};

/// Of what the alerted unit depends on and is seen to suffer from.
const ON_THE_WAY: f64 = 0.97;
/// Of what lies in the alert's namespace when that is all the alert tells.
const IN_THE_NAMESPACE: f64 = 0.9;
/// Of what is linked with the alerted unit, or its neighbour, without explaining anything there.
const BESIDE: f64 = 0.7;
/// Of what does not bear out what an alert without a name claims.
const BESIDE_THE_CLAIM: f64 = 0.4;
/// Of what nothing known links with the alert.
const ELSEWHERE: f64 = 0.2;

/// How a culprit lies to the alerted unit.
pub struct Nearness<'p> {
    /// Edges from the alerted object to the culprit; empty at the alerted unit itself.
    pub path: Option<&'p [Relation]>,
    /// Whether it explains harm of the alerted unit.
    pub explains: bool,
}

impl Case<'_> {
    /// How near the alert a culprit lies, 0 to 1. `explained` is the harm its cause makes plain,
    /// `start` when that began.
    #[must_use]
    pub fn relevance(
        &self,
        culprit: &Entity,
        near: &Nearness<'_>,
        explained: &BTreeSet<usize>,
        start: Option<Timestamp>,
    ) -> f64 {
        if !self.answers_claim(explained) {
            return BESIDE_THE_CLAIM;
        }
        let neighbour = self.anchor.neighbour(culprit);
        let relevance = match near.path {
            Some([]) => 1.0,
            // Something the alerted unit depends on, or whose trouble can be felt there: full
            // weight when it explains what hurts there.
            Some(_) if near.explains || self.symptoms().is_empty() => ON_THE_WAY,
            Some(_) => BESIDE,
            None if self.anchor.how == Match::Everything => IN_THE_NAMESPACE,
            None if neighbour && self.anchor.how == Match::Namespace => IN_THE_NAMESPACE,
            None if neighbour => BESIDE,
            None => ELSEWHERE,
        };
        if neighbour && self.meant_too(explained, start) {
            relevance.max(ON_THE_WAY)
        } else {
            relevance
        }
    }

    /// An alert that names no object is about whatever bears its claim out, not about anything
    /// that happens to be broken in its namespace.
    fn answers_claim(&self, explained: &BTreeSet<usize>) -> bool {
        let named = matches!(self.anchor.how, Match::Named | Match::Described);
        named || self.claim.is_none() || explained.iter().any(|index| self.claimed(*index))
    }

    /// An alert about several objects is also about a neighbour of the one it names, when harm there
    /// bears the claim out and began with this trouble.
    fn meant_too(&self, explained: &BTreeSet<usize>, start: Option<Timestamp>) -> bool {
        self.several
            && start.is_some_and(|start| self.anchor.onset.duration_since(start) <= TOGETHER)
            && explained.iter().any(|index| self.claimed(*index))
    }
}
