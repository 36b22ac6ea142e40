//! What the plugin offers.

use agent_proto::tool::v1::{
    CompensationSpec, Idempotency, PluginCatalog, RiskLevel, SideEffect, ToolDescriptor,
    ToolExample,
};
use serde_json::{Value, json};

/// Calls taken at once.
pub(crate) const CALLS: usize = 8;

pub(crate) fn catalog(fault: &str) -> PluginCatalog {
    let mut tools = vec![
        tool(
            "echo",
            json!({"text": text("Comes back."), "number": number("Comes back.")}),
            &[],
            r#"{"text":"hello"}"#,
        ),
        tool(
            "work",
            json!({"seconds": number("How long."), "flood": flag("Talks all the time.")}),
            &["seconds"],
            r#"{"seconds":0}"#,
        ),
        tool(
            "list",
            json!({"count": number("How many items."), "per_page": number("How many on a page.")}),
            &[],
            r#"{"count":3}"#,
        ),
        tool("find", json!({"name": text("Whom to find.")}), &["name"], r#"{"name":"anna"}"#),
        tool("state", json!({}), &[], "{}"),
        tool(
            "add",
            json!({"amount": number("How much is added.")}),
            &["amount"],
            r#"{"amount":1}"#,
        ),
        tool("set", json!({"value": number("What it becomes.")}), &["value"], r#"{"value":5}"#),
    ];
    tools.iter_mut().for_each(|tool| declare(tool, fault));
    PluginCatalog {
        plugin: "broken".to_owned(),
        version: if fault == "CAT-01" { "one" } else { "1.0.0" }.to_owned(),
        title: "For the checks of plugin-check".to_owned(),
        tools,
        ..PluginCatalog::default()
    }
}

/// What is said of a tool beside its arguments.
fn declare(tool: &mut ToolDescriptor, fault: &str) {
    match tool.name.as_str() {
        "work" => tool.reports_progress = true,
        "find" => {
            tool.output_schema_json = json!({"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}}})
            .to_string();
            match fault {
                "CAT-03" => tool.examples.push(example(r#"{"name":7}"#)),
                "CAT-03:absent" => tool.examples.push(example(r#"{"name":"nobody"}"#)),
                _ => {}
            }
        }
        "add" => {
            tool.side_effect = SideEffect::Additive.into();
            tool.idempotency = Idempotency::Keyed.into();
            tool.supports_dry_run = true;
        }
        "set" => {
            tool.side_effect = SideEffect::Reversible.into();
            tool.idempotency = Idempotency::Natural.into();
            tool.supports_dry_run = true;
            let undo = if fault == "CAT-05" { "unset" } else { "set" };
            tool.compensation =
                Some(CompensationSpec { tool: undo.to_owned(), accepts_call_id: false });
        }
        _ => {}
    }
    if fault == "CAT-04" && tool.name == "echo" {
        tool.input_schema_json =
            tool.input_schema_json.replace(r#""description":"Comes back.","#, "");
    }
}

fn tool(name: &str, properties: Value, required: &[&str], shown: &str) -> ToolDescriptor {
    let schema = json!({"type": "object", "properties": properties, "required": required,
        "additionalProperties": false});
    ToolDescriptor {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        description: format!("The tool {name} of a plugin that checks are checked with."),
        input_schema_json: schema.to_string(),
        side_effect: SideEffect::ReadOnly.into(),
        risk: RiskLevel::Low.into(),
        examples: vec![example(shown)],
        ..ToolDescriptor::default()
    }
}

fn example(arguments: &str) -> ToolExample {
    ToolExample { title: "one".to_owned(), arguments_json: arguments.to_owned() }
}

fn text(meaning: &str) -> Value {
    json!({"description": meaning, "type": "string"})
}

fn number(meaning: &str) -> Value {
    json!({"description": meaning, "type": "integer"})
}

fn flag(meaning: &str) -> Value {
    json!({"description": meaning, "type": "boolean"})
}
