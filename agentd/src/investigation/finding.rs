//! What an investigation believes and why: evidence, hypotheses, root causes, gaps, advice.
//! Confidence is 0 to 1 by the reasoner's stated rule. Pure values.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    fact::{Entity, Observation, Relation},
    tool::{Failure, Risk, ToolRef},
};

/// How bad it is, in the words of on-call teams: P1 cannot be served, P2 badly or soon not,
/// P3 degraded, P4 for information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Outage: users cannot be served.
    P1,
    /// Users are served badly, or soon will not be served.
    P2,
    /// Degraded: little or no effect on users.
    P3,
    /// For information.
    P4,
}

impl Severity {
    /// `P1` to `P4`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
        }
    }

    /// Reads the words that alerting systems use: critical P1, high and error P2, warning P3,
    /// info and none P4, and P1 to P4 themselves.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "critical" | "p1" => Some(Self::P1),
            "high" | "error" | "p2" => Some(Self::P2),
            "warning" | "p3" => Some(Self::P3),
            "info" | "none" | "p4" => Some(Self::P4),
            _ => None,
        }
    }
}

/// What the investigation came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// At least one root cause stands.
    RootCauseFound,
    /// Nothing is wrong: a false or a cleared alert.
    Healthy,
    /// The evidence does not carry a conclusion.
    Inconclusive,
}

impl Verdict {
    /// The word people and metrics see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RootCauseFound => "root_cause_found",
            Self::Healthy => "healthy",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What ended an investigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// Nothing abnormal was left unexplained, or nothing was left to ask.
    Concluded,
    /// Rounds used up.
    MaxRounds,
    /// Tool calls used up.
    MaxToolCalls,
    /// Time used up.
    Deadline,
    /// Equal calls with equal results.
    Repetition,
    /// Withdrawn.
    Cancelled,
    /// The daemon ended before the work did.
    DaemonRestarted,
}

/// One observation that carries or contradicts a conclusion.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Id within the investigation, such as `e3`.
    pub id: String,
    /// Sequence of the event that holds the raw result.
    pub seq: u32,
    /// Tool that observed it.
    pub tool: ToolRef,
    /// Share in the conclusion, 0 to 1.
    pub weight: f64,
    /// True when it speaks against the root cause.
    pub contradicts: bool,
    /// The typed fact.
    pub observation: Observation,
}

/// One candidate cause.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hypothesis {
    /// Id within the investigation, such as `h1`.
    pub id: String,
    /// The claim, one sentence.
    pub statement: String,
    /// Belief, 0 to 1.
    pub confidence: f64,
    /// Category of the cause catalogue.
    pub category: String,
    /// The object it blames.
    pub culprit: Entity,
    /// Ids of evidence for it.
    pub evidence: Vec<String>,
    /// Ids of evidence against it.
    pub against: Vec<String>,
    /// Why it was set aside, when it was.
    pub rejection: String,
    /// Hypothesis that explains it away.
    pub explained_by: String,
    /// Signals that should be there and are not.
    pub missing_signals: Vec<String>,
    /// How the belief came about; none in what earlier versions stored.
    pub account: Option<Box<Account>>,
}

/// How a belief came about: numbers that multiply to it, and what each rests on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Account {
    /// Multiplied they are the belief before rivals are compared.
    pub factors: Vec<Factor>,
    /// Belief before rivals are compared, 0 to 1.
    pub belief: f64,
    /// What is left of it for rivals that explain the same, 0 to 1; 1 without any.
    pub rivals: f64,
    /// What each observation says for it, strongest first.
    pub shares: Vec<Share>,
    /// Ids of the harm it explains, the first ones.
    pub explained: Vec<String>,
    /// Harm that it explains, in all.
    pub explained_count: u32,
    /// Tools that could not be asked about its signals; each costs belief.
    pub unseen: Vec<String>,
    /// What would decide.
    pub question: String,
    /// When it began, as far as is known.
    pub start: Option<Timestamp>,
    /// Edges from the alerted object to the culprit; none when nothing known leads there.
    pub path: Option<Vec<Relation>>,
    /// Who brought the cause.
    pub source: String,
}

/// One number of a belief.
#[derive(Debug, Clone, PartialEq)]
pub struct Factor {
    /// Word for it, such as `support`.
    pub name: String,
    /// Its value, 0 to 1.
    pub value: f64,
}

/// What one observation says for a cause.
#[derive(Debug, Clone, PartialEq)]
pub struct Share {
    /// Id of the evidence.
    pub evidence: String,
    /// Weight of its clause times the strength of the observation, 0 to 1.
    pub weight: f64,
}

impl Account {
    /// Ids of all evidence it speaks of.
    pub fn cited(&self) -> impl Iterator<Item = &String> {
        self.shares.iter().map(|share| &share.evidence).chain(&self.explained)
    }
}

