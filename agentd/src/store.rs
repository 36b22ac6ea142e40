//! Storage: what each part promises when it returns, and nothing of any library. The log of events
//! ([`EventLog`]) is the truth and lives in redb; working and episodic memory are folds of it and
//! live in sled, where they may be lost and are made anew. Bytes come in and go out; what they mean
//! is for the layers above.
//!
//! Invariant: [`EventLog::commit`] returns after the bytes are on disk, or has changed nothing that
//! a reader can see.

#[cfg(test)]
mod conformance;
pub mod directory;
mod kept;
mod kind;
pub mod memory;
mod numbers;
pub mod redb;
mod request;
pub mod sled;

use std::path::PathBuf;

use bytes::Bytes;

pub use kept::{Delivery, Joined, Mark, Point, Records, Sum, Tally};
pub use kind::Kind;
pub use request::{REQUEST_KEPT, RequestKey};

use crate::investigation::{InvestigationId, event::Seq};

/// One event as it is stored and streamed: encoded once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose.
    pub investigation: InvestigationId,
    /// Number, from 1 without holes.
    pub seq: Seq,
    /// The encoded event.
    pub bytes: Bytes,
    /// True for the event after which nothing comes.
    pub last: bool,
}

/// Whether a start began something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// A new investigation.
    New,
    /// The same request began this one before; nothing was written.
    Existing(InvestigationId),
}

/// One thing to write. All that is in it is written, or none of it.
#[derive(Debug, Clone)]
pub enum Write {
    /// The first event of an investigation.
    Start {
        /// The event; its number must be 1.
        entry: Entry,
        /// Makes a repeat of the request harmless.
        request: Option<RequestKey>,
    },
    /// Further events of one investigation, with attachments by event number.
    Append {
        /// Events in order.
        entries: Vec<Entry>,
        /// What is too large for an event.
        attachments: Vec<(Seq, Bytes)>,
    },
    /// What the trees of memory should hold.
    Marks(Vec<(&'static str, Mark)>),
    /// Further records of memory.
    Records(Records),
    /// Alerts that joined an investigation.
    Joined(Joined),
    /// How far a receiver, by name, was told.
    Delivery(String, Delivery),
    /// What is known of the contracts of tools, by name; none forgets one.
    Contracts(Vec<(String, Option<Bytes>)>),
}

/// One alert that joined: its number, whether it says that one is over, its bytes.
pub type Joint = (u32, bool, Bytes);

/// What came of a [`Write`] that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Of a start, and of records.
    Begun(Begun),
    /// Of anything else.
    Done,
}

/// Why a [`Write`] was not taken. Nothing of it was written; others in the batch are not harmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A number is missing, or other bytes stand under it already.
    #[error("event {got} of investigation {id} cannot follow event {last}")]
    Hole {
        /// Whose.
        id: InvestigationId,
        /// Newest stored number.
        last: Seq,
        /// Number given.
        got: Seq,
    },
    /// Something follows the last event.
    #[error("event {got} of investigation {id} follows its end")]
    AfterEnd {
        /// Whose.
        id: InvestigationId,
        /// Number given.
        got: Seq,
    },
    /// The investigation was never started.
    #[error("investigation {id} has no first event")]
    Unknown {
        /// Whose.
        id: InvestigationId,
    },
    /// Events of two investigations in one append.
    #[error("one append holds events of {id} and of {other}")]
    Mixed {
        /// The first.
        id: InvestigationId,
        /// Another.
        other: InvestigationId,
    },
    /// The request id stands for other content.
    #[error("the request id began investigation {id} with other content")]
    RequestReused {
        /// What it began.
        id: InvestigationId,
    },
}

/// Where the log of one investigation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Newest number.
    pub last: Seq,
    /// Its place among the finished ones, counted from 1 in the order of finishing; `None` while
    /// it runs.
    pub finished: Option<u64>,
}

/// The log of all events. One writer (the committer of the journal), any number of readers.
pub trait EventLog: std::fmt::Debug + Send + Sync + 'static {
    /// Writes a batch in one transaction. Durable when it returns. What is refused is refused by
    /// itself. A repeat of stored events, byte for byte, is taken as done, so that a caller who
    /// never heard an answer may ask again.
    ///
    /// # Errors
    /// When the store failed: nothing is acknowledged. After a full disk a later call may succeed.
    fn commit(&self, batch: &[Write]) -> Result<Vec<Result<Written, Refusal>>, Error>;

    /// Stored events with a number above `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn read(
        &self,
        id: InvestigationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<(Seq, Bytes)>, Error>;

    /// Where an investigation stands; `None` when there is none of that id.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn head(&self, id: InvestigationId) -> Result<Option<Head>, Error>;

    /// What was stored beside an event.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn attachment(&self, id: InvestigationId, seq: Seq) -> Result<Option<Bytes>, Error>;

    /// Ids below `before` (all when `None`), newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn list(
        &self,
        before: Option<InvestigationId>,
        limit: usize,
    ) -> Result<Vec<(InvestigationId, Head)>, Error>;

    /// Those without a last event, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unfinished(&self) -> Result<Vec<InvestigationId>, Error>;

    /// Those finished after `position`, in order of finishing, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn finished(&self, position: u64, limit: usize) -> Result<Vec<(u64, InvestigationId)>, Error>;

    /// What a tree of memory should hold; `None` before its first write.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn mark(&self, tree: &str) -> Result<Option<Mark>, Error>;

    /// Records of memory numbered above `position`, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn records(&self, position: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, Error>;

    /// How far the finished investigations have been taken in as records; 0 before the first.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn learnt(&self) -> Result<u64, Error>;

    /// Alerts that joined an investigation, in the order they came, numbered above `after`, at most
    /// `limit`, each with whether it says that one is over.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn joined(&self, id: InvestigationId, after: u32, limit: usize) -> Result<Vec<Joint>, Error>;

    /// How many they are.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn tally(&self, id: InvestigationId) -> Result<Tally, Error>;

    /// How far a receiver was told; `None` for one that is new.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn delivery(&self, receiver: &str) -> Result<Option<Delivery>, Error>;

    /// What is known of the contracts of tools, by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn contracts(&self) -> Result<Vec<(String, Bytes)>, Error>;
}

