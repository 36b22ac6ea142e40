//! Messages of the wire as proto3 JSON: camelCase names, enums by name, times and spans as texts,
//! what is unset left out. By reflection on the descriptors, so it cannot fall behind the wire.

use std::sync::LazyLock;

use agent_proto::{
    tool::v1::ToolDescriptor,
    v1::{
        CallToolResponse, CauseInfo, Explanation, Investigation, PluginInfo, Report,
        SearchEpisodesResponse, SignalInfo, SubmitFeedbackResponse,
    },
};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use super::Error;

static POOL: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(agent_proto::DESCRIPTORS).ok());

/// An investigation with its report.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn investigation(message: &Investigation) -> Result<Value, Error> {
    json("agentd.v1.Investigation", message)
}

/// A report alone.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn report(message: &Report) -> Result<Value, Error> {
    json("agentd.v1.Report", message)
}

/// An explanation.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn explanation(message: &Explanation) -> Result<Value, Error> {
    json("agentd.v1.Explanation", message)
}

/// A signal of the catalogue in force.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn signal(message: &SignalInfo) -> Result<Value, Error> {
    json("agentd.v1.SignalInfo", message)
}

/// A cause of the catalogue in force.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn cause(message: &CauseInfo) -> Result<Value, Error> {
    json("agentd.v1.CauseInfo", message)
}

/// A plugin with its instances.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn plugin(message: &PluginInfo) -> Result<Value, Error> {
    json("agentd.v1.PluginInfo", message)
}

/// What a plugin declared of a tool, with the names of fields that its author writes.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn descriptor(message: &ToolDescriptor) -> Result<Value, Error> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    json_as("agentd.tool.v1.ToolDescriptor", message, &options)
}

/// What a call gave.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn called(message: &CallToolResponse) -> Result<Value, Error> {
    json("agentd.v1.CallToolResponse", message)
}

/// What was made of a judgement.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn judged(message: &SubmitFeedbackResponse) -> Result<Value, Error> {
    json("agentd.v1.SubmitFeedbackResponse", message)
}

/// Earlier cases.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn episodes(message: &SearchEpisodesResponse) -> Result<Value, Error> {
    json("agentd.v1.SearchEpisodesResponse", message)
}

fn json(name: &str, message: &impl Message) -> Result<Value, Error> {
    json_as(name, message, &SerializeOptions::new())
}

fn json_as(name: &str, message: &impl Message, options: &SerializeOptions) -> Result<Value, Error> {
    let known = POOL.as_ref().and_then(|pool| pool.get_message_by_name(name));
    let descriptor = known.ok_or(Error::Unreadable)?;
    let bytes = message.encode_to_vec();
    let dynamic =
        DynamicMessage::decode(descriptor, bytes.as_slice()).map_err(|_| Error::Unreadable)?;
    dynamic
        .serialize_with_options(serde_json::value::Serializer, options)
        .map_err(|_| Error::Unreadable)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use agent_proto::v1::{self, InvestigationState};

    use super::*;

    #[test]
    fn names_are_in_camel_case_and_what_is_unset_is_left_out() {
        let cause = v1::RootCause {
            statement: "full".to_owned(),
            evidence_ids: vec!["e1".to_owned()],
            confidence: 0.9,
            ..v1::RootCause::default()
        };
        let message = Investigation {
            name: "investigations/1".to_owned(),
            state: InvestigationState::Succeeded.into(),
            create_time: Some(prost_types::Timestamp { seconds: 0, nanos: 0 }),
            last_sequence: 7,
            report: Some(v1::Report {
                verdict: v1::Verdict::RootCauseFound.into(),
                root_causes: vec![cause],
                plan: Some(v1::PlanOutcome {
                    duration: Some(prost_types::Duration { seconds: 12, nanos: 500_000_000 }),
                    ..v1::PlanOutcome::default()
                }),
                ..v1::Report::default()
            }),
            ..Investigation::default()
        };
        assert_eq!(
            investigation(&message).unwrap(),
            serde_json::json!({
                "name": "investigations/1",
                "state": "INVESTIGATION_STATE_SUCCEEDED",
                "createTime": "1970-01-01T00:00:00Z",
                "lastSequence": 7,
                "report": {
                    "verdict": "VERDICT_ROOT_CAUSE_FOUND",
                    "rootCauses": [{
                        "statement": "full", "evidenceIds": ["e1"], "confidence": 0.9,
                    }],
                    "plan": {"duration": "12.500s"},
                },
            })
        );
    }
}
