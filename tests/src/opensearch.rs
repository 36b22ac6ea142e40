//! A real OpenSearch on the loopback, as `tests/opensearch` builds it, with its data in a folder of
//! its own. Killed with whoever holds it.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    environment,
    process::{self, Program},
    prometheus, rung,
    wait::wait_until,
    web::Web,
};

/// How long it may take to be there: a JVM on a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// A running OpenSearch.
#[derive(Debug)]
pub struct OpenSearch {
    _program: Program,
    address: String,
    _dir: TempDir,
}

// === impl OpenSearch ===

impl OpenSearch {
    /// Starts one that knows nothing; `None` after having said aloud that there is none.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> Result<Option<Self>> {
        let cached = || environment::cache().map(|cache| cache.join("bin/agentd-opensearch"));
        let found = environment::opensearch().or_else(cached).filter(|program| program.is_file());
        let Some(program) = found else {
            let how = "tests/opensearch/build, which needs Java 17 and Maven";
            rung::skip("rung 3 (OpenSearch)", "no agentd-opensearch", how);
            return Ok(None);
        };
        let dir = tempfile::Builder::new().prefix("opensearch-").tempdir()?;
        process::remove_at_the_end(dir.path())?;
        let mut command = Command::new(program);
        command.arg(dir.path().join("home"));
        let mut program = Program::leashed(command, &dir.path().join("log"))?;
        let address = prometheus::listening(&mut program, "opensearch").await?;
        let started = Self { _program: program, address, _dir: dir };
        wait_until("an OpenSearch that is ready", SOON, async || {
            let health = started.web().get("/_cluster/health").await.and_then(|got| got.good());
            let health = health.map_err(|error| format!("{error:#}"))?;
            if health.get("status").is_none_or(|status| status == "red") {
                Err(health.to_string())
            } else {
                Ok(())
            }
        })
        .await?;
        Ok(Some(started))
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

    /// Makes an index with these settings and properties of its mapping.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn index(&self, name: &str, settings: Value, properties: Value) -> Result<()> {
        let body = json!({"settings": settings, "mappings": {"properties": properties}});
        self.web().put(&format!("/{name}"), &body).await?.good()?;
        Ok(())
    }

    /// Puts entries into an index, as a shipper of logs does; they can be found when it returns.
    ///
    /// # Errors
    /// When one is not taken.
    pub async fn ship(&self, index: &str, entries: &[Value]) -> Result<()> {
        let mut lines = String::new();
        for entry in entries {
            lines.push_str(&format!("{{\"index\":{{}}}}\n{entry}\n"));
        }
        let path = format!("/{index}/_bulk?refresh=true");
        let answer = self.web().post_text(&path, "application/x-ndjson", lines).await?;
        let answer = answer.good()?;
        let errors = answer.get("errors").and_then(Value::as_bool).context("no word of errors")?;
        ensure!(!errors, "not all were taken: {answer}");
        Ok(())
    }
}
