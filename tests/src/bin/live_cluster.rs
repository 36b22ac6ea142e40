//! A control plane with a node to try things on by hand: says how to reach it, and is there until
//! its stdin ends or it is killed. Nothing is left of it then.

use std::io::{Read as _, Write as _};

use agent_tests::{
    control_plane::{ControlPlane, nodes},
    fleet::BUNDLED,
    live,
    worlds::{Incident, World},
};
use anyhow::{Context as _, Result};
use clap::Parser;
use futures_util::future::try_join_all;

/// A real control plane on the loopback with a simulated node, until stdin ends.
#[derive(Parser)]
struct Arguments {
    /// So many nodes of kwok beside it.
    #[arg(long, default_value_t = 0)]
    kwok: usize,
    /// Incidents happen in it, and the plugins have their accounts.
    #[arg(long)]
    incidents: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let plane = ControlPlane::start().await?.context("rung 3 is not installed")?;
    if nodes::can_run_kubelets() {
        plane.start_kubelet(nodes::NODE).await?;
    }
    if arguments.kwok > 0 {
        plane.start_kwok(arguments.kwok).await?;
    }
    let link = plane.dir().join("kubectl");
    std::os::unix::fs::symlink(plane.binary(), &link)?;
    let mut out = std::io::stdout();
    writeln!(out, "export KUBECONFIG={}", plane.kubeconfig_admin()?.display())?;
    writeln!(out, "alias kubectl={}", link.display())?;
    out.flush()?;
    // Held until the end: some answer the API server.
    let _worlds = if arguments.incidents { happen(&plane).await? } else { Vec::new() };
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Makes incidents happen, and says what to ask about them.
async fn happen(plane: &ControlPlane) -> Result<Vec<World<'_>>> {
    live::grant(plane).await?;
    let apart = Incident::ALL.into_iter().filter(|incident| incident.stays_in_its_namespace());
    let worlds = try_join_all(apart.map(async |incident| {
        let world = World::create(plane, incident).await?;
        world.visible().await?;
        anyhow::Ok(world)
    }))
    .await?;
    let mut out = std::io::stdout();
    writeln!(out, "# nobody's: {}", plane.kubeconfig_without_rights()?.display())?;
    for plugin in BUNDLED {
        let account = format!("plugin-{plugin}");
        let file = plane.kubeconfig_for_service_account(live::NAMESPACE, &account).await?;
        writeln!(out, "# {account}'s: {}", file.display())?;
    }
    for world in &worlds {
        let alert = world.truth.alert();
        writeln!(
            out,
            "# {:?}: agentd investigate --type {} --service {} --namespace {}",
            world.incident, alert.r#type, alert.service, alert.namespace
        )?;
    }
    out.flush()?;
    Ok(worlds)
}
