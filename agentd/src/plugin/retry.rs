//! When a failed attempt is worth another one, and after which pause. The rule: attempts left, and
//! a class worth retrying, and repeating does no harm (nothing was changed, or the tool says that
//! repeats are safe), and the pause fits the deadline. Pure but for the waiting itself.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::{
    attempt::{Ask, Fault},
    fault::MISMATCH,
    luck,
    route::Pool,
    stack::KEPT,
};
use crate::{
    guard::breaker::{CIRCUIT_OPEN, PROBING},
    tool::{CallOutput, Effects, FailureClass, Idempotency, Retry as Advice, SideEffect},
};

/// The retry rule of one tool.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pool: Arc<Pool>,
    advice: Advice,
    repeatable: bool,
}

/// Pause before a call to an instance that had not yet read what its tools are called.
const LEARNING: Duration = Duration::from_millis(100);

impl Rule {
    /// The rule of the tool in `pool`. Reading twice does no harm.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        let spec = pool.spec();
        let repeatable =
            spec.side_effect == SideEffect::ReadOnly || spec.idempotency != Idempotency::None;
        Self { advice: spec.retry.clone(), repeatable, pool }
    }

    /// Whether a failure of this class is worth another attempt: by the table of PROTOCOL 4.9, and by
    /// the tool's own word, which can only take away.
    fn is_worth_it(&self, fault: &Fault, tried: Tried) -> bool {
        let failure = &fault.failure;
        let first = tried.attempt == 1;
        if failure.class == FailureClass::Bug {
            // A defect of one replica need not be one of all.
            let elsewhere = |at: &String| self.pool.has_sound_one(at);
            let untouched = failure.effects == Effects::None;
            return first && fault.sent && untouched && fault.at.as_ref().is_some_and(elsewhere);
        }
        if failure.class == FailureClass::Config {
            return first && failure.reason == MISMATCH;
        }
        let classes = &self.advice.classes;
        let advised = classes.is_empty() || classes.contains(&failure.class);
        failure.class.retryable() && (advised || is_own(fault))
    }

    /// The pause before the next attempt, or none when there is no next. `attempt` counts from 1,
    /// `refusals` are those of our own rate limit, `left` is the time to the deadline, `luck` is
    /// from 0 to 1.
    fn pause(&self, tried: Tried, fault: &Fault, left: Duration, luck: f64) -> Option<Duration> {
        let failure = &fault.failure;
        // Waiting for one's own limit or breaker is no attempt.
        let counts = !is_own(fault);
        let harmless = failure.effects == Effects::None || self.repeatable;
        if (counts && tried.attempt >= self.advice.max_attempts)
            || !self.is_worth_it(fault, tried)
            || !harmless
        {
            return None;
        }
        if failure.class == FailureClass::Config {
            return (LEARNING.saturating_add(KEPT) < left).then_some(LEARNING);
        }
        let step = (tried.attempt.saturating_sub(1)).saturating_add(tried.refusals).min(16);
        let growth = self.advice.multiplier.max(1.0).powi(i32::try_from(step).unwrap_or(16));
        let cap = self.advice.max_backoff.as_secs_f64();
        let span = (self.advice.initial_backoff.as_secs_f64() * growth).min(cap);
        // Full jitter, on top of what the other side asked for: many who wait for the same moment
        // must not come back in the same moment.
        let jitter = Duration::try_from_secs_f64(span * luck).unwrap_or_default();
        let pause = failure.retry_after.unwrap_or_default().saturating_add(jitter);
        // A breaker is waited for once, and not when it stays open for long: that is a gap now. While
        // somebody tries whether it works again, that is waited for.
        if failure.reason == CIRCUIT_OPEN && !fault.sent {
            let longest = if tried.refusals == 0 { PATIENCE } else { PROBING };
            let after = failure.retry_after.unwrap_or_default();
            let is_worth_it = after <= longest && tried.refusals < PROBES;
            return (is_worth_it && after.saturating_add(KEPT) < left).then_some(after);
        }
        // An attempt that would have no time left is not worth waiting for.
        (pause.saturating_add(KEPT) < left).then_some(pause)
    }
}

/// Longest wait for a breaker of our own: as long as one is open the first time. What came back
/// meanwhile, a source that was restarted, is worth it to somebody who asks now.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at most at a breaker whose probe is under way: as long as one attempt may well take.
const PROBES: u32 = 40;

/// What was tried so far.
#[derive(Debug, Clone, Copy)]
struct Tried {
    attempt: u32,
    refusals: u32,
}

/// Whether a guard of ours refused before anything was sent.
fn is_own(fault: &Fault) -> bool {
    let failure = &fault.failure;
    !fault.sent && (failure.class == FailureClass::RateLimited || failure.reason == CIRCUIT_OPEN)
}

impl tower::retry::Policy<Ask, CallOutput, Fault> for Rule {
    type Future = BoxFuture<'static, ()>;

    fn retry(
        &mut self,
        ask: &mut Ask,
        result: &mut Result<CallOutput, Fault>,
    ) -> Option<Self::Future> {
        let Err(fault) = result else { return None };
        let left = ask.cx.deadline.saturating_duration_since(Instant::now());
        let tried = Tried { attempt: ask.attempt, refusals: ask.refusals };
        let pause = self.pause(tried, fault, left, luck::share())?;
        if is_own(fault) {
            ask.refusals = ask.refusals.saturating_add(1);
        } else {
            ask.attempt = ask.attempt.saturating_add(1);
            ask.avoided.clone_from(&fault.at);
        }
        let record = ask.record.clone();
        let failure = fault.failure.clone();
        Some(Box::pin(async move {
            record.finished(Err(failure), true).await;
            sleep(pause).await;
        }))
    }

