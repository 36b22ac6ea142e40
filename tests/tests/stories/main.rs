//! Stories of the whole system: the real daemon and the real plugins as separate processes over
//! the loopback. Each file tells of one thing that users rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests: what is not there is a failed test"
)]

mod alerts;
mod bad_input;
mod bundled;
mod command_line;
mod conformance;
mod contract;
mod crash;
mod data_directory;
mod eval;
mod feedback;
mod grpcurl;
mod hostile;
mod memory;
mod own_words;
mod plugins_by_tls;
mod python;
mod registration;
mod renamed;
mod replicas;
mod requests;
mod secured;
mod streams;
mod traps;

use std::time::Duration;

/// The longest an investigation of a small recording may take on a slow machine.
const LONG: Duration = Duration::from_secs(120);
