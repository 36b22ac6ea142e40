//! Why the registry refuses. Variants by what the plugin's author or operator can do about it.

use crate::{plugin::contracts, tool::Violation};

/// A registration or renewal that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The announcement is malformed; everything wrong with it.
    #[error("the registration has {} fault(s): {}", violations.len(), told(violations))]
    Invalid {
        /// All of them.
        violations: Vec<Violation>,
    },
    /// No revision of the protocol is spoken by both sides.
    #[error(
        "plugin {plugin} speaks agentd.tool.v1 revisions {low}-{high}, agentd 1-1: {}",
        if *low > 1 { "upgrade agentd or use an older plugin" } else { "upgrade the plugin" }
    )]
    Protocol {
        /// Namespace of the plugin.
        plugin: String,
        /// Lowest revision it speaks.
        low: i32,
        /// Highest revision it speaks.
        high: i32,
    },
    /// A slot was opened for an instance that said it would be dialled.
    #[error("the instance registered with a direct transport; register with relay to park slots")]
    NotRelayed,
    /// An instance opened more slots than there may be.
    #[error("the instance has as many slots open as it may; open another when one has ended")]
    TooManySlots,
    /// The plugin calls from another machine.
    #[error("plugins register from this machine and from plugins.networks only")]
    NotLocal,
    /// The instance is to be dialled on another machine.
    #[error(
        "{host:?} is not dialled: it is not, or cannot be shown to be, the machine that the plugin calls from; give \":port\""
    )]
    EndpointNotAllowed {
        /// What was given.
        host: String,
    },
    /// The namespace belongs to the plugins that the daemon supervises.
    #[error(
        "the namespace {plugin:?} belongs to a plugin that this daemon starts itself; present its token, or take another name"
    )]
    NamespaceNotAllowed {
        /// What was asked for.
        plugin: String,
    },
    /// The token is another plugin's.
    #[error(
        "the token of {holder:?} does not let in {plugin:?}; in the file of auth.tokens_file a plugin's token names what it may register"
    )]
    NotYourName {
        /// What was asked for.
        plugin: String,
        /// What the token names.
        holder: String,
    },
    /// The id belongs to a live instance of somebody else.
    #[error("instance {instance_id:?} is held by somebody else; draw a new id at each start")]
    InstanceTaken {
        /// The id.
        instance_id: String,
    },
    /// The plugin registers again and again.
    #[error("{plugin:?} registers more often than a plugin may; keep the lease and renew it")]
    TooOften {
        /// Namespace of the plugin.
        plugin: String,
        /// When to come back.
        wait: std::time::Duration,
    },
    /// There are as many instances as there may be.
    #[error("{plugin:?} has {own} instances; no more are taken until some have left")]
    TooManyInstances {
        /// Namespace of the plugin.
        plugin: String,
        /// How many it has.
        own: usize,
    },
    /// What must outlive the daemon could not be written.
    #[error("the contracts of tools cannot be written now: {why}")]
    NotKept {
        /// What failed.
        why: String,
    },
    /// No tool of that name, or another descriptor than the one that was looked at.
    #[error(transparent)]
    Contract(#[from] contracts::Error),
    /// The daemon stops.
    #[error("this daemon stops; come back when it is there again")]
    Stopping,
    /// The lease is not known: never given, ended, or lost with a restart.
    #[error("the lease is not known; register again")]
    LeaseUnknown,
}

/// The first of them, as a sentence has room for.
fn told(violations: &[Violation]) -> String {
    let few = violations.iter().take(3).map(|one| format!("{}: {}", one.field, one.description));
    few.collect::<Vec<_>>().join("; ")
}

impl Error {
    /// Stable word for machines.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "INVALID_REGISTRATION",
            Self::Protocol { .. } => "PROTOCOL_MISMATCH",
            Self::NotRelayed => "NOT_RELAYED",
            Self::TooManySlots => "TOO_MANY_SLOTS",
            Self::NotLocal => "PEER_NOT_LOCAL",
            Self::EndpointNotAllowed { .. } => "ENDPOINT_NOT_ALLOWED",
            Self::NamespaceNotAllowed { .. } | Self::NotYourName { .. } => "NAMESPACE_NOT_ALLOWED",
            Self::InstanceTaken { .. } => "INSTANCE_TAKEN",
            Self::TooOften { .. } => "REGISTERS_TOO_OFTEN",
            Self::TooManyInstances { .. } => "TOO_MANY_INSTANCES",
            Self::NotKept { .. } => "JOURNAL_LOST",
            Self::Contract(contracts::Error::Unknown(_)) => "TOOL_UNKNOWN",
            Self::Contract(contracts::Error::Stale { .. }) => "DIGEST_STALE",
            Self::Stopping => "STOPPING",
            Self::LeaseUnknown => "LEASE_UNKNOWN",
        }
    }
}
