//! The state of an investigation: a fold of its events, and the one table of what may follow what.
//! The engine and the recovery after a restart use the same fold, so they cannot disagree.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    Investigation,
    event::{Event, Kind, Seq},
    finding::{EpisodeMatch, Evidence, Gap, Hypothesis, LearnedPattern, StepOutcome, StepSummary},
    plan::{Plan, Step},
};

/// What is known after some events.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The investigation as clients see it.
    pub investigation: Investigation,
    /// Earlier cases recalled, best first.
    pub recalled: Vec<EpisodeMatch>,
    /// What recurring cases teach about the alert, strongest first.
    pub patterns: Vec<LearnedPattern>,
    /// Why the plan is as it is: the reasons of all revisions, in order.
    pub plan_reason: String,
    /// Steps in the order they began, as far as they got.
    pub steps: Vec<StepSummary>,
    /// What stayed unknown.
    pub gaps: Vec<Gap>,
    /// Evidence recorded, by id.
    pub evidence: BTreeMap<String, Evidence>,
    /// Candidate causes as believed last, by id.
    pub hypotheses: BTreeMap<String, Hypothesis>,
    /// Revisions of the plan so far.
    pub rounds: u32,
    planned: BTreeMap<String, Step>,
    began: BTreeMap<String, Timestamp>,
}

/// An event that cannot follow what came before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The first event is not `started`.
    #[error("the log begins with event {seq}, which is not \"started\"")]
    NotStarted {
        /// Its number.
        seq: Seq,
    },
    /// A number is missing or comes twice.
    #[error("event {got} follows event {last}")]
    Hole {
        /// Number before.
        last: Seq,
        /// Number found.
        got: Seq,
    },
    /// Something follows the last event.
    #[error("event {seq} follows the end")]
    AfterEnd {
        /// Its number.
        seq: Seq,
    },
}

impl State {
    /// The state after the first event.
    ///
    /// # Errors
    /// When it is not `started` with number 1.
    pub fn open(first: &Event) -> Result<Self, Error> {
        let (Kind::Started(investigation), 1) = (&first.kind, first.seq) else {
            return Err(Error::NotStarted { seq: first.seq });
        };
        let mut investigation = Investigation::clone(investigation);
        investigation.last_seq = 1;
        Ok(Self {
            investigation,
            recalled: Vec::new(),
            patterns: Vec::new(),
            plan_reason: String::new(),
            steps: Vec::new(),
            gaps: Vec::new(),
            evidence: BTreeMap::new(),
            hypotheses: BTreeMap::new(),
            rounds: 0,
            planned: BTreeMap::new(),
            began: BTreeMap::new(),
        })
    }

    /// Folds a whole log.
    ///
    /// # Errors
    /// At the first event that cannot follow; the log is damaged there.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Result<Option<Self>, Error> {
        let mut events = events.into_iter();
        let Some(first) = events.next() else { return Ok(None) };
        let mut state = Self::open(first)?;
        for event in events {
            state.apply(event)?;
        }
        Ok(Some(state))
    }

    /// Takes the next event in.
    ///
    /// # Errors
    /// When its number is not the next one or the investigation has ended; nothing is changed then.
    pub fn apply(&mut self, event: &Event) -> Result<(), Error> {
        let last = self.investigation.last_seq;
        if self.investigation.phase.terminal() {
            return Err(Error::AfterEnd { seq: event.seq });
        }
        if event.seq != last.saturating_add(1) {
            return Err(Error::Hole { last, got: event.seq });
        }
        match &event.kind {
            Kind::Started(_) => return Err(Error::Hole { last, got: event.seq }),
            Kind::MemoryRecalled(matches, patterns) => {
                self.recalled.clone_from(matches);
                self.patterns.clone_from(patterns);
            }
            Kind::PlanUpdated(plan) => self.replan(plan),
            Kind::StepStarted => self.begin_step(event),
            Kind::StepFinished(outcome) => self.end_step(event, *outcome),
            Kind::ToolCallStarted(_) => {
                let calls = &mut self.investigation.usage.tool_calls;
                *calls = calls.saturating_add(1);
                if let Some(step) = self.step_mut(&event.step) {
                    step.attempts = step.attempts.saturating_add(1);
                }
            }
            Kind::ToolCallFinished(finished) => {
                // What was there already cost nothing.
                let calls = &mut self.investigation.usage.tool_calls;
                *calls = calls.saturating_sub(u32::from(finished.cached));
                if let Some(step) = self.step_mut(&event.step) {
                    step.summary = finished
                        .failure
                        .as_ref()
                        .map_or_else(|| finished.summary.clone(), ToString::to_string);
                }
            }
            Kind::HypothesisUpdated(hypothesis, _) => {
                self.hypotheses.insert(hypothesis.id.clone(), hypothesis.clone());
            }
            Kind::EvidenceRecorded(evidence) => {
                self.evidence.insert(evidence.id.clone(), Evidence::clone(evidence));
            }
            Kind::GapRecorded(gap) => self.gaps.push(gap.clone()),
            Kind::Finished(investigation) => {
                self.investigation = Investigation::clone(investigation);
            }
            Kind::ToolCallProgressed(_)
            | Kind::GuardTripped(_)
            | Kind::AlertAttached(_)
            | Kind::Unknown => {}
        }
        self.investigation.last_seq = event.seq;
        Ok(())
    }

    fn replan(&mut self, plan: &Plan) {
        self.rounds = plan.revision;
        if !self.plan_reason.is_empty() {
            self.plan_reason.push_str("; then ");
        }
        self.plan_reason.push_str(&plan.reason);
        for step in &plan.steps {
            self.planned.insert(step.id.clone(), step.clone());
        }
    }

    fn begin_step(&mut self, event: &Event) {
        let planned = self.planned.get(&event.step).cloned().unwrap_or_default();
        self.began.insert(event.step.clone(), event.time);
        self.steps.push(StepSummary {
            step: event.step.clone(),
            tool: planned.tool,
            purpose: planned.purpose,
            outcome: StepOutcome::Skipped,
            summary: String::new(),
            duration: Duration::ZERO,
            attempts: 0,
            about: planned.about,
            carried: false,
        });
    }

    fn end_step(&mut self, event: &Event, outcome: StepOutcome) {
        let began = self.began.get(&event.step).copied();
        let duration = began
            .and_then(|began| Duration::try_from(event.time.duration_since(began)).ok())
            .unwrap_or_default();
        if let Some(step) = self.step_mut(&event.step) {
            step.outcome = outcome;
            step.duration = duration;
        }
    }

    fn step_mut(&mut self, id: &str) -> Option<&mut StepSummary> {
        self.steps.iter_mut().find(|step| step.step == id)
    }
}
