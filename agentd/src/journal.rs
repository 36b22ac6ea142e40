//! The journal: the one log that state, stream, report and memory are folds of. Events go in
//! encoded once, are durable before anybody hears of them, and come out as the same bytes. Not a
//! bus: a reader is a cursor over the store with a wake-up, so a slow one only falls behind.
//!
//! Invariant: what was acknowledged is on disk; what is published is acknowledged; the events of an
//! investigation are numbered 1, 2, 3 without holes.
//!
//! Reads are short looks into redb's cache or file and run where they are called, on async threads
//! too. Writes go through the committer's thread and are awaited.

mod committer;
mod cursor;
mod look;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use crate::{
    investigation::{
        InvestigationId,
        event::{Event, Kind as Said, Seq},
    },
    store::{
        self, Begun, Delivery, Entry, EventLog, Joined, Kind, Mark, Records, Refusal, RequestKey,
        Write, Written, directory::Directory, memory::MemoryLog, redb::RedbLog,
    },
};
use committer::Committer;
pub use cursor::Cursor;
use cursor::Live;
pub use look::Page;

/// Where the journal lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory; made when missing, held by this process alone.
    pub dir: PathBuf,
}

/// How events become bytes. Given by value from above, since the journal knows no wire.
#[derive(Debug, Clone, Copy)]
pub struct Codec {
    /// Encodes an event; the same event gives the same bytes.
    pub encode: fn(&Event) -> Bytes,
    /// Reads it back.
    pub decode: fn(&Bytes) -> Result<Event, Error>,
}

/// A handle on the journal; clones share it. The last one gives the data directory back.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    committer: Arc<Committer>,
}

/// What the handles, the committer and the cursors have in common.
#[derive(Debug)]
struct Shared {
    log: Box<dyn EventLog>,
    codec: Codec,
    live: Live,
    dir: Option<PathBuf>,
}

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not be opened or read.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The write was not acknowledged: it may be asked again, byte for byte, once the cause is gone.
    #[error("the journal could not be written: nothing of this was acknowledged")]
    Lost {
        /// What failed, shared by all who waited for the same sync.
        source: Arc<store::Error>,
    },
    /// No investigation of that id.
    #[error("there is no investigation {id}")]
    NotFound {
        /// The id.
        id: InvestigationId,
    },
    /// A number beyond what is stored.
    #[error("event {after} is not there yet: the log holds {oldest} to {newest}")]
    OutOfRange {
        /// Number asked for.
        after: Seq,
        /// Oldest stored number.
        oldest: Seq,
        /// Newest stored number.
        newest: Seq,
    },
    /// The request id stands for a request with other content.
    #[error("this request id began {} with other content; use a new id", id.resource())]
    RequestReused {
        /// What it began.
        id: InvestigationId,
    },
    /// Events that cannot follow what is stored. A defect of the caller.
    #[error(transparent)]
    Refused(Refusal),
    /// The first event of an investigation is not its start.
    #[error("event {seq} cannot begin an investigation")]
    NotStarted {
        /// Its number.
        seq: Seq,
    },
    /// Stored bytes that are no event, or events that make no investigation.
    #[error("the log of an investigation cannot be read: {detail}")]
    Undecodable {
        /// What is wrong with them.
        detail: String,
    },
    /// The journal is shutting down.
    #[error("the journal is closed")]
    Closed,
}

// === impl Error ===

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Store(source) => source.kind(),
            Self::Lost { source } => source.kind(),
            Self::NotFound { .. } => Kind::NotFound,
            Self::OutOfRange { .. } => Kind::OutOfRange,
            Self::RequestReused { .. } => Kind::Conflict,
            Self::Closed => Kind::Unavailable,
            Self::Refused(_) | Self::NotStarted { .. } | Self::Undecodable { .. } => Kind::Internal,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Store(source) => source.retryable(),
            Self::Lost { source } => source.retryable(),
            Self::NotFound { .. }
            | Self::OutOfRange { .. }
            | Self::RequestReused { .. }
            | Self::Refused(_)
            | Self::NotStarted { .. }
            | Self::Undecodable { .. }
            | Self::Closed => false,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::RequestReused { id } => Self::RequestReused { id },
            Refusal::Unknown { id } => Self::NotFound { id },
            Refusal::Hole { .. } | Refusal::AfterEnd { .. } | Refusal::Mixed { .. } => {
                Self::Refused(refusal)
            }
        }
    }
}

// === impl Journal ===

