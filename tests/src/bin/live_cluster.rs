//! A control plane with a node to try things on by hand: says how to reach it, and is there until
//! its stdin ends or it is killed. Nothing is left of it then.

use std::io::{Read as _, Write as _};

use agent_tests::control_plane::{ControlPlane, nodes};
use anyhow::{Context as _, Result};
use clap::Parser;

/// A real control plane on the loopback with a simulated node, until stdin ends.
#[derive(Parser)]
struct Arguments {
    /// So many nodes of kwok beside it.
    #[arg(long, default_value_t = 0)]
    kwok: usize,
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
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
