//! Recorded incidents as files: the alert that sets an investigation off, and a view of the
//! recording without its truth. What a plugin can read is made here, so the truth cannot lie there.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use agent_proto::v1::{Alert, Severity};
use rust_embed::RustEmbed;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Error, text::stamp};
use crate::{investigation::finding, nearest::nearest};

/// The file with alert and truth, which plugins must not see.
const TRUTH: &str = "scenario.json";
/// The file that tells plugins of the recording as a whole.
const SNAPSHOT: &str = "snapshot.json";

/// The recorded incidents in this program.
#[derive(RustEmbed)]
#[folder = "incidents"]
struct Bundled;

/// What of a scenario's file an investigation begins with.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Scenario {
    /// Its id.
    pub(super) id: String,
    /// Its title.
    #[serde(default)]
    pub(super) title: String,
    /// The scenario whose cause it repeats.
    #[serde(default)]
    pub(super) repeats: Option<String>,
    alert: Told,
    /// Sources that fail while it is investigated.
    #[serde(default)]
    source_faults: Vec<Value>,
}

/// An alert as scenarios tell it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    service: String,
    namespace: String,
    severity: String,
    description: String,
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "time")]
    fired_at: Option<jiff::Timestamp>,
}

fn time<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<jiff::Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

// === impl Scenario ===

impl Scenario {
    /// Reads a scenario's file.
    ///
    /// # Errors
    /// When it cannot be read or is none.
    pub(super) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(TRUTH);
        let bytes = fs::read(&path).map_err(Error::file(&path, "read"))?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Scenario { path, source })
    }

    /// The alert as a client sends it.
    pub(super) fn alert(&self) -> Alert {
        let told = self.alert.clone();
        Alert {
            r#type: told.kind,
            service: told.service,
            namespace: told.namespace,
            severity: severity(&told.severity).into(),
            description: told.description,
            labels: told.labels,
            start_time: told.fired_at.map(stamp),
            ..Alert::default()
        }
    }

    /// Makes `to` a view of the recording in `from` that plugins may see: its sources by symbolic
    /// link, what is known of the recording as a whole, and the faults of sources; no truth.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub(super) fn stage(&self, from: &Path, to: &Path) -> Result<(), Error> {
        let from = fs::canonicalize(from).map_err(Error::file(from, "read"))?;
        fs::create_dir_all(to).map_err(Error::file(to, "written"))?;
        for entry in fs::read_dir(&from).map_err(Error::file(&from, "read"))? {
            let entry = entry.map_err(Error::file(&from, "read"))?;
            let name = entry.file_name();
            let seen = ["kube", "logs"].iter().any(|source| name == *source)
                || name.to_string_lossy().starts_with("metrics.");
            if seen {
                let link = to.join(&name);
                symlink(&entry.path(), &link).map_err(Error::file(link, "written"))?;
            }
        }
        let mut about = known(&from.join(SNAPSHOT))?;
        if !self.source_faults.is_empty() {
            about.insert("source_faults".to_owned(), self.source_faults.clone().into());
        }
        let path = to.join(SNAPSHOT);
        let text = Value::Object(about).to_string();
        fs::write(&path, text).map_err(Error::file(path, "written"))
    }
}

/// What a recording tells of itself; nothing when it does not.
fn known(path: &Path) -> Result<Map<String, Value>, Error> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|source| Error::Scenario { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(Error::file(path, "read")(error)),
    }
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

#[cfg(windows)]
fn symlink(to: &Path, link: &Path) -> io::Result<()> {
    if to.is_dir() {
        std::os::windows::fs::symlink_dir(to, link)
    } else {
        std::os::windows::fs::symlink_file(to, link)
    }
}

fn severity(word: &str) -> Severity {
    match finding::Severity::from_word(word) {
        Some(finding::Severity::P1) => Severity::P1,
        Some(finding::Severity::P2) => Severity::P2,
        Some(finding::Severity::P3) => Severity::P3,
        Some(finding::Severity::P4) => Severity::P4,
        None => Severity::Unspecified,
    }
}

/// The scenarios below a directory, a scenario that repeats another after that one.
///
/// # Errors
/// When there are none, or one cannot be read.
pub(super) fn all_in(dir: &Path) -> Result<Vec<(PathBuf, Scenario)>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::file(dir, "read"))? {
        let path = entry.map_err(Error::file(dir, "read"))?.path();
        if path.join(TRUTH).is_file() {
            let scenario = Scenario::read(&path)?;
            found.push((path, scenario));
        }
    }
    if found.is_empty() {
        let said = format!("no directory below {} has a {TRUTH}", dir.display());
        return Err(Error::Missing(said));
    }
    found.sort_by(|(_, a), (_, b)| (a.repeats.is_some(), &a.id).cmp(&(b.repeats.is_some(), &b.id)));
    Ok(found)
}

