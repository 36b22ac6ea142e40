//! The agentd that is played: a registry and a relay on one port, that accept, refuse and forget as
//! a check wants, and write down what the plugin says and when. It runs on a runtime of its own, so
//! that it can be killed with all its connections as a process is.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1::{
    InstanceDirective, RegisterRequest, RenewRequest, ToolRef,
    plugin_registry_service_server::PluginRegistryServiceServer,
};
use prost::Message as _;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time::Instant};
use tonic::{Status, transport::server::TcpIncoming};

use crate::{
    agentd::relay::{RelayServer, Slot},
    exchange::Exchange,
};

pub(crate) mod registry;
pub(crate) mod relay;

/// Bytes of one stream that may wait unread: little, so that a plugin feels a slow reader.
pub(crate) const WINDOW: u32 = 64 * 1024;

/// How long leases last and when they are renewed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) ttl: Duration,
    pub(crate) renewal: Duration,
}

impl Pace {
    /// Short, so that a run is short.
    pub(crate) const SHORT: Self =
        Self { ttl: Duration::from_secs(3), renewal: Duration::from_secs(1) };
    /// For an agentd that goes away: its plugins' pauses have grown to seconds when it is back.
    pub(crate) const ROOMY: Self =
        Self { ttl: Duration::from_secs(6), renewal: Duration::from_secs(1) };
}

/// What a Register is answered.
#[derive(Debug, Clone)]
pub(crate) enum Registering {
    /// A lease, and a rejection of this tool.
    Reject(String),
    /// A status.
    Refuse(Status),
}

/// What a Renew is answered.
#[derive(Debug, Clone)]
pub(crate) enum Renewing {
    Direct(InstanceDirective),
    /// The lease is forgotten.
    Forget,
}

/// Something that the plugin did.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Registered {
        request: Box<RegisterRequest>,
        token: Option<String>,
        accepted: bool,
    },
    Renewed {
        request: RenewRequest,
        known: bool,
    },
    Deregistered,
    Parked {
        token: Option<String>,
    },
    /// An idle slot was given back.
    Released,
    /// An idle slot ended without `released`.
    Dropped,
    /// A call that was sent down a slot when `released` had come from it.
    Crossed(Box<Exchange>),
    /// A slot that named a lease which is not held.
    Stranger,
}

/// A deed and when it was done.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) at: Instant,
    pub(crate) deed: Deed,
}

/// The lease now held.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) id: String,
    pub(crate) ends: Instant,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) events: Vec<Event>,
    pub(crate) registering: VecDeque<Registering>,
    pub(crate) renewing: VecDeque<Renewing>,
    pub(crate) lease: Option<Lease>,
    pub(crate) idle: VecDeque<Slot>,
    /// A call for the next slot that is released.
    pub(crate) crossing: Option<crate::later::CallRequest>,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    pub(crate) pace: Pace,
}

/// A played agentd. Dropping it kills it.
pub(crate) struct Agentd {
    pub(crate) address: SocketAddr,
    /// When it began to listen: nothing came before.
    pub(crate) began: Instant,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, deed: Deed) {
        self.state().events.push(Event { at: Instant::now(), deed });
        self.touch();
    }

    pub(crate) fn touch(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

// === impl Agentd ===

impl Agentd {
    /// Listens on `address`.
    ///
    /// # Errors
    /// When nothing can listen there.
    pub(crate) async fn start(address: SocketAddr, pace: Pace) -> anyhow::Result<Self> {
        let began = Instant::now();
        let listener = TcpListener::bind(address).await?.into_std()?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: watch::Sender::new(0), pace });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("agentd")
            .enable_all()
            .build()?;
        let served = Arc::clone(&shared);
        runtime.spawn(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let served = tonic::transport::Server::builder()
                .max_concurrent_streams(1024)
                .initial_stream_window_size(WINDOW)
                .initial_connection_window_size(16 * 1024 * 1024)
                .add_service(PluginRegistryServiceServer::new(registry::Registry(Arc::clone(
                    &served,
                ))))
                .add_service(RelayServer(served))
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
            let _ = served.await;
        });
        Ok(Self { address, began, shared, runtime: Some(runtime) })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    pub(crate) fn pace(&self) -> Pace {
        self.shared.pace
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks after each deed, until `look` finds something or `limit` has passed.
    pub(crate) async fn wait_for<T>(
        &self,
        limit: Duration,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let mut changes = self.shared.changed.subscribe();
        tokio::time::timeout(limit, async {
            loop {
                changes.mark_unchanged();
                let found = look(&mut self.state());
                if let Some(found) = found {
                    return Some(found);
                }
                if changes.changed().await.is_err() {
                    return None;
                }
            }
        })
        .await
        .ok()
        .flatten()
    }

    /// The first event at or after `since` that `pick` takes.
    pub(crate) async fn event<T>(
        &self,
        since: Instant,
        limit: Duration,
        mut pick: impl FnMut(&Deed) -> Option<T>,
    ) -> Option<(Instant, T)> {
        self.wait_for(limit, |state| {
            let later = state.events.iter().filter(|event| event.at >= since);
            later.filter_map(|event| Some((event.at, pick(&event.deed)?))).next()
        })
        .await
    }

    /// The next accepted registration at or after `since`.
    pub(crate) async fn registration(
        &self,
        since: Instant,
        limit: Duration,
    ) -> Option<(Instant, Box<RegisterRequest>)> {
        self.event(since, limit, |deed| {
            if let Deed::Registered { request, accepted: true, .. } = deed {
                Some(request.clone())
            } else {
                None
            }
        })
        .await
    }

    /// Whether the plugin told of no running call in a renewal at or after `since`.
    pub(crate) async fn is_idle(&self, since: Instant, limit: Duration) -> bool {
        self.event(since, limit, |deed| {
            let is_idle =
                matches!(deed, Deed::Renewed { request, known: true } if request.calls_in_flight == 0);
            is_idle.then_some(())
        })
        .await
        .is_some()
    }

    /// Ends everything at once, connections too, as a killed process does.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Agentd {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A tool as agentd calls it in this command. The digest is none that agentd would compute: a plugin
/// only gives back what the verdict said.
pub(crate) fn tool_ref(plugin: &str, tool: &agent_proto::tool::v1::ToolDescriptor) -> ToolRef {
    let text = tool.encode_to_vec();
    let half = |space| uuid::Uuid::new_v5(&space, &text).simple().to_string();
    ToolRef {
        plugin: plugin.to_owned(),
        tool: tool.name.clone(),
        version: if tool.version.is_empty() { "1.0.0".to_owned() } else { tool.version.clone() },
        digest: format!(
            "sha256:{}{}",
            half(uuid::Uuid::NAMESPACE_OID),
            half(uuid::Uuid::NAMESPACE_URL)
        ),
    }
}
