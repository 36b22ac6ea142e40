//! Recorded incidents on disk: what sets an investigation off, and the truth it is scored against.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use agent_proto::v1::Alert;
use agentd::eval::Truth;
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::alert::Scenario;

/// The file with alert and truth.
pub const TRUTH: &str = "scenario.json";

/// One recorded incident.
#[derive(Debug, Clone)]
pub struct Case {
    /// Its id.
    pub id: String,
    /// Where the recording is.
    pub dir: PathBuf,
    /// What sets the investigation off.
    pub alert: Alert,
    /// What should be found.
    pub truth: Truth,
    /// Sources that did not answer while it was recorded, as its file tells them.
    pub source_faults: Vec<Value>,
}

/// What of the file is neither alert nor truth.
#[derive(Deserialize)]
struct Beside {
    #[serde(default)]
    source_faults: Vec<Value>,
}

// === impl Case ===

impl Case {
    /// The incident in `dir`.
    ///
    /// # Errors
    /// When its file cannot be read or is none.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(TRUTH);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Self::parse(dir, &text).with_context(|| path.display().to_string())
    }

    /// The incident whose file has `text` and whose recording is in `dir`.
    ///
    /// # Errors
    /// When the text is no incident.
    pub fn parse(dir: &Path, text: &str) -> Result<Self> {
        let truth: Truth = serde_json::from_str(text)?;
        let beside: Beside = serde_json::from_str(text)?;
        Ok(Self {
            id: truth.id.clone(),
            dir: dir.to_owned(),
            alert: Scenario::parse(text)?.alert(),
            truth,
            source_faults: beside.source_faults,
        })
    }
}

/// The incidents in `dirs` by id: a folder that is one, or that has some below it.
///
/// # Errors
/// When a folder has none, one cannot be read, or two have the same id.
pub fn all_in(dirs: &[PathBuf]) -> Result<Vec<Case>> {
    let mut found: BTreeMap<String, Case> = BTreeMap::new();
    for dir in dirs {
        let mut paths = BTreeSet::new();
        below(dir, 3, &mut paths)?;
        if paths.is_empty() {
            bail!("there is no {TRUTH} in {} or below it", dir.display());
        }
        for path in paths {
            let case = Case::read(&path)?;
            if let Some(other) = found.get(&case.id) {
                let (one, two) = (other.dir.display(), path.display());
                bail!("{one} and {two} are both called {}", case.id);
            }
            found.insert(case.id.clone(), case);
        }
    }
    Ok(found.into_values().collect())
}

/// Folders with an incident's file, at most `depth` below `dir`. A recording has none inside.
fn below(dir: &Path, depth: u32, into: &mut BTreeSet<PathBuf>) -> Result<()> {
    if dir.join(TRUTH).is_file() {
        into.insert(dir.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry?.path();
        if depth > 0 && path.is_dir() {
            below(&path, depth - 1, into)?;
        }
    }
    Ok(())
}

/// The cases in groups that have to share a memory, in the order they have to be investigated in:
/// a case that repeats another comes after that one. A case whose elder is not there stands alone.
#[must_use]
pub fn grouped(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let known: BTreeSet<String> = cases.iter().map(|case| case.id.clone()).collect();
    let mut groups: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    let (later, first): (Vec<Case>, Vec<Case>) = cases
        .into_iter()
        .partition(|case| case.truth.repeats.as_ref().is_some_and(|elder| known.contains(elder)));
    for case in first {
        groups.entry(case.id.clone()).or_default().push(case);
    }
    for case in later {
        let elder = case.truth.repeats.clone().unwrap_or_default();
        // A repeat of a repeat joins the group that its elder is in.
        let group = groups.iter().find(|(_, group)| group.iter().any(|one| one.id == elder));
        let name = group.map_or(elder, |(name, _)| name.clone());
        groups.entry(name).or_default().push(case);
    }
    groups.into_values().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn write(dir: &Path, id: &str, more: &str) {
        fs::create_dir_all(dir).unwrap();
        let text = format!(
            r#"{{"id": "{id}", "category": "oom_killed", "expected_severity": "P2",
                "alert": {{"type": "t", "fired_at": "2020-01-02T03:04:05Z"}} {more}}}"#
        );
        fs::write(dir.join(TRUTH), text).unwrap();
    }

    #[test]
    fn incidents_are_found_at_a_folder_and_below_it_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("b/two"), "two", "");
        write(&dir.path().join("b/one"), "one", r#", "source_faults": [{"target": "logs"}]"#);
        write(&dir.path().join("a"), "three", "");
        let dirs = ["b", "a"].map(|name| dir.path().join(name));
        let cases = all_in(&dirs).unwrap();
        let ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids, ["one", "three", "two"]);
        assert_eq!(cases[0].source_faults.len(), 1);
        assert!(cases[0].alert.start_time.is_some());
    }

    #[test]
    fn two_incidents_of_one_name_and_a_folder_without_any_are_told() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("x"), "same", "");
        write(&dir.path().join("y"), "same", "");
        fs::create_dir_all(dir.path().join("z")).unwrap();
        let said = |name: &str| all_in(&[dir.path().join(name)]).unwrap_err().to_string();
        assert!(said("").contains("both called same"));
        assert!(said("z").contains("there is no scenario.json"));
    }

    #[test]
    fn what_repeats_another_shares_its_group_and_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("1"), "a", r#", "repeats": "c""#);
        write(&dir.path().join("2"), "b", r#", "repeats": "gone""#);
        write(&dir.path().join("3"), "c", "");
        let groups = grouped(all_in(&[dir.path().to_owned()]).unwrap());
        let ids: Vec<Vec<&str>> = groups
            .iter()
            .map(|group| group.iter().map(|case| case.id.as_str()).collect())
            .collect();
        assert_eq!(ids, [vec!["b"], vec!["c", "a"]]);
    }
}