/// Names of the bundled incidents, in order.
pub(super) fn bundled() -> Vec<String> {
    let mut names: Vec<String> = Bundled::iter()
        .filter_map(|path| Some(path.strip_suffix(TRUTH)?.strip_suffix('/')?.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Writes a bundled incident to `to`, without its truth, and returns what sets it off. Without a
/// name it is the first one.
///
/// # Errors
/// When there is none of that name, or it cannot be written.
pub(super) fn unpack(name: Option<&str>, to: &Path) -> Result<Scenario, Error> {
    let names = bundled();
    let name = match name {
        Some(name) => name.to_owned(),
        None => names.first().cloned().unwrap_or_default(),
    };
    if !names.contains(&name) {
        let meant = nearest(&name, names.iter().map(String::as_str));
        let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        let there = names.join(", ");
        let said = format!("there is no bundled incident {name:?}{hint} There are: {there}");
        return Err(Error::Missing(said));
    }
    let mut scenario = None;
    for path in Bundled::iter() {
        let Some(inner) = path.strip_prefix(&name).and_then(|rest| rest.strip_prefix('/')) else {
            continue;
        };
        let Some(file) = Bundled::get(&path) else { continue };
        if inner == TRUTH {
            scenario = Some(serde_json::from_slice(&file.data));
            continue;
        }
        let target = to.join(inner);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(Error::file(folder, "written"))?;
        }
        fs::write(&target, &file.data).map_err(Error::file(&target, "written"))?;
    }
    let path = PathBuf::from(name).join(TRUTH);
    match scenario {
        Some(read) => read.map_err(|source| Error::Scenario { path, source }),
        None => Err(Error::Missing(format!("{} is not bundled", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn scenario(dir: &Path, id: &str, more: &str) -> PathBuf {
        let path = dir.join(id);
        fs::create_dir_all(path.join("kube")).unwrap();
        fs::write(path.join("kube/pod.json"), "[]").unwrap();
        fs::write(path.join("metrics.om"), "# EOF").unwrap();
        let text = format!(
            r#"{{"id": "{id}", "culprit": {{"name": "guilty-one"}}, "alert": {{"type": "t",
                "severity": "error", "fired_at": "2020-01-02T03:04:05Z"}} {more}}}"#
        );
        fs::write(path.join(TRUTH), text).unwrap();
        path
    }

    fn files(dir: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path, into) } else { into.push(path) }
        }
    }

    #[test]
    fn a_staged_recording_has_the_sources_and_their_faults_and_no_truth() {
        let dir = tempfile::tempdir().unwrap();
        let more = r#", "source_faults": [{"target": "events", "status": 500}]"#;
        let from = scenario(dir.path(), "s1", more);
        fs::write(from.join(SNAPSHOT), r#"{"taken_at": "2020-01-02T03:09:00Z"}"#).unwrap();
        let to = dir.path().join("staged");
        Scenario::read(&from).unwrap().stage(&from, &to).unwrap();
        let mut seen = Vec::new();
        files(&to, &mut seen);
        seen.sort();
        let seen: Vec<_> = seen.iter().map(|path| path.strip_prefix(&to).unwrap()).collect();
        assert_eq!(seen, ["kube/pod.json", "metrics.om", SNAPSHOT].map(Path::new));
        let about: Value = serde_json::from_slice(&fs::read(to.join(SNAPSHOT)).unwrap()).unwrap();
        let expected = serde_json::json!({
            "taken_at": "2020-01-02T03:09:00Z",
            "source_faults": [{"target": "events", "status": 500}],
        });
        assert_eq!(about, expected);
    }

    #[test]
    fn an_alert_carries_its_time_and_its_severity_by_the_words_of_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let alert = Scenario::read(&scenario(dir.path(), "s1", "")).unwrap().alert();
        assert_eq!(alert.severity(), Severity::P2);
        assert_eq!(alert.start_time.unwrap().seconds, 1_577_934_245);
    }

    #[test]
    fn a_scenario_that_repeats_another_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        scenario(dir.path(), "s1", r#", "repeats": "s3""#);
        scenario(dir.path(), "s2", "");
        scenario(dir.path(), "s3", "");
        let ids: Vec<String> =
            all_in(dir.path()).unwrap().into_iter().map(|(_, scenario)| scenario.id).collect();
        assert_eq!(ids, ["s2", "s3", "s1"]);
        assert!(all_in(&dir.path().join("s2")).is_err());
    }

    #[test]
    fn a_bundled_incident_is_unpacked_without_its_truth() {
        let dir = tempfile::tempdir().unwrap();
        let scenario = unpack(None, dir.path()).unwrap();
        assert_eq!(bundled().first(), Some(&scenario.id));
        assert!(scenario.alert().start_time.is_some());
        let mut written = Vec::new();
        files(dir.path(), &mut written);
        assert!(written.len() > 10, "{written:?}");
        for path in written {
            assert!(!path.ends_with(TRUTH), "{}", path.display());
        }
    }

    #[test]
    fn an_unknown_incident_is_answered_with_the_known_ones() {
        let dir = tempfile::tempdir().unwrap();
        let said = unpack(Some("nothing-like-it"), dir.path()).unwrap_err().to_string();
        assert!(said.contains(&bundled().join(", ")), "{said}");
    }
}
