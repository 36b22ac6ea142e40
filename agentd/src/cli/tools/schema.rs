//! Schemas of arguments and results in the words of who gives the arguments.

use serde_json::Value;

use crate::cli::text::wrapped;

/// Deepest chain of references that is followed.
const DEEPEST: usize = 8;
/// Most values of an enum that are told.
const MOST_VALUES: usize = 12;

/// The arguments of a schema, one after the other.
pub(super) fn arguments(schema: &str) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|must| must == name));
    let properties = schema.get("properties").and_then(Value::as_object);
    let line = |(name, of): (&String, &Value)| {
        let must = if is_required(name) { ", required" } else { "" };
        let said = of.get("description").and_then(Value::as_str).unwrap_or_default();
        wrapped("  ", &format!("{name} ({}{must}) {said}", kind(of, &schema, 0)))
    };
    properties.into_iter().flatten().map(line).collect()
}

/// Whether results have a form, and which fields they have then.
pub(super) fn result(schema: &str) -> String {
    if schema.is_empty() {
        return "of no form that it declares".to_owned();
    }
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let fields = schema.get("properties").and_then(Value::as_object);
    let names: Vec<&str> = fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    match names.as_slice() {
        [] => "held against its schema".to_owned(),
        names => format!("held against its schema: {}", names.join(", ")),
    }
}

/// What may stand there: a type, the values themselves where there are few, or several of these
/// without the null.
fn kind(of: &Value, root: &Value, deep: usize) -> String {
    let any = || "any".to_owned();
    if deep > DEEPEST {
        return any();
    }
    let reference = of.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    if let Some(named) = reference.and_then(|at| root.pointer(at)) {
        return kind(named, root, deep + 1);
    }
    if let Some(values) = of.get("enum").and_then(Value::as_array) {
        return one_of(values.iter().filter(|value| !value.is_null()).map(word).collect());
    }
    if let Some(value) = of.get("const") {
        return word(value);
    }
    let choices = ["anyOf", "oneOf", "allOf"].iter().find_map(|word| of.get(word)?.as_array());
    if let Some(choices) = choices {
        let told: Vec<String> = choices
            .iter()
            .map(|choice| kind(choice, root, deep + 1))
            .filter(|kind| kind != "null")
            .collect();
        // Values one by one, as some write their enums.
        let is_enum = choices.iter().all(|choice| choice.get("const").is_some());
        return if is_enum { one_of(told) } else { told.join(" or ") };
    }
    match of.get("type") {
        Some(Value::String(kind)) if kind == "array" => match of.get("items") {
            Some(items) => format!("list of {}", self::kind(items, root, deep + 1)),
            None => "list".to_owned(),
        },
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => {
            let kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            kinds.collect::<Vec<_>>().join(" or ")
        }
        Some(_) | None => any(),
    }
}

fn one_of(mut values: Vec<String>) -> String {
    let hidden = values.len().saturating_sub(MOST_VALUES);
    values.truncate(MOST_VALUES);
    let more = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
    format!("one of {}{more}", values.join(", "))
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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
    fn values_of_an_enum_are_told_wherever_they_are_written() {
        let schema = r##"{"properties": {
            "a": {"enum": ["cpu", "memory", null]},
            "b": {"anyOf": [{"$ref": "#/$defs/F"}, {"type": "null"}], "description": "Which."},
            "c": {"type": "array", "items": {"$ref": "#/$defs/G"}},
            "d": {"$ref": "#/$defs/loop"}},
          "$defs": {"F": {"type": "string", "enum": ["rate", "avg"]},
                    "G": {"oneOf": [{"const": "x"}, {"const": 2}]},
                    "loop": {"$ref": "#/$defs/loop"}}}"##;
        assert_eq!(
            arguments(schema),
            [
                "  a (one of cpu, memory)",
                "  b (one of rate, avg) Which.",
                "  c (list of one of x, 2)",
                "  d (any)"
            ]
        );
    }

    #[test]
    fn whether_a_result_has_a_form_is_told() {
        assert_eq!(result(""), "of no form that it declares");
        assert_eq!(result("{}"), "held against its schema");
        let fields = r#"{"properties": {"pods": {}, "at": {}}}"#;
        assert_eq!(result(fields), "held against its schema: pods, at");
    }
}
