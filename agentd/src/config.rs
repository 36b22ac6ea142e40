//! Configuration of the daemon: defaults < TOML file < environment `AGENTD__SECTION__KEY` < flags.
//! [`keys`] has every key once, with its meaning, bounds and place; [`load`] puts the sources
//! together and tells all faults at once, each with its path. The environment is read here and
//! nowhere else. After loading nothing is checked again.

pub mod environment;
pub mod keys;
pub mod load;
mod networks;
pub mod show;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use jiff::SignedDuration;

use crate::{memory, plugin::network::Network, telemetry};

pub use environment::Environment;
pub use load::{Fault, Faults, Flag, Loaded, Origin, Sources};

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The gRPC door.
    pub grpc: Grpc,
    /// The HTTP door.
    pub http: Http,
    /// Directory of journal and memory, held by one process. Key `data.dir`.
    pub data_dir: PathBuf,
    /// Plugins.
    pub plugins: Plugins,
    /// Bounds of the work.
    pub investigation: Investigation,
    /// Memory.
    pub memory: Memory,
    /// Log lines.
    pub log: telemetry::Config,
}

/// The gRPC door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grpc {
    /// Where clients and plugins connect; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// The HTTP door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where health, readiness and metrics are served; none closes the door.
    pub listen: Option<SocketAddr>,
}

/// Plugins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugins {
    /// Where programs of plugins are looked for first; none means beside this program, then PATH.
    pub dir: Option<PathBuf>,
    /// How long a lease lasts after a sign of life.
    pub lease_ttl: Duration,
    /// How often a sign of life is asked for.
    pub renew_interval: Duration,
    /// Where plugins may call from, beside this machine.
    pub networks: Vec<Network>,
}

/// Bounds of the work. A caller may ask for less, never for more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Investigation {
    /// Wall time of one investigation.
    pub max_duration: Duration,
    /// Tool calls of one investigation, retries included.
    pub max_tool_calls: u32,
    /// Rounds of asking and weighing.
    pub max_rounds: u32,
    /// Investigations worked on at once; further ones wait.
    pub concurrent: u32,
    /// Tool calls in flight at once within one investigation.
    pub parallel_calls: u32,
    /// Directory with signals and causes of the operator's own; none means the embedded ones alone.
    pub causes_dir: Option<PathBuf>,
}

/// Memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// How long a short note on an ended investigation is told.
    pub notes_ttl: Duration,
}

// === impl Config ===

impl Config {
    /// What holds when nothing is set, with what is kept in `dir`.
    #[must_use]
    pub fn with_data_dir(dir: PathBuf) -> Self {
        Self {
            grpc: Grpc { listen: SocketAddr::from(([127, 0, 0, 1], 50051)) },
            http: Http { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))) },
            data_dir: dir,
            plugins: Plugins {
                dir: None,
                lease_ttl: Duration::from_secs(30),
                renew_interval: Duration::from_secs(10),
                networks: Vec::new(),
            },
            investigation: Investigation {
                max_duration: Duration::from_secs(300),
                max_tool_calls: 60,
                max_rounds: 6,
                concurrent: 64,
                parallel_calls: 8,
                causes_dir: None,
            },
            memory: Memory { notes_ttl: Duration::from_secs(3600) },
            log: telemetry::Config::default(),
        }
    }

    /// The section of memory as its component takes it.
    #[must_use]
    pub fn memory(&self) -> memory::Config {
        let held = self.data_dir.join("memory");
        let kept = SignedDuration::try_from(self.memory.notes_ttl).unwrap_or(SignedDuration::MAX);
        memory::Config { dir: held, note_kept: kept }
    }

    /// What does not fit together, as path and sentence.
    fn contradictions(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        if self.plugins.renew_interval > self.plugins.lease_ttl / 2 {
            let said =
                "must be at most half of plugins.lease_ttl, or one lost message ends a lease";
            found.push(("plugins.renew_interval", said.to_owned()));
        }
        if self.http.listen == Some(self.grpc.listen) && self.grpc.listen.port() != 0 {
            let said = format!("is {} too, where grpc.listen is", self.grpc.listen);
            found.push(("http.listen", said));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_do_not_contradict_themselves() {
        let config = Config::with_data_dir(PathBuf::from("data"));
        assert_eq!(config.contradictions(), []);
    }

    #[test]
    fn what_does_not_fit_together_is_told_with_its_path() {
        let mut config = Config::with_data_dir(PathBuf::from("data"));
        config.plugins.renew_interval = Duration::from_secs(16);
        config.http.listen = Some(config.grpc.listen);
        let found: Vec<_> = config.contradictions().into_iter().map(|(path, _)| path).collect();
        assert_eq!(found, ["plugins.renew_interval", "http.listen"]);
    }
}
