//! Copies of recorded incidents without their truth: what a plugin is shown in a story.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::{alert::Scenario, tidy::tree};

/// An incident on disk, its truth apart.
#[derive(Debug)]
pub struct Staged {
    dir: TempDir,
    /// The truth.
    pub scenario: Scenario,
}

/// Folder of the bundled incident.
#[must_use]
pub fn bundled() -> PathBuf {
    tree::root().join("agentd/incidents/web-app")
}

/// Folder of the recorded incidents that measure.
#[must_use]
pub fn scenarios() -> PathBuf {
    tree::root().join("tests/scenarios")
}

// === impl Staged ===

impl Staged {
    /// A copy of the bundled incident.
    ///
    /// # Errors
    /// When it cannot be read or copied.
    pub fn bundled() -> Result<Self> {
        Self::copy(&bundled())
    }

    /// A copy of the incident at `from`.
    ///
    /// # Errors
    /// When it cannot be read or copied.
    pub fn copy(from: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        copy(from, dir.path())?;
        Ok(Self { dir, scenario: Scenario::read(from)? })
    }

    /// An incident that stands in `dir` already.
    #[must_use]
    pub fn made(dir: TempDir, scenario: Scenario) -> Self {
        Self { dir, scenario }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Copies a folder; a recording's truth stays behind.
///
/// # Errors
/// When something cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else if name != "scenario.json" {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
