//! Ways in which an incident is disturbed before or while it is investigated. The truth stays what
//! it was, so the verdict should stay, or become unsure; a confident wrong one is a fault of ours.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use super::{case::Case, relay::Disturbance, stage::Stage};

/// A source of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Taken {
    /// What was measured.
    Metrics,
    /// What containers wrote.
    Logs,
    /// What the cluster said about its objects.
    Events,
}

/// What is different from the recording as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Nothing.
    Plain,
    /// A source does not answer.
    Without(Taken),
    /// Half of all questions fail, by seed.
    FailHalf(u64),
    /// Facts and answers come in another order, by seed.
    Shuffle(u64),
}

/// A case as this variant has it.
#[derive(Debug)]
pub struct Prepared {
    /// With the truth that holds now.
    pub case: Case,
    /// What plugins see.
    pub stage: Stage,
}

// === impl Taken ===

impl Taken {
    /// As recordings and reports name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            Self::Events => "events",
        }
    }

    fn fault(self) -> Value {
        json!({"target": self.as_str(), "status": 503, "message": "the server is not available"})
    }
}

// === impl Variant ===

impl Variant {
    /// What is done to the calls.
    #[must_use]
    pub fn disturbance(self) -> Disturbance {
        match self {
            Self::FailHalf(seed) => Disturbance::FailHalf(seed),
            Self::Shuffle(seed) => Disturbance::Shuffle(seed),
            Self::Plain | Self::Without(_) => Disturbance::None,
        }
    }

    /// Makes what plugins see of `case`.
    ///
    /// # Errors
    /// When the recording cannot be read, or the copy not written.
    pub fn prepare(self, case: &Case) -> Result<Prepared> {
        let mut faults = case.source_faults.clone();
        if let Self::Without(taken) = self {
            faults.push(taken.fault());
        }
        let stage = Stage::set(&case.dir, &faults)?;
        Ok(Prepared { case: case.clone(), stage })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Without(taken) => write!(f, "without {}", taken.as_str()),
            Self::FailHalf(seed) => write!(f, "half of the calls fail (seed {seed})"),
            Self::Shuffle(seed) => write!(f, "shuffled (seed {seed})"),
        }
    }
}
