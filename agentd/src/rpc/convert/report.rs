//! Reports and their parts.

use std::collections::BTreeMap;

use agent_proto::v1;

use super::{
    Unreadable, alert,
    belief::{read_cause, read_hypothesis, write_cause, write_hypothesis},
    count, int, known, memory,
};
use crate::{
    investigation::{
        Usage,
        finding::{
            EndReason, Evidence, Gap, Horizon, Recommendation, Severity, StepOutcome, StepSummary,
            TimelineEntry, Verdict,
        },
        report::{Conclusion, Report},
    },
    plugin::wire,
};

/// A report as messages have it.
#[must_use]
pub fn write_report(report: &Report) -> v1::Report {
    let said = &report.conclusion;
    v1::Report {
        summary: said.summary.clone(),
        verdict: write_verdict(said.verdict).into(),
        root_causes: said.root_causes.iter().map(write_cause).collect(),
        severity: alert::write_severity(said.severity).into(),
        evidence: said.evidence.iter().map(write_evidence).collect(),
        recommendations: said.recommendations.iter().map(write_recommendation).collect(),
        gaps: report.gaps.iter().map(write_gap).collect(),
        alternatives: said.alternatives.iter().map(write_hypothesis).collect(),
        changes: Vec::new(),
        timeline: said.timeline.iter().map(write_entry).collect(),
        plan: Some(v1::PlanOutcome {
            planner: v1::PlannerKind::Rules.into(),
            reasoning: report.plan_reason.clone(),
            steps: report.steps.iter().map(write_step).collect(),
            duration: Some(wire::duration_to(report.duration)),
        }),
        memory: Some(memory::write_memory(&report.memory)),
        usage_by_stage: BTreeMap::from([(
            "execute".to_owned(),
            alert::write_usage(Usage { tool_calls: report.tool_calls }),
        )]),
        ended_by: write_end(report.ended_by).into(),
        deciding_questions: said.deciding_questions.clone(),
        unknown_signals: said.unknown_signals.clone(),
        cited: said.cited.iter().map(write_evidence).collect(),
        unexplained_signals: report.unexplained.iter().cloned().collect(),
    }
}

/// A report from a stored message.
///
/// # Errors
/// When a part that decides something is missing.
pub fn read_report(message: v1::Report) -> Result<Report, Unreadable> {
    let plan = message.plan.unwrap_or_default();
    let execute = message.usage_by_stage.get("execute").map_or(0, |usage| usage.tool_calls);
    Ok(Report {
        conclusion: Conclusion {
            verdict: read_verdict(known(message.verdict)),
            summary: message.summary,
            root_causes: all(message.root_causes, read_cause)?,
            severity: alert::read_severity(known(message.severity)).unwrap_or(Severity::P4),
            evidence: all(message.evidence, read_evidence)?,
            recommendations: message.recommendations.into_iter().map(read_recommendation).collect(),
            alternatives: message.alternatives.into_iter().map(read_hypothesis).collect(),
            timeline: all(message.timeline, read_entry)?,
            deciding_questions: message.deciding_questions,
            unknown_signals: message.unknown_signals,
            cited: all(message.cited, read_evidence)?,
        },
        gaps: all(message.gaps, read_gap)?,
        steps: message_steps(plan.steps),
        plan_reason: plan.reasoning,
        duration: plan
            .duration
            .as_ref()
            .and_then(|d| wire::duration_from(Some(d)))
            .unwrap_or_default(),
        memory: memory::read_memory(message.memory.unwrap_or_default()),
        tool_calls: count(execute),
        ended_by: read_end(known(message.ended_by)),
        unexplained: message.unexplained_signals.into_iter().collect(),
    })
}

fn all<M, T>(
    messages: Vec<M>,
    read: impl Fn(M) -> Result<T, Unreadable>,
) -> Result<Vec<T>, Unreadable> {
    messages.into_iter().map(read).collect()
}

fn write_verdict(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::RootCauseFound => v1::Verdict::RootCauseFound,
        Verdict::Healthy => v1::Verdict::Healthy,
        Verdict::Inconclusive => v1::Verdict::Inconclusive,
    }
}

fn read_verdict(verdict: v1::Verdict) -> Verdict {
    match verdict {
        v1::Verdict::RootCauseFound => Verdict::RootCauseFound,
        v1::Verdict::Healthy => Verdict::Healthy,
        v1::Verdict::Unspecified | v1::Verdict::Inconclusive => Verdict::Inconclusive,
    }
}

fn write_end(reason: EndReason) -> v1::EndReason {
    match reason {
        EndReason::Concluded => v1::EndReason::Concluded,
        EndReason::MaxRounds => v1::EndReason::MaxRounds,
        EndReason::MaxToolCalls => v1::EndReason::MaxToolCalls,
        EndReason::Deadline => v1::EndReason::Deadline,
        EndReason::Repetition => v1::EndReason::Repetition,
        EndReason::Cancelled => v1::EndReason::Cancelled,
        EndReason::DaemonRestarted => v1::EndReason::DaemonRestarted,
    }
}

fn read_end(reason: v1::EndReason) -> EndReason {
    match reason {
        v1::EndReason::Unspecified
        | v1::EndReason::Concluded
        | v1::EndReason::Budget
        | v1::EndReason::KillSwitch => EndReason::Concluded,
        v1::EndReason::MaxRounds => EndReason::MaxRounds,
        v1::EndReason::MaxToolCalls => EndReason::MaxToolCalls,
        v1::EndReason::Deadline => EndReason::Deadline,
        v1::EndReason::Repetition => EndReason::Repetition,
        v1::EndReason::Cancelled => EndReason::Cancelled,
        v1::EndReason::DaemonRestarted => EndReason::DaemonRestarted,
    }
}

