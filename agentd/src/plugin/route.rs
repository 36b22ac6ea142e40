//! The layer that finds an instance for an attempt: the least busy of the ready ones that offer
//! the tool at this digest, ties at random. While there is none it waits, in a queue of bounded
//! length, until shortly before the deadline, so that the reason given is the true one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tower::{Layer, Service, ServiceExt as _};
use uuid::Uuid;

use super::{
    attempt::{Ask, Attempt, Fault},
    fault::CONNECT_FAILED,
    instance::{Bell, Instance, Place},
    luck,
    stack::KEPT,
};
use crate::tool::{CallOutput, Failure, FailureClass, ToolSpec};

/// Calls that may wait for an instance of one tool.
const QUEUE: usize = 64;
/// Longest time one attempt may take, whatever the tool declares.
const POLICY_CAP: Duration = Duration::from_secs(60);

/// The instances that offer one tool at one digest.
#[derive(Debug)]
pub(crate) struct Pool {
    spec: Arc<ToolSpec>,
    bell: Arc<Bell>,
    queue: Semaphore,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    instances: Vec<Arc<Instance>>,
    last_failure: Option<Failure>,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(spec: Arc<ToolSpec>, bell: Arc<Bell>) -> Self {
        Self { spec, bell, queue: Semaphore::new(QUEUE), inside: Mutex::default() }
    }

    /// The tool.
    pub(crate) fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    /// Adds an instance.
    pub(crate) fn join(&self, instance: Arc<Instance>) {
        self.lock().instances.push(instance);
    }

    /// Takes one out, and tells whether any is left.
    pub(crate) fn leave(&self, instance: &Arc<Instance>) -> bool {
        let mut inside = self.lock();
        inside.instances.retain(|held| !Arc::ptr_eq(held, instance));
        !inside.instances.is_empty()
    }

    /// Instances that take calls now.
    pub(crate) fn ready(&self, now: Instant) -> usize {
        let tool = &self.spec.id.tool;
        self.lock().instances.iter().filter(|one| one.ready_for(tool, now)).count()
    }

    /// Whether an instance takes calls now that has not just been unreachable.
    fn has_sound_one(&self) -> bool {
        let (tool, now) = (&self.spec.id.tool, Instant::now());
        let sound =
            |one: &Arc<Instance>| one.burden(tool, now).is_some_and(|(shunned, _)| !shunned);
        self.lock().instances.iter().any(sound)
    }

    /// The most recent failure of a call that was sent.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.lock().last_failure.clone()
    }

    fn note(&self, failure: Failure) {
        self.lock().last_failure = Some(failure);
    }

    /// The best place there is now.
    fn pick(&self) -> Option<Place> {
        loop {
            let best = self.best()?;
            // Calls to other tools of the instance may have taken the last place since.
            if let Some(place) = best.take() {
                return Some(place);
            }
        }
    }

    fn best(&self) -> Option<Arc<Instance>> {
        let now = Instant::now();
        let tool = &self.spec.id.tool;
        let inside = self.lock();
        let mut best: Option<(bool, u32)> = None;
        let mut equals = Vec::new();
        for instance in &inside.instances {
            let Some(burden) = instance.burden(tool, now) else { continue };
            if best.is_none_or(|best| burden < best) {
                best = Some(burden);
                equals.clear();
            }
            if best == Some(burden) {
                equals.push(Arc::clone(instance));
            }
        }
        drop(inside);
        drawn(equals)
    }

    /// A place, waited for until shortly before `deadline`.
    async fn place(&self, deadline: Instant) -> Result<Place, Fault> {
        if let Some(place) = self.pick() {
            return Ok(place);
        }
        let Ok(_waits) = self.queue.try_acquire() else {
            return Err(self.nobody("more calls wait for one than may wait"));
        };
        let waiting = async {
            loop {
                let woken = self.bell.place();
                tokio::pin!(woken);
                // Listening begins before looking, so that no change is missed between the two.
                woken.as_mut().enable();
                if let Some(place) = self.pick() {
                    return place;
                }
                woken.await;
            }
        };
        let until = deadline.checked_sub(KEPT).unwrap_or(deadline);
        timeout_at(until, waiting)
            .await
            .map_err(|_| self.nobody("none became ready, or free, in the time allowed"))
    }

    fn nobody(&self, why: &str) -> Fault {
        let said = format!("no instance takes calls to {}: {why}", self.spec.id);
        Failure::ours(FailureClass::Transient, "NO_INSTANCE", said).into()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drawn(mut equals: Vec<Arc<Instance>>) -> Option<Arc<Instance>> {
    let count = u32::try_from(equals.len()).unwrap_or(u32::MAX);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
    let at = (luck::share() * f64::from(count)) as usize;
    (at < equals.len()).then(|| equals.swap_remove(at))
}

/// Turns an [`Ask`] into an [`Attempt`] at an instance.
#[derive(Debug, Clone)]
pub(crate) struct RouteLayer {
    pool: Arc<Pool>,
}

impl RouteLayer {
    /// A layer that chooses from `pool`.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool }
    }
}

impl<S> Layer<S> for RouteLayer {
    type Service = Routed<S>;

    fn layer(&self, inner: S) -> Routed<S> {
        Routed { inner, pool: Arc::clone(&self.pool) }
    }
}

/// A service that is given its instance.
#[derive(Debug, Clone)]
pub(crate) struct Routed<S> {
    inner: S,
    pool: Arc<Pool>,
}

impl<S> Service<Ask> for Routed<S>
where
    S: Service<Attempt, Response = CallOutput, Error = Fault> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = CallOutput;
    type Error = Fault;
    type Future = BoxFuture<'static, Result<CallOutput, Fault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        let (pool, inner) = (Arc::clone(&self.pool), self.inner.clone());
        Box::pin(async move {
            let place = Arc::new(pool.place(ask.cx.deadline).await?);
            let left = ask.cx.deadline.saturating_duration_since(Instant::now());
            let timeout = pool.spec().timeout.min(POLICY_CAP).min(left.saturating_sub(KEPT));
            if timeout.is_zero() {
                let said = format!("too little time was left to ask {}", pool.spec().id);
                return Err(Failure::ours(FailureClass::Timeout, "DEADLINE_EXCEEDED", said).into());
            }
            let (call_id, held) = (Uuid::new_v4(), Arc::clone(&place));
            let attempt = Attempt { ask, call_id, place: held, timeout };
            let instance = place.instance();
            attempt.ask.record.started(attempt.call_id, attempt.ask.attempt, &instance.id).await;
            let mut result = inner.oneshot(attempt).await;
            let broken_wire = result.as_ref().is_err_and(|fault| fault.broken_wire);
            instance.note(result.is_err(), broken_wire, Instant::now());
            if let Err(fault) = &mut result {
                // An instance that is gone says nothing about the tool while another is there.
                if fault.failure.reason == CONNECT_FAILED && pool.has_sound_one() {
                    fault.sent = false;
                }
                pool.note(fault.failure.clone());
            }
            result
        })
    }
}
