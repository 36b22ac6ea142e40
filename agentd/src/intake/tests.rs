//! Alerts over real HTTP into a real engine over a journal in memory. The engine has no turns to
//! give, so what it begins stays open.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: what is not there is a failed test"
)]

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{
    guard::{policy::Policy, tokens::Tokens},
    http::{self, JournalReadiness, Readiness, Shown},
    memory::Memory,
    plugin::fake::Bench,
    rpc::convert,
};

fn clock() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// A daemon's HTTP door over a journal that outlives it.
struct Door {
    address: std::net::SocketAddr,
    journal: Journal,
    engine: Engine,
    metrics: Metrics,
    tokens: Tokens,
    _dir: tempfile::TempDir,
}

fn journal() -> Journal {
    let decode = |stored: &bytes::Bytes| {
        convert::decode(stored)
            .map_err(|error| journal::Error::Undecodable { detail: error.to_string() })
    };
    Journal::in_memory(journal::Codec { encode: convert::encode, decode }).unwrap()
}

impl Door {
    async fn open(journal: Journal, most_open: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let memory = crate::memory::Config::new(dir.path().join("memory"));
        let metrics = Metrics::new();
        let parts = engine::Parts {
            journal: journal.clone(),
            memory: Memory::open(memory, journal.clone(), clock()).await.unwrap(),
            tools: Bench::new().tools,
            policy: Policy::default(),
            metrics: metrics.clone(),
            clock,
        };
        let config = engine::Config { concurrent: 0, ..engine::Config::default() };
        let engine = Engine::start_up(config, parts).await.unwrap();
        let config = Config {
            window: SignedDuration::from_mins(30),
            most_open,
            ignored: vec!["Watchdog".to_owned()],
        };
        let parts = Parts {
            engine: engine.clone(),
            journal: journal.clone(),
            metrics: metrics.clone(),
            clock,
        };
        let (intake, clerk) = Intake::open(config, parts).unwrap();
        tokio::spawn(clerk.run());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = crate::transport::Listener::open(listener, None).unwrap();
        let tokens = Tokens::default();
        let doors = door::Doors { intake, tokens: tokens.clone() };
        tokio::spawn(http::serve(listener, shown(), Some(doors), std::future::pending()));
        Self { address, journal, engine, metrics, tokens, _dir: dir }
    }

    /// Status, head and body of the answer to a POST.
    async fn post(&self, path: &str, head: &str, body: &[u8]) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: here\r\nconnection: close\r\n{head}content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        // A server that refuses early may close while we still write.
        let _ = stream.write_all(body).await;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    async fn alerts(&self, group: &str, alerts: Vec<Value>) -> (u16, String, Value) {
        let message =
            json!({"version": "4", "groupKey": group, "status": "firing", "alerts": alerts});
        self.post("/webhooks/alertmanager", "", message.to_string().as_bytes()).await
    }

    fn investigations(&self) -> Vec<crate::investigation::Investigation> {
        self.journal.list(None, 5000, |_| true).unwrap().investigations
    }
}

fn shown() -> Shown {
    let readiness = || Readiness {
        ready: true,
        llm_available: false,
        using_fallback: true,
        plugins: Vec::new(),
        journal: JournalReadiness { state: "ok".to_owned() },
    };
    Shown { readiness: Arc::new(readiness), exposition: Arc::new(String::new) }
}

fn alert(service: &str, n: usize, status: &str) -> Value {
    json!({
        "status": status,
        "labels": {"alertname": "HighErrorRate", "namespace": "shop", "service": service,
                   "pod": format!("{service}-{n}"), "severity": "critical"},
        "annotations": {"summary": "errors; the password=hunter2hunter2 leaked"},
        "startsAt": "2026-11-21T11:55:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": format!("{service}{n:012x}"),
    })
}

