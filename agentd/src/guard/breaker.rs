//! Circuit breaker: a tool that fails again and again is left alone for a while, then asked once.
//! Closed (calls flow), open (refused at once, with the time to come back), half-open (one probe).
//! What counts as harm is the caller's judgement, passed in. A call that is dropped or says
//! nothing about the tool's health changes nothing, and gives a probe back.

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::Either;
use tokio::time::Instant;
use tower::{Layer, Service};

use crate::tool::{Failure, FailureClass};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Harmful outcomes in a row that open it.
    pub trip_after: u32,
    /// How long it stays open the first time; doubled with each failed probe.
    pub open_for: Duration,
    /// Longest time it stays open.
    pub open_at_most: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            trip_after: 3,
            open_for: Duration::from_secs(5),
            open_at_most: Duration::from_secs(60),
        }
    }
}

/// What an outcome tells about the tool's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works, whatever it answered.
    Works,
    /// It is broken.
    Broken,
    /// It works, but what it asks is away: it opens as for a broken tool and stays open no longer
    /// than the first time, since a source that is back is worth an answer at once.
    SourceAway,
    /// Nothing.
    Silent,
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Calls flow.
    Closed,
    /// Calls are refused for this long.
    Open(Duration),
    /// One probe is allowed or under way.
    HalfOpen,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { broken: u32 },
    Open { until: Instant, span: Duration },
    HalfOpen { span: Duration, probing: bool },
}

/// Reason of calls that an open breaker refused.
pub const CIRCUIT_OPEN: &str = "CIRCUIT_OPEN";
/// When to look again while a probe is under way: most of them are over soon.
pub const PROBING: Duration = Duration::from_millis(500);

/// Hears of a breaker that opened (true) or closed again.
pub type Told = Arc<dyn Fn(bool) + Send + Sync>;

/// A breaker; clones share one state.
#[derive(Clone)]
pub struct Breaker {
    config: Config,
    state: Arc<Mutex<State>>,
    told: Option<Told>,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("state", &self.state).finish_non_exhaustive()
    }
}

/// Leave to make one call. Dropped without [`Pass::settle`] it counts as silent.
#[derive(Debug)]
pub struct Pass {
    breaker: Breaker,
    probe: bool,
    settled: bool,
}

