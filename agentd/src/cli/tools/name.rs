//! Names of tools as people give them: what is no name, and what is the name of nothing, is told
//! with what could have been meant.

use std::collections::BTreeSet;

use tonic::Code;

use super::bare;
use crate::{
    cli::{Error, client::Client},
    nearest::nearest,
};

/// Most names told at once.
const TOLD: usize = 12;

/// What there is, by the names that people use.
#[derive(Debug, Default)]
struct Known {
    tools: BTreeSet<String>,
    /// Tools that are there and were refused.
    refused: BTreeSet<String>,
    plugins: BTreeSet<String>,
}

/// `PLUGIN.TOOL` of what a person gave.
///
/// # Errors
/// That it is no such name, with what could have been meant.
pub(super) async fn read(client: &Client, given: &str) -> Result<String, Error> {
    let name = bare(given);
    match name.split_once('.') {
        Some((plugin, tool)) if !plugin.is_empty() && !tool.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err(Error::Missing(Known::of(client).await?.no_name(name))),
    }
}

/// The answer about the tool `name`; that there is none is told with what could have been meant.
///
/// # Errors
/// Those of `answer`.
pub(super) async fn told<T>(
    client: &Client,
    name: &str,
    answer: Result<T, Error>,
) -> Result<T, Error> {
    match answer {
        Err(Error::Refused { code: Code::NotFound, .. }) => {
            Err(Error::Missing(Known::of(client).await?.no_tool(name)))
        }
        answer => answer,
    }
}

// === impl Known ===

impl Known {
    async fn of(client: &Client) -> Result<Self, Error> {
        let mut known = Self::default();
        for tool in client.tools().await? {
            known.tools.insert(bare(&tool.name).to_owned());
        }
        for plugin in client.plugins().await? {
            let name = plugin.name.strip_prefix("plugins/").unwrap_or(&plugin.name);
            known.plugins.insert(name.to_owned());
            let refused = plugin.refused_tools.iter().filter_map(|verdict| verdict.tool.as_ref());
            known.refused.extend(refused.map(|tool| format!("{}.{}", tool.plugin, tool.tool)));
        }
        Ok(known)
    }

    fn no_name(&self, given: &str) -> String {
        let given = given.trim_matches('.');
        let own = |name: &&String| name.split_once('.').is_some_and(|(plugin, _)| plugin == given);
        let called = |name: &&String| name.split_once('.').is_some_and(|(_, tool)| tool == given);
        let of_plugin = listed(self.tools.iter().filter(own));
        let alike = listed(self.tools.iter().filter(called));
        if !of_plugin.is_empty() {
            return format!("{given} is a plugin; its tools: {of_plugin}");
        }
        if self.plugins.contains(given) {
            return format!("{given} is a plugin without tools; see agentd plugins {given}");
        }
        let meant = if alike.is_empty() { self.meant(given) } else { format!(": {alike}") };
        format!("give PLUGIN.TOOL, as agentd tools lists it{meant}")
    }

    fn no_tool(&self, name: &str) -> String {
        if self.refused.contains(name) {
            return format!("{name} was refused when it registered; see agentd tools why {name}");
        }
        let plugin = name.split('.').next().unwrap_or(name);
        let own = |tool: &String| tool.split('.').next() == Some(plugin);
        if self.plugins.contains(plugin) && !self.tools.iter().any(own) {
            return format!("there is no tool {name}; agentd plugins {plugin} tells why");
        }
        format!("there is no tool {name}{}; agentd tools lists them", self.meant(name))
    }

    /// What is nearest, whole or without the plugin.
    fn meant(&self, given: &str) -> String {
        let all = || self.tools.iter().chain(&self.refused).map(String::as_str);
        let behind = given.rsplit('.').next().unwrap_or(given);
        let tool = |name: &str| name.split_once('.').map(|(_, tool)| tool.to_owned());
        let tools: BTreeSet<String> = all().filter_map(tool).collect();
        let found = nearest(given, all()).or_else(|| {
            let alike = nearest(behind, tools.iter().map(String::as_str))?;
            all().find(|name| tool(name).as_deref() == Some(alike))
        });
        found.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let shown = names.get(..TOLD.min(names.len())).unwrap_or_default().join(", ");
    if names.len() > TOLD { format!("{shown}, …") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Known {
            tools: set(&["pods.check_pods", "pods.check_access", "logs.search_logs"]),
            refused: set(&["probe.broken"]),
            plugins: set(&["pods", "logs", "probe"]),
        }
    }

    #[test]
    fn half_a_name_is_told_with_the_whole_ones_it_could_be() {
        for (given, said) in [
            ("pods", "pods is a plugin; its tools: pods.check_access, pods.check_pods"),
            ("pods.", "pods is a plugin; its tools: pods.check_access, pods.check_pods"),
            ("probe", "probe is a plugin without tools; see agentd plugins probe"),
            ("search_logs", "give PLUGIN.TOOL, as agentd tools lists it: logs.search_logs"),
            ("zzz", "give PLUGIN.TOOL, as agentd tools lists it"),
            (
                "chek_pods",
                "give PLUGIN.TOOL, as agentd tools lists it; did you mean pods.check_pods?",
            ),
        ] {
            assert_eq!(known().no_name(given), said);
        }
    }

    #[test]
    fn a_name_of_nothing_is_told_with_the_nearest_and_never_in_words_of_the_wire() {
        for (given, said) in [
            (
                "pods.chek_pods",
                "there is no tool pods.chek_pods; did you mean pods.check_pods?; agentd tools \
                 lists them",
            ),
            (
                "p.search_logs",
                "there is no tool p.search_logs; did you mean logs.search_logs?; agentd tools \
                 lists them",
            ),
            ("nope.nope", "there is no tool nope.nope; agentd tools lists them"),
            ("probe.look", "there is no tool probe.look; agentd plugins probe tells why"),
            (
                "probe.broken",
                "probe.broken was refused when it registered; see agentd tools why probe.broken",
            ),
        ] {
            assert_eq!(known().no_tool(given), said);
        }
    }
}
