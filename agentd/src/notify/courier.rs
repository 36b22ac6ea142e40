//! The courier of one receiver: follows what ends, in that order, and tells it one message after the
//! other. Before a try it notes that one is under way, so that after a kill the next life knows that
//! the message may have arrived.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use super::{
    Error, Parts, Webhook, When,
    message::{Message, severity, why_person},
    patience::{Next, Outcome, next, told},
    post::Poster,
};
use crate::{
    investigation::{Investigation, InvestigationId},
    journal,
    plugin::luck,
    store::Delivery,
};

/// Ended investigations looked up at once.
const CHUNK: usize = 64;
/// Pause after the journal could not be read or written.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// One receiver's.
pub struct Courier {
    poster: Poster,
    parts: Parts,
}

// === impl Courier ===

impl Courier {
    /// A courier for a receiver whose files can be read.
    ///
    /// # Errors
    /// What is wrong with the receiver's settings.
    pub fn new(webhook: Webhook, parts: Parts) -> Result<Self, Error> {
        Ok(Self { poster: Poster::new(webhook)?, parts })
    }

    /// Works until it is dropped, which may be at any time.
    pub async fn run(self) {
        loop {
            let Err(error) = self.follow().await else { return };
            tracing::error!(receiver = self.name(), %error, "messages wait until the journal is back");
            self.parts.metrics.error(error.kind().as_str());
            sleep(STORE_PAUSE).await;
        }
    }

    fn name(&self) -> &str {
        &self.poster.webhook().name
    }

    async fn follow(&self) -> Result<(), journal::Error> {
        let mut endings = self.parts.journal.endings();
        let mut state = self.begin().await?;
        loop {
            // Before the look: what ends after it will wake us.
            endings.mark_unchanged();
            let ended = self.parts.journal.finished_after(state.done, CHUNK)?;
            if ended.is_empty() && endings.changed().await.is_err() {
                return Ok(());
            }
            for (position, id) in ended {
                match self.wanted(id)? {
                    Some(investigation) => self.tell(&investigation, position, &mut state).await?,
                    None => state = Delivery { done: position, ..Delivery::default() },
                }
            }
        }
    }

    /// Where it stopped; one that is new is told of what ends from now on, not of all the past.
    async fn begin(&self) -> Result<Delivery, journal::Error> {
        let journal = &self.parts.journal;
        if let Some(known) = journal.delivery(self.name())? {
            return Ok(known);
        }
        let mut new = Delivery::default();
        while let Some((position, _)) = journal.finished_after(new.done, CHUNK * CHUNK)?.last() {
            new.done = *position;
        }
        journal.deliver(self.name(), new).await?;
        Ok(new)
    }

    /// The investigation, if the receiver is to be told of it.
    fn wanted(&self, id: InvestigationId) -> Result<Option<Investigation>, journal::Error> {
        let investigation = match self.parts.journal.investigation(id) {
            Ok(investigation) => investigation,
            // What is damaged or deleted can be told to nobody, and must hold up nobody.
            Err(journal::Error::Undecodable { .. } | journal::Error::NotFound { .. }) => {
                tracing::error!(investigation = %id, "cannot be read; receivers are not told of it");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let webhook = self.poster.webhook();
        let told = match webhook.when {
            When::Finished => true,
            When::NeedsPerson => !why_person(&investigation).is_empty(),
        };
        // P1 is the most severe and comes first. What nobody judged is told.
        let severe = match (webhook.min_severity, severity(&investigation)) {
            (Some(least), Some(severity)) => severity <= least,
            (None, _) | (_, None) => true,
        };
        Ok((told && severe).then_some(investigation))
    }

    /// Tells one message until it is delivered or given up.
    async fn tell(
        &self,
        investigation: &Investigation,
        position: u64,
        state: &mut Delivery,
    ) -> Result<(), journal::Error> {
        let tally = self.parts.journal.tally(investigation.id)?;
        let mut message = Message::of(investigation, tally);
        loop {
            let before = state.uncertain;
            state.tries = state.tries.saturating_add(1);
            (message.attempt, message.repeat) = (state.tries, before);
            // Noted first: who is killed from here on cannot know whether it arrived.
            state.uncertain = true;
            self.parts.journal.deliver(self.name(), *state).await?;
            let outcome = self.attempt(&message).await;
            state.uncertain = before || outcome != Outcome::Unreached;
            let pause = match next(outcome, state.tries, self.age(investigation), luck::share()) {
                Next::Again(pause) => pause,
                Next::Done => return self.close(position, state, "delivered").await,
                Next::GiveUp(why) => {
                    tracing::error!(
                        receiver = self.name(),
                        message = message.id,
                        why,
                        "a message is given up"
                    );
                    return self.close(position, state, "given_up").await;
                }
            };
            self.parts.metrics.notification(self.name(), "failed");
            let (receiver, why) = (self.name(), told(outcome));
            tracing::warn!(receiver, message = message.id, why, ?pause, "a message is tried again");
            self.parts.journal.deliver(self.name(), *state).await?;
            sleep(pause).await;
        }
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let seconds = (self.parts.clock)().as_second();
        match self.poster.post(message, seconds).await {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(receiver = self.name(), %error, "nothing can be sent");
                Outcome::Unreached
            }
        }
    }

    async fn close(
        &self,
        position: u64,
        state: &mut Delivery,
        outcome: &str,
    ) -> Result<(), journal::Error> {
        self.parts.metrics.notification(self.name(), outcome);
        *state = Delivery { done: position, ..Delivery::default() };
        self.parts.journal.deliver(self.name(), *state).await
    }

    fn age(&self, investigation: &Investigation) -> Duration {
        let now: Timestamp = (self.parts.clock)();
        let ended = investigation.ended.unwrap_or(investigation.created);
        Duration::try_from(now.duration_since(ended)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
