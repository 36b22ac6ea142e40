//! Strangers in Python: a client and the smallest plugin, from the `.proto` files alone. The
//! replay of recordings over HTTP (rung 2b) has nothing to run yet: plugins read snapshots only.

use std::time::{Duration, Instant};

use agent_proto::v1::Alert;
use agent_tests::{
    fleet::{BUNDLED, Fleet},
    process,
    python::Python,
    staged::Staged,
    told::report,
};
use serde_json::json;

use crate::LONG;

/// Leases of three seconds, so that a story need not wait for thirty.
const SHORT: &str = "[plugins]\nlease_ttl = \"5s\"\nrenew_interval = \"1s\"\n";

#[tokio::test]
async fn a_python_client_lists_investigates_and_reads_the_stream_from_every_place() {
    let Some(python) = Python::find().unwrap() else { return };
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let alert = staged.scenario.alert();
    let alert = json!({
        "type": alert.r#type, "service": alert.service, "namespace": alert.namespace,
        "description": alert.description,
    });
    let mut command = python.script("client.py");
    command.arg(fleet.grpc()).arg(alert.to_string());
    let ended = process::run(command, LONG).await.unwrap();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
    let seen: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let culprit = staged.scenario.culprit.as_ref().unwrap();
    assert_eq!(seen["causes"][0], json!([staged.scenario.category, culprit.name]), "{seen}");
}

#[tokio::test]
async fn the_smallest_plugin_is_listed_asked_without_a_model_and_comes_back() {
    let source = std::fs::read_to_string(
        agent_tests::tidy::tree::root().join("tests/python/smallest_plugin.py"),
    );
    assert!(source.unwrap().lines().count() <= 30, "it is no longer small");
    let Some(python) = Python::find().unwrap() else { return };
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT).await.unwrap();
    fleet.start_stranger("queues", python.script("smallest_plugin.py")).unwrap();
    fleet.ready(&["queues"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let tools = client.tools().await.unwrap();
    let tool = tools.iter().find(|tool| tool.name == "tools/queues.check_queue").unwrap();
    let descriptor = tool.descriptor.clone().unwrap();
    assert_eq!(descriptor.applies[0].emits, ["queues.backlog"]);
    assert!(tool.r#ref.clone().unwrap().digest.starts_with("sha256:"));
    assert_eq!(tool.model_name, "queues__check_queue");
    // Another alert each time: of a case that it remembers, the daemon asks less.
    for kind in ["queue_backlog", "slow_consumer"] {
        let alert = Alert { r#type: kind.to_owned(), ..staged.scenario.alert() };
        let found = fleet.client().unwrap().investigate(alert, LONG).await.unwrap();
        let told = report(&found);
        let steps = &told.plan.as_ref().unwrap().steps;
        let step = steps.iter().find(|step| step.tool == "queues.check_queue");
        assert!(step.is_some(), "not asked: {steps:?}");
        assert_eq!(told.gaps, [], "its answer was no good");
        fleet.kill_daemon().unwrap();
        fleet.start_daemon().await.unwrap();
        let up = Instant::now();
        fleet.ready_within(&["queues"], Duration::from_secs(5)).await.unwrap();
        assert!(up.elapsed() <= Duration::from_secs(5), "took {:?}", up.elapsed());
        fleet.ready(&BUNDLED).await.unwrap();
    }
}
