//! One daemon in this process with its journal and memory in a scratch folder, and the bundled
//! plugins before a recording: each served by the SDK, with a relay of ours on the loopback that
//! the daemon dials. Registration, calls, events and reports go over the wire as everywhere.

use std::{path::Path, sync::Arc, time::Duration};

use agent_proto::{
    tool::v1::{
        DeregisterRequest, DirectTransport, RegisterRequest,
        plugin_registry_service_client::PluginRegistryServiceClient, register_request::Transport,
        tool_service_server::ToolServiceServer,
    },
    v1::{self, Alert, InvestigationState, StreamEventsRequest, stream_events_response::Item},
};
use agent_sdk::{Plugin, kit::Harness};
use agentd::{
    app::{self, Running},
    config::Config,
    tool::ToolSpec,
};
use anyhow::{Context as _, Result, anyhow, bail};
use plugin_cluster::{Cluster, Source};
use plugin_metrics::recording::Recording;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use uuid::Uuid;

use super::{
    relay::{Disturbance, Passage, Relay},
    stage,
};
use crate::client::{Client, decoded};

/// How long plugins may take to be ready, and an investigation to end; both are generous.
const PATIENCE: Duration = Duration::from_secs(180);
/// Bound of one investigation: what waits for a tool that is cut off is measured as ended early.
const LONGEST: Duration = Duration::from_secs(120);
/// How soon events that are there come, and how many of them are told.
const AT_ONCE: Duration = Duration::from_millis(500);
/// See [`AT_ONCE`].
const TOLD: usize = 8;
/// Leases outlast every investigation, so nobody has to renew them.
const LEASE: Duration = Duration::from_secs(3600);
/// Calls that a plugin takes at once, as the SDK has it.
const CAPACITY: i32 = 8;
/// Largest message of the wire.
const MAX_WIRE: usize = 4 * 1024 * 1024;

/// A daemon of our own.
pub struct Stand {
    daemon: Running,
    /// Goes with the stand.
    _dir: TempDir,
}

/// The bundled plugins before one recording, known to a daemon.
pub struct Attached {
    /// What they said.
    pub passage: Passage,
    leases: Vec<String>,
    _servers: Vec<AbortOnDropHandle<()>>,
}

/// An investigation that ended, with its events.
#[derive(Debug)]
pub struct Ended {
    /// As it ended.
    pub investigation: v1::Investigation,
    /// All of them, in order.
    pub events: Vec<v1::Event>,
}

// === impl Stand ===

impl Stand {
    /// Starts a daemon that knows nothing yet.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn raise() -> Result<Self> {
        let dir = stage::scratch()?;
        let mut config = Config::with_data_dir(dir.path().join("data"));
        config.grpc.listen.set_port(0);
        config.http.listen = None;
        config.investigation.max_duration = LONGEST;
        config.plugins.lease_ttl = LEASE;
        config.plugins.renew_interval = LEASE / 3;
        let daemon = app::start(config, None).await?;
        Ok(Self { daemon, _dir: dir })
    }

    /// Attaches the bundled plugins, which read the recording in `stage`.
    ///
    /// # Errors
    /// When the recording cannot be read, or the daemon does not take a plugin.
    pub async fn attach(&self, stage: &Path, disturbance: Disturbance) -> Result<Attached> {
        let opened = Source::recorded(stage.to_owned()).open().await;
        let cluster = opened.map_err(|failure| anyhow!("{failure:?}"))?;
        let mut registry = PluginRegistryServiceClient::new(self.channel()?);
        let passage = Passage::default();
        let (mut leases, mut servers, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for plugin in bundled(&cluster) {
            let catalog = plugin.catalog().clone();
            names.push(catalog.plugin.clone());
            let relay = Relay::new(Harness::new(plugin).await?, disturbance, passage.clone());
            let (endpoint, server) = served(relay).await?;
            servers.push(server);
            let direct = DirectTransport { endpoint, ..DirectTransport::default() };
            let request = RegisterRequest {
                instance_id: Uuid::new_v4().to_string(),
                catalog: Some(catalog),
                transport: Some(Transport::Direct(direct)),
                max_concurrent_calls: CAPACITY,
                ..RegisterRequest::default()
            };
            leases.push(accepted(&mut registry, request).await?);
        }
        let ready = self.daemon.tools().wait_ready(&names, Instant::now() + PATIENCE).await;
        ready.map_err(|missing| anyhow!("not ready in time: {}", missing.join(", ")))?;
        Ok(Attached { passage, leases, _servers: servers })
    }

    /// Takes the plugins away, so that others can come.
    ///
    /// # Errors
    /// When the daemon cannot be told.
    pub async fn detach(&self, attached: Attached) -> Result<()> {
        let mut registry = PluginRegistryServiceClient::new(self.channel()?);
        for lease_id in attached.leases {
            let reason = "the recording is over".to_owned();
            registry.deregister(DeregisterRequest { lease_id, reason }).await?;
        }
        Ok(())
    }

    /// Investigates an alert to its end.
    ///
    /// # Errors
    /// When the daemon refuses it, or it does not end in time.
    pub async fn investigate(&self, alert: Alert) -> Result<Ended> {
        let mut client = Client::new(&self.daemon.grpc().to_string())?;
        let refused = |refusal| anyhow!("refused: {refusal:?}");
        let asked = client.investigate(alert, PATIENCE).await.map_err(refused)?;
        let running =
            [InvestigationState::Queued, InvestigationState::Running].contains(&asked.state());
        if running || asked.report.is_none() {
            let last = so_far(&mut client, &asked.name).await;
            bail!("it did not end within {PATIENCE:?}; last it told: {}", last.join(" / "));
        }
        let bytes = client.events(&asked.name, 0).await.map_err(refused)?;
        Ok(Ended { events: decoded(&bytes)?, investigation: asked })
    }

    /// The tools that can be called now.
    #[must_use]
    pub fn tools(&self) -> Vec<Arc<ToolSpec>> {
        self.daemon.tools().specs()
    }

    /// Stops the daemon.
    ///
    /// # Errors
    /// When a door does not close well.
    pub async fn strike(self) -> Result<()> {
        Ok(self.daemon.stop().await?)
    }

    fn channel(&self) -> Result<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.daemon.grpc()))?.connect_lazy())
    }
}

