//! What makes a request that is sent again harmless.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How long a request id stands for the investigation it began.
pub const REQUEST_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What makes a repeated request answer with the investigation it began the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Who asks; ids of two principals never meet.
    pub principal: String,
    /// The id the caller chose.
    pub request_id: Uuid,
    /// SHA-256 of the request without its id.
    pub content_hash: [u8; 32],
    /// When it is asked.
    pub now: Timestamp,
}

impl RequestKey {
    /// The stored key: the id, then the principal.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut key = self.request_id.as_bytes().to_vec();
        key.extend_from_slice(self.principal.as_bytes());
        key
    }

    /// The time from which on the key means nothing, in milliseconds; times before 1970 read as 0.
    pub(crate) fn expires(&self) -> u64 {
        let kept = self.now.saturating_add(REQUEST_KEPT).unwrap_or(Timestamp::MAX);
        u64::try_from(kept.as_millisecond()).unwrap_or(0)
    }

    /// Now, in the same unit.
    pub(crate) fn asked(&self) -> u64 {
        u64::try_from(self.now.as_millisecond()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_expires_after_a_day_and_its_key_separates_principals() {
        let key = |principal: &str| RequestKey {
            principal: principal.to_owned(),
            request_id: Uuid::from_u128(7),
            content_hash: [0; 32],
            now: Timestamp::UNIX_EPOCH,
        };
        assert_eq!(key("a").expires(), 24 * 3600 * 1000);
        assert_ne!(key("a").bytes(), key("b").bytes());
    }
}
