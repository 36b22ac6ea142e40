//! Which plugins are called by TLS, and by which name each must be known. An endpoint that begins with
//! `https://` asks for it; what it then needs is the daemon's to say, never the plugin's.

use std::net::IpAddr;

use crate::{
    tool::Violation,
    transport::dial::{Dialler, Name},
};

use super::admission::violation;

/// How an endpoint says that TLS is served there.
pub(crate) const HTTPS: &str = "https://";
/// Where the name of the plugin stands in the name of its certificate.
const PLUGIN: &str = "{plugin}";

/// What holds for the way from the daemon to plugins.
#[derive(Debug, Clone, Default)]
pub struct Secured {
    /// Makes the connections; none lets no plugin serve TLS.
    pub dialler: Option<Dialler>,
    /// Name that certificates must be for, with `{plugin}` for the plugin's own; none means the host
    /// of the endpoint.
    pub server_name: Option<String>,
    /// Whether plugins on other machines must serve it. Those on this one may.
    pub demanded: bool,
}

/// A way by TLS to one instance.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) dialler: Dialler,
    pub(crate) name: Name,
}

/// Whether an endpoint asks for TLS, and what is left of it without that.
pub(crate) fn split(endpoint: &str) -> (bool, &str) {
    endpoint.strip_prefix(HTTPS).map_or((false, endpoint), |rest| (true, rest))
}

// === impl Secured ===

impl Secured {
    /// The way to `plugin` at `host`; none where it is called in plain text.
    ///
    /// # Errors
    /// What is wrong with that, and how to mend it: it serves TLS and we know no authority, or it
    /// is `elsewhere` and serves none.
    pub(crate) fn way(
        &self,
        plugin: &str,
        (secure, host): (bool, &str),
        elsewhere: Option<IpAddr>,
    ) -> Result<Option<Way>, Violation> {
        let wrong = |reason, said: &str| violation("direct.endpoint", reason, said);
        if !secure && self.demanded && elsewhere.is_some() {
            return Err(wrong(
                "TLS_REQUIRED",
                "plugins on other machines serve TLS: give it PLUGIN_TLS_CERT and PLUGIN_TLS_KEY, or \
                 start agentd with --insecure-allow-plaintext where a mesh encrypts",
            ));
        }
        if !secure {
            return Ok(None);
        }
        let Some(dialler) = self.dialler.clone() else {
            return Err(wrong(
                "TLS_UNTRUSTED",
                "it serves TLS and agentd knows no authority for that: set plugins.ca_file in \
                 agentd's configuration, or start the plugin without PLUGIN_TLS_CERT",
            ));
        };
        let wanted = self.server_name.as_deref().unwrap_or(host).replace(PLUGIN, plugin);
        match Name::read(&wanted) {
            Some(name) => Ok(Some(Way { dialler, name })),
            None => {
                let said =
                    format!("no certificate can be for {wanted:?}; give a host or an address");
                Err(wrong("BAD_ENDPOINT", &said))
            }
        }
    }
}
