//! The words of `agentd serve` and `agentd up`: what a daemon is told.

use std::path::PathBuf;

use clap::Args;

use crate::config::{Environment, Flag, Sources};

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
}

/// `agentd up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Kubeconfig of the cluster; else $KUBECONFIG, ~/.kube/config, or the pod's own account
    #[arg(long, value_name = "FILE", conflicts_with = "snapshot")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; else its current one
    #[arg(long, value_name = "NAME", conflicts_with = "snapshot")]
    pub context: Option<String>,
    /// Where Prometheus answers; else $PROMETHEUS_URL, else metrics are a gap
    #[arg(long, value_name = "URL")]
    pub prometheus_url: Option<String>,
    /// A recorded cluster instead of a live one
    #[arg(long, value_name = "DIR")]
    pub snapshot: Option<PathBuf>,
    /// Where the programs of the plugins are; else beside this program, then PATH
    #[arg(long, value_name = "DIR")]
    pub plugin_dir: Option<PathBuf>,
    /// Of the daemon.
    #[command(flatten)]
    pub settings: Settings,
}

// === impl Settings ===

impl Settings {
    /// As sources of the configuration.
    #[must_use]
    pub fn sources(&self, environment: &Environment) -> Sources {
        let given = [
            ("--listen", "grpc.listen", &self.listen),
            ("--http", "http.listen", &self.http),
            ("--data-dir", "data.dir", &self.data_dir),
            ("--causes-dir", "investigation.causes_dir", &self.causes_dir),
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
