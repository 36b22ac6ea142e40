//! A small disk for a data directory: a tmpfs in a mount namespace of its own, kept by a process
//! that only waits. Programs run inside by `nsenter`; from outside its files are seen through
//! `/proc`. Everything vanishes with the process.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::{process::Program, rung, wait::wait_until};

/// The namespace with its disk.
#[derive(Debug)]
pub struct Room {
    holder: Program,
    dir: TempDir,
}

// === impl Room ===

impl Room {
    /// A disk of `mebibytes`; `None` after having said aloud that none can be made here.
    ///
    /// # Errors
    /// When the disk cannot be made although it may.
    pub async fn new(mebibytes: u32) -> Result<Option<Self>> {
        let may = Command::new("unshare").args(["-rm", "true"]).output();
        if !may.is_ok_and(|output| output.status.success()) {
            rung::skip(
                "full and read-only disks",
                "no mount namespace can be made here",
                "run as root or allow user namespaces, with util-linux installed",
            );
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let mut command = Command::new("unshare");
        let script =
            r#"mount -t tmpfs -o "size=$1m" tmpfs "$2" && touch "$2/ready" && exec sleep infinity"#;
        command.args(["-rm", "sh", "-c", script, "sh", &mebibytes.to_string()]).arg(dir.path());
        let log = dir.path().with_extension("log");
        let room = Self { holder: Program::start(command, &log, false)?, dir };
        let ready = room.outside().join("ready");
        let there = wait_until("a small disk", Duration::from_secs(10), async || {
            if ready.exists() { Ok(()) } else { Err(room.holder.log()) }
        });
        there.await?;
        fs::remove_file(log)?;
        Ok(Some(room))
    }

    /// Where the disk is for programs that run inside.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Where the disk is seen from outside.
    #[must_use]
    pub fn outside(&self) -> PathBuf {
        let inside = self.dir.path().strip_prefix("/").unwrap_or(self.dir.path());
        PathBuf::from(format!("/proc/{}/root", self.holder.pid())).join(inside)
    }

    /// A command that runs `program` inside.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-U", "-m", "--preserve-credentials", "-t", &self.holder.pid().to_string()]);
        command.arg(program);
        command
    }

    /// Mounts the disk anew with `option`, such as `ro`.
    ///
    /// # Errors
    /// When that fails.
    pub fn remount(&self, option: &str) -> Result<()> {
        let mut command = self.command(Path::new("mount"));
        let output =
            command.args(["-o", &format!("remount,{option}")]).arg(self.path()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Fills the disk up to the last byte.
    ///
    /// # Errors
    /// When it is not there.
    pub fn fill(&self) -> Result<()> {
        let path = self.outside().join("ballast");
        let mut file = File::options().create(true).append(true).open(path).context("ballast")?;
        for size in [1 << 20, 4096, 1] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When it was not filled.
    pub fn clear(&self) -> Result<()> {
        fs::remove_file(self.outside().join("ballast")).context("ballast")
    }
}
