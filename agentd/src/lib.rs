//! `agentd` investigates infrastructure incidents: an alert comes in, plugins are asked over gRPC,
//! typed evidence is weighed, a report with a cause comes out. ARCHITECTURE.md has the map of the
//! layers; imports go down only, and a test holds that.

// Layer 0: the words. No async, no I/O, no clock.
pub mod alert;
pub mod fact;
pub mod investigation;
pub mod nearest;
pub mod tool;

// Layer 1: foundations.
pub mod guard;
pub mod journal;
pub mod store;
pub mod telemetry;
pub mod transport;

// Layer 2: faculties.
pub mod memory;
pub mod planner;
pub mod plugin;
pub mod reasoner;

// Layer 3: the will.
pub mod engine;

// Layer 4: the doors.
pub mod http;
pub mod intake;
pub mod notify;
pub mod rpc;

// Layer 5: the roof.
pub mod app;
pub mod cli;
pub mod config;
pub mod fleet;

// How good the reports are, against recorded incidents. Pure.
pub mod eval;