impl Journal {
    /// Opens the journal of a data directory, or makes it, and starts the committer.
    ///
    /// # Errors
    /// When the directory is held by another process, is none, cannot be written or is full, when
    /// the journal is damaged or of another version, or when it is missing beside a memory.
    pub fn open(config: &Config, codec: Codec) -> Result<Self, Error> {
        let log = RedbLog::open(Directory::hold(&config.dir)?)?;
        Self::over(Box::new(log), codec, Some(config.dir.clone()))
    }

    /// A journal that lives as long as the process. For tests.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn in_memory(codec: Codec) -> Result<Self, Error> {
        Self::over(Box::new(MemoryLog::default()), codec, None)
    }

    fn over(log: Box<dyn EventLog>, codec: Codec, dir: Option<PathBuf>) -> Result<Self, Error> {
        let shared = Arc::new(Shared { log, codec, live: Live::default(), dir });
        let committer = Arc::new(Committer::start(Arc::clone(&shared))?);
        Ok(Self { shared, committer })
    }

    /// The data directory; `None` for a journal in memory.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.shared.dir.as_deref()
    }

    /// Writes the first event of an investigation. With a request, a repeat of it within 24 hours
    /// writes nothing and answers what the first one began. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::RequestReused`] when the request id stands for other content, [`Error::NotStarted`]
    /// when the event is no start, [`Error::Lost`] when the store failed.
    pub async fn start(&self, first: Event, request: Option<RequestKey>) -> Result<Begun, Error> {
        if first.seq != 1 || !matches!(first.kind, Said::Started(_)) {
            return Err(Error::NotStarted { seq: first.seq });
        }
        let entry = self.entry(&first);
        match self.committer.write(Write::Start { entry, request }).await? {
            Written::Begun(begun) => Ok(begun),
            Written::Done => Ok(Begun::New),
        }
    }

    /// Writes further events of one investigation, with what is too large for them. Durable when
    /// it returns; readers hear of them after that. A repeat of stored events is taken as done.
    ///
    /// # Errors
    /// [`Error::Refused`] when a number is missing or follows the end, [`Error::NotFound`] when
    /// the investigation was not started, [`Error::Lost`] when the store failed. Nothing is
    /// written then.
    pub async fn append(
        &self,
        events: Vec<Event>,
        attachments: Vec<(Seq, Bytes)>,
    ) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let entries = events.iter().map(|event| self.entry(event)).collect();
        self.committer.write(Write::Append { entries, attachments }).await.map(|_| ())
    }

    /// Writes what the trees of memory should hold. Blocks: for the thread that owns them.
    pub(crate) fn set_marks(&self, marks: Vec<(&'static str, Mark)>) -> Result<(), Error> {
        self.committer.write_blocking(Write::Marks(marks)).map(|_| ())
    }

    /// Writes records of memory, which outlive the events they were made from. Durable when it
    /// returns. Blocks: for the thread that owns memory.
    pub(crate) fn remember(&self, records: Records) -> Result<Begun, Error> {
        match self.committer.write_blocking(Write::Records(records))? {
            Written::Begun(begun) => Ok(begun),
            Written::Done => Ok(Begun::New),
        }
    }

    /// Writes alerts that joined an investigation, as it runs or afterwards; each is an event of
    /// the kind `alert_attached`. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such investigation, [`Error::Lost`] when the store
    /// failed; nothing is written then.
    pub async fn join(&self, id: InvestigationId, joined: &[Event]) -> Result<(), Error> {
        let over = |event: &Event| matches!(&event.kind, Said::AlertAttached(it) if it.resolved);
        let entries = joined.iter().map(|event| (over(event), (self.shared.codec.encode)(event)));
        let joined = Joined { investigation: id, entries: entries.collect() };
        self.committer.write(Write::Joined(joined)).await.map(|_| ())
    }

    /// Writes how far a receiver of messages was told. Durable when it returns.
    ///
    /// # Errors
    /// [`Error::Lost`] when the store failed.
    pub async fn deliver(&self, receiver: &str, delivery: Delivery) -> Result<(), Error> {
        self.committer.write(Write::Delivery(receiver.to_owned(), delivery)).await.map(|_| ())
    }

    /// Writes what is known of the contracts of tools, by name; none forgets one. Durable when it
    /// returns.
    ///
    /// # Errors
    /// [`Error::Lost`] when the store failed.
    pub async fn keep_contracts(
        &self,
        contracts: Vec<(String, Option<Bytes>)>,
    ) -> Result<(), Error> {
        self.committer.write(Write::Contracts(contracts)).await.map(|_| ())
    }

    fn entry(&self, event: &Event) -> Entry {
        Entry {
            investigation: event.investigation,
            seq: event.seq,
            bytes: (self.shared.codec.encode)(event),
            last: matches!(event.kind, Said::Finished(_)),
        }
    }
}
