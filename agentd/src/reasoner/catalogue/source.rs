//! Who brought a signal or a cause, and how far that word is trusted. The invariant: what a plugin
//! brings is never believed more than [`GUEST_CEILING`].

use std::{fmt, sync::Arc};

/// Most that a cause brought by a plugin is believed. Below what the catalogue's own causes may
/// reach, so that between equals the one that many incidents have tried comes first.
pub const GUEST_CEILING: f64 = 0.85;

/// Who brought it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Source {
    /// It is built into the program.
    #[default]
    Bundled,
    /// The operator's directory.
    Operator {
        /// The file.
        file: Arc<str>,
    },
    /// A plugin, while it is registered.
    Plugin {
        /// Its namespace.
        name: Arc<str>,
        /// Version of its software.
        version: Arc<str>,
    },
}

impl Source {
    /// Whether a plugin brought it.
    #[must_use]
    pub fn is_guest(&self) -> bool {
        matches!(self, Self::Plugin { .. })
    }

    /// Whether the plugin of this name brought it.
    #[must_use]
    pub fn is_of(&self, plugin: &str) -> bool {
        matches!(self, Self::Plugin { name, .. } if &**name == plugin)
    }

    /// Most that a cause of this source is believed, 0 to 1.
    #[must_use]
    pub fn ceiling(&self) -> f64 {
        if self.is_guest() { GUEST_CEILING } else { 1.0 }
    }
}

/// `agentd`, the operator's file, or `plugin NAME VERSION`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundled => f.write_str("agentd"),
            Self::Operator { file } => f.write_str(file),
            Self::Plugin { name, version } => write!(f, "plugin {name} {version}"),
        }
    }
}
