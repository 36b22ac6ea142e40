//! Reading along: a place in the log of one investigation, and the wake-ups for those who wait at
//! its end. No queue per reader, so nothing can overflow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{Error, Journal, Shared};
use crate::{
    investigation::{InvestigationId, event::Seq},
    store::Write,
};

/// Most events in one answer of a cursor.
const CHUNK: usize = 256;

/// A reader of one investigation: replays what is stored, then waits for more.
#[derive(Debug)]
pub struct Cursor {
    shared: Arc<Shared>,
    id: InvestigationId,
    after: Seq,
    wakeups: Option<watch::Receiver<()>>,
}

/// Wake-ups by investigation; only for those that somebody follows.
#[derive(Debug, Default)]
pub(super) struct Live {
    followed: Mutex<Followed>,
    endings: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Followed {
    senders: HashMap<InvestigationId, watch::Sender<()>>,
    closed: bool,
}

// === impl Cursor ===

impl Cursor {
    /// Number of the last event given out, or where reading began.
    #[must_use]
    pub fn after(&self) -> Seq {
        self.after
    }

    /// The next stored events, at least one; waits for them when there are none yet. `None` after
    /// the last event of the investigation. May be dropped while it waits: nothing is lost.
    ///
    /// # Errors
    /// When the store cannot be read or the journal closes.
    pub async fn next(&mut self) -> Result<Option<Vec<(Seq, Bytes)>>, Error> {
        loop {
            if let Some(wakeups) = &mut self.wakeups {
                // Before the look: what is written after it will wake us.
                wakeups.mark_unchanged();
            }
            let found = self.shared.log.read(self.id, self.after, CHUNK)?;
            if let Some((last, _)) = found.last() {
                self.after = *last;
                return Ok(Some(found));
            }
            let head = self.shared.log.head(self.id)?.ok_or(Error::NotFound { id: self.id })?;
            if head.finished.is_some() {
                if self.after >= head.last {
                    return Ok(None);
                }
                // The end came between the two looks.
                continue;
            }
            match &mut self.wakeups {
                Some(wakeups) => {
                    if wakeups.changed().await.is_err() {
                        // The sender goes with the end of the investigation or of the journal:
                        // look again to see which.
                        self.wakeups = None;
                    }
                }
                None => {
                    self.wakeups = Some(self.shared.live.follow(self.id).ok_or(Error::Closed)?);
                }
            }
        }
    }
}

// === impl Live ===

impl Live {
    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(&self, id: InvestigationId) -> Option<watch::Receiver<()>> {
        let mut followed = self.followed();
        if followed.closed {
            return None;
        }
        Some(followed.senders.entry(id).or_insert_with(|| watch::Sender::new(())).subscribe())
    }

    fn forget(&self, id: InvestigationId) {
        self.followed().senders.remove(&id);
    }

    /// Wakes those who follow what the batch was about.
    pub(super) fn wake(&self, batch: &[Write]) {
        let mut followed = self.followed();
        for write in batch {
            let (last, ended) = match write {
                Write::Start { entry, .. } => (Some(entry), false),
                Write::Append { entries, .. } => {
                    (entries.last(), entries.last().is_some_and(|entry| entry.last))
                }
                Write::Marks(_)
                | Write::Records(_)
                | Write::Joined(_)
                | Write::Delivery(..)
                | Write::Contracts(_) => (None, false),
            };
            let Some(entry) = last else { continue };
            if let Some(sender) = followed.senders.get(&entry.investigation) {
                sender.send_replace(());
            }
            if ended {
                followed.senders.remove(&entry.investigation);
                self.endings.send_replace(());
            }
        }
    }

    pub(super) fn close(&self) {
        let mut followed = self.followed();
        followed.closed = true;
        followed.senders.clear();
    }
}

impl Journal {
    /// Wakes at each end of an investigation; what ended is then found by
    /// [`Self::finished_after`].
    #[must_use]
    pub fn endings(&self) -> watch::Receiver<()> {
        self.shared.live.endings.subscribe()
    }

    /// Reads an investigation along, beginning after event `after` (0 for all).
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id, [`Error::OutOfRange`] when `after` is beyond the
    /// newest event.
    pub fn follow(&self, id: InvestigationId, after: Seq) -> Result<Cursor, Error> {
        // Before the look, so that no end can slip between the two.
        let wakeups = self.shared.live.follow(id);
        let head = self.shared.log.head(id)?;
        if head.is_none_or(|head| head.finished.is_some()) {
            self.shared.live.forget(id);
        }
        let head = head.ok_or(Error::NotFound { id })?;
        if after > head.last {
            return Err(Error::OutOfRange { after, oldest: 1, newest: head.last });
        }
        Ok(Cursor { shared: Arc::clone(&self.shared), id, after, wakeups })
    }
}
