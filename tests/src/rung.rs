//! Rungs that need more than Rust: found, or skipped aloud. A skip is written straight to stderr,
//! past the capture of libtest; with `AGENTD_TEST_REQUIRE_ALL=1` it is a failure.

use std::io::Write as _;

use crate::environment;

/// Says that a rung did not run and how to get it.
///
/// # Panics
/// When every rung must run.
pub fn skip(rung: &str, missing: &str, how: &str) {
    let line = format!("SKIPPED {rung}: {missing}; to run it: {how}\n");
    assert!(!environment::require_all(), "required by CI: {line}");
    // Written whole, so that lines of tests that run at once do not mix. What cannot be told on a
    // closed stderr cannot be told at all.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
