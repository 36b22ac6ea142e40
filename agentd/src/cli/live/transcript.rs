//! What a person is told while an investigation runs: events in, changes of the picture out. Pure.

use std::collections::BTreeMap;

use agent_proto::v1::{
    Alert, Event, HypothesisUpdated, Investigation, MemoryRecalled, PlanUpdated, StepOutcome,
    ToolCallFinished, event::Payload,
};

use crate::cli::{
    out::Style,
    text::{counted, cut, object, percent, took},
};

/// Widest line of the transcript.
const WIDTH: usize = 100;

/// A change of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A line that stays.
    Line(String),
    /// A step runs from now on.
    Begin {
        /// Its id.
        step: String,
        /// What it does.
        said: String,
    },
    /// A running step has got further.
    Update {
        /// Its id.
        step: String,
        /// How far.
        said: String,
    },
    /// A step runs no more.
    End {
        /// Its id.
        step: String,
    },
}

/// What was told so far.
#[derive(Debug)]
pub(super) struct Transcript {
    style: Style,
    steps: BTreeMap<String, Step>,
}

/// A step of the plan.
#[derive(Debug, Clone, Default)]
struct Step {
    tool: String,
    purpose: String,
    took: String,
    said: String,
}

// === impl Transcript ===

impl Transcript {
    /// Nothing told yet.
    pub(super) fn new(style: Style) -> Self {
        Self { style, steps: BTreeMap::new() }
    }

    /// What an event changes.
    pub(super) fn take(&mut self, event: &Event) -> Vec<Change> {
        let Some(payload) = &event.payload else { return vec![self.other(event)] };
        match payload {
            Payload::Started(started) => {
                started.investigation.iter().map(|begun| self.started(begun)).collect()
            }
            Payload::MemoryRecalled(recalled) => self.recalled(recalled),
            Payload::PlanUpdated(plan) => vec![self.planned(plan)],
            Payload::StepStarted(_) => self.began(&event.step_id),
            Payload::StepFinished(finished) => self.ended(&event.step_id, finished.outcome()),
            Payload::ToolCallProgressed(progressed) => {
                self.progressed(&event.step_id, &progressed.message)
            }
            Payload::ToolCallFinished(finished) => self.called(&event.step_id, finished),
            Payload::HypothesisUpdated(updated) => self.believed(updated),
            Payload::EvidenceRecorded(recorded) => {
                let evidence = recorded.evidence.iter();
                evidence.map(|e| self.mild(&format!("      · {}", e.statement))).collect()
            }
            Payload::GapRecorded(recorded) => {
                let gap = recorded.gap.iter();
                gap.map(|gap| plain(&format!("    ! not seen: {}", gap.subject))).collect()
            }
            // The start of a call is told by its step; the end is told by the report.
            Payload::ToolCallStarted(_) | Payload::Finished(_) => Vec::new(),
            Payload::GuardTripped(_)
            | Payload::ModelCalled(_)
            | Payload::ApprovalRequested(_)
            | Payload::ApprovalResolved(_)
            | Payload::BudgetReported(_)
            | Payload::RollbackUpdated(_)
            | Payload::Escalated(_)
            | Payload::AlertAttached(_)
            | Payload::Resumed(_) => vec![self.other(event)],
        }
    }

    fn started(&self, begun: &Investigation) -> Change {
        let about = begun.alert.as_ref().map(about).unwrap_or_default();
        let line = format!("{} {}", self.style.bold(&about), self.style.dim(&begun.name));
        Change::Line(line.trim_end().to_owned())
    }

    fn recalled(&self, recalled: &MemoryRecalled) -> Vec<Change> {
        let best = recalled.matches.first();
        let line = best.map(|best| {
            let cases = counted(recalled.matches.len(), "earlier case");
            format!("  {cases}; the best, {} alike: {}", percent(best.similarity), best.reason)
        });
        line.into_iter().map(|line| self.mild(&line)).collect()
    }

    fn planned(&mut self, plan: &PlanUpdated) -> Change {
        for step in &plan.steps {
            let of = step.tool.as_ref();
            let tool = of.map(|of| format!("{}.{}", of.plugin, of.tool)).unwrap_or_default();
            let known = Step { tool, purpose: step.purpose.clone(), ..Step::default() };
            self.steps.entry(step.id.clone()).or_insert(known);
        }
        let asked = counted(plan.steps.len(), "question");
        let line = cut(&format!("round {}: {asked}, {}", plan.revision, plan.reason), WIDTH);
        Change::Line(self.style.bold(&line))
    }

