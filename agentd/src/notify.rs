//! Messages out: when an investigation ends, configured receivers are told over HTTP. Each receiver
//! has a courier of its own that follows the journal, so a slow one holds up neither the engine nor
//! another; how far it came is durable, so that nothing is left out over restarts.
//!
//! Invariant: a message is owed until it was delivered or given up aloud; one that may have arrived
//! before says so.

mod courier;
mod message;
mod patience;
mod post;
mod signature;
mod slack;
#[cfg(test)]
mod testing;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::{investigation::finding::Severity, journal::Journal, telemetry::metrics::Metrics};
pub use courier::Courier;
pub use post::Error;

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its name, in metrics and logs, and that under which it is remembered how far it was told.
    pub name: String,
    /// Where to post; none where `url_file` says it.
    pub url: Option<String>,
    /// File with where to post, for addresses that are secrets themselves.
    pub url_file: Option<PathBuf>,
    /// File with the key of the signature; none signs nothing.
    pub secret_file: Option<PathBuf>,
    /// File with a bearer token to show.
    pub token_file: Option<PathBuf>,
    /// File with the authorities that may vouch for it, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Form of the message.
    pub template: Template,
    /// What it is told of.
    pub when: When,
    /// It is told of nothing less severe.
    pub min_severity: Option<Severity>,
}

/// Form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Template {
    /// `agentd.notification/v1`.
    #[default]
    Json,
    /// For an incoming webhook of Slack.
    Slack,
}

/// What a receiver is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Every investigation that ends.
    #[default]
    Finished,
    /// Those whose answer does not stand by itself.
    NeedsPerson,
}

/// What couriers work with.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What they follow, and where they note how far they came.
    pub journal: Journal,
    /// Numbers for operators.
    pub metrics: Metrics,
    /// Wall time.
    pub clock: fn() -> Timestamp,
}

/// The address that a text is: https, or http to this very machine.
///
/// # Errors
/// What is wrong with it, for people.
pub fn address(text: &str) -> Result<reqwest::Url, String> {
    let url: reqwest::Url = text.trim().parse().map_err(|_| "is no URL".to_owned())?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here = host == "localhost"
        || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => {
            Err(format!("is http to {host}; use https, plain http only goes to this machine"))
        }
        other => Err(format!("has scheme {other}; use https")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_leaves_this_machine_nowhere() {
        for (text, good) in [
            ("https://hooks.example.com/x", true),
            ("http://127.0.0.1:8080/x", true),
            ("http://[::1]:8080/x", true),
            ("http://localhost/x", true),
            ("http://hooks.example.com/x", false),
            ("http://127.0.0.1.example.com/x", false),
            ("ftp://127.0.0.1/x", false),
            ("hooks", false),
        ] {
            assert_eq!(address(text).is_ok(), good, "{text}");
        }
    }
}
