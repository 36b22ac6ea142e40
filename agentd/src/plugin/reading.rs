//! The rules of the stream of answers to a call: numbered 1, 2, 3 or not at all, at most one
//! `accepted`, exactly one result or failure, last, and nothing without bound. A machine over
//! messages; no I/O.

use std::collections::BTreeSet;

use agent_proto::tool::v1 as pb;
use pb::call_response::Update;
use prost::Message as _;

use super::{
    Redact,
    attempt::Fault,
    clean,
    schema::Contract,
    stack::TOO_LARGE,
    wire::{failure_from, observation_from, relation_from, result_from},
};
use crate::{
    fact::{Observation, Relation},
    tool::{CallOutput, Effects, Failure, FailureClass, Flaw, SideEffect, ToolSpec},
};

/// Largest message, in bytes.
const MAX_MESSAGE: usize = 512 * 1024;
/// Largest sum of messages of one call, in bytes: facts and a result at their bounds fit.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Most messages of one call.
const MAX_MESSAGES: u32 = 5000;
/// Largest result that is asked for, in bytes.
pub(crate) const MAX_RESULT: usize = 256 * 1024;
/// Largest result that is taken: a plugin may be a little over.
const MAX_RESULT_TAKEN: usize = MAX_RESULT + MAX_RESULT / 10;
/// Longest line of progress, in bytes.
const MAX_LINE: usize = 1024;

/// Most log lines of one call that are passed on.
const MAX_LINES: u32 = 50;
/// Progress came that was none.
const NO_PROGRESS: (&str, &str) = ("PROGRESS", "done did not grow; such progress is not told");
/// More was logged than is passed on.
const TALKATIVE: (&str, &str) = ("LOG", "more than 50 lines in one call; the rest is not told");

/// What one call has said so far.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    spec: &'a ToolSpec,
    contract: &'a Contract,
    redact: Redact,
    messages: u32,
    bytes: usize,
    numbered: bool,
    accepted: bool,
    done: f64,
    chunks: String,
    chunks_cut: bool,
    observations: Vec<Observation>,
    relations: Vec<Relation>,
    /// A result as it came, when it is to be held against its schema.
    unmasked: Option<String>,
    lines: u32,
    flaws: BTreeSet<(&'static str, &'static str)>,
}

/// What a message means for the caller.
#[derive(Debug)]
pub(crate) enum Said {
    /// Nothing to tell.
    Nothing,
    /// A line of progress: share done, and words.
    Progress(Option<f64>, String),
    /// The last word.
    Last(Result<CallOutput, Failure>),
}

// === impl Reading ===

impl<'a> Reading<'a> {
    /// Nothing said yet.
    pub(crate) fn new(spec: &'a ToolSpec, contract: &'a Contract, redact: Redact) -> Self {
        Self {
            spec,
            contract,
            redact,
            messages: 0,
            bytes: 0,
            numbered: false,
            accepted: false,
            done: f64::NEG_INFINITY,
            chunks: String::new(),
            chunks_cut: false,
            observations: Vec::new(),
            relations: Vec::new(),
            unmasked: None,
            lines: 0,
            flaws: BTreeSet::new(),
        }
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// The rule that was broken, as a defect of the plugin.
    pub(crate) fn take(&mut self, message: pb::CallResponse) -> Result<Said, Failure> {
        self.measure(&message)?;
        Ok(match message.update {
            // An arm that a newer plugin knows.
            None => Said::Nothing,
            Some(Update::Log(log)) => self.log(log),
            Some(Update::Accepted(_)) if self.accepted => {
                return Err(self.broke("said accepted twice"));
            }
            Some(Update::Accepted(_)) => {
                self.accepted = true;
                Said::Nothing
            }
            Some(Update::Progress(progress)) => self.progress(progress),
            Some(Update::Chunk(chunk)) => {
                self.chunk(&chunk.json_fragment);
                Said::Nothing
            }
            Some(Update::Facts(facts)) => {
                self.facts(facts);
                Said::Nothing
            }
            Some(Update::Result(result)) => Said::Last(self.result(result)),
            Some(Update::Failure(failure)) => {
                let mut failure = failure_from(failure);
                clean::failure(self.redact, &mut failure);
                if self.spec.side_effect == SideEffect::ReadOnly {
                    failure.effects = Effects::None;
                }
                Said::Last(Err(failure))
            }
        })
    }

    /// A result as it came, when it is to be held against its schema.
    pub(crate) fn unmasked(&mut self) -> Option<String> {
        self.unmasked.take()
    }

    /// What was done against the contract and cost nothing.
    pub(crate) fn flaws(&self) -> Vec<Flaw> {
        self.flaws.iter().map(|(reason, said)| Flaw::new(reason, said)).collect()
    }

    /// A message was too large to be taken: what came before it, and that something is missing.
    pub(crate) fn cut_off(&mut self, fault: &Fault) -> CallOutput {
        let mut output = CallOutput {
            observations: std::mem::take(&mut self.observations),
            relations: std::mem::take(&mut self.relations),
            truncated: true,
            ..CallOutput::default()
        };
        let said = fault.failure.message.clone();
        output.gaps.push(clean::gap("result", FailureClass::Bug, TOO_LARGE, said));
        clean::output(self.redact, &mut output);
        output
    }

    /// The stream ended without a last word.
    pub(crate) fn ended_early(&self) -> Failure {
        self.bug("STREAM_ENDED_EARLY", "ended the stream without a result or a failure".to_owned())
    }

    /// A message came after the last word.
    pub(crate) fn went_on(&self) -> Failure {
        self.broke("went on after its last update")
    }

    fn measure(&mut self, message: &pb::CallResponse) -> Result<(), Failure> {
        let size = message.encoded_len();
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size);
        if size > MAX_MESSAGE {
            return Err(
                self.broke(&format!("sent a message of {size} bytes, at most {MAX_MESSAGE}"))
            );
        }
        if self.bytes > MAX_BYTES || self.messages > MAX_MESSAGES {
            return Err(self.broke(&format!(
                "flooded: more than {MAX_MESSAGES} messages or {MAX_BYTES} bytes in one call"
            )));
        }
        if self.messages == 1 {
            self.numbered = message.sequence != 0;
        }
        let expected = if self.numbered { i64::from(self.messages) } else { 0 };
        if i64::from(message.sequence) != expected {
            let said = format!("sent sequence {} where {expected} was next", message.sequence);
            return Err(self.broke(&said));
        }
        Ok(())
    }

