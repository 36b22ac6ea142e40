//! The words of `agentd up` and `agentd doctor`: what plugins on this machine are told.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{Server, Settings};

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
    /// A daemon that runs already, with the plugins it has; else they are started for this.
    #[command(flatten)]
    pub server: Server,
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

    /// Whether anything is named.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.kubeconfig.is_some()
            || self.context.is_some()
            || self.snapshot.is_some()
            || self.prometheus_url.is_some()
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
