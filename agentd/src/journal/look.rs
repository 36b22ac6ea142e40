//! Looks into the journal: stored bytes, decoded events, and investigations as their fold. Nothing
//! is written here.

use bytes::Bytes;
use jiff::Timestamp;

use super::{Error, Journal};
use crate::{
    investigation::{
        Investigation, InvestigationId,
        event::{Attached, Event, Kind as Said, Seq},
        state::State,
    },
    store::{Delivery, Head, Mark, Tally},
};

/// Events read at once when a whole log is decoded.
const CHUNK: usize = 1024;
/// Investigations looked at for one page; a filter that matches little gives a short page with a
/// place to go on from instead of reading the whole journal.
const SCAN: usize = 2000;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Newest first.
    pub investigations: Vec<Investigation>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<InvestigationId>,
}

impl Journal {
    /// Stored events with a number above `after`, in order, at most `limit`, as they were written.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn read(
        &self,
        id: InvestigationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Bytes)>, Error> {
        Ok(self.shared.log.read(id, after, limit)?)
    }

    /// All events of an investigation, decoded; empty when there is none of that id.
    ///
    /// # Errors
    /// When the store cannot be read or holds bytes that are no event.
    pub fn events(&self, id: InvestigationId) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let mut after = 0;
        loop {
            let chunk = self.read(id, after, CHUNK)?;
            let Some((last, _)) = chunk.last() else { return Ok(events) };
            after = *last;
            for (_, bytes) in &chunk {
                events.push((self.shared.codec.decode)(bytes)?);
            }
        }
    }

    /// Newest number of an investigation; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn last_seq(&self, id: InvestigationId) -> Result<Option<Seq>, Error> {
        Ok(self.head(id)?.map(|head| head.last))
    }

    /// Whether the last event of an investigation is there; false when there is none of that id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn ended(&self, id: InvestigationId) -> Result<bool, Error> {
        Ok(self.head(id)?.is_some_and(|head| head.finished.is_some()))
    }

    /// What was stored beside an event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn attachment(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, Error> {
        Ok(self.shared.log.attachment(id, seq)?)
    }

    /// An investigation as its events tell it, with the report once it has ended.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown id; when the store cannot be read or understood.
    pub fn investigation(&self, id: InvestigationId) -> Result<Investigation, Error> {
        let head = self.head(id)?.ok_or(Error::NotFound { id })?;
        self.fold(id, head)
    }

    /// The state of an investigation: the fold of all its events; `None` for an unknown id.
    ///
    /// # Errors
    /// When the store cannot be read or understood.
    pub fn state(&self, id: InvestigationId) -> Result<Option<State>, Error> {
        let events = self.events(id)?;
        State::fold(&events).map_err(|error| Error::Undecodable { detail: error.to_string() })
    }

    /// Investigations that `filter` lets through, newest first, at most `limit`, from below
    /// `before` on.
    ///
    /// # Errors
    /// When the store cannot be read or understood.
    pub fn list(
        &self,
        before: Option<InvestigationId>,
        limit: usize,
        filter: impl Fn(&Investigation) -> bool,
    ) -> Result<Page, Error> {
        let mut page = Page { investigations: Vec::new(), next: before };
        let mut seen = 0;
        loop {
            let heads = self.shared.log.list(page.next, limit.clamp(1, SCAN))?;
            if heads.is_empty() {
                page.next = None;
                return Ok(page);
            }
            for (id, head) in heads {
                if page.investigations.len() >= limit || seen >= SCAN {
                    return Ok(page);
                }
                match self.fold(id, head) {
                    Ok(investigation) if filter(&investigation) => {
                        page.investigations.push(investigation);
                    }
                    Ok(_) => {}
                    // One damaged log does not hide the others.
                    Err(Error::Undecodable { detail }) => {
                        tracing::error!(investigation = %id, detail, "left out of the list");
                    }
                    Err(error) => return Err(error),
                }
                page.next = Some(id);
                seen += 1;
            }
        }
    }

    /// Investigations without a last event, oldest first: what a restart has to close.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn unfinished(&self) -> Result<Vec<InvestigationId>, Error> {
        Ok(self.shared.log.unfinished()?)
    }

    /// Investigations that ended after `position`, with their positions, in the order of ending,
    /// at most `limit`. Positions count from 1; 0 asks from the beginning.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn finished_after(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, InvestigationId)>, Error> {
        Ok(self.shared.log.finished(position, limit)?)
    }

    /// Alerts that joined an investigation, with when, in the order they came, at most `limit`, from
    /// the `after`th on.
    ///
    /// # Errors
    /// When the store cannot be read or holds bytes that are no event.
    pub fn joined(
        &self,
        id: InvestigationId,
        after: u32,
        limit: usize,
    ) -> Result<Vec<(Timestamp, Attached)>, Error> {
        let mut found = Vec::new();
        for (_, _, bytes) in self.shared.log.joined(id, after, limit)? {
            let event = (self.shared.codec.decode)(&bytes)?;
            if let Said::AlertAttached(attached) = event.kind {
                found.push((event.time, *attached));
            }
        }
        Ok(found)
    }

    /// How many alerts joined an investigation.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn tally(&self, id: InvestigationId) -> Result<Tally, Error> {
        Ok(self.shared.log.tally(id)?)
    }

    /// How far a receiver of messages was told; `None` for one that is new.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn delivery(&self, receiver: &str) -> Result<Option<Delivery>, Error> {
        Ok(self.shared.log.delivery(receiver)?)
    }

    /// What is known of the contracts of tools, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn contracts(&self) -> Result<Vec<(String, Bytes)>, Error> {
        Ok(self.shared.log.contracts()?)
    }

    /// What a tree of memory should hold.
    pub(crate) fn mark(&self, tree: &str) -> Result<Option<Mark>, Error> {
        Ok(self.shared.log.mark(tree)?)
    }

    /// Records of memory numbered above `position`, in order, at most `limit`.
    pub(crate) fn records_after(
        &self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Bytes)>, Error> {
        Ok(self.shared.log.records(position, limit)?)
    }

    /// The position among the finished investigations up to which there are records.
    pub(crate) fn learnt(&self) -> Result<u64, Error> {
        Ok(self.shared.log.learnt()?)
    }

    pub(crate) fn head(&self, id: InvestigationId) -> Result<Option<Head>, Error> {
        Ok(self.shared.log.head(id)?)
    }

    fn fold(&self, id: InvestigationId, head: Head) -> Result<Investigation, Error> {
        // The last event carries the whole outcome; only a running one has to be folded.
        if head.finished.is_some()
            && let Some((_, bytes)) = self.read(id, head.last.saturating_sub(1), 1)?.first()
            && let Said::Finished(done) = (self.shared.codec.decode)(bytes)?.kind
        {
            return Ok(Investigation { last_seq: head.last, ..*done });
        }
        let state = self.state(id)?.ok_or(Error::NotFound { id })?;
        Ok(state.investigation)
    }
}
