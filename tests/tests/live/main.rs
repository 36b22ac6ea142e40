//! The rungs that need more than Rust, on the real thing: a control plane, kubelets over a
//! simulated runtime, Prometheus, Alertmanager, OpenSearch. These stories prove the ground that others stand
//! on. What is not installed is skipped aloud.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: what is not there is a failed test"
)]

mod access;
mod accounts;
mod backends;
mod cluster;
mod failures;
mod image;
mod investigations;
mod kwok;
mod large_logs;
mod manifests;
mod pods;
mod replayed;
mod scale;
mod secrets;
mod stores;
mod up;
mod worlds;
