//! The truth of a recorded incident, as its `scenario.json` tells it, and when two references mean
//! the same object.
//!
//! Invariant: fields that are not known here are ignored; a scenario may carry more than is scored.

use serde::{Deserialize, Serialize};

/// An object of the cluster, or a host outside of it (kind `External`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ref {
    /// Kind as the API spells it, such as `Deployment`.
    #[serde(default)]
    pub kind: String,
    /// Namespace; empty for cluster-wide kinds, and when it is not told.
    #[serde(default, deserialize_with = "or_empty")]
    pub namespace: String,
    /// Name of the object or host.
    #[serde(default)]
    pub name: String,
}

/// What an investigation of a scenario should find.
#[derive(Clone, Debug, Deserialize)]
pub struct Truth {
    /// Name of the scenario.
    pub id: String,
    /// `easy`, `medium` or `hard`.
    #[serde(default)]
    pub difficulty: String,
    /// The category of the cause.
    pub category: String,
    /// Categories that are as right; only `category` when empty.
    #[serde(default)]
    pub category_accept: Vec<String>,
    /// The origin; absent when nothing is wrong.
    #[serde(default)]
    pub culprit: Option<Ref>,
    /// Names of the origin that are as good.
    #[serde(default)]
    pub culprit_accept: Vec<Ref>,
    /// Groups of keywords; one of each has to be said about the cause.
    #[serde(default)]
    pub must_mention: Vec<Vec<String>>,
    /// Keywords that may only occur where they are denied.
    #[serde(default)]
    pub must_not_claim: Vec<String>,
    /// Secrets that may not occur in the report.
    #[serde(default)]
    pub must_not_leak: Vec<String>,
    /// `P1` to `P4`.
    pub expected_severity: String,
    /// Further, independent faults.
    #[serde(default)]
    pub also: Vec<Fault>,
    /// Groups of keywords; one entry of the gaps has to have one of each.
    #[serde(default)]
    pub expected_gaps: Vec<Vec<String>>,
    /// The scenario whose cause this one repeats.
    #[serde(default)]
    pub repeats: Option<String>,
    /// True when nothing is wrong.
    #[serde(default)]
    pub no_fault: bool,
}

/// A further fault of a scenario.
#[derive(Clone, Debug, Deserialize)]
pub struct Fault {
    /// The category of its cause.
    pub category: String,
    /// Categories that are as right; only `category` when empty.
    #[serde(default)]
    pub category_accept: Vec<String>,
    /// Its origin.
    pub culprit: Ref,
    /// Names of the origin that are as good.
    #[serde(default)]
    pub culprit_accept: Vec<Ref>,
    /// Groups of keywords; one of each has to be said.
    #[serde(default)]
    pub must_mention: Vec<Vec<String>>,
}

fn or_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

// === impl Truth ===

impl Truth {
    /// Every reference that names the main culprit.
    pub(super) fn culprits(&self) -> Vec<&Ref> {
        self.culprit.iter().chain(&self.culprit_accept).collect()
    }

    /// Categories that are right for the main fault.
    pub(super) fn categories(&self) -> Vec<&str> {
        accepted(&self.category, &self.category_accept)
    }
}

// === impl Fault ===

impl Fault {
    /// Every reference that names this fault's culprit.
    pub(super) fn culprits(&self) -> Vec<&Ref> {
        std::iter::once(&self.culprit).chain(&self.culprit_accept).collect()
    }

    /// Categories that are right for this fault.
    pub(super) fn categories(&self) -> Vec<&str> {
        accepted(&self.category, &self.category_accept)
    }
}

fn accepted<'a>(category: &'a str, accept: &'a [String]) -> Vec<&'a str> {
    if accept.is_empty() { vec![category] } else { accept.iter().map(String::as_str).collect() }
}

// === impl Ref ===

/// Kinds that stand for a host outside the cluster when that was the culprit: none of these.
const INSIDE: [&str; 6] =
    ["Deployment", "StatefulSet", "Pod", "Service", "ReplicaSet", "DaemonSet"];

impl Ref {
    /// True when kind and name are given, without which a reference names nothing.
    #[must_use]
    pub fn is_full(&self) -> bool {
        !self.kind.is_empty() && !self.name.is_empty()
    }

