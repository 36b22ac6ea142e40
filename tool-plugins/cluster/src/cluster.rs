//! The few questions plugins ask of a cluster, recorded or live.

use std::{
    collections::BTreeSet,
    io::BufRead,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use agent_sdk::Failure;
use jiff::Timestamp;

pub use crate::live::logs::Span;
use crate::{
    kind::Kind,
    live::{Found, Live},
    log::{LogFile, LogLine, LogReader},
    object::Object,
    snapshot::Snapshot,
};

/// A cluster that can be asked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    backend: Backend,
    view: Arc<View>,
}

#[derive(Debug, Clone)]
enum Backend {
    Snapshot(Arc<Snapshot>),
    Live(Arc<Live>),
}

/// What one call has learnt of a live cluster while it asks.
#[derive(Debug, Default)]
struct View {
    /// The namespace that the call is about.
    home: OnceLock<String>,
    /// What was read in part only.
    gaps: Mutex<Vec<(String, Failure)>>,
    /// Kinds that could not be listed, or that the server does not know.
    unseen: Mutex<BTreeSet<Kind>>,
}

// === impl Cluster ===

impl Cluster {
    pub(crate) fn recorded(snapshot: Arc<Snapshot>) -> Self {
        Self { backend: Backend::Snapshot(snapshot), view: Arc::default() }
    }

    pub(crate) fn live(live: Arc<Live>) -> Self {
        Self { backend: Backend::Live(live), view: Arc::default() }
    }

    /// The cluster for one call: what the call is about, and what could be read in part only, is
    /// the call's own. Every tool begins with it.
    #[must_use]
    pub fn view(&self) -> Self {
        Self { backend: self.backend.clone(), view: Arc::default() }
    }

    /// Says which namespace the call is about, once; [`Self::resolve`] does.
    pub(crate) fn settle(&self, namespace: &str) {
        // The first word counts: later names are looked up for the same call.
        let _ = self.view.home.set(namespace.to_owned());
    }

