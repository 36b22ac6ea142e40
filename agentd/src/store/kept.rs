//! What the log keeps beside the events: records of memory and what its trees should hold, alerts
//! that joined an investigation, and how far each receiver of messages was told.

use bytes::Bytes;

use super::RequestKey;
use crate::investigation::InvestigationId;

/// Content of one tree of memory: how many entries, and the exclusive or of their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Entries.
    pub entries: u64,
    /// Exclusive or over `sled::entry_digest` of each entry.
    pub digest: [u8; 32],
}

/// A point up to which memory has taken its records in, and what one tree holds then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Point {
    /// Number of the last record that was taken in; 0 before the first.
    pub position: u64,
    /// What the tree holds.
    pub sum: Sum,
}

/// Further records of memory: what outlives the events they were made from. Kept in the order they
/// came in, numbered from 1 without holes.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Encoded records.
    pub records: Vec<Bytes>,
    /// How far the finished investigations have been taken in with them; `None` leaves that as it
    /// is.
    pub learnt: Option<u64>,
    /// Makes a repeat of the request harmless: it stands for this investigation.
    pub request: Option<(RequestKey, InvestigationId)>,
}

/// What a tree should hold. Written before the tree itself is, so a kill between the two leaves
/// the tree at `before`, which is as good as at `now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// After the newest write.
    pub now: Point,
    /// Before the newest write.
    pub before: Point,
}

/// Alerts, and words that one is over, that joined an investigation. They stand beside its events,
/// since they also come after the last one.
#[derive(Debug, Clone)]
pub struct Joined {
    /// Which investigation.
    pub investigation: InvestigationId,
    /// Each as bytes, with whether it says that an alert is over.
    pub entries: Vec<(bool, Bytes)>,
}

/// How many alerts joined an investigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Further alerts.
    pub alerts: u32,
    /// Words that one is over.
    pub resolved: u32,
}

/// How far a receiver of messages was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delivery {
    /// Place among the finished investigations up to which nothing is owed any more.
    pub done: u64,
    /// Tries at the one after it.
    pub tries: u32,
    /// Whether one of them may have arrived without our knowing.
    pub uncertain: bool,
}
