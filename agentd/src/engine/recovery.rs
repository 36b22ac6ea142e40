//! After a restart: what an earlier life left unfinished is closed PARTIAL with that reason and
//! what it had found until then. Going on instead of closing comes with a later step.

use std::time::Duration;

use super::{
    Error, Parts,
    recorder::{Happened, Recorder},
};
use crate::investigation::{
    Phase,
    event::Kind,
    finding::{EndReason, Hypothesis, Severity, Verdict},
    report::{Conclusion, MemoryOutcome, Report},
    state::State,
};

/// Closes every unfinished investigation.
pub(super) async fn close_unfinished(parts: &Parts) -> Result<(), Error> {
    for id in parts.journal.unfinished()? {
        let folded = parts
            .journal
            .events(id)
            .map_err(|error| error.to_string())
            .and_then(|events| State::fold(&events).map_err(|error| error.to_string()));
        let state = match folded {
            Ok(Some(state)) => state,
            Ok(None) => continue,
            Err(error) => {
                tracing::error!(investigation = %id, error, "its log is damaged; left as it is");
                continue;
            }
        };
        let mut recorder = Recorder::new(parts.journal.clone(), parts.clock, state, None);
        close(&mut recorder).await?;
        if let Err(error) = parts.memory.learn(&recorder.state().investigation).await {
            tracing::error!(investigation = %id, %error, "memory did not take it in");
        }
        tracing::warn!(investigation = %id, "closed as partial: the daemon ended before it did");
    }
    Ok(())
}

async fn close(recorder: &mut Recorder) -> Result<(), Error> {
    let state = recorder.state();
    let now = recorder.now();
    let mut alternatives: Vec<Hypothesis> = state.hypotheses.values().cloned().collect();
    alternatives.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let mut summary = format!(
        "The daemon ended after {} of the planned steps, before the work did; ask again.",
        state.steps.len()
    );
    if let Some(best) = alternatives.first() {
        summary.push_str(&format!(" Most likely until then: {}", best.statement));
    }
    let conclusion = Conclusion {
        verdict: Verdict::Inconclusive,
        summary: summary.clone(),
        root_causes: Vec::new(),
        severity: state.investigation.alert.severity.unwrap_or(Severity::P3),
        evidence: state.evidence.values().cloned().collect(),
        recommendations: Vec::new(),
        alternatives,
        timeline: Vec::new(),
        deciding_questions: Vec::new(),
        unknown_signals: Vec::new(),
        cited: Vec::new(),
    };
    let took = Duration::try_from(now.duration_since(state.investigation.created));
    let memory = MemoryOutcome {
        similar: state.recalled.clone(),
        patterns: state.patterns.clone(),
        ..MemoryOutcome::default()
    };
    let report = Report::compose(
        state,
        conclusion,
        memory,
        EndReason::DaemonRestarted,
        took.unwrap_or_default(),
    );
    let mut ended = state.investigation.clone();
    ended.phase = Phase::Partial;
    ended.ended = Some(now);
    ended.report = Some(report);
    recorder.record(Happened::new(Kind::Finished(Box::new(ended)), summary)).await?;
    Ok(())
}
