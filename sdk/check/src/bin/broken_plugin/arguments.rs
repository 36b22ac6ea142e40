//! Arguments against the schema of a tool, by hand: nothing here is shared with the checks.

use agent_proto::tool::v1::{Failure, FailureClass, FieldViolation, ToolDescriptor};
use serde_json::{Map, Value};

use crate::plugin::{Plugin, failure};

/// Reads the arguments of a call.
pub(crate) fn read(
    plugin: &Plugin,
    tool: &ToolDescriptor,
    json: &str,
) -> Result<Map<String, Value>, Box<Failure>> {
    if json.len() > 256 * 1024 {
        return Err(wrong(plugin, "arguments", "has more than 256 KiB"));
    }
    let Ok(Value::Object(given)) = serde_json::from_str::<Value>(json) else {
        return Err(wrong(plugin, "arguments", "must be a JSON object"));
    };
    let schema: Value = serde_json::from_str(&tool.input_schema_json).unwrap_or_default();
    let properties =
        schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !given.contains_key(name) {
            return Err(wrong(plugin, name, "is required"));
        }
    }
    for (name, value) in &given {
        let Some(property) = properties.get(name) else {
            return Err(wrong(plugin, name, "is not known"));
        };
        let fits = match property.get("type").and_then(Value::as_str) {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64(),
            Some("boolean") => value.is_boolean(),
            _ => false,
        };
        if !fits {
            return Err(wrong(plugin, name, "has the wrong type"));
        }
    }
    Ok(given)
}

fn wrong(plugin: &Plugin, name: &str, how: &str) -> Box<Failure> {
    // A fault of ERR-03 is to repeat whatever came, however long it is.
    let shown: String =
        if plugin.breaks("ERR-03") { name.to_owned() } else { name.chars().take(100).collect() };
    let mut failure =
        failure(FailureClass::InvalidArgument, 3, "INVALID_ARGUMENT", &format!("{shown} {how}"));
    if !plugin.breaks("ARG-01") {
        failure.violations.push(FieldViolation {
            field: format!("arguments.{shown}"),
            description: how.to_owned(),
            reason: "INVALID".to_owned(),
        });
    }
    Box::new(failure)
}
