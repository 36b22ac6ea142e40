//! The cluster itself: it comes up, outlives kill -9 of its apiserver, and leaves nothing.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use agent_tests::{
    build,
    control_plane::{ControlPlane, SOON},
    process::{self, Program},
    wait::wait_until,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_cluster_is_ready_within_seconds() {
    let begun = Instant::now();
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    let took = begun.elapsed();
    let ready = plane.api().unwrap().get("/readyz?verbose").await.unwrap();
    assert!(ready.text.contains("[+]etcd ok"), "{}", ready.text);
    let version = plane.api().unwrap().get("/version").await.unwrap().good().unwrap();
    // Its own controllers work: who has a namespace has an account.
    plane.namespace("first").await.unwrap();
    let usable = begun.elapsed();
    let memory = plane.resident();
    let megabytes = memory.values().sum::<u64>() / 1_000_000;
    println!(
        "{}: ready after {took:.1?}, usable after {usable:.1?}, {megabytes} MB: {memory:?}",
        version["gitVersion"]
    );
    assert_eq!(memory.len(), 4, "etcd, apiserver, controller-manager, scheduler");
}

#[tokio::test]
async fn nothing_is_left_of_a_cluster_when_whoever_holds_it_is_killed() {
    if agent_tests::control_plane::programs::Programs::find().is_none() {
        return;
    }
    let log = tempfile::NamedTempFile::new().unwrap();
    let program = build::programs().unwrap().join("live_cluster");
    // Its stdin stays open, as a terminal would.
    let mut command = Command::new("sh");
    command.args(["-c", "sleep infinity | \"$0\""]).arg(program);
    let mut holder = Program::start(command, log.path(), true).unwrap();
    let mut line = String::new();
    let mut told = BufReader::new(holder.stdout().unwrap());
    told.read_line(&mut line).unwrap();
    let path = line.trim().strip_prefix("export KUBECONFIG=").unwrap_or_else(|| panic!("{line:?}"));
    let dir = Path::new(path).parent().unwrap().to_owned();
    let before = process::told(&dir.to_string_lossy());
    assert!(before.len() >= 5, "leashes and what they hold: {before:?}");
    // Dropping it kills its group as kill -9 does; the components are in groups of their own.
    drop(holder);
    wait_until("nothing that is left", SOON, async || {
        let left = process::told(&dir.to_string_lossy());
        if left.is_empty() && !dir.exists() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn an_apiserver_that_is_killed_comes_back_at_its_address_with_all_it_knew() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    let here = plane.namespace("kept").await.unwrap();
    let told = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kept" } });
    here.api().post(&here.path("configmaps"), &told).await.unwrap().good().unwrap();
    plane.kill_apiserver().await.unwrap();
    let refused = here.get("configmaps/kept").await.unwrap_err();
    assert!(format!("{refused:#}").contains("refused"), "{refused:#}");
    let begun = Instant::now();
    plane.start_apiserver().await.unwrap();
    println!("back after {:.1?}", begun.elapsed());
    let kept = here.get("configmaps/kept").await.unwrap();
    assert_eq!(kept["metadata"]["name"], "kept");
}

#[tokio::test]
async fn an_apiserver_that_hangs_takes_connections_and_does_not_answer() {
    let Some(plane) = ControlPlane::start().await.unwrap() else { return };
    let api = plane.api().unwrap();
    plane.freeze("apiserver").unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(2), api.get("/version")).await;
    assert!(asked.is_err(), "it answered: {asked:?}");
    plane.thaw("apiserver").unwrap();
    let version: Value = api.get("/version").await.unwrap().good().unwrap();
    assert_eq!(version["major"], "1");
}
