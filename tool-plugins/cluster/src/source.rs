//! Which cluster a plugin reads, as arguments of its command line.

use std::{path::PathBuf, sync::Arc};

use agent_sdk::Failure;

use crate::{
    cluster::Cluster,
    live::connect::{self, Account},
    snapshot::Snapshot,
};

/// What stands between the files of `KUBECONFIG`.
const LIST: char = if cfg!(windows) { ';' } else { ':' };

/// Which cluster is meant.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Source {
    /// Directory of a recorded cluster: kube/*.json, logs/, metrics.om
    #[arg(long, value_name = "DIR", conflicts_with_all = ["kubeconfig", "context"])]
    pub snapshot: Option<PathBuf>,
    /// Kubeconfig of a live cluster; else $KUBECONFIG, ~/.kube/config, or the pod's own account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Files that are one kubeconfig together
    #[arg(long, env = "KUBECONFIG", value_delimiter = LIST, hide = true, value_name = "FILES")]
    pub merged_kubeconfigs: Vec<PathBuf>,
    /// Context of the kubeconfig; else its current one
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl Source {
    /// A recorded cluster.
    #[must_use]
    pub fn recorded(dir: PathBuf) -> Self {
        Self { snapshot: Some(dir), ..Self::default() }
    }

    /// Opens the cluster that is meant. A live one is not asked anything yet.
    ///
    /// # Errors
    /// A failure of class CONFIG when none is named, or when the recording or the kubeconfig
    /// cannot be used; the message names the file and what is wrong with it.
    pub async fn open(&self) -> Result<Cluster, Failure> {
        match &self.snapshot {
            Some(dir) => {
                let dir = dir.clone();
                let opened = tokio::task::spawn_blocking(move || Snapshot::open(&dir)).await;
                let snapshot = opened.map_err(|error| {
                    Failure::bug("SNAPSHOT_READER_FAILED", format!("reading ended early: {error}"))
                })??;
                Ok(Cluster::recorded(Arc::new(snapshot)))
            }
            None => {
                let merged = self.merged_kubeconfigs.iter();
                let account = Account {
                    kubeconfig: self.kubeconfig.clone(),
                    // `a::b` has an empty one.
                    merged: merged.filter(|file| !file.as_os_str().is_empty()).cloned().collect(),
                    context: self.context.clone(),
                };
                Ok(Cluster::live(Arc::new(connect::connect(&account).await?)))
            }
        }
    }
}