    fn began(&self, id: &str) -> Vec<Change> {
        let Some(step) = self.steps.get(id) else { return Vec::new() };
        let said = format!("{}  {}", step.tool, self.style.dim(&step.purpose));
        vec![Change::Begin { step: id.to_owned(), said }]
    }

    fn progressed(&self, id: &str, message: &str) -> Vec<Change> {
        let Some(step) = self.steps.get(id) else { return Vec::new() };
        let said = format!("{}  {}", step.tool, self.style.dim(message));
        vec![Change::Update { step: id.to_owned(), said }]
    }

    fn called(&mut self, id: &str, finished: &ToolCallFinished) -> Vec<Change> {
        let Some(step) = self.steps.get_mut(id) else { return Vec::new() };
        step.took = took(finished.duration.as_ref());
        step.said = match &finished.failure {
            Some(failure) => failure.message.clone(),
            None => finished.summary.clone(),
        };
        if !finished.will_retry {
            return Vec::new();
        }
        let said = format!("{}  {}", step.tool, self.style.dim(&format!("again: {}", step.said)));
        vec![Change::Update { step: id.to_owned(), said }]
    }

    fn ended(&self, id: &str, outcome: StepOutcome) -> Vec<Change> {
        let step = self.steps.get(id).cloned().unwrap_or_default();
        let mark = match outcome {
            StepOutcome::Succeeded => "✓",
            StepOutcome::Partial => "~",
            StepOutcome::Failed => "✗",
            StepOutcome::Skipped | StepOutcome::Unspecified => "-",
        };
        let said = if step.said.is_empty() { &step.purpose } else { &step.said };
        let lead = format!("  {mark} {:<26} {:>7}  ", step.tool, step.took);
        let line = format!("{lead}{}", cut(said, WIDTH.saturating_sub(lead.chars().count())));
        vec![Change::End { step: id.to_owned() }, Change::Line(line)]
    }

    fn believed(&self, updated: &HypothesisUpdated) -> Vec<Change> {
        let Some(hypothesis) = &updated.hypothesis else { return Vec::new() };
        let culprit = hypothesis.culprit.as_ref().map(object).unwrap_or_default();
        let now = percent(hypothesis.confidence);
        let moved = if updated.previous_confidence > 0.0 {
            format!("{} → {now}", percent(updated.previous_confidence))
        } else {
            now
        };
        let said = format!("{} ({culprit})", hypothesis.statement);
        vec![Change::Line(format!("    {} {}", self.style.bold(&moved), cut(&said, WIDTH - 16)))]
    }

    fn other(&self, event: &Event) -> Change {
        plain(&format!("  {}", event.summary))
    }

    fn mild(&self, line: &str) -> Change {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        let said = cut(line.trim_start(), WIDTH - indent.len());
        Change::Line(format!("{indent}{}", self.style.dim(&said)))
    }
}

/// What an alert is about, such as `high_memory on my-service in my-namespace`.
pub(in crate::cli) fn about(alert: &Alert) -> String {
    let mut said = match alert.r#type.as_str() {
        "" => cut(&alert.description, 60),
        kind => kind.to_owned(),
    };
    for (word, part) in [("on", &alert.service), ("in", &alert.namespace)] {
        if !part.is_empty() {
            said.push_str(&format!(" {word} {part}"));
        }
    }
    said.trim_start().to_owned()
}

