//! The engine: takes an alert in and owns the run that investigates it. A run is recall, then
//! plan, execute, weigh until a verdict stands or a bound is met, then conclude and learn: see
//! [`run`]. Only the engine appends to the journal. A client that leaves never stops a run; a
//! cancel or the end of the daemon does.

mod accept;
mod attach;
mod carried;
mod executor;
mod lessons;
mod limits;
mod recalled;
mod recorder;
mod recovery;
mod run;
mod shown;
mod untold;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use accept::{content_hash, redacted, redacted_pairs};

use crate::{
    alert::Alert,
    guard::policy::Policy,
    investigation::{
        Autonomy, Bounds, Investigation, InvestigationId, Phase, Usage,
        event::{Event, Kind},
    },
    journal::{self, Journal},
    memory::{self, Memory},
    plugin::Tools,
    store::{Begun, RequestKey},
    telemetry::metrics::Metrics,
};

pub use attach::Life;
pub use lessons::{Judged, Search};

/// What the engine is bounded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bounds of one investigation; a caller may ask for less.
    pub bounds: Bounds,
    /// Investigations worked on at once; further ones wait their turn.
    pub concurrent: usize,
    /// Tool calls in flight at once within one investigation.
    pub parallel_calls: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { bounds: Bounds::default(), concurrent: 64, parallel_calls: 8 }
    }
}

/// What the engine works with. All of it is shared with other doors.
#[derive(Clone)]
pub struct Parts {
    /// The truth.
    pub journal: Journal,
    /// Earlier cases and working notes.
    pub memory: Memory,
    /// Tools that can be called.
    pub tools: Tools,
    /// Which calls may run.
    pub policy: Policy,
    /// Numbers for operators.
    pub metrics: Metrics,
    /// Wall time.
    pub clock: fn() -> Timestamp,
}

/// What a caller may wish for. Bounds only ever get tighter.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Repeating it with equal content returns the same investigation.
    pub request_id: Option<Uuid>,
    /// Wanted freedom.
    pub autonomy: Option<Autonomy>,
    /// Wanted wall time.
    pub max_duration: Option<Duration>,
    /// Wanted number of tool calls.
    pub max_tool_calls: Option<u32>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Who asks.
    pub principal: String,
}

/// A handle on the engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    parts: Parts,
    turns: Semaphore,
    waiting: AtomicUsize,
    tracker: TaskTracker,
    /// No new work from here on.
    stopping: CancellationToken,
    /// Work in progress is left as it is from here on.
    abandon: CancellationToken,
    live: Mutex<HashMap<InvestigationId, Live>>,
    /// Runs whose journal was lost under them: FAILED here, closed PARTIAL at the next start.
    lost: Mutex<HashMap<InvestigationId, Timestamp>>,
}

