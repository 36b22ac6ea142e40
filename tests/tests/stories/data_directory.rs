//! Configuration with faults, and data directories that cannot be used: said, ended, nothing lost.

use std::{process::Command, time::Duration};

use agent_tests::{
    build,
    fleet::{Fleet, SOON},
    process::{self, Ended},
    room::Room,
    staged::Staged,
};

use crate::LONG;

/// Size of a small disk, in MiB.
const SIZE: u32 = 24;

/// Runs `agentd serve` on free ports until it ends by itself.
async fn serve(arguments: &[&str]) -> Ended {
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]).args(arguments);
    process::run(command, SOON).await.unwrap()
}

#[tokio::test]
async fn a_file_with_three_faults_reports_all_three() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agentd.toml");
    let text =
        "[investigation]\nmax_rounds = 0\nmax_durration = \"5m\"\n[plugins]\nlease_ttl = true\n";
    std::fs::write(&file, text).unwrap();
    let data = dir.path().join("data");
    let ended =
        serve(&["--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]).await;
    assert!(!ended.status.success());
    for path in ["investigation.max_rounds", "investigation.max_durration", "plugins.lease_ttl"] {
        assert!(ended.stderr.contains(path), "{path} is not told:\n{}", ended.stderr);
    }
    assert!(ended.stderr.contains("max_duration"), "no hint at what was meant:\n{}", ended.stderr);
    assert!(!data.exists(), "data was begun before the configuration was right");
}

#[tokio::test]
async fn a_data_directory_held_by_another_process_is_refused() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let before = client.events(&found.name, 0).await.unwrap();
    let data = fleet.data();
    let ended = serve(&["--data-dir", data.to_str().unwrap()]).await;
    assert!(!ended.status.success());
    let holder = fleet.daemon().unwrap().pid().to_string();
    for told in [data.to_str().unwrap(), holder.as_str()] {
        assert!(ended.stderr.contains(told), "{told} is not told:\n{}", ended.stderr);
    }
    assert!(client.events(&found.name, 0).await.unwrap() == before, "the first was harmed");
}

#[tokio::test]
async fn a_file_where_the_data_directory_should_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("data");
    std::fs::write(&file, "mine").unwrap();
    let ended = serve(&["--data-dir", file.to_str().unwrap()]).await;
    assert!(!ended.status.success());
    assert!(ended.stderr.contains(file.to_str().unwrap()), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test]
async fn a_read_only_data_directory_is_told_and_ends_the_start() {
    let Some(room) = Room::new(SIZE).await.unwrap() else { return };
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::start_in(room).await.unwrap();
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let before = client.events(&found.name, 0).await.unwrap();
    fleet.stop_daemon().await.unwrap();
    fleet.room().unwrap().remount("ro").unwrap();
    refused(&mut fleet, &["read-only", "permission"]).await;
    fleet.room().unwrap().remount("rw").unwrap();
    fleet.start_daemon().await.unwrap();
    let after = fleet.client().unwrap().events(&found.name, 0).await.unwrap();
    assert!(after == before, "what was found is told otherwise");
}

#[tokio::test]
async fn a_full_disk_is_told_and_loses_nothing_that_was_acknowledged() {
    let Some(room) = Room::new(SIZE).await.unwrap() else { return };
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::start_in(room).await.unwrap();
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let before = client.events(&found.name, 0).await.unwrap();
    fleet.room().unwrap().fill().unwrap();
    // While it runs: what cannot be kept is not acknowledged.
    let mut acknowledged = vec![found.name.clone()];
    let mut refusal = None;
    for number in 0..40 {
        let mut alert = staged.scenario.alert();
        alert.description = format!("{number} {}", "x ".repeat(7000));
        match client.investigate(alert, Duration::ZERO).await {
            Ok(begun) => acknowledged.push(begun.name),
            Err(said) => {
                refusal = Some(said);
                break;
            }
        }
    }
    let refusal = refusal.expect("a full disk was never told");
    assert!(!refusal.message.is_empty() && refusal.domain == "agentd", "{refusal:?}");
    // It may have ended by itself, as a daemon without its journal should.
    fleet.kill_daemon().unwrap();
    fleet.room().unwrap().fill().unwrap();
    refused(&mut fleet, &["space", "full"]).await;
    fleet.room().unwrap().clear().unwrap();
    fleet.start_daemon().await.unwrap();
    let mut client = fleet.client().unwrap();
    let after = client.events(&found.name, 0).await.unwrap();
    assert!(after == before, "what was found is told otherwise");
    for name in acknowledged {
        assert!(client.get(&name).await.is_ok(), "{name} was acknowledged and is gone");
    }
}

/// The daemon must not start, and say one of `words`.
async fn refused(fleet: &mut Fleet, words: &[&str]) {
    let said = fleet.log("agentd").len();
    let started = fleet.start_daemon().await;
    let log = fleet.log("agentd").get(said..).unwrap_or_default().to_lowercase();
    assert!(started.is_err(), "it serves on what it cannot write:\n{log}");
    assert!(words.iter().any(|word| log.contains(word)), "none of {words:?} is told:\n{log}");
}
