//! `agentd tools`: what plugins offer, and one tool from close by.

mod call;
mod change;
mod name;
mod page;
mod schema;
mod watch;
mod why;

use agent_proto::{
    tool::v1::SideEffect,
    v1::{ToolInfo, ToolStatus},
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
    let tools = client.tools().await?;
    if tools.is_empty() {
        return out::line(&nobody(client).await?);
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
    let rows: Vec<Vec<String>> = tools.iter().map(row).collect();
    out::write(&columns(&["TOOL", "VERSION", "STATUS", "READY", "EFFECT", "WHAT IT DOES"], &rows))
}

/// Why there are no tools.
async fn nobody(client: &Client) -> Result<String, Error> {
    let known = client.plugins().await?;
    Ok(match known.as_slice() {
        [] => plugins::nobody_yet(client.url()),
        known => {
            let names: Vec<&str> = known.iter().map(|one| plugins::bare(&one.name)).collect();
            format!("no tool can be called; agentd plugins tells of {}", names.join(", "))
        }
    })
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
    use super::*;

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
