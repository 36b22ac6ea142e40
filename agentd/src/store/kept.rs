//! What the log keeps for memory beside the events: its records, and what its trees should hold.

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
