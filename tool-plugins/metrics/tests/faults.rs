//! What a Prometheus can do wrong: each fault has its name, none hangs a call, and what else could
//! be had is used.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "servers/stand_in.rs"]
mod stand_in;

use std::{fs, sync::Arc, time::Duration};

use agent_sdk::{
    kit::Harness,
    wire::{CallResult, Failure, FailureClass},
};
use plugin_cluster::kit;
use plugin_metrics::{
    live::{BOUNDS, Bounds, Live, settings::Settings},
    recording::Recording,
};
use serde_json::json;
use stand_in::{Asked, NOW, Reply, StandIn};
use tempfile::TempDir;

fn clock() -> jiff::Timestamp {
    NOW.parse().unwrap()
}

/// Bounds that a test need not wait for.
fn bounds() -> Bounds {
    Bounds { request: Duration::from_millis(400), call: Duration::from_secs(4), ..BOUNDS }
}

async fn plugin(settings: Settings, bounds: Bounds) -> (TempDir, Harness) {
    _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let front = json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "front", "namespace": "shop"}, "spec": {"selector": {"app": "front"}}});
    let recorded = kit::Recording::write(dir.path(), NOW, &[front]).unwrap();
    let live = Live::bounded(&settings, bounds, clock).unwrap().unwrap();
    let recording = Arc::new(Recording::live(recorded.open().unwrap(), live));
    (dir, Harness::new(plugin_metrics::plugin(&recording)).await.unwrap())
}

fn at(server: &StandIn) -> Settings {
    Settings { url: Some(server.url.clone()), ..Settings::default() }
}

async fn asked(server: &StandIn) -> Result<CallResult, Failure> {
    let (_dir, harness) = plugin(at(server), bounds()).await;
    let outcome =
        harness.call("get_metrics", json!({"namespace": "shop", "service": "front"})).await;
    match outcome.result() {
        Ok(result) => Ok(result.clone()),
        Err(_) => Err(outcome.failure().unwrap().clone()),
    }
}

fn class_of(failure: &Failure) -> FailureClass {
    FailureClass::try_from(failure.failure_class).unwrap()
}

fn reasons(result: &CallResult) -> Vec<String> {
    let reasons = result.gaps.iter().filter_map(|gap| gap.failure.as_ref());
    reasons.map(|failure| failure.reason.clone()).collect()
}

fn tells_of_errors(result: &CallResult) -> bool {
    result.observations.iter().any(|o| o.signal == "service.error_ratio_high")
}

fn text(status: u16, body: &str) -> Reply {
    Reply::Status(status, "", body.to_owned())
}

#[tokio::test]
async fn a_that_is_well_is_read_with_few_requests() {
    let server = StandIn::serve(|_, _| Reply::Well).await;
    let result = asked(&server).await.unwrap();
    assert!(tells_of_errors(&result));
    assert_eq!(reasons(&result), Vec::<String>::new());
    assert!(server.count() <= 12, "{} requests", server.count());
    let json: serde_json::Value = serde_json::from_str(&result.result_json).unwrap();
    assert_eq!(json["prometheus"]["requests"], server.count());
}

#[tokio::test]
async fn calls_about_one_namespace_share_what_was_had_unless_something_was_missing() {
    let server = StandIn::serve(|_, _| Reply::Well).await;
    let (_dir, harness) = plugin(at(&server), bounds()).await;
    let ask = json!({"namespace": "shop", "service": "front"});
    harness.call("get_metrics", ask.clone()).await;
    let once = server.count();
    harness.call("get_metrics", ask.clone()).await;
    harness.call("get_metrics", json!({"namespace": "shop"})).await;
    assert_eq!(server.count(), once);
    harness.call("get_metrics", json!({"namespace": "bank"})).await;
    assert!(server.count() > once, "another namespace is asked for");
    let server = StandIn::serve(|asked: &Asked, _| {
        if asked.path.starts_with("/api/v1/series") { Reply::Cut(5) } else { Reply::Well }
    })
    .await;
    let (_dir, harness) = plugin(at(&server), bounds()).await;
    harness.call("get_metrics", ask.clone()).await;
    let once = server.count();
    harness.call("get_metrics", ask).await;
    assert!(server.count() > once, "what was missing is sought again");
}

