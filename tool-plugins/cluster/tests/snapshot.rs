//! What a recording may look like, and what is said of one that is broken.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::{fs, io::Read, io::Write, path::Path};

use agent_sdk::FailureClass;
use plugin_cluster::{Cluster, Kind, LogFile, Span, kit};
use serde_json::{Value, json};
use tempfile::TempDir;

fn write(dir: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn gz(text: &str) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap()
}

fn open(dir: &TempDir) -> Cluster {
    kit::open(dir.path()).unwrap()
}

fn fails(dir: &TempDir) -> String {
    kit::open(dir.path()).unwrap_err().message
}

fn pod(name: &str, started: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name, "namespace": "shop"},
        "status": {"containerStatuses": [{"name": "web", "state": {"running": {"startedAt": started}}}]}})
}

fn event(name: &str, last: &str) -> Value {
    json!({"kind": "Event", "metadata": {"name": name, "namespace": "shop"}, "type": "Warning",
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": "web-1"},
        "firstTimestamp": last, "lastTimestamp": last, "count": 1})
}

async fn names(cluster: &Cluster, kind: Kind) -> Vec<String> {
    let all = cluster.list(kind, None).await.unwrap();
    all.iter().map(|o| o.name().to_owned()).collect()
}

#[tokio::test]
async fn objects_are_found_in_arrays_lists_and_single_objects_of_any_file() {
    let dir = TempDir::new().unwrap();
    write(
        dir.path(),
        "kube/mixed.json",
        json!([pod("b", "2025-01-01T10:00:00Z"), {"kind": "Node", "metadata": {"name": "n"}}])
            .to_string(),
    );
    write(
        dir.path(),
        "kube/list.json",
        json!({"kind": "List", "items": [pod("a", "2025-01-01T10:00:00Z")]}).to_string(),
    );
    write(
        dir.path(),
        "kube/raw.json",
        json!({"kind": "PodList", "items": [{"metadata": {"name": "c", "namespace": "pay"}}]})
            .to_string(),
    );
    write(dir.path(), "kube/one.json", pod("d", "2025-01-01T10:00:00Z").to_string());
    write(dir.path(), "kube/again.json", json!([pod("a", "2025-01-01T10:00:00Z")]).to_string());
    let cluster = open(&dir);
    assert_eq!(names(&cluster, Kind::Pod).await, ["c", "a", "b", "d"]);
    assert_eq!(names(&cluster, Kind::Node).await, ["n"]);
    assert_eq!(cluster.list(Kind::Pod, Some("pay")).await.unwrap().len(), 1);
}

#[tokio::test]
async fn now_is_what_the_recording_says_and_what_is_later_is_cut() {
    let dir = TempDir::new().unwrap();
    let later = json!({"kind": "Pod", "metadata": {"name": "later", "namespace": "shop", "creationTimestamp": "2025-01-01T13:00:00Z"}});
    write(
        dir.path(),
        "kube/all.json",
        json!([
            pod("web-1", "2025-01-01T10:00:00Z"),
            later,
            event("old", "2025-01-01T11:00:00Z"),
            event("new", "2025-01-01T12:30:00Z")
        ])
        .to_string(),
    );
    write(
        dir.path(),
        "logs/shop/web-1/web.log",
        "2025-01-01T11:59:00Z early\n2025-01-01T12:01:00Z late\nno time\n",
    );
    write(dir.path(), "snapshot.json", r#"{"taken_at": "2025-01-01T12:00:00Z"}"#);
    let cluster = open(&dir);
    assert_eq!(cluster.now(), "2025-01-01T12:00:00Z".parse().unwrap());
    assert_eq!(names(&cluster, Kind::Pod).await, ["web-1"]);
    assert_eq!(names(&cluster, Kind::Event).await, ["old"]);
    let file = cluster.log_files(None).await.unwrap().remove(0);
    let lines =
        cluster.logs(&file, Span::default()).await.unwrap().unwrap().map(|l| l.unwrap().text);
    assert_eq!(lines.collect::<Vec<_>>(), ["early", "no time"]);
}

#[test]
fn without_a_word_on_it_now_is_the_latest_of_events_states_and_log_lines() {
    for (log, name, want) in [
        (String::new(), "web.log", "2025-01-01T11:00:00Z"),
        ("2025-01-01T11:30:00.5Z a\n".to_owned(), "web.log", "2025-01-01T11:30:00.5Z"),
        (
            format!("2025-01-01T11:31:00Z {}\nprogram text\n", "x".repeat(70_000)),
            "web.log",
            "2025-01-01T11:00:00Z",
        ),
        (
            "2025-01-01T11:29:00Z a\n2025-01-01T11:40:00Z b\n".to_owned(),
            "web.log.gz",
            "2025-01-01T11:40:00Z",
        ),
        ("2030-01-01 a program's own date\n".to_owned(), "web.log", "2025-01-01T11:00:00Z"),
    ] {
        let dir = TempDir::new().unwrap();
        let far = json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "spec": {"notAfter": "2030-01-01T00:00:00Z"}});
        write(
            dir.path(),
            "kube/all.json",
            json!([pod("web-1", "2025-01-01T10:00:00Z"), event("e", "2025-01-01T11:00:00Z"), far])
                .to_string(),
        );
        let bytes = if name.ends_with("gz") { gz(&log) } else { log.into_bytes() };
        write(dir.path(), &format!("logs/shop/web-1/{name}"), bytes);
        write(dir.path(), "metrics.om", "up 1 1893456000\n");
        assert_eq!(open(&dir).now(), want.parse().unwrap());
    }
}

