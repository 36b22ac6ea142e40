//! Writes what happened in one run: numbers events, appends them durably, folds them into the
//! state. Everything a run says goes through here, so state and journal cannot differ.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    investigation::{
        Investigation,
        event::{Event, Kind, Seq},
        state::State,
    },
    journal::{self, Journal},
};

/// How often a write that may yet succeed is tried again, and the pause before each.
const TRIES: u32 = 120;
const PAUSE: Duration = Duration::from_secs(1);

/// One thing that happened, not yet numbered.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    kind: Kind,
    summary: String,
    step: String,
    attachment: Option<Bytes>,
}

impl Happened {
    /// Something that belongs to no step.
    pub(super) fn new(kind: Kind, summary: impl Into<String>) -> Self {
        Self { kind, summary: summary.into(), step: String::new(), attachment: None }
    }

    /// The same, of one step.
    pub(super) fn of_step(mut self, step: &str) -> Self {
        step.clone_into(&mut self.step);
        self
    }

    /// With what is too large for an event.
    pub(super) fn with(mut self, attachment: Bytes) -> Self {
        self.attachment = Some(attachment);
        self
    }
}

/// The writing end of one investigation.
pub(super) struct Recorder {
    journal: Journal,
    clock: fn() -> Timestamp,
    state: State,
    tell: Option<watch::Sender<Investigation>>,
}

impl Recorder {
    /// A recorder that goes on after `state`.
    pub(super) fn new(
        journal: Journal,
        clock: fn() -> Timestamp,
        state: State,
        tell: Option<watch::Sender<Investigation>>,
    ) -> Self {
        Self { journal, clock, state, tell }
    }

    /// What is known after everything recorded.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Now.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Records one thing; returns its number once it is durable.
    pub(super) async fn record(&mut self, happened: Happened) -> Result<Seq, journal::Error> {
        let seqs = self.record_all(vec![happened]).await?;
        Ok(seqs.last().copied().unwrap_or(self.state.investigation.last_seq))
    }

    /// Records several things in order with one sync; returns their numbers.
    pub(super) async fn record_all(
        &mut self,
        happened: Vec<Happened>,
    ) -> Result<Vec<Seq>, journal::Error> {
        let time = self.now();
        let mut seq = self.state.investigation.last_seq;
        let (mut events, mut attachments, mut seqs) = (Vec::new(), Vec::new(), Vec::new());
        for one in happened {
            seq = seq.saturating_add(1);
            seqs.push(seq);
            attachments.extend(one.attachment.map(|bytes| (seq, bytes)));
            let mut kind = one.kind;
            if let Kind::Finished(investigation) = &mut kind {
                investigation.last_seq = seq;
            }
            events.push(Event {
                investigation: self.state.investigation.id,
                seq,
                time,
                summary: one.summary,
                step: one.step,
                kind,
            });
        }
        self.append(&events, &attachments).await?;
        for event in &events {
            // The numbers are made above from the same state: a refusal is a defect of ours, and
            // the journal, which checks them too, has taken the event.
            if let Err(error) = self.state.apply(event) {
                tracing::error!(%error, investigation = %event.investigation, "state fell behind");
            }
        }
        if let Some(tell) = &self.tell {
            tell.send_replace(self.state.investigation.clone());
        }
        Ok(seqs)
    }

    /// Appends, and goes on trying while the disk is full: the run pauses and nothing is lost. The
    /// same events again count as the same write.
    async fn append(
        &self,
        events: &[Event],
        attachments: &[(Seq, Bytes)],
    ) -> Result<(), journal::Error> {
        let mut tries = 0;
        loop {
            match self.journal.append(events.to_vec(), attachments.to_vec()).await {
                Err(error) if error.retryable() && tries < TRIES => {
                    tries += 1;
                    tracing::warn!(%error, tries, "the journal cannot be written; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }
}
