//! A list of objects of one kind, page by page, with bounds. What is taken in is cut down at once
//! to what plugins read, so that a page never lies in memory whole for long.

use agent_sdk::Failure;
use serde::Deserialize;
use serde_json::Value;

use super::{
    answer::{Refused, Trouble},
    asker::Asker,
};
use crate::{kind::Kind, object::Object, secret};

/// Objects of one page: what kubectl takes.
const PAGE: usize = 500;
/// Objects of one list at most. Twice what a namespace of a large cluster holds; a pod takes about
/// 20 KiB in memory.
pub(super) const MOST: usize = 10_000;

/// What one list came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Listed {
    /// The objects, ordered by namespace and name.
    pub(super) objects: Vec<Object>,
    /// Why there may be more.
    pub(super) cut: Option<Failure>,
    /// Whether the server knows the kind; a custom one may not be installed.
    pub(super) served: bool,
}

/// Which objects are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Which {
    /// One namespace, or all.
    pub(super) namespace: Option<String>,
    /// A field selector, or all.
    pub(super) fields: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    #[serde(rename = "continue")]
    go_on: String,
    remaining_item_count: Option<u64>,
}

/// All objects of `kind` that are meant, up to `most`.
pub(super) async fn list(
    asker: &Asker,
    kind: Kind,
    which: &Which,
    most: usize,
) -> Result<Listed, Trouble> {
    let mut listed = Listed { served: true, ..Listed::default() };
    let (mut go_on, mut restarted) = (String::new(), false);
    loop {
        let answer = asker.get(&path(kind, which, PAGE.min(most), &go_on)).await;
        let page = match answer {
            Ok(body) => read(&body)?,
            Err(Trouble::Refused(Refused { status: 404, .. })) => {
                listed.served = false;
                return Ok(listed);
            }
            // The list was compacted away while we read it.
            Err(Trouble::Refused(Refused { status: 410, go_on: Some(token), .. })) => {
                go_on = token;
                continue;
            }
            Err(Trouble::Refused(Refused { status: 410, .. })) if !restarted => {
                (go_on, restarted) = (String::new(), true);
                listed.objects.clear();
                continue;
            }
            Err(trouble) => return Err(trouble),
        };
        let items = page.items.unwrap_or_default();
        listed.objects.extend(items.into_iter().map(|item| taken_in(item, kind)));
        go_on = page.metadata.go_on;
        if go_on.is_empty() {
            break;
        }
        if listed.objects.len() >= most {
            listed.cut = Some(cut(kind, listed.objects.len(), page.metadata.remaining_item_count));
            break;
        }
    }
    listed.objects.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
    // A list that goes on from a fresh token may tell an object twice.
    listed.objects.dedup_by(|a, b| a.namespace() == b.namespace() && a.name() == b.name());
    Ok(listed)
}

/// How many objects of `kind` there are in the cluster, without reading them.
pub(super) async fn count(asker: &Asker, kind: Kind) -> Result<usize, Trouble> {
    let page = read(&asker.get(&path(kind, &Which::default(), 1, "")).await?)?;
    let more = match (page.metadata.remaining_item_count, page.metadata.go_on.is_empty()) {
        (Some(more), _) => usize::try_from(more).unwrap_or(usize::MAX),
        (None, true) => 0,
        // The server does not say how many more: take it for many.
        (None, false) => usize::MAX,
    };
    Ok(more.saturating_add(page.items.map_or(0, |items| items.len())))
}

fn read(body: &[u8]) -> Result<Page, Trouble> {
    serde_json::from_slice(body)
        .map_err(|error| Trouble::Unreached(format!("the answer is no list of objects: {error}")))
}

fn path(kind: Kind, which: &Which, limit: usize, go_on: &str) -> String {
    let mut path = format!("{}?limit={limit}", kind.path(which.namespace.as_deref()));
    for (key, value) in [("continue", go_on), ("fieldSelector", &which.fields)] {
        if !value.is_empty() {
            path.push_str(&format!("&{key}={}", escaped(value)));
        }
    }
    path
}

/// A value for a query, with all but unreserved characters escaped (RFC 3986, 2.3).
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn cut(kind: Kind, read: usize, remaining: Option<u64>) -> Failure {
    let all = remaining.map_or_else(String::new, |more| {
        format!(" of {}", more.saturating_add(u64::try_from(read).unwrap_or(u64::MAX)))
    });
    let says = format!("only the first {read}{all} {} were read", kind.plural());
    Failure::external("TOO_MANY_OBJECTS", says)
}

/// An item as it is kept: with its kind, which lists leave out, without secrets, and without what
/// nobody reads of kinds that there are many of.
fn taken_in(mut item: Value, kind: Kind) -> Object {
    if let Some(fields) = item.as_object_mut() {
        fields.insert("kind".to_owned(), Value::String(kind.name().to_owned()));
        fields.insert("apiVersion".to_owned(), Value::String(kind.api_version().to_owned()));
        if matches!(kind, Kind::Pod | Kind::Event | Kind::ReplicaSet | Kind::EndpointSlice)
            && let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut)
        {
            meta.shift_remove("managedFields");
        }
        if kind == Kind::Node
            && let Some(status) = fields.get_mut("status").and_then(Value::as_object_mut)
        {
            status.shift_remove("images");
        }
    }
    Object::new(secret::without_values(item))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_names_its_selectors_escaped() {
        let which = Which {
            namespace: Some("a".to_owned()),
            fields: "type!=helm.sh/release.v1".to_owned(),
        };
        assert_eq!(
            path(Kind::Secret, &which, 5, "x=/+"),
            "/api/v1/namespaces/a/secrets?limit=5&continue=x%3D%2F%2B\
             &fieldSelector=type%21%3Dhelm.sh%2Frelease.v1"
        );
    }

    #[test]
    fn an_item_gets_the_kind_its_list_leaves_out_and_a_secret_loses_its_values() {
        let item = json!({"metadata": {"name": "s", "namespace": "n"}, "data": {"k": "czNjcjN0"}});
        let object = taken_in(item, Kind::Secret);
        assert_eq!((object.kind(), object.name()), ("Secret", "s"));
        assert_eq!(object.map("/data").get("k").map(String::as_str), Some(""));
    }
}
