//! Memory: what earlier investigations found (episodes), what people said of them (feedback), what
//! recurs among them (patterns), and where the running ones stand (working memory). Episodes and
//! feedback are records of their own in the journal and outlive the events they were made from;
//! cases, patterns and notes are their fold, kept in sled so that a start need not read all records;
//! damaged or missing it is moved aside, said loudly, and made anew with the same answers. Not the
//! truth, and not a judge: what is recalled is checked first, never believed.
//!
//! Invariant: what memory answers depends on the journal's records alone. Nothing is written to a
//! tree that is not in the journal already.

pub mod case;
pub mod episode;
pub mod feedback;
mod index;
mod keeper;
mod record;
pub mod similarity;
#[cfg(test)]
mod tests;
mod words;
pub mod working;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::{
    alert::Alert,
    investigation::{
        Investigation, InvestigationId,
        finding::{EpisodeMatch, LearnedPattern},
        state::State,
    },
    journal::{self, Journal},
    store::{self, Kind, RequestKey, sled::Trees},
};
use case::Case;
use episode::{Episode, Known};
use feedback::Feedback;
use index::Index;
pub use index::{Asked, Hit};
use keeper::Keeper;
use record::Record;
use working::{Checkpoint, NOTE_KEPT, Note, Working};

/// Where memory lives and how long notes are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The directory of the trees, inside the data directory that the journal holds.
    pub dir: PathBuf,
    /// How long a note is told after its investigation ended; one hour by default.
    pub note_kept: SignedDuration,
}

/// A handle on memory; clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
}

/// What the handles and the keeper's thread have in common.
#[derive(Debug)]
struct Shared {
    journal: Journal,
    cases: RwLock<Index>,
    working: RwLock<Working>,
    // `None` while they are made anew.
    trees: RwLock<Option<Trees>>,
    repairs: RwLock<Vec<Repair>>,
}

/// What memory tells about an alert.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recalled {
    /// Earlier cases, best first.
    pub cases: Vec<EpisodeMatch>,
    /// What recurring cases teach, strongest first.
    pub patterns: Vec<LearnedPattern>,
    /// What the cases tell of their verdicts, by name of the episode; those whose cause people told
    /// tell nothing, as no evidence led there.
    pub known: BTreeMap<String, Known>,
}

/// A damage that was found and mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What was wrong.
    pub reason: String,
    /// Where the damaged files are now; `None` when there were none.
    pub aside: Option<PathBuf>,
}

/// Why memory did not do what it was asked. Recall never fails: it answers with what it can read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The journal that memory is made from failed.
    #[error("memory cannot use the journal")]
    Journal {
        /// What failed, shared by all who waited.
        source: Arc<journal::Error>,
    },
    /// The trees failed and could not be made anew.
    #[error("memory cannot be kept")]
    Store {
        /// What failed, shared by all who waited.
        source: Arc<store::Error>,
    },
    /// The journal has no last event of the investigation: only what has ended is learnt.
    #[error("{} has not ended in the journal", id.resource())]
    NotFinished {
        /// The investigation.
        id: InvestigationId,
    },
    /// It ended without a report: there is no outcome to judge.
    #[error("{} ended without a report; there is nothing to judge", id.resource())]
    NoReport {
        /// The investigation.
        id: InvestigationId,
    },
    /// Memory is shutting down.
    #[error("memory is closed")]
    Closed,
}

// === impl Config ===

impl Config {
    /// Memory in a directory, with notes told for an hour.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, note_kept: NOTE_KEPT }
    }
}

// === impl Error ===

impl Error {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Journal { source } => source.kind(),
            Self::Store { source } => source.kind(),
            Self::NotFinished { .. } | Self::NoReport { .. } => Kind::Conflict,
            Self::Closed => Kind::Unavailable,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Journal { source } => source.retryable(),
            Self::Store { source } => source.retryable(),
            Self::NotFinished { .. } | Self::NoReport { .. } | Self::Closed => false,
        }
    }
}

impl From<journal::Error> for Error {
    fn from(source: journal::Error) -> Self {
        Self::Journal { source: Arc::new(source) }
    }
}

impl From<store::Error> for Error {
    fn from(source: store::Error) -> Self {
        Self::Store { source: Arc::new(source) }
    }
}

// === impl Memory ===

