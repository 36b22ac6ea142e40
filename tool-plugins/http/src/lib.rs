//! How the bundled plugins ask web servers beside the cluster: a Prometheus, a Loki, an
//! Elasticsearch. Who we are (token, user, tenant, authority; by file), how long a call may take and
//! how much it may bring. What an answer means is the asker's.
//!
//! Invariants: a secret goes to the server that is named and nowhere else, not into words either;
//! every request ends, and every answer is bounded.

mod body;
mod flags;
pub mod quote;
mod session;
mod settings;

// For the macro.
#[doc(hidden)]
pub use clap;

pub use body::{Body, short};
pub use session::{Bounds, Question, Server, Session};
pub use settings::{Secret, Settings, Source};

/// What a plugin's `main` does before it asks anybody over TLS: says which cryptography is meant.
pub fn prepare() {
    // Fails only where one is installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
}
