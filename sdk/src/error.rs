//! Why a plugin could not start or had to stop. A failed call is not here: that is data, see
//! [`crate::Failure`].

/// A plugin could not be served, or agentd does not want it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Settings are wrong; all faults together, each with the variable it came from.
    #[error("the plugin's settings are wrong: {}", .0.join("; "))]
    Settings(Vec<String>),
    /// The plugin is put together wrongly; all faults together.
    #[error("the plugin is put together wrongly: {}", .0.join("; "))]
    Definition(Vec<String>),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// agentd refused the plugin for a reason that trying again does not mend.
    #[error("agentd at {url} refused the plugin: {reason}; {remedy}")]
    Refused {
        /// Where agentd was asked.
        url: String,
        /// Its words.
        reason: String,
        /// What to change.
        remedy: String,
    },
    /// agentd accepted the plugin and none of its tools; the violations of each.
    #[error("agentd at {url} accepted none of the tools: {}", .rejections.join("; "))]
    NoToolAccepted {
        /// Where agentd was asked.
        url: String,
        /// One line a tool.
        rejections: Vec<String>,
    },
    /// The server ended by itself.
    #[error("the plugin's server stopped: {0}")]
    Server(#[source] tonic::transport::Error),
}

impl Error {
    /// What a program ends with: 2 where it was begun wrongly, 1 where something went wrong.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Settings(_) | Self::Definition(_) => 2,
            Self::Listen { .. }
            | Self::Refused { .. }
            | Self::NoToolAccepted { .. }
            | Self::Server(_) => 1,
        }
    }
}
