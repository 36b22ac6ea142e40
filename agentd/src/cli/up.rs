//! `agentd up`: the daemon with its plugins as child processes on this machine, against a live
//! cluster or a recorded one, until it is told to stop.

use std::{ffi::OsString, fs};

use uuid::Uuid;

use super::{
    DONE, Error,
    args::{PROMETHEUS_URL, Up},
    local::{PLUGINS, staff},
    out,
    run::terminated,
};
use crate::{
    app::{self, Running},
    config::{Config, Environment, load::load},
    fleet::{self, Fleet, Output},
    telemetry,
};

pub(super) async fn run(args: &Up, environment: &Environment) -> Result<u8, Error> {
    let config = load(&args.settings.sources(environment))?.config;
    telemetry::start(&config.log)?;
    let token = Uuid::new_v4().simple().to_string();
    let mut running = app::start(config.clone(), Some(token.clone())).await?;
    let ended = tokio::select! {
        ended = served(args, environment, (&config, &token, &running)) => ended,
        () = terminated() => Ok(None),
    };
    let ended = match ended {
        Ok(Some(fleet)) => {
            let ended = tokio::select! {
                () = terminated() => Ok(DONE),
                error = running.failed() => Err(error.into()),
            };
            out::aside("stopping: work in progress is given a moment to end");
            fleet.stop().await;
            ended
        }
        Ok(None) => Ok(DONE),
        Err(error) => Err(error),
    };
    let stopped = running.stop().await;
    let code = ended?;
    stopped?;
    Ok(code)
}

/// Starts the plugins and says where to ask.
async fn served(
    args: &Up,
    environment: &Environment,
    (config, token, running): (&Config, &str, &Running),
) -> Result<Option<Fleet>, Error> {
    let logs = config.data_dir.join("plugins");
    fs::create_dir_all(&logs).map_err(Error::file(&logs, "make"))?;
    let grpc = running.grpc();
    let fleet = fleet::Config {
        names: PLUGINS.map(str::to_owned).into(),
        plugin_dir: args.target.plugin_dir.clone().or_else(|| config.plugins.dir.clone()),
        path: environment.get("PATH").map(OsString::from),
        url: running.url_for_children(),
        token: token.to_owned(),
        arguments: args.target.arguments(),
        variables: args.target.variables(),
        // Who names a recording here may name a Prometheus beside it.
        withheld: Vec::new(),
        output: Output::Directory(logs.clone()),
    };
    let fleet = staff(&fleet, running, &logs).await?;
    let http = running.http().map_or("off".to_owned(), |at| at.to_string());
    let data = config.data_dir.display();
    out::line(&format!("listening grpc={grpc} http={http} data={data}"))?;
    if args.target.prometheus_url.is_none()
        && environment.get(PROMETHEUS_URL).is_none()
        && args.target.snapshot.is_none()
    {
        out::aside("no --prometheus-url: metrics will be a gap of each report");
    }
    out::aside("plugins are ready; from another terminal:");
    let server = match (config.tls.cert_file.is_some(), grpc.port()) {
        (true, port) => format!(" --server https://NAME_IN_THE_CERTIFICATE:{port} --ca-file FILE"),
        (false, 50051) => String::new(),
        (false, _) => format!(" --server http://{grpc}"),
    };
    out::aside(&format!(
        "  agentd investigate --service my-service --namespace my-namespace{server}"
    ));
    Ok(Some(fleet))
}
