//! The metrics behind the tools: a recording, read once by whoever asks first and shared by all
//! calls from then on; or a Prometheus, asked for each call. Tools see the same either way.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_sdk::{Failure, FailureClass, Output};
use plugin_cluster::Cluster;
use serde::Serialize;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    flow::{self, Between, Flow, Frame},
    live::{About, Beyond, Had, Live, Purpose},
    query::{Grid, Query, Track, evaluate},
    store::{self, Limits, Store},
};

/// What was measured, ready to be judged.
#[derive(Debug, Clone)]
pub struct Measured {
    /// All series.
    pub store: Store,
    /// When and how finely they are looked at.
    pub frame: Frame,
    /// Requests of services and between them.
    pub flows: BTreeMap<Between, Flow>,
    /// What it took to have it of a server.
    pub asked: Option<Asked>,
    gaps: Vec<(String, Failure)>,
}

/// What it took to have measurements of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Requests sent.
    pub requests: usize,
    /// Series had.
    pub series: usize,
    /// Samples had.
    pub samples: usize,
    #[serde(skip)]
    until_ms: i64,
}

/// The metrics of a cluster.
#[derive(Debug)]
pub struct Recording {
    cluster: Cluster,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Recorded { limits: Limits, measured: OnceCell<Result<Arc<Measured>, Failure>> },
    Live(Box<Live>, Mutex<BTreeMap<Purpose, Kept>>),
}

/// Measurements that the next calls about the same namespace share: an investigation asks about one
/// service after another.
#[derive(Debug)]
struct Kept {
    namespace: String,
    at: Instant,
    measured: Arc<Measured>,
}

/// How long they are shared: less than two scrapes, so that nothing new is missed.
const SHARED: Duration = Duration::from_secs(20);

/// A day and a week: people, and the jobs they schedule, come back at the same hour.
pub const SEASONS: [(&str, Duration); 2] = [
    ("the day before", Duration::from_secs(24 * 3600)),
    ("the week before", Duration::from_secs(7 * 24 * 3600)),
];

// === impl Recording ===

impl Recording {
    /// The recorded metrics of `cluster`, not read yet.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self::bounded(cluster, Limits::default())
    }

    /// The same with other bounds on memory.
    #[must_use]
    pub fn bounded(cluster: Cluster, limits: Limits) -> Self {
        Self { cluster, source: Source::Recorded { limits, measured: OnceCell::new() } }
    }

    /// The metrics of `cluster` as a Prometheus has them.
    #[must_use]
    pub fn live(cluster: Cluster, live: Live) -> Self {
        Self { cluster, source: Source::Live(Box::new(live), Mutex::default()) }
    }

    /// The cluster that was measured.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Whether a server answers.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.source, Source::Live(..))
    }

    /// Reads a recording before anybody asks; a server is asked when it is needed.
    pub async fn prepare(&self) {
        if let Source::Recorded { limits, measured } = &self.source {
            // What goes wrong is told to whoever calls.
            _ = measured.get_or_init(|| read(&self.cluster, *limits)).await;
        }
    }

    /// What was measured of what a call is about, within the time given.
    ///
    /// # Errors
    /// CONFIG when there are no metrics, EXTERNAL when they cannot be read; what a server answers.
    pub async fn measured(
        &self,
        about: &About,
        purpose: Purpose,
        within: Duration,
    ) -> Result<Arc<Measured>, Failure> {
        match &self.source {
            Source::Recorded { limits, measured } => {
                measured.get_or_init(|| read(&self.cluster, *limits)).await.clone()
            }
            Source::Live(live, kept) => {
                if let Some(measured) = shared(kept, about, purpose) {
                    return Ok(measured);
                }
                let had = live.measured(about, purpose, (self.cluster.now(), within)).await?;
                let measured = blocking(move || Measured::of(had)).await?;
                // With gaps it may be about these pods only, or better the next time.
                if measured.gaps.is_empty() {
                    let (namespace, at) = (about.namespace.clone(), Instant::now());
                    let entry = Kept { namespace, at, measured: measured.clone() };
                    kept.lock().unwrap_or_else(PoisonError::into_inner).insert(purpose, entry);
                }
                Ok(measured)
            }
        }
    }

    /// `measured` with the services of other namespaces that are reached. A recording holds them
    /// already.
    ///
    /// # Errors
    /// As for [`Self::measured`].
    pub async fn reach(
        &self,
        measured: Arc<Measured>,
        beyond: &[Beyond],
        within: Duration,
    ) -> Result<Arc<Measured>, Failure> {
        let (Source::Live(live, _), false) = (&self.source, beyond.is_empty()) else {
            return Ok(measured);
        };
        let had = live.reach(Arc::unwrap_or_clone(measured).into_had(), beyond, within).await?;
        blocking(move || Measured::of(had)).await
    }

    /// The answer to one question.
    ///
    /// # Errors
    /// As for [`Self::measured`].
    pub async fn tracks(
        &self,
        query: &Query,
        grid: Grid,
        within: Duration,
    ) -> Result<Vec<Track>, Failure> {
        match &self.source {
            Source::Recorded { limits, measured } => {
                let measured = measured.get_or_init(|| read(&self.cluster, *limits));
                Ok(evaluate(&measured.await.clone()?.store, query, grid))
            }
            Source::Live(live, _) => live.tracks(query, grid, within).await,
        }
    }

    /// How many series there are of late of each of `names`.
    ///
    /// # Errors
    /// As for [`Self::measured`].
    pub async fn series(
        &self,
        names: &[&str],
        within: Duration,
    ) -> Result<BTreeMap<String, usize>, Failure> {
        match &self.source {
            Source::Recorded { limits, measured } => {
                let measured =
                    measured.get_or_init(|| read(&self.cluster, *limits)).await.clone()?;
                let count = |name: &&str| (name.to_string(), measured.store.named(name).count());
                Ok(names.iter().map(count).filter(|(_, count)| *count > 0).collect())
            }
            Source::Live(live, _) => live.series(names, (self.cluster.now(), within)).await,
        }
    }

    /// Which server answers, for people; nothing for a recording.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match &self.source {
            Source::Recorded { .. } => None,
            Source::Live(live, _) => Some(live.shown()),
        }
    }

    /// The metrics called `names`, `season` before what `measured` shows, and how many requests that
    /// took; no store where there is nothing to compare with.
    pub async fn earlier(
        &self,
        measured: &Arc<Measured>,
        (about, names): (&About, &[String]),
        (season, within): (Duration, Duration),
    ) -> (Option<Arc<Store>>, usize) {
        let season_ms = i64::try_from(season.as_millis()).unwrap_or(i64::MAX);
        match &self.source {
            Source::Recorded { .. } => {
                let reaches = |(first, last)| first <= last - season_ms;
                let past = measured.store.span_ms().is_some_and(reaches);
                (past.then(|| Arc::new(measured.store.clone())), 0)
            }
            Source::Live(live, _) => {
                let until_ms = measured.asked.map_or(0, |asked| asked.until_ms) - season_ms;
                match live.earlier(about, names, (until_ms, within)).await {
                    Ok(had) if !had.store.is_empty() => (Some(Arc::new(had.store)), had.requests),
                    Ok(had) => (None, had.requests),
                    Err(_) => (None, 0),
                }
            }
        }
    }
}

