//! The plugins that this daemon starts itself, for `demo`, `up` and `eval`: finds their programs,
//! keeps them running, stops them. Each gets a pipe as stdin that is never written to: when this
//! process dies, however it dies, the pipe closes and the plugin ends. Not the registry: a
//! supervised plugin registers over the wire like any other.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use tokio::{
    process::{Child, ChildStdin, Command},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::plugin::registry::Registry;

/// Variables of this process that no plugin of ours gets: what they would serve TLS with. They are
/// called over the loopback, by the process that started them.
const SERVING: [&str; 3] = ["PLUGIN_TLS_CERT", "PLUGIN_TLS_KEY", "PLUGIN_TLS_CLIENT_CA"];
/// Pause before a plugin that died is started again; doubled each time within a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Restarts of one plugin within [`WINDOW`] after which it is left alone.
const MAX_RESTARTS: usize = 5;
/// Restarts after which a plugin that nobody has seen ready is not waited for: it cannot start.
const HOPELESS: usize = 2;
/// See [`MAX_RESTARTS`].
const WINDOW: Duration = Duration::from_secs(60);
/// How long a plugin may take to end once its stdin is closed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What to start, and how.
#[derive(Clone)]
pub struct Config {
    /// Namespaces of the plugins: `pods` is the program `plugin-pods`.
    pub names: Vec<String>,
    /// Looked in first.
    pub plugin_dir: Option<PathBuf>,
    /// `PATH`, looked in last.
    pub path: Option<OsString>,
    /// Where the daemon listens, as plugins dial it: `http://127.0.0.1:50051`.
    pub url: String,
    /// What the plugins present, as the registry expects it.
    pub token: String,
    /// Arguments of each plugin, such as `--snapshot DIR`.
    pub arguments: Vec<OsString>,
    /// Environment variables beside those that this process has.
    pub variables: Vec<(String, OsString)>,
    /// Environment variables of this process that they do not get.
    pub withheld: Vec<String>,
    /// Where their output goes.
    pub output: Output,
}

/// Without the token.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Config");
        shown.field("names", &self.names).field("url", &self.url).finish_non_exhaustive()
    }
}

/// Where the output of the plugins goes.
#[derive(Debug, Clone)]
pub enum Output {
    /// To this process's own.
    Inherited,
    /// To `plugin-NAME.log` in this directory.
    Directory(PathBuf),
}

/// Why the plugins cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs that are nowhere.
    #[error(
        "cannot find {}; looked in {}; build them with: cargo build --workspace --bins",
        programs.join(", "),
        places(looked)
    )]
    Missing {
        /// All of them.
        programs: Vec<String>,
        /// Where they were looked for.
        looked: Vec<PathBuf>,
    },
    /// A program does not start.
    #[error("cannot start {}", program.display())]
    Start {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Plugins that did not become ready in time.
    #[error("not ready in time: {}", names.join(", "))]
    NotReady {
        /// Which.
        names: Vec<String>,
    },
}

/// Plugins that run. Dropped, they are killed; [`Fleet::stop`] lets them end.
#[derive(Debug)]
pub struct Fleet {
    names: Vec<String>,
    stop: CancellationToken,
    failing: CancellationToken,
    keepers: JoinSet<()>,
}

/// One plugin to keep running.
#[derive(Debug, Clone)]
struct Berth {
    name: String,
    program: PathBuf,
    config: Config,
}

/// A process and the end of the pipe that keeps it alive.
#[derive(Debug)]
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// What a keeper hears and tells.
#[derive(Debug)]
struct Told {
    stop: CancellationToken,
    failing: CancellationToken,
}

// === impl Fleet ===

