//! The stack as a whole on a paused clock, over a client that plays a script. What is counted is
//! attempts that reached the client.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

use futures_util::future::join_all;
use tokio::{
    sync::mpsc,
    time::{Instant, advance},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::plugin::{instance::Line, schema::Contract};
use crate::{
    guard::{breaker, policy::tests as policy},
    plugin::{
        CallCx, CallUpdate,
        attempt::Record,
        bell::Bell,
        client,
        ear::Ear,
        fake::keep,
        instance::{Before, Instance, Made},
    },
    tool::{RateLimit, Retry},
};

mod replicas;

/// What the client does with one attempt.
#[derive(Debug, Clone, Copy)]
enum Does {
    /// Succeeds after so many milliseconds.
    Works(u64),
    /// Fails at once with this class.
    Fails(FailureClass),
    /// Never answers.
    Hangs,
    /// Cannot be reached at instance "i", and succeeds at others.
    Gone,
    /// Fails at instance "i", and succeeds at others.
    WorksElsewhere,
    /// As that, and from the fourth time on never answers at instance "i".
    HangsLater,
}

/// A client that plays a script, then repeats its last line.
#[derive(Debug, Clone)]
struct Script {
    lines: Arc<[Does]>,
    sent: Arc<AtomicU32>,
    running: Arc<AtomicU32>,
    most: Arc<AtomicU32>,
    /// The instance of each attempt.
    asked: Arc<Mutex<Vec<String>>>,
    /// When each attempt was made.
    times: Arc<Mutex<Vec<Instant>>>,
}

impl Script {
    fn new(lines: &[Does]) -> Self {
        let (sent, running, most, asked, times) = Default::default();
        Self { lines: lines.into(), sent, running, most, asked, times }
    }

    fn times_at_first(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|id| *id == "i").count()
    }

    fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Service<Attempt> for Script {
    type Response = CallOutput;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<CallOutput, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let at = usize::try_from(self.sent.fetch_add(1, Ordering::Relaxed)).unwrap();
        let line = self.lines[at.min(self.lines.len() - 1)];
        let script = self.clone();
        Box::pin(async move {
            let id = attempt.seat.instance().id.clone();
            let at_first = id == "i";
            script.asked.lock().unwrap().push(id);
            script.times.lock().unwrap().push(Instant::now());
            let _attempt = attempt;
            let running = script.running.fetch_add(1, Ordering::Relaxed) + 1;
            script.most.fetch_max(running, Ordering::Relaxed);
            let result = match line {
                Does::Works(millis) => {
                    sleep(Duration::from_millis(millis)).await;
                    Ok(CallOutput::default())
                }
                Does::Fails(class) => Err(Fault::sent(Failure::ours(class, "SCRIPT", "as told"))),
                Does::Hangs => std::future::pending().await,
                Does::Gone if at_first => Err(Fault::broken(Failure::ours(
                    FailureClass::Transient,
                    crate::plugin::fault::CONNECT_FAILED,
                    "no route",
                ))),
                Does::HangsLater if at_first && script.times_at_first() > 3 => {
                    std::future::pending().await
                }
                Does::WorksElsewhere | Does::HangsLater if at_first => {
                    Err(Fault::sent(Failure::ours(FailureClass::Transient, "SCRIPT", "as told")))
                }
                Does::Gone | Does::WorksElsewhere | Does::HangsLater => Ok(CallOutput::default()),
            };
            script.running.fetch_sub(1, Ordering::Relaxed);
            result
        })
    }
}

struct Rig {
    stack: ToolStack,
    spec: Arc<ToolSpec>,
    pool: Arc<Pool>,
    instance: Arc<Instance>,
    script: Script,
    cancel: CancellationToken,
    updates: mpsc::Sender<CallUpdate>,
    told: Mutex<mpsc::Receiver<CallUpdate>>,
}

/// An instance of the tool's plugin that serves.
fn instance(id: &str, spec: &Arc<ToolSpec>, bell: Arc<Bell>) -> Arc<Instance> {
    made(id, 100, spec, bell)
}

fn made(id: &str, weight: u32, spec: &Arc<ToolSpec>, bell: Arc<Bell>) -> Arc<Instance> {
    let made = Made {
        id: id.to_owned(),
        plugin: spec.id.plugin.clone(),
        version: "1.0.0".to_owned(),
        endpoint: "127.0.0.1:1".to_owned(),
        line: Line::Direct {
            channel: client::channel("127.0.0.1:1".parse().unwrap(), None).unwrap(),
            authorization: None,
        },
        max_calls: 100,
        weight,
        offers: vec![spec.id.clone()],
        catalog_digest: String::new(),
        before: Before::default(),
    };
    let hour = Instant::now() + Duration::from_secs(3600);
    let instance = Arc::new(Instance::new(made, bell, hour));
    instance.serves();
    instance
}

