//! A real Prometheus with history, for tests of this crate: started on a free port of the loopback
//! with its data in a temporary folder, gone with its handle.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code, reason = "shared by several tests")]

use std::{
    fs::{self, File},
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use plugin_metrics::live::settings::Settings;
use tempfile::TempDir;

/// A Prometheus that runs.
pub struct Prometheus {
    /// Where it answers.
    pub url: String,
    child: Child,
    _dir: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "tests look for programs and for CI's wish")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = variable("PATH");
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|p| p.is_file())
}

/// Makes `ca.pem`, and with it `server.pem` for the loopback with `server.key`, in `dir`; false
/// without openssl.
pub fn certificates(dir: &Path) -> bool {
    fs::write(dir.join("server.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        .unwrap();
    let calls = [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 \
         -extfile server.ext",
    ];
    calls.iter().all(|call| {
        let made = Command::new("openssl").args(call.split(' ')).current_dir(dir).output();
        made.is_ok_and(|made| made.status.success())
    })
}

/// Whether the programs are there; says so aloud when they are not.
pub fn is_there(what: &str) -> bool {
    let there = on_path("prometheus").is_some() && on_path("promtool").is_some();
    if !there {
        let line = format!(
            "SKIPPED {what}: prometheus or promtool is not on PATH; to run it: apt-get install \
             prometheus (and stop its service)\n"
        );
        assert_ne!(variable("AGENTD_TEST_REQUIRE_ALL"), "1", "required by CI: {line}");
        _ = std::io::stderr().write_all(line.as_bytes());
    }
    there
}

impl Prometheus {
    /// Starts one that holds what `text` (OpenMetrics with times) says, with these arguments more.
    pub async fn start(text: &str, more: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (dump, data) = (dir.path().join("metrics.om"), dir.path().join("data"));
        fs::write(&dump, text).unwrap();
        load(&dump, &data);
        let config = dir.path().join("prometheus.yml");
        fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = File::create(dir.path().join("log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=20y", "--log.level=warn"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut started = Self { url: format!("http://127.0.0.1:{port}"), child, _dir: dir };
        started.wait_until_ready(port).await;
        started
    }

    async fn wait_until_ready(&mut self, port: u16) {
        for _ in 0..600 {
            if ready(port).await {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "prometheus ended: {ended:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("prometheus was not ready within 30 s");
    }
}

fn load(dump: &Path, data: &Path) {
    let loaded = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([dump, data])
        .output()
        .unwrap();
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
}

async fn ready(port: u16) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let asked = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        // One that speaks TLS only says so.
        Ok::<_, std::io::Error>(answer.contains(" 200 ") || answer.contains("to an HTTPS server"))
    };
    asked.await.unwrap_or(false)
}

/// A plugin over `snapshot`, its metrics from `url`.
pub async fn over(snapshot: &Path, url: &str) -> agent_sdk::kit::Harness {
    let settings = Settings { url: Some(url.to_owned()), ..Settings::default() };
    with(snapshot, &settings).await
}

/// The same with other settings.
pub async fn with(snapshot: &Path, settings: &Settings) -> agent_sdk::kit::Harness {
    use plugin_metrics::{live::Live, recording::Recording};
    _ = rustls::crypto::ring::default_provider().install_default();
    let source = plugin_cluster::Source::recorded(snapshot.to_owned());
    let live = Live::of(settings, jiff::Timestamp::now).unwrap().unwrap();
    let recording = std::sync::Arc::new(Recording::live(source.open().await.unwrap(), live));
    agent_sdk::kit::Harness::new(plugin_metrics::plugin(&recording)).await.unwrap()
}
