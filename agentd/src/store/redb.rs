//! The log in redb: one file, one writer, readers of their own. Not the committer: batching is the
//! journal's. Reads are lookups in redb's page cache or short reads of the file, so they may run on
//! an async thread; commits sync the disk and must not.
//!
//! ```text
//! meta         "format"                             -> 4
//!              "learnt"                             -> finished position up to which there are records
//! events       investigation 16 bytes ‖ seq u32 BE  -> the encoded event
//! attachments  the same key                         -> what is too large for the event
//! heads        investigation                        -> last seq, position when finished or 0
//! running      investigation                        -> ()        those without a last event
//! finished     position, from 1                     -> investigation
//! requests     request id 16 bytes ‖ principal      -> investigation, content hash, expiry in ms
//! ages         expiry, request key                  -> ()        so that old requests are met
//! marks        tree of memory                       -> two points of (position, entries, digest)
//! records      number, from 1                       -> a record of memory: an episode, a feedback
//! joined       investigation ‖ number u32 BE, from 1 -> says that one is over, an alert that joined
//! tallies      investigation                        -> alerts that joined, words that one is over
//! deliveries   receiver                             -> finished position told, tries, uncertain
//! contracts    plugin.tool                          -> what is known of the tool's contract
//! ```
//! Format 1 had no records: a file of it gets the table when it is opened, and memory fills it from
//! the events. Formats 1 and 2 had no alerts that joined and no deliveries, formats 1 to 3
//! no contracts.
//!
//! Ids are UUIDs of version 7: key order is order of creation.
//!
//! Invariant: after a failed write nothing is read or written through the old handle; the file is
//! opened again, which finds the last whole commit.

mod write;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{PoisonError, RwLock},
};

use bytes::Bytes;
use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase as _, ReadableTable as _, TableDefinition,
};
use uuid::Uuid;

use super::{
    Delivery, Error, EventLog, Head, Joint, Mark, Point, Refusal, Sum, Tally, Write, Written,
    directory::Directory,
};
use crate::investigation::{InvestigationId, event::Seq};

/// Version of the layout above.
const FORMAT: u64 = 4;
/// The oldest layout that is brought up to it.
const OLDEST: u64 = 1;
/// Key in `meta` of the finished position up to which there are records.
const LEARNT: &str = "learnt";
/// Bytes that redb may keep of the file; half of it holds a transaction being written.
const CACHE: usize = 16 << 20;

type Id = [u8; 16];
type EventKey = [u8; 20];
/// Position, entries, digest.
type StoredPoint = (u64, u64, [u8; 32]);

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const EVENTS: TableDefinition<'_, EventKey, &[u8]> = TableDefinition::new("events");
const ATTACHMENTS: TableDefinition<'_, EventKey, &[u8]> = TableDefinition::new("attachments");
const HEADS: TableDefinition<'_, Id, (u32, u64)> = TableDefinition::new("heads");
const RUNNING: TableDefinition<'_, Id, ()> = TableDefinition::new("running");
const FINISHED: TableDefinition<'_, u64, Id> = TableDefinition::new("finished");
const REQUESTS: TableDefinition<'_, &[u8], (Id, [u8; 32], u64)> = TableDefinition::new("requests");
const AGES: TableDefinition<'_, (u64, &[u8]), ()> = TableDefinition::new("ages");
const MARKS: TableDefinition<'_, &str, (StoredPoint, StoredPoint)> = TableDefinition::new("marks");
const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const JOINED: TableDefinition<'_, EventKey, (bool, &[u8])> = TableDefinition::new("joined");
const TALLIES: TableDefinition<'_, Id, (u32, u32)> = TableDefinition::new("tallies");
const DELIVERIES: TableDefinition<'_, &str, (u64, u32, bool)> = TableDefinition::new("deliveries");

const CONTRACTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("contracts");

type Opener = Box<dyn Fn() -> Result<Database, redb::DatabaseError> + Send + Sync>;

/// The default log.
pub struct RedbLog {
    path: PathBuf,
    opener: Opener,
    // Empty after a failure, until the file could be opened again.
    database: RwLock<Option<Database>>,
    // Held, never read: dropped after the database.
    _directory: Option<Directory>,
}

impl std::fmt::Debug for RedbLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbLog").field("path", &self.path).finish_non_exhaustive()
    }
}

// === impl RedbLog ===

impl RedbLog {
    /// Opens the log of a data directory, or makes it. Writes once, so that a directory that
    /// cannot be written is found now.
    ///
    /// # Errors
    /// When the file is damaged, of another format, cannot be written, or is missing beside a
    /// memory that was made from it.
    pub fn open(directory: Directory) -> Result<Self, Error> {
        directory.check_journal()?;
        let path = directory.journal();
        let file = path.clone();
        let opener: Opener =
            Box::new(move || Builder::new().set_cache_size(CACHE).create(file.as_path()));
        let log = Self { path, opener, database: RwLock::new(None), _directory: None };
        log.reopen()?;
        directory.sync()?;
        Ok(Self { _directory: Some(directory), ..log })
    }

