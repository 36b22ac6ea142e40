//! The program `plugin-logs`: names the cluster, and a store of logs beside it, on its command line;
//! serves until it is stopped.

use std::{process::ExitCode, sync::Arc};

use clap::Parser;
use plugin_cluster::Source;
use plugin_logs::store::{Store, settings::Settings};

/// Answers agentd's questions about the logs of a cluster.
#[derive(Debug, Parser)]
#[command(name = "plugin-logs", version)]
struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    store: Settings,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    plugin_http::prepare();
    let arguments = Arguments::parse();
    let store = Store::of(&arguments.store, jiff::Timestamp::now)?.map(Arc::new);
    let cluster = arguments.source.open().await?;
    Ok(plugin_logs::beside(&cluster, store).main().await)
}