#[tokio::test]
async fn logs_are_read_plain_and_compressed_current_and_previous() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "kube/all.json", json!([pod("web-1", "2025-01-01T10:00:00Z")]).to_string());
    write(dir.path(), "logs/shop/web-1/web.log.gz", gz("2025-01-01T09:00:00Z now\n"));
    write(dir.path(), "logs/shop/web-1/web.previous.log", "before\r\nlast line without end");
    write(dir.path(), "logs/shop/web-1/notes.txt", "not a log");
    let cluster = open(&dir);
    let files = cluster.log_files(Some("shop")).await.unwrap();
    let mut read = Vec::new();
    for file in &files {
        for line in cluster.logs(file, Span::default()).await.unwrap().unwrap() {
            read.push(format!("{file}: {}", line.unwrap().text));
        }
    }
    assert_eq!(
        read,
        [
            "shop/web-1/web: now",
            "shop/web-1/web (previous): before",
            "shop/web-1/web (previous): last line without end"
        ]
    );
    let outside = LogFile {
        namespace: "..".into(),
        pod: "..".into(),
        container: "etc".into(),
        previous: false,
    };
    assert!(cluster.logs(&outside, Span::default()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_damaged_compressed_log_ends_with_a_failure_that_names_it() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "kube/all.json", json!([pod("web-1", "2025-01-01T10:00:00Z")]).to_string());
    let mut bytes = gz(&"2025-01-01T09:00:00Z line\n".repeat(2000));
    bytes.truncate(bytes.len() / 2);
    write(dir.path(), "logs/shop/web-1/web.log.gz", bytes);
    let cluster = open(&dir);
    let file = cluster.log_files(None).await.unwrap().remove(0);
    let last = cluster.logs(&file, Span::default()).await.unwrap().unwrap().last().unwrap();
    assert!(last.unwrap_err().message.contains("web.log.gz"));
}

#[tokio::test]
async fn metrics_are_found_plain_or_compressed_or_not_at_all() {
    for (name, bytes) in [("metrics.om", b"up 1\n".to_vec()), ("metrics.om.gz", gz("up 1\n"))] {
        let dir = TempDir::new().unwrap();
        write(dir.path(), "kube/all.json", json!([pod("a", "2025-01-01T10:00:00Z")]).to_string());
        assert!(open(&dir).metrics().await.unwrap().is_none());
        write(dir.path(), name, bytes);
        let mut text = String::new();
        open(&dir).metrics().await.unwrap().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "up 1\n");
    }
}

#[tokio::test]
async fn one_broken_file_among_good_ones_is_a_gap_and_the_others_are_read() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "kube/good.json", json!([pod("a", "2025-01-01T10:00:00Z")]).to_string());
    write(dir.path(), "kube/bad.json", "[{\"kind\": \"Pod\",");
    write(dir.path(), "kube/blank.json", "\n");
    write(dir.path(), "kube/odd.json", "42");
    let cluster = open(&dir);
    assert_eq!(names(&cluster, Kind::Pod).await, ["a"]);
    let gaps: Vec<String> = cluster.gaps().into_iter().map(|(file, _)| file).collect();
    assert_eq!(gaps, ["kube/bad.json", "kube/blank.json", "kube/odd.json"]);
    assert!(cluster.gaps()[0].1.message.contains("is not JSON"));
}

