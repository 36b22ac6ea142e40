//! Carries out a plan: steps whose needs are met run together, each call through the guards. It
//! never fails as a whole: what fails, is refused or runs out of time becomes a gap, and steps
//! that do not need it go on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use tokio::{sync::mpsc, time::Instant};
use uuid::Uuid;

use super::{
    Parts,
    limits::Limits,
    recorder::{Happened, Recorder},
    shown::{finished, gaps},
};
use crate::{
    guard::Cleared,
    investigation::{
        event::{Guard, GuardTripped, Kind, Seq, ToolCallProgressed, ToolCallStarted},
        finding::StepOutcome,
        plan::{Plan, Step},
    },
    journal,
    plugin::{CallCx, CallUpdate, wire},
    tool::{Call, CallOutput, Failure, FailureClass, ToolSpec},
};

/// Shortest time between two stored progress events of one call, and most of them.
const PROGRESS: (Duration, u32) = (Duration::from_secs(1), 20);

/// What one step came to.
pub(super) struct Answer {
    /// What was asked.
    pub(super) call: Call,
    /// Event that holds the result.
    pub(super) seq: Seq,
    /// What came back.
    pub(super) result: Result<CallOutput, Failure>,
}

/// From a step's task to the one that records.
enum Told {
    Update(CallUpdate),
    Ended(Result<CallOutput, Failure>),
}

/// One round of execution.
pub(super) struct Executor<'a> {
    parts: &'a Parts,
    limits: &'a Limits,
    parallel: usize,
    tell: mpsc::Sender<(String, Told)>,
    hear: mpsc::Receiver<(String, Told)>,
    running: FuturesUnordered<BoxFuture<'a, ()>>,
    calls: BTreeMap<String, Call>,
    seqs: BTreeMap<String, Seq>,
    progress: BTreeMap<String, (Instant, u32)>,
    ended: BTreeSet<String>,
    answers: Vec<Answer>,
}

impl<'a> Executor<'a> {
    /// An executor for one plan.
    pub(super) fn new(parts: &'a Parts, limits: &'a Limits, parallel: usize) -> Self {
        let (tell, hear) = mpsc::channel(256);
        Self {
            parts,
            limits,
            parallel,
            tell,
            hear,
            running: FuturesUnordered::new(),
            calls: BTreeMap::new(),
            seqs: BTreeMap::new(),
            progress: BTreeMap::new(),
            ended: BTreeSet::new(),
            answers: Vec::new(),
        }
    }

    /// Runs the plan to its end and returns what every step came to.
    pub(super) async fn execute(
        mut self,
        plan: &Plan,
        specs: &[Arc<ToolSpec>],
        recorder: &mut Recorder,
    ) -> Result<Vec<Answer>, journal::Error> {
        let mut begun = BTreeSet::new();
        loop {
            for step in plan.ready(&begun, &self.ended) {
                if self.running.len() >= self.parallel && !self.limits.over() {
                    break;
                }
                begun.insert(step.id.clone());
                self.begin(step, specs, recorder).await?;
            }
            if self.running.is_empty() && self.ended.len() >= begun.len() {
                if plan.ready(&begun, &self.ended).is_empty() {
                    return Ok(self.answers);
                }
                continue;
            }
            let told = tokio::select! {
                told = self.hear.recv() => told,
                Some(()) = self.running.next() => None,
            };
            if let Some((step, told)) = told {
                self.take_in(&step, told, recorder).await?;
            }
            while let Ok((step, told)) = self.hear.try_recv() {
                self.take_in(&step, told, recorder).await?;
            }
        }
    }

    async fn begin(
        &mut self,
        step: &Step,
        specs: &[Arc<ToolSpec>],
        recorder: &mut Recorder,
    ) -> Result<(), journal::Error> {
        let call = Call {
            tool: step.tool.clone(),
            arguments: step.arguments.clone(),
            idempotency_key: key(recorder.state().investigation.id.0, step),
            investigation: recorder.state().investigation.id.resource(),
            step: step.id.clone(),
            page_token: String::new(),
        };
        self.calls.insert(step.id.clone(), call.clone());
        let begun = Happened::new(Kind::StepStarted, format!("{}: {}", step.tool, step.purpose));
        recorder.record(begun.of_step(&step.id)).await?;
        let spec = specs.iter().find(|spec| spec.id == step.tool);
        let cleared = match (self.limits.over(), spec) {
            (true, _) => Err(Failure::ours(
                FailureClass::Cancelled,
                "BOUND_REACHED",
                "not asked: the investigation had reached a bound",
            )),
            (false, None) => Err(Failure::ours(
                FailureClass::Transient,
                "NO_INSTANCE",
                format!("no instance of {} is there any more", step.tool),
            )),
            (false, Some(spec)) => self.parts.policy.clear(call, spec),
        };
        match cleared {
            Ok(cleared) => {
                self.send(step.id.clone(), cleared);
                Ok(())
            }
            Err(refusal) => {
                if refusal.class == FailureClass::Permission {
                    recorder.record(refused(step, &refusal)).await?;
                }
                self.end(&step.id, Err(refusal), recorder).await
            }
        }
    }

