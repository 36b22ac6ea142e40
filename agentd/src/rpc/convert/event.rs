//! Events.

use agent_proto::v1::{self, event::Payload};

use super::{Unreadable, alert, belief, count, int, known, memory, report};
use crate::{
    investigation::{
        event::{
            Attached, Event, Guard, GuardTripped, Kind, ToolCallFinished, ToolCallProgressed,
            ToolCallStarted,
        },
        plan::{Plan, Step},
    },
    plugin::wire,
};

/// An event as it is stored and streamed.
#[must_use]
pub fn write(event: &Event) -> v1::Event {
    v1::Event {
        investigation: event.investigation.resource(),
        sequence: int(event.seq),
        time: Some(wire::timestamp_to(event.time)),
        summary: event.summary.clone(),
        step_id: event.step.clone(),
        span_id: String::new(),
        payload: write_kind(&event.kind),
    }
}

/// An event from a stored message.
///
/// # Errors
/// When a part that decides something is missing.
pub fn read(message: v1::Event) -> Result<Event, Unreadable> {
    Ok(Event {
        investigation: message
            .investigation
            .parse()
            .map_err(|_| Unreadable::missing("investigation name"))?,
        seq: count(message.sequence),
        time: message
            .time
            .as_ref()
            .and_then(|t| wire::timestamp_from(Some(t)))
            .ok_or(Unreadable::missing("event time"))?,
        summary: message.summary,
        step: message.step_id,
        kind: message.payload.map_or(Ok(Kind::Unknown), read_kind)?,
    })
}

fn write_kind(kind: &Kind) -> Option<Payload> {
    Some(match kind {
        Kind::Started(investigation) => Payload::Started(Box::new(v1::InvestigationStarted {
            investigation: Some(alert::write_investigation(investigation)),
        })),
        Kind::MemoryRecalled(matches, patterns) => Payload::MemoryRecalled(v1::MemoryRecalled {
            matches: matches.iter().map(memory::write_match).collect(),
            patterns: patterns.iter().map(memory::write_pattern).collect(),
        }),
        Kind::PlanUpdated(plan) => Payload::PlanUpdated(write_plan(plan)),
        Kind::StepStarted => Payload::StepStarted(v1::StepStarted {}),
        Kind::StepFinished(outcome) => Payload::StepFinished(v1::StepFinished {
            outcome: report::write_outcome(*outcome).into(),
        }),
        Kind::ToolCallStarted(started) => Payload::ToolCallStarted(v1::ToolCallStarted {
            call_id: started.call_id.clone(),
            tool: Some(wire::tool_ref_to(&started.tool)),
            arguments_json: started.arguments.clone(),
            attempt: int(started.attempt),
            dry_run: false,
            instance_id: started.instance_id.clone(),
        }),
        Kind::ToolCallProgressed(further) => Payload::ToolCallProgressed(v1::ToolCallProgressed {
            call_id: further.call_id.clone(),
            fraction: further.fraction,
            message: further.message.clone(),
        }),
        Kind::ToolCallFinished(finished) => {
            Payload::ToolCallFinished(Box::new(write_finished(finished)))
        }
        Kind::HypothesisUpdated(hypothesis, before) => {
            Payload::HypothesisUpdated(v1::HypothesisUpdated {
                hypothesis: Some(belief::write_hypothesis(hypothesis)),
                previous_confidence: *before,
            })
        }
        Kind::EvidenceRecorded(evidence) => {
            Payload::EvidenceRecorded(Box::new(v1::EvidenceRecorded {
                evidence: Some(report::write_evidence(evidence)),
            }))
        }
        Kind::GapRecorded(gap) => {
            Payload::GapRecorded(v1::GapRecorded { gap: Some(report::write_gap(gap)) })
        }
        Kind::GuardTripped(tripped) => Payload::GuardTripped(v1::GuardTripped {
            guard: write_guard(tripped.guard).into(),
            subject: tripped.subject.clone(),
            consequence: tripped.consequence.clone(),
        }),
        Kind::Finished(investigation) => Payload::Finished(Box::new(v1::InvestigationFinished {
            investigation: Some(alert::write_investigation(investigation)),
        })),
        Kind::AlertAttached(attached) => Payload::AlertAttached(v1::AlertAttached {
            alert: Some(alert::write_alert(&attached.alert)),
            resolved: attached.resolved,
        }),
        Kind::Unknown => return None,
    })
}