#[test]
fn a_recording_without_objects_says_what_is_missing() {
    let dir = TempDir::new().unwrap();
    assert!(fails(&dir).contains("kube is missing"));
    fs::create_dir(dir.path().join("kube")).unwrap();
    assert!(fails(&dir).contains("has no *.json file"));
    write(dir.path(), "kube/bad.json", "{");
    assert!(fails(&dir).contains("bad.json is not JSON"));
    write(dir.path(), "kube/bad.json", "[]");
    assert!(fails(&dir).contains("tells no time"));
    write(dir.path(), "snapshot.json", r#"{"taken_at": "yesterday"}"#);
    assert!(fails(&dir).contains("taken_at"));
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(fails(&dir).contains("is not a directory"));
}

#[tokio::test]
async fn logs_alone_are_still_of_use() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "logs/shop/web-1/web.log", "2025-01-01T09:00:00Z a\n");
    let cluster = open(&dir);
    assert_eq!(cluster.log_files(None).await.unwrap().len(), 1);
    let failure = cluster.list(Kind::Pod, None).await.unwrap_err();
    assert_eq!((failure.class, failure.reason.as_str()), (FailureClass::Config, "SNAPSHOT_BROKEN"));
}

#[tokio::test]
async fn a_source_that_did_not_answer_fails_as_the_server_would() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "kube/all.json", json!([pod("a", "2025-01-01T10:00:00Z")]).to_string());
    for (status, class) in [
        (401, FailureClass::Permission),
        (403, FailureClass::Permission),
        (429, FailureClass::RateLimited),
        (500, FailureClass::External),
        (503, FailureClass::External),
    ] {
        write(dir.path(), "snapshot.json", json!({"source_faults": [{"target": "events", "status": status, "message": "no luck"}]}).to_string());
        let cluster = open(&dir);
        let failure = cluster.list(Kind::Event, None).await.unwrap_err();
        assert_eq!(failure.class, class);
        assert!(
            failure.message.contains(&status.to_string()) && failure.message.contains("no luck")
        );
        assert_eq!(failure.message.contains("k8s:events/list"), class == FailureClass::Permission);
        assert_eq!(names(&cluster, Kind::Pod).await, ["a"]);
    }
    write(
        dir.path(),
        "snapshot.json",
        r#"{"source_faults": [{"target": "*", "status": 500, "message": "down"}]}"#,
    );
    let cluster = open(&dir);
    assert!(cluster.list(Kind::Pod, None).await.is_err());
    assert!(cluster.log_files(None).await.is_err());
    assert!(cluster.metrics().await.is_err());
}

#[tokio::test]
async fn no_value_of_a_secret_is_kept_and_nothing_is_read_from_other_files() {
    let dir = TempDir::new().unwrap();
    let secret = json!({"kind": "Secret", "metadata": {"name": "s", "namespace": "shop",
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "aHVudGVyMg=="}},
        "data": {"password": "aHVudGVyMg=="}, "stringData": {"other": "hunter2"}});
    write(
        dir.path(),
        "kube/all.json",
        json!([secret, pod("a", "2025-01-01T10:00:00Z")]).to_string(),
    );
    write(dir.path(), "scenario.json", r#"{"root_cause": "truth"}"#);
    write(dir.path(), "kube/notes.txt", "not json");
    let cluster = open(&dir);
    let kept = cluster.list(Kind::Secret, None).await.unwrap().remove(0);
    assert!(!kept.value().to_string().contains("aHVudGVyMg"), "{}", kept.value());
    assert!(!kept.value().to_string().contains("hunter2"));
    assert_eq!(kept.map("/data").keys().collect::<Vec<_>>(), ["password"]);
    assert!(cluster.gaps().is_empty());
}

#[test]
fn absence_means_something_only_for_kinds_that_were_recorded() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "kube/all.json", json!([pod("a", "2025-01-01T10:00:00Z")]).to_string());
    write(dir.path(), "kube/configmaps.json", "[]");
    let cluster = open(&dir);
    assert!(cluster.records(Kind::Pod));
    assert!(cluster.records(Kind::ConfigMap));
    assert!(!cluster.records(Kind::Secret));
}
