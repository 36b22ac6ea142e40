//! `agentd tools`: what plugins offer, and one tool from close by.

mod call;
mod change;
mod name;
mod page;
mod schema;
mod watch;
mod why;

use std::collections::BTreeMap;

use agent_proto::{
    tool::v1::SideEffect,
    v1::{PluginInfo, ToolInfo, ToolStatus},
};

use super::{
    DONE, Error,
    args::{Tools, ToolsCommand},
    client::Client,
    connect,
    out::{self, Style},
    plugins,
    text::{columns, cut},
};
use crate::config::Environment;

pub(super) async fn run(
    args: &Tools,
    environment: &Environment,
    style: Style,
) -> Result<u8, Error> {
    let client = connect(&args.server, environment).await?;
    match &args.what {
        None | Some(ToolsCommand::List) => list(&client).await?,
        Some(ToolsCommand::Show { name, version }) => {
            let name = name::read(&client, name).await?;
            out::write(&page::of(&client, &name, version, style).await?)?;
        }
        Some(ToolsCommand::Call { name, arguments, page, json }) => {
            let name = name::read(&client, name).await?;
            return call::run(&client, (&name, arguments, page), *json, style).await;
        }
        Some(ToolsCommand::Why { name }) => {
            let name = name::read(&client, name).await?;
            out::write(&why::of(&client, &name, style).await?)?;
        }
        Some(ToolsCommand::Accept { name, digest }) => {
            let tool = decided(&client, name, ToolStatus::Active, (digest, "")).await?;
            out::line(&accepted(&tool))?;
        }
        Some(ToolsCommand::Enable { name }) => {
            let tool = decided(&client, name, ToolStatus::Active, ("", "")).await?;
            out::line(&told(&tool))?;
        }
        Some(ToolsCommand::Disable { name, reason }) => {
            let tool = decided(&client, name, ToolStatus::Disabled, ("", reason)).await?;
            out::line(&told(&tool))?;
        }
        Some(ToolsCommand::Watch { once }) => watch::run(&client, *once).await?,
    }
    Ok(DONE)
}

/// Decides about a tool: its standing, the digest that was looked at, and why.
async fn decided(
    client: &Client,
    given: &str,
    status: ToolStatus,
    (digest, reason): (&str, &str),
) -> Result<ToolInfo, Error> {
    let name = name::read(client, given).await?;
    let answer = client.set_status(&name, status, (digest, reason)).await;
    name::told(client, &name, answer).await
}

/// How a tool stands after a decision about it.
fn told(tool: &ToolInfo) -> String {
    format!("{} is {}", bare(&tool.name), standing(tool))
}

/// The same after its contract was accepted, which does not switch it on.
fn accepted(tool: &ToolInfo) -> String {
    let name = bare(&tool.name);
    if tool.status() == ToolStatus::Disabled {
        format!("{name} is accepted and still disabled; agentd tools enable {name} switches it on")
    } else {
        told(tool)
    }
}

async fn list(client: &Client) -> Result<(), Error> {
    let (tools, plugins) = (client.tools().await?, client.plugins().await?);
    let refused = refused(&plugins);
    if tools.is_empty() && refused.is_empty() {
        return out::line(&nobody(client.url(), &plugins));
    }
    let row = |tool: &ToolInfo| {
        let descriptor = tool.descriptor.clone().unwrap_or_default();
        let version = tool.r#ref.as_ref().map(|of| of.version.clone()).unwrap_or_default();
        vec![
            bare(&tool.name).to_owned(),
            version,
            standing(tool).to_owned(),
            tool.ready_instances.to_string(),
            effect(descriptor.side_effect()).to_owned(),
            cut(first_sentence(&descriptor.description), 60),
        ]
    };
    let rows: Vec<Vec<String>> = tools.iter().map(row).chain(refused).collect();
    out::write(&columns(&["TOOL", "VERSION", "STATUS", "READY", "EFFECT", "WHAT IT DOES"], &rows))
}

