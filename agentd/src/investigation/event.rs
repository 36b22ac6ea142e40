//! The events of an investigation: past tense, closed, numbered without holes. What is not here
//! did not happen. Field for field these are the messages of `agentd/v1/events.proto`; arms that a
//! newer version wrote are kept as [`Kind::Unknown`] and skipped by readers.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Investigation, InvestigationId,
    finding::{EpisodeMatch, Evidence, Gap, Hypothesis, LearnedPattern, StepOutcome},
    plan::Plan,
};
use crate::{
    alert::Alert,
    fact::Observation,
    tool::{Failure, ResultGap, ToolRef},
};

/// Number of an event within its investigation: 1, 2, 3 without holes.
pub type Seq = u32;

/// One entry of the append-only log of an investigation.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Whose.
    pub investigation: InvestigationId,
    /// Number.
    pub seq: Seq,
    /// When it was written.
    pub time: Timestamp,
    /// One line that makes sense without the payload.
    pub summary: String,
    /// Step of the plan, or empty.
    pub step: String,
    /// What happened.
    pub kind: Kind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Work began; the investigation as accepted.
    Started(Box<Investigation>),
    /// Earlier cases were found, best first, and what recurring ones teach.
    MemoryRecalled(Vec<EpisodeMatch>, Vec<LearnedPattern>),
    /// A plan was made or changed; all steps.
    PlanUpdated(Plan),
    /// A step began.
    StepStarted,
    /// A step ended.
    StepFinished(StepOutcome),
    /// A tool call was sent.
    ToolCallStarted(ToolCallStarted),
    /// A tool call got further.
    ToolCallProgressed(ToolCallProgressed),
    /// A tool call ended.
    ToolCallFinished(Box<ToolCallFinished>),
    /// The belief in a cause changed; the belief before stands beside it.
    HypothesisUpdated(Hypothesis, f64),
    /// Something was observed.
    EvidenceRecorded(Box<Evidence>),
    /// Something stayed unknown.
    GapRecorded(Gap),
    /// A guard stepped in.
    GuardTripped(GuardTripped),
    /// A further alert of the same trouble came in, or word that one is over. Kept beside the log,
    /// since it also comes after the last event.
    AlertAttached(Box<Attached>),
    /// Last event; the investigation in its terminal state, report included.
    Finished(Box<Investigation>),
    /// Written by a newer version.
    Unknown,
}

/// An alert that joined an investigation of the same trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct Attached {
    /// The alert.
    pub alert: Alert,
    /// True when it says that the trouble is over.
    pub resolved: bool,
}

/// A tool call was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCallStarted {
    /// Id of the attempt.
    pub call_id: String,
    /// Tool, with version and digest.
    pub tool: ToolRef,
    /// Arguments, sensitive ones masked.
    pub arguments: String,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// Instance that was chosen.
    pub instance_id: String,
}

/// A tool call got further.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCallProgressed {
    /// Id of the attempt.
    pub call_id: String,
    /// Share done, 0 to 1, when known.
    pub fraction: Option<f64>,
    /// One line.
    pub message: String,
}

/// A tool call ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ToolCallFinished {
    /// Id of the attempt.
    pub call_id: String,
    /// How long it took.
    pub duration: Duration,
    /// Result, redacted, cut to 16 KiB.
    pub result_json: String,
    /// True when the result was cut here or by the tool.
    pub truncated: bool,
    /// Set when it failed.
    pub failure: Option<Failure>,
    /// True when another attempt follows.
    pub will_retry: bool,
    /// True when nobody was asked: the result was there from an earlier call.
    pub cached: bool,
    /// A few lines of the tool.
    pub summary: String,
    /// Typed facts; the first ones when cut to 64 KiB.
    pub observations: Vec<Observation>,
    /// Typed facts in all.
    pub observation_count: u32,
    /// Edges of the topology in all.
    pub relation_count: u32,
    /// Holes in the outcome.
    pub gaps: Vec<ResultGap>,
    /// Time the data describes.
    pub observe_time: Option<Timestamp>,
}

/// Guard that stepped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Guard {
    /// Time ran out.
    Timeout,
    /// Too many calls.
    RateLimit,
    /// A tool is cut off for now.
    CircuitBreaker,
    /// The agent went in circles.
    Loop,
    /// A bound was used up.
    Budget,
    /// Policy forbids it.
    Policy,
}

/// A guard stepped in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardTripped {
    /// Which.
    pub guard: Guard,
    /// What it acted on, such as `tool:pods.restart_pod`.
    pub subject: String,
    /// What follows.
    pub consequence: String,
}