impl Rig {
    fn new(lines: &[Does]) -> Self {
        Self::with(lines, |_| {})
    }

    fn with(lines: &[Does], change: impl FnOnce(&mut ToolSpec)) -> Self {
        let mut spec = policy::spec("look", SideEffect::ReadOnly);
        change(&mut spec);
        let (spec, bell) = (Arc::new(spec), Arc::new(Bell::default()));
        let pool = Arc::new(Pool::new(Arc::clone(&spec), Arc::clone(&bell)));
        let instance = instance("i", &spec, bell);
        pool.join(Arc::clone(&instance));
        let script = Script::new(lines);
        let breaker = Breaker::new(breaker::Config::default());
        let shared = spec.rate_limit.filter(|limit| limit.shared).and_then(Bucket::new);
        let stack = build(Arc::clone(&pool), (breaker, shared), script.clone());
        let (updates, told) = mpsc::channel(1000);
        let (cancel, told) = (CancellationToken::new(), Mutex::new(told));
        Self { stack, spec, pool, instance, script, cancel, updates, told }
    }

    /// One call with so many milliseconds to its deadline.
    async fn call(&self, millis: u64) -> Result<CallOutput, Failure> {
        let cx = CallCx {
            deadline: Instant::now() + Duration::from_millis(millis),
            cancel: self.cancel.clone(),
            updates: self.updates.clone(),
            principal: String::new(),
            environment: String::new(),
        };
        let ask = Ask {
            contract: Arc::new(Contract::read("", "").unwrap()),
            call: Arc::new(policy::call(&self.spec)),
            spec: Arc::clone(&self.spec),
            record: Record::new(cx.updates.clone()),
            cx: Arc::new(cx),
            attempt: 1,
            refusals: 0,
            avoided: None,
            redact: keep,
            ear: Ear::default(),
        };
        self.stack.clone().oneshot(ask).await.map_err(|fault| fault.failure)
    }

    async fn reason(&self, millis: u64) -> String {
        self.call(millis).await.unwrap_err().reason
    }

    /// Attempts started, finished, and finished with a retry to follow.
    fn told(&self) -> (u32, u32, u32) {
        let (mut started, mut finished, mut again) = (0, 0, 0);
        while let Ok(update) = self.told.lock().unwrap().try_recv() {
            match update {
                CallUpdate::Started { .. } => started += 1,
                CallUpdate::Finished { will_retry, .. } => {
                    finished += 1;
                    again += u32::from(will_retry);
                }
                CallUpdate::Progressed { .. } => {}
            }
        }
        (started, finished, again)
    }
}

const TRANSIENT: Does = Does::Fails(FailureClass::Transient);

