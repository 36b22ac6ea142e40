//! `check_events` over small hand-made recordings and over recorded incidents.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "tests"
)]

mod events;
mod rules;
mod scenarios;
mod served;
