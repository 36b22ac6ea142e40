//! The call stack of a tool: one tower layer a line, outermost first. It is built once per tool
//! digest and kept with it, so that limits and the breaker are shared by all calls to the tool.
//!
//! Measured trap: a tower timeout does not bound *readiness* (a rate limit under a 50 ms timeout
//! waited 10 s). So the bounds here drive the readiness of what is inside as part of the call, and
//! the rate limit refuses at once instead of waiting. Tower's limits also end at the response
//! headers; here the innermost service reads the whole stream before it answers.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::Semaphore,
    time::{sleep, sleep_until},
};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt as _,
    limit::ConcurrencyLimitLayer,
    retry::RetryLayer,
    util::{BoxCloneSyncService, option_layer},
};

use super::{
    CallCx,
    attempt::{Ask, Attempt, Fault},
    bound::{BoundLayer, End},
    retry::Rule,
    route::{Pool, RouteLayer},
};
use crate::{
    guard::{
        breaker::{Breaker, BreakerLayer, Outcome},
        rate::{Bucket, RateLayer},
    },
    tool::{CallOutput, Effects, Failure, FailureClass, SideEffect, ToolSpec},
};

/// The whole stack with its type forgotten, so that it can be kept.
pub(crate) type ToolStack = BoxCloneSyncService<Ask, CallOutput, Fault>;

/// Time beyond an attempt's own timeout that the plugin has to say itself that it ran out.
pub(crate) const GRACE: Duration = Duration::from_millis(250);
/// Time before the deadline at which the last attempt is over, its grace included: what hangs is
/// told as hanging, and a missing instance as missing.
pub(crate) const KEPT: Duration = GRACE.saturating_add(Duration::from_millis(50));

/// The stack over `pool`, ending in `client`.
///
/// `bucket` is that of a rate that all instances share.
pub(crate) fn build<C>(
    pool: Arc<Pool>,
    (breaker, bucket): (Breaker, Option<Bucket>),
    client: C,
) -> ToolStack
where
    C: Service<Attempt, Response = CallOutput, Error = Fault> + Clone + Send + Sync + 'static,
    C::Future: Send + Unpin,
{
    let spec = Arc::clone(pool.spec());
    // What each instance has for itself is kept where instances are chosen.
    let shared = spec.rate_limit.filter(|limit| limit.shared);
    let concurrent = shared.map_or(0, |limit| limit.max_concurrent);
    let concurrent = usize::try_from(concurrent).ok().filter(|most| *most > 0);
    let concurrent = concurrent.unwrap_or(Semaphore::MAX_PERMITS);
    let stack = ServiceBuilder::new()
        // Record: closes what is open when the call is over, so that each attempt ends once.
        .layer(RecordLayer)
        // Halt: a call that was withdrawn makes no attempt, and its running one is dropped.
        .layer(BoundLayer::new(halted))
        // Deadline of the whole: bounds waiting, retries and attempts together.
        .layer(BoundLayer::new(deadline))
        // Retry: only what may be repeated, with backoff, inside the deadline.
        .layer(RetryLayer::new(Rule::new(Arc::clone(&pool))))
        // Concurrency, where instances share a ceiling: caps attempts in flight, not calls asked; a
        // pausing call holds no place.
        .layer(ConcurrencyLimitLayer::new(concurrent))
        // Rate: every attempt pays a token, and is refused at once when there is none.
        .layer(option_layer(bucket.map(RateLayer::new)))
        // Breaker: sees attempts, so that retries do not hide a dying tool.
        .layer(BreakerLayer::new(breaker, health))
        // Instance: the least busy one that is ready; waits for one, bounded.
        .layer(RouteLayer::new(pool))
        // Attempt timer: over the whole stream of answers; what runs out counts for the breaker.
        .layer(BoundLayer::new(attempt_over))
        // gRPC.
        .service(client);
    BoxCloneSyncService::new(stack)
}

