//! The report: what people and machines read. A view of the finished state and the reasoner's
//! conclusion; nothing in it that is not in one of the two.

use std::{collections::BTreeSet, time::Duration};

use super::{
    finding::{
        EndReason, EpisodeMatch, Evidence, Gap, Hypothesis, LearnedPattern, Recommendation,
        RootCause, Severity, StepSummary, TimelineEntry, Verdict,
    },
    state::State,
};

/// What the reasoner concluded.
#[derive(Debug, Clone, PartialEq)]
pub struct Conclusion {
    /// What it came to.
    pub verdict: Verdict,
    /// A few lines that stand alone.
    pub summary: String,
    /// Independent causes, most important first; empty unless a root cause was found.
    pub root_causes: Vec<RootCause>,
    /// How bad it is.
    pub severity: Severity,
    /// Observations that carry or contradict it, with their weights.
    pub evidence: Vec<Evidence>,
    /// What to do, best first.
    pub recommendations: Vec<Recommendation>,
    /// Other causes considered and why they were set aside, best first.
    pub alternatives: Vec<Hypothesis>,
    /// What happened in the world, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Questions that would decide between the alternatives, best first.
    pub deciding_questions: Vec<String>,
    /// Signals that were seen and that no catalogue knew: shown, without weight.
    pub unknown_signals: Vec<String>,
    /// Observations that alternatives and accounts speak of, beside those in `evidence`.
    pub cited: Vec<Evidence>,
}

/// What memory gave and learned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemoryOutcome {
    /// Episode stored for this run: `episodes/{id}`.
    pub episode: String,
    /// Earlier cases used, best first.
    pub similar: Vec<EpisodeMatch>,
    /// What recurring cases teach about this alert, strongest first.
    pub patterns: Vec<LearnedPattern>,
    /// What came of what was recalled, a sentence or two; empty when nothing was.
    pub statement: String,
    /// Episodes stored in all.
    pub total_episodes: u32,
    /// Tool calls saved against the first run of this case.
    pub tool_calls_saved: u32,
}

/// Outcome for people and machines. Field for field `agentd.v1.Report`.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was concluded.
    pub conclusion: Conclusion,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
    /// Steps in the order they began.
    pub steps: Vec<StepSummary>,
    /// Why these steps.
    pub plan_reason: String,
    /// Wall time of all steps.
    pub duration: Duration,
    /// What memory gave and learned.
    pub memory: MemoryOutcome,
    /// Tool calls, retries included.
    pub tool_calls: u32,
    /// What ended it.
    pub ended_by: EndReason,
    /// Signals of harm at the alerted object that no cause explains, in order of name.
    pub unexplained: BTreeSet<String>,
}

impl Report {
    /// Composes the report of a state that is about to end.
    #[must_use]
    pub fn compose(
        state: &State,
        conclusion: Conclusion,
        memory: MemoryOutcome,
        ended_by: EndReason,
        duration: Duration,
    ) -> Self {
        Self {
            conclusion,
            gaps: state.gaps.clone(),
            steps: state.steps.clone(),
            plan_reason: state.plan_reason.clone(),
            duration,
            memory,
            tool_calls: state.investigation.usage.tool_calls,
            ended_by,
            unexplained: BTreeSet::new(),
        }
    }
}
