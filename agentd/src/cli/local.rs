//! A daemon in this process with the bundled plugins as its child processes, for `demo`, `eval` and
//! `investigate --snapshot`. They meet over the loopback like any daemon and plugins do. What
//! is not asked to be kept lies in a temporary directory and is gone afterwards.

use std::{
    ffi::OsString,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Error as Failed, client::Client, reach::Reach};
use crate::{
    app::{self, Running},
    config::{self, Environment, Flag, Sources},
    fleet::{self, Fleet, Output},
    telemetry,
};

/// The bundled plugins; the program of `pods` is `plugin-pods`.
pub(super) const PLUGINS: [&str; 4] = ["pods", "logs", "metrics", "events"];
/// How long they may take until they can be called.
const READY: Duration = Duration::from_secs(20);
/// How names of variables begin that tell plugins of servers beside the cluster. What a recording says
/// must not depend on the shell it is looked at from.
const OF_SERVERS: [&str; 3] = ["PROMETHEUS_", "LOKI_", "ELASTICSEARCH_"];
/// Log lines would stand between those of the investigation: only faults, unless asked for.
const QUIET: &str = "error";

/// Why daemon and plugins are not up together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory holds no recorded cluster.
    #[error(
        "{} is no recorded cluster: it has no directory \"kube\" with what \
         `kubectl get KIND -A -o json` writes", dir.display()
    )]
    NoSnapshot {
        /// As it was given.
        dir: PathBuf,
    },
    /// Plugins cannot be started.
    #[error(transparent)]
    Fleet(#[from] fleet::Error),
    /// There is no place for temporary files.
    #[error("a temporary directory cannot be made")]
    Temporary(#[source] std::io::Error),
    /// Plugins that started and cannot be called.
    #[error("plugins do not become ready: {}{}", names.join(", "), last_words(said))]
    NotReady {
        /// Which.
        names: Vec<String>,
        /// The end of their output.
        said: String,
    },
}

fn last_words(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!("; their last words were:\n{said}") }
}

/// A daemon in this process.
pub(super) struct Local {
    running: Running,
    token: String,
    environment: Environment,
    plugin_dir: Option<PathBuf>,
    dir: TempDir,
}

/// What is asked of a daemon in this process.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Where the programs of the plugins are looked for first.
    pub(super) plugin_dir: Option<PathBuf>,
    /// Where its data is kept; else in a temporary directory.
    pub(super) data_dir: Option<PathBuf>,
    /// Causes and signals of the user's own.
    pub(super) causes_dir: Option<String>,
    /// Where the gRPC door is opened.
    pub(super) port: Port,
}

/// Where the gRPC door is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// Where people look for it, or any free port when that is taken.
    Usual,
    /// Any free port.
    Any,
}

// === impl Local ===

impl Local {
    /// Starts the daemon, with settings from the environment and its data in a temporary directory
    /// unless another is wanted.
    ///
    /// # Errors
    /// When settings are wrong or the daemon does not start.
    pub(super) async fn start(environment: &Environment, wanted: Wanted) -> Result<Self, Failed> {
        let causes = wanted.causes_dir.map(|value| Flag {
            name: "--causes-dir",
            path: "investigation.causes_dir",
            value,
        });
        let flags = causes.into_iter().collect();
        let sources = Sources { environment: environment.clone(), flags, ..Sources::default() };
        let loaded = config::load::load(&sources)?;
        let mut config = loaded.config;
        if !loaded.origins.contains_key("log.level") {
            QUIET.clone_into(&mut config.log.level);
        }
        telemetry::start(&config.log)?;
        let dir = tempfile::Builder::new().prefix("agentd-").tempdir().map_err(Error::Temporary)?;
        config.data_dir = wanted.data_dir.unwrap_or_else(|| dir.path().join("data"));
        config.http.listen = Some(any());
        // Nobody but this process and its plugins comes in: certificates that the environment names
        // for a daemon of others are not for this one.
        config.tls = config::Tls::default();
        config.plugins = config.plugins.of_this_machine();
        if wanted.port == Port::Any || !config.grpc.listen.ip().is_loopback() {
            config.grpc.listen = any();
        }
        let plugin_dir = wanted.plugin_dir.or_else(|| config.plugins.dir.clone());
        let token = Uuid::new_v4().simple().to_string();
        let running = match app::start(config.clone(), Some(token.clone())).await {
            Err(app::Error::Listen { .. }) if wanted.port == Port::Usual => {
                config.grpc.listen = any();
                app::start(config, Some(token.clone())).await?
            }
            started => started?,
        };
        Ok(Self { running, token, environment: environment.clone(), plugin_dir, dir })
    }

    /// A directory of its own below the temporary one; not made yet.
    pub(super) fn place(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where gRPC is served.
    pub(super) fn grpc(&self) -> SocketAddr {
        self.running.grpc()
    }

    /// Where HTTP is served.
    pub(super) fn http(&self) -> Option<SocketAddr> {
        self.running.http()
    }

    /// A connection to it, over the loopback.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) async fn client(&self) -> Result<Client, Failed> {
        Client::connect(&Reach::plain(&self.url())).await
    }

