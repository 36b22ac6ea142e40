//! `agentd serve`: the daemon alone, until it is told to stop.

use super::{DONE, Error, args::Settings, out, run::terminated};
use crate::{
    app,
    config::{Environment, load::load},
    telemetry,
};

pub(super) async fn run(args: &Settings, environment: &Environment) -> Result<u8, Error> {
    let loaded = load(&args.sources(environment))?;
    telemetry::start(&loaded.config.log)?;
    let data = loaded.config.data_dir.clone();
    let mut running = app::start(loaded.config, None).await?;
    // One line that people and programs can read: with port 0 nobody else knows the ports.
    let http = running.http().map_or("off".to_owned(), |at| at.to_string());
    let grpc = running.grpc();
    out::line(&format!("listening grpc={grpc} http={http} data={}", data.display()))?;
    tokio::select! {
        () = terminated() => {}
        error = running.failed() => {
            let _ = running.stop().await;
            return Err(error.into());
        }
    }
    out::aside("stopping: work in progress is given a moment to end");
    running.stop().await?;
    Ok(DONE)
}
