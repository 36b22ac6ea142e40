//! A plugin as its author puts it together, and how it is served: listen, keep the lease, drain.
//! What a call does is elsewhere; here is the life of the process.

use std::{future::Future, process::ExitCode, sync::Arc, time::Duration};

use agent_proto::tool::v1 as wire;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    descriptor::faults::contradictions,
    error::Error,
    instance::Instance,
    lease::{Announcement, Keeper, Reach},
    offered::Offered,
    options::{Mode, Options},
    readiness::ToolReadiness,
    server::Readiness,
    tool::Tool,
};

mod door;
mod process;

use door::dial;

/// How long connections may take to close once no call runs; a health watch never does.
const CLOSING: Duration = Duration::from_millis(200);
/// How long agentd may take to end slots that were given back.
const RETURNING: Duration = Duration::from_secs(5);
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
    unready: ToolReadiness,
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
        Self { catalog, tools: Vec::new(), faults: Vec::new(), unready: ToolReadiness::default() }
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

    /// A handle to say later which tools are out of order for now.
    #[must_use]
    pub fn readiness(&self) -> ToolReadiness {
        self.unready.clone()
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

    /// As [`Self::run_from_env`], to the end of a program: why it ends stands in the log, once, and the
    /// code is 2 for what is wrong with its settings or with the plugin itself, 1 for what went wrong
    /// later, such as a refusal by agentd.
    pub async fn main(self) -> ExitCode {
        match self.run_from_env().await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ExitCode::from(error.exit_code()),
        }
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
        self.faults.extend(contradictions(&self.catalog.tools));
        self.faults.extend(self.tools.iter().flat_map(Offered::wrong_examples));
        if self.tools.is_empty() && self.faults.is_empty() {
            self.faults.push("it has no tools".to_owned());
        }
        if !self.faults.is_empty() {
            return Err(Error::Definition(self.faults));
        }
        Ok(Instance::new(self.catalog, self.tools, capacity, self.unready))
    }

    /// Serves until `shutdown` resolves with the time that running calls may take.
    async fn serve_until(
        self,
        options: Options,
        shutdown: impl Future<Output = Duration>,
    ) -> Result<(), Error> {
        let capacity = match options.mode {
            Mode::Direct => options.max_concurrent_calls,
            Mode::Relay => options.slots,
        };
        let instance = Arc::new(self.into_instance(capacity)?);
        let dial = dial(&options)?;
        let readiness = Readiness::new().await;
        let closing = CancellationToken::new();
        let (reach, listening) = match options.mode {
            Mode::Relay => (Reach::Relay { slots: options.slots.max(1) }, None),
            Mode::Direct => {
                let (endpoint, server) =
                    door::listen(&instance, &readiness, &options, closing.clone()).await?;
                (Reach::Direct { endpoint }, Some(server))
            }
        };
        let announcement = Announcement {
            agentd_url: options.agentd_url.clone(),
            token: options.token.clone(),
            reach,
        };
        let mut keeper = Keeper::new(Arc::clone(&instance), readiness.clone(), announcement, dial);
        let mut door = listening.unwrap_or_else(|| door::relay(&instance, &keeper, &options));
        let (ended, drain_timeout) = tokio::select! {
            drain_timeout = shutdown => (Ok(()), drain_timeout),
            kept = keeper.run() => (kept, options.drain_timeout),
            stopped = &mut door => (stopped.unwrap_or(Ok(())), Duration::ZERO),
        };
        instance.draining.cancel();
        keeper.announce_drain().await;
        readiness.set(false).await;
        finish(&instance, drain_timeout).await;
        if options.mode == Mode::Relay && !door.is_finished() {
            // The slots are given back, and agentd ends them.
            let _ = tokio::time::timeout(RETURNING, &mut door).await;
        }
        keeper.leave("the plugin stops").await;
        closing.cancel();
        // One that ended before is not asked again.
        if !door.is_finished() {
            let _ = tokio::time::timeout(CLOSING, door).await;
        }
        ended
    }
}

/// Lets running calls finish, and what they protect; withdraws what takes longer.
async fn finish(instance: &Instance, drain_timeout: Duration) {
    instance.calls.close();
    let ends = Instant::now() + drain_timeout;
    if tokio::time::timeout_at(ends, instance.calls.wait()).await.is_err() {
        tracing::warn!(calls = instance.in_flight(), "calls did not end in time; withdrawn");
        instance.ending.cancel();
        let _ = tokio::time::timeout(WITHDRAWAL, instance.calls.wait()).await;
    }
    if tokio::time::timeout_at(ends, instance.shelter.empty()).await.is_err() {
        tracing::warn!("work that was protected did not end in time; given up");
    }
    instance.shelter.close();
}

#[cfg(test)]
mod tests;
