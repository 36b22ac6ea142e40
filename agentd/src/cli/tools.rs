//! `agentd tools`: what plugins offer, and one tool from close by.

mod call;
mod watch;
mod why;

use agent_proto::{
    tool::v1::{Applicability, SideEffect, ToolDescriptor},
    v1::{ToolInfo, ToolStatus},
};
use serde_json::Value;

use super::{
    DONE, Error,
    args::{Tools, ToolsCommand},
    client::Client,
    connect,
    out::{self, Style},
    text::{columns, cut, took, wrapped},
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
        Some(ToolsCommand::Show { name }) => {
            let tool = client.tool(name).await?;
            let plugin = tool.r#ref.as_ref().map(|of| format!("plugins/{}", of.plugin));
            let plugins = client.plugins().await?;
            let own = plugins.into_iter().find(|known| Some(&known.name) == plugin.as_ref());
            let advice = own.map(|plugin| plugin.warnings).unwrap_or_default();
            out::write(&page(&tool, &advice, style))?;
        }
        Some(ToolsCommand::Call { name, arguments, page, json }) => {
            return call::run(&client, (name, arguments, page), *json, style).await;
        }
        Some(ToolsCommand::Why { name }) => out::write(&why::of(&client, name, style).await?)?,
        Some(ToolsCommand::Accept { name, digest }) => {
            let tool = client.set_status(name, ToolStatus::Active, (digest, "")).await?;
            out::line(&format!("{} is {}", bare(&tool.name), status(tool.status())))?;
        }
        Some(ToolsCommand::Enable { name }) => {
            let tool = client.set_status(name, ToolStatus::Active, ("", "")).await?;
            out::line(&format!("{} is {}", bare(&tool.name), status(tool.status())))?;
        }
        Some(ToolsCommand::Disable { name, reason }) => {
            let tool = client.set_status(name, ToolStatus::Disabled, ("", reason)).await?;
            out::line(&format!("{} is {}", bare(&tool.name), status(tool.status())))?;
        }
        Some(ToolsCommand::Watch { once }) => watch::run(&client, *once).await?,
    }
    Ok(DONE)
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
            status(tool.status()).to_owned(),
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
        [] => format!(
            "no plugin has registered yet; start one with AGENTD_URL={}, such as plugin-pods",
            client.url()
        ),
        plugins => {
            let names: Vec<&str> = plugins
                .iter()
                .map(|p| p.name.strip_prefix("plugins/").unwrap_or(&p.name))
                .collect();
            format!("no tool can be called; plugins that were here: {}", names.join(", "))
        }
    })
}

/// All of a tool that matters to who may call it, and what its author should mend.
fn page(tool: &ToolInfo, advice: &[String], style: Style) -> String {
    let descriptor = tool.descriptor.clone().unwrap_or_default();
    let reference = tool.r#ref.clone().unwrap_or_default();
    let mut lines = vec![
        style.bold(&format!("{} {}", bare(&tool.name), reference.version)),
        wrapped("", &descriptor.description),
        String::new(),
        format!("Status     {}, {} ready", status(tool.status()), tool.ready_instances),
        format!("Effect     {}", effect(descriptor.side_effect())),
        format!("Limits     {}", limits(&descriptor)),
    ];
    if !descriptor.permissions.is_empty() {
        lines.push(wrapped("Needs      ", &descriptor.permissions.join(", ")));
    }
    if let Some(failure) = &tool.last_failure {
        lines.push(wrapped("Last fault ", &failure.message));
    }
    lines.push(format!("Digest     {}", reference.digest));
    let arguments = arguments(&descriptor.input_schema_json);
    headed(&mut lines, style, "Arguments", arguments);
    let asked = descriptor.applies.iter().map(asked).collect();
    headed(&mut lines, style, "Asked without a model", asked);
    let advice = advice.iter().map(|said| wrapped("  - ", said)).collect();
    headed(&mut lines, style, "For the plugin's author to mend", advice);
    lines.join("\n") + "\n"
}

fn headed(lines: &mut Vec<String>, style: Style, heading: &str, below: Vec<String>) {
    if !below.is_empty() {
        lines.push(format!("\n{}", style.bold(heading)));
        lines.extend(below);
    }
}

fn limits(descriptor: &ToolDescriptor) -> String {
    let mut said = match &descriptor.timeout {
        Some(timeout) => format!("{} an attempt", took(Some(timeout))),
        None => "30.0 s an attempt".to_owned(),
    };
    if let Some(rate) = &descriptor.rate_limit {
        if rate.calls > 0 {
            said.push_str(&format!(", {} calls in {}", rate.calls, took(rate.period.as_ref())));
        }
        if rate.max_concurrent > 0 {
            said.push_str(&format!(", {} at once", rate.max_concurrent));
        }
    }
    said
}

/// The arguments of a schema, a line each.
fn arguments(schema: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Vec::new();
    };
    properties
        .iter()
        .map(|(name, of)| {
            let kind = kind(of);
            let must = if required.contains(&name.as_str()) { ", required" } else { "" };
            let said = of.get("description").and_then(Value::as_str).unwrap_or_default();
            wrapped("  ", &format!("{name} ({kind}{must}) {said}"))
        })
        .collect()
}

/// The type of a schema; one of several without the null.
fn kind(schema: &Value) -> String {
    match schema.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> =
                kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null").collect();
            kinds.join(" or ")
        }
        Some(_) | None => "any".to_owned(),
    }
}

/// One applicability in a sentence.
fn asked(applies: &Applicability) -> String {
    let when = match (applies.alert_types.as_slice(), applies.after_signals.as_slice()) {
        ([], []) => "from the start".to_owned(),
        (types, []) => format!("from the start, for alerts {}", types.join(", ")),
        (_, signals) => format!("after {}", signals.join(", ")),
    };
    let about = match applies.subject_kinds.as_slice() {
        [] => "the alerted object".to_owned(),
        kinds => kinds.join(", "),
    };
    let told = match applies.emits.as_slice() {
        [] => String::new(),
        signals => format!("; may tell {}", signals.join(", ")),
    };
    wrapped("  - ", &format!("{when}, about {about}{told}"))
}

fn bare(name: &str) -> &str {
    name.strip_prefix("tools/").unwrap_or(name)
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

fn status(status: ToolStatus) -> &'static str {
    match status {
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
    fn arguments_are_read_from_the_schema() {
        let schema = r#"{"type": "object", "required": ["pod"], "properties": {
            "pod": {"type": "string", "description": "Name of the pod."},
            "lines": {"type": ["integer", "null"]}, "odd": true}}"#;
        assert_eq!(
            arguments(schema),
            ["  pod (string, required) Name of the pod.", "  lines (integer)", "  odd (any)"]
        );
        assert!(arguments("").is_empty());
    }

    #[test]
    fn when_a_tool_is_asked_is_said_in_a_sentence() {
        let applies = Applicability {
            after_signals: vec!["log.*".to_owned()],
            subject_kinds: vec!["Pod".to_owned()],
            emits: vec!["log.line".to_owned()],
            ..Applicability::default()
        };
        assert_eq!(asked(&applies), "  - after log.*, about Pod; may tell log.line");
        assert_eq!(
            asked(&Applicability::default()),
            "  - from the start, about the alerted object"
        );
    }
}