/// What an investigation that still runs told last.
async fn so_far(client: &mut Client, name: &str) -> Vec<String> {
    let request = StreamEventsRequest { name: name.to_owned(), ..StreamEventsRequest::default() };
    let Ok(answer) = client.agent.stream_events(request).await else { return Vec::new() };
    let mut stream = answer.into_inner();
    let mut told = Vec::new();
    // The stream follows the investigation: what is there comes at once, then nothing.
    while let Ok(Ok(Some(item))) = timeout(AT_ONCE, stream.message()).await {
        if let Some(Item::Event(bytes)) = item.item
            && let Ok(events) = decoded(&[bytes])
        {
            told.extend(events.into_iter().map(|event| event.summary));
        }
    }
    told.split_off(told.len().saturating_sub(TOLD))
}

/// The bundled plugins over a cluster. Metrics are read at once, as the program does it.
fn bundled(cluster: &Cluster) -> [Plugin; 4] {
    let recording = Arc::new(Recording::new(cluster.clone()));
    let early = Arc::clone(&recording);
    // What goes wrong is told to whoever asks.
    tokio::spawn(async move { early.prepare().await });
    [
        plugin_pods::tools::plugin(cluster),
        plugin_events::tools::plugin(cluster.clone()),
        plugin_logs::plugin(cluster),
        plugin_metrics::plugin(&recording),
    ]
}

/// Serves a relay on a free port of the loopback.
async fn served(relay: Relay) -> Result<(String, AbortOnDropHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let service = ToolServiceServer::new(relay)
        .max_decoding_message_size(MAX_WIRE)
        .max_encoding_message_size(MAX_WIRE);
    let serving = Server::builder().add_service(service).serve_with_incoming(incoming);
    let server = tokio::spawn(async move {
        // It ends with the handle; what breaks before shows as a call that fails.
        let _ = serving.await;
    });
    Ok((address, AbortOnDropHandle::new(server)))
}

/// Registers a plugin whose tools all have to be taken, and gives its lease.
async fn accepted(
    registry: &mut PluginRegistryServiceClient<Channel>,
    request: RegisterRequest,
) -> Result<String> {
    let answer = registry.register(request).await?.into_inner();
    if let Some(verdict) = answer.verdicts.iter().find(|verdict| !verdict.accepted) {
        let tool = verdict.tool.as_ref().map(|tool| tool.tool.as_str()).unwrap_or_default();
        let why = verdict.rejection.as_ref().context("a refusal without a reason")?;
        bail!("the daemon refuses {tool}: {}", why.message);
    }
    Ok(answer.lease_id)
}