    /// Opens the log on whatever `opener` gives; `path` is for messages.
    ///
    /// # Errors
    /// As [`RedbLog::open`].
    #[cfg(test)]
    pub(crate) fn on(path: PathBuf, opener: Opener) -> Result<Self, Error> {
        let log = Self { path, opener, database: RwLock::new(None), _directory: None };
        log.reopen()?;
        Ok(log)
    }

    /// Closes what is open and opens the file anew: redb refuses everything after one failed write.
    fn reopen(&self) -> Result<(), Error> {
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        // redb may panic on a file that is damaged in ways its checks do not see.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = (self.opener)().map_err(|source| self.failed(source.into()))?;
            self.prepare(&database)?;
            Ok(database)
        }));
        *slot = Some(opened.unwrap_or_else(|_| {
            Err(Error::Damaged {
                path: self.path.clone(),
                detail: "opening it panicked".to_owned(),
            })
        })?);
        Ok(())
    }

    /// Checks the format and makes the tables.
    fn prepare(&self, database: &Database) -> Result<(), Error> {
        let found = write::prepare(database).map_err(|source| self.failed(source))?;
        if found == FORMAT {
            return Ok(());
        }
        Err(Error::Format { path: self.path.clone(), found, known: FORMAT })
    }

    fn failed(&self, source: redb::Error) -> Error {
        let path = self.path.clone();
        if let redb::Error::Io(source) = source {
            Error::from_io(path, source)
        } else if matches!(source, redb::Error::PreviousIo | redb::Error::DatabaseClosed) {
            Error::Closed { path }
        } else if matches!(source, redb::Error::DatabaseAlreadyOpen) {
            Error::Held { dir: path, pid: None }
        } else {
            Error::Damaged { path, detail: source.to_string() }
        }
    }

    fn view<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = slot.as_ref() else {
            return Err(Error::Closed { path: self.path.clone() });
        };
        let begun = database.begin_read();
        drop(slot);
        let looked = begun.map_err(redb::Error::from).and_then(|transaction| look(&transaction));
        looked.map_err(|source| self.failed(source))
    }

    fn write(&self, batch: &[Write]) -> Result<Vec<Result<Written, Refusal>>, Error> {
        let slot = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = slot.as_ref() else {
            return Err(Error::Closed { path: self.path.clone() });
        };
        write::commit(database, batch).map_err(|source| self.failed(source))
    }
}

impl EventLog for RedbLog {
    fn commit(&self, batch: &[Write]) -> Result<Vec<Result<Written, Refusal>>, Error> {
        let closed = self.database.read().unwrap_or_else(PoisonError::into_inner).is_none();
        if closed {
            // An earlier failure could not be mended then; there may be room by now.
            self.reopen()?;
        }
        let written = catch_unwind(AssertUnwindSafe(|| self.write(batch))).unwrap_or_else(|_| {
            let detail = "writing it panicked".to_owned();
            Err(Error::Damaged { path: self.path.clone(), detail })
        });
        if written.is_err()
            && let Err(again) = self.reopen()
        {
            tracing::error!(error = %again, path = %self.path.display(), "the journal could not be opened again after a failed write");
        }
        written
    }