    /// Starts a call; what it says comes back in order, its end last.
    fn send(&mut self, step: String, cleared: Cleared<Call>) {
        let (updates, mut heard) = mpsc::channel(32);
        let cx = CallCx {
            deadline: self.limits.deadline,
            cancel: self.limits.cancel.clone(),
            updates,
            principal: self.limits.principal.clone(),
            environment: self.limits.environment.clone(),
        };
        let tools = self.parts.tools.clone();
        let tell = self.tell.clone();
        let forward_tell = self.tell.clone();
        let forward_step = step.clone();
        let forward = async move {
            while let Some(update) = heard.recv().await {
                // The receiving half lives as long as the futures do.
                let _ = forward_tell.send((forward_step.clone(), Told::Update(update))).await;
            }
        };
        let work = async move {
            let (result, ()) = tokio::join!(tools.call(cleared, cx), forward);
            let _ = tell.send((step, Told::Ended(result))).await;
        };
        self.running.push(work.boxed());
    }

    async fn take_in(
        &mut self,
        step: &str,
        told: Told,
        recorder: &mut Recorder,
    ) -> Result<(), journal::Error> {
        match told {
            Told::Ended(result) => self.end(step, result, recorder).await,
            Told::Update(update) => {
                if let Some(happened) = self.happened(step, update) {
                    let finished = matches!(happened.1, Moment::Finished);
                    let seq = recorder.record(happened.0.of_step(step)).await?;
                    if finished {
                        self.seqs.insert(step.to_owned(), seq);
                    }
                }
                Ok(())
            }
        }
    }

    fn happened(&mut self, step: &str, update: CallUpdate) -> Option<(Happened, Moment)> {
        let call = self.calls.get(step)?;
        match update {
            CallUpdate::Started { call_id, attempt, instance_id } => {
                let summary = match attempt {
                    1 => format!("asking {}", call.tool),
                    n => format!("asking {} again, attempt {n}", call.tool),
                };
                let started = ToolCallStarted {
                    call_id,
                    tool: call.tool.clone(),
                    arguments: self.limits.mask(&call.tool, &call.arguments),
                    attempt,
                    instance_id,
                };
                Some((Happened::new(Kind::ToolCallStarted(started), summary), Moment::Other))
            }
            CallUpdate::Progressed { call_id, fraction, message } => {
                let seen = self.progress.get(&call_id).copied();
                let now = Instant::now();
                let (last, count) = seen.unwrap_or((now, 0));
                if count >= PROGRESS.1 || (count > 0 && now.duration_since(last) < PROGRESS.0) {
                    return None;
                }
                self.progress.insert(call_id.clone(), (now, count.saturating_add(1)));
                let summary = format!("{}: {message}", call.tool);
                let further = ToolCallProgressed { call_id, fraction, message };
                Some((Happened::new(Kind::ToolCallProgressed(further), summary), Moment::Other))
            }
            CallUpdate::Finished { call_id, duration, outcome, will_retry, cached, .. } => {
                self.parts.metrics.tool_call(
                    &call.tool.plugin,
                    &call.tool.tool,
                    (*outcome).as_ref().err().map_or("ok", |failure| failure.class.as_str()),
                    duration,
                );
                let mut happened =
                    finished(&call.tool, call_id, duration, &outcome, (will_retry, cached));
                if let Ok(output) = &*outcome {
                    happened = happened.with(wire::encode_output(output));
                }
                Some((happened, Moment::Finished))
            }
        }
    }

    async fn end(
        &mut self,
        step: &str,
        result: Result<CallOutput, Failure>,
        recorder: &mut Recorder,
    ) -> Result<(), journal::Error> {
        self.ended.insert(step.to_owned());
        let Some(call) = self.calls.get(step).cloned() else { return Ok(()) };
        let outcome = match &result {
            Ok(output) if output.gaps.is_empty() && !output.truncated => StepOutcome::Succeeded,
            Ok(_) => StepOutcome::Partial,
            Err(failure) if failure.reason == "BOUND_REACHED" => StepOutcome::Skipped,
            Err(_) => StepOutcome::Failed,
        };
        let mut happened: Vec<Happened> = gaps(&call.tool, &result, &self.limits.emits(&call.tool))
            .into_iter()
            .map(|gap| {
                let summary = format!("unknown: {}: {}", gap.subject, gap.failure);
                Happened::new(Kind::GapRecorded(gap), summary).of_step(step)
            })
            .collect();
        let word = match outcome {
            StepOutcome::Succeeded => "answered",
            StepOutcome::Partial => "answered in part",
            StepOutcome::Failed => "failed",
            StepOutcome::Skipped => "was not asked",
        };
        happened.push(
            Happened::new(Kind::StepFinished(outcome), format!("{} {word}", call.tool))
                .of_step(step),
        );
        let seqs = recorder.record_all(happened).await?;
        let seq = self.seqs.get(step).or(seqs.last()).copied().unwrap_or_default();
        self.answers.push(Answer { call, seq, result });
        Ok(())
    }
}

enum Moment {
    Finished,
    Other,
}

fn key(investigation: Uuid, step: &Step) -> Uuid {
    let content = format!("{}\n{}\n{}", step.id, step.tool.digest, step.arguments);
    Uuid::new_v5(&investigation, content.as_bytes())
}

fn refused(step: &Step, refusal: &Failure) -> Happened {
    let tripped = GuardTripped {
        guard: Guard::Policy,
        subject: format!("tool:{}", step.tool),
        consequence: refusal.message.clone(),
    };
    let summary = format!("{} is not called: {}", step.tool, refusal.message);
    Happened::new(Kind::GuardTripped(tripped), summary).of_step(&step.id)
}
