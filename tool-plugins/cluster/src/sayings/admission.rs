//! Why the server refused to create something: a quota, a webhook, a missing right.

use super::between;

/// A refused creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The signal that says so: `policy.quota_exceeded`, `policy.webhook_failed` or
    /// `policy.forbidden`.
    pub signal: &'static str,
    /// Kind of what refused: `ResourceQuota`, `LimitRange` or a webhook's; empty when not told.
    pub kind: &'static str,
    /// Name of what refused; empty when not told.
    pub by: String,
}

/// What the server's own admission says, and which part of it says so.
const BUILT_IN: &[(&str, &str)] = &[
    ("violates PodSecurity", "PodSecurity"),
    ("security context constraint", "SecurityContextConstraints"),
    ("PodSecurityPolicy", "PodSecurityPolicy"),
    ("looking up service account", "ServiceAccount"),
    ("no PriorityClass", "PriorityClass"),
];

/// Reads why a creation was refused.
#[must_use]
pub fn refusal(message: &str) -> Option<Refusal> {
    let refused = |signal, kind, by: Option<&str>| {
        Some(Refusal { signal, kind, by: by.unwrap_or_default().to_owned() })
    };
    if let Some(quota) = super::quota_refusal(message) {
        return refused("policy.quota_exceeded", quota.kind, Some(&quota.name));
    }
    if message.contains("webhook") {
        let by = between(message, "webhook \"", "\"");
        return refused("policy.webhook_failed", "Webhook", by);
    }
    // A policy of the server's own is changed like a webhook's.
    if let Some(by) = between(message, "ValidatingAdmissionPolicy '", "'") {
        return refused("policy.webhook_failed", "Webhook", Some(by));
    }
    if message.contains("forbidden") {
        let by = BUILT_IN.iter().find(|(words, _)| message.contains(words)).map(|(_, by)| *by);
        return refused("policy.forbidden", "", by);
    }
    None
}
