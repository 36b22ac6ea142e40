//! How a source's refusal is told: one wording for recordings and live servers, so that a gap
//! reads the same and names the permission that is missing.

use std::time::Duration;

use agent_sdk::{Failure, FailureClass};

/// Signals that rest on Secrets, as patterns.
const OF_SECRETS: &str = "config.missing,config.key_missing,config.credential,certificate.*";

/// What was asked of which source.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// A kind's plural, `logs` or `metrics`.
    pub(crate) target: &'a str,
    /// `list` or `get`.
    pub(crate) verb: &'a str,
    /// Where; empty for the whole cluster.
    pub(crate) namespace: &'a str,
}

/// The failure for an HTTP status; `None` when there was no answer at all.
pub(crate) fn refused(
    asked: Asked<'_>,
    status: Option<u16>,
    said: &str,
    retry_after: Option<Duration>,
) -> Failure {
    let Asked { target, verb, namespace } = asked;
    let needs = match target {
        "logs" => "k8s:pods/log".to_owned(),
        "metrics" => "prometheus:query".to_owned(),
        _ => format!("k8s:{target}/{verb}"),
    };
    let place =
        if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
    let said = if said.is_empty() { "no message" } else { said };
    let shown = status.map_or_else(|| "no answer".to_owned(), |s| s.to_string());
    let (class, reason, message) = match status {
        Some(401) => (
            FailureClass::Permission,
            "UNAUTHENTICATED",
            format!("{target}: not logged in (401): {said}; needs {needs}{place}"),
        ),
        Some(403) => (
            FailureClass::Permission,
            "FORBIDDEN",
            format!("{target}: not permitted (403): {said}; needs {needs}{place}"),
        ),
        Some(429) => (
            FailureClass::RateLimited,
            "TOO_MANY_REQUESTS",
            format!("{target}: too many requests (429): {said}"),
        ),
        _ => (
            FailureClass::External,
            "SOURCE_FAILED",
            format!("{target}: the server failed ({shown}): {said}"),
        ),
    };
    let mut failure = Failure::new(class, reason, message);
    failure.retry_after = retry_after;
    failure.metadata.insert("target".to_owned(), target.to_owned());
    failure.metadata.insert("status".to_owned(), shown);
    if target == "secrets" {
        // Of Secrets little is read, and few installations grant them: what is not seen then is
        // this, and the rest of the tool's answer stands.
        failure.metadata.insert("blinds".to_owned(), OF_SECRETS.to_owned());
    }
    if class == FailureClass::Permission {
        failure.metadata.insert("permission".to_owned(), needs);
        if !namespace.is_empty() {
            failure.metadata.insert("namespace".to_owned(), namespace.to_owned());
        }
    }
    failure
}
