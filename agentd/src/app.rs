//! Builds everything once, in the order of dependence, and serves it. Nothing exists half-made:
//! when `start` returns, the doors are open; when `stop` returns, they are closed and the journal
//! holds all that was acknowledged.

mod certificates;
mod children;
mod shown;
mod tokens;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ::http::HeaderValue;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::certificates::Certificates;
use self::shown::{Gauges, readiness};
use crate::{
    config::Config,
    engine::{self, Engine, Parts},
    guard::policy::Policy,
    guard::tokens::Tokens,
    http::{self, Shown},
    intake::{self, Clerk, Intake, door},
    investigation::Bounds,
    journal::{self, Codec, Journal},
    memory::{self, Memory},
    notify::{self, Courier},
    plugin::{
        Tools,
        registry::{self, Registry},
        secured::Secured,
    },
    reasoner::catalogue::{self, Catalogue},
    rpc::{self, Services, convert, investigations::Investigations, plugins::Plugins},
    telemetry::metrics::Metrics,
    transport::{self, Listener, Tls, dial::Dialler},
};

/// Namespaces that only the plugins of a supervised run may use.
pub const RESERVED: [&str; 5] = ["pods", "logs", "metrics", "events", "remedies"];
/// How long work in progress may take to end when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);

/// A daemon that serves.
pub struct Running {
    grpc: SocketAddr,
    http: Option<SocketAddr>,
    children: SocketAddr,
    engine: Engine,
    tools: Tools,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), Error>>,
}

