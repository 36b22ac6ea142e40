//! Which plugins there are: announcements, leases, verdicts, versions side by side. A handle over
//! one private mutex, held shortly; whether an instance takes calls right now is the instance's
//! own state. Everything is checked once, at this door. Leases run by tokio's clock, and what has
//! expired is swept when the registry is next asked, so that no task is needed.

mod crowd;
mod entering;
mod entry;
mod error;
mod obstacles;
mod offer;
mod placed;
mod ration;
mod refusals;
mod standing;
mod verdicts;
mod view;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::entry::State;
pub use self::{
    error::Error,
    standing::Decision,
    view::{InstanceView, Lease, PluginView, RecentCall, Standing, ToolView},
};
use super::{
    bell::Bell,
    contracts::Contracts,
    ear::{Ear, Heard},
    luck,
    network::Network,
    news::{Event, News},
    schema::Known,
    secured::Secured,
};
pub use super::{contracts, instance::Readiness};
use crate::{
    guard::tokens::Who,
    journal::{self, Journal},
    reasoner::catalogue::Catalogue,
    tool::ToolSpec,
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
    /// Whether a tool may change under the same version without a person looking at it: for those
    /// who write plugins.
    pub accept_changes: bool,
    /// Wall time, for what is told to people.
    pub clock: fn() -> Timestamp,
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
    /// As whom it was let in.
    pub who: Who,
}

/// Without the token.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("peer", &self.peer)
            .field("who", &self.who)
            .finish_non_exhaustive()
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
    /// Schemas of the tools that are there.
    schemas: Arc<Known>,
    /// Where what people decided is kept; none for a registry that lives as long as the process.
    journal: Option<Journal>,
    /// Held by who writes there.
    writing: tokio::sync::Mutex<()>,
    /// Cancelled when the daemon stops: nobody is let in any more, and idle slots end.
    stopping: CancellationToken,
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
            accept_changes: false,
            clock: || Timestamp::UNIX_EPOCH,
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
        if !caller.who.may_be(plugin) {
            let holder = caller.who.name().unwrap_or_default().to_owned();
            return Err(Error::NotYourName { plugin: plugin.to_owned(), holder });
        }
        let Some(token) = &self.supervised_token else { return Ok(()) };
        let given = caller.bearer.as_deref().unwrap_or_default();
        if self.reserved.iter().any(|name| name == plugin) && !equal(token, given) {
            return Err(Error::NamespaceNotAllowed { plugin: plugin.to_owned() });
        }
        Ok(())
    }

    /// Whether `caller` is a plugin of this very run.
    fn is_supervised(&self, caller: &Caller) -> bool {
        let given = caller.bearer.as_deref().unwrap_or_default();
        self.supervised_token.as_ref().is_some_and(|token| equal(token, given))
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
    /// An empty registry that lives as long as the process.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with(config, Contracts::default(), None)
    }

    /// A registry that knows which contracts of tools were let in before, and keeps what it learns.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn open(config: Config, journal: Journal) -> Result<Self, journal::Error> {
        let kept = journal.contracts()?.into_iter();
        let known = Contracts::read(kept.map(|(name, bytes)| (name, bytes.to_vec())));
        Ok(Self::with(config, known, Some(journal)))
    }

    fn with(config: Config, known: Contracts, journal: Option<Journal>) -> Self {
        let bell = Arc::new(Bell::new(News::new(config.clock)));
        let state = Mutex::new(State::new(known, Arc::clone(&bell)));
        let (heard, stopping, writing) =
            (Arc::default(), CancellationToken::new(), Default::default());
        let schemas = Arc::default();
        let shared = Shared { config, bell, state, heard, schemas, journal, writing, stopping };
        Self { shared: Arc::new(shared) }
    }

    /// Wall time.
    pub(crate) fn clock(&self) -> fn() -> Timestamp {
        self.shared.config.clock
    }

    /// Lets nobody in any more and ends the slots that are idle; running calls may finish.
    pub fn stop(&self) {
        self.shared.stopping.cancel();
    }

    /// Resolves once nobody is let in any more.
    pub async fn stopped(&self) {
        self.shared.stopping.cancelled().await;
    }

    /// What happened to plugins and tools after a number; none for one that is not there yet.
    #[must_use]
    pub fn news(&self, after: u32) -> Option<Vec<Event>> {
        drop(self.swept(Instant::now()));
        self.shared.bell.news.after(after)
    }

    /// Sees the newest number of what happens, now and as it grows.
    #[must_use]
    pub fn newest_news(&self) -> tokio::sync::watch::Receiver<u32> {
        self.shared.bell.news.newest()
    }

    /// What can be called now: the newest version of each tool that a ready instance offers.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<ToolSpec>> {
        let now = Instant::now();
        self.swept(now).callable(now)
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

    /// Whether `who` may still speak for the instance with this lease: a token may have been taken
    /// away from it meanwhile.
    ///
    /// # Errors
    /// That it may not. A lease that is not known is for who looks it up.
    pub fn check_holder(&self, lease: &str, who: &Who) -> Result<(), Error> {
        let now = Instant::now();
        let held = self.swept(now).by_lease(lease, now).map(Arc::clone);
        match held.filter(|instance| !who.may_be(&instance.plugin)) {
            Some(instance) => Err(Error::NotYourName {
                plugin: instance.plugin.clone(),
                holder: who.name().unwrap_or_default().to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// When the next lease runs out, unless it is renewed.
    #[must_use]
    pub fn next_lapse(&self) -> Option<Instant> {
        self.swept(Instant::now()).next_lapse()
    }

    /// The state, without what is long expired.
    fn swept(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sweep(now, self.shared.config.lease_ttl);
        state
    }
}

#[cfg(test)]
mod tests;
