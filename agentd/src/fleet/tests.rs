//! A supervisor over a shell script in the place of a plugin.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{fs, os::unix::fs::PermissionsExt as _};

use tempfile::TempDir;

use super::*;

/// A fleet of one program, a shell script, and the directory it stands in.
fn fleet(script: &str) -> (TempDir, Config) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("plugin-probe");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let config = Config {
        names: vec!["probe".to_owned()],
        plugin_dir: Some(dir.path().to_owned()),
        path: None,
        url: "http://127.0.0.1:50051".to_owned(),
        token: "t0ken".to_owned(),
        arguments: vec!["--snapshot".into(), "DIR".into()],
        variables: Vec::new(),
        withheld: Vec::new(),
        output: Output::Directory(dir.path().to_owned()),
    };
    (dir, config)
}

/// The log once it has so many lines.
async fn lines(dir: &TempDir, count: usize) -> Vec<String> {
    let path = dir.path().join("plugin-probe.log");
    timeout(Duration::from_secs(20), async {
        loop {
            let text = fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_plugin_is_told_where_to_register_and_ends_when_its_stdin_closes() {
    let (dir, config) =
        fleet("echo $AGENTD_URL $AGENTD_PLUGIN_TOKEN $AGENTD_SUPERVISED $@; cat; echo ended");
    let fleet = Fleet::start(&config).unwrap();
    let started = lines(&dir, 1).await;
    assert_eq!(started, ["http://127.0.0.1:50051 t0ken 1 --snapshot DIR"]);
    fleet.stop().await;
    assert_eq!(lines(&dir, 2).await.last().unwrap(), "ended", "it was let end, not killed");
}

#[tokio::test]
async fn what_is_withheld_does_not_reach_a_plugin_and_what_is_given_does() {
    // `CARGO_PKG_NAME` is in the environment of every test.
    let (dir, mut config) = fleet("echo [$CARGO_PKG_NAME] [$PATH_OF_TEST]; cat");
    config.withheld = vec!["CARGO_PKG_NAME".to_owned()];
    config.variables = vec![("PATH_OF_TEST".to_owned(), "given".into())];
    let fleet = Fleet::start(&config).unwrap();
    assert_eq!(lines(&dir, 1).await, ["[] [given]"]);
    fleet.stop().await;
}

#[tokio::test]
async fn a_plugin_that_dies_is_started_again() {
    let (dir, config) = fleet("echo started");
    let fleet = Fleet::start(&config).unwrap();
    assert_eq!(lines(&dir, 3).await.len(), 3);
    fleet.stop().await;
}

#[test]
fn restarts_are_bounded_and_ever_later() {
    let pauses: Vec<u128> = (1..9).map_while(pause).map(|pause| pause.as_millis()).collect();
    assert_eq!(pauses, [200, 400, 800, 1600, 3200]);
}

#[tokio::test]
async fn what_is_missing_is_told_all_at_once_with_where_and_what_builds_it() {
    let (dir, mut config) = fleet("cat");
    config.names.extend(["owls".to_owned(), "hens".to_owned()]);
    config.path = Some("/nowhere/bin".into());
    let said = Fleet::start(&config).unwrap_err().to_string();
    let place = dir.path().display().to_string();
    for word in
        ["plugin-owls, plugin-hens", &place, "/nowhere/bin", "cargo build --workspace --bins"]
    {
        assert!(said.contains(word), "{said} lacks {word}");
    }
    assert!(!said.contains("plugin-probe,"), "{said}");
}
