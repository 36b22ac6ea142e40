//! What the bundled plugins read: a cluster, recorded or live, behind one small interface. This crate reads and resolves; it judges nothing and changes nothing.
//!
//! Invariant: nothing later than [`Cluster::now`] leaves this crate, and of the values of a Secret
//! nothing is kept but the public dates and names of certificates.

pub mod access;
pub mod answer;
pub mod certificate;
pub mod clients;
pub mod cluster;
pub mod credential;
pub mod event;
pub mod instruction;
pub mod kind;
#[cfg(feature = "kit")]
pub mod kit;
mod live;
pub mod log;
pub mod names;
pub mod object;
pub mod owners;
pub mod peers;
pub mod pod;
pub mod quantity;
mod refusal;
pub mod rules;
pub mod sayings;
mod secret;
pub mod selector;
pub mod server;
mod snapshot;
mod source;

pub use access::CheckAccess;
pub use answer::Answer;
pub use certificate::Certificate;
pub use clients::Clients;
pub use cluster::{Cluster, Span};
pub use event::Event;
pub use kind::Kind;
pub use log::{LogFile, LogLine, LogReader};
pub use names::{How, Resolution};
pub use object::Object;
pub use owners::Owners;
pub use peers::Peers;
pub use pod::{Container, Probe, State};
pub use rules::Rules;
pub use source::Source;
