//! The real programs on the loopback: a daemon with a data directory of its own, and plugins as
//! separate processes on a recorded incident. Ports are free ones; the daemon's stay the same over
//! its restarts. Everything is killed when the fleet is dropped.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{ChildStdout, Command},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::{build, client::Client, process::Program, room::Room, wait::wait_until};

/// The bundled plugins.
pub const BUNDLED: [&str; 4] = ["pods", "events", "logs", "metrics"];
/// Configuration with short leases: plugins are back soon after a restart of the daemon.
pub const SHORT_LEASES: &str = "[plugins]\nlease_ttl = \"3s\"\nrenew_interval = \"500ms\"\n";
/// How long programs may take to be there; generous, as machines of CI are slow.
pub const SOON: Duration = Duration::from_secs(30);

/// A daemon and its plugins.
#[derive(Debug)]
pub struct Fleet {
    dir: TempDir,
    config: PathBuf,
    grpc: String,
    http: String,
    room: Option<Room>,
    daemon: Option<Program>,
    plugins: BTreeMap<String, Program>,
}

// === impl Fleet ===

impl Fleet {
    /// Starts a daemon with `config` as its file (TOML, may be empty) and no plugins.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(config: &str) -> Result<Self> {
        let mut fleet = Self::nobody(config)?;
        fleet.start_daemon().await?;
        Ok(fleet)
    }

    /// As [`Self::start`], with the data directory in a small disk of its own.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start_in(room: Room) -> Result<Self> {
        let mut fleet = Self::nobody("")?;
        fleet.room = Some(room);
        fleet.start_daemon().await?;
        Ok(fleet)
    }

    fn nobody(config: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("agentd.toml");
        fs::write(&file, config)?;
        let free = "127.0.0.1:0".to_owned();
        Ok(Self {
            config: file,
            dir,
            grpc: free.clone(),
            http: free,
            room: None,
            daemon: None,
            plugins: BTreeMap::new(),
        })
    }

    /// Starts a daemon and the bundled plugins on the recording in `snapshot`, and waits until all
    /// are ready.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn on(snapshot: &Path) -> Result<Self> {
        Self::with(snapshot, &BUNDLED, "").await
    }

    /// As [`Self::on`], with these plugins and this configuration.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn with(snapshot: &Path, plugins: &[&str], config: &str) -> Result<Self> {
        let mut fleet = Self::start(config).await?;
        for plugin in plugins {
            fleet.start_plugin(plugin, snapshot)?;
        }
        fleet.ready(plugins).await?;
        Ok(fleet)
    }

    /// Starts the daemon, on the data directory and ports of the one before.
    ///
    /// # Errors
    /// When it does not say within the limit that it listens.
    pub async fn start_daemon(&mut self) -> Result<()> {
        let agentd = build::programs()?.join("agentd");
        let mut command = match &self.room {
            Some(room) => room.command(&agentd),
            None => Command::new(&agentd),
        };
        command.arg("serve").arg("--config").arg(&self.config).arg("--data-dir").arg(self.data());
        command.args(["--listen", &self.grpc, "--http", &self.http]);
        let mut program = Program::start(quiet(command), &self.log_file("agentd"), true)?;
        let stdout = program.stdout().context("the daemon's stdout")?;
        let line = first_line(stdout, self.log_file("agentd"));
        let Ok(Ok(line)) = tokio::time::timeout(SOON, line).await else {
            bail!("the daemon does not say where it listens; its log:\n{}", program.log());
        };
        let address = |key: &str| {
            line.split_whitespace().find_map(|word| word.strip_prefix(key)).map(str::to_owned)
        };
        let (Some(grpc), Some(http)) = (address("grpc="), address("http=")) else {
            bail!("the daemon said {line:?}; its log:\n{}", program.log());
        };
        (self.grpc, self.http, self.daemon) = (grpc, http, Some(program));
        Ok(())
    }

    /// Starts a bundled plugin on the recording in `snapshot`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_plugin(&mut self, plugin: &str, snapshot: &Path) -> Result<()> {
        let mut command = Command::new(build::programs()?.join(format!("plugin-{plugin}")));
        command.arg("--snapshot").arg(snapshot);
        self.start_stranger(plugin, command)
    }

    /// Starts any program as a plugin called `name`: it is told where the daemon is as every
    /// plugin is.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_stranger(&mut self, name: &str, mut command: Command) -> Result<()> {
        command.env("AGENTD_URL", self.url());
        let program = Program::start(quiet(command), &self.log_file(name), false)?;
        self.plugins.insert(name.to_owned(), program);
        Ok(())
    }

    /// A program of the tests package as a plugin called `name`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_hostile(&mut self, name: &str, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(build::programs()?.join(program));
        command.args(arguments);
        self.start_stranger(name, command)
    }

    /// Waits until each of `plugins` has an instance that takes calls.
    ///
    /// # Errors
    /// When one has not, with what is there and the logs.
    pub async fn ready(&self, plugins: &[&str]) -> Result<()> {
        self.ready_within(plugins, SOON).await
    }

    /// As [`Self::ready`], within `limit`.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub async fn ready_within(&self, plugins: &[&str], limit: Duration) -> Result<()> {
        let mut client = self.client()?;
        let ready = wait_until("plugins that are ready", limit, async || {
            let tools = client.tools().await.map_err(|refusal| format!("{refusal:?}"))?;
            let ready: Vec<String> = tools
                .into_iter()
                .filter(|tool| tool.ready_instances > 0)
                .filter_map(|tool| Some(tool.r#ref?.plugin))
                .collect();
            let all = plugins.iter().all(|plugin| ready.iter().any(|name| name == plugin));
            if all { Ok(()) } else { Err(format!("tools of {ready:?}")) }
        });
        ready.await.with_context(|| self.logs())
    }

    /// A client of the daemon, on a connection of its own.
    ///
    /// # Errors
    /// When the address is none.
    pub fn client(&self) -> Result<Client> {
        Client::new(&self.grpc)
    }

    /// Address of the daemon's gRPC door, `host:port`.
    #[must_use]
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Address of the daemon's HTTP door.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The daemon as `AGENTD_URL` names it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// The daemon's data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.room.as_ref().map_or(self.dir.path(), Room::path).join("data")
    }

    /// The small disk that data is on.
    ///
    /// # Errors
    /// When it is on no disk of its own.
    pub fn room(&self) -> Result<&Room> {
        self.room.as_ref().context("data has no disk of its own")
    }

    /// Folder with everything of this fleet: data, configuration, logs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The daemon's process.
    ///
    /// # Errors
    /// When there is none now.
    pub fn daemon(&mut self) -> Result<&mut Program> {
        self.daemon.as_mut().context("the daemon is not there")
    }

    /// Kills the daemon as `kill -9` does. Plugins live on.
    ///
    /// # Errors
    /// When there is none now.
    pub fn kill_daemon(&mut self) -> Result<()> {
        self.daemon()?.kill()?;
        self.daemon = None;
        Ok(())
    }

    /// Asks the daemon to end and waits until it has.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn stop_daemon(&mut self) -> Result<()> {
        let status = self.daemon()?.terminate(SOON).await?;
        ensure!(status.success(), "the daemon ended with {status}:\n{}", self.log("agentd"));
        self.daemon = None;
        Ok(())
    }

    /// The process of a plugin.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn plugin(&mut self, name: &str) -> Result<&mut Program> {
        self.plugins.get_mut(name).with_context(|| format!("no plugin {name}"))
    }

    /// Kills a plugin as `kill -9` does.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn kill_plugin(&mut self, name: &str) -> Result<()> {
        self.plugin(name)?.kill()
    }

    /// Asks a plugin to stop, as Kubernetes does, and waits until it has.
    ///
    /// # Errors
    /// When there is none of that name, or it does not end in time.
    pub async fn drain_plugin(&mut self, name: &str) -> Result<()> {
        let ended = self.plugin(name)?.terminate(SOON).await?;
        ensure!(ended.success(), "{name} ended with {ended}; its log:\n{}", self.log(name));
        Ok(())
    }

    /// Kills all plugins as `kill -9` does.
    pub fn kill_plugins(&mut self) {
        self.plugins.clear();
    }

    /// What a program wrote, over all of its lives.
    #[must_use]
    pub fn log(&self, program: &str) -> String {
        let bytes = fs::read(self.log_file(program)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The logs of all programs, for a message.
    #[must_use]
    pub fn logs(&self) -> String {
        let mut all = String::new();
        for name in std::iter::once("agentd").chain(self.plugins.keys().map(String::as_str)) {
            all.push_str(&format!("--- {name}\n{}", self.log(name)));
        }
        all
    }

    fn log_file(&self, program: &str) -> PathBuf {
        self.dir.path().join(format!("{program}.log"))
    }
}

/// The first line that a program writes; what it writes afterwards goes to `log`, so that it never
/// meets a closed pipe.
fn first_line(stdout: ChildStdout, log: PathBuf) -> oneshot::Receiver<String> {
    let (tell, told) = oneshot::channel();
    std::thread::spawn(move || -> std::io::Result<()> {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        // Nobody waits any more when it came too late.
        let _ = tell.send(line);
        let mut log = fs::File::options().create(true).append(true).open(log)?;
        std::io::copy(&mut reader, &mut log).map(drop)
    });
    told
}

/// Without what the tests' own environment would tell a program of ours.
fn quiet(mut command: Command) -> Command {
    for name in ["AGENTD_DATA_DIR", "AGENTD_CONFIG", "AGENTD_PLUGIN_TOKEN", "PLUGIN_LISTEN"] {
        // What a story gives is meant.
        if !command.get_envs().any(|(given, _)| given == name) {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}
