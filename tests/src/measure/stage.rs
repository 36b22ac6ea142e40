//! The copy of a recording that plugins see: its sources by symbolic link, what is known of the
//! recording as a whole, faults of its sources; never the truth. Files that a variant changes are
//! written instead of linked.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// The file that tells of a recording as a whole.
const SNAPSHOT: &str = "snapshot.json";

/// A recording that plugins may be shown.
#[derive(Debug)]
pub struct Stage {
    dir: TempDir,
}

// === impl Stage ===

impl Stage {
    /// Shows the recording in `from`, with these faults of its sources.
    ///
    /// # Errors
    /// When it cannot be read, or the copy cannot be written.
    pub fn set(from: &Path, source_faults: &[Value]) -> Result<Self> {
        let from = fs::canonicalize(from).with_context(|| from.display().to_string())?;
        let stage = Self { dir: scratch()? };
        link_files(&from.join("kube"), &stage.dir.path().join("kube"))?;
        link_files(&from.join("logs"), &stage.dir.path().join("logs"))?;
        for entry in fs::read_dir(&from)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("metrics.") {
                symlink(&path, &stage.dir.path().join(name))?;
            }
        }
        let mut about = known(&from.join(SNAPSHOT))?;
        if !source_faults.is_empty() {
            about.insert("source_faults".to_owned(), source_faults.to_vec().into());
        }
        fs::write(stage.dir.path().join(SNAPSHOT), Value::Object(about).to_string())?;
        Ok(stage)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the copy, in place of the link that may be there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, below: &Path, content: &[u8]) -> Result<()> {
        let path = self.dir.path().join(below);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| path.display().to_string());
            }
            Ok(()) | Err(_) => {}
        }
        fs::write(&path, content).with_context(|| path.display().to_string())
    }

    /// Files of a part of the copy (`kube`, `logs`), relative to it, in order.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn files(&self, part: &str) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        files_below(&self.dir.path().join(part), &mut found)?;
        found.sort();
        found.iter().map(|path| Ok(path.strip_prefix(self.dir.path())?.to_owned())).collect()
    }

    /// The bytes of a file of the copy.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, below: &Path) -> Result<Vec<u8>> {
        let path = self.dir.path().join(below);
        fs::read(&path).with_context(|| path.display().to_string())
    }
}

/// A folder that goes when it is dropped; in memory where the system has such a place, as a journal
/// is synced many times for each case.
///
/// # Errors
/// When none can be made.
pub fn scratch() -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(memory)
    {
        return Ok(dir);
    }
    Ok(tempfile::tempdir()?)
}

fn link_files(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            link_files(&path, &target)?;
        } else {
            symlink(&path, &target)?;
        }
    }
    Ok(())
}

fn files_below(dir: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { files_below(&path, into)? } else { into.push(path) }
    }
    Ok(())
}

/// What a recording tells of itself; nothing when it does not.
fn known(path: &Path) -> Result<Map<String, Value>> {
    if !path.is_file() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(&fs::read(path)?) {
        Ok(Value::Object(known)) => Ok(known),
        _ => bail!("{} is no JSON object", path.display()),
    }
}

#[cfg(unix)]
fn symlink(to: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(to, link)
}

#[cfg(not(unix))]
fn symlink(to: &Path, link: &Path) -> io::Result<()> {
    fs::copy(to, link).map(drop)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn recording() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("kube")).unwrap();
        fs::create_dir_all(dir.path().join("logs/a/b")).unwrap();
        fs::write(dir.path().join("kube/pod.json"), "[]").unwrap();
        fs::write(dir.path().join("logs/a/b/c.log"), "line").unwrap();
        fs::write(dir.path().join("metrics.om"), "# EOF").unwrap();
        fs::write(dir.path().join("scenario.json"), "{}").unwrap();
        fs::write(dir.path().join(SNAPSHOT), r#"{"taken_at":"2020-01-01T00:00:00Z"}"#).unwrap();
        dir
    }

    #[test]
    fn a_stage_has_the_sources_and_their_faults_and_no_truth() {
        let from = recording();
        let stage = Stage::set(from.path(), &[serde_json::json!({"target": "logs"})]).unwrap();
        let expected =
            ["kube/pod.json", "logs/a/b/c.log", "metrics.om", SNAPSHOT].map(PathBuf::from);
        assert_eq!(stage.files("").unwrap(), expected);
        let about: Value =
            serde_json::from_slice(&stage.read(Path::new(SNAPSHOT)).unwrap()).unwrap();
        let known = serde_json::json!(
            {"taken_at": "2020-01-01T00:00:00Z", "source_faults": [{"target": "logs"}]}
        );
        assert_eq!(about, known);
    }

    #[test]
    fn what_is_written_on_a_stage_leaves_the_recording_as_it_is() {
        let from = recording();
        let stage = Stage::set(from.path(), &[]).unwrap();
        stage.write(Path::new("logs/a/b/c.log"), b"other").unwrap();
        assert_eq!(stage.read(Path::new("logs/a/b/c.log")).unwrap(), b"other");
        assert_eq!(fs::read(from.path().join("logs/a/b/c.log")).unwrap(), b"line");
    }
}
