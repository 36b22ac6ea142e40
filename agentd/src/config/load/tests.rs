//! The sources, their order, and what is said of faults.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{path::Path, time::Duration};

use super::*;

fn with_file(dir: &Path, text: &str) -> Sources {
    let file = dir.join("config.toml");
    std::fs::write(&file, text).unwrap();
    Sources { file: Some(file), ..Sources::default() }
}

/// Faults as `path: sentence`, without the place of the file.
fn faults(sources: &Sources) -> Vec<String> {
    let Faults(all) = load(sources).unwrap_err();
    all.into_iter().map(|fault| format!("{}: {}", fault.path, fault.said)).collect()
}

#[test]
fn later_sources_win_and_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = with_file(
        dir.path(),
        "[investigation]\nmax_rounds = 2\nmax_tool_calls = 20\nmax_duration = \"1m\"\n",
    );
    sources.environment =
        [("AGENTD__INVESTIGATION__MAX_ROUNDS", "3"), ("AGENTD__GRPC__LISTEN", "127.0.0.1:3")]
            .into_iter()
            .collect();
    let value = "127.0.0.1:4".to_owned();
    sources.flags = vec![Flag { name: "--listen", path: "grpc.listen", value }];
    let loaded = load(&sources).unwrap();
    let bounds = &loaded.config.investigation;
    assert_eq!((bounds.max_rounds, bounds.max_tool_calls, bounds.parallel_calls), (3, 20, 8));
    assert_eq!(bounds.max_duration, Duration::from_secs(60));
    assert_eq!(loaded.config.grpc.listen.port(), 4);
    assert_eq!(loaded.origins.get("grpc.listen"), Some(&Origin::Flag("--listen")));
    assert!(matches!(loaded.origins.get("investigation.max_tool_calls"), Some(Origin::File(_))));
    assert_eq!(loaded.origins.get("log.level"), None);
}

#[test]
fn every_fault_of_a_file_is_told_at_once_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let sources = with_file(
        dir.path(),
        r#"
        colour = "red"
        [grpc]
        listen = "localhost"
        lisen = "127.0.0.1:1"
        [investigation]
        max_rounds = "six"
        max_tool_calls = 0
        max_duration = 300
        [memroy]
        notes_ttl = "1h"
        "#,
    );
    let mut said = faults(&sources);
    said.sort();
    assert_eq!(
        said,
        [
            "colour: there is no such section; known are grpc, http, data, plugins, investigation, memory, intake, notify, tls, auth, log",
            "grpc.lisen: there is no such key; did you mean listen?",
            "grpc.listen: \"localhost\" is not ADDRESS:PORT, such as 127.0.0.1:50051",
            "investigation.max_duration: wants a duration with a unit, such as \"30s\", \"5m\" or \"1h 30m\", not a number",
            "investigation.max_rounds: wants a whole number, not a text",
            "investigation.max_tool_calls: 0 is not between 1 and 1000",
            "memroy: there is no such section; did you mean memory?",
        ]
    );
}

#[test]
fn faults_of_several_sources_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = with_file(dir.path(), "[log]\nformat = \"xml\"\n");
    sources.environment = [
        ("AGENTD__PLUGINS__LEASE_TTL", "30"),
        ("AGENTD__PLUGIN__LEASE_TTL", "30s"),
        ("RUST_LOG", "=loud="),
    ]
    .into_iter()
    .collect();
    let value = "nowhere".to_owned();
    sources.flags = vec![Flag { name: "--http", path: "http.listen", value }];
    let paths: Vec<String> = load(&sources).unwrap_err().0.into_iter().map(|f| f.path).collect();
    assert_eq!(
        paths,
        [
            "log.format",
            "AGENTD__PLUGINS__LEASE_TTL",
            "RUST_LOG",
            "AGENTD__PLUGIN__LEASE_TTL",
            "--http"
        ]
    );
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Sources { file: Some(dir.path().join("none.toml")), ..Sources::default() };
    assert!(load(&missing).unwrap_err().to_string().contains("none.toml: cannot be read"));
    let broken = with_file(dir.path(), "[grpc]\nlisten = \n");
    let said = load(&broken).unwrap_err().to_string();
    assert!(said.contains("config.toml: is no TOML: line 2"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_file_of_the_environment_is_read_unless_a_flag_names_another() {
    let dir = tempfile::tempdir().unwrap();
    let mut sources = with_file(dir.path(), "[investigation]\nmax_rounds = 2\n");
    let other = dir.path().join("other.toml");
    std::fs::write(&other, "[investigation]\nmax_rounds = 9\n").unwrap();
    sources.environment = [(CONFIG_FILE, other.display().to_string())].into_iter().collect();
    assert_eq!(load(&sources).unwrap().config.investigation.max_rounds, 2);
    sources.file = None;
    assert_eq!(load(&sources).unwrap().config.investigation.max_rounds, 9);
}

#[test]
fn values_that_contradict_each_other_are_told_where_they_were_set() {
    let environment = [("AGENTD__PLUGINS__RENEW_INTERVAL", "29s")].into_iter().collect();
    let sources = Sources { environment, ..Sources::default() };
    let said = load(&sources).unwrap_err().to_string();
    assert!(
        said.starts_with("environment: plugins.renew_interval: must be at most half"),
        "{said}"
    );
}