/// A run in progress, as seen from outside.
#[derive(Clone)]
struct Live {
    cancel: CancellationToken,
    now: watch::Receiver<Investigation>,
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The journal refused or was lost.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Memory did not do what it was asked.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// The true cause of a judgement is told in no known form.
    #[error(transparent)]
    Cause(#[from] memory::feedback::BadCause),
    /// The daemon is going down.
    #[error("the daemon is stopping; ask again when it is back")]
    Stopping,
}

// === impl Engine ===

impl Engine {
    /// An engine with nothing to do yet. Closes what an earlier life left unfinished.
    ///
    /// # Errors
    /// When the journal cannot be read or written.
    pub async fn start_up(config: Config, parts: Parts) -> Result<Self, Error> {
        recovery::close_unfinished(&parts).await?;
        let shared = Shared {
            turns: Semaphore::new(config.concurrent),
            waiting: AtomicUsize::new(0),
            config,
            parts,
            tracker: TaskTracker::new(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            live: Mutex::new(HashMap::new()),
            lost: Mutex::new(HashMap::new()),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Begins an investigation, or finds the one that the same request began. Durable when it
    /// returns; the work goes on by itself.
    ///
    /// # Errors
    /// When the request id was used for other content, the journal was lost, or the daemon stops.
    pub async fn investigate(
        &self,
        alert: Alert,
        wishes: Wishes,
    ) -> Result<InvestigationId, Error> {
        if self.shared.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        let request = wishes.request_id.map(|request_id| RequestKey {
            principal: wishes.principal.clone(),
            request_id,
            content_hash: content_hash(&alert, &wishes),
            now: (self.shared.parts.clock)(),
        });
        let opened = self.open(alert, wishes);
        let engine = self.clone();
        // In a task of its own: a caller that leaves between the two would leave a log without work.
        let begun = self.shared.tracker.spawn(async move { engine.begin(opened, request).await });
        begun.await.map_err(|_| Error::Stopping)?
    }

    async fn begin(
        &self,
        mut opened: Investigation,
        request: Option<RequestKey>,
    ) -> Result<InvestigationId, Error> {
        let first = Event {
            investigation: opened.id,
            seq: 1,
            time: opened.created,
            summary: format!("investigating {}", opened.alert.headline()),
            step: String::new(),
            kind: Kind::Started(Box::new(opened.clone())),
        };
        let id = opened.id;
        match self.shared.parts.journal.start(first.clone(), request).await? {
            Begun::Existing(earlier) => return Ok(earlier),
            Begun::New => {}
        }
        opened.last_seq = 1;
        self.spawn(opened, &first);
        Ok(id)
    }

    /// The investigation as it is now.
    ///
    /// # Errors
    /// When there is none of that id or its log cannot be read.
    pub fn get(&self, id: InvestigationId) -> Result<Investigation, Error> {
        if let Some(live) = self.lock().get(&id) {
            return Ok(live.now.borrow().clone());
        }
        let mut stored = self.shared.parts.journal.investigation(id)?;
        let lost = self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(when) = lost.get(&id).filter(|_| !stored.phase.terminal()) {
            stored.phase = Phase::Failed;
            stored.ended = Some(*when);
        }
        Ok(stored)
    }

    /// Waits until the investigation is terminal, at most `limit`, and returns it as it is then.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn wait(&self, id: InvestigationId, limit: Duration) -> Result<Investigation, Error> {
        let live = self.lock().get(&id).cloned();
        if let Some(mut live) = live {
            let ended = live.now.wait_for(|now| now.phase.terminal());
            if let Ok(Ok(ended)) = tokio::time::timeout(limit, ended).await {
                return Ok(ended.clone());
            }
            return self.get(id);
        }
        if !self.get(id)?.phase.terminal() {
            // Begun by an equal request a moment ago: its log tells when it ends.
            let mut cursor = self.shared.parts.journal.follow(id, 0)?;
            let ended = async { while let Ok(Some(_)) = cursor.next().await {} };
            // Over time it is returned as it is.
            let _ = tokio::time::timeout(limit, ended).await;
        }
        self.get(id)
    }

    /// Withdraws an investigation. A terminal one is returned unchanged.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn cancel(&self, id: InvestigationId, reason: &str) -> Result<Investigation, Error> {
        if let Some(live) = self.lock().get(&id) {
            tracing::info!(investigation = %id, reason, "investigation withdrawn");
            live.cancel.cancel();
        }
        self.get(id)
    }

    /// Runs whose journal was lost under them since the start.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.shared.lost.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Runs in progress.
    #[must_use]
    pub fn active(&self) -> usize {
        self.lock().len()
    }

    /// Takes no new work, gives runs until `limit` to end, then leaves the rest to be closed at
    /// the next start. Events written stay; nothing is lost.
    pub async fn stop(&self, limit: Duration) {
        self.shared.stopping.cancel();
        self.shared.tracker.close();
        let left = tokio::time::timeout(limit, self.shared.tracker.wait()).await;
        if left.is_err() {
            tracing::warn!(unfinished = self.active(), "stopping with work unfinished");
        }
        self.shared.abandon.cancel();
        self.shared.tracker.wait().await;
    }

    fn open(&self, alert: Alert, wishes: Wishes) -> Investigation {
        let most = self.shared.config.bounds;
        let alert = redacted(alert);
        Investigation {
            id: InvestigationId(Uuid::now_v7()),
            phase: Phase::Running,
            autonomy: wishes.autonomy.unwrap_or_default(),
            bounds: Bounds {
                max_duration: wishes
                    .max_duration
                    .map_or(most.max_duration, |wanted| wanted.min(most.max_duration)),
                max_tool_calls: wishes
                    .max_tool_calls
                    .map_or(most.max_tool_calls, |wanted| wanted.min(most.max_tool_calls)),
                max_rounds: most.max_rounds,
            },
            usage: Usage::default(),
            principal: wishes.principal,
            created: (self.shared.parts.clock)(),
            ended: None,
            last_seq: 0,
            report: None,
            labels: redacted_pairs(wishes.labels),
            alert,
        }
    }

    fn spawn(&self, opened: Investigation, first: &Event) {
        let id = opened.id;
        let cancel = CancellationToken::new();
        let (tell, now) = watch::channel(opened);
        self.lock().insert(id, Live { cancel: cancel.clone(), now });
        let shared = Arc::clone(&self.shared);
        let first = first.clone();
        self.shared.tracker.spawn(async move {
            let abandon = shared.abandon.clone();
            let work = async {
                let waiting = Waiting::begin(&shared);
                // Who is withdrawn while waiting needs no turn to say so.
                let _turn = tokio::select! {
                    turn = shared.turns.acquire() => turn.ok(),
                    () = cancel.cancelled() => None,
                };
                drop(waiting);
                if let Err(error) =
                    run::run(shared.config, &shared.parts, &first, cancel, tell).await
                {
                    shared.parts.metrics.error(error.kind().as_str());
                    shared.parts.metrics.investigation_lost();
                    tracing::error!(investigation = %id, error = %error, "investigation lost");
                    let now = (shared.parts.clock)();
                    let mut lost = shared.lost.lock().unwrap_or_else(PoisonError::into_inner);
                    lost.insert(id, now);
                }
            };
            tokio::select! {
                () = work => {}
                () = abandon.cancelled() => {}
            }
            shared.live.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<InvestigationId, Live>> {
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One investigation in the queue, as the gauge counts it.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let before = shared.waiting.fetch_add(1, Ordering::Relaxed);
        shared.parts.metrics.queue_depth(before.saturating_add(1));
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let before = self.0.waiting.fetch_sub(1, Ordering::Relaxed);
        self.0.parts.metrics.queue_depth(before.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