    fn read(
        &self,
        id: InvestigationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Bytes)>, Error> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        self.view(|transaction| {
            let events = transaction.open_table(EVENTS)?;
            let range = events.range(event_key(id, first)..=event_key(id, Seq::MAX))?;
            let mut found = Vec::new();
            for stored in range.take(limit) {
                let (key, bytes) = stored?;
                found.push((seq_of(&key.value()), Bytes::copy_from_slice(bytes.value())));
            }
            Ok(found)
        })
    }

    fn head(&self, id: InvestigationId) -> Result<Option<Head>, Error> {
        self.view(|transaction| {
            let heads = transaction.open_table(HEADS)?;
            Ok(heads.get(*id.0.as_bytes())?.map(|stored| head_of(stored.value())))
        })
    }

    fn attachment(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, Error> {
        self.view(|transaction| {
            let attachments = transaction.open_table(ATTACHMENTS)?;
            let found = attachments.get(event_key(id, seq))?;
            Ok(found.map(|stored| Bytes::copy_from_slice(stored.value())))
        })
    }

    fn list(
        &self,
        before: Option<InvestigationId>,
        limit: usize,
    ) -> Result<Vec<(InvestigationId, Head)>, Error> {
        self.view(|transaction| {
            let heads = transaction.open_table(HEADS)?;
            let range = match before {
                Some(id) => heads.range(..*id.0.as_bytes())?,
                None => heads.range::<Id>(..)?,
            };
            let mut found = Vec::new();
            for stored in range.rev().take(limit) {
                let (key, head) = stored?;
                found.push((id_of(key.value()), head_of(head.value())));
            }
            Ok(found)
        })
    }

    fn unfinished(&self) -> Result<Vec<InvestigationId>, Error> {
        self.view(|transaction| {
            let running = transaction.open_table(RUNNING)?;
            let ids = running.iter()?.map(|stored| Ok(id_of(stored?.0.value())));
            ids.collect()
        })
    }

    fn finished(&self, position: u64, limit: usize) -> Result<Vec<(u64, InvestigationId)>, Error> {
        let Some(first) = position.checked_add(1) else { return Ok(Vec::new()) };
        self.view(|transaction| {
            let finished = transaction.open_table(FINISHED)?;
            let mut found = Vec::new();
            for stored in finished.range(first..)?.take(limit) {
                let (position, id) = stored?;
                found.push((position.value(), id_of(id.value())));
            }
            Ok(found)
        })
    }

    fn mark(&self, tree: &str) -> Result<Option<Mark>, Error> {
        self.view(|transaction| {
            let marks = transaction.open_table(MARKS)?;
            Ok(marks.get(tree)?.map(|stored| {
                let (now, before) = stored.value();
                Mark { now: point_of(now), before: point_of(before) }
            }))
        })
    }

    fn records(&self, position: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, Error> {
        let Some(first) = position.checked_add(1) else { return Ok(Vec::new()) };
        self.view(|transaction| {
            let records = transaction.open_table(RECORDS)?;
            let mut found = Vec::new();
            for stored in records.range(first..)?.take(limit) {
                let (position, bytes) = stored?;
                found.push((position.value(), Bytes::copy_from_slice(bytes.value())));
            }
            Ok(found)
        })
    }

    fn learnt(&self) -> Result<u64, Error> {
        self.view(|transaction| {
            let meta = transaction.open_table(META)?;
            Ok(meta.get(LEARNT)?.map_or(0, |stored| stored.value()))
        })
    }

    fn joined(&self, id: InvestigationId, after: u32, limit: usize) -> Result<Vec<Joint>, Error> {
        let Some(first) = after.checked_add(1) else { return Ok(Vec::new()) };
        self.view(|transaction| {
            let joined = transaction.open_table(JOINED)?;
            let mut found = Vec::new();
            for stored in joined.range(event_key(id, first)..=event_key(id, u32::MAX))?.take(limit)
            {
                let (key, value) = stored?;
                let (over, bytes) = value.value();
                found.push((seq_of(&key.value()), over, Bytes::copy_from_slice(bytes)));
            }
            Ok(found)
        })
    }

    fn tally(&self, id: InvestigationId) -> Result<Tally, Error> {
        self.view(|transaction| {
            let tallies = transaction.open_table(TALLIES)?;
            let stored = tallies.get(*id.0.as_bytes())?.map(|stored| stored.value());
            Ok(tally_of(stored))
        })
    }

    fn contracts(&self) -> Result<Vec<(String, Bytes)>, Error> {
        self.view(|transaction| {
            let contracts = transaction.open_table(CONTRACTS)?;
            let mut found = Vec::new();
            for stored in contracts.iter()? {
                let (name, bytes) = stored?;
                found.push((name.value().to_owned(), Bytes::copy_from_slice(bytes.value())));
            }
            Ok(found)
        })
    }

    fn delivery(&self, receiver: &str) -> Result<Option<Delivery>, Error> {
        self.view(|transaction| {
            let deliveries = transaction.open_table(DELIVERIES)?;
            Ok(deliveries.get(receiver)?.map(|stored| {
                let (done, tries, uncertain) = stored.value();
                Delivery { done, tries, uncertain }
            }))
        })
    }
}

fn event_key(id: InvestigationId, seq: Seq) -> EventKey {
    let mut key = [0; 20];
    let (front, back) = key.split_at_mut(16);
    front.copy_from_slice(id.0.as_bytes());
    back.copy_from_slice(&seq.to_be_bytes());
    key
}

fn seq_of(key: &EventKey) -> Seq {
    let [.., a, b, c, d] = *key;
    Seq::from_be_bytes([a, b, c, d])
}

fn id_of(key: Id) -> InvestigationId {
    InvestigationId(Uuid::from_bytes(key))
}

fn head_of((last, position): (u32, u64)) -> Head {
    Head { last, finished: (position > 0).then_some(position) }
}

fn tally_of(stored: Option<(u32, u32)>) -> Tally {
    let (alerts, resolved) = stored.unwrap_or_default();
    Tally { alerts, resolved }
}

fn point_of((position, entries, digest): StoredPoint) -> Point {
    Point { position, sum: Sum { entries, digest } }
}

fn stored_point(point: Point) -> StoredPoint {
    (point.position, point.sum.entries, point.sum.digest)
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