fn halted(ask: &Ask) -> End<Fault> {
    let cancel = ask.cx.cancel.clone();
    async move {
        cancel.cancelled().await;
        withdrawn().into()
    }
    .boxed()
}

fn withdrawn() -> Failure {
    Failure::ours(FailureClass::Cancelled, "CANCELLED", "the call was withdrawn")
}

/// How long a call of our own may take to tell that it is over.
const LATE: Duration = Duration::from_secs(1);

/// Waits for what somebody else may be asking, no longer than `cx` allows. What is asked by this call
/// keeps to its own bounds, which come first.
///
/// # Errors
/// That the call was withdrawn, or that its time ran out.
pub(crate) async fn within<T>(cx: &CallCx, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = async { cx.cancel.cancelled().await; sleep(LATE).await } => Err(withdrawn()),
        () = sleep_until(cx.deadline + LATE) => {
            let said = "the time for the call ran out while another asked the same";
            Err(Failure::ours(FailureClass::Timeout, "DEADLINE_EXCEEDED", said))
        }
    }
}

fn deadline(ask: &Ask) -> End<Fault> {
    let (deadline, spec) = (ask.cx.deadline, Arc::clone(&ask.spec));
    async move {
        sleep_until(deadline).await;
        let said = format!("the time for the call to {} ran out", spec.id);
        timed_out("DEADLINE_EXCEEDED", said, &spec).into()
    }
    .boxed()
}

fn attempt_over(attempt: &Attempt) -> End<Fault> {
    let (timeout, spec) = (attempt.timeout, Arc::clone(&attempt.ask.spec));
    async move {
        sleep(timeout + GRACE).await;
        let said = format!("{} did not answer within {:.1} s", spec.id, timeout.as_secs_f64());
        Fault::sent(timed_out("ATTEMPT_TIMED_OUT", said, &spec))
    }
    .boxed()
}

/// What only reads changed nothing, however it ended.
fn timed_out(reason: &str, said: String, spec: &ToolSpec) -> Failure {
    let mut failure = Failure::ours(FailureClass::Timeout, reason, said);
    if spec.side_effect != SideEffect::ReadOnly {
        failure.effects = Effects::Maybe;
    }
    failure
}

/// What a failed attempt tells the breaker. Whatever the tool answered sensibly shows that it
/// works; what never reached it, and results that are only too large, say nothing.
fn health(fault: &Fault) -> Outcome {
    if !fault.sent || fault.failure.reason == TOO_LARGE {
        return Outcome::Silent;
    }
    match fault.failure.class {
        FailureClass::Transient | FailureClass::Timeout | FailureClass::Bug => Outcome::Broken,
        FailureClass::External => Outcome::SourceAway,
        FailureClass::InvalidArgument
        | FailureClass::NotFound
        | FailureClass::Permission
        | FailureClass::Config => Outcome::Works,
        FailureClass::RateLimited | FailureClass::Cancelled => Outcome::Silent,
    }
}

/// Reason of results beyond their bound.
pub(crate) const TOO_LARGE: &str = "RESULT_TOO_LARGE";

/// The outermost layer.
#[derive(Debug, Clone, Copy)]
struct RecordLayer;

impl<S> Layer<S> for RecordLayer {
    type Service = Recorded<S>;

    fn layer(&self, inner: S) -> Recorded<S> {
        Recorded { inner }
    }
}

/// A service whose attempts are told.
#[derive(Debug, Clone)]
struct Recorded<S> {
    inner: S,
}

impl<S> Service<Ask> for Recorded<S>
where
    S: Service<Ask, Response = CallOutput, Error = Fault> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = CallOutput;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<CallOutput, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        let inner = self.inner.clone();
        Box::pin(async move {
            let record = ask.record.clone();
            let result = inner.oneshot(ask).await;
            let told = result.clone().map_err(|fault| fault.failure);
            record.finished(told, false).await;
            result
        })
    }
}

#[cfg(test)]
mod tests;
