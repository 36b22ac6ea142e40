//! A real cluster with real incidents to try `agentd up` and `agentd doctor` on: starts the control
//! plane of the live tests, makes the incidents happen, gives the plugins' accounts, prints the
//! kubeconfigs, and stops with the first line on stdin or its end.

#![allow(clippy::print_stdout, reason = "a program for people")]

use agent_tests::{
    control_plane::ControlPlane,
    live,
    worlds::{Incident, World},
};
use anyhow::{Context as _, Result};
use futures_util::future::join_all;

#[tokio::main]
async fn main() -> Result<()> {
    let plane = ControlPlane::shared_with_node().await?.context("what is missing stands above")?;
    live::grant(plane).await?;
    let apart = Incident::ALL.into_iter().filter(|incident| incident.stays_in_its_namespace());
    let worlds = join_all(apart.map(async |incident| {
        let world = World::create(plane, incident).await?;
        world.visible().await?;
        anyhow::Ok(world)
    }))
    .await;
    let worlds = worlds.into_iter().collect::<Result<Vec<_>>>()?;
    println!("admin       {}", plane.kubeconfig_admin()?.display());
    println!("no rights   {}", plane.kubeconfig_without_rights()?.display());
    for plugin in agent_tests::fleet::BUNDLED {
        let account = format!("plugin-{plugin}");
        let kubeconfig = plane.kubeconfig_for_service_account(live::NAMESPACE, &account).await?;
        println!("{account:<15} {}", kubeconfig.display());
    }
    for world in &worlds {
        let alert = world.truth.alert();
        println!(
            "{:?}: --type {} --service {} --namespace {}",
            world.incident, alert.r#type, alert.service, alert.namespace
        );
    }
    println!("ready; end it with an empty line");
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await??;
    Ok(())
}
