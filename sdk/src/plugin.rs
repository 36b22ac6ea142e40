//! A plugin as its author puts it together, and how it is served: listen, keep the lease, drain.
//! What a call does is elsewhere; here is the life of the process.

use std::{
    collections::BTreeSet,
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1 as wire;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity,
    server::{Router, TcpIncoming},
};

use crate::{
    error::Error,
    instance::Instance,
    lease::{Announcement, Dial, Keeper},
    offered::Offered,
    options::{self, Options, TlsFiles},
    secure::{self, Certificates},
    server::{Readiness, router},
    tool::Tool,
};

mod process;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long connections may take to close once no call runs; a health watch never does.
const CLOSING: Duration = Duration::from_millis(200);
/// How long calls may take to notice that they were withdrawn.
const WITHDRAWAL: Duration = Duration::from_secs(2);

/// What a signal tells reasoning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polarity {
    /// Shown, without weight.
    Neutral,
    /// Something is wrong.
    Harm,
    /// Something was looked at and is fine.
    Health,
    /// The world was altered.
    Change,
}

/// A plugin: a name, a version and tools.
pub struct Plugin {
    catalog: wire::PluginCatalog,
    tools: Vec<Offered>,
    faults: Vec<String>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

impl Plugin {
    /// A plugin without tools. `name` matches `[a-z][a-z0-9_]{1,23}`; `version` is the software's
    /// semantic version, such as `env!("CARGO_PKG_VERSION")`.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        let catalog = wire::PluginCatalog {
            plugin: name.to_owned(),
            version: version.to_owned(),
            min_protocol: 1,
            max_protocol: 1,
            ..wire::PluginCatalog::default()
        };
        Self { catalog, tools: Vec::new(), faults: Vec::new() }
    }

    /// Title for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.catalog.title);
        self
    }

    /// Who answers for it: a team, an address or a page.
    #[must_use]
    pub fn contact(mut self, contact: &str) -> Self {
        contact.clone_into(&mut self.catalog.contact);
        self
    }

    /// Adds a tool. Several versions of one name may stand side by side, the newest last.
    #[must_use]
    pub fn tool(mut self, tool: impl Tool) -> Self {
        match Offered::new(tool) {
            Ok(offered) => {
                self.catalog.tools.push(offered.descriptor.clone());
                self.tools.push(offered);
            }
            Err(fault) => self.faults.push(fault),
        }
        self
    }

    /// Explains a signal of the plugin's own, so that it counts when causes are weighed; `name` is
    /// below the plugin's, `{plugin}.{signal}`, and may be given without it.
    #[must_use]
    pub fn signal(mut self, name: &str, meaning: &str, polarity: Polarity) -> Self {
        let plugin = &self.catalog.plugin;
        let name = if name.contains('.') { name.to_owned() } else { format!("{plugin}.{name}") };
        if name.strip_prefix(plugin.as_str()).is_none_or(|rest| !rest.starts_with('.')) {
            self.faults.push(format!("signal {name} is not below {plugin}, the plugin's name"));
        }
        let polarity = match polarity {
            Polarity::Neutral => wire::SignalPolarity::Neutral,
            Polarity::Harm => wire::SignalPolarity::Harm,
            Polarity::Health => wire::SignalPolarity::Health,
            Polarity::Change => wire::SignalPolarity::Change,
        };
        self.catalog.signals.push(wire::SignalDescriptor {
            name,
            meaning: meaning.to_owned(),
            polarity: polarity.into(),
        });
        self
    }

    /// Brings a cause of the plugin's own, a YAML document in the form of agentd's catalogue (see
    /// `agentd causes show oom_killed`), such as `include_str!("licence_expired.yaml")`. It rests on
    /// a signal of the plugin's own. agentd checks it at registration; what it leaves out, and why,
    /// is logged with the line.
    #[must_use]
    pub fn cause(mut self, document: &str) -> Self {
        self.catalog.cause_documents.push(document.to_owned());
        self
    }

    /// What is announced to agentd.
    #[must_use]
    pub fn catalog(&self) -> &wire::PluginCatalog {
        &self.catalog
    }

    /// The whole `main` of a plugin: tracing to stderr (`RUST_LOG`), settings from the environment
    /// (see [`Options::from_env`]), serving until SIGTERM, ctrl-c, or agentd's wish to stop; then
    /// running calls may finish. With `AGENTD_SUPERVISED=1` the end of stdin stops it too, as
    /// that is how a supervised plugin learns that its parent is gone.
    ///
    /// # Errors
    /// Wrong settings, an address that cannot be listened on, or a refusal by agentd that trying
    /// again would not mend. Each says what to change.
    pub async fn run_from_env(self) -> Result<(), Error> {
        process::start_tracing();
        let name = self.catalog.plugin.clone();
        let ended = match Options::from_env() {
            Ok(options) => self.serve_until(options, process::told_to_stop()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &ended {
            tracing::error!(plugin = name, "{error}");
        }
        ended
    }

    /// Serves the plugin until `shutdown` resolves or agentd wants it to stop, then lets running
    /// calls finish within `options.drain_timeout`.
    ///
    /// # Errors
    /// As [`Self::run_from_env`].
    pub async fn serve(
        self,
        options: Options,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), Error> {
        let drain_timeout = options.drain_timeout;
        self.serve_until(options, async move {
            shutdown.await;
            drain_timeout
        })
        .await
    }

    /// The instance that serves this plugin.
    ///
    /// # Errors
    /// [`Error::Definition`] with all faults.
    pub(crate) fn into_instance(mut self, capacity: u16) -> Result<Instance, Error> {
        let mut seen = BTreeSet::new();
        for tool in &self.catalog.tools {
            if !seen.insert((&tool.name, &tool.version)) {
                self.faults.push(format!("tool {} {} is there twice", tool.name, tool.version));
            }
        }
        if self.tools.is_empty() && self.faults.is_empty() {
            self.faults.push("it has no tools".to_owned());
        }
        if !self.faults.is_empty() {
            return Err(Error::Definition(self.faults));
        }
        Ok(Instance::new(self.catalog, self.tools, capacity))
    }

    /// Serves until `shutdown` resolves with the time that running calls may take.
    async fn serve_until(
        self,
        options: Options,
        shutdown: impl Future<Output = Duration>,
    ) -> Result<(), Error> {
        let instance = Arc::new(self.into_instance(options.max_concurrent_calls)?);
        let dial = dial(&options)?;
        let certificates = options.tls.map(Certificates::load).transpose()?;
        let unbound = |source| Error::Listen { address: options.listen.to_string(), source };
        let listener = TcpListener::bind(options.listen).await.map_err(unbound)?;
        let bound = listener.local_addr().map_err(unbound)?;
        let tls = certificates.is_some();
        tracing::info!(plugin = instance.catalog.plugin, address = %bound, tls, "listening");
        let announcement = Announcement {
            endpoint: options::advertised(
                options.advertise.as_deref(),
                bound,
                certificates.is_some(),
            ),
            agentd_url: options.agentd_url,
            token: options.token,
        };
        let readiness = Readiness::new().await;
        let closing = CancellationToken::new();
        let router = router(Arc::clone(&instance), &readiness)?;
        let mut server = served(router, (listener, certificates), closing.clone());
        let mut keeper = Keeper::new(Arc::clone(&instance), readiness.clone(), announcement, dial);
        let (ended, drain_timeout) = tokio::select! {
            drain_timeout = shutdown => (Ok(()), drain_timeout),
            kept = keeper.run() => (kept, options.drain_timeout),
            stopped = &mut server => {
                let stopped = stopped.ok().and_then(Result::err).map(Error::Server);
                (stopped.map_or(Ok(()), Err), Duration::ZERO)
            }
        };
        drain(&instance, &readiness, &mut keeper, drain_timeout).await;
        closing.cancel();
        let _ = tokio::time::timeout(CLOSING, server).await;
        ended
    }
}

/// Serves on `listener`, by TLS where there are certificates, until `closing` is cancelled.
fn served(
    router: Router,
    (listener, certificates): (TcpListener, Option<Certificates>),
    closing: CancellationToken,
) -> AbortOnDropHandle<Result<(), tonic::transport::Error>> {
    let closing = closing.cancelled_owned();
    AbortOnDropHandle::new(match certificates {
        None => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            tokio::spawn(router.serve_with_incoming_shutdown(incoming, closing))
        }
        Some(certificates) => tokio::spawn(async move {
            let (incoming, _taking) = secure::incoming(listener, certificates);
            router.serve_with_incoming_shutdown(incoming, closing).await
        }),
    })
}

