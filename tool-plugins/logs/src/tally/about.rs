//! Whom a record is about: which signals lie between two, and in which words the other may be named.

use agent_sdk::Entity;

use crate::{exception::Exception, record::Record, signals::Mechanism};

/// An outside service that answers "forbidden" refuses who asks, not a right inside the cluster.
pub(super) fn placed(mechanism: Mechanism, peer: Option<&Entity>, text: &str) -> Mechanism {
    let outside = peer.is_some_and(|peer| peer.kind == "External");
    if mechanism.signal == "log.permission_denied" && outside && text.contains("403") {
        return Mechanism { signal: "log.auth_failure", detail: None };
    }
    mechanism
}

/// Signals that lie between two.
pub(super) fn has_peer(signal: &str) -> bool {
    matches!(
        signal,
        "log.connection_refused"
            | "log.timeout"
            | "log.upstream_error"
            | "log.dns_failure"
            | "log.tls_failure"
            | "log.auth_failure"
            | "log.permission_denied"
            | "log.pool_exhausted"
            | "log.lock_wait"
            | "log.no_space"
            | "log.slow_statement"
            | "log.schema_mismatch"
            | "log.rate_limited"
            | "log.protocol_error"
            | "log.connection_leak"
            | "log.stale_data"
            | "log.transaction_open"
            | "log.cache_full"
            | "log.cache_bypassed"
            | "log.cache_refused"
            | "log.broker_blocked"
    )
}

/// The words that may name whom it concerns: the message, the exception's line, what a database
/// adds.
pub(super) fn telling(record: &Record, exception: Option<&Exception>) -> String {
    let mut text = record.message.clone();
    if let Some(exception) = exception.filter(|e| !record.message.contains(&e.line)) {
        text.push('\n');
        text.push_str(&exception.line);
    }
    let further = |line: &&String| {
        ["DETAIL:", "STATEMENT:", "CONTEXT:"].iter().any(|word| line.contains(word))
    };
    for line in record.trace.iter().filter(further).take(3) {
        text.push('\n');
        text.push_str(line);
    }
    text
}
