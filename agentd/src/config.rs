//! Configuration of the daemon: defaults < TOML file < environment `AGENTD__SECTION__KEY` < flags.
//! [`keys`] has every key once, with its meaning, bounds and place; [`load`] puts the sources
//! together and tells all faults at once, each with its path. The environment is read here and
//! nowhere else. After loading nothing is checked again.

pub mod environment;
pub mod keys;
pub mod load;
pub mod show;
mod webhooks;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use http::HeaderValue;
use jiff::SignedDuration;

use crate::{
    intake, memory,
    notify::Webhook,
    plugin::network::Network,
    telemetry,
    transport::{self, dial},
};

pub use environment::Environment;
pub use load::{Fault, Faults, Flag, Loaded, Origin, Sources};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The gRPC door.
    pub grpc: Grpc,
    /// The HTTP door.
    pub http: Http,
    /// Directory of journal and memory, held by one process. Key `data.dir`.
    pub data_dir: PathBuf,
    /// Plugins.
    pub plugins: Plugins,
    /// Bounds of the work.
    pub investigation: Investigation,
    /// Memory.
    pub memory: Memory,
    /// Alerts that come in over HTTP.
    pub intake: Intake,
    /// Receivers of messages. Key `notify.webhooks`.
    pub webhooks: Vec<Webhook>,
    /// Certificates of the doors.
    pub tls: Tls,
    /// Who may speak.
    pub auth: Auth,
    /// Log lines.
    pub log: telemetry::Config,
}

/// The gRPC door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grpc {
    /// Where clients and plugins connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Pages of a browser that may ask by gRPC-Web, beside those served from the same address.
    pub web_origins: Vec<HeaderValue>,
}

/// The HTTP door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where health, readiness and metrics are served; none closes the door.
    pub listen: Option<SocketAddr>,
}

/// Plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    /// Where programs of plugins are looked for first; none means beside this program, then PATH.
    pub dir: Option<PathBuf>,
    /// How long a lease lasts after a sign of life.
    pub lease_ttl: Duration,
    /// How often a sign of life is asked for.
    pub renew_interval: Duration,
    /// Whether a tool may change under the same version without a person accepting it.
    pub accept_changes: bool,
    /// Where plugins may call from, beside this machine.
    pub networks: Vec<Network>,
    /// Authorities that vouch for plugins that serve TLS; none lets no plugin serve it.
    pub ca_file: Option<PathBuf>,
    /// What is shown to plugins that ask for a certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Name that the certificate of a plugin must be for, with `{plugin}` for its own; none means the
    /// host that it registers with.
    pub server_name: Option<String>,
}

/// Bounds of the work. A caller may ask for less, never for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Investigation {
    /// Wall time of one investigation.
    pub max_duration: Duration,
    /// Tool calls of one investigation, retries included.
    pub max_tool_calls: u32,
    /// Rounds of asking and weighing.
    pub max_rounds: u32,
    /// Investigations worked on at once; further ones wait.
    pub concurrent: u32,
    /// Tool calls in flight at once within one investigation.
    pub parallel_calls: u32,
    /// Directory with signals and causes of the operator's own; none means the embedded ones alone.
    pub causes_dir: Option<PathBuf>,
}

/// Alerts that come in over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intake {
    /// How long after its end an investigation is still joined by alerts of the same trouble.
    pub attach_window: Duration,
    /// Investigations at work or waiting, beyond which alerts begin no further one.
    pub max_open: u32,
    /// Types of alert that are never investigated.
    pub ignored_types: Vec<String>,
}

/// Certificates of the doors; without them they speak plain text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// Certificates, the own one first.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Authorities that vouch for clients and plugins at the gRPC door.
    pub client_ca_file: Option<PathBuf>,
    /// Authorities that vouch for those who come to the HTTP door.
    pub http_client_ca_file: Option<PathBuf>,
    /// Plain text off the loopback, said in so many words.
    pub insecure_allow_plaintext: bool,
}

/// Who may speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// File of tokens; none leaves the doors on the loopback open.
    pub tokens_file: Option<PathBuf>,
    /// Off the loopback without knowing who asks, said in so many words.
    pub insecure_allow_anonymous: bool,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// How long a short note on an ended investigation is told.
    pub notes_ttl: Duration,
}

// === impl Config ===

