//! The messages that the command sends, as a later revision of the contract might have them: the
//! fields of today with today's numbers, and one more that no plugin knows. Everything else is the
//! generated wire.

use agent_proto::tool::v1::{
    CallCancelled, CallContext, CallLimits, CallMode, SlotParked, SlotPing, ToolRef,
};

/// `agentd.tool.v1.CallRequest`, with a field of the future.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct CallRequest {
    #[prost(string, tag = "1")]
    pub(crate) call_id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) tool: Option<ToolRef>,
    #[prost(string, tag = "3")]
    pub(crate) arguments_json: String,
    #[prost(enumeration = "CallMode", tag = "4")]
    pub(crate) mode: i32,
    #[prost(string, tag = "5")]
    pub(crate) idempotency_key: String,
    #[prost(int32, tag = "6")]
    pub(crate) attempt: i32,
    #[prost(message, optional, tag = "7")]
    pub(crate) limits: Option<CallLimits>,
    #[prost(message, optional, tag = "8")]
    pub(crate) context: Option<CallContext>,
    #[prost(string, tag = "9")]
    pub(crate) page_token: String,
    /// Known to no plugin: must be ignored.
    #[prost(string, tag = "1900")]
    pub(crate) of_the_future: String,
}

/// `agentd.tool.v1.ServeResponse`, with the request above.
#[derive(Clone, PartialEq, ::prost::Message)]
pub(crate) struct ServeResponse {
    #[prost(oneof = "Down", tags = "1, 2, 3, 4")]
    pub(crate) message: Option<Down>,
}

/// What a message down a slot says.
#[derive(Clone, PartialEq, ::prost::Oneof)]
#[expect(clippy::large_enum_variant, reason = "a message of the wire, as generated ones are")]
pub(crate) enum Down {
    #[prost(message, tag = "1")]
    Parked(SlotParked),
    #[prost(message, tag = "2")]
    Call(CallRequest),
    #[prost(message, tag = "3")]
    Cancelled(CallCancelled),
    #[prost(message, tag = "4")]
    Ping(SlotPing),
}

#[cfg(test)]
mod tests {
    use agent_proto::tool::v1 as wire;
    use prost::Message as _;

    use super::*;

    #[test]
    fn today_s_wire_reads_the_same_request_and_skips_the_new_field() {
        let sent = CallRequest {
            call_id: "c".into(),
            tool: Some(ToolRef { tool: "t".into(), ..ToolRef::default() }),
            arguments_json: "{}".into(),
            mode: CallMode::DryRun.into(),
            idempotency_key: "k".into(),
            attempt: 2,
            limits: Some(CallLimits { max_result_bytes: 7, ..CallLimits::default() }),
            context: Some(CallContext { principal: "p".into(), ..CallContext::default() }),
            page_token: "page".into(),
            of_the_future: "x".into(),
        };
        let bytes = sent.encode_to_vec();
        let read = wire::CallRequest::decode(bytes.as_slice()).unwrap();
        let expected = wire::CallRequest {
            call_id: "c".into(),
            tool: sent.tool.clone(),
            arguments_json: "{}".into(),
            mode: sent.mode,
            idempotency_key: "k".into(),
            attempt: 2,
            limits: sent.limits,
            context: sent.context.clone(),
            page_token: "page".into(),
        };
        assert_eq!(read, expected);
        let down = ServeResponse { message: Some(Down::Call(sent)) };
        let read = wire::ServeResponse::decode(down.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.message, Some(wire::serve_response::Message::Call(expected)));
    }
}
