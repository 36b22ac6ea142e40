//! All that is known in one investigation: observations with their evidence ids, edges, what could
//! not be looked at. Grows only; the order of arrival decides ids, nothing else depends on it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    fact::{Entity, Observation, Relation, RelationKind},
    investigation::{event::Seq, finding::Evidence},
    tool::{CallOutput, ToolRef},
};

/// One observation with where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Evidence id, such as `e3`.
    pub id: String,
    /// Event that holds the raw result.
    pub seq: Seq,
    /// Tool that observed it.
    pub tool: ToolRef,
    /// What was observed.
    pub observation: Observation,
}

/// A question that stayed without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blind {
    /// Tool that was asked, as people read it.
    pub tool: String,
    /// Signals it might have given.
    pub signals: Vec<String>,
}

/// All that is known.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    seen: Vec<Seen>,
    relations: BTreeSet<Relation>,
    blind: Vec<Blind>,
    /// How many of them, at the end, are signals that no tool at hand tells of.
    untold: usize,
    observed_at: Option<Timestamp>,
    first_observed_at: Option<Timestamp>,
    index: BTreeMap<(String, Entity, String), usize>,
}

impl Facts {
    /// Takes in what a call gave. The same fact told again, perhaps by another tool, is kept once:
    /// the telling with the wider time and the larger count stays.
    pub fn absorb(&mut self, tool: &ToolRef, seq: Seq, output: &CallOutput) {
        if let Some(time) = output.observe_time {
            self.first_observed_at.get_or_insert(time);
            self.observed_at = self.observed_at.max(Some(time));
        }
        self.relations.extend(output.relations.iter().cloned());
        for observation in &output.observations {
            let key = (
                observation.signal.clone(),
                observation.subject.clone(),
                distinguishing(observation),
            );
            match self.index.get(&key).and_then(|at| self.seen.get_mut(*at)) {
                Some(known) => widen(&mut known.observation, observation),
                None => {
                    self.index.insert(key, self.seen.len());
                    self.seen.push(Seen {
                        id: format!("e{}", self.seen.len().saturating_add(1)),
                        seq,
                        tool: tool.clone(),
                        observation: observation.clone(),
                    });
                }
            }
        }
    }

    /// Only what could not be looked at.
    #[must_use]
    pub fn without_answers(&self) -> Self {
        Self { blind: self.blind.clone(), untold: self.untold, ..Self::default() }
    }

    /// Notes a question that stayed without an answer.
    pub fn blind(&mut self, tool: &ToolRef, signals: Vec<String>) {
        let at = self.blind.len().saturating_sub(self.untold);
        self.blind.insert(at, Blind { tool: tool.to_string(), signals });
    }

    /// Notes of which signals no tool at hand tells, in the place of what was noted of that before.
    pub fn untold(&mut self, families: Vec<Blind>) {
        self.blind.truncate(self.blind.len().saturating_sub(self.untold));
        self.untold = families.len();
        self.blind.extend(families);
    }

    /// Every observation, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// An observation as evidence, without a share in any conclusion yet.
    #[must_use]
    pub fn evidence(&self, id: &str) -> Option<Evidence> {
        let number: usize = id.strip_prefix('e')?.parse().ok()?;
        let seen = self.seen.get(number.checked_sub(1)?)?;
        Some(Evidence {
            id: seen.id.clone(),
            seq: seen.seq,
            tool: seen.tool.clone(),
            weight: 0.0,
            contradicts: false,
            observation: seen.observation.clone(),
        })
    }

    /// Every edge.
    #[must_use]
    pub fn relations(&self) -> &BTreeSet<Relation> {
        &self.relations
    }

    /// Calls that are only told of: a log that names whom it called, a caller's view of a callee.
    #[must_use]
    pub fn told_calls(&self) -> Vec<Relation> {
        let calls = |from: &Entity, to: &Entity| Relation {
            from: from.whole(),
            to: to.whole(),
            kind: RelationKind::Calls,
        };
        self.seen
            .iter()
            .filter_map(|seen| {
                let peer = seen.observation.peer.as_ref()?;
                match seen.observation.signal.split_once('.') {
                    Some(("log", _)) => Some(calls(&seen.observation.subject, peer)),
                    Some(("dependency", _)) => Some(calls(peer, &seen.observation.subject)),
                    _ => None,
                }
            })
            .collect()
    }

    /// Questions without an answer.
    #[must_use]
    pub fn blindness(&self) -> &[Blind] {
        &self.blind
    }

    /// The newest time that data describes: "now" in the world that was looked at.
    #[must_use]
    pub fn now(&self) -> Option<Timestamp> {
        self.observed_at
    }

    /// The first observe time met; stands in for an alert without a start.
    #[must_use]
    pub fn first_observed_at(&self) -> Option<Timestamp> {
        self.first_observed_at
    }

    /// Names of the signals seen, without repeats.
    #[must_use]
    pub fn signals(&self) -> BTreeSet<&str> {
        self.seen.iter().map(|seen| seen.observation.signal.as_str()).collect()
    }
}

/// Attributes that tell two observations of one signal on one subject apart.
const DISTINGUISHING: [&str; 16] = [
    "template",
    "revision",
    "metric",
    "key",
    "port",
    "probe",
    "reason",
    "queue",
    "group",
    "cache",
    "what",
    "mountpoint",
    "resource",
    "setting",
    "slot",
    "flap",
];

/// What else tells two observations of one signal on one subject apart.
fn distinguishing(observation: &Observation) -> String {
    let peer = observation.peer.as_ref().map(ToString::to_string).unwrap_or_default();
    let attributes = DISTINGUISHING.map(|key| observation.attr(key));
    format!("{peer}|{}", attributes.join("|"))
}

fn widen(known: &mut Observation, told: &Observation) {
    known.start = match (known.start, told.start) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    known.end = known.end.max(told.end);
    // Of two tellings the one with more to it stays, whichever came first.
    if (told.count, &told.statement) > (known.count, &known.statement) {
        known.count = told.count;
        known.statement.clone_from(&told.statement);
        known.value = told.value.or(known.value);
        known.baseline = told.baseline.or(known.baseline);
    }
    if known.quote.is_empty() {
        known.quote.clone_from(&told.quote);
    }
    for (key, value) in &told.attributes {
        known.attributes.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(count: u32, start: &str) -> CallOutput {
        CallOutput {
            observations: vec![Observation {
                signal: "container.oom_killed".to_owned(),
                subject: Entity::new("Pod", "a", "b"),
                count,
                start: start.parse().ok(),
                ..Observation::default()
            }],
            observe_time: "2026-01-01T12:00:00Z".parse().ok(),
            ..CallOutput::default()
        }
    }

    #[test]
    fn a_fact_told_twice_is_one_fact_with_the_wider_time() {
        let mut facts = Facts::default();
        let tool = ToolRef::default();
        facts.absorb(&tool, 4, &output(2, "2026-01-01T11:00:00Z"));
        facts.absorb(&tool, 9, &output(7, "2026-01-01T11:30:00Z"));
        let [only] = facts.seen() else { panic!("{:?}", facts.seen()) };
        assert_eq!((only.id.as_str(), only.seq, only.observation.count), ("e1", 4, 7));
        assert_eq!(only.observation.start, "2026-01-01T11:00:00Z".parse().ok());
        assert_eq!(facts.now(), "2026-01-01T12:00:00Z".parse().ok());
    }
}
