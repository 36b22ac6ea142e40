//! A real Alertmanager on the loopback, from Debian's package. Killed with whoever holds it.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    environment,
    process::{self, Program},
    prometheus, rung,
    web::Web,
};

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    _program: Program,
    address: String,
    _dir: TempDir,
}

// === impl Alertmanager ===

impl Alertmanager {
    /// Starts one with `config` (YAML) as its file; `None` after having said aloud that there is
    /// none.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(config: &str) -> Result<Option<Self>> {
        let found = environment::alertmanager()
            .or_else(|| environment::on_path("prometheus-alertmanager"))
            .or_else(|| environment::on_path("alertmanager"));
        let Some(alertmanager) = found else {
            let how = "apt-get install prometheus-alertmanager";
            rung::skip("rung 3 (Alertmanager)", "no alertmanager", how);
            return Ok(None);
        };
        let dir = tempfile::Builder::new().prefix("alertmanager-").tempdir()?;
        process::remove_at_the_end(dir.path())?;
        let file = dir.path().join("alertmanager.yml");
        fs::write(&file, config)?;
        let mut command = Command::new(alertmanager);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.path={}", dir.path().join("data").display()));
        // Alone: no port for others of its kind.
        command.args(["--cluster.listen-address=", "--web.listen-address=127.0.0.1:0"]);
        command.arg("--log.format=json");
        let mut program = Program::leashed(command, &dir.path().join("log"))?;
        let address = prometheus::ready(&mut program, "alertmanager").await?;
        Ok(Some(Self { _program: program, address, _dir: dir }))
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its HTTP door.
    #[must_use]
    pub fn web(&self) -> Web {
        Web::plain(&self.address)
    }

    /// Sends alerts, as Prometheus does: an array of `{labels, annotations, startsAt?, endsAt?}`.
    ///
    /// # Errors
    /// When they are refused.
    pub async fn send(&self, alerts: &Value) -> Result<()> {
        let answer = self.web().post("/api/v2/alerts", alerts).await?;
        anyhow::ensure!(answer.status.is_success(), "{}: {}", answer.status, answer.text);
        Ok(())
    }

    /// The alerts that it knows.
    ///
    /// # Errors
    /// When it does not say.
    pub async fn alerts(&self) -> Result<Vec<Value>> {
        let known = self.web().get("/api/v2/alerts").await?.good()?;
        known.as_array().cloned().context("no array of alerts")
    }
}
