//! Alerts of recorded incidents, as a client would send them.

use std::{collections::BTreeMap, path::Path};

use agent_proto::v1::{Alert, Severity};
use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The parts of a `scenario.json` that stories need.
#[derive(Debug, Clone, Deserialize)]
pub struct Scenario {
    alert: Told,
    /// Category of the cause.
    #[serde(default)]
    pub category: String,
    /// The object at fault.
    pub culprit: Option<Object>,
    /// Secrets that must appear nowhere.
    #[serde(default)]
    pub must_not_leak: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Told {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    service: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    severity: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    fired_at: Option<String>,
}

/// An object of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Object {
    /// Kubernetes kind.
    pub kind: String,
    /// Namespace; empty for cluster-wide objects, which a scenario may also tell by `null`.
    #[serde(default, deserialize_with = "or_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Scenario {
    /// Reads `scenario.json` of an incident's folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(incident: &Path) -> Result<Self> {
        let path = incident.join("scenario.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    /// Reads the text of a `scenario.json`.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(text: &str) -> Result<Self> {
        serde_json::from_str(text).context("not a scenario.json")
    }

    /// The alert.
    #[must_use]
    pub fn alert(&self) -> Alert {
        let told = self.alert.clone();
        Alert {
            r#type: told.kind,
            service: told.service,
            namespace: told.namespace,
            severity: severity(&told.severity).into(),
            description: told.description,
            labels: told.labels,
            start_time: told.fired_at.and_then(|at| at.parse().ok()),
            ..Alert::default()
        }
    }
}

fn or_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

/// Severity words as CONTRACT of the project has them.
fn severity(word: &str) -> Severity {
    match word {
        "critical" => Severity::P1,
        "high" | "error" => Severity::P2,
        "warning" => Severity::P3,
        "info" | "none" => Severity::P4,
        _ => Severity::Unspecified,
    }
}
