//! What a person accepts: what each changed field of a descriptor was and what it is, down to the
//! parts of its schemas.

use agent_proto::tool::v1::ToolDescriptor;
use serde_json::Value;

use crate::cli::{Error, json, text::wrapped};

/// Fields that hold JSON as text.
const DOCUMENTS: [&str; 4] =
    ["input_schema_json", "output_schema_json", "arguments_template_json", "arguments_json"];
/// What names of enums begin with on the wire.
const PREFIXES: [&str; 5] =
    ["SIDE_EFFECT_", "RISK_LEVEL_", "APPROVAL_REQUIREMENT_", "IDEMPOTENCY_", "CACHE_SCOPE_"];
/// Longest value that stands beside the other one.
const SHORT: usize = 38;

/// One field that differs; none where it is unset.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    path: String,
    was: Option<Value>,
    is: Option<Value>,
}

/// A line or three for each field that differs.
///
/// # Errors
/// Never, with descriptors that belong to the messages.
pub(super) fn lines(old: &ToolDescriptor, new: &ToolDescriptor) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    compare("", Some(&json::descriptor(old)?), Some(&json::descriptor(new)?), &mut found);
    Ok(found.iter().map(shown).collect())
}

fn shown(change: &Change) -> String {
    let told = |value: &Option<Value>, tell: fn(&Value) -> String| {
        value.as_ref().map_or_else(|| "(unset)".to_owned(), tell)
    };
    let (mut was, mut is) = (told(&change.was, text), told(&change.is, text));
    let laid = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if laid(&was) == laid(&is) {
        // They differ in blanks, types or brackets alone, which would not be seen.
        let whole = |value: &Value| visible(&value.to_string());
        (was, is) = (told(&change.was, whole), told(&change.is, whole));
    }
    let path = &visible(&change.path);
    if was.chars().count().max(is.chars().count()) <= SHORT && !was.contains('\n') {
        return wrapped("    ", &format!("{path}: {was} → {is}"));
    }
    let head = wrapped("    ", &format!("{path}:"));
    [head, wrapped("      was  ", &was), wrapped("      now  ", &is)].join("\n")
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, found: &mut Vec<Change>) {
    if old == new {
        return;
    }
    let field = path.rsplit('.').next().unwrap_or(path);
    if DOCUMENTS.contains(&field)
        && let Some((was, is)) = document(old).zip(document(new))
    {
        return compare_within(path, &was, &is, found);
    }
    match (old, new) {
        (Some(was), Some(is)) => compare_within(path, was, is, found),
        _ => found.push(change(path, old, new)),
    }
}

fn compare_within(path: &str, old: &Value, new: &Value, found: &mut Vec<Change>) {
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (old, new) {
        (Value::Object(was), Value::Object(is)) => {
            let added = is.keys().filter(|name| !was.contains_key(*name));
            for name in was.keys().chain(added) {
                compare(&below(name), was.get(name), is.get(name), found);
            }
        }
        (Value::Array(was), Value::Array(is))
            if was.len() == is.len() && was.iter().chain(is).all(Value::is_object) =>
        {
            for (at, (was, is)) in was.iter().zip(is).enumerate() {
                compare_within(&format!("{path}[{at}]"), was, is, found);
            }
        }
        (was, is) if was == is => {}
        (was, is) => found.push(change(path, Some(was), Some(is))),
    }
}

fn change(path: &str, was: Option<&Value>, is: Option<&Value>) -> Change {
    Change { path: path.to_owned(), was: was.cloned(), is: is.cloned() }
}

/// The JSON in a text; an unset one is an empty object, to be compared part by part.
fn document(value: Option<&Value>) -> Option<Value> {
    match value {
        None => Some(Value::Object(serde_json::Map::new())),
        Some(value) => serde_json::from_str(value.as_str()?).ok(),
    }
}

