//! The time that a call may still take, with what judging needs kept back.

use std::time::Duration;

use agent_sdk::CallCx;
use tokio::time::Instant;

/// Kept back for judging and for the way home.
const KEPT: Duration = Duration::from_secs(3);

/// The end of a call's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remaining {
    ends: Instant,
}

impl Remaining {
    /// As the caller allows.
    pub(crate) fn of(cx: &CallCx) -> Self {
        let allowed = cx.timeout();
        Self { ends: Instant::now() + allowed - KEPT.min(allowed / 4) }
    }

    /// What is left to be spent on sources.
    pub(crate) fn left(self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}
