//! The program `plugin-logs`: names the cluster on its command line, serves until it is stopped.

use clap::Parser;
use plugin_cluster::Source;

/// Answers agentd's questions about the logs of a cluster.
#[derive(Debug, Parser)]
#[command(name = "plugin-logs", version)]
struct Arguments {
    #[command(flatten)]
    source: Source,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cluster = Arguments::parse().source.open().await?;
    Ok(plugin_logs::plugin(&cluster).run_from_env().await?)
}
