//! The door to a cluster: which one is meant, and the few questions plugins ask of it.
//! Today a recording answers; a live cluster becomes a second arm of [`Backend`].

use std::{io::BufRead, path::PathBuf, sync::Arc};

use agent_sdk::Failure;
use jiff::Timestamp;

use crate::{
    kind::Kind,
    log::{LogFile, LogReader},
    object::Object,
    snapshot::Snapshot,
};

/// Which cluster is meant, as arguments of a plugin's command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Source {
    /// Directory of a recorded cluster: kube/*.json, logs/, metrics.om
    #[arg(long, value_name = "DIR")]
    pub snapshot: Option<PathBuf>,
}

impl Source {
    /// Opens the cluster that is meant.
    ///
    /// # Errors
    /// A failure of class CONFIG when none is named, or when the recording cannot be used; the
    /// message names the file and what is wrong with it.
    pub fn open(&self) -> Result<Cluster, Failure> {
        let Some(dir) = &self.snapshot else {
            return Err(Failure::new(
                agent_sdk::FailureClass::Config,
                "NO_CLUSTER",
                "no cluster is named; give --snapshot DIR with a recorded one",
            ));
        };
        Ok(Cluster { backend: Backend::Snapshot(Arc::new(Snapshot::open(dir)?)) })
    }
}

/// A cluster that can be asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Snapshot(Arc<Snapshot>),
}

// === impl Cluster ===

impl Cluster {
    /// The time the data describes. What is later is cut.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.now(),
        }
    }

    /// All objects of `kind`, in one namespace or in all, ordered by namespace and name.
    ///
    /// # Errors
    /// What the server would answer: PERMISSION with the permission that is missing,
    /// `RATE_LIMITED`, EXTERNAL with status and message.
    #[expect(clippy::unused_async, reason = "a live cluster answers over the network")]
    pub async fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Vec<Object>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.list(kind, namespace),
        }
    }

    /// Whether absence means something: a recording without any object of `kind` most likely did
    /// not record the kind, so what is not there may exist all the same.
    #[must_use]
    pub fn records(&self, kind: Kind) -> bool {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.records(kind),
        }
    }

    /// Which logs there are, in one namespace or in all, ordered by namespace, pod and container.
    ///
    /// # Errors
    /// As for [`Self::list`].
    #[expect(clippy::unused_async, reason = "a live cluster answers over the network")]
    pub async fn log_files(&self, namespace: Option<&str>) -> Result<Vec<LogFile>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.log_files(namespace),
        }
    }

    /// The lines of one log, cut at [`Self::now`]; `None` when there is no such log.
    ///
    /// # Errors
    /// As for [`Self::list`]; also EXTERNAL when the file cannot be opened.
    #[expect(clippy::unused_async, reason = "a live cluster answers over the network")]
    pub async fn logs(&self, file: &LogFile) -> Result<Option<LogReader>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.logs(file),
        }
    }

    /// The recorded metrics in the OpenMetrics text form, decompressed; `None` when none were
    /// recorded. Samples later than [`Self::now`] are not cut: the reader parses, the reader cuts.
    ///
    /// # Errors
    /// As for [`Self::list`], with `metrics` as the thing that did not answer; also EXTERNAL when
    /// the file cannot be opened.
    #[expect(clippy::unused_async, reason = "a live source answers over the network")]
    pub async fn metrics(&self) -> Result<Option<Box<dyn BufRead + Send>>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.metrics(),
        }
    }

    /// What of the recording could not be read, each with the reason: to be named as gaps of any
    /// outcome that builds on objects.
    #[must_use]
    pub fn gaps(&self) -> &[(String, Failure)] {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.gaps(),
        }
    }
}
