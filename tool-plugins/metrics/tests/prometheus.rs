//! What only a real Prometheus can show: that it takes the PromQL that is made, that folding and
//! halving give the same facts, that other namespaces cost nothing, that it reaches back a week.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

#[path = "servers/real.rs"]
mod real;

use std::{fmt::Write as _, path::Path, sync::Arc};

use agent_sdk::{kit::Harness, wire::CallResult};
use plugin_cluster::kit;
use plugin_metrics::{live::settings::Settings, recording::Recording};
use real::Prometheus;
use serde_json::{Value, json};
use tempfile::TempDir;

/// 2025-01-02T11:00:00Z.
const END: i64 = 1_735_815_600;
const NOW: &str = "2025-01-02T11:00:00Z";

/// A dump under construction; families must stand together.
#[derive(Default)]
struct Dump(String);

impl Dump {
    fn family(mut self, name: &str, kind: &str) -> Self {
        writeln!(self.0, "# TYPE {name} {kind}").unwrap();
        self
    }

    /// A sample each `step` seconds of the last `span` seconds; `None`: none then.
    fn series(
        mut self,
        series: &str,
        (span, step): (i64, i64),
        value: impl Fn(i64) -> Option<f64>,
    ) -> Self {
        for index in 0..=span / step {
            let at = END - span + index * step;
            if let Some(value) = value(at) {
                writeln!(self.0, "{series} {value} {at}").unwrap();
            }
        }
        self
    }

    fn end(self) -> String {
        self.0 + "# EOF\n"
    }
}

fn noise(at: i64) -> f64 {
    1.0 + 0.01 * f64::from(i32::try_from(at / 30 % 5).unwrap())
}

fn count(value: i64) -> f64 {
    f64::from(i32::try_from(value).unwrap())
}

fn snapshot(dir: &Path, metrics: Option<&str>) {
    let object = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": "shop"}, "spec": {"selector": {"app": name}}})
    };
    let objects = [object("front"), object("back")];
    let recorded = kit::Recording::write(dir, NOW, &objects).unwrap();
    if let Some(metrics) = metrics {
        recorded.file("metrics.om", metrics).unwrap();
    }
}

async fn live(text: &str, more: &[&str]) -> (TempDir, Prometheus, Harness) {
    let dir = tempfile::tempdir().unwrap();
    snapshot(dir.path(), None);
    let prometheus = Prometheus::start(text, more).await;
    let harness = real::over(dir.path(), &prometheus.url).await;
    (dir, prometheus, harness)
}

async fn recorded(text: &str) -> (TempDir, Harness) {
    let dir = tempfile::tempdir().unwrap();
    snapshot(dir.path(), Some(text));
    let cluster = plugin_cluster::kit::open(dir.path()).unwrap();
    let recording = Arc::new(Recording::new(cluster));
    let harness = Harness::new(plugin_metrics::plugin(&recording)).await.unwrap();
    (dir, harness)
}

async fn told(harness: &Harness, tool: &str, arguments: Value) -> CallResult {
    let outcome = harness.call(tool, arguments.clone()).await;
    outcome.result().unwrap_or_else(|f| panic!("{tool} {arguments}: {f}")).clone()
}

fn facts(result: &CallResult) -> Vec<String> {
    let mut facts: Vec<String> = result.observations.iter().map(|o| o.statement.clone()).collect();
    facts.sort();
    facts
}

fn json_of(result: &CallResult) -> Value {
    serde_json::from_str(&result.result_json).unwrap()
}