    /// The time the data describes. What is later is cut. Of a live cluster it is the time by the
    /// API server's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.now(),
            Backend::Live(live) => live.now(),
        }
    }

    /// All objects of `kind` in one namespace, ordered by name. Without a namespace: all that may
    /// matter to the call, ordered by namespace and name. Of a recording and of a small cluster
    /// that is everything; of a large one the namespace that the call is about and those that its
    /// settings name ([`Self::sees_all`] tells which).
    ///
    /// # Errors
    /// What the server answers: PERMISSION with the permission that is missing,
    /// `RATE_LIMITED`, EXTERNAL with status and message.
    pub async fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Vec<Object>, Failure> {
        let live = match &self.backend {
            Backend::Snapshot(snapshot) => return snapshot.list(kind, namespace),
            Backend::Live(live) => live,
        };
        let found = match (namespace, self.view.home.get()) {
            (Some(namespace), _) => live.list(kind, Some(namespace)).await,
            (None, Some(home)) if kind.is_namespaced() => live.around(kind, home).await,
            (None, _) => live.list(kind, None).await,
        };
        self.noted(kind, found)
    }

    /// Objects of `kind` called `name`, in any namespace.
    ///
    /// # Errors
    /// As for [`Self::list`].
    pub async fn named(&self, kind: Kind, name: &str) -> Result<Vec<Object>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => {
                let mut all = snapshot.list(kind, None)?;
                all.retain(|object| object.name() == name);
                Ok(all)
            }
            Backend::Live(live) => self.noted(kind, live.named(kind, name).await),
        }
    }

    /// The pods on one node, of all namespaces.
    ///
    /// # Errors
    /// As for [`Self::list`].
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Object>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => {
                let mut all = snapshot.list(Kind::Pod, None)?;
                all.retain(|pod| pod.text("/spec/nodeName") == node);
                Ok(all)
            }
            Backend::Live(live) => self.noted(Kind::Pod, live.pods_on(node).await),
        }
    }

    fn noted(&self, kind: Kind, found: Result<Found, Failure>) -> Result<Vec<Object>, Failure> {
        match found {
            Ok(found) => {
                if !found.served {
                    lock(&self.view.unseen).insert(kind);
                }
                let mut gaps = lock(&self.view.gaps);
                let is_new = |(known, _): &(String, Failure)| known != kind.plural();
                if let Some(cut) = found.cut.filter(|_| gaps.iter().all(is_new)) {
                    gaps.push((kind.plural().to_owned(), cut));
                }
                Ok(found.objects)
            }
            Err(failure) => {
                lock(&self.view.unseen).insert(kind);
                Err(failure)
            }
        }
    }

    /// Whether absence means something: a recording without any object of `kind` most likely did
    /// not record the kind, and what a live server did not list may exist all the same. Of other
    /// namespances ask [`Self::sees_all`] too.
    #[must_use]
    pub fn records(&self, kind: Kind) -> bool {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.records(kind),
            Backend::Live(_) => !lock(&self.view.unseen).contains(&kind),
        }
    }

    /// Whether a list without a namespace is of the whole cluster.
    pub async fn sees_all(&self) -> bool {
        self.view.home.get().is_none() || self.is_small().await
    }

    /// Whether the cluster is recorded, or small enough to be read whole.
    pub async fn is_small(&self) -> bool {
        match &self.backend {
            Backend::Snapshot(_) => true,
            Backend::Live(live) => live.is_small().await,
        }
    }

    /// Which logs there are, in one namespace or in all that [`Self::list`] lists, ordered by
    /// namespace, pod and container.
    ///
    /// # Errors
    /// As for [`Self::list`].
    pub async fn log_files(&self, namespace: Option<&str>) -> Result<Vec<LogFile>, Failure> {
        match (&self.backend, namespace) {
            (Backend::Snapshot(snapshot), _) => snapshot.log_files(namespace),
            (Backend::Live(live), Some(namespace)) => live.log_files(namespace).await,
            (Backend::Live(_), None) => {
                Ok(crate::live::log_files(&self.list(Kind::Pod, None).await?))
            }
        }
    }

    /// The logs that `pods` must have written, whether or not they can be had.
    #[must_use]
    pub fn logs_of(pods: &[Object]) -> Vec<LogFile> {
        crate::live::log_files(pods)
    }

    /// The lines of one log, cut at [`Self::now`]; `None` when there is no such log. To be read on
    /// a thread that may block.
    ///
    /// # Errors
    /// As for [`Self::list`]; also EXTERNAL when the file cannot be opened.
    pub async fn logs(&self, file: &LogFile, span: Span) -> Result<Option<LogReader>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.logs(file),
            Backend::Live(live) => live.logs(file, span).await,
        }
    }

    /// The lines of one log from its end, oldest first, at most `most`; `None` when there is no
    /// such log. What cannot be read further ends it.
    ///
    /// # Errors
    /// As for [`Self::logs`].
    pub async fn last_lines(
        &self,
        file: &LogFile,
        most: usize,
    ) -> Result<Option<Vec<LogLine>>, Failure> {
        let span = Span { lines: Some(most), since: None };
        let Some(reader) = self.logs(file, span).await? else { return Ok(None) };
        let reading = tokio::task::spawn_blocking(move || {
            let mut lines = std::collections::VecDeque::new();
            for line in reader.map_while(Result::ok) {
                if lines.len() == most {
                    lines.pop_front();
                }
                lines.push_back(line);
            }
            lines.into()
        });
        let lines = reading.await.map_err(|error| {
            Failure::bug("READING_FAILED", format!("reading the log ended early: {error}"))
        })?;
        Ok(Some(lines))
    }

    /// The recorded metrics in the OpenMetrics text form, decompressed; `None` when none were
    /// recorded, as of any live cluster. Samples later than [`Self::now`] are not cut: the reader
    /// parses, the reader cuts.
    ///
    /// # Errors
    /// As for [`Self::list`], with `metrics` as the thing that did not answer; also EXTERNAL when
    /// the file cannot be opened.
    #[expect(clippy::unused_async, reason = "asked like the other sources")]
    pub async fn metrics(&self) -> Result<Option<Box<dyn BufRead + Send>>, Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.metrics(),
            Backend::Live(_) => Ok(None),
        }
    }

    /// What could not be read, or in part only, each with the reason: to be named as gaps of any
    /// outcome that builds on objects.
    #[must_use]
    pub fn gaps(&self) -> Vec<(String, Failure)> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.gaps().to_vec(),
            Backend::Live(_) => lock(&self.view.gaps).clone(),
        }
    }

    /// Whether objects of `kind` may be listed, by asking for one.
    ///
    /// # Errors
    /// As for [`Self::list`].
    pub async fn probe(&self, kind: Kind, namespace: Option<&str>) -> Result<(), Failure> {
        match &self.backend {
            Backend::Snapshot(snapshot) => snapshot.list(kind, namespace).map(|_| ()),
            Backend::Live(live) => live.probe(kind, namespace).await,
        }
    }

    /// Which cluster this is, for people: a directory, or a server and the context.
    #[must_use]
    pub fn source(&self) -> String {
        match &self.backend {
            Backend::Snapshot(snapshot) => format!("recording {}", snapshot.dir().display()),
            Backend::Live(live) => live.source().to_owned(),
        }
    }

    /// Seconds by which the API server's clock is ahead of ours; 0 for a recording.
    #[must_use]
    pub fn clock_ahead(&self) -> i64 {
        match &self.backend {
            Backend::Snapshot(_) => 0,
            Backend::Live(live) => live.clock_ahead(),
        }
    }

    /// Requests sent to a live cluster since the program began; 0 for a recording.
    #[must_use]
    pub fn requests(&self) -> u64 {
        match &self.backend {
            Backend::Snapshot(_) => 0,
            Backend::Live(live) => live.requests(),
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
