//! One investigation from its first event to its last: recall, then plan, execute and weigh until
//! a verdict stands or a bound is met, then conclude and learn.

use std::collections::{BTreeMap, BTreeSet};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Config, Parts,
    carried::{self, Heard},
    executor::{Answer, Executor},
    limits::Limits,
    recalled::{self, Outcome},
    recorder::{Happened, Recorder},
    shown::{ENDED_EARLY, NOTHING_ASKED, unknown_target},
    untold,
};
use crate::{
    guard::repetition::Repetition,
    investigation::{
        Investigation, Phase,
        event::{Event, Guard, GuardTripped, Kind},
        finding::{EndReason, Severity, Verdict},
        plan::Plan,
        report::{MemoryOutcome, Report},
        state::State,
    },
    journal,
    memory::Recalled,
    planner::{self, Failed, Input, question::Window},
    reasoner::{Assessment, Reasoning},
    tool::FailureClass,
};

/// Change of belief that is worth an event.
const NEWS: f64 = 0.05;

struct Run<'a> {
    config: Config,
    parts: &'a Parts,
    recorder: Recorder,
    limits: Limits,
    reasoning: Reasoning,
    repetition: Repetition,
    asked: BTreeSet<(String, String)>,
    failed: Vec<Failed>,
    /// Tools that said they are not set up.
    unusable: BTreeSet<String>,
    /// Signals of which the tools told that were at hand so far.
    told_by_tools: BTreeSet<String>,
    believed: BTreeMap<String, f64>,
    cited: BTreeSet<String>,
    heard: Vec<Heard>,
    began: Instant,
}

/// Investigates until the last event is durable.
pub(super) async fn run(
    config: Config,
    parts: &Parts,
    first: &Event,
    cancel: CancellationToken,
    tell: watch::Sender<Investigation>,
) -> Result<(), journal::Error> {
    let state = State::open(first)
        .map_err(|error| journal::Error::Undecodable { detail: error.to_string() })?;
    let investigation = &state.investigation;
    let began = Instant::now();
    let limits = Limits::new(investigation, began, cancel);
    parts.metrics.investigation_started();
    let mut run = Run {
        config,
        parts,
        recorder: Recorder::new(parts.journal.clone(), parts.clock, state, Some(tell)),
        limits,
        reasoning: Reasoning::new(parts.tools.catalogue()),
        repetition: Repetition::default(),
        asked: BTreeSet::new(),
        failed: Vec::new(),
        unusable: BTreeSet::new(),
        told_by_tools: BTreeSet::new(),
        believed: BTreeMap::new(),
        cited: BTreeSet::new(),
        heard: Vec::new(),
        began,
    };
    let mut recalled = run.recall().await?;
    // What the first questions were chosen by, whatever turns up later.
    let asked_by = recalled.clone();
    let mut assessment = None;
    let ended_by = loop {
        if let Some(reason) = run.bound() {
            break reason;
        }
        let Some(plan) = run.plan(&recalled, assessment.as_ref()).await? else {
            break EndReason::Concluded;
        };
        let answers = run.execute(&plan).await?;
        let circles = run.absorb(answers);
        let mut weighed = run.weigh(&recalled).await?;
        if plan.revision == 1 {
            recalled = run.recall_by_signals(recalled).await?;
        }
        let healthy = weighed.conclusion.verdict == Verdict::Healthy;
        let settled = recalled::stands(&asked_by, plan.revision, &weighed);
        // What is settled is asked about once more where a tool not asked yet might refute it: the
        // next plan has only that, or there is none. So it is for a recalled case that was borne
        // out again: what has changed since then is what memory cannot know.
        let over = settled && (weighed.refuting.is_empty() || (healthy && !weighed.settled));
        // A recalled case that must not end the run leaves all its questions open.
        weighed.settled = settled;
        assessment = Some(weighed);
        if over {
            break EndReason::Concluded;
        }
        if circles {
            run.tripped(Guard::Loop, "equal calls gave equal results").await?;
            break EndReason::Repetition;
        }
    };
    let assessment = match assessment {
        Some(assessment) => assessment,
        None => run.weigh(&recalled).await?,
    };
    run.conclude(assessment, &recalled, ended_by).await
}