#[tokio::test]
async fn a_source_that_fails_as_a_whole_is_named_by_what_it_did() {
    use FailureClass as C;
    type Row = (&'static str, Reply, C, &'static str);
    let error = r#"{"status":"error","errorType":"internal","error":"boom"}"#;
    let table: [Row; 10] = [
        ("500", text(500, error), C::External, "PROMETHEUS_FAILED"),
        ("502 of a proxy", text(502, "<html>bad gateway</html>"), C::External, "PROMETHEUS_FAILED"),
        ("silence", Reply::Silence, C::Timeout, "PROMETHEUS_TIMEOUT"),
        ("half an answer", Reply::HeadOnly, C::Timeout, "PROMETHEUS_TIMEOUT"),
        ("closed", Reply::Closed, C::External, "PROMETHEUS_UNREACHABLE"),
        ("401", text(401, "who are you"), C::Permission, "PROMETHEUS_FORBIDDEN"),
        ("403", text(403, ""), C::Permission, "PROMETHEUS_FORBIDDEN"),
        ("login page", text(200, "<!doctype html><p>Sign in"), C::External, "PROMETHEUS_NOT_JSON"),
        (
            "login elsewhere",
            Reply::Status(302, "location: http://me:hunter2@login/\r\n", String::new()),
            C::External,
            "PROMETHEUS_ELSEWHERE",
        ),
        ("cut off", Reply::Cut(20), C::External, "PROMETHEUS_TRUNCATED"),
    ];
    for (what, reply, class, reason) in table {
        let server = StandIn::serve(move |_, _| reply.clone()).await;
        let failure = asked(&server).await.unwrap_err();
        assert_eq!((class_of(&failure), failure.reason.as_str()), (class, reason), "{what}");
        assert!(!failure.message.contains("hunter2"), "{what}: {}", failure.message);
        if class == C::Permission {
            assert_eq!(failure.metadata["permission"], "prometheus:query", "{what}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = StandIn::serve(|_, _| Reply::Well).await;
    let gone = at(&server);
    drop(server);
    tokio::task::yield_now().await;
    let (_dir, harness) = plugin(gone, bounds()).await;
    let outcome = harness.call("get_metrics", json!({"namespace": "shop"})).await;
    assert_eq!(outcome.failure().unwrap().reason, "PROMETHEUS_UNREACHABLE");
}

#[tokio::test]
async fn what_fails_in_part_costs_that_part_and_is_named() {
    let too_many = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#;
    let faults: [(&str, Reply); 4] = [
        ("500", text(500, "boom")),
        ("torn", Reply::Cut(10)),
        ("silence", Reply::Silence),
        ("page", text(200, "<html>")),
    ];
    for (what, fault) in faults {
        let server = StandIn::serve(move |asked: &Asked, _| {
            let series = asked.path.starts_with("/api/v1/series");
            if series { fault.clone() } else { Reply::Well }
        })
        .await;
        let result = asked(&server).await.unwrap();
        assert!(tells_of_errors(&result), "{what}");
        let gaps: Vec<&str> = result.gaps.iter().map(|gap| gap.subject.as_str()).collect();
        assert_eq!(gaps, ["calls from other namespaces"], "{what}");
    }
    // Too many samples at once: less is asked for at a time.
    let server = StandIn::serve(move |asked: &Asked, _| {
        let both = asked.raw.contains("http_requests_total") && asked.raw.contains("queue_");
        if asked.is_raw() && both { text(422, too_many) } else { Reply::Well }
    })
    .await;
    let result = asked(&server).await.unwrap();
    assert!(tells_of_errors(&result));
    assert_eq!(reasons(&result), Vec::<String>::new());
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept() {
    let huge = " ".repeat(3_000_000);
    let server = StandIn::serve(move |asked: &Asked, _| {
        let probes = asked.raw.contains("last_over_time") || asked.raw.contains("count_over");
        let query = asked.path.starts_with("/api/v1/query") && !probes;
        let queue = query && asked.raw.contains("queue_");
        if queue { text(200, &huge) } else { Reply::Well }
    })
    .await;
    let small = Bounds { body: 1_000_000, ..bounds() };
    let (_dir, harness) = plugin(at(&server), small).await;
    let outcome = harness.call("get_metrics", json!({"namespace": "shop"})).await;
    let result = outcome.result().unwrap();
    assert!(tells_of_errors(result), "what was small enough is used");
    assert_eq!(reasons(result), ["PROMETHEUS_TOO_MUCH"]);
    assert_eq!(result.gaps[0].subject, "queue_messages_ready");
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says_and_not_for_ever() {
    let busy = || Reply::Status(429, "retry-after: 0\r\n", "slow down".to_owned());
    let server = StandIn::serve(
        move |asked: &Asked, earlier| {
            if asked.is_raw() && earlier == 0 { busy() } else { Reply::Well }
        },
    )
    .await;
    let result = asked(&server).await.unwrap();
    assert!(tells_of_errors(&result));
    let server = StandIn::serve(move |_, _| busy()).await;
    let failure = asked(&server).await.unwrap_err();
    assert_eq!(class_of(&failure), FailureClass::RateLimited);
    assert_eq!(server.count(), 3);
    // A wait that is longer than the call is not begun.
    let server =
        StandIn::serve(|_, _| Reply::Status(503, "retry-after: 60\r\n", String::new())).await;
    assert_eq!(asked(&server).await.unwrap_err().reason, "PROMETHEUS_FAILED");
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn warnings_odd_values_and_copies_are_borne() {
    let server = StandIn::serve(|asked: &Asked, _| {
        if !asked.is_raw() || !asked.raw.contains("http_requests_total") {
            return Reply::Well;
        }
        let right = stand_in::right(asked);
        let mut copy = stand_in::matrix(asked).replace(r#""namespace":"shop""#,
            r#""namespace":"shop","replica":"b""#);
        copy = copy.split_once("\"result\":[").unwrap().1.strip_suffix("]}").unwrap().to_owned();
        let odd = r#"{"metric":{"__name__":"odd","namespace":"shop","service":"front"},"values":[[1735812000,"NaN"],[1735812030,"+Inf"],[1735812060,"-Inf"]]}"#;
        let body = right.strip_suffix("]}}").unwrap();
        text(200, &format!("{body},{copy},{odd}]}},\"warnings\":[\"a store is away\"]}}"))
    })
    .await;
    let result = asked(&server).await.unwrap();
    assert_eq!(reasons(&result), ["PROMETHEUS_PARTIAL"]);
    // Two copies of one server's series are one: 10 requests a second, not 20.
    let errors = result.observations.iter().find(|o| o.signal == "service.error_ratio_high");
    assert!((errors.unwrap().value.unwrap() - 0.33).abs() < 0.03);
    let json: serde_json::Value = serde_json::from_str(&result.result_json).unwrap();
    assert_eq!(json["prometheus"]["series"], 4);
}

#[tokio::test]
async fn a_clock_that_differs_is_said_and_the_server_is_asked_by_its_own() {
    let server = StandIn::serve(|asked: &Asked, _| {
        Reply::Status(200, "date: Thu, 02 Jan 2025 11:10:00 GMT\r\n", stand_in::right(asked))
    })
    .await;
    let result = asked(&server).await.unwrap();
    let gap = result.gaps.iter().find(|gap| gap.subject == "clock of Prometheus").unwrap();
    assert!(gap.failure.as_ref().unwrap().message.contains("600 s ahead"));
    assert!(server.heard("time=1735816200.000"), "asked at its own time");
    // The samples end when ours do: ten minutes ago by its clock.
    assert!(reasons(&result).contains(&"METRICS_STALE".to_owned()));
}

#[tokio::test]
async fn secrets_are_sent_and_told_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "t0psecret\n").unwrap();
    let server = StandIn::serve(|_, _| text(403, "not with t0psecret")).await;
    let settings = Settings {
        token_file: Some(file.clone()),
        tenant: Some("team-a".to_owned()),
        tenant_header: Some("X-Scope-OrgID".to_owned()),
        ..at(&server)
    };
    let (_dir, harness) = plugin(settings, bounds()).await;
    let outcome = harness.call("get_metrics", json!({"namespace": "shop"})).await;
    let shown = format!("{:?}", outcome.failure().unwrap());
    assert!(
        server.heard("authorization: Bearer t0psecret") && server.heard("x-scope-orgid: team-a")
    );
    assert!(!shown.contains("t0psecret"), "{shown}");
    // A rotated token is taken with the next call.
    fs::write(&file, "rotated").unwrap();
    harness.call("get_metrics", json!({"namespace": "shop"})).await;
    assert!(server.heard("authorization: Bearer rotated"));
}

#[tokio::test]
async fn text_of_an_alert_stays_within_its_quotes() {
    let server = StandIn::serve(|_, _| Reply::Well).await;
    let (_dir, harness) = plugin(at(&server), bounds()).await;
    let hostile = "shop\"} or {__name__=~\".+\n\\";
    harness.call("get_metrics", json!({"namespace": hostile})).await;
    harness.call("find_anomalies", json!({"namespace": hostile})).await;
    let asked = server.asked.lock().unwrap();
    assert!(!asked.is_empty());
    for asked in asked.iter() {
        assert!(!asked.raw.contains("shop%22%7D"), "{}", asked.raw);
    }
    assert!(asked.iter().any(|a| a.raw.contains("shop%5C%22%7D")));
}