impl Config {
    /// What holds when nothing is set, with what is kept in `dir`.
    #[must_use]
    pub fn with_data_dir(dir: PathBuf) -> Self {
        Self {
            grpc: Grpc {
                listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
                web_origins: Vec::new(),
            },
            http: Http { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))) },
            data_dir: dir,
            plugins: Plugins {
                dir: None,
                lease_ttl: Duration::from_secs(30),
                renew_interval: Duration::from_secs(10),
                accept_changes: false,
                networks: Vec::new(),
                ca_file: None,
                cert_file: None,
                key_file: None,
                server_name: None,
            },
            investigation: Investigation {
                max_duration: Duration::from_secs(300),
                max_tool_calls: 60,
                max_rounds: 6,
                concurrent: 64,
                parallel_calls: 8,
                causes_dir: None,
            },
            memory: Memory { notes_ttl: Duration::from_secs(3600) },
            intake: Intake {
                attach_window: Duration::from_secs(1800),
                max_open: 256,
                ignored_types: ["Watchdog", "DeadMansSwitch", "InfoInhibitor"]
                    .map(str::to_owned)
                    .into(),
            },
            webhooks: Vec::new(),
            tls: Tls::default(),
            auth: Auth { tokens_file: None, insecure_allow_anonymous: false },
            log: telemetry::Config::default(),
        }
    }

    /// The section of memory as its component takes it.
    #[must_use]
    pub fn memory(&self) -> memory::Config {
        let held = self.data_dir.join("memory");
        let kept = SignedDuration::try_from(self.memory.notes_ttl).unwrap_or(SignedDuration::MAX);
        memory::Config { dir: held, note_kept: kept }
    }

    /// The section of the intake as its component takes it.
    #[must_use]
    pub fn intake(&self) -> intake::Config {
        let given = &self.intake;
        intake::Config {
            window: SignedDuration::try_from(given.attach_window).unwrap_or(SignedDuration::MAX),
            most_open: usize::try_from(given.max_open).unwrap_or(usize::MAX),
            ignored: given.ignored_types.clone(),
        }
    }

    /// What does not fit together, as path and sentence.
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.plugins.renew_interval > self.plugins.lease_ttl / 2 {
            let said =
                "must be at most half of plugins.lease_ttl, or one lost message ends a lease";
            found.push(("plugins.renew_interval", said.to_owned()));
        }
        if self.http.listen == Some(self.grpc.listen) && self.grpc.listen.port() != 0 {
            let said = format!("is {} too, where grpc.listen is", self.grpc.listen);
            found.push(("http.listen", said));
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            found.push(("tls.cert_file", "and tls.key_file go together; give both".to_owned()));
        }
        if self.tls.cert_file.is_none()
            && (self.tls.client_ca_file.is_some() || self.tls.http_client_ca_file.is_some())
        {
            let said = "is needed where clients are asked for certificates";
            found.push(("tls.cert_file", said.to_owned()));
        }
        found.extend(self.plugins.contradictions(self.tls.insecure_allow_plaintext));
        found.extend(self.exposed("grpc.listen", Some(self.grpc.listen), &self.tls.client_ca_file));
        found.extend(self.exposed("http.listen", self.http.listen, &self.tls.http_client_ca_file));
        found
    }

    /// What is missing for a door that others can reach, as path and sentence.
    fn exposed(
        &self,
        path: &'static str,
        listen: Option<SocketAddr>,
        client_ca: &Option<PathBuf>,
    ) -> Vec<(&'static str, String)> {
        let Some(listen) = listen.filter(|at| !at.ip().is_loopback()) else { return Vec::new() };
        let mut found = Vec::new();
        if self.tls.cert_file.is_none() && !self.tls.insecure_allow_plaintext {
            let said = format!(
                "{listen} is open to others in plain text: give tls.cert_file and tls.key_file, or \
                 say --insecure-allow-plaintext where a mesh encrypts"
            );
            found.push((path, said));
        }
        let known = self.auth.tokens_file.is_some() || client_ca.is_some();
        if !known && !self.auth.insecure_allow_anonymous {
            let said = format!(
                "{listen} is open to everybody: give auth.tokens_file or an authority for client \
                 certificates, or say --insecure-allow-anonymous"
            );
            found.push((path, said));
        }
        found
    }

    /// Whether nobody may ask without a token, even while there is none.
    #[must_use]
    pub fn demands_tokens(&self) -> bool {
        let off = |at: Option<SocketAddr>| at.is_some_and(|at| !at.ip().is_loopback());
        let exposed = off(Some(self.grpc.listen)) || off(self.http.listen);
        exposed && self.auth.tokens_file.is_some() && !self.auth.insecure_allow_anonymous
    }

    /// The files of the gRPC door and of the HTTP door; none speaks plain text.
    #[must_use]
    pub fn tls(&self) -> Option<[transport::Files; 2]> {
        let (cert, key) = (self.tls.cert_file.clone()?, self.tls.key_file.clone()?);
        let files = |client_ca: &Option<PathBuf>| transport::Files {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: client_ca.clone(),
        };
        Some([files(&self.tls.client_ca_file), files(&self.tls.http_client_ca_file)])
    }
}

