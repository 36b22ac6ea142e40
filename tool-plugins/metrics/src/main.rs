//! The program `plugin-metrics`: names the cluster and its Prometheus on its command line, serves until
//! it is stopped.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use plugin_cluster::Source;
use plugin_metrics::{
    live::{Live, settings::Settings},
    recording::Recording,
};

/// Answers agentd's questions about the metrics of a cluster.
#[derive(Debug, Parser)]
#[command(name = "plugin-metrics", version)]
struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    prometheus: Settings,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    plugin_http::prepare();
    let arguments = Arguments::parse();
    let cluster = arguments.source.open().await?;
    let recording = match Live::of(&arguments.prometheus, jiff::Timestamp::now)? {
        Some(live) => Recording::live(cluster, live),
        None => Recording::new(cluster),
    };
    let recording = Arc::new(recording);
    let plugin = plugin_metrics::plugin(&recording);
    // Reading begins at once, so that the first call need not wait; what goes wrong is told to
    // whoever calls.
    let (ended, ()) = tokio::join!(plugin.main(), recording.prepare());
    Ok(ended)
}
