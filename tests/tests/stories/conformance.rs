//! What we ask of others we keep ourselves: plugin-check over the plugins of the bundle, and over
//! the smallest plugin of the README.

use std::{ffi::OsString, fs, path::Path, process::Command, time::Duration};

use agent_tests::{build, fleet::BUNDLED, process, python::Python, staged::Staged, strangers};
use futures_util::stream::{self, StreamExt as _};
use serde_json::json;

/// A run takes about 25 s each way, more on a busy machine.
const RUN: Duration = Duration::from_secs(300);

/// What can be asked of a plugin that only reads, has nothing slow and says nothing of the form of its
/// results: none of it may go unlooked at. The rest is shown on the honest plugin of plugin-check.
const LOOKED_AT: &str = "REG-01,REG-02,REG-03,REG-04,REG-05,LEASE-01,LEASE-02,LEASE-03,LEASE-04,LEASE-05,\
    CAT-01,CAT-02,CAT-03,CAT-04,HLTH-01,CALL-01,CALL-03,CALL-04,CALL-05,CALL-07,ARG-01,ARG-03,ERR-01,\
    ERR-03,ERR-05,TIME-02,CAN-02,CAN-03,DRAIN-01,RELAY-01,AUTH-01";

fn check(arguments: &[&str]) -> Command {
    let mut command = Command::new(build::programs().unwrap().join("plugin-check"));
    command.args(arguments);
    command
}

/// A call that works in this recording, in place of an example that names a pod of another cluster:
/// the first log there is, by its folders. Only of `plugin`: tools of others are a fault.
fn fixtures(plugin: &str, recording: &Path) -> serde_json::Value {
    if plugin != "logs" {
        return json!({});
    }
    let first = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names.remove(0).to_string_lossy().into_owned()
    };
    let logs = recording.join("logs");
    let namespace = first(&logs);
    let pod = first(&logs.join(&namespace));
    json!({"tools": {"get_logs": {
        "examples": [{"namespace": namespace, "pod": pod}],
        "not_found": {"namespace": namespace, "pod": "nobody-0"},
    }}})
}

#[tokio::test]
async fn every_plugin_of_the_bundle_keeps_every_must_and_should() {
    let staged = Staged::bundled().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let runs = BUNDLED.map(|name| {
        let told = folder.path().join(format!("{name}.yaml"));
        // JSON is YAML.
        fs::write(&told, fixtures(name, staged.path()).to_string()).unwrap();
        let found = if name == "logs" { ",ERR-04" } else { "" };
        let mut command = check(&["--level", "full", "--strict", "--mode", "both", "--require"]);
        command.arg(format!("{LOOKED_AT}{found}")).arg("--fixtures").arg(&told).arg("--exec");
        command.arg(build::programs().unwrap().join(format!("plugin-{name}")));
        command.arg("--snapshot").arg(staged.path());
        async move { (name, process::run(command, RUN).await.unwrap()) }
    });
    // Two at a time: each has several processes and clocks of its own.
    let ended: Vec<_> = stream::iter(runs).buffer_unordered(2).collect().await;
    for (name, ended) in ended {
        assert!(ended.status.success(), "{name}:\n{}\n{}", ended.stdout, ended.stderr);
    }
}

#[tokio::test]
async fn the_smallest_plugin_keeps_what_is_asked_of_it() {
    let Some(python) = Python::find().unwrap() else { return };
    let script = python.script("smallest_plugin.py");
    let mut command = check(&["--level", "basic", "--exec"]);
    command.arg(script.get_program()).args(script.get_args());
    let variables = script.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables.map(|(name, value)| (OsString::from(name), OsString::from(value))));
    let ended = process::run(command, RUN).await.unwrap();
    assert!(ended.status.success(), "{}\n{}", ended.stdout, ended.stderr);
}

#[tokio::test]
async fn the_plugins_in_go_and_python_keep_every_must_directly_and_by_relay() {
    let folder = tempfile::tempdir().unwrap();
    let mut runs = Vec::new();
    if let Some(probe) = strangers::probe(folder.path()).await.unwrap() {
        let mut command = check(&["--level", "full", "--mode", "both", "--exec"]);
        command.arg(probe).env("PROBE_ALLOW", "localhost,127.0.0.0/8,::1/128");
        runs.push(("probe", command));
    }
    if let Some(deploys) = strangers::deploys() {
        let repository = strangers::repository(folder.path()).unwrap();
        let mut command = check(&["--level", "full", "--mode", "both", "--exec"]);
        command.arg(deploys).env("DEPLOYS_REPOSITORIES", repository);
        runs.push(("deploys", command));
    }
    for (name, command) in runs {
        let ended = process::run(command, RUN).await.unwrap();
        assert!(ended.status.success(), "{name}:\n{}\n{}", ended.stdout, ended.stderr);
        for seen in ["ok    CALL-01", "ok    CAT-03", "ok    RELAY-01", "ok    DRAIN-01"] {
            assert!(ended.stdout.contains(seen), "{name}: no {seen}:\n{}", ended.stdout);
        }
    }
}