/// One cause the agent stands by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RootCause {
    /// One sentence.
    pub statement: String,
    /// Category of the cause catalogue.
    pub category: String,
    /// The origin, not the symptom.
    pub culprit: Entity,
    /// Belief, 0 to 1.
    pub confidence: f64,
    /// Ids of evidence for it.
    pub evidence: Vec<String>,
    /// Ids of evidence against it.
    pub against: Vec<String>,
    /// Objects that suffer from it.
    pub affected: Vec<Entity>,
    /// Hypothesis it grew from.
    pub hypothesis: String,
    /// When it began.
    pub start: Option<Timestamp>,
    /// Edges from the alerted object to the culprit.
    pub path: Vec<Relation>,
    /// Command that confirms it without changing anything.
    pub confirm_command: String,
    /// How the belief came about; none in what earlier versions stored.
    pub account: Option<Box<Account>>,
}

/// One thing that stayed unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// What is missing.
    pub subject: String,
    /// Why.
    pub failure: Failure,
    /// What it costs the conclusion.
    pub impact: String,
}

/// When advice is meant to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Horizon {
    /// Now, to stop the harm.
    Immediate,
    /// Later, so that it does not come back.
    Prevention,
}

/// One advice.
#[derive(Debug, Clone, PartialEq)]
pub struct Recommendation {
    /// What to do.
    pub action: String,
    /// Why.
    pub reason: String,
    /// Risk of doing it.
    pub risk: Risk,
    /// Now or later.
    pub horizon: Horizon,
    /// Shell command a person could run, when there is one.
    pub command: String,
    /// Read-only command that shows whether it is called for.
    pub confirm_command: String,
}

/// One moment of the trouble.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineEntry {
    /// When.
    pub time: Timestamp,
    /// What happened.
    pub statement: String,
    /// Evidence it rests on.
    pub evidence: String,
}

/// One earlier case that is like this one.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodeMatch {
    /// Resource name, `episodes/{id}`.
    pub episode: String,
    /// Likeness, 0 to 1.
    pub similarity: f64,
    /// Category found then; empty when none was.
    pub category: String,
    /// Culprit found then.
    pub culprit: Option<Entity>,
    /// Cause found then, one sentence.
    pub root_cause: String,
    /// What helped then.
    pub resolution: String,
    /// Why it matched.
    pub reason: String,
    /// Tool calls that case took when it was new: without what memory saved.
    pub tool_calls: u32,
    /// True when category and cause are what people said afterwards, not what was found then.
    pub corrected: bool,
    /// What this investigation made of its cause.
    pub check: Check,
}

/// What became of a recalled cause in the investigation that recalled it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Check {
    /// It was not decided, or there was no cause to check.
    #[default]
    Open,
    /// The same cause stands again.
    Confirmed,
    /// Another verdict stands.
    NotConfirmed,
}

/// What people say of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// The cause was right.
    Correct,
    /// Partly right.
    Partly,
    /// The cause was wrong.
    Incorrect,
}

impl Judgement {
    /// The word people and metrics see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Correct => "correct",
            Self::Partly => "partly",
            Self::Incorrect => "wrong",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Correct, Self::Partly, Self::Incorrect].into_iter().find(|one| one.as_str() == word)
    }
}

/// What recurring cases teach: an alert and the cause it had more than once. A hint which cause to
/// check first, never a belief.
#[derive(Debug, Clone, PartialEq)]
pub struct LearnedPattern {
    /// One line for people.
    pub statement: String,
    /// Type of the alerts.
    pub kind: String,
    /// Alerted service; empty when the cases are of several.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Category of the cause; empty when it is known in words alone.
    pub category: String,
    /// What it blamed.
    pub culprit: Option<Entity>,
    /// Signals that most of the cases showed, the rarest first.
    pub signals: Vec<String>,
    /// Cases with this cause.
    pub seen: u32,
    /// Of these, those that people confirmed or named the cause of.
    pub confirmed: u32,
    /// Cases that were concluded so and that people said were not so.
    pub contradicted: u32,
    /// Share among the cases of the same alert, 0 to 1.
    pub share: f64,
    /// When the last one ended.
    pub last: Timestamp,
}

/// How one step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepOutcome {
    /// Done.
    Succeeded,
    /// Done with holes.
    Partial,
    /// Failed.
    Failed,
    /// Not run.
    Skipped,
}

/// One step of the plan as it was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSummary {
    /// Id within the plan.
    pub step: String,
    /// Tool.
    pub tool: ToolRef,
    /// Why it was done.
    pub purpose: String,
    /// How it ended.
    pub outcome: StepOutcome,
    /// What it gave, in a line or two.
    pub summary: String,
    /// How long it took, retries included.
    pub duration: Duration,
    /// Calls made.
    pub attempts: u32,
    /// Object it asked about; none where that is what the alert is about.
    pub about: Option<Entity>,
    /// True where the verdict rests on its answer.
    pub carried: bool,
}
