//! What all stages of one run share: the options, the fixtures, the secrets that the plugin is
//! given, and how an agentd and a plugin are started.

use std::net::SocketAddr;

use crate::{
    agentd::{Agentd, Pace},
    fixtures::Fixtures,
    options::{Mode, Options},
    program::Program,
    verdict::{Stop, fail, skip},
};

/// What all stages of a run share.
pub(crate) struct Means {
    pub(crate) options: Options,
    pub(crate) mode: Mode,
    pub(crate) fixtures: Fixtures,
    /// Registration token given to the plugin.
    pub(crate) token: String,
    /// Secrets in its environment, by name.
    pub(crate) canaries: Vec<(String, String)>,
}

// === impl Means ===

impl Means {
    /// What the plugin is started with.
    pub(crate) fn variables(&self, url: &str) -> Vec<(String, String)> {
        let slots = self.options.slots.to_string();
        let mut variables: Vec<_> = [
            ("AGENTD_URL", url),
            ("AGENTD_PLUGIN_TOKEN", self.token.as_str()),
            ("PLUGIN_MODE", self.mode.word()),
            ("PLUGIN_SLOTS", &slots),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        variables.extend(self.canaries.iter().cloned());
        variables
    }

    /// Starts an agentd, without a plugin.
    pub(crate) async fn agentd(&self, pace: Pace) -> anyhow::Result<Agentd> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = if self.options.exec.is_empty() { self.options.listen } else { any };
        Agentd::start(listen, pace).await
    }

    pub(crate) fn start(&self, url: &str) -> Result<Program, Stop> {
        let started = Program::start(&self.options.exec, &self.variables(url));
        started.or_else(|fault| fail(format!("{fault:#}")))
    }

    pub(crate) fn is_basic(&self) -> bool {
        self.options.is_basic()
    }

    /// Why a check that needs the process is skipped.
    pub(crate) fn needs_exec(&self) -> Result<(), Stop> {
        if self.options.exec.is_empty() {
            return skip("needs --exec: the command must own the plugin's process");
        }
        Ok(())
    }
}
