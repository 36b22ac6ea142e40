//! Logs that live elsewhere, asked over the wire as agentd asks. The servers are stand-ins that answer
//! in the shapes their documentation gives, since real ones do not fail at will: a real OpenSearch is
//! asked in tests/tests/live/stores.rs, a real Loki nowhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "servers/stand_in.rs"]
mod stand_in;

use std::{fmt::Write as _, fs, sync::Arc, time::Duration};

use agent_sdk::{
    kit::Harness,
    wire::{CallResult, FailureClass},
};
use plugin_cluster::kit::Recording;
use plugin_http::Bounds;
use plugin_logs::store::{
    BOUNDS, Store,
    settings::{Elasticsearch, Loki, Settings},
};
use serde_json::json;
use stand_in::{Line, Reply, StandIn};
use tempfile::TempDir;

const NOW: &str = "2025-01-02T12:00:00Z";
/// A pod of Deployment `web` that is gone.
const GONE: &str = "web-5d89f7c6b4-x2lqz";

fn at(text: &str) -> jiff::Timestamp {
    format!("2025-01-02T{text}Z").parse().unwrap()
}

/// The last words of the pod that is gone, and a stranger's.
fn last_words() -> Vec<Line> {
    let mut lines = Vec::new();
    for minute in 0..50 {
        let time = at(&format!("11:{minute:02}:00"));
        lines.push(Line { pod: GONE, time, text: format!("INFO served {minute} requests") });
        if minute >= 45 {
            let text = "ERROR dial tcp back:80: connect: connection refused".to_owned();
            lines.push(Line { pod: GONE, time, text });
        }
        let text = "ERROR no space left on device".to_owned();
        lines.push(Line { pod: "web-admin-7d9c8f7b6-k4m2p", time, text });
    }
    lines
}

/// Deployment `web` whose one pod of today began at 11:52 and is well; its log begins then. Its
/// StatefulSet `db` is older than its log, which begins at 11:40.
fn recorded(dir: &TempDir, faults: &serde_json::Value) -> Recording {
    let meta = |kind: &str, name: &str, created: &str, owner: &str| {
        json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop",
            "labels": {"app": name}, "creationTimestamp": created, "ownerReferences":
            if owner.is_empty() { json!([]) } else {
                json!([{"kind": owner.split('/').next(), "name": owner.split('/').nth(1), "controller": true}])
            }}, "spec": {"containers": [{"name": "app"}], "selector": {"app": name}}})
    };
    let pod = |name: &str, began: &str, owner: &str| {
        let mut pod = meta("Pod", name, began, owner);
        pod["status"] = json!({"containerStatuses": [{"name": "app", "ready": true,
            "restartCount": 0, "state": {"running": {"startedAt": began}}}]});
        pod
    };
    let old = "2025-01-01T00:00:00Z";
    let objects = [
        meta("Deployment", "web", old, ""),
        meta("ReplicaSet", "web-5d89f7c6b4", old, "Deployment/web"),
        meta("StatefulSet", "db", old, ""),
        meta("Service", "back", old, ""),
        pod("web-5d89f7c6b4-9kwtm", "2025-01-02T11:52:00Z", "ReplicaSet/web-5d89f7c6b4"),
        pod("db-0", old, "StatefulSet/db"),
    ];
    let mut logs = [String::new(), String::new()];
    for minute in 40..60 {
        if minute >= 52 {
            writeln!(logs[0], "2025-01-02T11:{minute}:01Z INFO served {minute} requests").unwrap();
        }
        writeln!(logs[1], "2025-01-02T11:{minute}:00Z INFO checkpoint {minute} complete").unwrap();
    }
    let [web, db] = logs;
    let recording = Recording::write(dir.path(), NOW, &objects).unwrap();
    let about = json!({"taken_at": NOW, "source_faults": faults}).to_string();
    fs::write(dir.path().join("snapshot.json"), about).unwrap();
    let recording = recording.file("logs/shop/web-5d89f7c6b4-9kwtm/app.log", web).unwrap();
    recording.file("logs/shop/db-0/app.log", db).unwrap()
}

fn loki(server: &StandIn) -> Settings {
    let loki = Loki { url: Some(server.url.clone()), ..Loki::default() };
    Settings { loki, ..Settings::default() }
}

