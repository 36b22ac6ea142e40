//! What a plugin's author tells about the plugin beyond its descriptors: calls that show what the
//! catalog cannot say. One YAML file; an unknown key is a fault, so that a typing error is no
//! silently skipped check.

use std::{collections::BTreeMap, path::Path};

use agent_proto::tool::v1::PluginCatalog;
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
    /// When it cannot be read or has a key that is not known, with its place.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("--fixtures: cannot read {}", path.display()))?;
        serde_saphyr::from_str(&text).map_err(|fault| {
            let at = fault.location().map(|at| format!(":{}:{}", at.line(), at.column()));
            let place = format!("{}{}", path.display(), at.unwrap_or_default());
            anyhow::anyhow!("--fixtures: {place}: {}", sentence(&fault))
        })
    }

    /// Holds the names of tools against those of the plugin: a check whose tool is misspelt would
    /// not be looked at, and nobody would see why.
    ///
    /// # Errors
    /// Each tool that the plugin does not have, with the one that is nearest.
    pub(crate) fn check(&self, catalog: &PluginCatalog) -> anyhow::Result<()> {
        let known: Vec<&str> = catalog.tools.iter().map(|tool| tool.name.as_str()).collect();
        let probe = match &self.state {
            Some(Probe::Tool { tool, .. }) => Some(tool.as_str()),
            Some(Probe::Command { .. }) | None => None,
        };
        let named = self.tools.keys().map(String::as_str).chain(probe);
        let strangers: Vec<String> =
            named.filter(|name| !known.contains(name)).map(|name| stranger(name, &known)).collect();
        anyhow::ensure!(strangers.is_empty(), "--fixtures: {}", strangers.join("; "));
        Ok(())
    }

    /// The first tool that has what `pick` takes.
    pub(crate) fn first<'a, T>(
        &'a self,
        pick: impl Fn(&'a ToolFixture) -> Option<T>,
    ) -> Option<(&'a str, T)> {
        self.tools.iter().find_map(|(name, tool)| Some((name.as_str(), pick(tool)?)))
    }
}

/// What is said of a tool that is not there.
fn stranger(name: &str, known: &[&str]) -> String {
    let far = |other: &str| strsim::levenshtein(name, other);
    let near = known.iter().filter(|other| far(other) <= 1 + name.chars().count() / 3);
    match near.min_by_key(|other| far(other)) {
        Some(meant) => format!("the plugin has no tool {name}; did you mean {meant}?"),
        None => format!("the plugin has no tool {name}; it has {}", known.join(", ")),
    }
}

/// What the reader says, in one line and without the place, which is told beside it.
fn sentence(fault: &serde_saphyr::Error) -> String {
    let said = fault.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let first = said.lines().next().unwrap_or_default();
    let bare = first.rsplit_once(" at line ").map_or(first, |(before, _)| before);
    bare.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use agent_proto::tool::v1::ToolDescriptor;

    use super::*;

    #[test]
    fn a_tool_that_the_plugin_does_not_have_is_told_with_the_nearest() {
        let tool = |name: &str| ToolDescriptor { name: name.to_owned(), ..Default::default() };
        let catalog =
            PluginCatalog { tools: vec![tool("echo"), tool("work")], ..PluginCatalog::default() };
        let fixtures = |text: &str| serde_saphyr::from_str::<Fixtures>(text).unwrap();
        assert!(fixtures("tools: {echo: {}, work: {}}").check(&catalog).is_ok());
        let said = fixtures("state: {tool: stat}\ntools: {ehco: {}}").check(&catalog).unwrap_err();
        assert_eq!(
            said.to_string(),
            "--fixtures: the plugin has no tool ehco; did you mean echo?; the plugin has no tool \
             stat; it has echo, work"
        );
    }

    #[test]
    fn a_fault_of_the_file_is_told_once_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fixtures.yaml");
        std::fs::write(&file, "tools:\n  echo: {slwo: {}}\n").unwrap();
        let said = format!("{:#}", Fixtures::read(&file).unwrap_err());
        let place = format!("--fixtures: {}:2:", file.display());
        assert!(said.starts_with(&place) && said.matches("slwo").count() == 1, "{said}");
    }
}
