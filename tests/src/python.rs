//! Strangers: a Python with the stubs made from the `.proto` files alone, as an author in another
//! language has them. Found when it is there, never installed by a test.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context as _, Result, anyhow};

use crate::{build, environment, rung, tidy::tree};

/// How to get what the rung needs.
const HOW: &str = "python3 -m venv target/python && target/python/bin/pip install -r tests/python/requirements.txt";

/// A Python that can speak gRPC, and the folder with the stubs.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
    stubs: PathBuf,
}

// === impl Python ===

impl Python {
    /// The one named by `AGENTD_TEST_PYTHON`, that of `target/python`, or the first on PATH; `None`
    /// after having said aloud that there is none.
    ///
    /// # Errors
    /// When the stubs cannot be made.
    pub fn find() -> Result<Option<Self>> {
        static STUBS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let target = build::target()?;
        let known = [
            environment::python(),
            Some(target.join("python/bin/python")),
            // Where it is when the target folder is elsewhere.
            Some(tree::root().join("target/python/bin/python")),
            environment::on_path("python3"),
        ];
        let Some(program) = known.into_iter().flatten().find(|program| speaks_grpc(program)) else {
            rung::skip(
                "rung 2c (strangers in Python)",
                "no Python with grpcio and grpcio-tools",
                HOW,
            );
            return Ok(None);
        };
        let made = STUBS.get_or_init(|| {
            stubs(&program, &target.join("python-stubs")).map_err(|error| format!("{error:#}"))
        });
        match made {
            Ok(stubs) => Ok(Some(Self { program, stubs: stubs.clone() })),
            Err(error) => Err(anyhow!("{error}")),
        }
    }

    /// A command that runs a script of `tests/python` with the stubs in reach.
    #[must_use]
    pub fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(tree::root().join("tests/python").join(name));
        command.env("PYTHONPATH", &self.stubs).env("PYTHONUNBUFFERED", "1");
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn speaks_grpc(program: &Path) -> bool {
    Command::new(program)
        .args(["-c", "import grpc, grpc_tools"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Makes the stubs, in a folder of their own that is put in place whole: other test processes may
/// be making them as well.
fn stubs(program: &Path, folder: &Path) -> Result<PathBuf> {
    let proto = tree::root().join("proto");
    let making = tempfile::tempdir_in(build::target()?)?;
    let mut command = Command::new(program);
    command.args(["-m", "grpc_tools.protoc", "-I"]).arg(&proto);
    for kind in ["--python_out", "--grpc_python_out"] {
        command.arg(format!("{kind}={}", making.path().display()));
    }
    for file in tree::files("proto")?.into_iter().filter(|file| file.path.ends_with(".proto")) {
        command.arg(tree::root().join(file.path));
    }
    let output = command.output().context("cannot run grpc_tools.protoc")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(output.status.success(), "grpc_tools.protoc failed:\n{said}");
    // Fresh each time: a change of the wire must be seen.
    let _ = std::fs::remove_dir_all(folder);
    if std::fs::rename(making.path(), folder).is_err() {
        // Somebody else was faster; theirs is as good. Otherwise ours stays where it is.
        if !folder.is_dir() {
            return Ok(making.keep());
        }
    }
    Ok(folder.to_owned())
}
