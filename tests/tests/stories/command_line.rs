//! The command line as people and scripts use it.

use std::{process::Command, time::Duration};

use agent_tests::{
    build,
    fleet::{Fleet, SOON},
    process::{self, Ended, Program, descendants, lives},
    staged::{Staged, scenarios},
    wait::wait_until,
};

use crate::LONG;

/// Runs agentd to its end, its data in a folder of its own.
async fn agentd(arguments: &[&str]) -> Ended {
    let data = tempfile::tempdir().unwrap();
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(arguments).env("AGENTD_DATA_DIR", data.path()).env_remove("AGENTD_URL");
    process::run(command, LONG).await.unwrap()
}

fn plain(ended: &Ended) {
    assert!(!ended.stdout.contains('\u{1b}'), "piped output has escape codes: {}", ended.stdout);
}

#[tokio::test]
async fn demo_shows_events_and_names_cause_and_culprit() {
    let ended = agentd(&["demo"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}\n{}", ended.stdout, ended.stderr);
    plain(&ended);
    let truth = Staged::bundled().unwrap().scenario;
    for told in [truth.category.as_str(), truth.culprit.as_ref().unwrap().name.as_str(), "kubectl "]
    {
        assert!(ended.stdout.contains(told), "{told} is not told:\n{}", ended.stdout);
    }
    for secret in &truth.must_not_leak {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{secret}");
    }
    assert!(ended.stdout.lines().count() > 15, "no events:\n{}", ended.stdout);
}

#[tokio::test]
async fn the_first_event_of_a_demo_comes_within_three_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.arg("demo");
    let demo = Program::start(command, &dir.path().join("demo.log"), false).unwrap();
    wait_until("the first event of a demo", Duration::from_secs(3), async || {
        let log = demo.log();
        if log.contains("investigating ") { Ok(()) } else { Err(log) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_killed_demo_leaves_no_plugin_behind() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("demo.log");
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.args(["demo", "--keep"]);
    let mut demo = Program::start(command, &log, false).unwrap();
    let children = wait_until("four plugins of a demo", LONG, async || {
        let children = descendants(demo.pid());
        let plugins = children.iter().filter(|(_, name)| name.starts_with("plugin-")).count();
        if plugins >= 4 { Ok(children) } else { Err(format!("{children:?}; {}", demo.log())) }
    });
    let children = children.await.unwrap();
    demo.kill().unwrap();
    wait_until("the end of all children", Duration::from_secs(10), async || {
        let left: Vec<_> = children.iter().filter(|(pid, name)| lives(*pid, name)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn json_is_nothing_but_json_and_the_exit_code_tells_the_verdict() {
    let staged = Staged::bundled().unwrap();
    let healthy = std::fs::read_dir(scenarios()).unwrap().flatten().find(|entry| {
        std::fs::read_to_string(entry.path().join("scenario.json"))
            .is_ok_and(|text| text.contains("\"no_fault\": true"))
    });
    let healthy = Staged::copy(&healthy.expect("a healthy scenario").path()).unwrap();
    let nothing = tempfile::tempdir().unwrap();
    std::fs::create_dir(nothing.path().join("kube")).unwrap();
    std::fs::write(nothing.path().join("kube/pod.json"), "[]").unwrap();
    std::fs::write(nothing.path().join("snapshot.json"), "{\"taken_at\":\"2025-11-28T18:47:00Z\"}")
        .unwrap();
    for (snapshot, alert, code, verdict) in [
        (staged.path(), staged.scenario.alert(), 0, "VERDICT_ROOT_CAUSE_FOUND"),
        (healthy.path(), healthy.scenario.alert(), 3, "VERDICT_HEALTHY"),
        (nothing.path(), staged.scenario.alert(), 4, "VERDICT_INCONCLUSIVE"),
    ] {
        let snapshot = snapshot.to_str().unwrap();
        let ended = agentd(&[
            "investigate",
            &alert.description,
            "--type",
            &alert.r#type,
            "--service",
            &alert.service,
            "--namespace",
            &alert.namespace,
            "--snapshot",
            snapshot,
            "--json",
        ])
        .await;
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{verdict}: {}\n{}",
            ended.stdout,
            ended.stderr
        );
        let told: serde_json::Value =
            serde_json::from_str(&ended.stdout).expect("nothing but JSON");
        let said = told.to_string();
        assert!(said.contains(verdict), "{verdict}: {said}");
    }
    let unreachable =
        agentd(&["investigate", "--service", "a", "--server", "http://127.0.0.1:9"]).await;
    assert_eq!(unreachable.status.code(), Some(1), "{}", unreachable.stderr);
    assert!(!unreachable.stderr.is_empty());
}

#[tokio::test]
async fn what_a_daemon_found_can_be_listed_shown_and_followed() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let url = fleet.url();
    let alert = staged.scenario.alert();
    let asked = agentd(&[
        "investigate",
        "--type",
        &alert.r#type,
        "--service",
        &alert.service,
        "--namespace",
        &alert.namespace,
        "--server",
        &url,
    ])
    .await;
    assert_eq!(asked.status.code(), Some(0), "{}\n{}", asked.stdout, asked.stderr);
    plain(&asked);
    let mut client = fleet.client().unwrap();
    let list =
        client.agent.list_investigations(agent_proto::v1::ListInvestigationsRequest::default());
    let name = list.await.unwrap().into_inner().investigations[0].name.clone();
    let id = name.strip_prefix("investigations/").unwrap();
    for arguments in [
        vec!["list", "--server", &url],
        vec!["show", id, "--server", &url],
        vec!["watch", id, "--server", &url],
        vec!["tools", "list", "--server", &url],
        vec!["tools", "show", "pods.check_pods", "--server", &url],
    ] {
        let ended = agentd(&arguments).await;
        assert_eq!(
            ended.status.code(),
            Some(0),
            "{arguments:?}: {}\n{}",
            ended.stdout,
            ended.stderr
        );
        plain(&ended);
        assert!(!ended.stdout.is_empty(), "{arguments:?} says nothing");
    }
    let ended = agentd(&["show", "not-a-uuid", "--server", &url]).await;
    assert_eq!(ended.status.code(), Some(1));
    let version = agentd(&["version"]).await;
    assert!(version.status.success() && version.stdout.contains(env!("CARGO_PKG_VERSION")));
    let _ = SOON;
}
