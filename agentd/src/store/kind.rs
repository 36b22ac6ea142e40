//! What a caller can do about a fault of store, journal or memory.

/// What a caller can do about an error. Closed; `rpc` maps it to a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No such thing.
    NotFound,
    /// A number beyond what is stored.
    OutOfRange,
    /// It contradicts what is stored.
    Conflict,
    /// The store cannot be used now; trying later may help.
    Unavailable,
    /// A defect, of ours or of the stored bytes.
    Internal,
}

impl Kind {
    /// The word metrics see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::OutOfRange => "out_of_range",
            Self::Conflict => "conflict",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }
}
