//! Alerts that join an investigation of the same trouble, and where such a one stands. Which joins
//! which is decided by the door they come in at; here they are masked and written.

use jiff::Timestamp;

use super::{Engine, Error, accept::redacted};
use crate::{
    investigation::{
        Investigation, InvestigationId,
        event::{Attached, Event, Kind},
        finding::EndReason,
    },
    journal,
};

/// Where an investigation stands, for one who asks whether an alert may join it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// It works or waits for its turn.
    Open,
    /// It ended then.
    Ended(Timestamp),
    /// The daemon or its store ended before the work did: nobody looked at the trouble.
    Abandoned,
}

impl Life {
    /// That of an investigation as it is now.
    #[must_use]
    pub fn of(investigation: &Investigation) -> Self {
        let Some(ended) = investigation.ended else { return Self::Open };
        match &investigation.report {
            Some(report) if report.ended_by != EndReason::DaemonRestarted => Self::Ended(ended),
            Some(_) | None => Self::Abandoned,
        }
    }
}

impl Engine {
    /// Writes alerts that join an investigation, running or ended. Durable when it returns.
    ///
    /// # Errors
    /// When there is no such investigation, the journal was lost, or the daemon stops.
    pub async fn attach(&self, id: InvestigationId, alerts: Vec<Attached>) -> Result<(), Error> {
        if self.shared.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        let time = (self.shared.parts.clock)();
        let event = |attached: Attached| {
            let said = if attached.resolved { "over, says its sender:" } else { "joined by" };
            let alert = redacted(attached.alert);
            Event {
                investigation: id,
                // They have numbers of their own, given by the store.
                seq: 0,
                time,
                summary: format!("{said} {}", alert.headline()),
                step: String::new(),
                kind: Kind::AlertAttached(Box::new(Attached {
                    alert,
                    resolved: attached.resolved,
                })),
            }
        };
        let events: Vec<Event> = alerts.into_iter().map(event).collect();
        Ok(self.shared.parts.journal.join(id, &events).await?)
    }

    /// Where an investigation stands.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn life(&self, id: InvestigationId) -> Result<Life, Error> {
        match self.get(id) {
            Ok(now) => Ok(Life::of(&now)),
            // Its events were deleted, as retention will: nothing to join.
            Err(Error::Journal(journal::Error::NotFound { .. })) => Ok(Life::Abandoned),
            Err(error) => Err(error),
        }
    }
}