fn shared(
    kept: &Mutex<BTreeMap<Purpose, Kept>>,
    about: &About,
    purpose: Purpose,
) -> Option<Arc<Measured>> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    // What is old is let go of, too, by whoever looks.
    kept.retain(|_, kept| kept.at.elapsed() < SHARED);
    let found = kept.get(&purpose).filter(|kept| kept.namespace == about.namespace)?;
    Some(found.measured.clone())
}

async fn read(cluster: &Cluster, limits: Limits) -> Result<Arc<Measured>, Failure> {
    let Some(source) = cluster.metrics().await? else {
        let says = "no Prometheus is named (--prometheus-url), and no metrics were recorded with this cluster";
        return Err(none(says));
    };
    let until_ms = cluster.now().as_millisecond();
    blocking(move || {
        let store = store::read(source, until_ms, limits).map_err(|error| {
            Failure::external("METRICS_UNREADABLE", format!("metrics cannot be read: {error}"))
        })?;
        Measured::over(store, None, Vec::new())
    })
    .await
}

/// Work that takes a while, apart from what waits.
async fn blocking(
    work: impl FnOnce() -> Result<Measured, Failure> + Send + 'static,
) -> Result<Arc<Measured>, Failure> {
    let working = tokio::task::spawn_blocking(work);
    let measured = working.await.map_err(|error| {
        Failure::bug("METRICS_READER_FAILED", format!("reading metrics ended early: {error}"))
    })??;
    Ok(Arc::new(measured))
}

fn none(message: &str) -> Failure {
    Failure::new(FailureClass::Config, "NO_METRICS", message)
}

// === impl Asked ===

impl Asked {
    /// The same with so many more requests.
    #[must_use]
    pub fn and(self, requests: usize) -> Self {
        Self { requests: self.requests + requests, ..self }
    }
}

// === impl Measured ===

impl Measured {
    fn of(had: Had) -> Result<Self, Failure> {
        let Had { store, gaps, requests, until_ms } = had;
        let asked = Asked { requests, series: store.len(), samples: store.samples(), until_ms };
        Self::over(store, Some(asked), gaps)
    }

    fn over(
        store: Store,
        asked: Option<Asked>,
        gaps: Vec<(String, Failure)>,
    ) -> Result<Self, Failure> {
        let frame = Frame::of(&store).ok_or_else(|| none("the metrics hold no sample"))?;
        let flows = flow::flows(&store, frame);
        Ok(Self { store, frame, flows, asked, gaps })
    }

    fn into_had(self) -> Had {
        let (requests, until_ms) = self.asked.map_or((0, 0), |a| (a.requests, a.until_ms));
        Had { store: self.store, gaps: self.gaps, requests, until_ms }
    }

    /// Adds to `output` what could not be used.
    #[must_use]
    pub fn with_gaps(&self, mut output: Output) -> Output {
        let account = self.store.account();
        for (subject, failure) in &self.gaps {
            output = output.gap(subject.as_str(), failure.clone());
        }
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
