//! Logs that live elsewhere: entries that shippers wrote into a real OpenSearch, read by the
//! plugin as its command line names it. Of pods that are gone only the store knows.

use std::{fs, path::Path, process::Command};

use agent_proto::tool::v1::{CallResult, Observation};
use agent_tests::{build, fleet::Fleet, opensearch::OpenSearch};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A pod of Deployment `web` that is gone.
const GONE: &str = "web-5d89f7c6b4-x2lqz";
/// A pod of another workload that begins alike.
const STRANGER: &str = "web-admin-7d9c8f7b6-k4m2p";

fn minutes_ago(now: Timestamp, minutes: i64) -> String {
    now.saturating_sub(SignedDuration::from_mins(minutes)).unwrap().to_string()
}

/// Deployment `web` with one pod that began eight minutes ago and is well.
fn snapshot(now: Timestamp) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let (old, began) = (minutes_ago(now, 600), minutes_ago(now, 8));
    let object = |kind: &str, name: &str, created: &str, owner: Value| {
        json!({"apiVersion": "v1", "kind": kind,
            "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"},
                "creationTimestamp": created, "ownerReferences": owner},
            "spec": {"containers": [{"name": "app"}], "selector": {"app": "web"}}})
    };
    let owned = |kind: &str, name: &str| json!([{"kind": kind, "name": name, "controller": true}]);
    let mut pod =
        object("Pod", "web-5d89f7c6b4-9kwtm", &began, owned("ReplicaSet", "web-5d89f7c6b4"));
    pod["status"] = json!({"containerStatuses": [{"name": "app", "ready": true, "restartCount": 0,
        "state": {"running": {"startedAt": began}}}]});
    let objects = [
        object("Deployment", "web", &old, json!([])),
        object("ReplicaSet", "web-5d89f7c6b4", &old, owned("Deployment", "web")),
        pod,
    ];
    let write = |path: &str, text: String| {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("snapshot.json", json!({"taken_at": now.to_string()}).to_string());
    write("kube/all.json", json!({"kind": "List", "items": objects}).to_string());
    let line = format!("{} INFO serving\n", minutes_ago(now, 7));
    write("logs/shop/web-5d89f7c6b4-9kwtm/app.log", line);
    dir
}

/// The last words of the pod that is gone and of a stranger: time, pod and text.
fn last_words(now: Timestamp) -> Vec<(String, &'static str, String)> {
    let mut lines = Vec::new();
    for minute in 10..50 {
        let time = minutes_ago(now, minute);
        for request in 0..6 {
            lines.push((time.clone(), GONE, format!("INFO served request {request} of {minute}")));
        }
        lines.push((time.clone(), STRANGER, "ERROR no space left on device".to_owned()));
        if minute < 15 {
            let text = "ERROR dial tcp back:80: connect: connection refused";
            lines.push((time, GONE, text.to_owned()));
        }
    }
    lines
}

/// An entry as Filebeat writes it.
fn of_filebeat((time, pod, text): &(String, &str, String)) -> Value {
    json!({"@timestamp": time, "message": text, "stream": "stderr",
        "kubernetes": {"namespace": "shop", "pod": {"name": pod}, "container": {"name": "app"}}})
}

/// An entry as Fluent Bit writes it, into an index that nobody made a mapping for.
fn of_fluent_bit((time, pod, text): &(String, &str, String)) -> Value {
    json!({"@timestamp": time, "log": format!("{text}\n"), "stream": "stderr",
        "kubernetes": {"namespace_name": "shop", "pod_name": pod, "container_name": "app"}})
}

async fn asked(snapshot: &Path, server: &OpenSearch, index: &str) -> CallResult {
    let mut fleet = Fleet::start("").await.unwrap();
    let mut plugin = Command::new(build::programs().unwrap().join("plugin-logs"));
    plugin.arg("--snapshot").arg(snapshot);
    plugin.args(["--elasticsearch-url", &server.url(), "--elasticsearch-index", index]);
    fleet.start_stranger("logs", plugin).unwrap();
    fleet.ready(&["logs"]).await.unwrap();
    let ask = json!({"namespace": "shop", "service": "web"});
    let answer = fleet.client().unwrap().call_tool("logs.find_error_patterns", &ask).await.unwrap();
    answer.result.unwrap_or_else(|| panic!("{:?}", answer.failure))
}

fn refused(result: &CallResult) -> &Observation {
    let found = result.observations.iter().find(|o| o.signal == "log.connection_refused");
    found.unwrap_or_else(|| panic!("{:?} {:?}", result.observations, result.gaps))
}

fn reasons(result: &CallResult) -> Vec<&str> {
    let reasons = result.gaps.iter().filter_map(|gap| gap.failure.as_ref());
    reasons.map(|failure| failure.reason.as_str()).collect()
}

#[tokio::test]
async fn the_last_words_of_a_pod_that_is_gone_are_read_from_a_real_opensearch() {
    let Some(server) = OpenSearch::start().await.unwrap() else { return };
    let now = Timestamp::now();
    let snapshot = snapshot(now);
    let word = json!({"type": "keyword"});
    let mapping = json!({
        "@timestamp": {"type": "date"}, "message": {"type": "match_only_text"},
        "kubernetes": {"properties": {"namespace": word, "pod": {"properties": {"name": word}},
            "container": {"properties": {"name": word}}}},
    });
    // A window smaller than a page: it is asked for anew in smaller ones.
    let small = json!({"index": {"max_result_window": 150, "number_of_replicas": 0}});
    server.index("filebeat-8.15.0", small, mapping).await.unwrap();
    let words = last_words(now);
    let entries: Vec<Value> = words.iter().map(of_filebeat).collect();
    server.ship("filebeat-8.15.0", &entries).await.unwrap();
    let entries: Vec<Value> = words.iter().map(of_fluent_bit).collect();
    server.ship("fluent-bit", &entries).await.unwrap();

    for index in ["filebeat-*", "fluent-bit"] {
        let result = asked(snapshot.path(), &server, index).await;
        let refused = refused(&result);
        let subject = refused.subject.clone().unwrap();
        assert_eq!((subject.name.as_str(), subject.container.as_str()), (GONE, "app"), "{index}");
        assert_eq!(refused.count, 5, "{index}");
        assert!(!result.observations.iter().any(|o| o.signal == "log.no_space"), "a stranger's");
        assert_eq!(reasons(&result), Vec::<&str>::new(), "{index}");
    }

    let result = asked(snapshot.path(), &server, "nowhere-*").await;
    let said: Vec<_> = result.gaps.iter().filter_map(|gap| gap.failure.as_ref()).collect();
    assert!(said.iter().any(|failure| failure.message.contains("nowhere-*")), "{said:?}");
}
