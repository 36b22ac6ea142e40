//! A real Prometheus on the loopback, from Debian's package, with history that promtool loaded and
//! a folder of its own. Killed with whoever holds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    environment,
    process::{self, Program},
    rung,
    wait::wait_until,
    web::Web,
};

/// How long it may take to be there, and promtool to load.
const SOON: Duration = Duration::from_secs(60);

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    _program: Program,
    address: String,
    _dir: TempDir,
}

// === impl Prometheus ===

impl Prometheus {
    /// Starts one that knows `history` (a file in OpenMetrics format with time stamps) and scrapes
    /// as `config` says (YAML); `None` after having said aloud that there is none.
    ///
    /// # Errors
    /// When it does not come up or does not take the history.
    pub async fn start(history: Option<&Path>, config: Option<&str>) -> Result<Option<Self>> {
        let found = environment::prometheus().or_else(|| environment::on_path("prometheus"));
        let Some(prometheus) = found else {
            rung::skip("rung 3 (Prometheus)", "no prometheus", "apt-get install prometheus");
            return Ok(None);
        };
        let dir = tempfile::Builder::new().prefix("prometheus-").tempdir()?;
        process::remove_at_the_end(dir.path())?;
        let data = dir.path().join("data");
        if let Some(history) = history {
            load(&beside(&prometheus, "promtool"), history, &data).await?;
        }
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config.unwrap_or("scrape_configs: []\n"))?;
        let mut command = Command::new(&prometheus);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", data.display()));
        // History of any age is kept.
        command.arg("--storage.tsdb.retention.time=100y");
        command.args(["--web.listen-address=127.0.0.1:0", "--log.format=json"]);
        let mut program = Program::leashed(command, &dir.path().join("log"))?;
        let address = ready(&mut program, "prometheus").await?;
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

    /// The result of a query at a time (seconds since 1970).
    ///
    /// # Errors
    /// When it is refused.
    pub async fn query(&self, query: &str, time: u64) -> Result<Vec<Value>> {
        let query = crate::web::escaped(query);
        let path = format!("/api/v1/query?query={query}&time={time}");
        let mut answer = self.web().get(&path).await?.good()?;
        let result = answer.pointer_mut("/data/result").map(Value::take);
        result.and_then(|result| result.as_array().cloned()).context("no result")
    }
}

async fn load(promtool: &Path, history: &Path, data: &Path) -> Result<()> {
    let mut command = Command::new(promtool);
    command.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]);
    command.arg("--max-block-duration=720h").arg(history).arg(data);
    let ended = process::run(command, SOON).await?;
    ensure!(ended.status.success(), "promtool: {}{}", ended.stdout, ended.stderr);
    Ok(())
}

/// A program in the same folder as another.
fn beside(program: &Path, name: &str) -> PathBuf {
    program.with_file_name(name)
}

/// Where a program of Prometheus' house listens, once it says that it is ready.
pub(crate) async fn ready(program: &mut Program, name: &str) -> Result<String> {
    let address = listening(program, name).await?;
    let web = Web::plain(&address);
    let what = format!("/-/ready of {name}");
    let ready = wait_until(&what, SOON, async || {
        let answer = web.get("/-/ready").await.map_err(|error| format!("{error:#}"))?;
        if answer.status.is_success() { Ok(()) } else { Err(answer.text) }
    });
    ready.await.with_context(|| program.log())?;
    Ok(address)
}

/// Where a program that was told to take any port says that it listens: a line of JSON with the
/// key `address`.
pub(crate) async fn listening(program: &mut Program, name: &str) -> Result<String> {
    wait_until(&format!("where {name} listens"), SOON, async || {
        let over = program.over();
        let log = program.log();
        if let Some(status) = over {
            return Ok(Err(anyhow!("{name} ended with {status}:\n{log}")));
        }
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut addresses =
            lines.filter_map(|line| Some(line.get("address")?.as_str()?.to_owned()));
        addresses
            .find(|address| address.starts_with("127.0.0.1:") && !address.ends_with(":0"))
            .map(Ok)
            .ok_or(log)
    })
    .await?
}