/// Why the daemon does not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; is another agentd running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The journal cannot be opened.
    #[error("the journal in {} cannot be used", dir.display())]
    Journal {
        /// The data directory.
        dir: PathBuf,
        /// Why not, and what to do.
        #[source]
        source: journal::Error,
    },
    /// Memory can neither be opened nor rebuilt.
    #[error("memory cannot be used")]
    Memory(#[from] memory::Error),
    /// A catalogue is not sound.
    #[error("the catalogue is not sound")]
    Catalogue(#[from] catalogue::document::Faults),
    /// What an earlier life left open cannot be closed.
    #[error("unfinished investigations cannot be closed")]
    Recovery(#[from] engine::Error),
    /// The gRPC door failed.
    #[error("the gRPC door failed")]
    Rpc(#[from] rpc::Error),
    /// The HTTP door failed.
    #[error("the HTTP door failed")]
    Http(#[from] http::Error),
    /// A receiver of messages cannot be told anything.
    #[error("receivers of messages cannot be told anything")]
    Notify(#[from] notify::Error),
    /// The certificates cannot be used.
    #[error("the certificates cannot be used")]
    Tls(#[from] transport::Error),
    /// The tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] tokens::Error),
    /// What is known of alerts cannot be read.
    #[error("the intake of alerts cannot be opened")]
    Intake(#[from] intake::Error),
    /// The operating system does not tell an address.
    #[error("a listening address cannot be read")]
    Address(#[source] std::io::Error),
    /// A door's task ended that should not have.
    #[error("a door closed by itself")]
    Ended,
}

/// Starts the daemon. `token` is what supervised plugins present for the reserved namespaces.
///
/// # Errors
/// What is wrong and how to mend it; nothing is left running then.
pub async fn start(config: Config, token: Option<String>) -> Result<Running, Error> {
    let certificates = Certificates::load(&config)?;
    let tokens = tokens_of(&config, token.as_deref())?;
    let grpc = listen(config.grpc.listen, certificates.grpc.clone()).await?;
    let http = match config.http.listen {
        Some(address) => Some(listen(address, certificates.http.clone()).await?),
        None => None,
    };
    let children = children::listen(&config, token.as_deref()).await?;
    let metrics = Metrics::new();
    let journal = open_journal(&config).await?;
    let memory = Memory::open(config.memory(), journal.clone(), clock()).await?;
    let registry = registry(&config, token, certificates.plugins.clone(), &journal)?;
    let tools = Tools::new(registry.clone(), agent_redact::redact_cow);
    let parts = Parts {
        journal: journal.clone(),
        memory,
        tools: tools.clone(),
        policy: Policy::default(),
        metrics: metrics.clone(),
        clock,
    };
    let engine = Engine::start_up(engine_config(&config), parts).await?;
    let parts = intake::Parts {
        engine: engine.clone(),
        journal: journal.clone(),
        metrics: metrics.clone(),
        clock,
    };
    let (intake, clerk) = Intake::open(config.intake(), parts)?;
    let alerts = door::Doors { intake, tokens: tokens.clone() };
    let couriers = couriers(&config, &journal, &metrics)?;
    let services = Services {
        investigations: Investigations::new(engine.clone(), journal.clone(), clock),
        plugins: Plugins::new(registry.clone(), (tools.clone(), Policy::default()), clock),
    };
    let inner = children.as_ref().map_or(grpc.address(), |door| door.listener.address());
    let plugins = services.plugins.clone();
    let origins = config.grpc.web_origins.clone();
    let doors =
        Doors { grpc, origins, http, services, metrics, registry, engine, tools, alerts, clerk };
    let mut running = Running { children: inner, ..serve(doors) };
    if let Some(door) = children {
        running.tasks.spawn(door.serve(plugins, running.stop.clone()));
    }
    running.keep(certificates.keep());
    for courier in couriers {
        running.keep(courier.run());
    }
    if let Some(file) = config.auth.tokens_file {
        running.keep(tokens::keep(file, tokens));
    }
    Ok(running)
}

struct Doors {
    grpc: Listener,
    origins: Vec<HeaderValue>,
    http: Option<Listener>,
    services: Services,
    metrics: Metrics,
    registry: Registry,
    engine: Engine,
    tools: Tools,
    alerts: door::Doors,
    clerk: Clerk,
}

fn serve(doors: Doors) -> Running {
    let grpc = doors.grpc.address();
    let http = doors.http.as_ref().map(Listener::address);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (stopped, tokens) = (stop.clone(), doors.alerts.tokens.clone());
    tasks.spawn(async move {
        let admitted = (tokens, doors.origins);
        rpc::serve(doors.grpc, doors.services, admitted, stopped.cancelled_owned()).await?;
        Ok(())
    });
    if let Some(listener) = doors.http {
        let gauges = Gauges::new(doors.registry.clone(), doors.tools.clone(), doors.metrics);
        let (registry, engine) = (doors.registry, doors.engine.clone());
        let shown = Shown {
            readiness: Arc::new(move || readiness(&registry, &engine)),
            exposition: Arc::new(move || gauges.text()),
        };
        let stopped = stop.clone();
        let alerts = doors.alerts;
        tasks.spawn(doors.clerk.run().map(Ok));
        tasks.spawn(async move {
            http::serve(listener, shown, Some(alerts), stopped.cancelled_owned()).await?;
            Ok(())
        });
    }
    Running { grpc, http, children: grpc, engine: doors.engine, tools: doors.tools, stop, tasks }
}

impl Running {
    /// Where gRPC is served.
    #[must_use]
    pub fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// Where HTTP is served, if it is.
    #[must_use]
    pub fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where the plugins of a supervised run register, as they dial it.
    #[must_use]
    pub fn url_for_children(&self) -> String {
        format!("http://{}", self.children)
    }

    /// The tools of the plugins that are registered.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Gives work an owner: it goes on until the daemon stops.
    fn keep(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stop.clone();
        self.tasks.spawn(async move {
            stopped.run_until_cancelled(work).await;
            Ok(())
        });
    }

    /// Resolves when a door closes that should not have.
    pub async fn failed(&mut self) -> Error {
        match self.tasks.join_next().await {
            Some(Ok(Err(error))) => error,
            Some(Ok(Ok(())) | Err(_)) | None => Error::Ended,
        }
    }

    /// Takes no new work, lets work in progress end for a while, closes the doors. What is not
    /// finished is closed at the next start.
    ///
    /// # Errors
    /// The first door that did not close well.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.engine.stop(DRAIN).await;
        self.tools.close();
        self.stop.cancel();
        let closed = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.unwrap_or(Err(Error::Ended))?;
            }
            Ok(())
        };
        // A watcher that holds its stream open does not keep the daemon alive.
        tokio::time::timeout(DRAIN, closed).await.unwrap_or(Ok(()))
    }
}

fn engine_config(config: &Config) -> engine::Config {
    let given = &config.investigation;
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    engine::Config {
        bounds: Bounds {
            max_duration: given.max_duration,
            max_tool_calls: given.max_tool_calls,
            max_rounds: given.max_rounds,
        },
        concurrent: size(given.concurrent),
        parallel_calls: size(given.parallel_calls),
    }
}

fn registry(
    config: &Config,
    token: Option<String>,
    dialler: Option<Dialler>,
    journal: &Journal,
) -> Result<Registry, Error> {
    let secured = Secured {
        dialler,
        server_name: config.plugins.server_name.clone(),
        demanded: !config.tls.insecure_allow_plaintext,
    };
    let folder = config.investigation.causes_dir.as_deref();
    let registry = Registry::open(
        registry::Config {
            lease_ttl: config.plugins.lease_ttl,
            renew_interval: config.plugins.renew_interval,
            reserved: RESERVED.map(str::to_owned).into(),
            networks: config.plugins.networks.clone(),
            secured,
            supervised_token: token,
            catalogue: Arc::new(Catalogue::with_folder(folder)?),
            accept_changes: config.plugins.accept_changes,
            clock,
            server_id: uuid::Uuid::new_v4().to_string(),
        },
        journal.clone(),
    );
    registry.map_err(|source| Error::Journal { dir: config.data_dir.clone(), source })
}

fn couriers(config: &Config, journal: &Journal, metrics: &Metrics) -> Result<Vec<Courier>, Error> {
    let parts = notify::Parts { journal: journal.clone(), metrics: metrics.clone(), clock };
    let webhooks = config.webhooks.iter().cloned();
    webhooks.map(|webhook| Ok(Courier::new(webhook, parts.clone())?)).collect()
}

async fn listen(address: SocketAddr, tls: Option<Tls>) -> Result<Listener, Error> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| Error::Listen { address, source })?;
    Listener::open(listener, tls).map_err(Error::Address)
}

/// Who may speak, as the file has it now.
fn tokens_of(config: &Config, supervised: Option<&str>) -> Result<Tokens, Error> {
    let tokens = Tokens::new(config.demands_tokens()).with_supervised(supervised);
    if let Some(file) = &config.auth.tokens_file {
        tokens::load(file, &tokens)?;
    }
    Ok(tokens)
}

async fn open_journal(config: &Config) -> Result<Journal, Error> {
    let dir = config.data_dir.clone();
    let opened = journal::Config { dir: dir.clone() };
    // Opening may read and repair: not on a thread that serves.
    tokio::task::spawn_blocking(move || Journal::open(&opened, codec()))
        .await
        .map_err(|_| Error::Ended)?
        .map_err(|source| Error::Journal { dir, source })
}

/// How events become bytes: the messages of `agentd.v1`.
#[must_use]
pub fn codec() -> Codec {
    Codec { encode: convert::encode, decode }
}

fn decode(stored: &bytes::Bytes) -> Result<crate::investigation::event::Event, journal::Error> {
    convert::decode(stored)
        .map_err(|error| journal::Error::Undecodable { detail: error.to_string() })
}

/// Wall time, read here and passed in everywhere else.
#[must_use]
pub fn clock() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests;
