//! Which plugins there are: announcements, leases, verdicts, versions side by side. A handle over
//! one private mutex, held shortly; whether an instance takes calls right now is the instance's
//! own state. Everything is checked once, at this door. Leases run by tokio's clock, and what has
//! expired is swept when the registry is next asked, so that no task is needed.

mod entry;
mod error;
mod view;

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1 as pb;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

use self::entry::{Offer, Placed, State};
pub use self::{
    error::Error,
    view::{InstanceView, Lease, PluginView, Standing, ToolView},
};
pub use super::instance::Readiness;
use super::{
    admission::{self, Admitted, PROTOCOL, Reach, descriptor::Checked},
    clean, client,
    ear::{Ear, Heard},
    health,
    instance::{Bell, Instance, Line, Made},
    luck,
    network::Network,
    relay::Slot,
    secured::{HTTPS, Secured},
    wire,
};
use crate::{
    reasoner::catalogue::Catalogue,
    tool::{ToolRef, ToolSpec},
};

/// How the registry keeps leases and whom it lets in.
#[derive(Clone)]
pub struct Config {
    /// How long a lease lasts after a sign of life. Default 30 s.
    pub lease_ttl: Duration,
    /// When a sign of life is asked for; jittered by a fifth either way. Default 10 s.
    pub renew_interval: Duration,
    /// Namespaces that only supervised plugins may take, once there is a token.
    pub reserved: Vec<String>,
    /// Where plugins may call from, beside this machine.
    pub networks: Vec<Network>,
    /// Which plugins are called by TLS.
    pub secured: Secured,
    /// What supervised plugins present as bearer token; none in a daemon that supervises nothing.
    pub supervised_token: Option<String>,
    /// The daemon's own signals and causes, to which plugins add theirs.
    pub catalogue: Arc<Catalogue>,
    /// This daemon, as plugins see it in `RegisterResponse`.
    pub server_id: String,
}

/// Who announces a plugin.
#[derive(Clone, Default)]
pub struct Caller {
    /// Where it calls from; none on transports without addresses, which are local.
    pub peer: Option<SocketAddr>,
    /// The bearer token it presented.
    pub bearer: Option<String>,
}

/// Without the token.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// Which plugins there are. A cheap handle.
#[derive(Debug, Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    bell: Arc<Bell>,
    state: Mutex<State>,
    heard: Arc<Heard>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            lease_ttl: Duration::from_secs(30),
            renew_interval: Duration::from_secs(10),
            reserved: Vec::new(),
            networks: Vec::new(),
            secured: Secured::default(),
            supervised_token: None,
            catalogue: Arc::default(),
            server_id: "agentd".to_owned(),
        }
    }
}

/// Without the token.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("lease_ttl", &self.lease_ttl)
            .field("renew_interval", &self.renew_interval)
            .field("reserved", &self.reserved)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Whether `caller` may take the namespace `plugin`.
    pub(crate) fn may_register(&self, plugin: &str, caller: &Caller) -> Result<(), Error> {
        let Some(token) = &self.supervised_token else { return Ok(()) };
        let given = caller.bearer.as_deref().unwrap_or_default();
        if self.reserved.iter().any(|name| name == plugin) && !equal(token, given) {
            return Err(Error::NamespaceNotAllowed { plugin: plugin.to_owned() });
        }
        Ok(())
    }

    fn next_renewal(&self) -> Duration {
        self.renew_interval.mul_f64(0.8 + 0.4 * luck::share())
    }
}