// === impl Breaker ===

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, state: Arc::new(Mutex::new(State::Closed { broken: 0 })), told: None }
    }

    /// A closed breaker that tells when it opens and when it closes again.
    #[must_use]
    pub fn told(config: Config, told: Told) -> Self {
        Self { told: Some(told), ..Self::new(config) }
    }

    /// Where it stands now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let now = Instant::now();
        match *self.lock() {
            State::Closed { .. } => Standing::Closed,
            State::Open { until, .. } if until > now => Standing::Open(until - now),
            State::Open { .. } | State::HalfOpen { .. } => Standing::HalfOpen,
        }
    }

    /// Leave to make one call.
    ///
    /// # Errors
    /// When open, or half-open with its probe under way: the time after which to ask again, for a
    /// probe [`PROBING`].
    pub fn enter(&self) -> Result<Pass, Duration> {
        let now = Instant::now();
        let mut state = self.lock();
        let probe = match *state {
            State::Closed { .. } => false,
            State::Open { until, .. } if until > now => return Err(until - now),
            State::HalfOpen { probing: true, .. } => return Err(PROBING),
            State::Open { span, .. } | State::HalfOpen { span, .. } => {
                *state = State::HalfOpen { span, probing: true };
                true
            }
        };
        drop(state);
        Ok(Pass { breaker: self.clone(), probe, settled: false })
    }

    /// The one table of transitions after a call. Late answers to calls made before the breaker
    /// opened change nothing.
    fn apply(&self, probe: bool, outcome: Outcome) {
        let mut state = self.lock();
        let next = match (*state, probe, outcome) {
            (State::Closed { .. }, _, Outcome::Works)
            | (State::HalfOpen { .. }, true, Outcome::Works) => State::Closed { broken: 0 },
            (State::Closed { broken }, _, Outcome::Broken | Outcome::SourceAway) => {
                let broken = broken.saturating_add(1);
                if broken < self.config.trip_after {
                    State::Closed { broken }
                } else {
                    self.open(self.config.open_for)
                }
            }
            (State::HalfOpen { span, .. }, true, Outcome::Broken) => {
                self.open(span.saturating_mul(2).min(self.config.open_at_most))
            }
            (State::HalfOpen { .. }, true, Outcome::SourceAway) => self.open(self.config.open_for),
            (State::HalfOpen { span, .. }, true, Outcome::Silent) => {
                State::HalfOpen { span, probing: false }
            }
            (same, _, _) => same,
        };
        let was_closed = matches!(*state, State::Closed { .. });
        *state = next;
        drop(state);
        // A probe that failed opens what is open already.
        let is_closed = matches!(next, State::Closed { .. });
        if let (Some(told), true) = (&self.told, was_closed != is_closed) {
            told(!is_closed);
        }
    }

    fn open(&self, span: Duration) -> State {
        let _ = self;
        State::Open { until: Instant::now() + span, span }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Pass ===

impl Pass {
    /// Says how the call went.
    pub fn settle(mut self, outcome: Outcome) {
        self.settled = true;
        self.breaker.apply(self.probe, outcome);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.settled {
            self.breaker.apply(self.probe, Outcome::Silent);
        }
    }
}

// === the layer ===

/// Puts a breaker in front of a service. `judge` says what an error tells; success works.
#[derive(Debug, Clone)]
pub struct BreakerLayer<J> {
    breaker: Breaker,
    judge: J,
}

impl<J> BreakerLayer<J> {
    /// A layer over a breaker that others may look at.
    pub fn new(breaker: Breaker, judge: J) -> Self {
        Self { breaker, judge }
    }
}

impl<S, J: Clone> Layer<S> for BreakerLayer<J> {
    type Service = Broken<S, J>;

    fn layer(&self, inner: S) -> Self::Service {
        Broken { inner, breaker: self.breaker.clone(), judge: self.judge.clone() }
    }
}

/// A service behind a breaker.
#[derive(Debug, Clone)]
pub struct Broken<S, J> {
    inner: S,
    breaker: Breaker,
    judge: J,
}

impl<S, R, J> Service<R> for Broken<S, J>
where
    S: Service<R>,
    S::Error: From<Failure>,
    S::Future: Unpin,
    J: Fn(&S::Error) -> Outcome + Clone + Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<Ready<Result<S::Response, S::Error>>, Passing<S::Future, J>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        match self.breaker.enter() {
            Ok(pass) => Either::Right(Passing {
                inner: self.inner.call(request),
                judge: self.judge.clone(),
                pass: Some(pass),
            }),
            Err(left) => Either::Left(ready(Err(refusal(left).into()))),
        }
    }
}

fn refusal(left: Duration) -> Failure {
    let said = format!(
        "failed again and again and is left alone; it is tried again in {:.1} s",
        left.as_secs_f64()
    );
    let mut failure = Failure::ours(FailureClass::Transient, CIRCUIT_OPEN, said);
    failure.retry_after = Some(left);
    failure
}

/// A call that was let through.
#[derive(Debug)]
pub struct Passing<F, J> {
    inner: F,
    judge: J,
    pass: Option<Pass>,
}

