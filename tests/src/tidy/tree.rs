//! The files of the workspace, read once. Walks folders rather than asking git, so that it also
//! works in an unpacked archive; leaves out what is built and what git keeps for itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// Folders that hold no source.
const SKIPPED: [&str; 6] = ["target", ".git", ".venv", "node_modules", "__pycache__", ".library"];

/// One file that is text.
#[derive(Debug, Clone)]
pub struct File {
    /// Path below the workspace, with forward slashes.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Folder of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// All text files below `folder` of the workspace, sorted by path. Binary files are left out.
///
/// # Errors
/// When a folder cannot be read.
pub fn files(folder: &str) -> Result<Vec<File>> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.join(folder)];
    while let Some(dir) = open.pop() {
        let entries =
            fs::read_dir(&dir).with_context(|| format!("cannot list {}", dir.display()))?;
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    open.push(path);
                }
            } else if name == ".git" {
                // In a second work tree of git this is a file.
            } else if let Ok(text) = fs::read_to_string(&path) {
                let below = path.strip_prefix(&root).unwrap_or(&path);
                found.push(File { path: below.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// The Rust files below `folder`.
///
/// # Errors
/// As [`files`].
pub fn rust(folder: &str) -> Result<Vec<File>> {
    Ok(files(folder)?.into_iter().filter(|file| file.path.ends_with(".rs")).collect())
}
