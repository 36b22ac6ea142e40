//! One document as an agent wrote it: who spoke, when, and the line.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::TIME;
use crate::store::{
    Entry,
    bind::{Bound, Name},
};

/// Where agents put the line. A `log` that is no text is about the file it came from.
pub(super) const MESSAGES: [&str; 5] = ["message", "log", "body.text", "body", "event.original"];

/// A document that was found.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen {
    _index: String,
    _id: String,
    #[serde(rename = "_source")]
    source: Value,
}

// === impl Seen ===

impl Seen {
    /// The line; `None` when it has none, or no time. Where no container is told it is `asked`.
    pub(super) fn entry(self, bound: &Bound, asked: &str) -> Option<Entry> {
        let of = |name: &Name| text(&self.source, &name.read);
        let names = bound.iter().find(|names| of(&names.pod).is_some())?;
        let container = names.container.as_ref().and_then(of).unwrap_or_else(|| asked.to_owned());
        let message = MESSAGES.iter().find_map(|field| text(&self.source, field))?;
        Some(Entry {
            time: time(at(&self.source, TIME)?)?,
            speaker: (of(&names.pod)?, container),
            text: message.trim_end_matches(['\n', '\r']).to_owned(),
            id: format!("{}/{}", self._index, self._id),
        })
    }
}

fn text(document: &Value, field: &str) -> Option<String> {
    at(document, field)?.as_str().map(str::to_owned)
}

/// A field by its name with dots, which stand for levels or for themselves.
fn at<'a>(document: &'a Value, field: &str) -> Option<&'a Value> {
    if let Some(found) = document.get(field) {
        return Some(found);
    }
    let dots = field.match_indices('.').map(|(dot, _)| dot);
    dots.filter_map(|dot| {
        let (head, rest) = field.split_at_checked(dot)?;
        at(document.get(head)?, rest.strip_prefix('.')?)
    })
    .next()
}

/// RFC 3339, or milliseconds since 1970.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => Timestamp::from_millisecond(number.as_i64()?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;
    use crate::store::bind::{FIELDS, How, Names};

    fn every() -> Bound {
        let name = |field: &str| Name::new(field, How::Exact);
        FIELDS
            .iter()
            .map(|[namespace, pod, container]| Names {
                namespace: name(namespace),
                pod: name(pod),
                container: Some(name(container)),
            })
            .collect()
    }

    #[test]
    fn each_agents_documents_are_read() {
        let at = "2025-01-02T11:00:00.000Z";
        let table = [
            json!({"@timestamp": at, "message": "hello", "log": {"file": {"path": "/x"}},
                "kubernetes": {"pod": {"name": "web-0"}, "container": {"name": "app"}}}),
            json!({"@timestamp": at, "log": "hello\n",
                "kubernetes": {"pod_name": "web-0", "container_name": "app"}}),
            json!({"@timestamp": at, "body": {"text": "hello"}, "resource":
                {"attributes": {"k8s.pod.name": "web-0", "k8s.container.name": "app"}}}),
            json!({"@timestamp": 1_735_815_600_000_i64, "message": "hello",
                "kubernetes.pod.name": "web-0", "kubernetes.container.name": "app"}),
        ];
        for source in table {
            let seen = Seen { _index: "i".to_owned(), _id: "1".to_owned(), source };
            let entry = seen.entry(&every(), "").unwrap();
            assert_eq!((entry.text.as_str(), entry.time), ("hello", at.parse().unwrap()));
            assert_eq!(entry.speaker, ("web-0".to_owned(), "app".to_owned()));
        }
        let none = Seen { source: json!({"message": "of nobody"}), ..Seen::default() };
        assert!(none.entry(&every(), "").is_none());
    }
}
