//! The plugin's process, when the command starts it: its environment, its words, its signals, its
//! memory. It never outlives its owner.

use std::{
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use futures_util::future::join_all;
use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
};

/// How long the last words of a process that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Most kept words of one process, in bytes.
const MAX_KEPT: usize = 256 * 1024;

/// A running plugin. Dropping it kills it and what it started.
pub(crate) struct Program {
    pid: Pid,
    said: Arc<Mutex<String>>,
    ended: watch::Receiver<Option<ExitStatus>>,
}

impl Program {
    /// Starts `command` with `variables`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start(
        command: &[String],
        variables: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let (program, arguments) = command.split_first().context("--exec needs a command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("--exec: cannot start {program}"))?;
        let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.context("--exec: the command ended at once")?;
        let said = Arc::new(Mutex::new(String::new()));
        let heard = [keep(child.stdout.take(), &said), keep(child.stderr.take(), &said)];
        let (end, ended) = watch::channel(None);
        tokio::spawn(reap(child, heard, end));
        Ok(Self { pid, said, ended })
    }

    /// What it wrote to stdout and stderr.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last lines of it, for a report.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said();
        let lines: Vec<_> = said.lines().collect();
        let last = lines.get(lines.len().saturating_sub(8)..).unwrap_or_default();
        last.iter().map(|line| format!("said  {line}\n")).collect::<String>().trim_end().to_owned()
    }

    /// Sends a signal to the process itself.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.ended.borrow().is_none() {
            let _ = rustix::process::kill_process(self.pid, signal);
        }
    }

    /// How it ended, waiting at most `limit`.
    pub(crate) async fn ended(&self, limit: Duration) -> Option<ExitStatus> {
        let mut ended = self.ended.clone();
        let waited = tokio::time::timeout(limit, ended.wait_for(Option::is_some)).await;
        waited.ok()?.ok().and_then(|status| *status)
    }

    /// Resident memory in bytes, where the system tells.
    pub(crate) fn memory(&self) -> Option<u64> {
        let path = format!("/proc/{}/status", self.pid.as_raw_nonzero());
        let status = std::fs::read_to_string(path).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// Open files and connections, where the system tells.
    pub(crate) fn descriptors(&self) -> Option<usize> {
        let path = format!("/proc/{}/fd", self.pid.as_raw_nonzero());
        Some(std::fs::read_dir(path).ok()?.count())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What it started is in its group; a stopped process takes SIGKILL as well.
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
    }
}

async fn reap(
    mut child: Child,
    heard: [JoinHandle<()>; 2],
    end: watch::Sender<Option<ExitStatus>>,
) {
    let status = child.wait().await.ok();
    // Its last words may still be on their way; what it started may hold their way open.
    let _ = tokio::time::timeout(LAST_WORDS, join_all(heard)).await;
    end.send_replace(status);
}

fn keep(
    from: Option<impl AsyncRead + Unpin + Send + 'static>,
    said: &Arc<Mutex<String>>,
) -> JoinHandle<()> {
    let said = Arc::clone(said);
    tokio::spawn(async move {
        let Some(from) = from else { return };
        let mut lines = BufReader::new(from).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < MAX_KEPT {
                said.push_str(&String::from_utf8_lossy(&line));
                said.push('\n');
            }
        }
    })
}