/// An observation cited as messages have it.
#[must_use]
pub fn write_evidence(evidence: &Evidence) -> v1::Evidence {
    v1::Evidence {
        id: evidence.id.clone(),
        statement: evidence.observation.statement.clone(),
        sequence: int(evidence.seq),
        tool: Some(wire::tool_ref_to(&evidence.tool)),
        weight: evidence.weight,
        contradicts: evidence.contradicts,
        observation: Some(wire::observation_to(&evidence.observation)),
    }
}

pub(super) fn read_evidence(message: v1::Evidence) -> Result<Evidence, Unreadable> {
    let observation = message.observation.ok_or(Unreadable::missing("observation"))?;
    Ok(Evidence {
        id: message.id,
        seq: count(message.sequence),
        tool: message.tool.map(wire::tool_ref_from).unwrap_or_default(),
        weight: message.weight,
        contradicts: message.contradicts,
        observation: wire::observation_from(observation),
    })
}

/// A gap as messages have it.
#[must_use]
pub fn write_gap(gap: &Gap) -> v1::Gap {
    v1::Gap {
        subject: gap.subject.clone(),
        failure: Some(wire::failure_to(&gap.failure)),
        impact: gap.impact.clone(),
    }
}

pub(super) fn read_gap(message: v1::Gap) -> Result<Gap, Unreadable> {
    Ok(Gap {
        subject: message.subject,
        failure: wire::failure_from(message.failure.ok_or(Unreadable::missing("failure"))?),
        impact: message.impact,
    })
}

fn write_recommendation(advice: &Recommendation) -> v1::Recommendation {
    v1::Recommendation {
        action: advice.action.clone(),
        reason: advice.reason.clone(),
        risk: wire::spec::risk_to(advice.risk).into(),
        tool: None,
        arguments_json: String::new(),
        horizon: match advice.horizon {
            Horizon::Immediate => v1::Horizon::Immediate,
            Horizon::Prevention => v1::Horizon::Prevention,
        }
        .into(),
        command: advice.command.clone(),
        confirm_command: advice.confirm_command.clone(),
    }
}

fn read_recommendation(message: v1::Recommendation) -> Recommendation {
    Recommendation {
        action: message.action,
        reason: message.reason,
        risk: wire::spec::risk_from(known(message.risk)),
        horizon: match known::<v1::Horizon>(message.horizon) {
            v1::Horizon::Prevention => Horizon::Prevention,
            v1::Horizon::Unspecified | v1::Horizon::Immediate => Horizon::Immediate,
        },
        command: message.command,
        confirm_command: message.confirm_command,
    }
}

fn write_entry(entry: &TimelineEntry) -> v1::TimelineEntry {
    v1::TimelineEntry {
        time: Some(wire::timestamp_to(entry.time)),
        statement: entry.statement.clone(),
        evidence_id: entry.evidence.clone(),
    }
}

fn read_entry(message: v1::TimelineEntry) -> Result<TimelineEntry, Unreadable> {
    Ok(TimelineEntry {
        time: message
            .time
            .as_ref()
            .and_then(|t| wire::timestamp_from(Some(t)))
            .ok_or(Unreadable::missing("timeline time"))?,
        statement: message.statement,
        evidence: message.evidence_id,
    })
}

/// A step's outcome as messages have it.
#[must_use]
pub fn write_outcome(outcome: StepOutcome) -> v1::StepOutcome {
    match outcome {
        StepOutcome::Succeeded => v1::StepOutcome::Succeeded,
        StepOutcome::Partial => v1::StepOutcome::Partial,
        StepOutcome::Failed => v1::StepOutcome::Failed,
        StepOutcome::Skipped => v1::StepOutcome::Skipped,
    }
}

pub(super) fn read_outcome(outcome: v1::StepOutcome) -> StepOutcome {
    match outcome {
        v1::StepOutcome::Succeeded => StepOutcome::Succeeded,
        v1::StepOutcome::Partial => StepOutcome::Partial,
        v1::StepOutcome::Failed => StepOutcome::Failed,
        v1::StepOutcome::Unspecified | v1::StepOutcome::Skipped => StepOutcome::Skipped,
    }
}

fn write_step(step: &StepSummary) -> v1::StepSummary {
    v1::StepSummary {
        step_id: step.step.clone(),
        tool: step.tool.to_string(),
        purpose: step.purpose.clone(),
        outcome: write_outcome(step.outcome).into(),
        summary: step.summary.clone(),
        duration: Some(wire::duration_to(step.duration)),
        attempts: int(step.attempts),
        subject: step.about.as_ref().map(wire::entity_to),
        carried: step.carried,
    }
}

fn message_steps(steps: Vec<v1::StepSummary>) -> Vec<StepSummary> {
    steps
        .into_iter()
        .map(|message| {
            let (plugin, tool) = message.tool.split_once('.').unwrap_or(("", &message.tool));
            StepSummary {
                tool: crate::tool::ToolRef {
                    plugin: plugin.to_owned(),
                    tool: tool.to_owned(),
                    ..crate::tool::ToolRef::default()
                },
                step: message.step_id,
                purpose: message.purpose,
                outcome: read_outcome(known(message.outcome)),
                summary: message.summary,
                duration: message
                    .duration
                    .as_ref()
                    .and_then(|d| wire::duration_from(Some(d)))
                    .unwrap_or_default(),
                attempts: count(message.attempts),
                about: message.subject.map(wire::entity_from),
                carried: message.carried,
            }
        })
        .collect()
}
