//! `agentd plugins`: instances of plugins, where they are and whether they take calls.

use agent_proto::{
    tool::v1::{InstanceState, ToolRef},
    v1::{InstanceInfo, PluginInfo},
};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    DONE, Error,
    args::Plugins,
    connect, json,
    out::{self, Style},
    text::{chosen, columns, counted, time, wrapped},
};
use crate::{
    app::clock,
    config::Environment,
    nearest::nearest,
    tool::{is_plugin_name, is_tool_name},
};

pub(super) async fn run(
    args: &Plugins,
    environment: &Environment,
    style: Style,
) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    let mut plugins = client.plugins().await?;
    if let Some(name) = &args.name {
        let wanted = bare(name);
        let names: Vec<String> = plugins.iter().map(|known| bare(&known.name).to_owned()).collect();
        plugins.retain(|known| bare(&known.name) == wanted);
        if plugins.is_empty() {
            return Err(Error::Missing(unknown(wanted, &names)));
        }
    }
    if args.json {
        let all = plugins.iter().map(json::plugin).collect::<Result<Vec<Value>, Error>>()?;
        out::line(&Value::Array(all).to_string())?;
    } else if plugins.is_empty() {
        out::line(&nobody_yet(client.url()))?;
    } else {
        if plugins.iter().any(|plugin| !plugin.instances.is_empty()) {
            out::write(&table(&plugins, clock()))?;
        }
        let more = if args.name.is_some() { below(&plugins, style) } else { wanting(&plugins) };
        out::write(&more)?;
    }
    Ok(DONE)
}

/// That nobody is here, and how somebody comes.
pub(super) fn nobody_yet(url: &str) -> String {
    format!("no plugin has registered yet; start one with AGENTD_URL={url}, such as plugin-pods")
}

pub(super) fn bare(name: &str) -> &str {
    name.strip_prefix("plugins/").unwrap_or(name)
}

fn unknown(wanted: &str, names: &[String]) -> String {
    let meant = nearest(wanted, names.iter().map(String::as_str));
    let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    format!("no plugin {wanted} is there{meant}; agentd plugins lists them")
}

/// A line for each instance.
fn table(plugins: &[PluginInfo], now: Timestamp) -> String {
    let rows: Vec<Vec<String>> = plugins
        .iter()
        .flat_map(|plugin| plugin.instances.iter().map(|one| row(&plugin.name, one, now)))
        .collect();
    let head = ["PLUGIN", "VERSION", "STATE", "ENDPOINT", "LEASE", "RUNNING", "FAILED", "INSTANCE"];
    columns(&head, &rows)
}

fn row(plugin: &str, instance: &InstanceInfo, now: Timestamp) -> Vec<String> {
    let endpoint = if instance.endpoint.is_empty() { "relay" } else { &instance.endpoint };
    vec![
        bare(plugin).to_owned(),
        instance.version.clone(),
        state(instance.state()).to_owned(),
        endpoint.to_owned(),
        lease(instance, now),
        instance.calls_in_flight.to_string(),
        instance.recent_failures.to_string(),
        instance.instance_id.chars().take(8).collect(),
    ]
}

fn state(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Ready => "ready",
        InstanceState::Draining => "draining",
        InstanceState::Unready | InstanceState::Unspecified => "unready",
    }
}

/// How long the lease lasts, or since when it is over.
fn lease(instance: &InstanceInfo, now: Timestamp) -> String {
    let Some(ends) = time(instance.lease_expire_time.as_ref()) else { return String::new() };
    let left = ends.as_second() - now.as_second();
    let span = prost_types::Duration { seconds: left.abs(), nanos: 0 };
    match left {
        0.. => format!("{} left", chosen(Some(&span))),
        _ => format!("over since {}", chosen(Some(&span))),
    }
}

