//! A tool's descriptor, read strictly: what is unset or not known means the most restrictive, and
//! advice outside of what the daemon allows is brought back into its bounds.

use std::time::Duration;

use agent_proto::tool::v1 as pb;

use super::duration_from;
use crate::tool::{
    Applicability, CacheRule, Idempotency, RateLimit, Retry, Risk, SideEffect, ToolRef, ToolSpec,
};

/// Time one attempt may take when the tool does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Latency assumed when the tool does not say.
const DEFAULT_LATENCY: Duration = Duration::from_secs(1);
/// Most attempts, whatever the tool advises.
const MAX_ATTEMPTS: u32 = 5;
/// Longest pause between attempts, whatever the tool advises.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Longest time that data is taken for fresh, whatever the tool says.
const MAX_FRESH: Duration = Duration::from_secs(300);
/// Shortest first pause.
const MIN_BACKOFF: Duration = Duration::from_millis(10);

/// The tool that `descriptor` declares. `id` names it with version and digest.
#[must_use]
pub fn tool_spec(id: ToolRef, descriptor: &pb::ToolDescriptor) -> ToolSpec {
    ToolSpec {
        id,
        description: descriptor.description.clone(),
        side_effect: side_effect_from(descriptor.side_effect()),
        risk: risk_from(descriptor.risk()),
        always_ask: descriptor.approval() == pb::ApprovalRequirement::Always,
        idempotency: match descriptor.idempotency() {
            pb::Idempotency::Unspecified | pb::Idempotency::None => Idempotency::None,
            pb::Idempotency::Keyed => Idempotency::Keyed,
            pb::Idempotency::Natural => Idempotency::Natural,
        },
        permissions: descriptor.permissions.clone(),
        timeout: positive(descriptor.timeout.as_ref()).unwrap_or(DEFAULT_TIMEOUT),
        retry: descriptor.retry.as_ref().map(retry).unwrap_or_default(),
        rate_limit: descriptor.rate_limit.as_ref().map(rate_limit),
        cache: descriptor.cache.as_ref().and_then(|given| cache(descriptor, given)),
        typical_latency: descriptor
            .cost
            .as_ref()
            .and_then(|cost| positive(cost.typical_latency.as_ref()))
            .unwrap_or(DEFAULT_LATENCY),
        sensitive_arguments: descriptor.sensitive_arguments.clone(),
        applies: descriptor.applies.iter().map(applicability).collect(),
    }
}

/// What a call may change.
#[must_use]
pub fn side_effect_from(given: pb::SideEffect) -> SideEffect {
    match given {
        pb::SideEffect::ReadOnly => SideEffect::ReadOnly,
        pb::SideEffect::Additive => SideEffect::Additive,
        pb::SideEffect::Reversible => SideEffect::Reversible,
        pb::SideEffect::Unspecified | pb::SideEffect::Destructive => SideEffect::Destructive,
    }
}

/// Declared risk.
#[must_use]
pub fn risk_from(given: pb::RiskLevel) -> Risk {
    match given {
        pb::RiskLevel::Low => Risk::Low,
        pb::RiskLevel::Medium => Risk::Medium,
        pb::RiskLevel::Unspecified | pb::RiskLevel::High => Risk::High,
        pb::RiskLevel::Critical => Risk::Critical,
    }
}

/// Risk, for the wire.
#[must_use]
pub fn risk_to(risk: Risk) -> pb::RiskLevel {
    match risk {
        Risk::Low => pb::RiskLevel::Low,
        Risk::Medium => pb::RiskLevel::Medium,
        Risk::High => pb::RiskLevel::High,
        Risk::Critical => pb::RiskLevel::Critical,
    }
}

fn positive(given: Option<&prost_types::Duration>) -> Option<Duration> {
    duration_from(given).filter(|span| !span.is_zero())
}

fn count(given: i32) -> u32 {
    u32::try_from(given).unwrap_or_default()
}

fn retry(given: &pb::RetryPolicy) -> Retry {
    let usual = Retry::default();
    let max_attempts = match count(given.max_attempts) {
        0 => usual.max_attempts,
        some => some.min(MAX_ATTEMPTS),
    };
    let initial = positive(given.initial_backoff.as_ref()).unwrap_or(usual.initial_backoff);
    let initial_backoff = initial.clamp(MIN_BACKOFF, MAX_BACKOFF);
    let longest = positive(given.max_backoff.as_ref()).unwrap_or(usual.max_backoff);
    let grows = given.backoff_multiplier >= 1.0 && given.backoff_multiplier.is_finite();
    Retry {
        max_attempts,
        initial_backoff,
        max_backoff: longest.clamp(initial_backoff, MAX_BACKOFF),
        multiplier: if grows { given.backoff_multiplier } else { usual.multiplier },
        classes: given.retryable_classes().filter_map(super::class_from).collect(),
    }
}

fn rate_limit(given: &pb::RateLimit) -> RateLimit {
    let max_concurrent = count(given.max_concurrent);
    // One that says nothing at all is read strictly.
    let only_at_once = given.calls == 0 && max_concurrent > 0;
    RateLimit {
        calls: if only_at_once { 0 } else { count(given.calls).max(1) },
        period: positive(given.period.as_ref()).unwrap_or(Duration::from_secs(1)),
        burst: count(given.burst),
        max_concurrent,
        shared: given.shared_across_instances,
    }
}

fn cache(descriptor: &pb::ToolDescriptor, given: &pb::CachePolicy) -> Option<CacheRule> {
    let reads = side_effect_from(descriptor.side_effect()) == SideEffect::ReadOnly;
    let ttl = positive(given.ttl.as_ref()).filter(|_| reads)?.min(MAX_FRESH);
    Some(CacheRule { ttl, shared: given.scope() == pb::CacheScope::Shared })
}

fn applicability(given: &pb::Applicability) -> Applicability {
    Applicability {
        alert_types: given.alert_types.clone(),
        after_signals: given.after_signals.clone(),
        subject_kinds: given.subject_kinds.clone(),
        arguments_template: given.arguments_template_json.clone(),
        emits: given.emits.clone(),
    }
}
