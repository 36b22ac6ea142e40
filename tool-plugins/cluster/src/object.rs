//! One object of the cluster, as JSON with the questions asked most. Cheap to clone. Not a typed
//! model of the API: a field nobody asks for is never parsed, so odd objects do no harm.

use std::{collections::BTreeMap, sync::Arc};

use agent_sdk::Entity;
use jiff::Timestamp;
use serde_json::Value;

/// A Kubernetes object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Arc<Value>);

/// One entry of `metadata.managedFields`: who wrote which fields when.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Who wrote, such as `kubectl-edit`.
    pub manager: String,
    /// When.
    pub time: Timestamp,
    /// Whether only the status was written, as controllers do all day.
    pub status_only: bool,
    /// The fields, in the API's `fieldsV1` form.
    pub fields: Value,
}

impl Object {
    /// Wraps the JSON of one object.
    #[must_use]
    pub fn new(value: Value) -> Self {
        Self(Arc::new(value))
    }

    /// The whole JSON.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// What lies at a JSON pointer such as `/spec/replicas`; `None` also for null.
    #[must_use]
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer).filter(|v| !v.is_null())
    }

    /// Text at a pointer; empty when there is none.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// A whole number at a pointer.
    #[must_use]
    pub fn number(&self, pointer: &str) -> Option<i64> {
        self.at(pointer).and_then(Value::as_i64)
    }

    /// A list at a pointer; empty when there is none.
    #[must_use]
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A point in time at a pointer.
    #[must_use]
    pub fn time(&self, pointer: &str) -> Option<Timestamp> {
        time_of(self.at(pointer))
    }

    /// A map of texts at a pointer, such as labels or a selector.
    #[must_use]
    pub fn map(&self, pointer: &str) -> BTreeMap<String, String> {
        text_map(self.at(pointer))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace; empty for cluster-wide objects.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        self.map("/metadata/labels")
    }

    /// One annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.at("/metadata/annotations")?.get(key)?.as_str()
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Option<Timestamp> {
        self.time("/metadata/creationTimestamp")
    }

    /// The object as the subject of an observation.
    #[must_use]
    pub fn entity(&self) -> Entity {
        Entity::new(self.kind(), self.namespace(), self.name())
    }

    /// Kind and name of its controller, else of its first owner.
    #[must_use]
    pub fn owner(&self) -> Option<(&str, &str)> {
        let owners = self.list("/metadata/ownerReferences");
        let controls = |o: &&Value| o.get("controller").and_then(Value::as_bool) == Some(true);
        let owner = owners.iter().find(controls).or_else(|| owners.first())?;
        Some((owner.get("kind")?.as_str()?, owner.get("name")?.as_str()?))
    }

    /// Who wrote what when, oldest first, up to and including `now`.
    #[must_use]
    pub fn edits(&self, now: Timestamp) -> Vec<Edit> {
        let mut edits: Vec<Edit> = self
            .list("/metadata/managedFields")
            .iter()
            .filter_map(|entry| {
                let fields = entry.get("fieldsV1").cloned().unwrap_or(Value::Null);
                let only_status = fields
                    .as_object()
                    .is_some_and(|f| !f.is_empty() && f.keys().all(|k| k == "f:status"));
                Some(Edit {
                    manager: entry.get("manager")?.as_str()?.to_owned(),
                    time: time_of(entry.get("time"))?,
                    status_only: only_status
                        || entry.get("subresource").and_then(Value::as_str) == Some("status"),
                    fields,
                })
            })
            .filter(|edit| edit.time <= now)
            .collect();
        edits.sort_by_key(|edit| edit.time);
        edits
    }

    /// Status, reason, message and time of the status condition `name`.
    #[must_use]
    pub fn condition(&self, name: &str) -> Option<Condition<'_>> {
        self.list("/status/conditions")
            .iter()
            .find(|c| c.get("type").and_then(Value::as_str) == Some(name))
            .map(|c| {
                let text = |key| c.get(key).and_then(Value::as_str).unwrap_or_default();
                Condition {
                    status: text("status"),
                    reason: text("reason"),
                    message: text("message"),
                    since: time_of(c.get("lastTransitionTime")),
                }
            })
    }
}

/// One entry of `status.conditions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition<'a> {
    /// `True`, `False` or `Unknown`.
    pub status: &'a str,
    /// One word of the controller's.
    pub reason: &'a str,
    /// A sentence of the controller's.
    pub message: &'a str,
    /// When the status last changed.
    pub since: Option<Timestamp>,
}

/// The point in time in a JSON text.
#[must_use]
pub fn time_of(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

/// The entries of a JSON object whose values are texts.
#[must_use]
pub fn text_map(value: Option<&Value>) -> BTreeMap<String, String> {
    value
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect()
}
