//! For tests of plugins: writes a small recording by hand. Not part of what a plugin ships.

pub mod corpus;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Value, json};

use agent_sdk::Failure;

use crate::{Cluster, Source, snapshot::Snapshot};

/// Opens the recording in `dir`.
///
/// # Errors
/// As for [`Source::open`].
pub fn open(dir: &Path) -> Result<Cluster, Failure> {
    Ok(Cluster::recorded(Arc::new(Snapshot::open(dir)?)))
}

/// A recording in a directory that the test owns.
#[derive(Debug, Clone)]
pub struct Recording {
    dir: PathBuf,
}

impl Recording {
    /// Begins a recording taken at `now` (RFC 3339) that holds `objects`.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write(dir: &Path, now: &str, objects: &[Value]) -> io::Result<Self> {
        fs::create_dir_all(dir.join("kube"))?;
        fs::write(dir.join("kube/all.json"), Value::from(objects.to_vec()).to_string())?;
        fs::write(dir.join("snapshot.json"), json!({"taken_at": now}).to_string())?;
        Ok(Self { dir: dir.to_owned() })
    }

    /// Adds a file, such as `logs/shop/web-1/web.log`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> io::Result<Self> {
        let path = self.dir.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)?;
        Ok(self)
    }

    /// The recording as a plugin's argument names it.
    #[must_use]
    pub fn source(&self) -> Source {
        Source::recorded(self.dir.clone())
    }

    /// The recording, opened.
    ///
    /// # Errors
    /// As for [`Source::open`].
    pub fn open(&self) -> Result<Cluster, Failure> {
        open(&self.dir)
    }
}