#[tokio::test]
async fn a_thousand_alerts_of_one_trouble_become_one_investigation_with_the_others_attached() {
    let door = Door::open(journal(), 10).await;
    let thousand: Vec<Value> = (0..1000).map(|n| alert("cart", n, "firing")).collect();
    let (status, _, answer) = door.alerts("g", thousand.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let began = door.investigations();
    assert_eq!(began.len(), 1);
    let name = began[0].id.resource();
    assert_eq!(answer["started"], json!([name]));
    assert_eq!(answer["attached"], json!({name.clone(): 999}));
    assert_eq!(door.journal.tally(began[0].id).unwrap().alerts, 999);
    assert_eq!(began[0].alert.severity, Some(crate::investigation::finding::Severity::P1));
    // The first ones are kept whole and masked, further ones without their words.
    let joined = door.journal.joined(began[0].id, 0, 1000).unwrap();
    let whole = joined.iter().filter(|(_, it)| !it.alert.labels.is_empty()).count();
    assert_eq!(whole, 20);
    assert!(!format!("{joined:?}").contains("hunter2hunter2"));
    // The same again, as after a lost answer or at each repeat_interval, changes nothing.
    let (status, _, answer) = door.alerts("g", thousand).await;
    assert_eq!((status, &answer["repeated"]), (200, &json!(1000)));
    assert_eq!(door.journal.tally(began[0].id).unwrap().alerts, 999);
    let text = door.metrics.text();
    assert!(text.contains("{source=\"alertmanager\",outcome=\"attached\"} 999"), "{text}");
}

#[tokio::test]
async fn different_objects_of_one_group_and_different_groups_stay_apart() {
    let door = Door::open(journal(), 10).await;
    let (_, _, one) =
        door.alerts("g", vec![alert("cart", 1, "firing"), alert("orders", 1, "firing")]).await;
    assert_eq!(one["started"].as_array().map(Vec::len), Some(2), "{one}");
    let mut other = alert("cart", 2, "firing");
    other["labels"]["alertname"] = json!("DiskFull");
    let (_, _, two) = door.alerts("h", vec![other]).await;
    assert_eq!(two["started"].as_array().map(Vec::len), Some(1), "{two}");
}

#[tokio::test]
async fn after_a_restart_the_same_alerts_are_known_and_resolved_ones_find_their_investigation() {
    let journal = journal();
    let door = Door::open(journal.clone(), 10).await;
    let two = vec![alert("cart", 1, "firing"), alert("cart", 2, "firing")];
    let (_, _, answer) = door.alerts("g", two.clone()).await;
    let name = answer["started"][0].as_str().unwrap().to_owned();
    // Ended by a person here, so that the next life finds it ended and not abandoned.
    let id: InvestigationId = name.parse().unwrap();
    door.engine.cancel(id, "enough").unwrap();
    door.engine.wait(id, std::time::Duration::from_secs(10)).await.unwrap();
    let again = Door::open(journal, 10).await;
    let (_, _, answer) = again.alerts("g", two).await;
    assert_eq!(answer["repeated"], json!(2), "{answer}");
    let (_, _, answer) = again.alerts("g", vec![alert("cart", 2, "resolved")]).await;
    assert_eq!(answer["resolved"], json!({name: 1}), "{answer}");
    let tally = again.journal.tally(id).unwrap();
    assert_eq!((tally.alerts, tally.resolved), (1, 1));
}

#[tokio::test]
async fn an_investigation_that_the_daemon_left_unfinished_does_not_swallow_its_alerts() {
    let journal = journal();
    let door = Door::open(journal.clone(), 10).await;
    let (_, _, first) = door.alerts("g", vec![alert("cart", 1, "firing")]).await;
    // The next life closes it as abandoned when it starts.
    let again = Door::open(journal, 10).await;
    let (_, _, answer) = again.alerts("g", vec![alert("cart", 1, "firing")]).await;
    assert_eq!(answer["started"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_ne!(answer["started"], first["started"]);
}

#[tokio::test]
async fn what_we_cause_ourselves_and_what_is_no_alert_are_left_alone_with_the_reason() {
    let door = Door::open(journal(), 10).await;
    let labelled = |label: &str, value: &str| {
        let mut one = alert("cart", 1, "firing");
        one["labels"][label] = json!(value);
        one["fingerprint"] = json!(value);
        one
    };
    let (status, _, answer) = door
        .alerts(
            "g",
            vec![
                labelled("alertname", "Watchdog"),
                labelled("agentd_investigation", "investigations/1"),
                labelled("user_agent", "plugin-metrics/0.1.0"),
                labelled("job", "agentd"),
            ],
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(answer["ignored"].as_object().map(serde_json::Map::len), Some(4), "{answer}");
    let own = json!({"schema": "agentd.notification/v1", "type": "x", "description": "y"});
    let (status, _, answer) = door.post("/webhooks/alert", "", own.to_string().as_bytes()).await;
    assert_eq!((status, &answer["ignored"]), (200, &json!({"it is a message of ours": 1})));
    assert!(door.investigations().is_empty());
}

#[tokio::test]
async fn a_flood_of_different_troubles_is_bounded_and_nothing_of_it_is_lost() {
    let door = Door::open(journal(), 3).await;
    let five: Vec<Value> = (0..5).map(|n| alert(&format!("service-{n}"), n, "firing")).collect();
    let (status, head, answer) = door.alerts("g", five.clone()).await;
    assert_eq!((status, &answer["waiting"]), (503, &json!(2)), "{answer}");
    assert!(head.contains("retry-after: 10"), "{head}");
    let first = door.investigations();
    assert_eq!(first.len(), 3);
    for one in first.iter().take(2) {
        door.engine.cancel(one.id, "room").unwrap();
        door.engine.wait(one.id, std::time::Duration::from_secs(10)).await.unwrap();
    }
    let made_room = async {
        while door.engine.active() > 1 {
            tokio::task::yield_now().await;
        }
    };
    made_room.await;
    // Its sender comes again with the same.
    let (status, _, answer) = door.alerts("g", five).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!((&answer["repeated"], door.investigations().len()), (&json!(3), 5));
}

#[tokio::test]
async fn a_sender_needs_a_valid_token_once_there_is_one_and_health_stays_open() {
    use sha2::{Digest as _, Sha256};
    let door = Door::open(journal(), 10).await;
    let digest: String = Sha256::digest(b"t0ken").iter().map(|b| format!("{b:02x}")).collect();
    door.tokens.set(&format!("webhook am {digest}")).unwrap();
    let body = json!({"type": "slow", "service": "cart"}).to_string();
    for (head, status) in [
        ("", 401),
        ("authorization: Bearer wrong\r\n", 401),
        ("authorization: Bearer t0ken\r\n", 200),
    ] {
        let (got, _, answer) = door.post("/webhooks/alert", head, body.as_bytes()).await;
        assert_eq!(got, status, "{head}{answer}");
    }
    let (status, _, _) = door.post("/healthz", "", b"").await;
    assert_eq!(status, 405, "reached, and only GET is served there");
}

#[tokio::test]
async fn what_is_too_large_or_broken_is_refused_with_where_and_how_to_mend() {
    let door = Door::open(journal(), 10).await;
    let (status, _, answer) =
        door.post("/webhooks/alertmanager", "", &vec![b' '; (4 << 20) + 1]).await;
    assert_eq!(status, 413, "{answer}");
    let (status, _, answer) =
        door.post("/webhooks/alertmanager", "", b"{\"version\": \"3\"}").await;
    assert_eq!((status, &answer["error"]["at"]), (400, &json!("version")), "{answer}");
    let (status, _, answer) = door.post("/webhooks/alert", "", b"{\"servce\": 1}").await;
    assert_eq!(status, 400);
    assert!(answer["error"]["what"].as_str().unwrap().contains("servce"), "{answer}");
}

#[tokio::test]
async fn an_alert_that_is_too_long_is_cut_and_taken() {
    let door = Door::open(journal(), 10).await;
    let body = json!({"type": "slow", "description": "x".repeat(100_000)}).to_string();
    let (status, _, answer) = door.post("/webhooks/alert", "", body.as_bytes()).await;
    assert_eq!(status, 200, "{answer}");
    let kept = &door.investigations()[0].alert;
    assert!(kept.description.len() <= crate::alert::MAX_TEXT);
    assert_eq!(kept.annotations["agentd_cut"], "description");
}
