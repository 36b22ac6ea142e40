//! An Event of the API, in both of its shapes (`v1` and `events.k8s.io/v1`).

use agent_sdk::Entity;
use jiff::Timestamp;
use serde_json::Value;

use crate::object::Object;

/// What the cluster said about one object, with how often and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whether it is a `Warning`; else it is `Normal`.
    pub warning: bool,
    /// One word, such as `FailedScheduling`.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// What it is about; with its container when the event names one.
    pub about: Entity,
    /// How often it was seen, at least once.
    pub count: u64,
    /// First seen.
    pub first: Option<Timestamp>,
    /// Last seen, at most `now`.
    pub last: Option<Timestamp>,
    /// Who said it, such as `kubelet`.
    pub component: String,
    /// The node it was said on, when told.
    pub host: String,
}

impl Event {
    /// Reads an event; its last sighting is cut at `now`.
    #[must_use]
    pub fn of(object: &Object, now: Timestamp) -> Self {
        let either = |a: &str, b: &str| {
            let first = object.text(a);
            if first.is_empty() { object.text(b).to_owned() } else { first.to_owned() }
        };
        let about = object.at("/involvedObject").or_else(|| object.at("/regarding"));
        let seen = [
            object.time("/firstTimestamp"),
            object.time("/deprecatedFirstTimestamp"),
            object.time("/eventTime"),
            object.time("/lastTimestamp"),
            object.time("/deprecatedLastTimestamp"),
            object.time("/series/lastObservedTime"),
        ];
        let known = || seen.iter().flatten().copied();
        let count = [
            object.number("/series/count"),
            object.number("/count"),
            object.number("/deprecatedCount"),
        ];
        let count = count.into_iter().flatten().max().unwrap_or(1);
        Self {
            warning: object.text("/type") == "Warning",
            reason: object.text("/reason").to_owned(),
            message: either("/message", "/note"),
            about: involved(about, object),
            count: u64::try_from(count).unwrap_or(1).max(1),
            first: known().min().or_else(|| object.created()),
            last: known().max().or_else(|| object.created()).map(|time| time.min(now)),
            component: either("/source/component", "/reportingComponent"),
            host: object.text("/source/host").to_owned(),
        }
    }
}

fn involved(about: Option<&Value>, event: &Object) -> Entity {
    let text = |key: &str| about.and_then(|a| a.get(key)).and_then(Value::as_str);
    let kind = text("kind").unwrap_or_default();
    let namespace = match (text("namespace"), kind) {
        (Some(namespace), _) => namespace,
        (None, "Node" | "PersistentVolume" | "Namespace" | "StorageClass" | "") => "",
        (None, _) => event.namespace(),
    };
    let entity = Entity::new(kind, namespace, text("name").unwrap_or_default());
    let container = text("fieldPath")
        .and_then(|path| path.split_once('{'))
        .and_then(|(_, rest)| rest.strip_suffix('}'));
    match container {
        Some(container) => entity.container(container),
        None => entity,
    }
}