impl Memory {
    /// Opens the trees, reads them whole and compares them with the journal's marks; what does not
    /// match is moved aside and made anew. Then takes in what the journal has beyond them.
    ///
    /// # Errors
    /// When the journal cannot be read or the directory cannot be written.
    pub async fn open(config: Config, journal: Journal, now: Timestamp) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            journal,
            cases: RwLock::default(),
            working: RwLock::default(),
            trees: RwLock::default(),
            repairs: RwLock::default(),
        });
        let keeper = Keeper::start(Arc::clone(&shared), config, now).await?;
        Ok(Self { shared, keeper: Arc::new(keeper) })
    }

    /// Earlier cases like the alert, best first, at most five, each with its reason, and what
    /// recurring ones teach; `signals` are those observed so far. Reads at most five values from
    /// disk.
    #[must_use]
    pub fn recall(&self, alert: &Alert, signals: &[String], now: Timestamp) -> Recalled {
        let (ranked, patterns) = {
            let cases = self.shared.cases();
            (cases.rank(alert, signals, now), cases.patterns(alert, signals, now))
        };
        let mut recalled = Recalled { patterns, ..Recalled::default() };
        for one in ranked {
            let Some(case) = self.case(one.id) else { continue };
            let told = case.recalled(one.score, one.reason);
            if !case.corrected() && !case.refuted() {
                recalled.known.insert(told.episode.clone(), case.episode.known());
            }
            recalled.cases.push(told);
        }
        recalled
    }

    /// All cases that fit, most alike first. Reads nothing from disk: see [`Memory::case`].
    #[must_use]
    pub fn search(&self, asked: &Asked) -> Vec<Hit> {
        self.shared.cases().search(asked)
    }

    /// What recurs among some cases, strongest first.
    #[must_use]
    pub fn recurring(&self, ids: &[Uuid], now: Timestamp, most: usize) -> Vec<LearnedPattern> {
        self.shared.cases().recurring(ids, now, most)
    }

    /// One case; `None` when it is not remembered.
    #[must_use]
    pub fn case(&self, id: Uuid) -> Option<Case> {
        let stored = self.shared.stored(id);
        if stored.is_none() && self.shared.cases().places(id).is_some() {
            self.keeper.suspect();
        }
        stored.or_else(|| self.shared.retold(id))
    }

    /// Keeps what people said of an outcome, for good. A repeat of the request within 24 hours
    /// keeps nothing more. What was said before is kept as well; the last counts.
    ///
    /// # Errors
    /// When there is no such investigation, when it has not ended or has no report, when the
    /// request id stands for other content, or when journal or trees failed.
    pub async fn judge(
        &self,
        feedback: Feedback,
        request: Option<RequestKey>,
    ) -> Result<(), Error> {
        self.keeper.judge(feedback, request).await
    }

    /// Remembers a finished investigation, as the journal has it, and gives the name of its
    /// episode; `None` when it is not worth one (withdrawn, or without a report). Its last event
    /// must be in the journal. Also leaves the note for repeats and removes its checkpoint.
    ///
    /// # Errors
    /// [`Error::NotFinished`] when the journal has no end of it; else when journal or trees failed:
    /// it is then learnt at the next call, or at the next start.
    pub async fn learn(&self, investigation: &Investigation) -> Result<Option<String>, Error> {
        self.keeper.learn(investigation.id).await?;
        Ok(Episode::of(investigation).map(|_| episode::resource(investigation.id)))
    }

    /// Takes in whatever has ended since: the last event of an investigation is heard of before it
    /// is learnt, and who asks at once must not miss it.
    ///
    /// # Errors
    /// When journal or trees failed; recall then answers from what it has.
    pub async fn catch_up(&self) -> Result<(), Error> {
        self.keeper.catch_up().await
    }

    /// Notes where a running investigation stands.
    ///
    /// # Errors
    /// When journal or trees failed; the investigation is not harmed.
    pub async fn checkpoint(&self, state: &State) -> Result<(), Error> {
        match Checkpoint::of(state) {
            Some(checkpoint) => self.keeper.checkpoint(checkpoint).await,
            None => Ok(()),
        }
    }

    /// Where the running investigations stand, oldest first.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.shared.working().checkpoints.values().cloned().collect()
    }

    /// What has just been concluded about the same alert, while the note lasts.
    #[must_use]
    pub fn note(&self, alert: &Alert, now: Timestamp) -> Option<Note> {
        self.shared.working().note(alert, now)
    }

    /// Episodes remembered.
    #[must_use]
    pub fn total(&self) -> u32 {
        u32::try_from(self.shared.cases().len()).unwrap_or(u32::MAX)
    }

    /// Damages found and mended since the start, oldest first.
    #[must_use]
    pub fn repairs(&self) -> Vec<Repair> {
        self.shared.repairs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

// === impl Shared ===

impl Shared {
    /// A case from its tree; when that fails, from the records it is made of.
    fn case(&self, id: Uuid) -> Option<Case> {
        self.stored(id).or_else(|| self.retold(id))
    }

    fn stored(&self, id: Uuid) -> Option<Case> {
        let stored = match self.trees().as_ref() {
            Some(trees) => trees.get(keeper::CASES, id.as_bytes()),
            None => Ok(None),
        };
        let read = stored.ok().flatten().and_then(|bytes| Case::decode(&bytes));
        read.filter(|case| case.episode.id == id)
    }

    fn retold(&self, id: Uuid) -> Option<Case> {
        let places = self.cases().places(id)?;
        let Record::Episode(episode) = self.record(places.episode)? else { return None };
        let mut case = Case::new(*episode, places.episode);
        for place in [places.resolution, places.feedback] {
            if let Some(Record::Feedback(feedback)) = self.record(place) {
                case.hear(*feedback, place);
            }
        }
        case.places = places;
        Some(case.fitting())
    }

    fn record(&self, position: u64) -> Option<Record> {
        let before = position.checked_sub(1)?;
        let found = self.journal.records_after(before, 1).ok()?;
        let (_, bytes) = found.into_iter().find(|(place, _)| *place == position)?;
        Record::decode(&bytes)
    }

    fn cases(&self) -> RwLockReadGuard<'_, Index> {
        self.cases.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cases_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.cases.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn working(&self) -> RwLockReadGuard<'_, Working> {
        self.working.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn working_mut(&self) -> RwLockWriteGuard<'_, Working> {
        self.working.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn trees(&self) -> RwLockReadGuard<'_, Option<Trees>> {
        self.trees.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_trees(&self, trees: Option<Trees>) {
        *self.trees.write().unwrap_or_else(PoisonError::into_inner) = trees;
    }

    fn said(&self, repair: Repair) {
        self.repairs.write().unwrap_or_else(PoisonError::into_inner).push(repair);
    }
}
