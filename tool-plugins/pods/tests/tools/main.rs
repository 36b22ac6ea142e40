//! The tools of the pods plugin over small hand-made recordings.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "tests"
)]

mod certificates;
mod ingresses;
mod intent;
mod lost;
mod network;
mod nodes;
mod pods;
mod policies;
mod probed;
mod recorded;
mod rights;
mod rollouts;
mod rules;
mod scenarios;
mod served;
mod services;
mod storage;
mod webhooks;
