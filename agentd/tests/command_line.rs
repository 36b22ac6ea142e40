//! The program as a person meets it: what it says and ends with. Whole-system stories are in the
//! tests crate.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::{Command, Output};

/// Runs the program in an environment of its own.
fn agentd(words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentd"));
    command.args(words).env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_file_with_three_faults_is_answered_with_all_three() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("agentd.toml");
    let faults = "[grpc]\nlisten = 7\n[log]\nlevle = \"info\"\n[investigation]\nmax_rounds = 0\n";
    std::fs::write(&file, faults).unwrap();
    let file = file.display().to_string();
    for words in [["config", "check", "--config", &file].as_slice(), &["serve", "--config", &file]]
    {
        let ended = agentd(words, &[]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        for path in ["grpc.listen: ", "log.levle: ", "investigation.max_rounds: "] {
            assert!(said.contains(path), "{path} in {said}");
        }
        assert_eq!(text(&ended.stdout), "");
    }
}

#[test]
fn what_config_shows_is_sound_and_tells_where_values_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let shown = agentd(&["config", "show"], &[("AGENTD__LOG__FORMAT", "json")]);
    let toml = text(&shown.stdout);
    assert!(toml.contains("# AGENTD__LOG__FORMAT"), "{toml}");
    let file = dir.path().join("agentd.toml");
    std::fs::write(&file, toml).unwrap();
    let file = file.display().to_string();
    let checked = agentd(&["config", "check"], &[("AGENTD_CONFIG", &file)]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
}

#[test]
fn without_a_daemon_each_client_says_how_to_start_one() {
    // Free again at once: nobody answers there.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    for words in [
        ["list"].as_slice(),
        &["tools"],
        &["show", "x"],
        &["watch", "x"],
        &["investigate", "it is slow"],
    ] {
        let ended = agentd(words, &[("AGENTD_URL", &url)]);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("agentd serve"), "{words:?}: {said}");
    }
}

#[test]
fn an_alert_that_says_nothing_is_refused_before_anything_is_started() {
    let ended = agentd(&["investigate", "--namespace", "n"], &[]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(text(&ended.stderr).contains("--service"), "{}", text(&ended.stderr));
}