impl Fleet {
    /// Finds and starts all plugins. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The programs that are missing, all at once, or the first that does not start.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let mut berths = Vec::new();
        let mut missing = Vec::new();
        let looked = places_of(config);
        for name in &config.names {
            let file = format!("plugin-{name}");
            match find(&file, &looked) {
                Some(program) => {
                    berths.push(Berth { name: name.clone(), program, config: config.clone() });
                }
                None => missing.push(file),
            }
        }
        if !missing.is_empty() {
            return Err(Error::Missing { programs: missing, looked });
        }
        let (stop, failing) = (CancellationToken::new(), CancellationToken::new());
        let mut keepers = JoinSet::new();
        for berth in berths {
            let running = berth
                .launch()
                .map_err(|source| Error::Start { program: berth.program.clone(), source })?;
            let told = Told { stop: stop.clone(), failing: failing.clone() };
            keepers.spawn(keep(berth, running, told));
        }
        Ok(Self { names: config.names.clone(), stop, failing, keepers })
    }

    /// Waits until each plugin has registered and takes calls.
    ///
    /// # Errors
    /// Those that do not at `deadline`.
    pub async fn wait_ready(&self, registry: &Registry, deadline: Instant) -> Result<(), Error> {
        let ready = registry.wait_ready(&self.names, deadline).await;
        ready.map_err(|names| Error::NotReady { names })
    }

    /// Waits until a plugin has ended by itself again and again: what it was told is wrong.
    pub async fn failing(&self) {
        self.failing.cancelled().await;
    }

    /// Ends all plugins: their stdin is closed, and what has not ended within 5 s is killed.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.keepers.join_next().await.is_some() {}
    }
}

fn places_of(config: &Config) -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_path_buf));
    let path = config.path.iter().flat_map(std::env::split_paths);
    config.plugin_dir.iter().cloned().chain(beside).chain(path).collect()
}

fn find(file: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let file = format!("{file}{}", std::env::consts::EXE_SUFFIX);
    places.iter().map(|place| place.join(&file)).find(|path| path.is_file())
}

fn places(looked: &[PathBuf]) -> String {
    let shown: Vec<String> = looked.iter().map(|place| place.display().to_string()).collect();
    shown.join(", ")
}

// === impl Berth ===

impl Berth {
    fn launch(&self) -> io::Result<Running> {
        let (stdout, stderr) = self.output()?;
        let mut command = Command::new(&self.program);
        let withheld = self.config.withheld.iter().map(String::as_str);
        for name in withheld.chain(SERVING) {
            command.env_remove(name);
        }
        let mut child = command
            .args(&self.config.arguments)
            .envs(self.config.variables.iter().map(|(name, value)| (name, value)))
            .env("AGENTD_URL", &self.config.url)
            .env("AGENTD_PLUGIN_TOKEN", &self.config.token)
            .env("AGENTD_SUPERVISED", "1")
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn()?;
        // Taken out of the child, which would close it when waited for.
        let stdin = child.stdin.take();
        Ok(Running { child, stdin })
    }

    fn output(&self) -> io::Result<(Stdio, Stdio)> {
        match &self.config.output {
            Output::Inherited => Ok((Stdio::inherit(), Stdio::inherit())),
            Output::Directory(directory) => {
                let path = directory.join(format!("plugin-{}.log", self.name));
                let file = OpenOptions::new().create(true).append(true).open(path)?;
                Ok((file.try_clone()?.into(), file.into()))
            }
        }
    }
}

/// Keeps one plugin running until it is told to stop, or gives it up.
async fn keep(berth: Berth, mut running: Running, told: Told) {
    let Told { stop, failing } = told;
    let mut died: VecDeque<Instant> = VecDeque::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return end(&berth, running).await,
            status = running.child.wait() => said(&berth, status),
        }
        let now = Instant::now();
        died.retain(|then| now.duration_since(*then) < WINDOW);
        died.push_back(now);
        if died.len() > HOPELESS {
            failing.cancel();
        }
        let Some(pause) = pause(died.len()) else {
            tracing::error!(plugin = berth.name, "plugin died too often and is left alone");
            return;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(pause) => {}
        }
        match berth.launch() {
            Ok(again) => running = again,
            Err(error) => {
                tracing::error!(plugin = berth.name, %error, "plugin cannot be started again");
                return;
            }
        }
    }
}

/// The pause before a plugin that died so often within the window is started again.
fn pause(died: usize) -> Option<Duration> {
    let doublings = u32::try_from(died.checked_sub(1)?).ok()?;
    (died <= MAX_RESTARTS).then(|| FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)))
}

fn said(berth: &Berth, status: io::Result<ExitStatus>) {
    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    tracing::warn!(plugin = berth.name, status, "plugin ended and will be started again");
}

async fn end(berth: &Berth, mut running: Running) {
    drop(running.stdin.take());
    if timeout(PATIENCE, running.child.wait()).await.is_err() {
        tracing::warn!(plugin = berth.name, "plugin did not end by itself and is killed");
        if let Err(error) = running.child.kill().await {
            tracing::warn!(plugin = berth.name, %error, "plugin cannot be killed");
        }
    }
}

#[cfg(test)]
mod tests;