/// Compares in a time that tells nothing about where two secrets differ.
fn equal(one: &str, other: &str) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    one.iter().zip(other.iter()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

// === impl Registry ===

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (bell, state, heard) = (Arc::default(), Mutex::default(), Arc::default());
        Self { shared: Arc::new(Shared { config, bell, state, heard }) }
    }

    /// Enters an instance with its catalog. Must be called within a tokio runtime: a first
    /// question for its health is sent in the background.
    ///
    /// # Errors
    /// All that is wrong with the announcement, or why it may not be made. What is wrong with one
    /// tool is in its verdict.
    pub async fn register(
        &self,
        request: pb::RegisterRequest,
        caller: &Caller,
    ) -> Result<pb::RegisterResponse, Error> {
        let config = &self.shared.config;
        let plugin = request.catalog.as_ref().map_or("", |catalog| &catalog.plugin);
        let others = self.swept(Instant::now()).words(&config.catalogue, Some(plugin));
        let admitted = admission::check(request, caller, config, &others).await?;
        let warnings = admitted.guest.warnings.clone();
        let catalog_digest =
            super::digest::catalog(admitted.tools.iter().map(|tool| tool.id.digest.as_str()));
        let lease = new_lease();
        let verdicts = self.enter(admitted, &lease, catalog_digest.clone())?;
        self.shared.bell.ring();
        Ok(pb::RegisterResponse {
            lease_id: lease,
            lease_ttl: Some(wire::duration_to(config.lease_ttl)),
            renew_interval: Some(wire::duration_to(config.next_renewal())),
            protocol: PROTOCOL,
            catalog_digest,
            verdicts,
            max_message_bytes: i32::try_from(client::MAX_MESSAGE).unwrap_or(i32::MAX),
            server_id: config.server_id.clone(),
            warnings,
        })
    }

    fn enter(
        &self,
        mut admitted: Admitted,
        lease: &str,
        catalog_digest: String,
    ) -> Result<Vec<pb::ToolVerdict>, Error> {
        let now = Instant::now();
        let (id, plugin) = (admitted.instance_id.clone(), admitted.plugin.clone());
        let mut state = self.swept(now);
        state.check_owner(&id, &plugin, now)?;
        state.refuse_mismatches(&mut admitted.tools, &id, now);
        let accepted: Vec<&Checked> =
            admitted.tools.iter().filter(|tool| tool.rejection.is_none()).collect();
        let made = Made {
            id: id.clone(),
            plugin: plugin.clone(),
            version: admitted.version.clone(),
            endpoint: shown(&admitted.reach),
            line: line(admitted.reach)?,
            max_calls: admitted.max_calls,
            weight: admitted.weight,
            offers: accepted.iter().map(|tool| tool.id.clone()).collect(),
            catalog_digest,
        };
        let until = now + self.shared.config.lease_ttl;
        let instance = Arc::new(Instance::new(made, Arc::clone(&self.shared.bell), until));
        let health = tokio::spawn(health::await_serving(Arc::downgrade(&instance)));
        for tool in accepted {
            state.offer(tool, &instance, &self.shared.bell);
        }
        state.place(id, Placed::new(lease, instance, health, admitted.guest.clone()));
        drop(state);
        told(&plugin, &admitted.tools);
        for warning in &admitted.guest.warnings {
            tracing::warn!(plugin, warning, "plugin's words");
        }
        Ok(admitted.tools.into_iter().map(verdict).collect())
    }

    /// Notes a sign of life. `server_time` is left to the caller, who has a clock.
    ///
    /// # Errors
    /// That the lease is not known: the plugin registers again.
    pub fn renew(&self, request: &pb::RenewRequest) -> Result<pb::RenewResponse, Error> {
        let now = Instant::now();
        let config = &self.shared.config;
        let state = self.swept(now);
        let instance =
            state.by_lease(&request.lease_id, now).map(Arc::clone).ok_or(Error::LeaseUnknown)?;
        drop(state);
        let wish = match pb::InstanceState::try_from(request.state) {
            Ok(pb::InstanceState::Unspecified | pb::InstanceState::Ready) => Readiness::Ready,
            Ok(pb::InstanceState::Draining) => Readiness::Draining,
            Ok(pb::InstanceState::Unready) | Err(_) => Readiness::Unready,
        };
        let unready: BTreeSet<String> = request.unready_tools.iter().take(200).cloned().collect();
        instance.renew(now + config.lease_ttl, wish, unready);
        let known = request.catalog_digest == instance.catalog_digest;
        let mut warnings = self.shared.heard.untold(&instance.plugin);
        warnings.extend(instance.untold());
        let directive =
            if known { pb::InstanceDirective::Continue } else { pb::InstanceDirective::Reregister };
        Ok(pb::RenewResponse {
            lease_ttl: Some(wire::duration_to(config.lease_ttl)),
            renew_interval: Some(wire::duration_to(config.next_renewal())),
            directive: directive.into(),
            server_time: None,
            warnings,
        })
    }

    /// Ends a lease; unknown ones succeed. Running calls may finish.
    #[must_use]
    pub fn deregister(&self, request: &pb::DeregisterRequest) -> pb::DeregisterResponse {
        let mut state = self.swept(Instant::now());
        let left = state.leave(&request.lease_id);
        drop(state);
        let Some(instance) = left else { return pb::DeregisterResponse::default() };
        let mut reason: String = request.reason.chars().filter(|c| !c.is_control()).collect();
        clean::cut(&mut reason, 256);
        tracing::info!(plugin = instance.plugin, instance = instance.id, reason, "plugin left");
        let calls_in_flight = i32::try_from(instance.in_flight()).unwrap_or(i32::MAX);
        pb::DeregisterResponse { calls_in_flight }
    }

    /// Opens a slot for the instance with this lease. The stream ends with the slot; whoever holds it
    /// drives the slot.
    ///
    /// # Errors
    /// That the lease is not known, that its instance said it would be dialled, or that it has as
    /// many slots as there may be.
    pub(crate) fn open_slot(&self, lease: &str) -> Result<(Slot, CancellationToken), Error> {
        let now = Instant::now();
        let instance = self.swept(now).by_lease(lease, now).map(Arc::clone);
        let instance = instance.ok_or(Error::LeaseUnknown)?;
        let Line::Relay(slots) = &instance.line else { return Err(Error::NotRelayed) };
        let slot = slots.open().ok_or(Error::TooManySlots)?;
        // A slot shows that the plugin serves.
        instance.serves();
        Ok((slot, instance.gone.clone()))
    }

    /// What can be called now: the newest version of each tool that a ready instance offers.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<ToolSpec>> {
        let now = Instant::now();
        self.swept(now).newest(|offer| offer.pool().ready(now) > 0)
    }

    /// Sees each change of what is there and ready, from now on.
    #[must_use]
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.bell.changes()
    }

    /// Waits until each of `plugins` has an instance that is ready.
    ///
    /// # Errors
    /// The names of those that are not ready at `deadline`.
    pub async fn wait_ready(
        &self,
        plugins: &[String],
        deadline: Instant,
    ) -> Result<(), Vec<String>> {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let missing = self.not_ready(plugins);
            if missing.is_empty() {
                return Ok(());
            }
            if !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
                return Err(missing);
            }
        }
    }

    fn not_ready(&self, plugins: &[String]) -> Vec<String> {
        let now = Instant::now();
        let state = self.swept(now);
        plugins.iter().filter(|plugin| !state.is_ready(plugin, now)).cloned().collect()
    }

    /// The tool at exactly this version and digest, while any instance offers it.
    pub(crate) fn offer(&self, tool: &ToolRef) -> Option<Arc<Offer>> {
        self.swept(Instant::now()).find(tool)
    }

    /// Signals and causes in force: the daemon's own, and those of the plugins that are registered.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.swept(Instant::now()).in_force(&self.shared.config.catalogue)
    }

    /// Signals that plugins spoke and no catalogue knows: name, speaker, times.
    #[must_use]
    pub fn unknown_signals(&self) -> Vec<(String, String, u32)> {
        self.shared.heard.unknown(&self.catalogue())
    }

    /// An ear for the next call.
    pub(crate) fn ear(&self) -> Ear {
        Ear::new(self.catalogue(), Arc::clone(&self.shared.heard))
    }

    /// Leases that ran out since the start.
    #[must_use]
    pub fn expirations(&self) -> u64 {
        self.swept(Instant::now()).expired
    }

    /// The state, without what is long expired.
    fn swept(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sweep(now, self.shared.config.lease_ttl);
        state
    }
}

