//! A recorded incident as a read-only API server and a Prometheus, by `tests/replay` (rung 2b):
//! what plugins read from files, they read over HTTP here, as if it happened now.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{
    alert::Scenario,
    build, environment,
    fleet::{BUNDLED, Fleet},
    process::Program,
    rung,
    tidy::tree,
    wait::wait_until,
};

/// A large recording takes a while to be shifted in time, and Prometheus to load it.
const SOON: Duration = Duration::from_secs(120);

/// A replayed incident.
#[derive(Debug)]
pub struct Replay {
    _program: Program,
    dir: TempDir,
    prometheus: Option<String>,
}

/// What the server says of itself.
#[derive(Deserialize)]
struct Ready {
    prometheus: Option<String>,
}

// === impl Replay ===

impl Replay {
    /// Replays the incident in `scenario`, with a real Prometheus for its metrics; `None` after
    /// having said aloud what is missing. `faults` are those of the server's own `--fault`.
    ///
    /// # Errors
    /// When it does not come up, with what it said.
    pub async fn start(scenario: &Path, faults: &[&str]) -> Result<Option<Self>> {
        let Some(python) = environment::on_path("python3") else {
            rung::skip("rung 2b (replay)", "no python3", "apt-get install python3");
            return Ok(None);
        };
        if environment::on_path("prometheus").is_none() {
            rung::skip("rung 2b (replay)", "no prometheus", "apt-get install prometheus");
            return Ok(None);
        }
        let dir = tempfile::tempdir()?;
        let file = |name: &str| dir.path().join(name);
        let mut command = Command::new(python);
        command.arg(tree::root().join("tests/replay/kube_replay.py"));
        command.arg("--scenario").arg(scenario).args(["--prometheus", "real"]);
        // The recordings hide no kind. Without this right one verdict is less sure: what a
        // certificate could explain is then not called a false alarm (s027).
        command.args(["--secrets", "allow"]);
        command.arg("--kubeconfig").arg(file("kubeconfig"));
        command.arg("--write-alert").arg(file("alert.json"));
        command.arg("--ready-file").arg(file("ready.json"));
        for fault in faults {
            command.args(["--fault", fault]);
        }
        let program = Program::start(command, &file("replay.log"), false)?;
        let said = wait_until("a replayed incident", SOON, async || {
            fs::read_to_string(file("ready.json")).map_err(|_| program.log())
        })
        .await?;
        let ready: Ready = serde_json::from_str(&said).context("ready.json")?;
        Ok(Some(Self { _program: program, dir, prometheus: ready.prometheus }))
    }

    /// The alert, as if it came now, beside the truth of `told`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn alert(&self, told: &Scenario) -> Result<agent_proto::v1::Alert> {
        let text = fs::read_to_string(self.dir.path().join("alert.json"))?;
        let shifted = format!("{{\"alert\":{text}}}");
        let shifted = Scenario::parse(&shifted)?;
        let alert = shifted.alert();
        anyhow::ensure!(alert.service == told.alert().service, "another alert: {alert:?}");
        Ok(alert)
    }

    /// A daemon and the bundled plugins on it.
    ///
    /// # Errors
    /// When they do not come up.
    pub async fn fleet(&self) -> Result<Fleet> {
        let mut fleet = Fleet::start("").await?;
        let prometheus = self.prometheus.as_ref().ok_or_else(|| anyhow!("no Prometheus"))?;
        for plugin in BUNDLED {
            let mut command = Command::new(build::programs()?.join(format!("plugin-{plugin}")));
            command.arg("--kubeconfig").arg(self.kubeconfig()).env_remove("KUBECONFIG");
            command.env("PROMETHEUS_URL", prometheus);
            fleet.start_stranger(plugin, command)?;
        }
        fleet.ready(&BUNDLED).await?;
        Ok(fleet)
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("kubeconfig")
    }
}
