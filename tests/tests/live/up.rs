//! The daemon with its plugins on a cluster in one command, as a person uses it at night: from the
//! kubeconfig to the report on a terminal.

use std::process::{Command, Stdio};

use agent_tests::{
    build,
    control_plane::ControlPlane,
    fleet::SOON,
    process::{self, Program},
    wait::wait_until,
    worlds::{Incident, World},
};

#[tokio::test]
async fn up_reads_the_cluster_of_a_kubeconfig_and_investigate_prints_the_cause() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let world = World::create(plane, Incident::MissingConfigKey).await.unwrap();
    world.visible().await.unwrap();
    let (dir, agentd) = (tempfile::tempdir().unwrap(), build::programs().unwrap().join("agentd"));
    let mut command = Command::new(&agentd);
    command.arg("up").arg("--kubeconfig").arg(plane.kubeconfig_admin().unwrap());
    command.args(["--listen", "127.0.0.1:0", "--http", "off", "--data-dir"]);
    command.arg(dir.path().join("data")).stdin(Stdio::null()).env("HOME", dir.path());
    let up = Program::start(command, &dir.path().join("log"), false).unwrap();
    let address = wait_until("plugins that are ready", SOON, async || {
        let log = up.log();
        let address = log.split_whitespace().find_map(|word| word.strip_prefix("grpc="));
        let ready = log.contains("plugins are ready");
        address.filter(|_| ready).map(str::to_owned).ok_or_else(|| log.clone())
    })
    .await
    .unwrap();

    let alert = world.truth.alert();
    let mut ask = Command::new(&agentd);
    ask.args(["investigate", "--server", &format!("http://{address}")]);
    ask.args(["--type", &alert.r#type, "--service", &alert.service]);
    ask.args(["--namespace", &alert.namespace]);
    let told = process::run(ask, SOON).await.unwrap();
    assert_eq!(told.status.code(), Some(0), "a cause was found: {told:?}");
    let culprit = format!("[{}]", world.truth.category);
    assert!(told.stdout.contains(&culprit), "{told:?}");
    assert!(told.stdout.contains("Make sure"), "{told:?}");
    // What cannot be seen without a Prometheus is said, there and in the report.
    assert!(up.log().contains("no --prometheus-url"), "{}", up.log());
    assert!(told.stdout.contains("metrics"), "{told:?}");
}
