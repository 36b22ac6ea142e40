//! The pods plugin as a process.

use std::process::ExitCode;

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
async fn main() -> anyhow::Result<ExitCode> {
    let cluster = Arguments::parse().source.open().await?;
    Ok(plugin_pods::tools::plugin(&cluster).main().await)
}
