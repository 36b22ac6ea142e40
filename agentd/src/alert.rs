//! An alert: a signal that came in. What is enough for one, how big it may be, and the fingerprint
//! that tells repeats of the same trouble; what is too long is cut and marked by [`Alert::cut`]. Pure.

mod cut;

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::{investigation::finding::Severity, tool::Violation};

/// Longest name, key or type, in bytes.
pub const MAX_NAME: usize = 256;
/// Longest label or annotation value, in bytes.
pub const MAX_VALUE: usize = 4 * 1024;
/// Longest description, in bytes.
pub const MAX_TEXT: usize = 16 * 1024;
/// Most labels, and most annotations.
pub const MAX_ENTRIES: usize = 64;

/// A signal that came in. Field for field `agentd.v1.Alert`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Alert {
    /// Kind of alert, such as `high_memory`.
    pub kind: String,
    /// Service or workload.
    pub service: String,
    /// Namespace.
    pub namespace: String,
    /// Cluster.
    pub cluster: String,
    /// Environment, such as `production`.
    pub environment: String,
    /// As the sender judged it.
    pub severity: Option<Severity>,
    /// What is wrong, in plain words.
    pub description: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// When it began; the time of the data first seen when unset.
    pub start: Option<Timestamp>,
    /// Stable identity for grouping.
    pub fingerprint: String,
    /// Who sent it.
    pub source: String,
}

impl Alert {
    /// All that is wrong with it, at once; empty when it can be investigated.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.kind.is_empty() && self.service.is_empty() && self.description.is_empty() {
            found.push(violation(
                "alert",
                "REQUIRED",
                "give at least one of type, service and description".to_owned(),
            ));
        }
        for (field, value, max) in [
            ("alert.type", &self.kind, MAX_NAME),
            ("alert.service", &self.service, MAX_NAME),
            ("alert.namespace", &self.namespace, MAX_NAME),
            ("alert.cluster", &self.cluster, MAX_NAME),
            ("alert.environment", &self.environment, MAX_NAME),
            ("alert.fingerprint", &self.fingerprint, MAX_NAME),
            ("alert.source", &self.source, MAX_NAME),
            ("alert.description", &self.description, MAX_TEXT),
        ] {
            if value.len() > max {
                let said = format!("has {} bytes; send at most {max}", value.len());
                found.push(violation(field, "TOO_LONG", said));
            }
        }
        for (field, entries) in
            [("alert.labels", &self.labels), ("alert.annotations", &self.annotations)]
        {
            if entries.len() > MAX_ENTRIES {
                let said = format!("has {} entries; send at most {MAX_ENTRIES}", entries.len());
                found.push(violation(field, "TOO_MANY", said));
            }
            for (key, value) in entries {
                if key.len() > MAX_NAME || value.len() > MAX_VALUE {
                    let shown: String = key.chars().take(32).collect();
                    let said = format!("keys up to {MAX_NAME} bytes, values up to {MAX_VALUE}");
                    found.push(violation(&format!("{field}[{shown}]"), "TOO_LONG", said));
                }
            }
        }
        found
    }

    /// The fingerprint given, or one over type, service, namespace, cluster and labels: the same
    /// trouble alerting again has the same one, whatever its wording and time.
    #[must_use]
    pub fn identity(&self) -> String {
        if !self.fingerprint.is_empty() {
            return self.fingerprint.clone();
        }
        let mut hash = Sha256::new();
        let mut feed = |part: &str| {
            // A length in front of each part: no two different alerts run together.
            hash.update(part.len().to_be_bytes());
            hash.update(part.as_bytes());
        };
        for part in [&self.kind, &self.service, &self.namespace, &self.cluster] {
            feed(part);
        }
        for (key, value) in &self.labels {
            feed(key);
            feed(value);
        }
        let digest = hash.finalize();
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// One line for people: type on service in namespace, else the description's beginning.
    #[must_use]
    pub fn headline(&self) -> String {
        let mut line = String::new();
        if !self.kind.is_empty() {
            line.push_str(&self.kind);
        }
        if !self.service.is_empty() {
            line.push_str(if line.is_empty() { "alert on " } else { " on " });
            line.push_str(&self.service);
        }
        if line.is_empty() {
            line.extend(self.description.chars().take(120));
        }
        if !self.namespace.is_empty() {
            line.push_str(" in ");
            line.push_str(&self.namespace);
        }
        line
    }
}

fn violation(field: &str, reason: &str, description: String) -> Violation {
    Violation { field: field.to_owned(), description, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(kind: &str, service: &str) -> Alert {
        Alert { kind: kind.to_owned(), service: service.to_owned(), ..Alert::default() }
    }

    #[test]
    fn an_empty_alert_is_refused_and_any_one_of_three_fields_is_enough() {
        assert_eq!(Alert::default().violations().len(), 1);
        assert!(alert("high_memory", "").violations().is_empty());
        assert!(alert("", "cart").violations().is_empty());
        let described = Alert { description: "slow".to_owned(), ..Alert::default() };
        assert!(described.violations().is_empty());
    }

    #[test]
    fn every_violation_is_told_at_once() {
        let mut bad = alert(&"t".repeat(MAX_NAME + 1), "cart");
        bad.description = "d".repeat(1 << 20);
        bad.labels = (0..65).map(|i| (format!("l{i}"), String::new())).collect();
        bad.annotations.insert("k".to_owned(), "v".repeat(MAX_VALUE + 1));
        let fields: Vec<String> = bad.violations().into_iter().map(|v| v.field).collect();
        assert_eq!(
            fields,
            ["alert.type", "alert.description", "alert.labels", "alert.annotations[k]"]
        );
    }

    #[test]
    fn the_identity_ignores_words_and_time_and_sees_labels() {
        let one = alert("high_memory", "cart");
        let mut two = one.clone();
        two.description = "other words".to_owned();
        two.start = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(one.identity(), two.identity());
        two.labels.insert("team".to_owned(), "a".to_owned());
        assert_ne!(one.identity(), two.identity());
        assert_ne!(alert("ab", "c").identity(), alert("a", "bc").identity());
    }
}