#[tokio::test(start_paused = true)]
async fn record_tells_every_attempt_once_however_it_ends() {
    for (lines, millis, told) in [
        (&[Does::Works(5)][..], 60_000, (1, 1, 0)),
        (&[TRANSIENT, TRANSIENT, Does::Works(5)], 60_000, (3, 3, 2)),
        (&[TRANSIENT], 60_000, (3, 3, 2)),
        (&[Does::Fails(FailureClass::NotFound)], 60_000, (1, 1, 0)),
        (&[Does::Hangs], 600, (1, 1, 0)),
        (&[Does::Works(5)], 0, (0, 0, 0)),
        (&[Does::Works(5)], 100, (0, 0, 0)),
    ] {
        let rig = Rig::new(lines);
        let _ = rig.call(millis).await;
        assert_eq!(rig.told(), told, "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn halt_drops_a_running_attempt_and_ends_a_pause() {
    for lines in [[Does::Hangs], [TRANSIENT]] {
        let rig = Rig::with(&lines, |spec| {
            spec.retry.initial_backoff = Duration::from_secs(3000);
            spec.retry.max_backoff = Duration::from_secs(3000);
            spec.timeout = Duration::from_secs(50);
        });
        let started = Instant::now();
        let (result, ()) = tokio::join!(rig.reason(7_200_000), async {
            advance(Duration::from_millis(1)).await;
            rig.cancel.cancel();
        });
        assert_eq!(result, "CANCELLED", "{lines:?}");
        assert!(started.elapsed() < Duration::from_secs(1), "{lines:?}");
        assert_eq!(rig.instance.in_flight(), 0, "the place was given back");
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_attempts_pauses_and_waiting_together() {
    let rig = Rig::with(&[TRANSIENT], |spec| {
        spec.retry = Retry {
            classes: Vec::new(),
            max_attempts: 99,
            initial_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(100),
            multiplier: 1.0,
        };
    });
    let started = Instant::now();
    assert!(rig.call(2000).await.is_err());
    assert!(started.elapsed() <= Duration::from_millis(2000), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_deadline_bounds_waiting_for_the_concurrency_limit() {
    let rig = Rig::with(&[Does::Works(30_000)], |spec| {
        spec.timeout = Duration::from_secs(50);
        spec.rate_limit = Some(RateLimit {
            calls: 1000,
            period: Duration::from_secs(1),
            burst: 1000,
            max_concurrent: 1,
            shared: true,
        });
    });
    let (first, second) = tokio::join!(rig.call(60_000), async {
        let started = Instant::now();
        let reason = rig.reason(500).await;
        (reason, started.elapsed())
    });
    assert!(first.is_ok());
    assert_eq!(second, ("DEADLINE_EXCEEDED".to_owned(), Duration::from_millis(500)));
    assert_eq!(rig.script.sent(), 1, "the one that waited was never sent");
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_rate_wait_in_the_retry_and_are_all_made_in_time() {
    let rig = Rig::with(&[Does::Works(1)], |spec| {
        spec.rate_limit = Some(RateLimit {
            calls: 10,
            period: Duration::from_secs(1),
            burst: 0,
            max_concurrent: 0,
            shared: true,
        });
    });
    let started = Instant::now();
    let results = join_all((0..12).map(|_| rig.call(60_000))).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(started.elapsed() >= Duration::from_millis(1100), "{:?}", started.elapsed());
    assert_eq!(rig.told(), (12, 12, 0), "a refusal of our own is no attempt");
    let late = join_all((0..3).map(|_| rig.reason_or_ok(300))).await;
    assert!(late.contains(&"RATE_LIMITED".to_owned()), "{late:?}");
}

impl Rig {
    async fn reason_or_ok(&self, millis: u64) -> String {
        self.call(millis).await.map_or_else(|failure| failure.reason, |_| "OK".to_owned())
    }
}

#[tokio::test(start_paused = true)]
async fn the_breaker_sees_attempts_and_stops_even_the_retries() {
    let rig = Rig::with(&[TRANSIENT], |spec| spec.retry.max_attempts = 5);
    assert_eq!(rig.reason(3000).await, "CIRCUIT_OPEN");
    assert_eq!(rig.script.sent(), 3);
    assert_eq!(rig.reason(3000).await, "CIRCUIT_OPEN");
    assert_eq!(rig.script.sent(), 3, "refused without asking");
    advance(Duration::from_secs(6)).await;
    let _ = rig.call(3000).await;
    assert_eq!(rig.script.sent(), 4, "one probe");
}

#[tokio::test(start_paused = true)]
async fn sensible_refusals_leave_the_breaker_closed() {
    use FailureClass as C;
    for (class, open) in [
        (C::NotFound, false),
        (C::InvalidArgument, false),
        (C::Permission, false),
        (C::Config, false),
        (C::RateLimited, false),
        (C::Cancelled, false),
        (C::Bug, true),
        (C::External, true),
        (C::Transient, true),
        (C::Timeout, true),
    ] {
        let rig = Rig::with(&[Does::Fails(class)], |spec| spec.retry.max_attempts = 1);
        for _ in 0..3 {
            assert_eq!(rig.reason(2000).await, "SCRIPT");
        }
        assert_eq!(rig.reason(2000).await == "CIRCUIT_OPEN", open, "{class:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_hangs_is_given_up_and_counts_against_the_tool() {
    let rig = Rig::with(&[Does::Hangs], |spec| spec.retry.max_attempts = 1);
    let started = Instant::now();
    assert_eq!(rig.reason(60_000).await, "ATTEMPT_TIMED_OUT");
    assert_eq!(started.elapsed(), Duration::from_secs(1) + GRACE, "the tool's timeout and grace");
    assert_eq!(rig.instance.in_flight(), 0);
    let started = Instant::now();
    assert_eq!(rig.reason(800).await, "ATTEMPT_TIMED_OUT");
    assert!(started.elapsed() <= Duration::from_millis(800), "time left is the tighter bound");
    assert_eq!(rig.reason(60_000).await, "ATTEMPT_TIMED_OUT");
    assert_eq!(rig.reason(2000).await, "CIRCUIT_OPEN");
}
