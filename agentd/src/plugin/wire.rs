//! Messages of `agentd.tool.v1` to and from the words of the daemon. Pure, and strict where a
//! message is vague: unset means the most restrictive, numbers not known read as unset. Nothing
//! here masks or bounds; that is `clean`'s.

pub mod spec;

use std::time::Duration;

use agent_proto::tool::v1 as pb;
use jiff::Timestamp;

use crate::{
    fact::{Entity, Observation, Relation, RelationKind},
    tool::{CallOutput, Effects, Failure, FailureClass, ResultGap, ToolRef, Violation},
};

/// A length of time; none when unset or negative.
#[must_use]
pub fn duration_from(given: Option<&prost_types::Duration>) -> Option<Duration> {
    given.and_then(|given| Duration::try_from(*given).ok())
}

/// A length of time for the wire; the longest there is when it does not fit.
#[must_use]
pub fn duration_to(span: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(span)
        .unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

/// A moment; none when unset or outside of what a calendar holds.
#[must_use]
pub fn timestamp_from(given: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    given.and_then(|given| Timestamp::new(given.seconds, given.nanos).ok())
}

/// A moment for the wire.
#[must_use]
pub fn timestamp_to(time: Timestamp) -> prost_types::Timestamp {
    let (mut seconds, mut nanos) = (time.as_second(), time.subsec_nanosecond());
    if nanos < 0 {
        // The wire counts nanoseconds forward only.
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

/// A reference to a tool.
#[must_use]
pub fn tool_ref_from(given: pb::ToolRef) -> ToolRef {
    let pb::ToolRef { plugin, tool, version, digest } = given;
    ToolRef { plugin, tool, version, digest }
}

/// A reference to a tool, for the wire.
#[must_use]
pub fn tool_ref_to(tool: &ToolRef) -> pb::ToolRef {
    let ToolRef { plugin, tool, version, digest } = tool.clone();
    pb::ToolRef { plugin, tool, version, digest }
}

/// An object.
#[must_use]
pub fn entity_from(given: pb::EntityRef) -> Entity {
    let pb::EntityRef { kind, namespace, name, cluster, container } = given;
    Entity { kind, namespace, name, cluster, container }
}

/// An object, for the wire.
#[must_use]
pub fn entity_to(entity: &Entity) -> pb::EntityRef {
    let Entity { kind, namespace, name, cluster, container } = entity.clone();
    pb::EntityRef { kind, namespace, name, cluster, container }
}

/// An edge; none when an end is missing or its meaning is not known.
#[must_use]
pub fn relation_from(given: pb::Relation) -> Option<Relation> {
    let kind = match given.kind() {
        pb::RelationKind::Unspecified => return None,
        pb::RelationKind::OwnedBy => RelationKind::OwnedBy,
        pb::RelationKind::RunsOn => RelationKind::RunsOn,
        pb::RelationKind::Calls => RelationKind::Calls,
        pb::RelationKind::Uses => RelationKind::Uses,
        pb::RelationKind::Selects => RelationKind::Selects,
        pb::RelationKind::Governs => RelationKind::Governs,
    };
    Some(Relation { from: entity_from(given.from?), to: entity_from(given.to?), kind })
}

/// An edge, for the wire.
#[must_use]
pub fn relation_to(relation: &Relation) -> pb::Relation {
    let kind = match relation.kind {
        RelationKind::OwnedBy => pb::RelationKind::OwnedBy,
        RelationKind::RunsOn => pb::RelationKind::RunsOn,
        RelationKind::Calls => pb::RelationKind::Calls,
        RelationKind::Uses => pb::RelationKind::Uses,
        RelationKind::Selects => pb::RelationKind::Selects,
        RelationKind::Governs => pb::RelationKind::Governs,
    };
    pb::Relation {
        from: Some(entity_to(&relation.from)),
        to: Some(entity_to(&relation.to)),
        kind: kind.into(),
    }
}

/// A typed fact, as it was said.
#[must_use]
pub fn observation_from(given: pb::Observation) -> Observation {
    Observation {
        start: timestamp_from(given.start_time.as_ref()),
        end: timestamp_from(given.end_time.as_ref()),
        count: u32::try_from(given.count).unwrap_or_default(),
        signal: given.signal,
        subject: given.subject.map(entity_from).unwrap_or_default(),
        statement: given.statement,
        value: given.value,
        baseline: given.baseline,
        unit: given.unit,
        attributes: given.attributes,
        quote: given.quote,
        peer: given.peer.map(entity_from),
    }
}

/// A typed fact, for the wire.
#[must_use]
pub fn observation_to(seen: &Observation) -> pb::Observation {
    pb::Observation {
        signal: seen.signal.clone(),
        subject: Some(entity_to(&seen.subject)),
        statement: seen.statement.clone(),
        start_time: seen.start.map(timestamp_to),
        end_time: seen.end.map(timestamp_to),
        count: i32::try_from(seen.count).unwrap_or(i32::MAX),
        value: seen.value,
        baseline: seen.baseline,
        unit: seen.unit.clone(),
        attributes: seen.attributes.clone(),
        quote: seen.quote.clone(),
        peer: seen.peer.as_ref().map(entity_to),
    }
}

/// A failure. A class that is not known is derived from the code, and a code that is not one from
/// the class.
#[must_use]
pub fn failure_from(given: pb::Failure) -> Failure {
    let class = class_from(given.failure_class()).unwrap_or_else(|| class_of_code(given.code));
    let code = if (1..=16).contains(&given.code) { given.code } else { class.code() };
    let effects = match given.effects() {
        pb::EffectState::Unspecified | pb::EffectState::Maybe => Effects::Maybe,
        pb::EffectState::None => Effects::None,
        pb::EffectState::Applied => Effects::Applied,
    };
    Failure {
        class,
        code,
        effects,
        retry_after: duration_from(given.retry_delay.as_ref()),
        message: given.message,
        reason: given.reason,
        domain: given.domain,
        metadata: given.metadata,
        violations: given.violations.into_iter().map(violation_from).collect(),
        resource: given.resource,
    }
}

/// A failure, for the wire.
#[must_use]
pub fn failure_to(failure: &Failure) -> pb::Failure {
    let effects = match failure.effects {
        Effects::None => pb::EffectState::None,
        Effects::Maybe => pb::EffectState::Maybe,
        Effects::Applied => pb::EffectState::Applied,
    };
    pb::Failure {
        failure_class: class_to(failure.class).into(),
        code: failure.code,
        message: failure.message.clone(),
        reason: failure.reason.clone(),
        domain: failure.domain.clone(),
        metadata: failure.metadata.clone(),
        retry_delay: failure.retry_after.map(duration_to),
        violations: failure.violations.iter().map(violation_to).collect(),
        resource: failure.resource.clone(),
        effects: effects.into(),
    }
}

fn class_from(class: pb::FailureClass) -> Option<FailureClass> {
    Some(match class {
        pb::FailureClass::Unspecified => return None,
        pb::FailureClass::Transient => FailureClass::Transient,
        pb::FailureClass::RateLimited => FailureClass::RateLimited,
        pb::FailureClass::External => FailureClass::External,
        pb::FailureClass::InvalidArgument => FailureClass::InvalidArgument,
        pb::FailureClass::NotFound => FailureClass::NotFound,
        pb::FailureClass::Permission => FailureClass::Permission,
        pb::FailureClass::Config => FailureClass::Config,
        pb::FailureClass::Bug => FailureClass::Bug,
        pb::FailureClass::Timeout => FailureClass::Timeout,
        pb::FailureClass::Cancelled => FailureClass::Cancelled,
    })
}

fn class_to(class: FailureClass) -> pb::FailureClass {
    match class {
        FailureClass::Transient => pb::FailureClass::Transient,
        FailureClass::RateLimited => pb::FailureClass::RateLimited,
        FailureClass::External => pb::FailureClass::External,
        FailureClass::InvalidArgument => pb::FailureClass::InvalidArgument,
        FailureClass::NotFound => pb::FailureClass::NotFound,
        FailureClass::Permission => pb::FailureClass::Permission,
        FailureClass::Config => pb::FailureClass::Config,
        FailureClass::Bug => pb::FailureClass::Bug,
        FailureClass::Timeout => pb::FailureClass::Timeout,
        FailureClass::Cancelled => pb::FailureClass::Cancelled,
    }
}

fn class_of_code(code: i32) -> FailureClass {
    match code {
        1 => FailureClass::Cancelled,
        3 | 11 => FailureClass::InvalidArgument,
        4 => FailureClass::Timeout,
        5 => FailureClass::NotFound,
        7 | 16 => FailureClass::Permission,
        8 => FailureClass::RateLimited,
        9 | 12 => FailureClass::Config,
        10 | 14 => FailureClass::Transient,
        _ => FailureClass::Bug,
    }
}

fn violation_from(given: pb::FieldViolation) -> Violation {
    let pb::FieldViolation { field, description, reason } = given;
    Violation { field, description, reason }
}

/// A wrong field, for the wire.
#[must_use]
pub fn violation_to(violation: &Violation) -> pb::FieldViolation {
    let Violation { field, description, reason } = violation.clone();
    pb::FieldViolation { field, description, reason }
}

/// A hole in a result; a failure that was left out is told as a defect.
#[must_use]
pub fn gap_from(given: pb::ResultGap) -> ResultGap {
    let failure = given.failure.unwrap_or_default();
    ResultGap { subject: given.subject, failure: failure_from(failure) }
}

/// A hole in a result, for the wire.
#[must_use]
pub fn gap_to(gap: &ResultGap) -> pb::ResultGap {
    pb::ResultGap { subject: gap.subject.clone(), failure: Some(failure_to(&gap.failure)) }
}

/// A result. Relations whose meaning is not known are left out.
#[must_use]
pub fn result_from(given: pb::CallResult) -> CallOutput {
    CallOutput {
        result_json: given.result_json,
        summary: given.summary,
        truncated: given.truncated,
        total_bytes: u64::try_from(given.total_bytes).unwrap_or_default(),
        next_page_token: given.next_page_token,
        links: given.links.into_iter().map(|link| (link.title, link.uri)).collect(),
        gaps: given.gaps.into_iter().map(gap_from).collect(),
        observe_time: timestamp_from(given.observe_time.as_ref()),
        observations: given.observations.into_iter().map(observation_from).collect(),
        relations: given.relations.into_iter().filter_map(relation_from).collect(),
        flaws: Vec::new(),
    }
}

/// A result, for the wire.
#[must_use]
pub fn result_to(output: &CallOutput) -> pb::CallResult {
    pb::CallResult {
        result_json: output.result_json.clone(),
        summary: output.summary.clone(),
        truncated: output.truncated,
        total_bytes: i64::try_from(output.total_bytes).unwrap_or(i64::MAX),
        next_page_token: output.next_page_token.clone(),
        links: output
            .links
            .iter()
            .cloned()
            .map(|(title, uri)| pb::ResultLink { title, uri })
            .collect(),
        gaps: output.gaps.iter().map(gap_to).collect(),
        observe_time: output.observe_time.map(timestamp_to),
        observations: output.observations.iter().map(observation_to).collect(),
        relations: output.relations.iter().map(relation_to).collect(),
        ..pb::CallResult::default()
    }
}

/// A call's whole result as it is kept beside its event.
#[must_use]
pub fn encode_output(output: &CallOutput) -> bytes::Bytes {
    prost::Message::encode_to_vec(&result_to(output)).into()
}

#[cfg(test)]
mod tests;