impl Run<'_> {
    async fn recall(&mut self) -> Result<Recalled, journal::Error> {
        if let Err(error) = self.parts.memory.catch_up().await {
            tracing::warn!(%error, "memory is behind the journal");
        }
        let alert = &self.recorder.state().investigation.alert;
        let recalled = self.parts.memory.recall(alert, &[], self.recorder.now());
        let mut summary = recalled::in_short(&recalled);
        if let Some(note) = self.parts.memory.note(alert, self.recorder.now()) {
            summary.push_str(&format!("; lately: {}", note.text));
        }
        self.record_recalled(&recalled, summary).await?;
        Ok(recalled)
    }

    /// Now that signals are known, cases and patterns that the alert alone does not resemble may
    /// turn up.
    async fn recall_by_signals(&mut self, before: Recalled) -> Result<Recalled, journal::Error> {
        let signals: Vec<String> =
            self.reasoning.facts.signals().into_iter().map(str::to_owned).collect();
        let alert = &self.recorder.state().investigation.alert;
        let now = self.parts.memory.recall(alert, &signals, self.recorder.now());
        let Some(summary) = recalled::news(&before, &now) else { return Ok(before) };
        let recalled = recalled::joined(before, now);
        self.record_recalled(&recalled, summary).await?;
        Ok(recalled)
    }

    async fn record_recalled(
        &mut self,
        recalled: &Recalled,
        summary: String,
    ) -> Result<(), journal::Error> {
        let kind = Kind::MemoryRecalled(recalled.cases.clone(), recalled.patterns.clone());
        self.recorder.record(Happened::new(kind, summary)).await?;
        Ok(())
    }

    /// The bound that is met, if one is.
    fn bound(&self) -> Option<EndReason> {
        let investigation = &self.recorder.state().investigation;
        if self.limits.cancel.is_cancelled() {
            Some(EndReason::Cancelled)
        } else if self.limits.over() {
            Some(EndReason::Deadline)
        } else if investigation.usage.tool_calls >= investigation.bounds.max_tool_calls {
            Some(EndReason::MaxToolCalls)
        } else if self.recorder.state().rounds >= investigation.bounds.max_rounds {
            Some(EndReason::MaxRounds)
        } else {
            None
        }
    }

    async fn plan(
        &mut self,
        recalled: &Recalled,
        assessment: Option<&Assessment>,
    ) -> Result<Option<Plan>, journal::Error> {
        let tools = self.parts.tools.specs();
        self.reasoning.adopt(self.parts.tools.catalogue());
        self.limits.offer(&tools);
        let untold = untold::families(self.reasoning.catalogue(), &tools, &mut self.told_by_tools);
        let gap = untold::gap(&untold).filter(|_| assessment.is_none());
        self.reasoning.facts.untold(untold);
        if let Some((kind, said)) = gap {
            self.recorder.record(Happened::new(kind, said)).await?;
        }
        let state = self.recorder.state();
        let investigation = &state.investigation;
        let calls_left =
            investigation.bounds.max_tool_calls.saturating_sub(investigation.usage.tool_calls);
        let leading = recalled::leading(recalled);
        let plan = planner::plan(&Input {
            alert: &investigation.alert,
            tools: &tools,
            catalogue: self.reasoning.catalogue(),
            recalled: leading,
            rested_on: leading
                .and_then(|case| recalled.known.get(&case.episode))
                .map_or(&[], |known| &known.rested_on),
            assessment,
            asked: &self.asked,
            failed: &self.failed,
            unusable: &self.unusable,
            window: Window { start: investigation.alert.start, end: None },
            revision: state.rounds.saturating_add(1),
            calls_left: usize::try_from(calls_left).unwrap_or(usize::MAX),
        });
        self.failed.clear();
        let Some(plan) = plan else { return Ok(None) };
        if let Err(error) = plan.check() {
            tracing::error!(%error, "a plan that cannot be carried out is left");
            return Ok(None);
        }
        let summary =
            format!("round {}: {} question(s), {}", plan.revision, plan.steps.len(), plan.reason);
        let mut shown = plan.clone();
        for step in &mut shown.steps {
            step.arguments = self.limits.mask(&step.tool, &step.arguments);
        }
        self.recorder.record(Happened::new(Kind::PlanUpdated(shown), summary)).await?;
        Ok(Some(plan))
    }

    async fn execute(&mut self, plan: &Plan) -> Result<Vec<Answer>, journal::Error> {
        let executor = Executor::new(self.parts, &self.limits, self.config.parallel_calls);
        executor.execute(plan, self.limits.offered(), &mut self.recorder).await
    }

    /// Takes the answers in; tells whether the run goes in circles.
    fn absorb(&mut self, answers: Vec<Answer>) -> bool {
        let mut circles = false;
        for Answer { call, seq, result } in answers {
            self.asked.insert((call.tool.to_string(), call.arguments.clone()));
            self.heard.push(Heard::of(&call, seq, &result));
            match result {
                Ok(output) => {
                    circles |= self.repetition.note(&call, &output.result_json);
                    self.reasoning.facts.absorb(&call.tool, seq, &output);
                    for gap in &output.gaps {
                        if gap.failure.class != FailureClass::NotFound {
                            let emits =
                                untold::hidden_by(&gap.failure, self.limits.emits(&call.tool));
                            self.reasoning.facts.blind(&call.tool, emits);
                        }
                    }
                }
                Err(failure) if failure.class == FailureClass::NotFound => {}
                Err(failure) => {
                    if failure.class == FailureClass::Config {
                        self.unusable.insert(call.tool.to_string());
                    }
                    let emits = self.limits.emits(&call.tool);
                    self.reasoning.facts.blind(&call.tool, emits.clone());
                    self.failed.push(Failed { tool: call.tool.to_string(), emits });
                }
            }
        }
        circles
    }

    async fn weigh(&mut self, recalled: &Recalled) -> Result<Assessment, journal::Error> {
        let now = self.recorder.now();
        let alert = self.recorder.state().investigation.alert.clone();
        let assessment = self.reasoning.assess(&alert, now);
        let mut happened = Vec::new();
        for hypothesis in assessment.hypotheses.iter().take(3) {
            let before = self.believed.get(&hypothesis.id).copied();
            if before.is_some_and(|before| (before - hypothesis.confidence).abs() < NEWS) {
                continue;
            }
            for id in &hypothesis.evidence {
                happened.extend(self.cite(id, &assessment));
            }
            let remembered = recalled.cases.iter().any(|case| case.category == hypothesis.category);
            let summary = format!(
                "{:.0} %{}: {}",
                hypothesis.confidence * 100.0,
                if remembered { ", as in an earlier case" } else { "" },
                hypothesis.statement
            );
            let kind = Kind::HypothesisUpdated(hypothesis.clone(), before.unwrap_or_default());
            happened.push(Happened::new(kind, summary));
            self.believed.insert(hypothesis.id.clone(), hypothesis.confidence);
        }
        if !happened.is_empty() {
            self.recorder.record_all(happened).await?;
        }
        if let Err(error) = self.parts.memory.checkpoint(self.recorder.state()).await {
            tracing::warn!(%error, "working memory did not take a checkpoint");
        }
        Ok(assessment)
    }

    /// An event for an observation cited for the first time.
    fn cite(&mut self, id: &str, assessment: &Assessment) -> Option<Happened> {
        if !self.cited.insert(id.to_owned()) {
            return None;
        }
        let cited = assessment.conclusion.evidence.iter().find(|e| e.id == id).cloned();
        let evidence = cited.or_else(|| self.reasoning.facts.evidence(id))?;
        let summary = format!("seen: {}", evidence.observation.statement);
        Some(Happened::new(Kind::EvidenceRecorded(Box::new(evidence)), summary))
    }

    async fn tripped(&mut self, guard: Guard, consequence: &str) -> Result<(), journal::Error> {
        let tripped = GuardTripped {
            guard,
            subject: self.recorder.state().investigation.id.resource(),
            consequence: consequence.to_owned(),
        };
        self.recorder.record(Happened::new(Kind::GuardTripped(tripped), consequence)).await?;
        Ok(())
    }

    async fn conclude(
        mut self,
        assessment: Assessment,
        recalled: &Recalled,
        ended_by: EndReason,
    ) -> Result<(), journal::Error> {
        if let Some((asked, nearest)) = &assessment.unknown {
            self.recorder.record(unknown_target(asked, nearest)).await?;
        }
        let state = self.recorder.state();
        let carried = if ended_by == EndReason::Concluded {
            let of = (&state.investigation.alert, self.recorder.now());
            carried::steps(&self.heard, &self.reasoning, &assessment.conclusion, of)
        } else {
            BTreeSet::new()
        };
        let mut conclusion = assessment.conclusion;
        if state.steps.is_empty() && ended_by == EndReason::Concluded {
            NOTHING_ASKED.clone_into(&mut conclusion.summary);
            conclusion.severity = Severity::P4;
        }
        if conclusion.verdict == Verdict::Healthy && ended_by != EndReason::Concluded {
            conclusion.verdict = Verdict::Inconclusive;
            ENDED_EARLY.clone_into(&mut conclusion.summary);
        }
        let verdict = conclusion.verdict;
        let calls = state.investigation.usage.tool_calls;
        let told = Outcome {
            recalled,
            conclusion: &conclusion,
            hypotheses: &assessment.hypotheses,
            calls,
        };
        let memory = MemoryOutcome {
            episode: format!("episodes/{}", state.investigation.id),
            total_episodes: self.parts.memory.total().saturating_add(1),
            ..told.told()
        };
        let took = self.began.elapsed();
        let summary = conclusion.summary.clone();
        let mut report = Report::compose(state, conclusion, memory, ended_by, took);
        report.unexplained = assessment.unexplained;
        for step in &mut report.steps {
            step.carried = carried.contains(&step.step);
        }
        let mut ended = state.investigation.clone();
        ended.phase = match ended_by {
            EndReason::Cancelled => Phase::Cancelled,
            EndReason::Concluded if report.gaps.is_empty() => Phase::Succeeded,
            EndReason::Concluded
            | EndReason::MaxRounds
            | EndReason::MaxToolCalls
            | EndReason::Deadline
            | EndReason::Repetition
            | EndReason::DaemonRestarted => Phase::Partial,
        };
        ended.ended = Some(self.recorder.now());
        ended.report = Some(report);
        let steps = state.steps.len();
        self.recorder.record(Happened::new(Kind::Finished(Box::new(ended)), summary)).await?;
        self.parts.metrics.investigation_ended(verdict.as_str(), took, steps);
        self.learn().await;
        Ok(())
    }

    /// Memory is a fold of the journal: should it fail here, it is rebuilt from there.
    async fn learn(&self) {
        let investigation = self.recorder.state().investigation.clone();
        if let Err(error) = self.parts.memory.learn(&investigation).await {
            tracing::error!(%error, investigation = %investigation.id, "memory did not take it in");
        }
    }
}
