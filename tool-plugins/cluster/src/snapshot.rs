//! A recorded cluster: a directory with `kube/*.json`, `logs/`, `metrics.om` and, perhaps,
//! `snapshot.json`. Nothing else in the directory is read. It is read once, when it is opened.
//!
//! Invariant: one broken file costs that file only, and is named.

mod files;
mod logs;
mod now;
mod objects;

use std::{
    collections::BTreeMap,
    io::BufRead,
    path::{Path, PathBuf},
};

use agent_sdk::{Failure, FailureClass};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    event::Event,
    kind::Kind,
    log::{LogFile, LogReader},
    object::Object,
    refusal::{Asked, refused},
};

/// `snapshot.json`: what the recording says of itself.
#[derive(Debug, Default, Deserialize)]
struct About {
    taken_at: Option<String>,
    #[serde(default)]
    source_faults: Vec<SourceFault>,
}

/// A source that did not answer while the recording was made.
#[derive(Debug, Clone, Deserialize)]
struct SourceFault {
    target: String,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    message: String,
}

#[derive(Debug)]
pub(crate) struct Snapshot {
    dir: PathBuf,
    now: Timestamp,
    faults: Vec<SourceFault>,
    objects: Result<BTreeMap<Kind, Vec<Object>>, Failure>,
    logs: BTreeMap<LogFile, PathBuf>,
    gaps: Vec<(String, Failure)>,
}

impl Snapshot {
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        if !dir.is_dir() {
            return Err(broken(dir, "is not a directory"));
        }
        let about = read_about(dir)?;
        let logs = logs::index(&dir.join("logs"));
        let mut gaps = Vec::new();
        let mut objects = objects::read(&dir.join("kube"), &mut gaps);
        if let (Err(failure), true) = (&objects, logs.is_empty()) {
            return Err(failure.clone());
        }
        let now = match about.taken_at {
            Some(text) => text.parse().map_err(|e| {
                broken(&dir.join("snapshot.json"), &format!("has a taken_at that is no RFC 3339 time: {e}"))
            })?,
            None => now::latest(objects.as_ref().ok(), logs.values()).ok_or_else(|| {
                broken(dir, "tells no time: it has no events, container states, log times or snapshot.json with taken_at")
            })?,
        };
        if let Ok(objects) = &mut objects {
            cut_later(objects, now);
        }
        Ok(Self { dir: dir.to_owned(), now, faults: about.source_faults, objects, logs, gaps })
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn gaps(&self) -> &[(String, Failure)] {
        &self.gaps
    }

    pub(crate) fn list(&self, kind: Kind, namespace: Option<&str>) -> Result<Vec<Object>, Failure> {
        self.answers(kind.plural(), "list")?;
        let objects = self.objects.as_ref().map_err(Clone::clone)?;
        let all = objects.get(&kind).map_or(&[][..], Vec::as_slice);
        let here = |o: &&Object| namespace.is_none_or(|ns| o.namespace() == ns);
        Ok(all.iter().filter(here).cloned().collect())
    }

    pub(crate) fn records(&self, kind: Kind) -> bool {
        self.objects.as_ref().is_ok_and(|objects| objects.contains_key(&kind))
    }

    pub(crate) fn log_files(&self, namespace: Option<&str>) -> Result<Vec<LogFile>, Failure> {
        self.answers("logs", "get")?;
        let here = |f: &&LogFile| namespace.is_none_or(|ns| f.namespace == ns);
        Ok(self.logs.keys().filter(here).cloned().collect())
    }

    pub(crate) fn logs(&self, file: &LogFile) -> Result<Option<LogReader>, Failure> {
        self.answers("logs", "get")?;
        let Some(path) = self.logs.get(file) else { return Ok(None) };
        let source = files::open(path).map_err(|e| unreadable(path, &e))?;
        Ok(Some(LogReader::new(source, path.display().to_string(), self.now)))
    }

    pub(crate) fn metrics(&self) -> Result<Option<Box<dyn BufRead + Send>>, Failure> {
        self.answers("metrics", "query")?;
        for name in ["metrics.om", "metrics.om.gz", "metrics.om.xz"] {
            let path = self.dir.join(name);
            if path.is_file() {
                return files::open(&path).map(Some).map_err(|e| unreadable(&path, &e));
            }
        }
        Ok(None)
    }

    /// Fails as the live server would where the recording says that a source did not answer.
    fn answers(&self, target: &str, verb: &str) -> Result<(), Failure> {
        let named = |f: &&SourceFault| f.target == "*" || f.target.eq_ignore_ascii_case(target);
        match self.faults.iter().find(named) {
            Some(fault) => Err(fault.as_failure(target, verb)),
            None => Ok(()),
        }
    }
}

impl SourceFault {
    fn as_failure(&self, target: &str, verb: &str) -> Failure {
        refused(Asked { target, verb, namespace: "" }, self.status, &self.message, None)
    }
}

fn read_about(dir: &Path) -> Result<About, Failure> {
    let path = dir.join("snapshot.json");
    if !path.exists() {
        return Ok(About::default());
    }
    let text = std::fs::read(&path).map_err(|e| unreadable(&path, &e))?;
    serde_json::from_slice(&text).map_err(|e| broken(&path, &format!("is not as expected: {e}")))
}

/// Drops what was made after `now`: objects created later and events that began later.
fn cut_later(objects: &mut BTreeMap<Kind, Vec<Object>>, now: Timestamp) {
    for (kind, all) in objects.iter_mut() {
        all.retain(|object| {
            let made =
                if *kind == Kind::Event { Event::of(object, now).first } else { object.created() };
            made.is_none_or(|time| time <= now)
        });
    }
}

fn broken(path: &Path, what: &str) -> Failure {
    let message = format!("{} {what}", path.display());
    Failure::new(FailureClass::Config, "SNAPSHOT_BROKEN", message)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let message = format!("{} cannot be read: {error}", path.display());
    Failure::external("SNAPSHOT_UNREADABLE", message)
}