/// Requests of `front` in many series: by pod and path; a third fails for the last half hour.
fn many(namespaces: &[&str], pods: i64) -> String {
    let mut dump = Dump::default().family("http_requests", "counter");
    for namespace in namespaces {
        for pod in 0..pods {
            for path in ["/a", "/b", "/c", "/d", "/e", "/f"] {
                for code in ["200", "503"] {
                    let series = format!(
                        r#"http_requests_total{{namespace="{namespace}",service="front",pod="front-{pod}",path="{path}",code="{code}"}}"#
                    );
                    let late = |at: i64| (at - (END - 1800)).max(0);
                    dump = dump.series(&series, (5400, 15), |at| {
                        let since = at - (END - 5400);
                        let failed = late(at);
                        Some(count(if code == "503" { failed } else { 3 * since - failed }))
                    });
                }
            }
        }
    }
    dump.end()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_folded_on_the_server_gives_the_same_facts() {
    if !real::is_there("folding on a real Prometheus") {
        return;
    }
    // 480 series, 173,000 samples of one metric: more than is moved as it is.
    let text = many(&["shop"], 40);
    let ask = json!({"namespace": "shop", "service": "front"});
    let (_dir, file) = recorded(&text).await;
    let (_dir, _prometheus, harness) = live(&text, &[]).await;
    let (expected, found) =
        (told(&file, "get_metrics", ask.clone()).await, told(&harness, "get_metrics", ask).await);
    let asked = json_of(&found)["prometheus"].clone();
    println!("folded: {asked}");
    assert!(asked["series"].as_u64().unwrap() <= 4, "{asked}");
    let errors = |r: &CallResult| {
        let fact = r.observations.iter().find(|o| o.signal == "service.error_ratio_high").unwrap();
        (fact.value.unwrap(), fact.start_time.unwrap().seconds)
    };
    let ((a, from), (b, since)) = (errors(&expected), errors(&found));
    assert!((a - b).abs() < 0.01 && (from - since).abs() <= 60, "{a} {b} {from} {since}");
    let signals = |r: &CallResult| {
        let mut all: Vec<String> = r.observations.iter().map(|o| o.signal.clone()).collect();
        all.sort();
        all
    };
    assert_eq!(signals(&expected), signals(&found));
}

#[tokio::test(flavor = "multi_thread")]
async fn other_namespaces_cost_no_request_and_no_sample() {
    if !real::is_there("independence of other namespaces on a real Prometheus") {
        return;
    }
    let ask = json!({"namespace": "shop", "service": "front"});
    let (_one, _prometheus, alone) = live(&many(&["shop"], 2), &[]).await;
    let alone = told(&alone, "get_metrics", ask.clone()).await;
    let others = ["shop", "bank", "farm", "mill", "port", "yard"];
    let (_two, _prometheus, crowded) = live(&many(&others, 2), &[]).await;
    let crowded = told(&crowded, "get_metrics", ask).await;
    println!("alone {} crowded {}", json_of(&alone)["prometheus"], json_of(&crowded)["prometheus"]);
    assert_eq!(json_of(&alone)["prometheus"], json_of(&crowded)["prometheus"]);
    assert_eq!(facts(&alone), facts(&crowded));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_loads_few_samples_at_once_is_asked_for_less() {
    if !real::is_there("limits of a real Prometheus") {
        return;
    }
    let text = many(&["shop"], 6);
    let more = ["--query.max-samples=20000"];
    let (_dir, _prometheus, harness) = live(&text, &more).await;
    let found =
        told(&harness, "get_metrics", json!({"namespace": "shop", "service": "front"})).await;
    let gaps: Vec<&str> = found.gaps.iter().map(|gap| gap.subject.as_str()).collect();
    assert!(found.observations.iter().any(|o| o.signal == "service.error_ratio_high"), "{gaps:?}");
    assert_eq!(gaps, ["http_requests_total before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_at_the_same_hour_each_day_is_no_anomaly_and_a_step_is() {
    if !real::is_there("seasons on a real Prometheus") {
        return;
    }
    let days = |n: i64| (n * 86_400, 60);
    let hour = |at: i64| at % 86_400 / 3600;
    let text = Dump::default()
        .family("backup_running", "gauge")
        .series(r#"backup_running{namespace="shop",service="back"}"#, days(2), |at| {
            Some(if hour(at) == 10 { 40.0 } else { 4.0 } * noise(at))
        })
        .family("weekly_load", "gauge")
        .series(r#"weekly_load{namespace="shop",service="back"}"#, days(8), |at| {
            Some(if (END - at) % (7 * 86_400) < 3600 { 90.0 } else { 9.0 } * noise(at))
        })
        .family("queue_messages", "gauge")
        .series(r#"queue_messages{namespace="shop",service="back"}"#, days(2), |at| {
            Some(if END - at < 2400 { 500.0 } else { 20.0 } * noise(at))
        })
        .family("restarted_requests", "counter")
        .series(r#"restarted_requests_total{namespace="shop",service="back"}"#, days(1), |at| {
            // A counter that began anew half an hour ago.
            let since = if END - at <= 1800 { at - (END - 1800) } else { at - (END - 90_000) };
            Some(count(10 * since))
        })
        .family("patchy_level", "gauge")
        .series(r#"patchy_level{namespace="shop",service="back"}"#, days(1), |at| {
            let away = (1200..2700).contains(&(END - at));
            (!away).then(|| 70.0 * noise(at))
        })
        .end();
    let (_dir, _prometheus, harness) = live(&text, &[]).await;
    let found = told(&harness, "find_anomalies", json!({"namespace": "shop"})).await;
    let metrics: Vec<&str> =
        found.observations.iter().map(|o| o.attributes["metric"].as_str()).collect();
    let json = json_of(&found);
    println!("{json:#}");
    assert_eq!(metrics, ["queue_messages"], "{:?}", facts(&found));
    let usual = json["usual"].as_array().unwrap();
    assert!(usual.iter().any(|u| u.as_str().unwrap().contains("backup_running")));
    assert!(usual.iter().any(|u| u.as_str().unwrap().contains("the week before")), "{usual:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_is_taken_as_text_and_questions_mean_what_they_mean_here() {
    if !real::is_there("PromQL on a real Prometheus") {
        return;
    }
    let hostile = "x\"} or {__name__=~\".+\n\\\u{7}\u{0}é日";
    let text = many(&["shop"], 2);
    let (_file_dir, file) = recorded(&text).await;
    let (_dir, _prometheus, harness) = live(&text, &[]).await;
    for tool in ["get_metrics", "find_anomalies"] {
        let outcome = harness.call(tool, json!({"namespace": hostile})).await;
        assert_eq!(outcome.failure().unwrap().reason, "NO_METRICS", "{tool}");
    }
    let labels = json!({"service": hostile});
    let none =
        told(&harness, "query", json!({"metric": "http_requests_total", "labels": labels})).await;
    assert_eq!(json_of(&none)["series"], json!([]));
    for arguments in [
        json!({"metric": "http_requests_total", "by": ["code"]}),
        json!({"metric": "http_requests_total", "by": ["pod"], "fold": "max", "function": "increase"}),
        json!({"metric": "http_requests_total", "labels": {"path": "/a"}, "function": "as_is", "minutes": 30}),
        json!({"metric": "http_requests_total", "function": "average", "by": ["path"], "fold": "average"}),
    ] {
        let (a, b) = (
            json_of(&told(&file, "query", arguments.clone()).await),
            json_of(&told(&harness, "query", arguments.clone()).await),
        );
        assert_eq!(a["expression"], b["expression"]);
        let (a, b) = (a["series"].as_array().unwrap(), b["series"].as_array().unwrap());
        assert_eq!(a.len(), b.len(), "{arguments}");
        for (a, b) in a.iter().zip(b) {
            assert_eq!(a["labels"], b["labels"], "{arguments}");
            let pairs = a["values"].as_array().unwrap().iter().zip(b["values"].as_array().unwrap());
            for (a, b) in pairs {
                let (a, b) = (a.as_f64().unwrap_or(-1.0), b.as_f64().unwrap_or(-1.0));
                assert!((a - b).abs() <= 0.1 * a.abs().max(b.abs()), "{arguments}: {a} {b}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_cross_namespaces_are_edges_and_their_ends_are_looked_at() {
    if !real::is_there("calls between namespaces on a real Prometheus") {
        return;
    }
    let counter = |by: i64| move |at: i64| Some(count(by * (at - (END - 5400))));
    let every = (5400, 30);
    let text = Dump::default()
        .family("http_client_requests", "counter")
        .series(
            r#"http_client_requests_total{namespace="edge",service="gate",peer="front.shop.svc.cluster.local",code="200"}"#,
            every,
            counter(5),
        )
        .series(
            r#"http_client_requests_total{namespace="shop",service="front",peer="pay.bank",code="200"}"#,
            every,
            counter(5),
        )
        .family("http_requests", "counter")
        .series(r#"http_requests_total{namespace="shop",service="front",code="200"}"#, every, counter(5))
        .series(r#"http_requests_total{namespace="bank",service="pay",code="200"}"#, every, counter(5))
        .series(r#"http_requests_total{namespace="bank",service="vault",code="200"}"#, every, counter(9))
        .end();
    let dir = tempfile::tempdir().unwrap();
    let object = |namespace: &str, name: &str| {
        json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace}, "spec": {"selector": {"app": name}}})
    };
    let objects = [object("shop", "front"), object("edge", "gate"), object("bank", "pay")];
    kit::Recording::write(dir.path(), NOW, &objects).unwrap();
    let prometheus = Prometheus::start(&text, &[]).await;
    let harness = real::over(dir.path(), &prometheus.url).await;
    let found =
        told(&harness, "get_metrics", json!({"namespace": "shop", "service": "front"})).await;
    let name = |e: &Option<agent_sdk::wire::EntityRef>| e.as_ref().unwrap().name.clone();
    let edges: Vec<(String, String)> =
        found.relations.iter().map(|r| (name(&r.from), name(&r.to))).collect();
    let edge = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert!(
        edges.contains(&edge("gate", "front")) && edges.contains(&edge("front", "pay")),
        "{edges:?}"
    );
    let services: Vec<String> = found
        .observations
        .iter()
        .filter(|o| o.signal.starts_with("service."))
        .map(|o| name(&o.subject))
        .collect();
    assert!(services.contains(&"pay".to_owned()), "{services:?}");
    assert!(!services.contains(&"vault".to_owned()), "{services:?}");
    assert!(found.gaps.is_empty(), "{:?}", found.gaps);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_believed_when_it_is_named_and_not_else() {
    let keys = tempfile::tempdir().unwrap();
    if !real::is_there("TLS of a real Prometheus") || !real::certificates(keys.path()) {
        return;
    }
    let web = keys.path().join("web.yml");
    let tls = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";
    std::fs::write(&web, tls).unwrap();
    let config = format!("--web.config.file={}", web.display());
    let prometheus = Prometheus::start(&many(&["shop"], 1), &[&config]).await;
    let url = prometheus.url.replace("http://", "https://");
    let dir = tempfile::tempdir().unwrap();
    snapshot(dir.path(), None);
    let unknown = real::over(dir.path(), &url).await;
    let outcome = unknown.call("get_metrics", json!({"namespace": "shop"})).await;
    let failure = outcome.failure().unwrap();
    assert_eq!(failure.reason, "PROMETHEUS_UNREACHABLE");
    assert!(failure.message.contains("UnknownIssuer"), "{}", failure.message);
    let settings = Settings {
        url: Some(url),
        ca_file: Some(keys.path().join("ca.pem")),
        ..Settings::default()
    };
    let known = real::with(dir.path(), &settings).await;
    assert!(
        !told(&known, "get_metrics", json!({"namespace": "shop"})).await.observations.is_empty()
    );
}
