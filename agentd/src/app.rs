//! Builds everything once, in the order of dependence, and serves it. Nothing exists half-made:
//! when `start` returns, the doors are open; when `stop` returns, they are closed and the journal
//! holds all that was acknowledged.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    engine::{self, Engine, Parts},
    guard::policy::Policy,
    http::{self, JournalReadiness, PluginReadiness, Readiness, Shown},
    investigation::Bounds,
    journal::{self, Codec, Journal},
    memory::{self, Memory},
    plugin::{
        Tools,
        registry::{self, Registry},
    },
    reasoner::catalogue::{self, Catalogue},
    rpc::{self, Services, convert, investigations::Investigations, plugins::Plugins},
    telemetry::metrics::Metrics,
};

/// Namespaces that only the plugins of a supervised run may use.
pub const RESERVED: [&str; 5] = ["pods", "logs", "metrics", "events", "remedies"];
/// How long work in progress may take to end when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);

/// A daemon that serves.
pub struct Running {
    grpc: SocketAddr,
    http: Option<SocketAddr>,
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
    if !config.grpc.listen.ip().is_loopback() {
        tracing::warn!(
            listen = %config.grpc.listen,
            "others can reach this daemon, which knows no roles and no TLS yet"
        );
    }
    let grpc = listen(config.grpc.listen).await?;
    let http = match config.http.listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let metrics = Metrics::new();
    let folder = config.investigation.causes_dir.as_deref();
    let catalogue = Arc::new(Catalogue::with_folder(folder)?);
    let journal = open_journal(&config).await?;
    let memory = Memory::open(config.memory(), journal.clone(), clock()).await?;
    let registry = Registry::new(registry::Config {
        lease_ttl: config.plugins.lease_ttl,
        renew_interval: config.plugins.renew_interval,
        reserved: RESERVED.map(str::to_owned).into(),
        networks: config.plugins.networks.clone(),
        supervised_token: token,
        catalogue,
        server_id: uuid::Uuid::new_v4().to_string(),
    });
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
    let services = Services {
        investigations: Investigations::new(engine.clone(), journal.clone(), clock),
        plugins: Plugins::new(registry.clone(), (tools.clone(), Policy::default()), clock),
    };
    serve(Doors { grpc, http, services, metrics, registry, engine, tools })
}

struct Doors {
    grpc: TcpListener,
    http: Option<TcpListener>,
    services: Services,
    metrics: Metrics,
    registry: Registry,
    engine: Engine,
    tools: Tools,
}

fn serve(doors: Doors) -> Result<Running, Error> {
    let address = |listener: &TcpListener| listener.local_addr().map_err(Error::Address);
    let grpc = address(&doors.grpc)?;
    let http = doors.http.as_ref().map(address).transpose()?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let stopped = stop.clone();
    tasks.spawn(async move {
        rpc::serve(doors.grpc, doors.services, stopped.cancelled_owned()).await?;
        Ok(())
    });
    if let Some(listener) = doors.http {
        let gauges = Gauges::new(doors.registry.clone(), doors.metrics);
        let (registry, engine) = (doors.registry, doors.engine.clone());
        let shown = Shown {
            readiness: Arc::new(move || readiness(&registry, &engine)),
            exposition: Arc::new(move || gauges.text()),
        };
        let stopped = stop.clone();
        tasks.spawn(async move {
            http::serve(listener, shown, stopped.cancelled_owned()).await?;
            Ok(())
        });
    }
    Ok(Running { grpc, http, engine: doors.engine, tools: doors.tools, stop, tasks })
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

    /// The tools of the plugins that are registered.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
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

/// Numbers that are looked up when they are asked for rather than counted as things happen.
struct Gauges {
    registry: Registry,
    metrics: Metrics,
    told: Mutex<Told>,
}

/// What was told last: plugins by name, and leases that had run out.
#[derive(Default)]
struct Told {
    plugins: BTreeSet<String>,
    expired: u64,
}

/// States of an instance, as the gauge names them.
const STATES: [&str; 3] = ["ready", "unready", "draining"];

impl Gauges {
    fn new(registry: Registry, metrics: Metrics) -> Self {
        Self { registry, metrics, told: Mutex::default() }
    }

    fn text(&self) -> String {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let plugins = self.registry.plugins();
        let names: BTreeSet<String> = plugins.iter().map(|plugin| plugin.name.clone()).collect();
        for gone in told.plugins.difference(&names) {
            self.metrics.plugin_forgotten(gone, &STATES);
        }
        for plugin in &plugins {
            for state in STATES {
                let in_state = plugin.instances.iter().filter(|i| word(i.readiness) == state);
                self.metrics.plugin_instances(&plugin.name, state, in_state.count());
            }
        }
        let expired = self.registry.expirations();
        for _ in told.expired..expired {
            self.metrics.lease_expired();
        }
        *told = Told { plugins: names, expired };
        self.metrics.text()
    }
}

fn word(readiness: registry::Readiness) -> &'static str {
    match readiness {
        registry::Readiness::Ready => "ready",
        registry::Readiness::Unready => "unready",
        registry::Readiness::Draining => "draining",
    }
}

/// What `/readyz` tells. Investigations are taken without plugins, too, but could ask nobody.
fn readiness(registry: &Registry, engine: &Engine) -> Readiness {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let plugins: Vec<PluginReadiness> = registry
        .plugins()
        .into_iter()
        .map(|plugin| PluginReadiness {
            name: plugin.name.clone(),
            instances: count(plugin.instances.len()),
            ready: count(
                plugin
                    .instances
                    .iter()
                    .filter(|i| i.readiness == registry::Readiness::Ready)
                    .count(),
            ),
        })
        .collect();
    Readiness {
        ready: plugins.iter().any(|plugin| plugin.ready > 0),
        llm_available: false,
        using_fallback: true,
        plugins,
        journal: JournalReadiness {
            state: match engine.lost() {
                0 => "ok".to_owned(),
                n => format!("could not be written: {n} investigation(s) were lost"),
            },
        },
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

async fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
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
