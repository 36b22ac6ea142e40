//! The program `plugin-metrics`: names the cluster on its command line, serves until it is stopped.

use std::sync::Arc;

use clap::Parser;
use plugin_cluster::Source;
use plugin_metrics::recording::Recording;

/// Answers agentd's questions about the metrics of a cluster.
#[derive(Debug, Parser)]
#[command(name = "plugin-metrics", version)]
struct Arguments {
    #[command(flatten)]
    source: Source,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let recording = Arc::new(Recording::new(Arguments::parse().source.open().await?));
    let plugin = plugin_metrics::plugin(&recording);
    // Reading begins at once, so that the first call need not wait; what goes wrong is told to
    // whoever calls.
    let (served, _) = tokio::join!(plugin.run_from_env(), recording.measured());
    Ok(served?)
}
