//! Words that several commands share: where settings come from, and which daemon is meant.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Flag, Sources};

/// Where the daemon's settings come from.
#[derive(Debug, Clone, Default, Args)]
pub struct Settings {
    /// Configuration file (TOML); else $AGENTD_CONFIG, else none
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Address of the gRPC door
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Address of the HTTP door, or `off`
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub http: Option<String>,
    /// Where journal and memory are kept; else $AGENTD_DATA_DIR, else the state directory
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// Signals and causes of your own, which add to the catalogue or replace what has the same id
    #[arg(long, value_name = "DIR")]
    pub causes_dir: Option<String>,
    /// Who may speak: SHA-256 of bearer tokens, one a line
    #[arg(long, value_name = "FILE")]
    pub tokens_file: Option<String>,
    /// Serves plain text off the loopback, as where a mesh encrypts
    #[arg(long)]
    pub insecure_allow_plaintext: bool,
    /// Serves everybody off the loopback without asking who
    #[arg(long)]
    pub insecure_allow_anonymous: bool,
}

/// Which daemon to talk to.
#[derive(Debug, Clone, Default, Args)]
pub struct Server {
    /// The daemon; else $AGENTD_URL, else http://127.0.0.1:50051
    #[arg(long, value_name = "URL", global = true)]
    pub server: Option<String>,
    /// Who vouches for it, with https; else $AGENTD_CA_FILE, else the system
    #[arg(long, value_name = "FILE", global = true)]
    pub ca_file: Option<PathBuf>,
    /// File with our bearer token; else $AGENTD_TOKEN_FILE
    #[arg(long, value_name = "FILE", global = true)]
    pub token_file: Option<PathBuf>,
    /// Our certificate, where it asks for one; else $AGENTD_CLIENT_CERT_FILE
    #[arg(long, value_name = "FILE", global = true)]
    pub client_cert_file: Option<PathBuf>,
    /// Its key; else $AGENTD_CLIENT_KEY_FILE
    #[arg(long, value_name = "FILE", global = true)]
    pub client_key_file: Option<PathBuf>,
}

// === impl Settings ===

impl Settings {
    /// As sources of the configuration.
    #[must_use]
    pub fn sources(&self, environment: &crate::config::Environment) -> Sources {
        let given = [
            ("--listen", "grpc.listen", &self.listen),
            ("--http", "http.listen", &self.http),
            ("--data-dir", "data.dir", &self.data_dir),
            ("--causes-dir", "investigation.causes_dir", &self.causes_dir),
            ("--tokens-file", "auth.tokens_file", &self.tokens_file),
            (
                "--insecure-allow-plaintext",
                "tls.insecure_allow_plaintext",
                &on(self.insecure_allow_plaintext),
            ),
            (
                "--insecure-allow-anonymous",
                "auth.insecure_allow_anonymous",
                &on(self.insecure_allow_anonymous),
            ),
        ];
        let flags = given
            .into_iter()
            .filter_map(|(name, path, value)| Some(Flag { name, path, value: value.clone()? }));
        Sources {
            file: self.config.clone(),
            environment: environment.clone(),
            flags: flags.collect(),
        }
    }
}

/// A switch that was given, as its key takes it.
fn on(given: bool) -> Option<String> {
    given.then(|| "true".to_owned())
}