fn read_kind(payload: Payload) -> Result<Kind, Unreadable> {
    let investigation = |message: Option<v1::Investigation>| {
        alert::read_investigation(message.ok_or(Unreadable::missing("investigation"))?)
            .map(Box::new)
    };
    Ok(match payload {
        Payload::Started(message) => Kind::Started(investigation(message.investigation)?),
        Payload::MemoryRecalled(message) => Kind::MemoryRecalled(
            message.matches.into_iter().map(memory::read_match).collect(),
            message.patterns.into_iter().filter_map(memory::read_pattern).collect(),
        ),
        Payload::PlanUpdated(message) => Kind::PlanUpdated(read_plan(message)),
        Payload::StepStarted(_) => Kind::StepStarted,
        Payload::StepFinished(message) => {
            Kind::StepFinished(report::read_outcome(known(message.outcome)))
        }
        Payload::ToolCallStarted(message) => Kind::ToolCallStarted(ToolCallStarted {
            call_id: message.call_id,
            tool: message.tool.map(wire::tool_ref_from).unwrap_or_default(),
            arguments: message.arguments_json,
            attempt: count(message.attempt),
            instance_id: message.instance_id,
        }),
        Payload::ToolCallProgressed(message) => Kind::ToolCallProgressed(ToolCallProgressed {
            call_id: message.call_id,
            fraction: message.fraction,
            message: message.message,
        }),
        Payload::ToolCallFinished(message) => {
            Kind::ToolCallFinished(Box::new(read_finished(*message)))
        }
        Payload::HypothesisUpdated(message) => Kind::HypothesisUpdated(
            message.hypothesis.map(belief::read_hypothesis).unwrap_or_default(),
            message.previous_confidence,
        ),
        Payload::EvidenceRecorded(message) => Kind::EvidenceRecorded(Box::new(
            report::read_evidence(message.evidence.ok_or(Unreadable::missing("evidence"))?)?,
        )),
        Payload::GapRecorded(message) => {
            Kind::GapRecorded(report::read_gap(message.gap.ok_or(Unreadable::missing("gap"))?)?)
        }
        Payload::GuardTripped(message) => match read_guard(known(message.guard)) {
            Some(guard) => Kind::GuardTripped(GuardTripped {
                guard,
                subject: message.subject,
                consequence: message.consequence,
            }),
            None => Kind::Unknown,
        },
        Payload::Finished(message) => Kind::Finished(investigation(message.investigation)?),
        Payload::AlertAttached(message) => Kind::AlertAttached(Box::new(read_attached(message)?)),
        // Events that later steps bring.
        Payload::ModelCalled(_)
        | Payload::ApprovalRequested(_)
        | Payload::ApprovalResolved(_)
        | Payload::BudgetReported(_)
        | Payload::RollbackUpdated(_)
        | Payload::Escalated(_)
        | Payload::Resumed(_) => Kind::Unknown,
    })
}

fn read_attached(message: v1::AlertAttached) -> Result<Attached, Unreadable> {
    let alert = alert::read_alert(message.alert.ok_or(Unreadable::missing("alert"))?);
    Ok(Attached { alert, resolved: message.resolved })
}

fn write_plan(plan: &Plan) -> v1::PlanUpdated {
    v1::PlanUpdated {
        revision: int(plan.revision),
        planner: v1::PlannerKind::Rules.into(),
        steps: plan
            .steps
            .iter()
            .map(|step| v1::PlanStep {
                id: step.id.clone(),
                purpose: step.purpose.clone(),
                tool: Some(wire::tool_ref_to(&step.tool)),
                arguments_json: step.arguments.clone(),
                depends_on: step.needs.clone(),
                subject: step.about.as_ref().map(wire::entity_to),
            })
            .collect(),
        reason: plan.reason.clone(),
    }
}

fn read_plan(message: v1::PlanUpdated) -> Plan {
    Plan {
        revision: count(message.revision),
        steps: message
            .steps
            .into_iter()
            .map(|step| Step {
                id: step.id,
                purpose: step.purpose,
                tool: step.tool.map(wire::tool_ref_from).unwrap_or_default(),
                arguments: step.arguments_json,
                needs: step.depends_on,
                about: step.subject.map(wire::entity_from),
            })
            .collect(),
        reason: message.reason,
    }
}

fn write_finished(finished: &ToolCallFinished) -> v1::ToolCallFinished {
    v1::ToolCallFinished {
        call_id: finished.call_id.clone(),
        duration: Some(wire::duration_to(finished.duration)),
        result_json: finished.result_json.clone(),
        truncated: finished.truncated,
        failure: finished.failure.as_ref().map(wire::failure_to),
        will_retry: finished.will_retry,
        cached: finished.cached,
        summary: finished.summary.clone(),
        observations: finished.observations.iter().map(wire::observation_to).collect(),
        observation_count: int(finished.observation_count),
        relation_count: int(finished.relation_count),
        gaps: finished.gaps.iter().map(wire::gap_to).collect(),
        observe_time: finished.observe_time.map(wire::timestamp_to),
    }
}

fn read_finished(message: v1::ToolCallFinished) -> ToolCallFinished {
    ToolCallFinished {
        call_id: message.call_id,
        duration: message
            .duration
            .as_ref()
            .and_then(|d| wire::duration_from(Some(d)))
            .unwrap_or_default(),
        result_json: message.result_json,
        truncated: message.truncated,
        failure: message.failure.map(wire::failure_from),
        will_retry: message.will_retry,
        cached: message.cached,
        summary: message.summary,
        observations: message.observations.into_iter().map(wire::observation_from).collect(),
        observation_count: count(message.observation_count),
        relation_count: count(message.relation_count),
        gaps: message.gaps.into_iter().map(wire::gap_from).collect(),
        observe_time: message.observe_time.as_ref().and_then(|t| wire::timestamp_from(Some(t))),
    }
}

fn write_guard(guard: Guard) -> v1::GuardKind {
    match guard {
        Guard::Timeout => v1::GuardKind::Timeout,
        Guard::RateLimit => v1::GuardKind::RateLimit,
        Guard::CircuitBreaker => v1::GuardKind::CircuitBreaker,
        Guard::Loop => v1::GuardKind::Loop,
        Guard::Budget => v1::GuardKind::Budget,
        Guard::Policy => v1::GuardKind::Policy,
    }
}

fn read_guard(guard: v1::GuardKind) -> Option<Guard> {
    match guard {
        v1::GuardKind::Timeout => Some(Guard::Timeout),
        v1::GuardKind::RateLimit => Some(Guard::RateLimit),
        v1::GuardKind::CircuitBreaker => Some(Guard::CircuitBreaker),
        v1::GuardKind::Loop => Some(Guard::Loop),
        v1::GuardKind::Budget => Some(Guard::Budget),
        v1::GuardKind::Policy => Some(Guard::Policy),
        v1::GuardKind::Unspecified | v1::GuardKind::KillSwitch => None,
    }
}