    fn clone_request(&mut self, ask: &Ask) -> Option<Ask> {
        Some(ask.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{guard::policy::tests::spec, tool::Failure};

    const LONG: Duration = Duration::from_secs(60);

    fn first() -> Tried {
        Tried { attempt: 1, refusals: 0 }
    }

    fn fault(class: FailureClass, effects: Effects) -> Fault {
        let mut failure = Failure::ours(class, "X", "x");
        failure.effects = effects;
        Fault::sent(failure)
    }

    fn rule(side_effect: SideEffect, idempotency: Idempotency) -> Rule {
        let mut spec = spec("look", side_effect);
        spec.idempotency = idempotency;
        Rule::new(Arc::new(Pool::new(Arc::new(spec), Arc::default())))
    }

    #[test]
    fn a_retry_needs_a_class_worth_it_and_a_repeat_that_does_no_harm() {
        use FailureClass as C;
        let (reads, changes) = (SideEffect::ReadOnly, SideEffect::Reversible);
        for (side_effect, idempotency, class, effects, again) in [
            (reads, Idempotency::None, C::Transient, Effects::Maybe, true),
            (reads, Idempotency::None, C::External, Effects::Maybe, true),
            (reads, Idempotency::None, C::Timeout, Effects::Maybe, true),
            (reads, Idempotency::None, C::RateLimited, Effects::None, true),
            (reads, Idempotency::None, C::InvalidArgument, Effects::None, false),
            (reads, Idempotency::None, C::NotFound, Effects::None, false),
            (reads, Idempotency::None, C::Permission, Effects::None, false),
            (reads, Idempotency::None, C::Config, Effects::None, false),
            (reads, Idempotency::None, C::Bug, Effects::None, false),
            (reads, Idempotency::None, C::Cancelled, Effects::None, false),
            (changes, Idempotency::None, C::Transient, Effects::None, true),
            (changes, Idempotency::None, C::Transient, Effects::Maybe, false),
            (changes, Idempotency::None, C::Timeout, Effects::Maybe, false),
            (changes, Idempotency::None, C::Transient, Effects::Applied, false),
            (changes, Idempotency::Keyed, C::Transient, Effects::Maybe, true),
            (changes, Idempotency::Natural, C::Timeout, Effects::Maybe, true),
        ] {
            let pause =
                rule(side_effect, idempotency).pause(first(), &fault(class, effects), LONG, 0.5);
            assert_eq!(
                pause.is_some(),
                again,
                "{side_effect:?} {idempotency:?} {class:?} {effects:?}"
            );
        }
    }

    #[test]
    fn pauses_grow_up_to_their_cap_with_full_jitter_and_attempts_end() {
        let mut rule = rule(SideEffect::ReadOnly, Idempotency::Natural);
        rule.advice.max_attempts = 9;
        let fault = fault(FailureClass::Transient, Effects::None);
        let pauses: Vec<u128> = (1..=9)
            .map_while(|attempt| rule.pause(Tried { attempt, refusals: 0 }, &fault, LONG, 1.0))
            .map(|pause| pause.as_millis())
            .collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(rule.pause(first(), &fault, LONG, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn what_the_other_side_asked_for_is_kept_when_it_fits_the_deadline() {
        let rule = rule(SideEffect::ReadOnly, Idempotency::Natural);
        let mut fault = fault(FailureClass::RateLimited, Effects::None);
        fault.failure.retry_after = Some(Duration::from_secs(3));
        assert!(rule.pause(first(), &fault, LONG, 0.9).unwrap() >= Duration::from_secs(3));
        assert_eq!(rule.pause(first(), &fault, Duration::from_secs(3), 0.0), None);
    }

    #[test]
    fn a_breaker_is_waited_for_once_and_not_for_long() {
        let rule = rule(SideEffect::ReadOnly, Idempotency::Natural);
        let mut open: Fault = Failure::ours(FailureClass::Transient, "CIRCUIT_OPEN", "x").into();
        open.failure.retry_after = Some(Duration::from_secs(5));
        assert_eq!(rule.pause(first(), &open, LONG, 0.0), Some(Duration::from_secs(5)));
        let again = Tried { attempt: 1, refusals: 1 };
        assert_eq!(rule.pause(again, &open, LONG, 0.0), None, "no better after a wait");
        open.failure.retry_after = Some(PROBING);
        assert_eq!(rule.pause(again, &open, LONG, 0.0), Some(PROBING), "somebody tries it");
        assert_eq!(rule.pause(Tried { attempt: 1, refusals: PROBES }, &open, LONG, 0.0), None);
        open.failure.retry_after = Some(Duration::from_secs(10));
        assert_eq!(rule.pause(first(), &open, LONG, 0.0), None);
    }

    #[test]
    fn waiting_for_our_own_limit_uses_up_no_attempt() {
        let rule = rule(SideEffect::ReadOnly, Idempotency::Natural);
        let last = Tried { attempt: 3, refusals: 4 };
        let ours: Fault = Failure::ours(FailureClass::RateLimited, "RATE_LIMITED", "x").into();
        assert!(rule.pause(last, &ours, LONG, 0.5).is_some());
        let theirs = fault(FailureClass::RateLimited, Effects::None);
        assert_eq!(rule.pause(last, &theirs, LONG, 0.5), None);
    }
}