impl<F, J, T, E> Future for Passing<F, J>
where
    F: Future<Output = Result<T, E>> + Unpin,
    J: Fn(&E) -> Outcome + Unpin,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let result = std::task::ready!(Pin::new(&mut this.inner).poll(cx));
        if let Some(pass) = this.pass.take() {
            pass.settle(result.as_ref().map_or_else(&this.judge, |_| Outcome::Works));
        }
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use tokio::time::advance;
    use tower_test::mock;

    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(Config::default())
    }

    fn break_it(breaker: &Breaker) {
        for _ in 0..3 {
            breaker.enter().unwrap().settle(Outcome::Broken);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_three_in_a_row_and_a_success_between_starts_anew() {
        let breaker = breaker();
        for outcome in [Outcome::Broken, Outcome::Broken, Outcome::Works, Outcome::Broken] {
            breaker.enter().unwrap().settle(outcome);
        }
        breaker.enter().unwrap().settle(Outcome::Broken);
        assert_eq!(breaker.standing(), Standing::Closed);
        breaker.enter().unwrap().settle(Outcome::Silent);
        breaker.enter().unwrap().settle(Outcome::Broken);
        assert_eq!(breaker.standing(), Standing::Open(Duration::from_secs(5)));
        assert_eq!(breaker.enter().unwrap_err(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn one_probe_is_let_through_and_closes_it() {
        let breaker = breaker();
        break_it(&breaker);
        advance(Duration::from_secs(5)).await;
        let probe = breaker.enter().unwrap();
        assert!(breaker.enter().is_err(), "only one probe at a time");
        probe.settle(Outcome::Works);
        assert_eq!(breaker.standing(), Standing::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn that_it_opens_and_that_it_closes_is_told_once_each() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let hears: Told = Arc::new(move |tripped| heard.lock().unwrap().push(tripped));
        let breaker = Breaker::told(Config::default(), hears);
        break_it(&breaker);
        advance(Duration::from_secs(5)).await;
        breaker.enter().unwrap().settle(Outcome::Broken);
        assert_eq!(*told.lock().unwrap(), [true], "a failed probe is no news");
        advance(Duration::from_secs(10)).await;
        breaker.enter().unwrap().settle(Outcome::Works);
        assert_eq!(*told.lock().unwrap(), [true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_failed_probe_doubles_the_pause_up_to_a_minute() {
        let breaker = breaker();
        break_it(&breaker);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let Standing::Open(left) = breaker.standing() else { panic!("not open") };
            pauses.push(left.as_secs());
            advance(left).await;
            breaker.enter().unwrap().settle(Outcome::Broken);
        }
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_is_away_is_looked_for_again_after_the_first_pause_each_time() {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.enter().unwrap().settle(Outcome::SourceAway);
        }
        for _ in 0..4 {
            assert_eq!(breaker.standing(), Standing::Open(Duration::from_secs(5)));
            advance(Duration::from_secs(5)).await;
            breaker.enter().unwrap().settle(Outcome::SourceAway);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_probe_is_given_back_and_late_answers_change_nothing() {
        let breaker = breaker();
        let late = breaker.enter().unwrap();
        break_it(&breaker);
        late.settle(Outcome::Works);
        assert!(matches!(breaker.standing(), Standing::Open(_)));
        advance(Duration::from_secs(5)).await;
        drop(breaker.enter().unwrap());
        assert!(breaker.enter().is_ok(), "the probe was given back");
    }

    /// What the mock answers with; carries whether the breaker refused.
    #[derive(Debug, PartialEq)]
    enum Refused {
        Breaker(String),
        Inner,
    }

    impl From<Failure> for Refused {
        fn from(failure: Failure) -> Self {
            Self::Breaker(failure.reason)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_layer_counts_what_the_judge_says_and_refuses_without_asking_the_tool() {
        use tower::ServiceExt as _;
        let (inner, mut tool) = mock::pair::<u8, u8>();
        let inner = inner.map_err(|_| Refused::Inner);
        let service = BreakerLayer::new(breaker(), |_: &Refused| Outcome::Broken).layer(inner);
        let (mut asked, mut refused) = (0, 0);
        for _ in 0..5 {
            let answers = async {
                let (_, answer) = tool.next_request().await.unwrap();
                asked += 1;
                answer.send_error("broken");
                std::future::pending().await
            };
            let told = tokio::select! {
                told = service.clone().oneshot(1) => told,
                () = answers => unreachable!(),
            };
            match told {
                Err(Refused::Breaker(reason)) => {
                    assert_eq!(reason, "CIRCUIT_OPEN");
                    refused += 1;
                }
                other => assert_eq!(other, Err(Refused::Inner)),
            }
        }
        assert_eq!((asked, refused), (3, 2));
    }
}
