//! A small recorded cluster, asked over the wire as agentd asks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{fmt::Write as _, fs, path::Path, sync::Arc};

use agent_sdk::{kit::Harness, wire::Observation};
use plugin_cluster::Source;
use plugin_metrics::recording::Recording;
use serde_json::json;
use tempfile::TempDir;

const FROM: i64 = 1_735_812_000;

/// An hour at 30 s: from the fortieth minute on `front` answers 503 for a third of its requests,
/// as its calls to `back` fail; `scan` only has 404s; the memory of `front` fills its limit.
fn metrics() -> String {
    let mut text = String::from("# TYPE http_requests counter\n");
    let mut counters = [0_i64; 6];
    for step in 0..120 {
        let bad = step >= 80;
        let by = if bad { [200, 100, 200, 100, 100, 900] } else { [300, 0, 300, 0, 900, 10] };
        counters.iter_mut().zip(by).for_each(|(c, by)| *c += by);
        let [ok, failed, called, refused, fine, missing] = counters;
        let at = FROM + 30 * step;
        let row = |text: &mut String, series: &str, value: i64| {
            writeln!(text, "{series} {value} {at}").unwrap();
        };
        row(&mut text, r#"http_requests_total{namespace="shop",service="front",code="200"}"#, ok);
        row(
            &mut text,
            r#"http_requests_total{namespace="shop",service="front",code="503"}"#,
            failed,
        );
        let call = r#"http_client_requests_total{namespace="shop",service="front",peer="back""#;
        row(&mut text, &format!(r#"{call},code="200"}}"#), called);
        row(&mut text, &format!(r#"{call},code="503"}}"#), refused);
        row(&mut text, r#"http_requests_total{namespace="shop",service="scan",code="200"}"#, fine);
        row(
            &mut text,
            r#"http_requests_total{namespace="shop",service="scan",code="404"}"#,
            missing,
        );
        let place = r#"{namespace="shop",pod="front-0",container="app""#;
        let used = 500 + i64::from(bad) * 460;
        row(&mut text, &format!("container_memory_working_set_bytes{place}}}"), used);
        row(
            &mut text,
            &format!(r#"kube_pod_container_resource_limits{place},resource="memory"}}"#),
            1000,
        );
        row(&mut text, r#"queue_messages_ready{namespace="shop",service="broker"}"#, 5 + step * 40);
    }
    text + "# EOF\n"
}

fn recorded(dir: &Path, metrics: Option<&str>) {
    let kube = dir.join("kube");
    fs::create_dir_all(&kube).unwrap();
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": name}}})
    };
    fs::write(kube.join("service.json"), json!([service("front"), service("back")]).to_string())
        .unwrap();
    fs::write(dir.join("snapshot.json"), r#"{"taken_at":"2025-01-02T11:00:00Z"}"#).unwrap();
    if let Some(metrics) = metrics {
        fs::write(dir.join("metrics.om"), metrics).unwrap();
    }
}

async fn harness(metrics: Option<&str>) -> (TempDir, Harness) {
    let dir = tempfile::tempdir().unwrap();
    recorded(dir.path(), metrics);
    let cluster = Source::recorded(dir.path().to_owned()).open().await.unwrap();
    let recording = Arc::new(Recording::new(cluster));
    let harness = Harness::new(plugin_metrics::plugin(&recording)).await.unwrap();
    (dir, harness)
}

fn about<'a>(facts: &'a [Observation], signal: &str, name: &str) -> Option<&'a Observation> {
    facts.iter().find(|f| f.signal == signal && f.subject.as_ref().is_some_and(|s| s.name == name))
}

#[tokio::test]
async fn harm_and_health_are_told_with_values_and_onset() {
    let (_dir, harness) = harness(Some(&metrics())).await;
    let outcome =
        harness.call("get_metrics", json!({"namespace": "shop", "service": "front"})).await;
    let result = outcome.result().unwrap();
    let facts = &result.observations;
    let failing = about(facts, "service.error_ratio_high", "front").unwrap();
    assert!((failing.value.unwrap() - 0.33).abs() < 0.03, "{:?}", failing.value);
    let start = failing.start_time.unwrap().seconds;
    assert!((start - (FROM + 80 * 30)).abs() <= 60, "{start}");
    assert_eq!(failing.attributes["codes"], "503");
    let called = about(facts, "dependency.failing", "back").unwrap();
    assert_eq!(called.peer.as_ref().unwrap().name, "front");
    assert!(about(facts, "container.memory_near_limit", "front-0").is_some());
    // Callers asking for what is not there are no fault of the service.
    assert!(about(facts, "service.client_errors_high", "scan").is_some());
    assert!(about(facts, "service.error_ratio_normal", "scan").is_some());
    assert!(about(facts, "service.error_ratio_high", "scan").is_none());
    assert_eq!(result.relations.len(), 1, "front calls back");
}

#[tokio::test]
async fn any_series_that_drifts_is_found() {
    let (_dir, harness) = harness(Some(&metrics())).await;
    let outcome = harness.call("find_anomalies", json!({"namespace": "shop"})).await;
    let facts = &outcome.result().unwrap().observations;
    let queue = about(facts, "metric.shifted", "broker").unwrap();
    assert_eq!(queue.attributes["metric"], "queue_messages_ready");
    assert_eq!(queue.attributes["direction"], "up");
}

#[tokio::test]
async fn what_cannot_be_read_is_a_gap_and_no_metrics_is_a_clear_failure() {
    let torn = metrics().replace("# EOF\n", "http_requests_total{namespace 1 2\n");
    let (_dir, whole) = harness(Some(&torn)).await;
    let outcome = whole.call("get_metrics", json!({"namespace": "shop"})).await;
    let gaps = &outcome.result().unwrap().gaps;
    assert_eq!(gaps.len(), 2, "one bad line, and no end");
    let (_dir, none) = harness(None).await;
    let outcome = none.call("get_metrics", json!({"namespace": "shop"})).await;
    assert_eq!(outcome.failure().unwrap().reason, "NO_METRICS");
}
