//! From the monitoring system to the person on call: the real Alertmanager sends, an investigation
//! runs, the message arrives, whoever is away or killed in between.

use std::{path::PathBuf, process::Command, time::Duration};

use agent_proto::v1::Verdict;
use agent_tests::{
    environment,
    fleet::{BUNDLED, Fleet, SHORT_LEASES, SOON},
    http::{self, Receiver},
    process::{self, Program},
    rung,
    staged::Staged,
    tidy::tree,
    told::report,
    wait::wait_until,
};
use serde_json::{Value, json};

use crate::LONG;

/// SHA-256 of "t0ken".
const DIGEST: &str = "b46c09677343261f0b439a472422225e3a230c9c094d6ab16762e2036b597053";
const KEY: &str = "k3y of the receiver";

/// A daemon that asks senders of alerts for a token and tells a receiver on `port`.
async fn daemon(staged: &Staged, port: u16) -> (Fleet, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (tokens, key) = (file("tokens", &format!("webhook am {DIGEST}\n")), file("key", KEY));
    let config = format!(
        "{SHORT_LEASES}[auth]\ntokens_file = {tokens:?}\n[[notify.webhooks]]\nname = \"desk\"\n\
         url = \"http://127.0.0.1:{port}/hook\"\nsecret_file = {key:?}\n"
    );
    (Fleet::with(staged.path(), &BUNDLED, &config).await.unwrap(), dir)
}

/// The real Alertmanager, sending to a daemon.
struct Alertmanager {
    address: String,
    _program: Program,
    _dir: tempfile::TempDir,
}

