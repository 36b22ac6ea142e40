//! What a plugin's author tells about the plugin beyond its descriptors: calls that show what the
//! catalog cannot say. One YAML file; an unknown key is a fault, so that a typing error is no
//! silently skipped check.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Map, Value};

/// Arguments of one call.
pub(crate) type Arguments = Map<String, Value>;

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fixtures {
    /// Where the state of the world behind the plugin can be read.
    pub(crate) state: Option<Probe>,
    /// By name of the tool.
    pub(crate) tools: BTreeMap<String, ToolFixture>,
}

/// A way to read the state: two readings are equal when nothing was changed. When it is a number,
/// it counts effects.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Probe {
    /// What this prints.
    Command { command: Vec<String> },
    /// What this read-only tool of the plugin answers.
    Tool {
        tool: String,
        #[serde(default)]
        arguments: Arguments,
        /// JSON pointer into the result; the whole when empty.
        #[serde(default)]
        at: String,
    },
}

/// One tool.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ToolFixture {
    /// Valid and harmless calls, beside the examples of the descriptor.
    pub(crate) calls: Vec<Arguments>,
    /// Called in place of the descriptor's examples, where those name what the world behind the
    /// plugin does not have.
    pub(crate) examples: Option<Vec<Arguments>>,
    /// Runs for 10 s or longer unless it is stopped.
    pub(crate) slow: Option<Arguments>,
    /// Sends updates faster than they are read for 10 s, or more than 16 MiB of them.
    pub(crate) flood: Option<Arguments>,
    /// Name of a text argument whose value stands in the result.
    pub(crate) echo: Option<String>,
    /// Name of an integer argument whose value stands in the result.
    pub(crate) number: Option<String>,
    /// Names something that does not exist.
    pub(crate) not_found: Option<Arguments>,
    /// Meets a backend that is dead.
    pub(crate) dead_backend: Option<Arguments>,
    /// Makes the code of the tool panic or throw.
    pub(crate) panic: Option<Arguments>,
    /// Has a result of more than 4 KiB.
    pub(crate) large: Option<Arguments>,
    /// Has a result of several pages.
    pub(crate) pages: Option<Pages>,
    /// A real call with these fails, and so must a dry run.
    pub(crate) impossible: Option<Arguments>,
}

/// A call with several pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pages {
    pub(crate) arguments: Arguments,
    /// JSON pointer to the list in each result.
    pub(crate) items: String,
    /// How many items there are on all pages.
    pub(crate) count: Option<usize>,
}

impl Fixtures {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read or has a key that is not known.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("--fixtures: cannot read {}", path.display()))?;
        serde_saphyr::from_str(&text)
            .with_context(|| format!("--fixtures: {} is not as described", path.display()))
    }

    /// The first tool that has what `pick` takes.
    pub(crate) fn first<'a, T>(
        &'a self,
        pick: impl Fn(&'a ToolFixture) -> Option<T>,
    ) -> Option<(&'a str, T)> {
        self.tools.iter().find_map(|(name, tool)| Some((name.as_str(), pick(tool)?)))
    }
}
