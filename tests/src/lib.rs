//! The tests of the whole: a harness that runs the real programs on the loopback, a tidy test that
//! holds the house rules, programs that behave badly. Nothing here is part of the product.
//!
//! A story starts a [`fleet::Fleet`], asks it over gRPC like any client, and waits for conditions
//! with a limit. No fixed ports, no sleeps, nothing left running.

pub mod alert;
pub mod alertmanager;
pub mod build;
pub mod client;
pub mod control_plane;
pub mod denier;
pub mod environment;
pub mod fleet;
pub mod http;
pub mod incidents;
pub mod large_log;
pub mod live;
pub mod manifests;
pub mod measure;
pub mod opensearch;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod python;
pub mod renamed;
pub mod replay;
pub mod room;
pub mod rung;
pub mod seed;
pub mod sockets;
pub mod staged;
pub mod strangers;
pub mod tidy;
pub mod told;
pub mod wait;
pub mod web;
pub mod worlds;