    fn progress(&mut self, progress: pb::CallProgress) -> Said {
        // What does not grow is no progress; it is not worth ending a call over.
        if progress.done.is_nan() || progress.done <= self.done {
            self.flaws.insert(NO_PROGRESS);
            return Said::Nothing;
        }
        self.done = progress.done;
        let mut line = progress.message;
        clean::text(self.redact, &mut line, MAX_LINE);
        let share = progress.total.filter(|total| *total > 0.0).map(|total| progress.done / total);
        Said::Progress(share.map(|share| share.clamp(0.0, 1.0)), line)
    }

    fn log(&mut self, log: pb::CallLog) -> Said {
        // For developers, who have the plugin's own log.
        if log.severity() == pb::LogSeverity::Debug {
            return Said::Nothing;
        }
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_LINES {
            self.flaws.insert(TALKATIVE);
            return Said::Nothing;
        }
        let severity = match log.severity() {
            pb::LogSeverity::Error => "error: ",
            pb::LogSeverity::Warn => "warning: ",
            pb::LogSeverity::Info | pb::LogSeverity::Debug | pb::LogSeverity::Unspecified => "",
        };
        let mut line = log.message;
        clean::text(self.redact, &mut line, MAX_LINE);
        Said::Progress(None, format!("{severity}{line}"))
    }

    fn chunk(&mut self, fragment: &str) {
        self.chunks_cut |= self.chunks.len() + fragment.len() > MAX_RESULT_TAKEN;
        if !self.chunks_cut {
            self.chunks.push_str(fragment);
        }
    }

    fn facts(&mut self, facts: pb::ResultFacts) {
        // One more than is kept, so that the cut is noticed and told where all cuts are.
        let room = (clean::MAX_OBSERVATIONS + 1).saturating_sub(self.observations.len());
        self.observations.extend(facts.observations.into_iter().take(room).map(observation_from));
        let room = (clean::MAX_RELATIONS + 1).saturating_sub(self.relations.len());
        self.relations.extend(facts.relations.into_iter().take(room).filter_map(relation_from));
    }

    fn result(&mut self, mut result: pb::CallResult) -> Result<CallOutput, Failure> {
        self.facts(pb::ResultFacts {
            observations: std::mem::take(&mut result.observations),
            relations: std::mem::take(&mut result.relations),
        });
        let mut output = result_from(result);
        output.observations = std::mem::take(&mut self.observations);
        output.relations = std::mem::take(&mut self.relations);
        self.text_of(&mut output)?;
        clean::output(self.redact, &mut output);
        Ok(output)
    }

    /// Joins, bounds, checks and masks the JSON of a result.
    fn text_of(&mut self, output: &mut CallOutput) -> Result<(), Failure> {
        if !self.chunks.is_empty() {
            if !output.result_json.is_empty() {
                return Err(self.broke("sent its result both in pieces and whole"));
            }
            output.result_json = std::mem::take(&mut self.chunks);
        }
        if self.chunks_cut || output.result_json.len() > MAX_RESULT_TAKEN {
            clean::text(self.redact, &mut output.result_json, usize::MAX);
            output.result_json = clean::beginning(&output.result_json, MAX_RESULT);
            output.truncated = true;
            let said = format!("the result was larger than {MAX_RESULT} bytes and was cut");
            output.gaps.push(clean::gap("result", FailureClass::Bug, TOO_LARGE, said));
            return Ok(());
        }
        // What was cut to fit cannot keep its form.
        if !output.truncated && self.contract.checks_results() {
            self.unmasked = Some(output.result_json.clone());
        }
        clean::json(self.redact, &mut output.result_json).map_err(|error| {
            let said = format!(
                "sent a result_json that is not JSON (line {}, column {})",
                error.line(),
                error.column()
            );
            self.bug("RESULT_NOT_JSON", said)
        })
    }

    fn broke(&self, what: &str) -> Failure {
        self.bug("STREAM_RULE", what.to_owned())
    }

    fn bug(&self, reason: &str, what: String) -> Failure {
        let said = format!("{} {what}", self.spec.id);
        let mut failure = Failure::ours(FailureClass::Bug, reason, said);
        if self.spec.side_effect != SideEffect::ReadOnly {
            failure.effects = Effects::Maybe;
        }
        failure
    }
}

#[cfg(test)]
mod tests;
