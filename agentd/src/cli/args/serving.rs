//! The words of `agentd serve` and `agentd up`: what a daemon is told.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

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
    /// What the plugins read.
    #[command(flatten)]
    pub target: Target,
    /// Of the daemon.
    #[command(flatten)]
    pub settings: Settings,
}

/// What plugins that run on this machine read.
#[derive(Debug, Clone, Default, Args)]
pub struct Target {
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
}

/// `agentd doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Namespace to try rights in; else in the whole cluster
    #[arg(long)]
    pub namespace: Option<String>,
    /// Prints what was found as JSON
    #[arg(long)]
    pub json: bool,
    /// What the plugins read.
    #[command(flatten)]
    pub target: Target,
    /// A daemon that runs already, with the plugins it has; else they are started for this
    #[arg(long, value_name = "URL", conflicts_with_all = ["kubeconfig", "context", "snapshot"])]
    pub server: Option<String>,
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

// === impl Target ===

impl Target {
    /// What every plugin is told of the cluster. A path of ours may be relative to a directory
    /// that is not theirs.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        for (flag, path) in [("--snapshot", &self.snapshot), ("--kubeconfig", &self.kubeconfig)] {
            if let Some(path) = path {
                arguments.extend([flag.into(), absolute(path)]);
            }
        }
        if let Some(context) = &self.context {
            arguments.extend(["--context".into(), context.into()]);
        }
        arguments
    }

    /// What they are told by their environment.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, OsString)> {
        let url = self.prometheus_url.iter();
        url.map(|url| (PROMETHEUS_URL.to_owned(), url.into())).collect()
    }
}

/// Without a current directory a relative path stays as it is: nobody could read it anyway.
fn absolute(path: &Path) -> OsString {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string()
}

/// Where Prometheus is, for the plugin `metrics`.
pub(in crate::cli) const PROMETHEUS_URL: &str = "PROMETHEUS_URL";
