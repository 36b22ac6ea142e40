//! Why a client could not be made, or a watch ended before the investigation did.

/// What trying again would not mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address, the token or the authority cannot be used.
    #[error("cannot reach agentd that way: {0}")]
    Settings(String),
    /// agentd refuses, such as an investigation that it does not know, or a sequence it has not.
    #[error("agentd refused: {} ({:?})", .0.message(), .0.code())]
    Refused(#[source] Box<tonic::Status>),
    /// agentd stayed away for longer than the watch was told to wait.
    #[error("agentd stayed away; the last event seen was {after}: {why}")]
    Lost {
        /// Sequence of the last event seen.
        after: i32,
        /// What was wrong last.
        why: String,
    },
    /// agentd leaves out an event, time and again.
    #[error("agentd sends event {got} behind event {after}; those between are missing")]
    Hole {
        /// Sequence of the last event before the hole.
        after: i32,
        /// Sequence of the one behind it.
        got: i32,
    },
    /// An event cannot be read.
    #[error("agentd sent an event that cannot be read; the last one seen was {after}")]
    Unreadable {
        /// Sequence of the last event seen.
        after: i32,
    },
}
