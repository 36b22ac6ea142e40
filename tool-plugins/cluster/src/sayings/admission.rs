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
    if message.contains("forbidden") {
        return refused("policy.forbidden", "", None);
    }
    None
}