/// A value for people, with what cannot be seen made visible: a change may hide there.
fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => {
            let word = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix));
            word.unwrap_or(text).to_owned()
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let items: Vec<String> = items.iter().map(text).collect();
            if items.is_empty() { "(none)".to_owned() } else { items.join(", ") }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    visible(&text)
}

/// With what cannot be seen made visible.
fn visible(text: &str) -> String {
    let seen = |c: char| match u32::from(c) {
        0x00AD
        | 0x034F
        | 0x115F..=0x1160
        | 0x17B4..=0x17B5
        | 0x180B..=0x180F
        | 0x200B..=0x200F
        | 0x202A..=0x202E
        | 0x2060..=0x206F
        | 0x3164
        | 0xFE00..=0xFE0F
        | 0xFEFF
        | 0xFFA0
        | 0xE0000..=0xE0FFF => c.escape_unicode().to_string(),
        _ if c.is_control() && !matches!(c, '\n' | '\t') => c.escape_unicode().to_string(),
        _ => c.to_string(),
    };
    text.chars().map(seen).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::tool::v1::SideEffect;

    use super::*;

    fn descriptor() -> ToolDescriptor {
        ToolDescriptor {
            name: "look".to_owned(),
            description: "Looks.".to_owned(),
            input_schema_json: r#"{"type":"object","properties":{"pod":{"type":"string"}}}"#
                .to_owned(),
            permissions: vec!["k8s:pods/list".to_owned()],
            side_effect: SideEffect::Reversible.into(),
            ..ToolDescriptor::default()
        }
    }

    #[test]
    fn each_changed_field_is_told_with_what_it_was_and_what_it_is() {
        let mut new = descriptor();
        new.side_effect = SideEffect::ReadOnly.into();
        new.permissions.push("k8s:nodes/get".to_owned());
        new.input_schema_json =
            r#"{"type":"object","properties":{"pod":{"type":"integer"},"all":{}}}"#.to_owned();
        new.timeout = Some(prost_types::Duration { seconds: 5, nanos: 0 });
        assert_eq!(
            lines(&descriptor(), &new).unwrap(),
            [
                "    input_schema_json.properties.pod.type: string → integer",
                "    input_schema_json.properties.all: (unset) → {}",
                "    side_effect: REVERSIBLE → READ_ONLY",
                "    permissions: k8s:pods/list → k8s:pods/list, k8s:nodes/get",
                "    timeout: (unset) → 5s",
            ]
        );
        assert!(lines(&descriptor(), &descriptor()).unwrap().is_empty());
    }

    #[test]
    fn what_is_long_has_lines_of_its_own_and_what_is_invisible_is_shown() {
        let mut new = descriptor();
        new.description = "Looks at pods, and does whatever else it likes.\u{200b}".to_owned();
        assert_eq!(
            lines(&descriptor(), &new).unwrap(),
            ["    description:\n      was  Looks.\n      now  Looks at pods, and does whatever \
              else it likes.\\u{200b}"]
        );
        new = descriptor();
        new.permissions = vec!["k8s:pods/list, k8s:secrets/get".to_owned()];
        let mut split = new.clone();
        split.permissions = vec!["k8s:pods/list".to_owned(), "k8s:secrets/get".to_owned()];
        let said = lines(&new, &split).unwrap().join(" ");
        assert!(said.contains(r#"["k8s:pods/list","k8s:secrets/get"]"#), "{said}");
        let property = |name: &str| {
            let mut new = descriptor();
            new.input_schema_json =
                format!(r#"{{"type":"object","properties":{{"{name}":{{}}}}}}"#);
            new
        };
        let said = lines(&property("pod"), &property("po\u{ad}d")).unwrap().join("\n");
        assert!(said.contains("po\\u{ad}d"), "{said}");
        new = descriptor();
        new.description = "Looks. ".to_owned();
        let said = lines(&descriptor(), &new).unwrap();
        assert_eq!(said, [r#"    description: "Looks." → "Looks. ""#]);
    }
}
