//! Child processes of a story: each leads a group of its own, and whatever happens to the story,
//! the whole group is killed with it. Output goes to files, where it can be read afterwards.

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait::wait_until;

/// Runs a program as long as our end of the pipe that is its stdin is open. The kernel closes that
/// when we end, however we end: nothing that was started so outlives the test process.
const LEASH: &str = r#"exec 3<&0
"$@" </dev/null 3<&- &
program=$!
{ cat <&3; kill -9 $program; } >/dev/null 2>&1 &
watch=$!
wait $program
code=$?
kill $watch
exit $code"#;
/// Removes a folder in the same way. What is being killed at that moment may still write there.
const SWEEP: &str = r#"cat; sleep 0.3; until rm -rf "$1"; do sleep 0.2; done"#;
/// Who waits for our end with a broom; never dropped.
static SWEEPERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// A running program. Dropping it kills its group.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
    /// Set once it has been waited for: its number may then be anybody's.
    gone: bool,
    /// Children that it left when it was killed.
    left: Vec<(u32, String)>,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
}

// === impl Program ===

impl Program {
    /// Starts `command` with stderr in `log`; stdin is empty. With `piped`, stdout is for
    /// [`Self::stdout`], otherwise it goes to `log`, too.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, log: &Path, piped: bool) -> Result<Self> {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_else(|| OsStr::new("?"))
            .to_string_lossy()
            .into_owned();
        let file = File::options().create(true).append(true).open(log)?;
        command.stdin(Stdio::null()).stderr(file.try_clone()?).process_group(0);
        command.stdout(if piped { Stdio::piped() } else { Stdio::from(file) });
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned(), gone: false, left: Vec::new() })
    }

    /// Starts `command` with its output in `log`, and ends it when this process ends, too, be it
    /// killed: also for programs that live in statics, which are never dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn leashed(command: Command, log: &Path) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let file = File::options().create(true).append(true).open(log)?;
        let mut leash = Command::new("sh");
        leash.args(["-c", LEASH, "leash"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => leash.env(key, value),
                None => leash.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            leash.current_dir(dir);
        }
        leash.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file).process_group(0);
        let child = leash.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log: log.to_owned(), gone: false, left: Vec::new() })
    }

    /// Number of the process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout, once, when it was asked for.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What it wrote so far to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|all| String::from_utf8_lossy(&all).into_owned())
            .unwrap_or_default()
    }

    /// Kills this one process, as `kill -9` does, and waits until it is gone. Its children live.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        if !self.gone {
            self.left = descendants(self.pid());
        }
        // Already gone is as good.
        let _ = self.child.kill();
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        self.gone = true;
        Ok(())
    }

    /// Asks it to end, as `kill` does, and waits for that.
    ///
    /// # Errors
    /// When it has not ended at `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        signal(self.pid(), Signal::TERM);
        self.ended(limit).await
    }

    /// How it has ended, if it has.
    pub fn over(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        self.gone |= status.is_some();
        status
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it has not at `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of {}", self.name);
        wait_until(&what, limit, async || match self.child.try_wait() {
            Ok(Some(status)) => {
                self.gone = true;
                Ok(status)
            }
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.gone {
            // The group is ours as long as its leader has not been waited for.
            signal_group(self.child.id());
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for (pid, name) in &self.left {
            if lives(*pid, name) {
                signal(*pid, Signal::KILL);
            }
        }
    }
}

/// Runs a program to its end with no stdin.
///
/// # Errors
/// When it cannot be started, or runs longer than `limit`; it is killed then.
pub async fn run(mut command: Command, limit: Duration) -> Result<Ended> {
    let dir = tempfile::tempdir()?;
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    command.stdin(Stdio::null()).process_group(0);
    command.stdout(File::create(&out)?).stderr(File::create(&err)?);
    let name = format!("{command:?}");
    let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let mut program = Program { name, child, log: err.clone(), gone: false, left: Vec::new() };
    let read = |path: &Path| -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
    };
    match program.ended(limit).await {
        Ok(status) => Ok(Ended { status, stdout: read(&out)?, stderr: read(&err)? }),
        Err(error) => bail!("{error}\nstdout: {}\nstderr: {}", read(&out)?, read(&err)?),
    }
}

/// Has `folder` removed when this process has ended, however it ends.
///
/// # Errors
/// When there is no shell.
pub fn remove_at_the_end(folder: &Path) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", SWEEP, "sweep"]).arg(folder).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let sweeper = command.spawn().context("cannot start sh")?;
    SWEEPERS.lock().unwrap_or_else(PoisonError::into_inner).push(sweeper);
    Ok(())
}

/// Memory that a process keeps resident, in bytes; 0 when it is gone.
#[must_use]
pub fn resident(pid: u32) -> u64 {
    memory(pid, "VmRSS:")
}

/// The most memory that a process ever kept resident, in bytes; 0 when it is gone.
#[must_use]
pub fn peak(pid: u32) -> u64 {
    memory(pid, "VmHWM:")
}

fn memory(pid: u32, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

/// Time that processors spent on a process so far; none when it is gone.
#[must_use]
pub fn busy(pid: u32) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = text.rsplit_once(')')?;
    // In its own code, and in the kernel's for it.
    let spent = after.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks = spent.sum::<Result<u64, _>>().ok()?;
    Some(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Processes that descend from `pid`, as (number, name).
#[must_use]
pub fn descendants(pid: u32) -> Vec<(u32, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some((name, _, parent)) = stat(number) {
            all.push((number, parent, name));
        }
    }
    let mut found: Vec<(u32, String)> = Vec::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        for (child, _, name) in all.iter().filter(|(_, p, _)| *p == parent) {
            open.push(*child);
            found.push((*child, name.clone()));
        }
    }
    found
}

/// Living processes in whose command line `text` stands, as (number, name).
#[must_use]
pub fn told(text: &str) -> Vec<(u32, String)> {
    let of = |pid: u32| {
        let bytes = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
        let (name, state, _) = stat(pid)?;
        (line.contains(text) && state != 'Z').then_some((pid, name))
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| of(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Whether a process of this number and name lives. A zombie does not, unless further threads of
/// it are still ending: they hold its files and ports.
#[must_use]
pub fn lives(pid: u32, name: &str) -> bool {
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    stat(pid).is_some_and(|(is, state, _)| is == name && (state != 'Z' || threads() > 1))
}

/// Name, state and parent of a process.
fn stat(pid: u32) -> Option<(String, char, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((name, state, fields.next()?.parse().ok()?))
}

/// Sends a signal to one process.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Gone already is as good.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn signal_group(leader: u32) {
    let leader = i32::try_from(leader).ok().and_then(Pid::from_raw);
    if let Some(leader) = leader {
        let _ = kill_process_group(leader, Signal::KILL);
    }
}
