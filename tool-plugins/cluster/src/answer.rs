//! Gathers what a tool saw and hands it over in order: what the name stands for, harm, changes,
//! health, the rest. What does not fit is left out from the end, and the outcome says so.

use std::collections::BTreeSet;

use agent_sdk::{Failure, Observation, Output, Relation, limits};
use serde::Serialize;

use crate::{Cluster, names::Resolution};

/// Most observations of one answer; the wire allows somewhat more.
pub const MAX_OBSERVATIONS: usize = 450;
/// Most relations of one answer.
pub const MAX_RELATIONS: usize = 2000;

/// How much an observation matters when not all fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Target,
    Harm,
    Change,
    Health,
    Neutral,
}

/// What a tool saw, while it looks.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    observations: Vec<(Rank, Observation)>,
    relations: BTreeSet<Relation>,
    gaps: Vec<(String, Failure)>,
}

// === impl Answer ===

impl Answer {
    /// An answer that begins with what the name asked for stands for, and with what of it could
    /// not be searched.
    #[must_use]
    pub fn about(target: &Resolution) -> Self {
        let observations = target.observations().into_iter().map(|o| (Rank::Target, o)).collect();
        Self { observations, relations: BTreeSet::new(), gaps: target.gaps.clone() }
    }

    /// Something is wrong.
    pub fn harm(&mut self, observation: Observation) {
        self.observations.push((Rank::Harm, observation));
    }

    /// Something was altered.
    pub fn change(&mut self, observation: Observation) {
        self.observations.push((Rank::Change, observation));
    }

    /// Something was looked at and is fine.
    pub fn health(&mut self, observation: Observation) {
        self.observations.push((Rank::Health, observation));
    }

    /// Something to be shown that says neither.
    pub fn neutral(&mut self, observation: Observation) {
        self.observations.push((Rank::Neutral, observation));
    }

    /// An edge of the topology.
    pub fn relate(&mut self, relation: Relation) {
        self.relations.insert(relation);
    }

    /// Edges of the topology.
    pub fn relate_all(&mut self, relations: impl IntoIterator<Item = Relation>) {
        self.relations.extend(relations);
    }

    /// Something that could not be looked at.
    pub fn gap(&mut self, subject: &str, why: Failure) {
        if !self.gaps.iter().any(|(known, _)| known == subject) {
            self.gaps.push((subject.to_owned(), why));
        }
    }

    /// The answer's list, or an empty one and a gap when the source did not answer. For sources
    /// without which the rest is still worth telling.
    pub fn or_gap<T>(&mut self, subject: &str, result: Result<Vec<T>, Failure>) -> Vec<T> {
        result.unwrap_or_else(|why| {
            self.gap(subject, why);
            Vec::new()
        })
    }

    /// Whether some harm was seen.
    #[must_use]
    pub fn has_harm(&self) -> bool {
        self.observations.iter().any(|(rank, _)| *rank == Rank::Harm)
    }

    /// The outcome: `result` for machines, the first statements as summary, all facts.
    ///
    /// # Errors
    /// A failure of class BUG when `result` cannot be written as JSON.
    pub fn into_output(
        mut self,
        cluster: &Cluster,
        headline: &str,
        result: &impl Serialize,
    ) -> Result<Output, Failure> {
        for (file, why) in cluster.gaps() {
            self.gap(&file, why);
        }
        self.observations.sort_by_key(|(rank, _)| *rank);
        let truncated =
            self.observations.len() > MAX_OBSERVATIONS || self.relations.len() > MAX_RELATIONS;
        let summary = self.summary(headline);
        let kept = self.observations.into_iter().take(MAX_OBSERVATIONS).map(|(_, o)| o);
        let mut output = Output::new(result)?
            .summary(summary)
            .observe_all(kept)
            .relate_all(self.relations.into_iter().take(MAX_RELATIONS))
            .observed_at(cluster.now());
        for (subject, why) in self.gaps {
            output = output.gap(subject, why);
        }
        Ok(if truncated { output.truncated("") } else { output })
    }

    fn summary(&self, headline: &str) -> String {
        let mut text = headline.to_owned();
        let telling = self.observations.iter().filter(|(rank, _)| *rank <= Rank::Change);
        for (_, observation) in telling.take(20) {
            text.push_str("\n- ");
            text.push_str(&observation.as_wire().statement);
        }
        for (subject, why) in &self.gaps {
            text.push_str(&format!("\n- not seen: {subject}: {why}"));
        }
        limits::cut_middle(&text, limits::MAX_SUMMARY)
    }
}
