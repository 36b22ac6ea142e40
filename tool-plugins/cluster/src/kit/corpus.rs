//! The recorded incidents of the project and the words of its signal catalogue, for tests that run
//! every tool over every incident. Never the truth about an incident: that is judged elsewhere.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The recorded incidents in order of name; none where the corpus is not there.
#[must_use]
pub fn scenarios() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root().join("tests/scenarios")) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("kube").is_dir()).collect();
    found.sort();
    found
}

/// The signals of the daemon's catalogue.
///
/// # Errors
/// When the catalogue cannot be read.
pub fn known_signals() -> io::Result<BTreeSet<String>> {
    let text = fs::read_to_string(root().join("agentd/catalogue/signals.yaml"))?;
    let names = text.lines().filter_map(|l| l.strip_prefix("- { signal: ")?.split(',').next());
    Ok(names.map(str::to_owned).collect())
}

/// Namespace and service of an incident's alert; empty where it names none.
#[must_use]
pub fn alerted(scenario: &Path) -> (String, String) {
    let text = fs::read_to_string(scenario.join("scenario.json")).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let part = |key: &str| {
        let found = value.get("alert").and_then(|alert| alert.get(key));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    (part("namespace"), part("service"))
}
