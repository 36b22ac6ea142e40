//! Rate limit: a token bucket (governor's) as a tower layer. Refuses at once and says when to come
//! back; it never waits unseen, since a timeout outside of a layer does not bound its readiness.
//! One bucket for all clones, so that replicas of a tool share what their backend allows.

use std::{
    future::{Ready, ready},
    num::NonZeroU32,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::Either;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::tool::{Failure, FailureClass, RateLimit};

/// tokio's clock, which tests can pause, counted from the making of the limiter.
#[derive(Debug, Clone)]
struct Since(Instant);

impl Clock for Since {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Instant::now().duration_since(self.0)
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Since, NoOpMiddleware<Duration>>;

/// A token bucket; clones share it.
#[derive(Debug, Clone)]
pub struct Bucket {
    limiter: Arc<Limiter>,
}

impl Bucket {
    /// A bucket that gives `calls` tokens in each period, evenly, and holds `burst` on top of one;
    /// none for a limit that says nothing of a rate.
    #[must_use]
    pub fn new(limit: RateLimit) -> Option<Self> {
        let calls = NonZeroU32::new(limit.calls)?;
        let each = (limit.period / calls.get()).max(Duration::from_nanos(1));
        let at_once = NonZeroU32::MIN.saturating_add(limit.burst);
        let quota = Quota::with_period(each)?.allow_burst(at_once);
        let clock = Since(Instant::now());
        Some(Self { limiter: Arc::new(RateLimiter::direct_with_clock(quota, clock)) })
    }

    /// Takes a token.
    ///
    /// # Errors
    /// A failure of class RATE_LIMITED that says how long until there is one.
    pub fn take(&self) -> Result<(), Failure> {
        let clock = self.limiter.clock();
        self.limiter.check().map_err(|until| refusal(until.wait_time_from(clock.now())))
    }
}

/// Puts a token bucket in front of a service.
#[derive(Debug, Clone)]
pub struct RateLayer {
    bucket: Bucket,
}

impl RateLayer {
    /// A layer over a bucket that others may take from, too.
    #[must_use]
    pub fn new(bucket: Bucket) -> Self {
        Self { bucket }
    }
}

impl<S> Layer<S> for RateLayer {
    type Service = Rated<S>;

    fn layer(&self, inner: S) -> Rated<S> {
        Rated { inner, limit: self.clone() }
    }
}

/// A service behind a token bucket.
#[derive(Debug, Clone)]
pub struct Rated<S> {
    inner: S,
    limit: RateLayer,
}

impl<S, R> Service<R> for Rated<S>
where
    S: Service<R>,
    S::Error: From<Failure>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<S::Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.limit.bucket.take() {
            Ok(()) => Either::Right(self.inner.call(request)),
            Err(refused) => Either::Left(ready(Err(refused.into()))),
        }
    }
}

fn refusal(wait: Duration) -> Failure {
    let said = format!("asked more often than it allows; ask again in {} ms", wait.as_millis());
    let mut failure = Failure::ours(FailureClass::RateLimited, "RATE_LIMITED", said);
    failure.retry_after = Some(wait);
    failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::{
        convert::Infallible,
        sync::atomic::{AtomicU32, Ordering},
    };

    use tokio::time::advance;
    use tower::{ServiceExt as _, service_fn};

    use super::*;

    fn ten_a_second(burst: u32) -> RateLimit {
        RateLimit {
            calls: 10,
            period: Duration::from_secs(1),
            burst,
            max_concurrent: 0,
            shared: true,
        }
    }

    #[derive(Debug)]
    struct Refused(Failure);

    impl From<Failure> for Refused {
        fn from(failure: Failure) -> Self {
            Self(failure)
        }
    }

    impl From<Infallible> for Refused {
        fn from(never: Infallible) -> Self {
            match never {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_much_is_refused_at_once_with_the_time_to_come_back() {
        let seen = AtomicU32::new(0);
        let tool = service_fn(|()| {
            seen.fetch_add(1, Ordering::Relaxed);
            ready(Ok::<(), Refused>(()))
        });
        let service = RateLayer::new(Bucket::new(ten_a_second(2)).unwrap()).layer(tool);
        let started = Instant::now();
        let mut refused = Vec::new();
        for _ in 0..5 {
            if let Err(Refused(failure)) = service.clone().oneshot(()).await {
                assert_eq!(failure.class, FailureClass::RateLimited);
                refused.push(failure.retry_after.unwrap());
            }
        }
        assert_eq!(refused, [Duration::from_millis(100); 2]);
        assert_eq!(started.elapsed(), Duration::ZERO, "nothing waited");
        advance(Duration::from_millis(100)).await;
        assert!(service.clone().oneshot(()).await.is_ok(), "a token came back");
        assert_eq!(seen.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_one_bucket_and_a_second_never_sees_more_than_its_share() {
        let limit = Bucket::new(ten_a_second(0)).unwrap();
        let mut passed = 0;
        for _ in 0..1000 {
            passed += u32::from(limit.clone().take().is_ok());
            advance(Duration::from_millis(1)).await;
        }
        assert_eq!(passed, 10);
    }
}