fn elasticsearch(server: &StandIn) -> Settings {
    let elasticsearch = Elasticsearch { url: Some(server.url.clone()), ..Elasticsearch::default() };
    Settings { elasticsearch, ..Settings::default() }
}

fn bounds() -> Bounds {
    Bounds { request: Duration::from_millis(600), call: Duration::from_secs(6), ..BOUNDS }
}

async fn plugin(settings: &Settings, faults: &serde_json::Value) -> (TempDir, Harness) {
    plugin_http::prepare();
    let dir = tempfile::tempdir().unwrap();
    let cluster = recorded(&dir, faults).open().unwrap();
    let store = Store::bounded(settings, bounds(), || NOW.parse().unwrap()).unwrap().map(Arc::new);
    (dir, Harness::new(plugin_logs::beside(&cluster, store)).await.unwrap())
}

async fn asked(settings: &Settings, service: &str, faults: &serde_json::Value) -> CallResult {
    let (_dir, harness) = plugin(settings, faults).await;
    let ask = json!({"namespace": "shop", "service": service});
    harness.call("find_error_patterns", ask).await.result().unwrap().clone()
}

fn reasons(result: &CallResult) -> Vec<String> {
    let reasons = result.gaps.iter().filter_map(|gap| gap.failure.as_ref());
    reasons.map(|failure| failure.reason.clone()).collect()
}

fn told_of_the_gone(result: &CallResult) {
    let refused = result.observations.iter().find(|o| o.signal == "log.connection_refused");
    assert!(refused.is_some(), "{:?}", result.observations);
    let refused = refused.unwrap();
    let subject = refused.subject.as_ref().unwrap();
    assert_eq!((subject.name.as_str(), subject.container.as_str()), (GONE, "app"));
    assert_eq!(refused.peer.as_ref().unwrap().name, "back");
    assert_eq!(refused.start_time.unwrap().seconds, at("11:45:00").as_second());
    assert_eq!(refused.count, 5);
    let owned = result.relations.iter().any(|r| {
        r.from.as_ref().is_some_and(|e| e.name == GONE)
            && r.to.as_ref().is_some_and(|e| e.kind == "Deployment" && e.name == "web")
    });
    assert!(owned, "the pod is told to be the Deployment's: {:?}", result.relations);
    let stranger = result.observations.iter().any(|o| o.signal == "log.no_space");
    assert!(!stranger, "another workload's pod was taken for one of ours");
    assert_eq!(reasons(result), Vec::<String>::new());
}