/// Lines of the tools that were refused when they registered, each once, with the first fault.
fn refused(plugins: &[PluginInfo]) -> Vec<Vec<String>> {
    let verdicts = plugins.iter().flat_map(|plugin| &plugin.refused_tools);
    let by_name: BTreeMap<(String, String), String> = verdicts
        .filter_map(|verdict| {
            let (tool, why) = (verdict.tool.as_ref()?, verdict.rejection.as_ref()?);
            let name = plugins::name_of(tool).unwrap_or_else(|no_name| no_name);
            let first = why.violations.first();
            let first = first.map(|wrong| format!("{}: {}", wrong.field, wrong.description));
            Some(((name, tool.version.clone()), first.unwrap_or_else(|| why.message.clone())))
        })
        .collect();
    let row = |((name, version), why): ((String, String), String)| {
        let none = String::new;
        vec![name, version, "refused".to_owned(), "0".to_owned(), none(), cut(&why, 60)]
    };
    by_name.into_iter().map(row).collect()
}

/// Why there are no tools.
fn nobody(url: &str, known: &[PluginInfo]) -> String {
    if known.is_empty() {
        return plugins::nobody_yet(url);
    }
    let names: Vec<&str> = known.iter().map(|one| plugins::bare(&one.name)).collect();
    format!("no tool can be called; agentd plugins tells of {}", names.join(", "))
}

fn bare(name: &str) -> &str {
    name.strip_prefix("tools/").unwrap_or(name)
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

/// Whether a tool can be called, as policy has it.
fn standing(tool: &ToolInfo) -> &'static str {
    match tool.status() {
        ToolStatus::Active if tool.requires_approval => "needs approval",
        ToolStatus::Unspecified => "unknown",
        ToolStatus::Active => "active",
        ToolStatus::Quarantined => "quarantined",
        ToolStatus::Disabled => "disabled",
        ToolStatus::Unavailable => "unavailable",
        ToolStatus::Tripped => "tripped",
    }
}

fn effect(effect: SideEffect) -> &'static str {
    match effect {
        SideEffect::ReadOnly => "reads only",
        SideEffect::Additive => "adds",
        SideEffect::Reversible => "reversible",
        SideEffect::Unspecified | SideEffect::Destructive => "destructive",
    }
}

#[cfg(test)]
mod tests {
    use agent_proto::tool::v1::{Failure, FieldViolation, ToolRef, ToolVerdict};

    use super::*;

    #[test]
    fn a_tool_that_was_refused_has_a_line_with_what_is_wrong() {
        let verdict = |tool: &str, violations: Vec<FieldViolation>| ToolVerdict {
            tool: Some(ToolRef {
                plugin: "queues".to_owned(),
                tool: tool.to_owned(),
                version: "1.0.0".to_owned(),
                ..ToolRef::default()
            }),
            rejection: Some(Failure {
                message: "another holds it".to_owned(),
                violations,
                ..Failure::default()
            }),
            ..ToolVerdict::default()
        };
        let wrong = FieldViolation {
            field: "input_schema_json".to_owned(),
            description: "is no JSON".to_owned(),
            ..FieldViolation::default()
        };
        let held = verdict("held", Vec::new());
        let refused_tools =
            vec![held.clone(), held, verdict("broken", vec![wrong]), verdict("$(rm)", Vec::new())];
        let rows = refused(&[PluginInfo { refused_tools, ..PluginInfo::default() }]);
        assert_eq!(
            rows.iter().map(|row| row.join("|")).collect::<Vec<_>>(),
            [
                r#""queues.$(rm)"|1.0.0|refused|0||another holds it"#,
                "queues.broken|1.0.0|refused|0||input_schema_json: is no JSON",
                "queues.held|1.0.0|refused|0||another holds it",
            ]
        );
    }

    #[test]
    fn a_tool_that_policy_keeps_from_being_called_is_not_shown_as_active() {
        let mut tool = ToolInfo { status: ToolStatus::Active.into(), ..ToolInfo::default() };
        assert_eq!(standing(&tool), "active");
        tool.requires_approval = true;
        assert_eq!(standing(&tool), "needs approval");
        tool.set_status(ToolStatus::Disabled);
        assert_eq!(standing(&tool), "disabled");
    }

    #[test]
    fn a_tool_that_was_accepted_and_is_off_is_told_with_the_command_that_switches_it_on() {
        let tool = ToolInfo {
            name: "tools/a.b".to_owned(),
            status: ToolStatus::Disabled.into(),
            ..ToolInfo::default()
        };
        assert_eq!(
            accepted(&tool),
            "a.b is accepted and still disabled; agentd tools enable a.b switches it on"
        );
        let on = ToolInfo { status: ToolStatus::Active.into(), ..tool };
        assert_eq!(accepted(&on), "a.b is active");
    }
}