/// A store that cannot be opened, read or written. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the data directory.
    #[error(
        "the data directory {} is held by another process{}; stop it, or give this one a directory of its own",
        dir.display(),
        pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// The holder, when it left its number.
        pid: Option<u32>,
    },
    /// Something else stands where the directory should be.
    #[error("{} is not a directory; move it away, or give another data directory", path.display())]
    NotADirectory {
        /// What stands there.
        path: PathBuf,
    },
    /// Nothing can be written there.
    #[error("{} cannot be written; give this user the right to write there, or another data directory", path.display())]
    ReadOnly {
        /// What cannot be written.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// No room is left.
    #[error("the disk of {} is full; make room, then go on: nothing acknowledged is lost", path.display())]
    Full {
        /// What could not grow.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// Written by another version.
    #[error("{} has format {found}, and this version reads format {known}; start the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// Memory is there and the journal is not: a lost file, never a fresh start.
    #[error("{} is missing or empty although {} holds memory; bring the journal back, or move the memory away to begin anew", journal.display(), memory.display())]
    JournalMissing {
        /// Where the journal should be.
        journal: PathBuf,
        /// The memory made from it.
        memory: PathBuf,
    },
    /// The stored bytes make no sense.
    #[error("{} is damaged: {detail}; restore it from a copy", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// The system refused to read or write.
    #[error("{} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// An earlier failure closed the store, and it could not be opened again.
    #[error("{} is closed after an earlier failure; see the log, then start again", path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// A value above what a tree may hold.
    #[error("a value of {got} bytes is above the limit of {max}")]
    TooLarge {
        /// Its size.
        got: usize,
        /// The most a tree may hold.
        max: usize,
    },
}

impl Error {
    /// Sorts what the system said by what a person can do about it.
    #[must_use]
    pub fn from_io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Said;
        let path = path.into();
        let is = |kinds: &[Said]| kinds.contains(&source.kind());
        if is(&[Said::StorageFull, Said::QuotaExceeded, Said::FileTooLarge]) {
            Self::Full { path, source }
        } else if is(&[Said::PermissionDenied, Said::ReadOnlyFilesystem]) {
            Self::ReadOnly { path, source }
        } else if is(&[Said::NotADirectory, Said::AlreadyExists]) {
            Self::NotADirectory { path }
        } else {
            Self::Io { path, source }
        }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Held { .. }
            | Self::NotADirectory { .. }
            | Self::ReadOnly { .. }
            | Self::Full { .. }
            | Self::Io { .. }
            | Self::Closed { .. } => Kind::Unavailable,
            Self::JournalMissing { .. } => Kind::Conflict,
            Self::Format { .. } | Self::Damaged { .. } | Self::TooLarge { .. } => Kind::Internal,
        }
    }

    /// Whether the same call may succeed later without anybody restarting anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Error as Io, ErrorKind};

    use super::*;

    #[test]
    fn every_error_of_the_system_becomes_a_sentence_with_what_to_do() {
        for (kind, wanted) in [
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::QuotaExceeded, "make room"),
            (ErrorKind::PermissionDenied, "the right to write"),
            (ErrorKind::ReadOnlyFilesystem, "the right to write"),
            (ErrorKind::NotADirectory, "move it away"),
            (ErrorKind::UnexpectedEof, "cannot be read or written"),
        ] {
            let said = Error::from_io("/d", Io::from(kind)).to_string();
            assert!(said.contains(wanted), "{kind:?}: {said}");
            assert!(said.contains("/d"), "{said}");
        }
    }

    #[test]
    fn only_a_full_disk_is_worth_another_try() {
        assert!(Error::from_io("/d", Io::from(ErrorKind::StorageFull)).retryable());
        assert!(!Error::from_io("/d", Io::from(ErrorKind::PermissionDenied)).retryable());
        assert!(!Error::Held { dir: "/d".into(), pid: Some(7) }.retryable());
    }
}