impl Alertmanager {
    /// `None` after having said aloud that there is none.
    async fn start(fleet: &Fleet) -> Option<Self> {
        let found: Option<PathBuf> =
            ["prometheus-alertmanager", "alertmanager"].into_iter().find_map(environment::on_path);
        let Some(program) = found else {
            let how = "apt-get install prometheus-alertmanager";
            rung::skip("rung 3 (alerts)", "there is no Alertmanager", how);
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let config = format!(
            "route: {{receiver: agentd, group_by: [alertname, namespace], group_wait: 100ms, \
             group_interval: 1s}}\nreceivers:\n- name: agentd\n  webhook_configs:\n  - url: \
             http://{}/webhooks/alertmanager\n    send_resolved: true\n    http_config: \
             {{authorization: {{credentials: t0ken}}}}\n",
            fleet.http()
        );
        std::fs::write(dir.path().join("am.yml"), config).unwrap();
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", dir.path().join("am.yml").display()))
            .arg(format!("--storage.path={}", dir.path().join("data").display()))
            .args(["--web.listen-address=127.0.0.1:0", "--cluster.listen-address="]);
        let log = dir.path().join("am.log");
        let program = Program::start(command, &log, false).unwrap();
        let address = wait_until("Alertmanager's address", SOON, async || {
            let log = program.log();
            let listening = log.lines().find(|line| line.contains("Listening on"));
            let address = listening.and_then(|line| {
                line.split_whitespace().find_map(|word| word.strip_prefix("address="))
            });
            address.map(str::to_owned).ok_or(log.clone())
        });
        Some(Self { address: address.await.unwrap(), _program: program, _dir: dir })
    }

    /// Fires an alert, or says that it is over.
    async fn put(&self, labels: Value, over: bool) {
        let mut alert = json!([{"labels": labels, "annotations": {"summary": "it hurts"}}]);
        if over {
            alert[0]["endsAt"] = json!("2026-01-01T00:00:00Z");
            alert[0]["startsAt"] = json!("2025-12-31T00:00:00Z");
        }
        let answer = http::ask(&self.address, "/api/v2/alerts", Some(&alert.to_string())).await;
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
}

fn labels(staged: &Staged, pod: &str) -> Value {
    let alert = staged.scenario.alert();
    json!({"alertname": alert.r#type, "service": alert.service, "namespace": alert.namespace,
           "pod": pod, "severity": "critical"})
}

/// Waits until the metrics of the daemon have this series at `least` or above.
async fn counted(fleet: &Fleet, series: &str, least: f64) {
    wait_until(series, LONG, async || {
        let metrics = http::ask(fleet.http(), "/metrics", None).await.map_err(|e| e.to_string())?;
        let line = metrics.body.lines().find_map(|line| line.strip_prefix(series));
        let count = line.and_then(|rest| rest.trim().parse::<f64>().ok()).unwrap_or(0.0);
        if count >= least { Ok(()) } else { Err(format!("{count}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_the_real_alertmanager_sends_reaches_a_receiver_that_was_away_and_a_repeat_is_marked()
{
    let staged = Staged::bundled().unwrap();
    let port = http::free_port().await.unwrap();
    let (mut fleet, _dir) = daemon(&staged, port).await;
    let Some(alertmanager) = Alertmanager::start(&fleet).await else { return };
    alertmanager.put(labels(&staged, "a-0"), false).await;
    counted(&fleet, "agentd_investigations_total{verdict=\"root_cause_found\"}", 1.0).await;
    // A second alert of the trouble, and word that it is over, come in groups of their own time.
    alertmanager.put(labels(&staged, "a-1"), false).await;
    counted(&fleet, "agentd_alerts_total{source=\"alertmanager\",outcome=\"attached\"}", 1.0).await;
    alertmanager.put(labels(&staged, "a-1"), true).await;
    counted(&fleet, "agentd_alerts_total{source=\"alertmanager\",outcome=\"resolved\"}", 1.0).await;
    // Nobody is at the receiver; the daemon is killed while it waits for it.
    counted(&fleet, "agentd_notifications_total{receiver=\"desk\",outcome=\"failed\"}", 3.0).await;
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    counted(&fleet, "agentd_notifications_total{receiver=\"desk\",outcome=\"failed\"}", 1.0).await;
    // It is back, takes the message, and the daemon is killed before it hears so.
    let mut receiver = Receiver::open(port, 1).await.unwrap();
    let message = receiver.next(LONG).await.unwrap();
    let told: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!(told["investigation"]["verdict"], "root_cause_found", "{told}");
    assert_eq!(told["investigation"]["attached_alerts"], 1);
    // No try reached anybody before, and it says so.
    assert_eq!(message.header("agentd-repeat"), Some("false"), "{message:?}");
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    let again = receiver.next(LONG).await.unwrap();
    let retold: Value = serde_json::from_str(&again.body).unwrap();
    assert_eq!((again.header("agentd-repeat"), &retold["repeat"]), (Some("true"), &json!(true)));
    // By its number the receiver knows it, and it tells the same.
    assert_eq!(again.header("agentd-delivery"), message.header("agentd-delivery"));
    assert_eq!(retold["investigation"], told["investigation"]);
    verified(&again).await;
    counted(&fleet, "agentd_notifications_total{receiver=\"desk\",outcome=\"delivered\"}", 1.0)
        .await;
    let name = told["agentd_investigation"].as_str().unwrap();
    let shown = fleet.client().unwrap().get(name).await.unwrap();
    assert_eq!(report(&shown).verdict(), Verdict::RootCauseFound);
    assert_eq!((shown.attached_alert_count, shown.resolved_alert_count), (1, 1));
    assert_eq!(shown.attached_alerts[0].source, "alertmanager");
    assert!(receiver.is_quiet());
}

#[tokio::test]
async fn a_message_that_a_killed_daemon_may_have_delivered_comes_again_marked_and_well_signed() {
    let staged = Staged::bundled().unwrap();
    // It takes the first message and never answers.
    let mut receiver = Receiver::open(0, 1).await.unwrap();
    let (mut fleet, _dir) = daemon(&staged, receiver.port()).await;
    let client = &mut fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let first = receiver.next(LONG).await.unwrap();
    assert_eq!(first.header("agentd-repeat"), Some("false"));
    fleet.kill_daemon().unwrap();
    fleet.start_daemon().await.unwrap();
    let again = receiver.next(LONG).await.unwrap();
    let told: Value = serde_json::from_str(&again.body).unwrap();
    assert_eq!(
        (&told["repeat"], &told["agentd_investigation"]),
        (&json!(true), &json!(found.name))
    );
    assert_eq!(again.header("agentd-delivery"), first.header("agentd-delivery"));
    verified(&again).await;
    for secret in &staged.scenario.must_not_leak {
        assert!(!again.body.contains(secret), "a secret is in the message");
    }
}

/// The check that the README has, run on a message.
async fn verified(message: &http::Message) {
    let Some(python) = environment::on_path("python3") else {
        rung::skip("rung 2c (signature)", "there is no python3", "apt-get install python3");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("body"), &message.body).unwrap();
    let script = "import sys; from verify_signature import verify; \
                  key, header, body = sys.argv[1], sys.argv[2], open(sys.argv[3], 'rb').read(); \
                  assert verify(key.encode(), header, body); \
                  assert not verify(key.encode(), header, body + b' '); \
                  assert not verify(b'other', header, body); \
                  assert not verify(key.encode(), header, body, now=4102444800.0)";
    let mut command = Command::new(python);
    command.env("PYTHONPATH", tree::root().join("tests/python")).args(["-B", "-c", script, KEY]);
    command.arg(message.header("agentd-signature").unwrap()).arg(dir.path().join("body"));
    let ended = process::run(command, Duration::from_secs(30)).await.unwrap();
    assert!(ended.status.success(), "{}", ended.stderr);
}