/// 128 bits drawn at random, as hex.
fn new_lease() -> String {
    // A v4 UUID has 122 random bits; of two, more than enough.
    let (one, two) = (Uuid::new_v4(), Uuid::new_v4());
    let digest = Sha256::new().chain_update(one).chain_update(two).finalize();
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Where an instance is dialled, as people see it.
fn shown(reach: &Reach) -> String {
    match reach {
        Reach::Direct { address, way: None, .. } => address.to_string(),
        Reach::Direct { address, way: Some(_), .. } => format!("{HTTPS}{address}"),
        Reach::Relay => String::new(),
    }
}

fn line(reach: Reach) -> Result<Line, Error> {
    Ok(match reach {
        Reach::Direct { address, way, caller_token } => Line::Direct {
            channel: client::channel(address, way)
                .map_err(|_| Error::EndpointNotAllowed { host: address.to_string() })?,
            authorization: bearer(&caller_token),
        },
        Reach::Relay => Line::Relay(Arc::default()),
    })
}

fn bearer(token: &str) -> Option<MetadataValue<tonic::metadata::Ascii>> {
    let mut value: MetadataValue<_> = format!("Bearer {token}").parse().ok()?;
    value.set_sensitive(true);
    (!token.is_empty()).then_some(value)
}

fn verdict(tool: Checked) -> pb::ToolVerdict {
    pb::ToolVerdict {
        tool: Some(wire::tool_ref_to(&tool.id)),
        accepted: tool.rejection.is_none(),
        quarantined: false,
        rejection: tool.rejection.as_ref().map(wire::failure_to),
        warnings: tool.warnings,
    }
}

fn told(plugin: &str, tools: &[Checked]) {
    for tool in tools {
        if let Some(rejection) = &tool.rejection {
            let reason = rejection.reason.as_str();
            tracing::warn!(plugin, tool = tool.id.tool, reason, "tool was refused");
        }
    }
    let accepted = tools.iter().filter(|tool| tool.rejection.is_none()).count();
    tracing::info!(plugin, accepted, offered = tools.len(), "plugin registered");
}

#[cfg(test)]
mod tests;
