//! The thinking of one investigation, again: what was asked and what came back, round by round,
//! and the reasoner over it. The daemon's own run is what is measured; this is for looking into it
//! (its report holds the leading hypotheses only) and for timing it apart from the asking.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use agent_proto::v1::{self, event::Payload};
use agentd::{
    alert::Alert,
    investigation::finding::Severity,
    planner::{self, Input, question::Window},
    plugin::wire,
    reasoner::{Assessment, Reasoning, catalogue::Catalogue},
    tool::{CallOutput, ToolRef, ToolSpec},
};
use anyhow::Result;
use jiff::Timestamp;

use super::relay::Passed;

/// An answer, or that there was none.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The tool.
    pub tool: ToolRef,
    /// Its arguments.
    pub arguments: String,
    /// Number of the event that holds it.
    pub seq: u32,
    /// What it gave; `None` when it failed.
    pub output: Option<CallOutput>,
}

/// Everything that an investigation had before it.
#[derive(Debug, Clone)]
pub struct Gathered {
    /// What set it off.
    pub alert: Alert,
    /// The tools there were.
    pub tools: Vec<Arc<ToolSpec>>,
    /// The answers of each round, in order of arrival.
    pub rounds: Vec<Vec<Answered>>,
}

// === impl Gathered ===

impl Gathered {
    /// Puts together what the events tell and what passed the relays.
    #[must_use]
    pub fn of(
        alert: &v1::Alert,
        tools: Vec<Arc<ToolSpec>>,
        events: &[v1::Event],
        passed: &[Passed],
    ) -> Self {
        let mut asked: BTreeMap<&str, (ToolRef, String)> = BTreeMap::new();
        let mut rounds = Vec::new();
        for event in events {
            match &event.payload {
                Some(Payload::PlanUpdated(_)) => rounds.push(Vec::new()),
                Some(Payload::ToolCallStarted(call)) => {
                    let tool = wire::tool_ref_from(call.tool.clone().unwrap_or_default());
                    asked.insert(&call.call_id, (tool, call.arguments_json.clone()));
                }
                Some(Payload::ToolCallFinished(call)) if !call.will_retry => {
                    let Some((tool, arguments)) = asked.remove(call.call_id.as_str()) else {
                        continue;
                    };
                    let seq = u32::try_from(event.sequence).unwrap_or_default();
                    let result = passed.iter().find(|one| one.call_id == call.call_id);
                    let output = result
                        .filter(|_| call.failure.is_none())
                        .map(|one| wire::result_from(one.result.clone()));
                    if let Some(round) = rounds.last_mut() {
                        round.push(Answered { tool, arguments, seq, output });
                    }
                }
                _ => {}
            }
        }
        Self { alert: domain(alert), tools, rounds }
    }

    /// Observations in all.
    #[must_use]
    pub fn observations(&self) -> usize {
        let outputs = self.rounds.iter().flatten().filter_map(|one| one.output.as_ref());
        outputs.map(|output| output.observations.len()).sum()
    }

    /// What the reasoner makes of all of it, with its facts.
    ///
    /// # Errors
    /// When the catalogue is not sound.
    pub fn weighed(&self) -> Result<(Reasoning, Assessment)> {
        let mut reasoning = Reasoning::new(Arc::new(Catalogue::embedded()?));
        for answered in self.rounds.iter().flatten() {
            self.take_in(&mut reasoning, answered);
        }
        let assessment = reasoning.assess(&self.alert, Timestamp::UNIX_EPOCH);
        Ok((reasoning, assessment))
    }

    /// All of the thinking as the daemon does it: plan, take in, weigh, once each round, and the
    /// last plan that finds nothing more to ask. Tells how long each part took.
    #[must_use]
    pub fn thought(&self, catalogue: &Arc<Catalogue>) -> Thought {
        let mut thought = Thought::default();
        let mut reasoning = Reasoning::new(Arc::clone(catalogue));
        let mut assessment: Option<Assessment> = None;
        let mut asked = std::collections::BTreeSet::new();
        for revision in 1..=self.rounds.len().saturating_add(1) {
            let begun = Instant::now();
            let plan = planner::plan(&Input {
                alert: &self.alert,
                tools: &self.tools,
                catalogue,
                recalled: None,
                rested_on: &[],
                assessment: assessment.as_ref(),
                asked: &asked,
                failed: &[],
                unusable: &std::collections::BTreeSet::new(),
                window: Window { start: self.alert.start, end: None },
                revision: u32::try_from(revision).unwrap_or(u32::MAX),
                calls_left: 60,
            });
            thought.plan += begun.elapsed();
            std::hint::black_box(plan);
            let Some(round) = self.rounds.get(revision - 1) else { break };
            let begun = Instant::now();
            for answered in round {
                asked.insert((answered.tool.to_string(), answered.arguments.clone()));
                self.take_in(&mut reasoning, answered);
            }
            thought.absorb += begun.elapsed();
            let begun = Instant::now();
            assessment = Some(reasoning.assess(&self.alert, Timestamp::UNIX_EPOCH));
            thought.assess += begun.elapsed();
        }
        thought
    }

    fn take_in(&self, reasoning: &mut Reasoning, answered: &Answered) {
        match &answered.output {
            Some(output) => reasoning.facts.absorb(&answered.tool, answered.seq, output),
            None => {
                let spec = self.tools.iter().find(|spec| spec.id == answered.tool);
                let applies = spec.map(|spec| spec.applies.as_slice()).unwrap_or_default();
                let emits = applies.iter().flat_map(|a| a.emits.iter().cloned()).collect();
                reasoning.facts.blind(&answered.tool, emits);
            }
        }
    }
}

/// How long the parts of the thinking took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Thought {
    /// Making plans.
    pub plan: std::time::Duration,
    /// Taking answers in.
    pub absorb: std::time::Duration,
    /// Weighing.
    pub assess: std::time::Duration,
}

// === impl Thought ===

impl Thought {
    /// All of it.
    #[must_use]
    pub fn all(self) -> std::time::Duration {
        self.plan + self.absorb + self.assess
    }
}

/// An alert in the words of the daemon.
fn domain(alert: &v1::Alert) -> Alert {
    let severity = match alert.severity() {
        v1::Severity::P1 => Some(Severity::P1),
        v1::Severity::P2 => Some(Severity::P2),
        v1::Severity::P3 => Some(Severity::P3),
        v1::Severity::P4 => Some(Severity::P4),
        v1::Severity::Unspecified => None,
    };
    Alert {
        kind: alert.r#type.clone(),
        service: alert.service.clone(),
        namespace: alert.namespace.clone(),
        severity,
        description: alert.description.clone(),
        labels: alert.labels.clone(),
        start: wire::timestamp_from(alert.start_time.as_ref()),
        ..Alert::default()
    }
}
