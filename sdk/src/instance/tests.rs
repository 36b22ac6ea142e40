//! A call from end to end through the real service: what is refused and in which order, how work
//! ends, what the stream looks like.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

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

#[tokio::test]
async fn one_call_too_many_is_told_to_come_back() {
    let puppet = Puppet::new();
    let plugin = Plugin::new("theatre", "1.0.0").tool(puppet.clone());
    let harness = Harness::with_capacity(plugin, 2).await.unwrap();
    let (a, b, refused) = tokio::join!(
        harness.call("puppet", act(Act::Wait)),
        harness.call("puppet", act(Act::Wait)),
        async {
            while puppet.begun.load(Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
            assert_eq!(harness.in_flight(), 2);
            let refused = harness.call("puppet", say("x")).await;
            puppet.gate.add_permits(2);
            refused
        }
    );
    assert_eq!(failed(&refused), (Class::RateLimited, "AT_CAPACITY", EffectState::None));
    assert!(refused.failure().unwrap().retry_delay.is_some());
    assert!(a.result().is_ok() && b.result().is_ok());
    harness.idle().await;
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_ends_the_work_and_not_only_the_waiting() {
    for (puppet, effects) in
        [(Puppet::new(), EffectState::None), (Puppet::new().changing(), EffectState::Maybe)]
    {
        let harness = harness(&puppet).await;
        let timeout = Duration::from_millis(300);
        let call = Call { timeout: Some(timeout), execute: true, ..Call::default() };
        let began = Instant::now();
        let outcome = harness.call_with("puppet", act(Act::Wait), call).await;
        assert_eq!(failed(&outcome), (Class::Timeout, "TIMEOUT", effects));
        assert_ordered(&outcome);
        let took = began.elapsed();
        assert!(took >= timeout && took < timeout + Duration::from_millis(50), "{took:?}");
        assert_eq!(puppet.dropped.load(Ordering::SeqCst), 1);
        puppet.cancelled.subscribe().wait_for(|count| *count == 1).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_without_limits_has_thirty_seconds() {
    let began = Instant::now();
    let harness = harness(&Puppet::new()).await;
    let outcome = harness.call_raw(request(act(Act::Wait)), false).await;
    assert_eq!(failed(&outcome).0, Class::Timeout);
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn withdrawing_a_call_drops_its_work_and_frees_its_place() {
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    for round in 1..=100 {
        let call = Call { cancel_after_accepted: true, ..Call::default() };
        let outcome = harness.call_with("puppet", act(Act::Wait), call).await;
        assert!(matches!(outcome.end, End::Cancelled));
        harness.idle().await;
        let begun = puppet.begun.load(Ordering::SeqCst);
        // A call may be withdrawn before its work is polled for the first time.
        assert!(begun <= round);
        assert_eq!(puppet.dropped.load(Ordering::SeqCst), begun);
        puppet.cancelled.subscribe().wait_for(|count| *count == begun).await.unwrap();
    }
    assert_eq!(harness.in_flight(), 0);
}

#[tokio::test]
async fn a_panic_is_a_defect_of_one_call_and_the_plugin_serves_on() {
    let harness = harness(&Puppet::new()).await;
    let panic = act(Act::Panic("lost with password=hunter2".to_owned()));
    for _ in 0..20 {
        let outcome = harness.call("puppet", panic.clone()).await;
        assert_eq!(failed(&outcome), (Class::Bug, "PANIC", EffectState::None));
        assert_ordered(&outcome);
        let message = &outcome.failure().unwrap().message;
        assert!(message.contains("lost with") && !message.contains("hunter2"), "{message}");
    }
    harness.idle().await;
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_reading_holds_the_work_back() {
    const LINES: u32 = 20_000;
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    let mut client = ToolServiceClient::new(harness.channel());
    let mut flood = Request::new(request(act(Act::Flood(LINES))));
    let token = format!("Bearer {}", harness.caller_token());
    flood.metadata_mut().insert("authorization", token.parse().unwrap());
    let mut stream = client.call(flood).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    // The clock stands still while anything can be done, so after this nothing moves any more.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let held = puppet.lines.load(Ordering::SeqCst);
    assert!(held < 8 * 1024, "{held} KiB were produced for nobody");
    // Another call is not held back.
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
    let mut last = None;
    let mut logs = 0;
    while let Some(response) = stream.message().await.unwrap() {
        logs += u32::from(matches!(response.update, Some(Update::Log(_))));
        last = response.update;
    }
    assert!(matches!(last, Some(Update::Result(_))));
    assert_eq!(logs, LINES);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_comes_back_does_not_outlive_the_deadline_for_ever() {
    let puppet = Puppet::new();
    let harness = harness(&puppet).await;
    let mut client = ToolServiceClient::new(harness.channel());
    let mut flood = Request::new(request(act(Act::Flood(50_000))));
    let token = format!("Bearer {}", harness.caller_token());
    flood.metadata_mut().insert("authorization", token.parse().unwrap());
    let _unread = client.call(flood).await.unwrap();
    let began = Instant::now();
    while puppet.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    harness.idle().await;
    assert!(began.elapsed() >= Duration::from_secs(30), "{:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(120), "{:?}", began.elapsed());
    assert_eq!(puppet.dropped.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn progress_grows_and_is_no_faster_than_wanted() {
    let outcome = harness(&Puppet::new()).await.call("puppet", act(Act::Count(41))).await;
    assert_ordered(&outcome);
    let told: Vec<f64> = outcome
        .updates
        .iter()
        .filter_map(|u| match &u.update {
            Some(Update::Progress(progress)) => Some(progress.done),
            _ => None,
        })
        .collect();
    // 41 steps 50 ms apart, one in 200 ms.
    assert!(told.len() >= 8 && told.len() <= 11, "{told:?}");
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]));
    assert!((told[0]).abs() < f64::EPSILON);
}

#[tokio::test]
async fn nothing_comes_after_the_last_update_whoever_goes_on_talking() {
    let harness = harness(&Puppet::new()).await;
    for _ in 0..50 {
        let outcome = harness.call("puppet", act(Act::Straggle)).await;
        assert_ordered(&outcome);
        assert_eq!(outcome.json(), "done");
    }
    harness.idle().await;
}

#[tokio::test]
async fn calls_at_once_do_not_mix_their_results() {
    let harness = harness(&Puppet::new()).await;
    for round in 0..64 {
        let (a, b) = (format!("a{round}"), format!("b{round}"));
        let (first, second) =
            tokio::join!(harness.call("puppet", say(&a)), harness.call("puppet", say(&b)));
        assert_eq!((first.json(), second.json()), (json!(a), json!(b)));
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_connection_lives() {
    let harness = harness(&Puppet::new()).await;
    let huge = harness.call("puppet", say(&"x".repeat(5 * 1024 * 1024))).await;
    assert!(matches!(huge.end, End::Broken(_)), "{huge:?}");
    assert_eq!(harness.call("puppet", say("x")).await.json(), "x");
}

#[tokio::test]
async fn the_catalog_is_what_was_put_together() {
    let plugin = Plugin::new("theatre", "1.0.0")
        .title("Theatre")
        .contact("stage@example.org")
        .signal("theatre.applause", "they liked it", crate::Polarity::Health)
        .tool(Puppet::new());
    let expected = plugin.catalog().clone();
    let catalog = Harness::new(plugin).await.unwrap().catalog().await.unwrap();
    assert_eq!(catalog, expected);
    assert_eq!((catalog.tools.len(), catalog.signals.len()), (1, 1));
    assert_eq!(catalog.signals[0].polarity(), crate::wire::SignalPolarity::Health);
    assert_eq!((catalog.min_protocol, catalog.max_protocol), (1, 1));
}
