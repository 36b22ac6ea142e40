//! Alerts and investigations.

use agent_proto::v1;

use super::{Unreadable, count, int, known, report};
use crate::{
    alert::Alert,
    investigation::{Autonomy, Bounds, Investigation, Phase, Usage, finding::Severity},
    plugin::wire,
};

/// An alert as messages have it.
#[must_use]
pub fn write_alert(alert: &Alert) -> v1::Alert {
    v1::Alert {
        r#type: alert.kind.clone(),
        service: alert.service.clone(),
        namespace: alert.namespace.clone(),
        cluster: alert.cluster.clone(),
        environment: alert.environment.clone(),
        severity: alert.severity.map_or(v1::Severity::Unspecified, write_severity).into(),
        description: alert.description.clone(),
        labels: alert.labels.clone(),
        annotations: alert.annotations.clone(),
        start_time: alert.start.map(wire::timestamp_to),
        fingerprint: alert.fingerprint.clone(),
        source: alert.source.clone(),
    }
}

/// An alert from a message.
#[must_use]
pub fn read_alert(alert: v1::Alert) -> Alert {
    Alert {
        kind: alert.r#type,
        service: alert.service,
        namespace: alert.namespace,
        cluster: alert.cluster,
        environment: alert.environment,
        severity: read_severity(known(alert.severity)),
        description: alert.description,
        labels: alert.labels,
        annotations: alert.annotations,
        start: alert.start_time.as_ref().and_then(|t| wire::timestamp_from(Some(t))),
        fingerprint: alert.fingerprint,
        source: alert.source,
    }
}

/// A severity as messages have it.
#[must_use]
pub fn write_severity(severity: Severity) -> v1::Severity {
    match severity {
        Severity::P1 => v1::Severity::P1,
        Severity::P2 => v1::Severity::P2,
        Severity::P3 => v1::Severity::P3,
        Severity::P4 => v1::Severity::P4,
    }
}

pub(super) fn read_severity(severity: v1::Severity) -> Option<Severity> {
    match severity {
        v1::Severity::Unspecified => None,
        v1::Severity::P1 => Some(Severity::P1),
        v1::Severity::P2 => Some(Severity::P2),
        v1::Severity::P3 => Some(Severity::P3),
        v1::Severity::P4 => Some(Severity::P4),
    }
}

/// A phase as messages have it.
#[must_use]
pub fn write_phase(phase: Phase) -> v1::InvestigationState {
    match phase {
        Phase::Queued => v1::InvestigationState::Queued,
        Phase::Running => v1::InvestigationState::Running,
        Phase::Succeeded => v1::InvestigationState::Succeeded,
        Phase::Partial => v1::InvestigationState::Partial,
        Phase::Failed => v1::InvestigationState::Failed,
        Phase::Cancelled => v1::InvestigationState::Cancelled,
    }
}

/// A phase from a message. States that later steps bring read as running.
#[must_use]
pub fn read_phase(state: v1::InvestigationState) -> Phase {
    match state {
        v1::InvestigationState::Queued => Phase::Queued,
        v1::InvestigationState::Unspecified
        | v1::InvestigationState::Running
        | v1::InvestigationState::AwaitingApproval
        | v1::InvestigationState::RollingBack => Phase::Running,
        v1::InvestigationState::Succeeded => Phase::Succeeded,
        v1::InvestigationState::Partial => Phase::Partial,
        v1::InvestigationState::Failed => Phase::Failed,
        v1::InvestigationState::Cancelled => Phase::Cancelled,
    }
}

/// A profile as messages have it.
#[must_use]
pub fn write_autonomy(autonomy: Autonomy) -> v1::AutonomyProfile {
    match autonomy {
        Autonomy::Dev => v1::AutonomyProfile::Dev,
        Autonomy::Staging => v1::AutonomyProfile::Staging,
        Autonomy::Production => v1::AutonomyProfile::Production,
        Autonomy::Incident => v1::AutonomyProfile::Incident,
    }
}

/// A profile from a message; unset is the daemon's own.
#[must_use]
pub fn read_autonomy(autonomy: v1::AutonomyProfile) -> Option<Autonomy> {
    match autonomy {
        v1::AutonomyProfile::Unspecified => None,
        v1::AutonomyProfile::Dev => Some(Autonomy::Dev),
        v1::AutonomyProfile::Staging => Some(Autonomy::Staging),
        v1::AutonomyProfile::Production => Some(Autonomy::Production),
        v1::AutonomyProfile::Incident => Some(Autonomy::Incident),
    }
}

/// An investigation as clients see it.
#[must_use]
pub fn write_investigation(investigation: &Investigation) -> v1::Investigation {
    v1::Investigation {
        name: investigation.id.resource(),
        alert: Some(write_alert(&investigation.alert)),
        state: write_phase(investigation.phase).into(),
        autonomy: write_autonomy(investigation.autonomy).into(),
        budget: Some(v1::Budget {
            max_duration: Some(wire::duration_to(investigation.bounds.max_duration)),
            max_tool_calls: int(investigation.bounds.max_tool_calls),
            ..v1::Budget::default()
        }),
        usage: Some(write_usage(investigation.usage)),
        principal: investigation.principal.clone(),
        create_time: Some(wire::timestamp_to(investigation.created)),
        start_time: Some(wire::timestamp_to(investigation.created)),
        end_time: investigation.ended.map(wire::timestamp_to),
        last_sequence: int(investigation.last_seq),
        report: investigation.report.as_ref().map(report::write_report),
        labels: investigation.labels.clone(),
        ..v1::Investigation::default()
    }
}

/// An investigation from a stored message.
///
/// # Errors
/// When its name, creation time or alert is missing.
pub fn read_investigation(message: v1::Investigation) -> Result<Investigation, Unreadable> {
    let budget = message.budget.unwrap_or_default();
    let defaults = Bounds::default();
    Ok(Investigation {
        id: message.name.parse().map_err(|_| Unreadable::missing("investigation name"))?,
        alert: read_alert(message.alert.ok_or(Unreadable::missing("alert"))?),
        phase: read_phase(known(message.state)),
        autonomy: read_autonomy(known(message.autonomy)).unwrap_or_default(),
        bounds: Bounds {
            max_duration: budget
                .max_duration
                .as_ref()
                .and_then(|d| wire::duration_from(Some(d)))
                .unwrap_or(defaults.max_duration),
            max_tool_calls: count(budget.max_tool_calls),
            max_rounds: defaults.max_rounds,
        },
        usage: read_usage(message.usage.unwrap_or_default()),
        principal: message.principal,
        created: message
            .create_time
            .as_ref()
            .and_then(|t| wire::timestamp_from(Some(t)))
            .ok_or(Unreadable::missing("create time"))?,
        ended: message.end_time.as_ref().and_then(|t| wire::timestamp_from(Some(t))),
        last_seq: count(message.last_sequence),
        report: message.report.map(report::read_report).transpose()?,
        labels: message.labels,
    })
}

pub(super) fn write_usage(usage: Usage) -> v1::Usage {
    v1::Usage { tool_calls: int(usage.tool_calls), ..v1::Usage::default() }
}

pub(super) fn read_usage(usage: v1::Usage) -> Usage {
    Usage { tool_calls: count(usage.tool_calls) }
}