#[tokio::test]
async fn the_last_words_of_a_pod_that_is_gone_are_told_from_loki() {
    let lines = last_words();
    let server = StandIn::serve(move |raw, _| stand_in::loki(raw, &lines)).await;
    let result = asked(&loki(&server), "web", &json!([])).await;
    told_of_the_gone(&result);
    let json: serde_json::Value = serde_json::from_str(&result.result_json).unwrap();
    assert_eq!(json["store"]["store"], "Loki");
    assert_eq!(json["store"]["requests"], server.count());
    assert!(server.count() <= 3, "{} requests", server.count());
    assert!(server.heard(r#"{namespace="shop",pod=~"web-.+"}"#));
}

#[tokio::test]
async fn the_last_words_of_a_pod_that_is_gone_are_told_from_elasticsearch() {
    let lines = last_words();
    let server = StandIn::serve(move |raw, _| stand_in::elasticsearch(raw, &lines)).await;
    told_of_the_gone(&asked(&elasticsearch(&server), "web", &json!([])).await);
    assert!(server.heard("POST /logs-*,filebeat-*,fluent-bit*,logstash-*/_search"));
}

/// The store has all that `db-0` logged since eleven, the part that the API server has as well.
fn rotated() -> Vec<Line> {
    let line = |minute: usize| {
        let text = if minute < 40 {
            "ERROR could not write to file: No space left on device".to_owned()
        } else {
            format!("INFO checkpoint {minute} complete")
        };
        Line { pod: "db-0", time: at(&format!("11:{minute:02}:00")), text }
    };
    (0..60).map(line).collect()
}

#[tokio::test]
async fn what_was_rotated_away_is_added_before_the_first_line_and_none_comes_twice() {
    let lines = rotated();
    let server = StandIn::serve(move |raw, _| stand_in::loki(raw, &lines)).await;
    let result = asked(&loki(&server), "db", &json!([])).await;
    let full = result.observations.iter().find(|o| o.signal == "log.no_space").unwrap();
    assert_eq!(full.count, 40);
    let json: serde_json::Value = serde_json::from_str(&result.result_json).unwrap();
    assert_eq!((&json["lines"], &json["store"]["lines"]), (&json!(60), &json!(40)));
}

#[tokio::test]
async fn a_log_that_the_api_server_refuses_is_read_from_the_store_and_is_no_gap_then() {
    let faults = json!([{"target": "logs", "status": 403, "message": "forbidden"}]);
    let lines = rotated();
    let server = StandIn::serve(move |raw, _| stand_in::loki(raw, &lines)).await;
    let result = asked(&loki(&server), "db", &faults).await;
    assert!(result.observations.iter().any(|o| o.signal == "log.no_space"));
    assert_eq!(reasons(&result), Vec::<String>::new());
    let none = StandIn::serve(|raw, _| stand_in::loki(raw, &[])).await;
    let result = asked(&loki(&none), "db", &faults).await;
    assert_eq!(reasons(&result), ["FORBIDDEN"], "who has nothing closes no gap");
}

#[tokio::test]
async fn the_lines_of_a_pod_that_is_gone_can_be_read() {
    let lines = last_words();
    let server = StandIn::serve(move |raw, _| stand_in::loki(raw, &lines)).await;
    let (_dir, harness) = plugin(&loki(&server), &json!([])).await;
    let ask = json!({"namespace": "shop", "pod": GONE, "tail_lines": 3});
    let answer = harness.call("get_logs", ask).await.json();
    assert_eq!(answer["container"], "app");
    let lines = answer["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[2].as_str().unwrap().contains("INFO served 49")
            || lines[2].as_str().unwrap().contains("refused")
    );
    let ask = json!({"namespace": "shop", "pod": "web-nobody"});
    assert_eq!(harness.call("get_logs", ask).await.failure().unwrap().reason, "NOT_FOUND");
}

#[tokio::test]
async fn every_fault_of_a_store_is_a_named_gap_and_costs_nothing_else() {
    let text = |status, body: &str| Reply::Status(status, "", body.to_owned());
    let table = [
        ("500", text(500, "boom"), "LOKI_FAILED"),
        ("502 of a proxy", text(502, "<html>bad gateway</html>"), "LOKI_FAILED"),
        ("401", text(401, "no org id"), "LOKI_FORBIDDEN"),
        ("403", text(403, ""), "LOKI_FORBIDDEN"),
        ("404", text(404, "404 page not found"), "LOKI_NOT_THERE"),
        ("login page", text(200, "<!doctype html><p>Sign in"), "LOKI_NOT_JSON"),
        ("other JSON", text(200, "[1]"), "LOKI_NOT_JSON"),
        ("gave up", text(400, "context deadline exceeded"), "LOKI_TIMEOUT"),
        (
            "busy",
            Reply::Status(429, "retry-after: 60\r\n", "too many outstanding requests".to_owned()),
            "LOKI_BUSY",
        ),
        (
            "elsewhere",
            Reply::Status(302, "location: http://login/\r\n", String::new()),
            "LOKI_ELSEWHERE",
        ),
        ("silence", Reply::Silence, "LOKI_TIMEOUT"),
        ("half an answer", Reply::HeadOnly, "LOKI_TIMEOUT"),
        ("closed", Reply::Closed, "LOKI_UNREACHABLE"),
        ("cut off", Reply::Cut(9, r#"{"status":"success"}"#.to_owned()), "LOKI_TRUNCATED"),
    ];
    for (what, reply, reason) in table {
        let server = StandIn::serve(move |_, _| reply.clone()).await;
        let result = asked(&loki(&server), "web", &json!([])).await;
        assert_eq!(reasons(&result), [reason], "{what}");
        assert!(result.observations.iter().any(|o| o.signal == "log.quiet"), "{what}");
        assert!(server.count() <= 3, "{what}: asked {} times", server.count());
    }
}

#[tokio::test]
async fn who_may_not_ask_is_told_what_is_needed() {
    let server = StandIn::serve(|_, _| Reply::Status(401, "", "no org id".to_owned())).await;
    let result = asked(&loki(&server), "web", &json!([])).await;
    let failure = result.gaps[0].failure.as_ref().unwrap();
    assert_eq!(FailureClass::try_from(failure.failure_class).unwrap(), FailureClass::Permission);
    assert!(failure.message.contains("--loki-tenant"), "{}", failure.message);
    assert_eq!(failure.metadata["permission"], "loki:query");
    let says = r#"{"error":{"root_cause":[{"type":"security_exception","reason":"action [indices:data/read/search] is unauthorized"}]},"status":403}"#;
    let server = StandIn::serve(move |_, _| Reply::Status(403, "", says.to_owned())).await;
    let result = asked(&elasticsearch(&server), "web", &json!([])).await;
    let failure = result.gaps[0].failure.as_ref().unwrap();
    assert_eq!(failure.metadata["permission"], "elasticsearch:read");
    assert!(
        failure.message.contains("is unauthorized; needs the index privileges read"),
        "{}",
        failure.message
    );
}

#[tokio::test]
async fn an_answer_in_part_is_used_and_told() {
    let lines = last_words();
    let server = StandIn::serve(move |raw, _| {
        let Reply::Well(body) = stand_in::elasticsearch(raw, &lines) else { return Reply::Closed };
        Reply::Well(body.replace(
            r#""failed":0"#,
            r#""failed":1,"failures":[{"reason":{"type":"x","reason":"shard is away"}}]"#,
        ))
    })
    .await;
    let result = asked(&elasticsearch(&server), "web", &json!([])).await;
    assert!(result.observations.iter().any(|o| o.signal == "log.connection_refused"));
    assert_eq!(reasons(&result), ["ELASTICSEARCH_PARTIAL"]);
    assert!(result.gaps[0].failure.as_ref().unwrap().message.contains("shard is away"));
}

#[tokio::test]
async fn an_answer_without_end_is_left_at_its_bound() {
    let server = StandIn::serve(|_, _| Reply::Endless).await;
    let result = asked(&loki(&server), "web", &json!([])).await;
    let reasons = reasons(&result);
    assert!(["LOKI_TOO_MUCH", "LOKI_TIMEOUT"].contains(&reasons[0].as_str()), "{reasons:?}");
}

#[tokio::test]
async fn secrets_and_tenant_are_sent_and_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    fs::write(&file, "t0psecret\n").unwrap();
    let server =
        StandIn::serve(|_, _| Reply::Status(403, "", "not with t0psecret".to_owned())).await;
    let mut settings = loki(&server);
    settings.loki.token_file = Some(file);
    settings.loki.tenant = Some("team-a".to_owned());
    let shown = format!("{:?}", asked(&settings, "web", &json!([])).await);
    assert!(server.heard("authorization: Bearer t0psecret"));
    assert!(server.heard("x-scope-orgid: team-a"));
    assert!(!shown.contains("t0psecret"), "{shown}");
}

#[tokio::test]
async fn check_access_tells_whether_the_store_answers_and_by_which_names() {
    let server = StandIn::serve(|raw, _| stand_in::loki(raw, &[])).await;
    let (_dir, harness) = plugin(&loki(&server), &json!([])).await;
    let answer = harness.call("check_access", json!({"namespace": "shop"})).await.json();
    let found = answer["found"][0].as_str().unwrap();
    assert!(found.ends_with("tells pods apart by namespace, pod, container"), "{found}");
    let rights = answer["permissions"].as_array().unwrap();
    assert!(rights.iter().any(|r| r["permission"] == "loki:query" && r["allowed"] == "yes"));
    assert_eq!(answer["blind"], json!([]));
    let down = StandIn::serve(|_, _| Reply::Closed).await;
    let (_dir, harness) = plugin(&loki(&down), &json!([])).await;
    let answer = harness.call("check_access", json!({})).await.json();
    assert!(answer["blind"][0].as_str().unwrap().contains("Loki cannot be reached"), "{answer}");
}

#[test]
fn two_stores_at_once_are_refused() {
    plugin_http::prepare();
    let mut settings = Settings::default();
    settings.loki.url = Some("http://a".to_owned());
    settings.elasticsearch.url = Some("http://b".to_owned());
    let refused = Store::of(&settings, || NOW.parse().unwrap()).unwrap_err();
    assert_eq!(refused.class, agent_sdk::FailureClass::Config);
}