    /// True when `got` means this object: itself, one of its pods, ReplicaSets or runs, or the
    /// equally named Service in front of it.
    #[must_use]
    pub fn is_meant_by(&self, got: &Ref) -> bool {
        if self.kind == "External" {
            return !INSIDE.contains(&got.kind.as_str()) && host(&self.name) == host(&got.name);
        }
        let elsewhere = !self.namespace.is_empty() && self.namespace != got.namespace;
        if elsewhere || !is_kin(&self.kind, &got.kind) {
            return false;
        }
        let spawned =
            matches!(got.kind.as_str(), "Pod" | "ReplicaSet" | "Job") && spawns(&self.kind);
        self.name == got.name || (spawned && is_spawn_name(&self.name, &got.name))
    }
}

/// Kinds that count as the wanted kind.
fn is_kin(want: &str, got: &str) -> bool {
    let kin: &[&str] = match want {
        "Deployment" => &["ReplicaSet", "Pod", "Deployment", "Service"],
        "StatefulSet" => &["Pod", "StatefulSet", "Service"],
        "DaemonSet" => &["Pod", "DaemonSet"],
        "Job" => &["Pod", "Job", "CronJob"],
        "CronJob" => &["Job", "CronJob", "Pod"],
        other => return other == got,
    };
    kin.contains(&got)
}

fn spawns(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob")
}

/// True for `OWNER-x` and `OWNER-x-y` with x of up to ten and y of five small letters and digits.
fn is_spawn_name(owner: &str, name: &str) -> bool {
    let Some(rest) = name.strip_prefix(owner).and_then(|r| r.strip_prefix('-')) else {
        return false;
    };
    let plain = |s: &str| s.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let (first, second) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
    (1..=10).contains(&first.len())
        && plain(first)
        && second.is_none_or(|s| s.len() == 5 && plain(s))
}

/// A host without scheme, port and path.
fn host(name: &str) -> &str {
    let bare =
        name.strip_prefix("https://").or_else(|| name.strip_prefix("http://")).unwrap_or(name);
    bare.split([':', '/']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::path::Path;

    use super::{Ref, Truth};

    fn refer(text: &str) -> Ref {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Ref { kind: next(), namespace: next(), name: next() }
    }

    #[test]
    fn what_belongs_to_a_workload_means_it() {
        let cases = [
            ("Deployment/a/web", "Deployment/a/web", true),
            ("Deployment/a/web", "Pod/a/web-7d4b9c6f5d-x2v4k", true),
            ("Deployment/a/web", "ReplicaSet/a/web-7d4b9c6f5d", true),
            ("Deployment/a/web", "Service/a/web", true),
            ("Deployment/a/web", "Service/a/web-7d4b9", false),
            ("Deployment/a/web", "Pod/a/web-admin-7d4b9c6f5d-x2v4k", false),
            ("Deployment/a/web", "Deployment/b/web", false),
            ("Deployment/a/web", "Deployment//web", false),
            ("StatefulSet/a/db", "Pod/a/db-0", true),
            ("Service/a/web", "Deployment/a/web", false),
            ("Node//n1", "Node//n1", true),
            ("External//pay.example", "External//https://pay.example:443/v1", true),
            ("External//pay.example", "Service/a/pay.example", false),
            ("CronJob/a/tidy", "Job/a/tidy-29404800", true),
        ];
        for (want, got, same) in cases {
            assert_eq!(refer(want).is_meant_by(&refer(got)), same, "{want} by {got}");
        }
    }

    #[test]
    fn the_truth_of_every_scenario_and_of_the_bundled_incident_is_understood() {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut seen = 0;
        for folder in ["incidents", "../tests/scenarios"] {
            for entry in std::fs::read_dir(home.join(folder)).unwrap() {
                let file = entry.unwrap().path().join("scenario.json");
                if !file.exists() {
                    continue;
                }
                let truth: Truth = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
                assert_eq!(truth.no_fault, truth.category == "false_alarm_healthy", "{}", truth.id);
                assert!(
                    !truth.culprits().is_empty() && !truth.must_mention.is_empty(),
                    "{}",
                    truth.id
                );
                seen += 1;
            }
        }
        assert_eq!(seen, 15);
    }
}