    /// Starts the plugins on a recorded cluster and on nothing else, and waits until they can be
    /// called.
    ///
    /// # Errors
    /// When programs are missing, or do not become ready; nothing is left running then.
    pub(super) async fn plugins(&self, snapshot: &Path) -> Result<Fleet, Failed> {
        // A path of ours may be relative to a directory that is not theirs.
        let snapshot = std::path::absolute(snapshot).map_err(Failed::file(snapshot, "read"))?;
        if !snapshot.join("kube").is_dir() {
            return Err(Error::NoSnapshot { dir: snapshot }.into());
        }
        let arguments = vec!["--snapshot".into(), snapshot.into_os_string()];
        let withheld = of_servers(&self.environment);
        self.crew(fleet::Config { arguments, withheld, ..self.fleet() }).await
    }

    /// Starts the plugins with these arguments and variables and waits until they can be called.
    ///
    /// # Errors
    /// As for [`Self::plugins`].
    pub(super) async fn plugins_told(
        &self,
        arguments: Vec<OsString>,
        variables: Vec<(String, OsString)>,
    ) -> Result<Fleet, Failed> {
        self.crew(fleet::Config { arguments, variables, ..self.fleet() }).await
    }

    fn fleet(&self) -> fleet::Config {
        fleet::Config {
            names: PLUGINS.map(str::to_owned).into(),
            plugin_dir: self.plugin_dir.clone(),
            path: self.environment.get("PATH").map(OsString::from),
            url: self.running.url_for_children(),
            token: self.token.clone(),
            arguments: Vec::new(),
            variables: Vec::new(),
            withheld: Vec::new(),
            output: Output::Directory(self.dir.path().to_owned()),
        }
    }

    async fn crew(&self, config: fleet::Config) -> Result<Fleet, Failed> {
        staff(&config, &self.running, self.dir.path()).await
    }

    /// Does the work, unless the daemon fails before.
    ///
    /// # Errors
    /// Those of the work, or why the daemon failed.
    pub(super) async fn during<T>(
        &mut self,
        work: impl Future<Output = Result<T, Failed>>,
    ) -> Result<T, Failed> {
        tokio::select! {
            done = work => done,
            error = self.running.failed() => Err(error.into()),
        }
    }

    /// Closes the doors; what it kept is gone.
    ///
    /// # Errors
    /// When a door does not close well.
    pub(super) async fn stop(self) -> Result<(), Failed> {
        self.running.stop().await?;
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://{}", self.running.grpc())
    }
}

/// Starts plugins that write to `logs` and waits until they can be called.
///
/// # Errors
/// When programs are missing, or do not become ready; nothing is left running then.
pub(super) async fn staff(
    config: &fleet::Config,
    running: &Running,
    logs: &Path,
) -> Result<Fleet, Failed> {
    let fleet = Fleet::start(config).map_err(Error::from)?;
    let tools = running.tools();
    let ready = tokio::select! {
        ready = tools.wait_ready(&config.names, Instant::now() + READY) => ready,
        // What is wrong is in their last words: nobody should wait for them.
        () = fleet.failing() => tools.wait_ready(&config.names, Instant::now()).await,
    };
    match ready {
        Ok(()) => Ok(fleet),
        Err(names) => {
            fleet.stop().await;
            let said = end_of_output(&names, logs);
            Err(Error::NotReady { names, said }.into())
        }
    }
}

/// Why the plugins ended, or the end of what they wrote.
fn end_of_output(names: &[String], logs: &Path) -> String {
    let last = |name: &String| {
        let text = std::fs::read_to_string(logs.join(format!("plugin-{name}.log")));
        let text = text.unwrap_or_default();
        // With RUST_BACKTRACE frames come after it.
        let why = text.lines().rfind(|line| line.starts_with("Error: "));
        why.or_else(|| text.lines().last()).map(|line| format!("  {name}: {line}"))
    };
    names.iter().filter_map(last).collect::<Vec<_>>().join("\n")
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn of_servers(environment: &Environment) -> Vec<String> {
    let named = |prefix| environment.with_prefix(prefix).map(|(name, _)| name.to_owned());
    OF_SERVERS.into_iter().flat_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_shell_says_of_servers_is_kept_from_recordings_and_nothing_else() {
        let shell = [
            ("PROMETHEUS_URL", "http://p"),
            ("PROMETHEUS_TOKEN_FILE", "t"),
            ("LOKI_URL", "http://l"),
            ("ELASTICSEARCH_URL", "http://e"),
            ("PATH", "/bin"),
            ("KUBECONFIG", "k"),
        ];
        let shell = shell.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let withheld = of_servers(&shell.into_iter().collect());
        assert_eq!(
            withheld,
            ["PROMETHEUS_TOKEN_FILE", "PROMETHEUS_URL", "LOKI_URL", "ELASTICSEARCH_URL"]
        );
    }
}