/// Says goodbye in the order of the contract: no new calls, running ones finish, gone.
async fn drain(
    instance: &Instance,
    readiness: &Readiness,
    keeper: &mut Keeper,
    drain_timeout: Duration,
) {
    instance.draining.cancel();
    keeper.announce_drain().await;
    readiness.set(false).await;
    instance.calls.close();
    if tokio::time::timeout(drain_timeout, instance.calls.wait()).await.is_err() {
        tracing::warn!(calls = instance.in_flight(), "calls did not end in time; withdrawn");
        instance.ending.cancel();
        let _ = tokio::time::timeout(WITHDRAWAL, instance.calls.wait()).await;
    }
    keeper.leave("the plugin stops").await;
}

/// How to reach agentd, each time with a fresh look-up, and with certificates as the files have them
/// then: they are exchanged while a plugin runs. What cannot be read leaves those before in force.
fn dial(options: &Options) -> Result<Dial, Error> {
    let url = &options.agentd_url;
    let wrong = |fault: String| Error::Settings(vec![format!("AGENTD_URL: {fault}")]);
    options::check_url(url).map_err(wrong)?;
    let plain = Endpoint::from_shared(url.clone())
        .map_err(|fault| wrong(fault.to_string()))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(20)));
    if !url.starts_with("https://") {
        return Ok(Box::new(move || -> Channel { plain.connect_lazy() }));
    }
    let (ca, own) = (options.ca.clone(), options.tls.clone());
    let secured = move || secured(plain.clone(), ca.as_deref(), own.as_ref());
    let last = Mutex::new(secured().map_err(wrong)?);
    Ok(Box::new(move || -> Channel {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match secured() {
            Ok(now) => *last = now,
            Err(fault) => tracing::warn!(%fault, "certificates stay as they were read before"),
        }
        last.connect_lazy()
    }))
}

/// The endpoint with certificates as their files have them now.
fn secured(
    endpoint: Endpoint,
    ca: Option<&Path>,
    own: Option<&TlsFiles>,
) -> Result<Endpoint, String> {
    let pem = |path: &Path| {
        std::fs::read(path).map_err(|fault| format!("cannot read {}: {fault}", path.display()))
    };
    let mut tls = match ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    if let Some(own) = own {
        tls = tls.identity(Identity::from_pem(pem(&own.cert)?, pem(&own.key)?));
    }
    endpoint.tls_config(tls).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests;
