//! Digests of descriptors: what was looked at is what is called. Canonical: proto3 JSON without
//! defaults, the JSON inside of text fields parsed, keys sorted per RFC 8785, then SHA-256. Only
//! the daemon computes them; plugins echo.

use std::{fmt::Write as _, sync::LazyLock};

use agent_proto::tool::v1::ToolDescriptor;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const MESSAGE: &str = "agentd.tool.v1.ToolDescriptor";

static DESCRIPTOR: LazyLock<Option<MessageDescriptor>> = LazyLock::new(|| {
    DescriptorPool::decode(agent_proto::DESCRIPTORS).ok()?.get_message_by_name(MESSAGE)
});

/// Why a descriptor has no digest.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The descriptor cannot be written as JSON.
    #[error("descriptor cannot be read by reflection")]
    Reflection,
    /// Its JSON has no canonical form, such as numbers beyond what JSON can hold exactly.
    #[error("descriptor has no canonical form")]
    Canonical(#[source] serde_json::Error),
}

/// The digest of one tool: `sha256:` and hex.
///
/// # Errors
/// When the descriptor has no canonical form.
pub fn tool(descriptor: &ToolDescriptor) -> Result<String, Error> {
    let message = DESCRIPTOR.clone().ok_or(Error::Reflection)?;
    let read = DynamicMessage::decode(message, descriptor.encode_to_vec().as_slice())
        .map_err(|_| Error::Reflection)?;
    let mut json = serde_json::to_value(&read).map_err(Error::Canonical)?;
    unfold(&mut json);
    let canonical = serde_json_canonicalizer::to_vec(&json).map_err(Error::Canonical)?;
    Ok(hex(&canonical))
}

/// The digest of a catalog: over the digests of its tools, in whatever order they come.
#[must_use]
pub fn catalog<'a>(tools: impl IntoIterator<Item = &'a str>) -> String {
    let mut sorted: Vec<&str> = tools.into_iter().collect();
    sorted.sort_unstable();
    hex(sorted.join("\n").as_bytes())
}

/// Replaces the JSON text of each field called `...Json` by what it says, so that white space in
/// it makes no difference. Text that is not JSON stays text.
fn unfold(json: &mut Value) {
    match json {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                if let (true, Value::String(text)) = (name.ends_with("Json"), &*field) {
                    if let Ok(parsed) = serde_json::from_str(text) {
                        *field = parsed;
                    }
                } else {
                    unfold(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unfold),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::tool::v1::Applicability;

    use super::*;

    fn look(schema: &str, template: &str) -> ToolDescriptor {
        ToolDescriptor {
            name: "look".to_owned(),
            version: "1.0.0".to_owned(),
            input_schema_json: schema.to_owned(),
            labels: [("b".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())].into(),
            applies: vec![Applicability {
                arguments_template_json: template.to_owned(),
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    #[test]
    fn white_space_and_the_order_of_keys_in_json_make_no_difference_and_words_do() {
        let one = tool(&look(r#"{"type":"object","a":1}"#, r#"{"x":"{name}"}"#)).unwrap();
        let two =
            tool(&look("{\n \"a\": 1.0, \"type\": \"object\"}", r#"{ "x": "{name}" }"#)).unwrap();
        assert_eq!(one, two);
        assert!(one.starts_with("sha256:") && one.len() == 71);
        let mut other = look(r#"{"type":"object","a":1}"#, r#"{"x":"{name}"}"#);
        other.description = "now it says something else".to_owned();
        assert_ne!(tool(&other).unwrap(), one);
    }

    #[test]
    fn the_digest_of_a_known_descriptor_never_changes() {
        let digest =
            tool(&ToolDescriptor { name: "look".to_owned(), ..Default::default() }).unwrap();
        // SHA-256 of {"name":"look"}: what another implementation computes.
        assert_eq!(digest, hex(br#"{"name":"look"}"#));
    }

    #[test]
    fn the_order_of_tools_makes_no_difference_to_the_catalog() {
        assert_eq!(catalog(["sha256:a", "sha256:b"]), catalog(["sha256:b", "sha256:a"]));
        assert_ne!(catalog(["sha256:a"]), catalog([]));
    }
}
