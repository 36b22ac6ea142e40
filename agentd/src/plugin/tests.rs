//! Whole calls over the wire, to plugins that are honest and to plugins that are not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use agent_proto::tool::v1 as pb;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};
use tonic::{Code, Status};

use super::{
    CallUpdate,
    fake::{Bench, Fake, Way, accepted, descriptor, progress, result},
    news::Kind,
    registry::Standing,
};
use crate::tool::{Effects, FailureClass};

mod traps;

/// Longest time a call that must be prompt may take on a busy machine.
const PROMPT: Duration = Duration::from_secs(8);

fn honest() -> Way {
    Way::Says(vec![accepted(), progress(1.0, "halfway"), result(r#"{"ok":true}"#)])
}

#[tokio::test]
async fn an_honest_plugin_is_asked_with_bounds_and_told_of_once() {
    let mut fake = Fake::start(&[("look", honest())]);
    let mut bench = Bench::new();
    bench.register(&fake, vec![descriptor("look")]).await;
    let output = bench.call("look").await.unwrap();
    assert_eq!(output.result_json, r#"{"ok":true}"#);
    assert_eq!(bench.told(), ["S1", "P", "F1"]);

    let seen = fake.calls.recv().await.unwrap();
    assert_eq!(seen.headers.get("authorization").unwrap(), "Bearer s3cret");
    assert_eq!(seen.headers.get("grpc-timeout").unwrap(), "1500000u");
    assert_eq!(seen.request.mode(), pb::CallMode::Execute);
    let limits = seen.request.limits.unwrap();
    assert_eq!(limits.timeout.unwrap().seconds, 1);
    assert_eq!(limits.max_result_bytes, 256 * 1024);
    assert_eq!(seen.request.context.unwrap().principal, "people/ann");
}

#[tokio::test]
async fn one_that_hangs_times_out_and_sees_the_caller_go() {
    let mut fake = Fake::start(&[("look", Way::Hangs)]);
    let mut bench = Bench::new();
    bench.register(&fake, vec![descriptor("look")]).await;
    let failure = timeout(PROMPT, bench.call("look")).await.unwrap().unwrap_err();
    assert_eq!(
        (failure.class, failure.reason.as_str()),
        (FailureClass::Timeout, "ATTEMPT_TIMED_OUT")
    );
    assert_eq!(failure.effects, Effects::None, "what only reads changed nothing");
    assert_eq!(bench.told(), ["S1", "F1"]);
    let seen = fake.calls.recv().await.unwrap();
    timeout(PROMPT, seen.gone.cancelled()).await.expect("the stream was not cancelled");
}

#[tokio::test]
async fn a_call_that_is_withdrawn_ends_at_once_at_both_ends() {
    let mut fake = Fake::start(&[("look", Way::Hangs)]);
    let mut bench = Bench::new();
    bench.register(&fake, vec![descriptor("look")]).await;
    let cx = bench.cx();
    let cancel = cx.cancel.clone();
    let (tools, cleared) = (bench.tools.clone(), bench.cleared("look"));
    let call = tokio::spawn(async move { tools.call(cleared, cx).await });
    let seen = fake.calls.recv().await.unwrap();
    cancel.cancel();
    let failure = timeout(PROMPT, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(failure.class, FailureClass::Cancelled);
    timeout(PROMPT, seen.gone.cancelled()).await.expect("the stream was not cancelled");
    assert_eq!(bench.told(), ["S1", "F1"]);

    let cx = bench.cx();
    cx.cancel.cancel();
    let failure = bench.tools.call(bench.cleared("look"), cx).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Cancelled);
    assert!(bench.told().is_empty(), "a halted call makes no attempt");
}

#[tokio::test]
async fn one_that_is_killed_in_mid_call_fails_promptly() {
    let mut fake = Fake::start(&[("look", Way::Hangs)]);
    let mut slow = descriptor("look");
    slow.timeout = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let bench = Bench::new();
    bench.register(&fake, vec![slow]).await;
    let (tools, cleared, cx) = (bench.tools.clone(), bench.cleared("look"), bench.cx());
    let call = tokio::spawn(async move { tools.call(cleared, cx).await });
    fake.calls.recv().await.unwrap();
    fake.kill();
    let failure = timeout(PROMPT, call).await.unwrap().unwrap().unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient, "{failure:?}");
    let failure = timeout(PROMPT, bench.call("look")).await.unwrap().unwrap_err();
    assert_eq!(failure.class, FailureClass::Transient, "{failure:?}");
}

#[tokio::test]
async fn a_flood_is_cut_off_and_other_calls_go_on() {
    let fake = Fake::start(&[("flood", Way::Floods), ("look", honest())]);
    let mut long = descriptor("flood");
    long.timeout = Some(prost_types::Duration { seconds: 30, nanos: 0 });
    let bench = Bench::new();
    bench.register(&fake, vec![long, descriptor("look")]).await;
    let (flood, look) = tokio::join!(bench.call("flood"), bench.call("look"));
    let failure = flood.unwrap_err();
    assert_eq!((failure.class, failure.reason.as_str()), (FailureClass::Bug, "STREAM_RULE"));
    assert!(look.is_ok(), "{look:?}");
    assert!(bench.call("look").await.is_ok());
}

#[tokio::test]
async fn garbage_is_a_defect_that_is_named() {
    for (way, class, reason) in [
        (Way::Says(vec![result("<html>")]), FailureClass::Bug, "RESULT_NOT_JSON"),
        (Way::Says(vec![accepted()]), FailureClass::Bug, "STREAM_ENDED_EARLY"),
        (Way::Says(vec![result("{}"), result("{}")]), FailureClass::Bug, "STREAM_RULE"),
        (Way::Refuses(Status::not_found("pod a")), FailureClass::Bug, "LEAKED_STATUS"),
        (Way::Refuses(Status::unknown("Exception calling")), FailureClass::Bug, "PLUGIN_CRASHED"),
        (Way::Refuses(Status::unavailable("later")), FailureClass::Transient, "UNAVAILABLE"),
    ] {
        let fake = Fake::start(&[("look", way)]);
        let bench = Bench::new();
        bench.register(&fake, vec![descriptor("look")]).await;
        let failure = bench.call("look").await.unwrap_err();
        assert_eq!((failure.class, failure.reason.as_str()), (class, reason), "{failure}");
        let view = bench.registry.tool("probe", "look", "").unwrap();
        assert_eq!(view.last_failure.unwrap().reason, reason);
    }
}

#[tokio::test]
async fn a_result_that_breaks_its_own_schema_is_a_gap_and_blinds_nobody() {
    let text = |truncated| {
        let mut cut = result("\"text\"");
        if let pb::call_response::Update::Result(result) = &mut cut {
            result.truncated = truncated;
        }
        Way::Says(vec![cut])
    };
    let fake = Fake::start(&[("look", text(false)), ("cut", text(true))]);
    let promised = |name: &str| {
        let output_schema_json = r#"{"type":"object"}"#.to_owned();
        pb::ToolDescriptor { output_schema_json, ..descriptor(name) }
    };
    let bench = Bench::new();
    bench.register(&fake, vec![promised("look"), promised("cut")]).await;
    let output = bench.call("look").await.unwrap();
    assert_eq!(output.result_json, "\"text\"");
    assert_eq!(output.gaps[0].failure.reason, "OUTPUT_SCHEMA");
    assert!(bench.call("cut").await.unwrap().gaps.is_empty(), "what was cut keeps no form");
}

#[tokio::test]
async fn results_that_are_too_large_leave_the_breaker_closed_and_defects_open_it() {
    let large = Way::Says(vec![result(&"1".repeat(5 << 20))]);
    let fake = Fake::start(&[("large", large), ("lies", Way::Says(vec![result("<html>")]))]);
    let mut bench = Bench::new();
    bench.register(&fake, vec![descriptor("large"), descriptor("lies")]).await;
    for _ in 0..4 {
        let output = bench.call("large").await.unwrap();
        assert!(output.truncated);
        assert_eq!(output.gaps[0].failure.reason, "RESULT_TOO_LARGE");
    }
    for _ in 0..3 {
        assert_eq!(bench.call("lies").await.unwrap_err().reason, "RESULT_NOT_JSON");
    }
    assert_eq!(bench.told().len(), 14, "each was sent once");
    let standing = |tool| bench.registry.tool("probe", tool, "").unwrap().standing;
    assert_eq!((standing("large"), standing("lies")), (Standing::Active, Standing::Tripped));
    let news = bench.registry.news(0).unwrap();
    let tripped: Vec<&str> = news
        .iter()
        .filter(|event| event.kind == Kind::ToolTripped)
        .map(|event| event.summary.as_str())
        .collect();
    assert_eq!(tripped, ["probe.lies fails again and again and is left alone for a while"]);
}

#[tokio::test]
async fn with_two_replicas_and_one_killed_no_call_fails() {
    let (one, mut two) = (Fake::start(&[("look", honest())]), Fake::start(&[("look", honest())]));
    let mut tool = descriptor("look");
    tool.retry = Some(pb::RetryPolicy { max_attempts: 3, ..Default::default() });
    let mut bench = Bench::new();
    bench.register(&one, vec![tool.clone()]).await;
    bench.register(&two, vec![tool]).await;
    while bench.registry.tool("probe", "look", "").unwrap().ready_instances < 2 {
        let mut changes = bench.registry.changes();
        timeout(PROMPT, changes.changed()).await.unwrap().unwrap();
    }
    two.kill();
    let mut retried = 0;
    for _ in 0..100 {
        bench.call("look").await.unwrap();
        retried += bench.told().iter().filter(|line| line.ends_with('+')).count();
    }
    assert!(retried <= 3, "{retried} attempts went to the dead one");
}

#[tokio::test]
async fn an_attempt_that_fails_in_passing_is_made_again_and_both_are_told() {
    let fake = Fake::start(&[("look", Way::Refuses(Status::unavailable("later")))]);
    let mut tool = descriptor("look");
    tool.retry = Some(pb::RetryPolicy { max_attempts: 3, ..Default::default() });
    let mut bench = Bench::new();
    bench.register(&fake, vec![tool]).await;
    let failure = bench.call("look").await.unwrap_err();
    assert_eq!(failure.reason, "UNAVAILABLE");
    assert_eq!(bench.told(), ["S1", "F1+", "S2", "F2+", "S3", "F3"]);
}

#[tokio::test]
async fn without_an_instance_that_is_free_a_call_waits_and_then_says_so() {
    let mut fake = Fake::start(&[("look", Way::Hangs)]);
    let mut bench = Bench::new();
    let mut request = super::fake::announcement(fake.address, vec![descriptor("look")]);
    request.max_concurrent_calls = 1;
    bench.registry.register(request, &Default::default()).await.unwrap();
    let soon = Instant::now() + PROMPT;
    bench.tools.wait_ready(&["probe".to_owned()], soon).await.unwrap();
    let (tools, cleared, cx) = (bench.tools.clone(), bench.cleared("look"), bench.cx());
    let first = tokio::spawn(async move { tools.call(cleared, cx).await });
    fake.calls.recv().await.unwrap();
    assert!(matches!(bench.next_told().await, CallUpdate::Started { .. }));
    let mut cx = bench.cx();
    cx.deadline = Instant::now() + Duration::from_millis(400);
    let failure = bench.tools.call(bench.cleared("look"), cx).await.unwrap_err();
    assert_eq!((failure.class, failure.reason.as_str()), (FailureClass::Transient, "NO_INSTANCE"));
    // The place that comes free when the first call ends is taken by the one that waits.
    let second = bench.call("look").await.unwrap_err();
    assert_eq!(second.reason, "ATTEMPT_TIMED_OUT");
    first.await.unwrap().unwrap_err();
    assert_eq!(bench.told(), ["F1", "S1", "F1"]);
    assert_eq!(Code::from_i32(second.code), Code::DeadlineExceeded);
}

/// What a server does with one HTTP/2 stream.
#[derive(Debug, Clone, Copy)]
enum Resets {
    /// Refuses it: it was not processed.
    Refused,
    /// Breaks it off, saying nothing of how far it got.
    Broken,
    /// Begins to answer, says `accepted`, and closes the connection.
    AfterAccepted,
}

/// A server on bare HTTP/2 that answers each call like this, and counts them.
async fn bare_server(how: Resets) -> (SocketAddr, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    if !request.uri().path().ends_with("/Call") {
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                        continue;
                    }
                    seen.fetch_add(1, Ordering::Relaxed);
                    match how {
                        Resets::Refused => respond.send_reset(h2::Reason::REFUSED_STREAM),
                        Resets::Broken => respond.send_reset(h2::Reason::INTERNAL_ERROR),

                        Resets::AfterAccepted => {
                            let head = http::Response::builder()
                                .header("content-type", "application/grpc")
                                .body(())
                                .unwrap();
                            let mut body = respond.send_response(head, false).unwrap();
                            let accepted =
                                pb::CallResponse { sequence: 1, update: Some(accepted()) };
                            let message = prost::Message::encode_to_vec(&accepted);
                            let length = u32::try_from(message.len()).unwrap().to_be_bytes();
                            let framed = [&[0_u8][..], &length, &message].concat();
                            body.send_data(framed.into(), false).unwrap();
                            let _ = timeout(PROMPT / 10, connection.accept()).await;
                            return;
                        }
                    }
                }
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn what_may_have_acted_is_not_asked_again_and_what_was_never_taken_is() {
    for (how, idempotency, times) in [
        (Resets::Refused, pb::Idempotency::None, 3),
        (Resets::Broken, pb::Idempotency::None, 1),
        (Resets::AfterAccepted, pb::Idempotency::None, 1),
        (Resets::AfterAccepted, pb::Idempotency::Keyed, 3),
        (Resets::Broken, pb::Idempotency::Natural, 3),
    ] {
        let (address, asked) = bare_server(how).await;
        let mut tool = descriptor("change");
        tool.side_effect = pb::SideEffect::Destructive.into();
        tool.idempotency = idempotency.into();
        tool.retry = Some(pb::RetryPolicy { max_attempts: 3, ..Default::default() });
        let bench = Bench::new();
        let request = super::fake::announcement(address, vec![tool]);
        bench.registry.register(request, &Default::default()).await.unwrap();
        let spec = bench.registry.tools().remove(0).spec;
        // The health question is refused by this server, so that readiness is given by hand.
        bench.registry.all_serve();
        let failure = bench.unguarded(&spec).await.unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), times, "{how:?} {idempotency:?}: {failure:?}");
        let untouched = matches!(how, Resets::Refused);
        let effects = if untouched { Effects::None } else { Effects::Maybe };
        assert_eq!(failure.effects, effects, "{how:?}");
    }
}