// === impl Plugins ===

impl Plugins {
    /// The files for dialling plugins by TLS; none where none may serve it.
    #[must_use]
    pub fn tls(&self) -> Option<dial::Files> {
        let identity = self.cert_file.clone().zip(self.key_file.clone());
        self.ca_file.clone().map(|ca| dial::Files { ca, identity })
    }

    /// The same for plugins of this machine alone, which prove themselves by the token of the run.
    #[must_use]
    pub fn of_this_machine(self) -> Self {
        Self {
            networks: Vec::new(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            server_name: None,
            ..self
        }
    }

    fn contradictions(&self, plaintext: bool) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.cert_file.is_some() != self.key_file.is_some() {
            let said = "and plugins.key_file go together; give both";
            found.push(("plugins.cert_file", said.to_owned()));
        }
        if self.ca_file.is_none() && (self.cert_file.is_some() || self.server_name.is_some()) {
            let said = "is needed where plugins are dialled by TLS";
            found.push(("plugins.ca_file", said.to_owned()));
        }
        if self.ca_file.is_none() && !self.networks.is_empty() && !plaintext {
            let said = "plugins elsewhere would be called in plain text: give plugins.ca_file and let \
                        them serve TLS, or say --insecure-allow-plaintext where a mesh encrypts";
            found.push(("plugins.networks", said.to_owned()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_themselves() {
        let config = Config::with_data_dir(PathBuf::from("data"));
        assert_eq!(config.contradictions(), []);
    }

    #[test]
    fn a_door_that_others_reach_needs_tls_and_tokens_or_the_words_that_it_does_not() {
        let mut config = Config::with_data_dir(PathBuf::from("data"));
        config.grpc.listen = SocketAddr::from(([0, 0, 0, 0], 50051));
        let said = |config: &Config| -> Vec<String> {
            config.contradictions().into_iter().map(|(_, said)| said).collect()
        };
        let two = said(&config);
        assert!(two[0].contains("--insecure-allow-plaintext"), "{two:?}");
        assert!(two[1].contains("--insecure-allow-anonymous"), "{two:?}");
        config.tls.cert_file = Some("c".into());
        config.tls.key_file = Some("k".into());
        assert_eq!(said(&config).len(), 1);
        config.auth.tokens_file = Some("t".into());
        assert_eq!(said(&config), Vec::<String>::new());
        assert!(config.demands_tokens());
        config = Config::with_data_dir(PathBuf::from("data"));
        config.http.listen = Some(SocketAddr::from(([0, 0, 0, 0], 9464)));
        config.tls.insecure_allow_plaintext = true;
        config.auth.insecure_allow_anonymous = true;
        assert_eq!(said(&config), Vec::<String>::new());
        assert!(!config.demands_tokens());
    }

    #[test]
    fn plugins_elsewhere_are_called_by_tls_or_told_in_so_many_words() {
        let mut config = Config::with_data_dir(PathBuf::from("data"));
        let paths = |config: &Config| -> Vec<&'static str> {
            config.contradictions().into_iter().map(|(path, _)| path).collect()
        };
        config.plugins.networks = vec!["10.0.0.0/8".parse().expect("a range")];
        assert_eq!(paths(&config), ["plugins.networks"]);
        config.tls.insecure_allow_plaintext = true;
        assert_eq!(paths(&config), Vec::<&str>::new());
        config.tls.insecure_allow_plaintext = false;
        config.plugins.ca_file = Some("ca".into());
        assert_eq!(paths(&config), Vec::<&str>::new());
        config.plugins.cert_file = Some("c".into());
        assert_eq!(paths(&config), ["plugins.cert_file"]);
        config.plugins.ca_file = None;
        assert_eq!(paths(&config), ["plugins.cert_file", "plugins.ca_file", "plugins.networks"]);
    }

    #[test]
    fn what_does_not_fit_together_is_told_with_its_path() {
        let mut config = Config::with_data_dir(PathBuf::from("data"));
        config.plugins.renew_interval = Duration::from_secs(16);
        config.http.listen = Some(config.grpc.listen);
        let found: Vec<_> = config.contradictions().into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["plugins.renew_interval", "http.listen"]);
    }
}
