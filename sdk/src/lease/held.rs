//! A lease that is held, by this process's own clock.

use std::time::Duration;

use agent_proto::tool::v1::RegisterResponse;
use tokio::time::Instant;

use super::verdict;

/// When agentd does not say.
pub(super) const DEFAULT_TTL: Duration = Duration::from_secs(30);
/// When agentd does not say.
pub(super) const DEFAULT_RENEWAL: Duration = Duration::from_secs(10);
/// However short agentd wants it.
pub(super) const SHORTEST_RENEWAL: Duration = Duration::from_millis(10);

/// What was given, and until when.
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) catalog_digest: String,
    pub(super) renewal: Duration,
    pub(super) ends: Instant,
}

impl Lease {
    /// What agentd gave when it was asked at `asked_at`.
    pub(super) fn of(response: &RegisterResponse, asked_at: Instant) -> Self {
        let ttl = verdict::span(response.lease_ttl).unwrap_or(DEFAULT_TTL);
        let renewal = verdict::span(response.renew_interval).unwrap_or(DEFAULT_RENEWAL);
        Self {
            id: response.lease_id.clone(),
            catalog_digest: response.catalog_digest.clone(),
            renewal: renewal.min(ttl / 2).max(SHORTEST_RENEWAL),
            ends: asked_at + ttl,
        }
    }
}