/// Plugins that were not let in, and those with tools that were refused.
fn wanting(plugins: &[PluginInfo]) -> String {
    let lines = plugins.iter().filter_map(|plugin| {
        let name = bare(&plugin.name);
        let refused = plugin.refused_tools.len();
        if plugin.instances.is_empty() {
            return Some(wrapped(&format!("{name}: "), &plugin.warnings.join("; ")));
        }
        let said =
            format!("{} refused; agentd plugins {name} tells which", counted(refused, "tool"));
        (refused > 0).then(|| wrapped(&format!("{name}: "), &said))
    });
    lines.map(|line| format!("\n{line}\n")).collect()
}

/// What a tool that was refused is called.
///
/// # Errors
/// What it called itself, quoted, where that is no name: nothing to be copied to a shell.
pub(super) fn name_of(tool: &ToolRef) -> Result<String, String> {
    let name = format!("{}.{}", tool.plugin, tool.tool);
    if is_plugin_name(&tool.plugin) && is_tool_name(&tool.tool) {
        Ok(name)
    } else {
        Err(format!("{name:?}"))
    }
}

/// What the authors should mend, and tools that were refused.
fn below(plugins: &[PluginInfo], style: Style) -> String {
    let mut lines = Vec::new();
    for plugin in plugins {
        if !plugin.warnings.is_empty() {
            lines.push(format!("\n{}", style.bold("For the plugin's author to mend")));
            lines.extend(plugin.warnings.iter().map(|said| wrapped("  - ", said)));
        }
        let refused = plugin.refused_tools.iter().filter_map(|verdict| verdict.tool.as_ref());
        let refused: Vec<String> = refused
            .map(|tool| match name_of(tool) {
                Ok(name) => format!("  agentd tools why {name}"),
                Err(no_name) => format!("  {no_name}"),
            })
            .collect();
        if !refused.is_empty() {
            lines
                .push(format!("\n{}", style.bold("Tools that were refused; each with its faults")));
            lines.extend(refused);
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::tool::v1::ToolVerdict;

    use super::*;

    #[test]
    fn each_instance_is_a_line_with_its_way_its_lease_and_its_calls() {
        let at = |seconds: i64| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let direct = InstanceInfo {
            instance_id: "0123456789".to_owned(),
            version: "1.0.0".to_owned(),
            state: InstanceState::Ready.into(),
            endpoint: "127.0.0.1:7001".to_owned(),
            lease_expire_time: at(1_027),
            calls_in_flight: 2,
            recent_failures: 1,
        };
        let relay = InstanceInfo {
            endpoint: String::new(),
            state: InstanceState::Draining.into(),
            lease_expire_time: at(995),
            calls_in_flight: 0,
            recent_failures: 0,
            ..direct.clone()
        };
        let plugin = PluginInfo {
            name: "plugins/pods".to_owned(),
            instances: vec![direct, relay],
            warnings: vec!["pods.odd is in no catalogue".to_owned()],
            refused_tools: vec![ToolVerdict {
                tool: Some(ToolRef {
                    plugin: "pods".to_owned(),
                    tool: "broken".to_owned(),
                    ..ToolRef::default()
                }),
                ..ToolVerdict::default()
            }],
        };
        let now = Timestamp::from_second(1_000).unwrap();
        let all = [plugin];
        assert_eq!(
            table(&all, now),
            "PLUGIN  VERSION  STATE     ENDPOINT        LEASE           RUNNING  FAILED  INSTANCE\n\
             pods    1.0.0    ready     127.0.0.1:7001  27 s left       2        1       01234567\n\
             pods    1.0.0    draining  relay           over since 5 s  0        0       01234567\n"
        );
        let said = below(&all, Style::Plain);
        assert!(
            said.contains("  - pods.odd is in") && said.contains("agentd tools why pods.broken")
        );
    }

    #[test]
    fn a_plugin_that_is_not_there_is_told_with_the_nearest() {
        let names = ["pods".to_owned(), "logs".to_owned()];
        assert_eq!(
            unknown("pod", &names),
            "no plugin pod is there; did you mean pods?; agentd plugins lists them"
        );
    }
}
