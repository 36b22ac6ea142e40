//! The recorded metrics behind the tools: read once, by whoever asks first (the program asks
//! while it starts), and shared by all calls from then on.

use std::{collections::BTreeMap, sync::Arc};

use agent_sdk::{Failure, FailureClass, Output};
use plugin_cluster::Cluster;
use tokio::sync::OnceCell;

use crate::{
    flow::{self, Between, Flow, Frame},
    store::{self, Limits, Store},
};

/// What was measured, ready to be judged.
#[derive(Debug)]
pub struct Measured {
    /// All series.
    pub store: Store,
    /// When and how finely they are looked at.
    pub frame: Frame,
    /// Requests of services and between them.
    pub flows: BTreeMap<Between, Flow>,
}

/// A recording that is read when it is first needed.
#[derive(Debug)]
pub struct Recording {
    cluster: Cluster,
    limits: Limits,
    measured: OnceCell<Result<Arc<Measured>, Failure>>,
}

// === impl Recording ===

impl Recording {
    /// The metrics of `cluster`, not read yet.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self::bounded(cluster, Limits::default())
    }

    /// The same with other bounds on memory.
    #[must_use]
    pub fn bounded(cluster: Cluster, limits: Limits) -> Self {
        Self { cluster, limits, measured: OnceCell::new() }
    }

    /// The cluster that was measured.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What was measured; reads it when nobody has yet, else waits for that.
    ///
    /// # Errors
    /// CONFIG when no metrics were recorded, EXTERNAL when they cannot be read.
    pub async fn measured(&self) -> Result<Arc<Measured>, Failure> {
        self.measured.get_or_init(|| self.read()).await.clone()
    }

    async fn read(&self) -> Result<Arc<Measured>, Failure> {
        let Some(source) = self.cluster.metrics().await? else {
            return Err(none("no metrics were recorded with this cluster"));
        };
        let (until_ms, limits) = (self.cluster.now().as_millisecond(), self.limits);
        let reading = tokio::task::spawn_blocking(move || {
            let store = store::read(source, until_ms, limits).map_err(|error| {
                Failure::external("METRICS_UNREADABLE", format!("metrics cannot be read: {error}"))
            })?;
            let frame = Frame::of(&store).ok_or_else(|| none("the metrics hold no sample"))?;
            let flows = flow::flows(&store, frame);
            Ok(Arc::new(Measured { store, frame, flows }))
        });
        reading.await.map_err(|error| {
            Failure::bug("METRICS_READER_FAILED", format!("reading metrics ended early: {error}"))
        })?
    }
}

fn none(message: &str) -> Failure {
    Failure::new(FailureClass::Config, "NO_METRICS", message)
}

// === impl Measured ===

impl Measured {
    /// Adds to `output` what of the recording could not be used.
    #[must_use]
    pub fn with_gaps(&self, mut output: Output) -> Output {
        let account = self.store.account();
        if account.bad_lines > 0 {
            let says = format!(
                "{} lines of the metrics are malformed, the first is line {}",
                account.bad_lines, account.first_bad_line
            );
            output = output.gap("metrics", Failure::external("METRICS_MALFORMED", says));
        }
        if account.left_out > 0 {
            let says = format!("{} samples were left out to bound memory", account.left_out);
            output = output.gap("metrics", Failure::external("METRICS_TOO_LARGE", says));
            output = output.truncated("");
        }
        if !account.complete {
            let says = "the metrics end without # EOF, so some may be missing";
            output = output.gap("metrics", Failure::external("METRICS_INCOMPLETE", says));
        }
        output
    }
}
