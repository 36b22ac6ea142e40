//! The pods plugin as a process.

use clap::Parser;
use plugin_cluster::Source;

/// agentd plugin: pods, rollouts, Services and nodes of a cluster
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    source: Source,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = Arguments::parse().source.open().await?;
    plugin_pods::tools::plugin(&cluster).run_from_env().await?;
    Ok(())
}
