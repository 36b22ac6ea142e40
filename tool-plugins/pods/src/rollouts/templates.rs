//! What differs between two pod templates, path by path. Lists whose entries have names are
//! compared by name, so an inserted variable is one difference and not ten.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One differing value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Where, such as `containers[web].resources.limits.memory`.
    pub path: String,
    /// Before; `(none)` when there was none.
    pub old: String,
    /// After; `(none)` when there is none.
    pub new: String,
}

/// Longest value that is shown, in characters.
const MAX_VALUE: usize = 160;
pub(crate) const NONE: &str = "(none)";
/// Set by the cluster itself, or the same everywhere.
const UNTOLD: [&str; 3] =
    ["labels.pod-template-hash", "labels.controller-revision-hash", "creationTimestamp"];

impl Difference {
    /// The word of the catalogue for what was changed.
    #[must_use]
    pub fn field(&self) -> &'static str {
        let path = self.path.as_str();
        let after = path.split_once("].").map_or(path, |(_, rest)| rest);
        let first = after.split(['.', '[']).next().unwrap_or_default();
        if path.starts_with("annotations.") {
            // Tools write such marks so that pods take over what was edited.
            let marks = ["restartedAt", "checksum", "hash", "reloader", "timestamp", "roll"];
            return if marks.iter().any(|m| path.contains(m)) { "restart" } else { "other" };
        }
        match first {
            "dnsPolicy" | "dnsConfig" | "hostAliases" => "dns",
            "image" => "image",
            "env" | "envFrom" => "env",
            "command" | "args" => "command",
            "resources" => "resources",
            "livenessProbe" | "readinessProbe" | "startupProbe" => "probes",
            "volumes" | "volumeMounts" => "volumes",
            "affinity"
            | "nodeSelector"
            | "tolerations"
            | "topologySpreadConstraints"
            | "priorityClassName"
            | "nodeName" => "scheduling",
            _ => "other",
        }
    }
}

/// The differences between two `spec.template`s, in order of their paths.
#[must_use]
pub fn differences(old: &Value, new: &Value) -> Vec<Difference> {
    let flat = |template: &Value| {
        let mut leaves = BTreeMap::new();
        for (part, prefix) in [("metadata", ""), ("spec", "")] {
            if let Some(part) = template.get(part) {
                flatten(part, prefix, &mut leaves);
            }
        }
        leaves
    };
    compare(&flat(old), &flat(new))
}

/// The differences between two values, their paths below `name`.
pub(crate) fn between(name: &str, old: &Value, new: &Value) -> Vec<Difference> {
    let flat = |value: &Value| {
        let mut leaves = BTreeMap::new();
        flatten(value, name, &mut leaves);
        leaves
    };
    compare(&flat(old), &flat(new))
}

fn compare(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Difference> {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    paths
        .into_iter()
        .filter(|path| !UNTOLD.contains(&path.as_str()))
        .filter_map(|path| {
            let (a, b) = (old.get(path), new.get(path));
            let shown = |v: Option<&String>| v.map_or(NONE.to_owned(), |v| cut(v));
            (a != b).then(|| Difference { path: path.clone(), old: shown(a), new: shown(b) })
        })
        .collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn flatten(value: &Value, path: &str, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                // A variable's value stands for the variable.
                let dotted = match (path.is_empty(), key.as_str()) {
                    (true, _) => key.clone(),
                    (false, "value") if path.ends_with(']') && path.contains("env[") => {
                        path.to_owned()
                    }
                    (false, _) => format!("{path}.{key}"),
                };
                if key != "name" || !path.ends_with(']') {
                    flatten(inner, &dotted, leaves);
                }
            }
        }
        Value::Array(items) if items.iter().all(|i| !i.is_object()) => {
            let shown: Vec<String> = items.iter().map(plugin_cluster::pod::shown).collect();
            if !shown.is_empty() {
                leaves.insert(path.to_owned(), shown.join(" "));
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let key = ["name", "mountPath", "containerPort", "key", "ip"]
                    .iter()
                    .find_map(|k| item.get(k))
                    .map_or_else(|| index.to_string(), plugin_cluster::pod::shown);
                let inner = format!("{path}[{key}]");
                leaves.entry(inner.clone()).or_insert_with(|| "present".to_owned());
                flatten(item, &inner, leaves);
            }
        }
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.insert(path.to_owned(), plugin_cluster::pod::shown(value));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn told(old: &Value, new: &Value) -> Vec<String> {
        differences(old, new)
            .iter()
            .map(|d| format!("{} {}: {} -> {}", d.field(), d.path, d.old, d.new))
            .collect()
    }

    fn web(container: &Value) -> Value {
        let mut container = container.clone();
        container["name"] = json!("web");
        json!({"metadata": {"labels": {"pod-template-hash": container["image"]}},
            "spec": {"containers": [container]}})
    }

    #[test]
    fn equal_templates_do_not_differ() {
        let a = web(&json!({"image": "a:1", "env": [{"name": "X", "value": "1"}]}));
        assert_eq!(told(&a, &a), Vec::<String>::new());
    }

    #[test]
    fn each_changed_value_is_one_difference_with_its_path() {
        let old = web(
            &json!({"image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
            "resources": {"limits": {"memory": "1Gi"}}, "args": ["--a"],
            "livenessProbe": {"httpGet": {"port": 8080}}}),
        );
        let new = web(
            &json!({"image": "a:2", "env": [{"name": "N", "value": "new"}, {"name": "X", "value": "1"}, {"name": "Y", "value": "3"}],
            "resources": {"limits": {"memory": "512Mi"}}, "args": ["--a", "--b"],
            "livenessProbe": {"httpGet": {"port": 8081}}}),
        );
        assert_eq!(
            told(&old, &new),
            [
                "command containers[web].args: --a -> --a --b",
                "env containers[web].env[N]: (none) -> new",
                "env containers[web].env[Y]: 2 -> 3",
                "image containers[web].image: a:1 -> a:2",
                "probes containers[web].livenessProbe.httpGet.port: 8080 -> 8081",
                "resources containers[web].resources.limits.memory: 1Gi -> 512Mi",
            ]
        );
    }

    #[test]
    fn an_added_probe_volume_or_toleration_has_its_own_field() {
        let old = json!({"spec": {"containers": [{"name": "web"}]}});
        let new = json!({"spec": {"containers": [{"name": "web", "readinessProbe": {"httpGet": {"path": "/x"}}}],
            "volumes": [{"name": "cfg", "configMap": {"name": "c"}}], "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"key": "a", "operator": "Exists"}], "serviceAccountName": "s"}});
        let fields: BTreeSet<&str> =
            differences(&old, &new).iter().map(Difference::field).collect();
        assert_eq!(fields, BTreeSet::from(["other", "probes", "scheduling", "volumes"]));
    }
}
