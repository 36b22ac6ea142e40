//! What a running call knows and can say: its deadline, whether it was withdrawn, progress and
//! log lines. A caller that reads slowly holds the tool back here; nothing queues without bound.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_proto::tool::v1::{self as wire, call_response::Update};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    limits::{Bounds, MAX_LINE, cut_middle},
    observation::to_wire_time,
    redact::redact,
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
    reporter: Option<Arc<Reporter>>,
}

/// Parts of the request that a tool may want to know.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) call_id: String,
    pub(crate) page_token: String,
    pub(crate) idempotency_key: String,
    pub(crate) result_bytes: usize,
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
            reporter: Some(Arc::new(reporter)),
        }
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
            reporter: None,
        }
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
