//! The programs of rungs 3 and 4: found in the cache that `.ci/run` fills, on PATH, or where the
//! environment says; never built by a test.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{environment, rung};

/// How to get what is built from Go.
const HOW: &str =
    "install Go 1.26 or newer and run tests/controlplane/build (once, about 6 minutes)";

/// What the components are started from.
#[derive(Debug, Clone)]
pub struct Programs {
    plane: PathBuf,
}

// === impl Programs ===

impl Programs {
    /// The built control plane, or `None` after having said aloud that there is none.
    #[must_use]
    pub fn find() -> Option<Self> {
        let named = environment::control_plane();
        let plane = named.or_else(|| found("agentd-controlplane"));
        if plane.is_none() {
            rung::skip("rung 3 (control plane)", "no agentd-controlplane", HOW);
        }
        plane.map(|plane| Self { plane })
    }

    /// kwok, or `None` after having said aloud that there is none.
    #[must_use]
    pub fn kwok() -> Option<PathBuf> {
        let kwok = environment::kwok().or_else(|| found("kwok"));
        if kwok.is_none() {
            rung::skip("rung 3 (kwok)", "no kwok", HOW);
        }
        kwok
    }

    /// A command that runs one of the programs in the one binary.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(&self.plane);
        command.arg(program);
        command
    }

    /// The one binary.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.plane
    }
}

/// A program in the cache or on PATH.
fn found(name: &str) -> Option<PathBuf> {
    let cached = environment::cache().map(|cache| cache.join("bin").join(name));
    cached.filter(|program| program.is_file()).or_else(|| environment::on_path(name))
}
