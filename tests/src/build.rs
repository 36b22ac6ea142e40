//! The programs of the workspace, built once per test process with the profile and target folder
//! of the test that runs: `cargo test` alone leaves programs of other packages missing or stale.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{environment, tidy::tree};

/// Folder with the programs, such as `target/debug`.
///
/// # Errors
/// When they cannot be built; the compiler's words are on stderr.
pub fn programs() -> Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}"))) {
        Ok(folder) => Ok(folder),
        Err(error) => Err(anyhow!("{error}")),
    }
}

/// Folder that everything is built in, such as `target`.
///
/// # Errors
/// When this test does not run from where cargo put it.
pub fn target() -> Result<PathBuf> {
    let profile = profile_folder()?;
    Ok(profile.parent().context("no folder above the profile's")?.to_owned())
}

/// `target/debug` of `target/debug/deps/stories-1234`.
fn profile_folder() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let deps = test.parent().context("a test has a folder")?;
    let folder = if deps.ends_with("deps") { deps.parent().context("deps has one")? } else { deps };
    Ok(folder.to_owned())
}

fn build() -> Result<PathBuf> {
    let folder = profile_folder()?;
    let named = folder.file_name().unwrap_or_default().to_string_lossy();
    let profile = if named == "debug" { "dev" } else { &*named };
    let output = Command::new(environment::cargo())
        .args(["build", "--workspace", "--bins", "--quiet", "--profile", profile])
        .arg("--target-dir")
        .arg(target()?)
        .current_dir(tree::root())
        .output()
        .context("cannot run cargo")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "cargo build --workspace --bins failed:\n{said}");
    Ok(folder)
}
