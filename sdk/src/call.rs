//! What a running call knows and can say: its deadline, whether it was withdrawn, progress and
//! log lines. A caller that reads slowly holds the tool back here; nothing queues without bound.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use agent_proto::tool::v1::{self as wire, call_response::Update};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::Effects,
    limits::{Bounds, MAX_LINE, cut_middle},
    observation::to_wire_time,
    redact::redact,
    shelter::Shelter,
};

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// For developers.
    Debug,
    /// Normal.
    Info,
    /// Needs attention.
    Warn,
    /// Failed part.
    Error,
}

/// The call a tool is working on. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CallCx {
    cancelled: CancellationToken,
    time_left: Duration,
    asked: Arc<Asked>,
    beyond: Beyond,
    reporter: Option<Arc<Reporter>>,
}

/// What outlives the work of a call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beyond {
    pub(crate) shelter: Shelter,
    pub(crate) marks: Arc<Marks>,
}

/// How far a call got, for what can be said of its effects when it ends early.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// The author's code was reached.
    pub(crate) begun: AtomicBool,
    /// A protected part was begun: it may act whatever the tool says of itself.
    protected: AtomicBool,
}

/// Parts of the request that a tool may want to know.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) call_id: String,
    pub(crate) page_token: String,
    pub(crate) idempotency_key: String,
    pub(crate) result_bytes: usize,
    pub(crate) dry_run: bool,
    pub(crate) context: wire::CallContext,
}

#[derive(Debug)]
pub(crate) struct Reporter {
    updates: mpsc::Sender<Update>,
    progress_interval: Duration,
    progress: Mutex<Option<Reported>>,
}

#[derive(Debug, Clone, Copy)]
struct Reported {
    done: f64,
    at: Instant,
}

impl CallCx {
    pub(crate) fn new(
        cancelled: CancellationToken,
        asked: Asked,
        bounds: Bounds,
        beyond: Beyond,
        updates: mpsc::Sender<Update>,
    ) -> Self {
        let reporter = Reporter {
            updates,
            progress_interval: bounds.progress_interval,
            progress: Mutex::new(None),
        };
        Self {
            cancelled,
            time_left: bounds.timeout,
            asked: Arc::new(asked),
            beyond,
            reporter: Some(Arc::new(reporter)),
        }
    }

    /// The same call, told by another token that it is over.
    pub(crate) fn told_by(mut self, cancelled: CancellationToken) -> Self {
        self.cancelled = cancelled;
        self
    }

    /// Whether the call was withdrawn or its time is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Resolves when the call is withdrawn or its time is over. Blocking work should poll
    /// [`Self::is_cancelled`] instead.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Time allowed for this attempt, as it was when the call began.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.time_left
    }

    /// Id of this attempt, a UUID; empty when the caller gave none.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.asked.call_id
    }

    /// Same for all attempts at one step with the same arguments; empty when none was given.
    #[must_use]
    pub fn idempotency_key(&self) -> &str {
        &self.asked.idempotency_key
    }

    /// Where to go on, as given to [`crate::Output::truncated`] before; empty for the beginning.
    #[must_use]
    pub fn page_token(&self) -> &str {
        &self.asked.page_token
    }

    /// Largest `result_json` that will be taken, in bytes. A larger one is cut by the SDK.
    #[must_use]
    pub fn max_result_bytes(&self) -> usize {
        self.asked.result_bytes
    }

    /// Whether to change nothing: to check all that a real call does, and to say with
    /// [`Output::planned_effect`](crate::Output::planned_effect) what it would change. Only ever
    /// true for a tool that [supports it](crate::Spec::supports_dry_run).
    #[must_use]
    pub fn dry_run(&self) -> bool {
        self.asked.dry_run
    }

    /// Does `work` to its end although the call is withdrawn or out of time meanwhile: for the part
    /// that acts and must not be left half done. Keep it short. It goes on in a task of its own, at
    /// the longest until a process that stops has waited 25 s; a caller who is still there gets the
    /// outcome, one that has left learns that something may have been changed.
    ///
    /// # Panics
    /// When `work` does; that is answered as a defect, as anywhere in a tool.
    pub async fn protect<F>(&self, work: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.beyond.marks.protected.store(true, Ordering::SeqCst);
        self.beyond.shelter.protect(work).await
    }

    /// The person or service that asked. For audit and checks of the plugin's own, never a
    /// credential.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.asked.context.principal
    }

    /// W3C keys of the trace that the call belongs to: `traceparent`, `tracestate`, `baggage`, as far
    /// as they were given. The SDK opens a span with the traceparent around each call already.
    #[must_use]
    pub fn trace_context(&self) -> &BTreeMap<String, String> {
        &self.asked.context.trace_context
    }

    /// On whose behalf and why the call is made. Information for audit, never a credential.
    #[must_use]
    pub fn request_context(&self) -> &wire::CallContext {
        &self.asked.context
    }

    /// Tells how far the work got. Only growing `done` is told, and not more often than the
    /// caller wants; the rest is dropped. Waits while the caller does not read.
    pub async fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        let Some(reporter) = &self.reporter else { return };
        if !reporter.takes(done) {
            return;
        }
        let progress = wire::CallProgress {
            done,
            total: total.filter(|total| total.is_finite()),
            message: cut_middle(&redact(message), MAX_LINE),
        };
        reporter.send(Update::Progress(progress)).await;
    }

    /// Tells a line that is worth keeping with the investigation. Waits while the caller does not
    /// read.
    pub async fn log(&self, severity: Severity, line: &str) {
        let Some(reporter) = &self.reporter else { return };
        let severity = match severity {
            Severity::Debug => wire::LogSeverity::Debug,
            Severity::Info => wire::LogSeverity::Info,
            Severity::Warn => wire::LogSeverity::Warn,
            Severity::Error => wire::LogSeverity::Error,
        };
        let log = wire::CallLog {
            time: Some(to_wire_time(jiff::Timestamp::now())),
            severity: severity.into(),
            message: cut_middle(&redact(line), MAX_LINE),
        };
        reporter.send(Update::Log(log)).await;
    }

    /// A call that belongs to nothing, for unit tests of a tool; the kit gives a real one.
    #[must_use]
    pub fn detached(timeout: Duration) -> Self {
        Self {
            cancelled: CancellationToken::new(),
            time_left: timeout,
            asked: Arc::new(Asked {
                result_bytes: Bounds::from(None).result_bytes,
                ..Asked::default()
            }),
            beyond: Beyond::default(),
            reporter: None,
        }
    }
}

// === impl Marks ===

impl Marks {
    /// What a call may have changed that ended without saying so.
    pub(crate) fn effects(&self, is_harmless: bool) -> Effects {
        let begun = self.begun.load(Ordering::SeqCst);
        let protected = self.protected.load(Ordering::SeqCst);
        if protected || begun && !is_harmless { Effects::Maybe } else { Effects::None }
    }
}

// === impl Reporter ===

impl Reporter {
    fn takes(&self, done: f64) -> bool {
        let now = Instant::now();
        let mut last = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let takes = done.is_finite()
            && last.is_none_or(|last| {
                done > last.done && now.duration_since(last.at) >= self.progress_interval
            });
        if takes {
            *last = Some(Reported { done, at: now });
        }
        takes
    }

    async fn send(&self, update: Update) {
        // The receiver is gone when the call is over; what a straggler says then is nobody's.
        let _ = self.updates.send(update).await;
    }
}
