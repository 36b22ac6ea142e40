//! A call from end to end through the real service: what is refused and in which order, how work
//! ends, what the stream looks like.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

mod acting;
mod pressed;

use std::sync::atomic::Ordering;

use agent_proto::tool::v1::{
    CallLimits, CallResponse, EffectState, FailureClass as Class,
    tool_service_client::ToolServiceClient,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::Code;

use super::*;
use crate::{
    Plugin,
    fake::{Act, Puppet},
    kit::{Call, End, Harness, Outcome},
};

async fn harness(puppet: &Puppet) -> Harness {
    Harness::new(Plugin::new("theatre", "1.0.0").tool(puppet.clone())).await.unwrap()
}

fn act(act: Act) -> Value {
    json!({ "act": act })
}

fn say(text: &str) -> Value {
    act(Act::Say(text.to_owned()))
}

fn request(arguments: Value) -> CallRequest {
    CallRequest {
        tool: Some(ToolRef { tool: "puppet".to_owned(), ..ToolRef::default() }),
        arguments_json: arguments.to_string(),
        ..CallRequest::default()
    }
}

fn failed(outcome: &Outcome) -> (Class, &str, EffectState) {
    let failure = outcome.failure().unwrap_or_else(|| panic!("no failure: {outcome:?}"));
    (failure.failure_class(), &failure.reason, failure.effects())
}

fn assert_ordered(outcome: &Outcome) {
    let numbers: Vec<_> = outcome.updates.iter().map(|u| u.sequence).collect();
    assert_eq!(numbers, (1..=i32::try_from(numbers.len()).unwrap()).collect::<Vec<_>>());
    let is_last =
        |u: &CallResponse| matches!(u.update, Some(Update::Result(_) | Update::Failure(_)));
    assert_eq!(outcome.updates.iter().filter(|u| is_last(u)).count(), 1);
    assert!(is_last(outcome.updates.last().unwrap()));
    let accepted = outcome.updates.iter().filter(|u| matches!(u.update, Some(Update::Accepted(_))));
    assert!(accepted.count() <= 1);
}

#[tokio::test]
async fn a_call_is_accepted_once_and_ends_with_its_result() {
    let outcome = harness(&Puppet::new()).await.call("puppet", say("hello")).await;
    assert_ordered(&outcome);
    assert!(matches!(outcome.updates[0].update, Some(Update::Accepted(_))));
    assert_eq!(outcome.json(), "hello");
}

fn named(plugin: &str, tool: &str, version: &str, digest: &str) -> Option<ToolRef> {
    Some(ToolRef {
        plugin: plugin.to_owned(),
        tool: tool.to_owned(),
        version: version.to_owned(),
        digest: digest.to_owned(),
    })
}

fn time_left(seconds: i64) -> Option<CallLimits> {
    let timeout = Some(prost_types::Duration { seconds, nanos: 0 });
    Some(CallLimits { timeout, ..CallLimits::default() })
}

/// Requests that must be refused, in the order of the checks: each is wrong in what it is named
/// for and in everything that is checked later, as far as that can be.
fn refused() -> Vec<(CallRequest, Class, i32, &'static str)> {
    let good = request(say("x"));
    let bad = CallRequest { limits: time_left(0), ..request(json!({"act": 7, "extra": 1})) };
    let tool = |tool| CallRequest { tool, mode: CallMode::DryRun.into(), ..bad.clone() };
    let arguments = |json: String| CallRequest { arguments_json: json, ..bad.clone() };
    let (unknown, mismatch) = ("UNKNOWN_TOOL", "DESCRIPTOR_MISMATCH");
    let (invalid, timeout) = ("INVALID_ARGUMENT", "TIMEOUT");
    vec![
        (tool(named("", "none", "", "")), Class::Config, 5, unknown),
        (tool(named("other", "puppet", "", "")), Class::Config, 5, unknown),
        (tool(None), Class::Config, 5, unknown),
        (tool(named("", "puppet", "2.0.0", "")), Class::Config, 9, mismatch),
        (tool(named("theatre", "puppet", "1.0.0", "sha256:x")), Class::Config, 9, mismatch),
        (tool(named("", "puppet", "", "")), Class::InvalidArgument, 3, invalid),
        (bad.clone(), Class::InvalidArgument, 3, invalid),
        (arguments(" ".repeat(256 * 1024 + 1)), Class::InvalidArgument, 3, invalid),
        (arguments("[]".to_owned()), Class::InvalidArgument, 3, invalid),
        (CallRequest { limits: time_left(0), ..good.clone() }, Class::Timeout, 4, timeout),
        (CallRequest { limits: time_left(-3), ..good }, Class::Timeout, 4, timeout),
    ]
}

#[tokio::test]
async fn what_cannot_run_is_refused_before_it_is_accepted_and_without_effects() {
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    for (request, class, code, reason) in refused() {
        let outcome = harness.call_raw(request.clone(), false).await;
        assert_eq!(failed(&outcome), (class, reason, EffectState::None), "{request:?}");
        let failure = outcome.failure().unwrap();
        assert_eq!((failure.code, failure.domain.as_str()), (code, "theatre"));
        assert_eq!((outcome.updates.len(), outcome.updates[0].sequence), (1, 1));
    }
    assert_eq!(puppet.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_fault_of_a_mode_is_told_before_the_faults_of_arguments() {
    let wrong = CallRequest { mode: CallMode::DryRun.into(), ..request(json!({"act": 7})) };
    let outcome = harness(&Puppet::new()).await.call_raw(wrong, false).await;
    assert_eq!(outcome.failure().unwrap().violations[0].field, "mode");
}

#[tokio::test]
async fn a_result_keeps_to_the_size_that_was_asked_for() {
    let call = Call { max_result_bytes: Some(4096), ..Call::default() };
    let harness = harness(&Puppet::new()).await;
    let outcome = harness.call_with("puppet", say(&"ä\"".repeat(9000)), call).await;
    let result = outcome.result().unwrap();
    assert!(result.truncated && result.result_json.len() <= 4096 && result.total_bytes > 9000);
    assert_eq!(outcome.json()["truncated"], true);
}

#[tokio::test]
async fn what_a_call_tells_on_its_way_is_masked_and_cut() {
    let text = format!("password=hunter2 {}", "x".repeat(5000));
    let outcome = harness(&Puppet::new()).await.call("puppet", act(Act::Tell(text))).await;
    let lines: Vec<&str> = outcome
        .updates
        .iter()
        .filter_map(|u| match &u.update {
            Some(Update::Progress(progress)) => Some(progress.message.as_str()),
            Some(Update::Log(log)) => Some(log.message.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert!(line.starts_with("password=[REDACTED] x") && line.len() <= 2048, "{line}");
    }
}

#[tokio::test]
async fn a_digest_is_known_once_agentd_has_told_it() {
    let harness = harness(&Puppet::new()).await;
    let with_digest = |digest: &str| {
        let mut request = request(say("x"));
        request.tool.as_mut().unwrap().digest = digest.to_owned();
        request
    };
    let early = harness.call_raw(with_digest(crate::fake::DIGEST), false).await;
    assert_eq!(failed(&early).1, "DESCRIPTOR_MISMATCH");
    let catalog = harness.catalog().await.unwrap();
    harness.instance().learn_digests(&crate::fake::accepting(&catalog).verdicts);
    assert_eq!(harness.call_raw(with_digest(crate::fake::DIGEST), false).await.json(), "x");
    let other = harness.call_raw(with_digest("sha256:other"), false).await;
    assert_eq!(failed(&other).1, "DESCRIPTOR_MISMATCH");
}

#[tokio::test]
async fn a_changing_tool_runs_only_when_told_to_act() {
    let puppet = Puppet::new().changing();
    let harness = harness(&puppet).await;
    let unset = harness.call("puppet", say("x")).await;
    assert_eq!(failed(&unset), (Class::InvalidArgument, "INVALID_ARGUMENT", EffectState::None));
    assert_eq!(unset.failure().unwrap().violations[0].field, "mode");
    // A number of a newer agentd reads as unset.
    let newer = harness.call_raw(CallRequest { mode: 77, ..request(say("x")) }, false).await;
    assert_eq!(failed(&newer).0, Class::InvalidArgument);
    assert_eq!(puppet.begun.load(Ordering::SeqCst), 0);
    let call = Call { execute: true, ..Call::default() };
    assert_eq!(harness.call_with("puppet", say("x"), call).await.json(), "x");
}

#[tokio::test]
async fn without_the_callers_token_no_call_is_answered_and_the_catalog_still_shown() {
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    let right = harness.caller_token().to_owned();
    let (shorter, basic) = (right[1..].to_owned(), format!("Basic {right}"));
    for header in [
        None,
        Some("Bearer wrong"),
        Some(&*format!("Bearer {shorter}")),
        Some(&*basic),
        Some("Bearer "),
    ] {
        let mut client = ToolServiceClient::new(harness.channel());
        let mut call = Request::new(request(say("x")));
        let mut get = Request::new(GetCatalogRequest {});
        if let Some(header) = header {
            call.metadata_mut().insert("authorization", header.parse().unwrap());
            get.metadata_mut().insert("authorization", header.parse().unwrap());
        }
        assert_eq!(client.call(call).await.unwrap_err().code(), Code::Unauthenticated);
        assert!(client.get_catalog(get).await.is_ok());
    }
    assert_eq!(puppet.begun.load(Ordering::SeqCst), 0);
    assert!(right.len() >= 43 && right != self::harness(&puppet).await.caller_token());
}
