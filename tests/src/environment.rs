//! What the tests read of their environment; nothing else of this crate reads it.

use std::path::PathBuf;

/// Set by CI: a rung that cannot run is a failure, not a skip.
const REQUIRE_ALL: &str = "AGENTD_TEST_REQUIRE_ALL";

/// A variable, unless it is unset or empty.
#[expect(clippy::disallowed_methods, reason = "this file is the tests' config: the only reader")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The cargo that runs this test, or the one on PATH.
#[must_use]
pub fn cargo() -> String {
    variable("CARGO").unwrap_or_else(|| "cargo".to_owned())
}

/// Whether every rung must run.
#[must_use]
pub fn require_all() -> bool {
    variable(REQUIRE_ALL).is_some_and(|value| value == "1")
}

/// Set by CI where the machine does not let buildah work: the image is then nobody's fault.
#[must_use]
pub fn no_image() -> bool {
    variable("AGENTD_TEST_NO_IMAGE").is_some_and(|value| value == "1")
}

/// A Python with grpcio and grpcio-tools, when one was named.
#[must_use]
pub fn python() -> Option<PathBuf> {
    variable("AGENTD_TEST_PYTHON").map(PathBuf::from)
}

/// The environment of the SDK for Python with the plugin on it, when one was named.
#[must_use]
pub fn python_sdk() -> Option<PathBuf> {
    variable("AGENTD_TEST_PYTHON_SDK").map(PathBuf::from)
}

/// The control plane of tests/controlplane, when one was named.
#[must_use]
pub fn control_plane() -> Option<PathBuf> {
    variable("AGENTD_TEST_CONTROLPLANE").map(PathBuf::from)
}

/// kwok, when one was named.
#[must_use]
pub fn kwok() -> Option<PathBuf> {
    variable("AGENTD_TEST_KWOK").map(PathBuf::from)
}

/// Prometheus, when one was named; promtool is looked for beside it.
#[must_use]
pub fn prometheus() -> Option<PathBuf> {
    variable("AGENTD_TEST_PROMETHEUS").map(PathBuf::from)
}

/// Alertmanager, when one was named.
#[must_use]
pub fn alertmanager() -> Option<PathBuf> {
    variable("AGENTD_TEST_ALERTMANAGER").map(PathBuf::from)
}

/// The OpenSearch of tests/opensearch, when one was named.
#[must_use]
pub fn opensearch() -> Option<PathBuf> {
    variable("AGENTD_TEST_OPENSEARCH").map(PathBuf::from)
}

/// Where `.ci/run` puts programs that it installs.
#[must_use]
pub fn cache() -> Option<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join("agentd-ci"))
}

/// A program on PATH.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = variable("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Where a plugin finds the daemon.
#[must_use]
pub fn agentd_url() -> String {
    variable("AGENTD_URL").unwrap_or_else(|| "http://127.0.0.1:50051".to_owned())
}