fn plain(line: &str) -> Change {
    let indent: String = line.chars().take_while(|c| *c == ' ').collect();
    Change::Line(format!("{indent}{}", cut(line.trim_start(), WIDTH - indent.len())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::{tool::v1 as tool, v1};

    use super::*;

    fn event(step: &str, payload: Payload) -> Event {
        Event { step_id: step.to_owned(), payload: Some(payload), ..Event::default() }
    }

    fn planned() -> Event {
        let of =
            tool::ToolRef { plugin: "probe".into(), tool: "look".into(), ..Default::default() };
        let step = v1::PlanStep {
            id: "s1.1".to_owned(),
            purpose: "see what is there".to_owned(),
            tool: Some(of),
            ..v1::PlanStep::default()
        };
        let plan = PlanUpdated {
            revision: 1,
            steps: vec![step],
            reason: "to begin with".to_owned(),
            ..PlanUpdated::default()
        };
        event("", Payload::PlanUpdated(plan))
    }

    fn finished(failure: Option<&str>, will_retry: bool) -> Event {
        let failed = |said: &str| tool::Failure { message: said.to_owned(), ..Default::default() };
        let finished = ToolCallFinished {
            duration: Some(prost_types::Duration { seconds: 0, nanos: 420_000_000 }),
            summary: "2 things are wrong".to_owned(),
            failure: failure.map(failed),
            will_retry,
            ..ToolCallFinished::default()
        };
        event("s1.1", Payload::ToolCallFinished(Box::new(finished)))
    }

    fn ended(outcome: StepOutcome) -> Event {
        event("s1.1", Payload::StepFinished(v1::StepFinished { outcome: outcome.into() }))
    }

    /// What stands on the screen after the events: lines that stay, and steps that run.
    fn shown(events: &[Event]) -> (Vec<String>, Vec<String>) {
        let mut transcript = Transcript::new(Style::Plain);
        let (mut lines, mut running) = (Vec::new(), BTreeMap::new());
        for change in events.iter().flat_map(|event| transcript.take(event)) {
            match change {
                Change::Line(line) => lines.push(line),
                Change::Begin { step, said } | Change::Update { step, said } => {
                    running.insert(step, said);
                }
                Change::End { step } => drop(running.remove(&step)),
            }
        }
        (lines, running.into_values().collect())
    }

    #[test]
    fn a_step_turns_until_it_ends_and_leaves_one_line() {
        let begun = event("s1.1", Payload::StepStarted(v1::StepStarted {}));
        let (lines, running) = shown(&[planned(), begun.clone()]);
        assert_eq!(lines, ["round 1: 1 question, to begin with"]);
        assert_eq!(running, ["probe.look  see what is there"]);
        let end = ended(StepOutcome::Succeeded);
        let (lines, running) = shown(&[planned(), begun, finished(None, false), end]);
        assert_eq!(
            lines.get(1).unwrap(),
            "  ✓ probe.look                   0.4 s  2 things are wrong"
        );
        assert!(running.is_empty(), "{running:?}");
    }

    #[test]
    fn a_failed_attempt_is_told_while_it_is_tried_again() {
        let begun = event("s1.1", Payload::StepStarted(v1::StepStarted {}));
        let (_, running) = shown(&[planned(), begun, finished(Some("no answer"), true)]);
        assert_eq!(running, ["probe.look  again: no answer"]);
        let end = ended(StepOutcome::Failed);
        let (lines, _) = shown(&[planned(), finished(Some("no answer"), false), end]);
        assert!(lines.get(1).unwrap().starts_with("  ✗ probe.look"), "{lines:?}");
        assert!(lines.get(1).unwrap().ends_with("no answer"), "{lines:?}");
    }

    #[test]
    fn a_belief_is_shown_with_where_it_came_from() {
        let hypothesis = v1::Hypothesis {
            statement: "it is full".to_owned(),
            confidence: 0.8,
            culprit: Some(tool::EntityRef {
                kind: "Pod".into(),
                name: "p".into(),
                ..Default::default()
            }),
            ..v1::Hypothesis::default()
        };
        let updated = HypothesisUpdated { hypothesis: Some(hypothesis), previous_confidence: 0.5 };
        let (lines, _) = shown(&[event("", Payload::HypothesisUpdated(updated))]);
        assert_eq!(lines, ["    50 % → 80 % it is full (Pod p)"]);
    }

    #[test]
    fn no_line_is_wider_than_the_page() {
        let mut plan = planned();
        if let Some(Payload::PlanUpdated(plan)) = &mut plan.payload {
            plan.reason = "because ".repeat(40);
        }
        let mut other = ended(StepOutcome::Succeeded);
        other.payload = None;
        other.summary = "news ".repeat(60);
        let (lines, _) = shown(&[plan, other]);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
    }

    #[test]
    fn an_alert_is_named_by_what_is_known_of_it() {
        let alert = |kind: &str, service: &str, namespace: &str| Alert {
            r#type: kind.to_owned(),
            service: service.to_owned(),
            namespace: namespace.to_owned(),
            description: "slow".to_owned(),
            ..Alert::default()
        };
        assert_eq!(about(&alert("high_memory", "owls", "night")), "high_memory on owls in night");
        assert_eq!(about(&alert("", "", "night")), "slow in night");
    }
}
