//! The plugins that are not in Rust, as programs: the one in Go is built here, the one in Python is
//! that of the environment that `sdk/python/check` makes.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};

use crate::{environment, process, rung, tidy::tree};

/// How long Go may take; long when its cache is cold.
const BUILD: Duration = Duration::from_secs(480);

/// plugin-probe, built into `folder`; `None` after having said aloud that there is no Go.
///
/// # Errors
/// When it cannot be built.
pub async fn probe(folder: &Path) -> Result<Option<PathBuf>> {
    let Some(go) = environment::on_path("go") else {
        rung::skip("plugins in Go", "no go on PATH", "install Go 1.26 or newer");
        return Ok(None);
    };
    let program = folder.join("plugin-probe");
    let mut command = Command::new(go);
    command.arg("build").arg("-o").arg(&program).arg("./cmd/plugin-probe");
    command.current_dir(tree::root().join("tool-plugins/probe")).env("CGO_ENABLED", "0");
    let ended = process::run(command, BUILD).await?;
    ensure!(ended.status.success(), "go build: {}", ended.stderr);
    Ok(Some(program))
}

/// plugin-deploys of the environment that was named; `None` after having said aloud that there is
/// none.
#[must_use]
pub fn deploys() -> Option<PathBuf> {
    let program = environment::python_sdk().map(|dir| dir.join("bin/plugin-deploys"));
    let found = program.filter(|program| program.exists());
    if found.is_none() {
        rung::skip(
            "plugins in Python",
            "no plugin-deploys",
            "sdk/python/check target/python-sdk, and AGENTD_TEST_PYTHON_SDK=target/python-sdk",
        );
    }
    found
}

/// A Git repository below `folder` with two commits of one manifest.
///
/// # Errors
/// When git refuses.
pub fn repository(folder: &Path) -> Result<PathBuf> {
    let repository = folder.join("repository");
    let manifest = repository.join("cart.yaml");
    let git = |arguments: &[&str]| -> Result<()> {
        let mut command = Command::new("git");
        command.current_dir(&repository).args([
            "-c",
            "user.name=ann",
            "-c",
            "user.email=ann@a.test",
        ]);
        let ended = command.args(arguments).output()?;
        ensure!(ended.status.success(), "git: {}", String::from_utf8_lossy(&ended.stderr));
        Ok(())
    };
    std::fs::create_dir(&repository)?;
    git(&["init", "--quiet"])?;
    for image in ["cart:1", "cart:2"] {
        let text = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: cart, namespace: shop}}\n\
             spec: {{template: {{spec: {{containers: [{{name: cart, image: \"{image}\"}}]}}}}}}\n"
        );
        std::fs::write(&manifest, text)?;
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "--message", image])?;
    }
    Ok(repository)
}
