//! The layer that finds an instance for an attempt: of two drawn by weight among the ready ones that
//! offer the tool at this digest, the one that is less busy (the power of two choices). What fails
//! again and again is left out for a while. While there is none it waits, in a queue of bounded
//! length, until shortly before the deadline, so that the reason given is the true one.

use std::{
    collections::VecDeque,
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
    bell::Bell,
    clean,
    ejection::{Stand, Went},
    fault::{CONNECT_FAILED, MISMATCH},
    instance::Instance,
    luck,
    member::{Member, Seat},
    registry::RecentCall,
    stack::{KEPT, TOO_LARGE},
};
use crate::tool::{CallOutput, Failure, FailureClass, Flaw, ToolSpec};

/// Calls that may wait for an instance of one tool. PROTOCOL has 64; a call that waits costs a few
/// kilobytes and one that is refused costs an answer, so that here are more.
const QUEUE: usize = 1024;
/// Attempts whose end is remembered.
const ENDED: usize = 20;
/// What of one is remembered that was wrong although it succeeded.
const MAX_FLAWS: usize = 4;
/// Longest of them, in bytes.
const MAX_FLAW: usize = 512;
/// Longest time one attempt may take, whatever the tool declares.
const POLICY_CAP: Duration = Duration::from_secs(60);

/// The instances that offer one tool at one digest.
#[derive(Debug)]
pub(crate) struct Pool {
    spec: Arc<ToolSpec>,
    bell: Arc<Bell>,
    queue: Semaphore,
    /// Held by the call whose turn it is to take a seat; the others stand in line behind it.
    turn: tokio::sync::Mutex<()>,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    members: Vec<Arc<Member>>,
    last_failure: Option<Failure>,
    /// How attempts ended, oldest first.
    ended: VecDeque<Ended>,
    /// Calls in a row that were refused for want of a permission.
    denied: u32,
}

#[derive(Debug)]
struct Ended {
    at: Instant,
    took: Duration,
    instance_id: String,
    failure: Option<Failure>,
    flaws: Vec<Flaw>,
}

impl Pool {
    /// An empty pool.
    pub(crate) fn new(spec: Arc<ToolSpec>, bell: Arc<Bell>) -> Self {
        let (queue, turn) = (Semaphore::new(QUEUE), tokio::sync::Mutex::default());
        Self { spec, bell, queue, turn, inside: Mutex::default() }
    }

    /// The tool.
    pub(crate) fn spec(&self) -> &Arc<ToolSpec> {
        &self.spec
    }

    /// Adds an instance.
    pub(crate) fn join(&self, instance: Arc<Instance>) {
        let member = Arc::new(Member::new(instance, self.spec.rate_limit));
        self.lock().members.push(member);
    }

    /// Takes one out, and tells whether any is left.
    pub(crate) fn leave(&self, instance: &Arc<Instance>) -> bool {
        let mut inside = self.lock();
        inside.members.retain(|held| !Arc::ptr_eq(&held.instance, instance));
        !inside.members.is_empty()
    }

    /// Instances that take calls now.
    pub(crate) fn ready(&self, now: Instant) -> usize {
        self.standing(now).len()
    }

    /// Whether an instance takes calls now that is not ejected, `other` than this one.
    pub(crate) fn has_sound_one(&self, other: &str) -> bool {
        let sound = |(member, stand): &(Arc<Member>, Stand)| {
            *stand != Stand::Out && member.instance.id != other
        };
        self.standing(Instant::now()).iter().any(sound)
    }

    /// The most recent failure of a call that was sent.
    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.lock().last_failure.clone()
    }

    /// Calls in a row that were refused for want of a permission.
    pub(crate) fn denied(&self) -> u32 {
        self.lock().denied
    }

    /// How attempts ended, newest first.
    pub(crate) fn recent(&self, now: Instant) -> Vec<RecentCall> {
        let inside = self.lock();
        let newest = inside.ended.iter().rev();
        newest
            .map(|ended| RecentCall {
                ago: now.saturating_duration_since(ended.at),
                took: ended.took,
                instance_id: ended.instance_id.clone(),
                failure: ended.failure.clone(),
                flaws: ended.flaws.clone(),
            })
            .collect()
    }

    /// Those that take calls, each with how it stands.
    fn standing(&self, now: Instant) -> Vec<(Arc<Member>, Stand)> {
        let tool = &self.spec.id.tool;
        let inside = self.lock();
        let ready = inside.members.iter();
        ready.filter_map(|one| Some((Arc::clone(one), one.stand(tool, now)?))).collect()
    }

    /// Notes how a call went. At most half of the instances may be ejected at once.
    fn note(&self, seat: &Seat, result: &Result<CallOutput, Fault>, since: Instant) {
        let now = Instant::now();
        let mut inside = self.lock();
        let failure = result.as_ref().err().map(|fault| fault.failure.clone());
        inside.denied = match &failure {
            Some(failure) if failure.class == FailureClass::Permission => {
                inside.denied.saturating_add(1)
            }
            Some(_) => inside.denied,
            None => 0,
        };
        if failure.is_some() {
            inside.last_failure.clone_from(&failure);
        }
        if inside.ended.len() == ENDED {
            inside.ended.pop_front();
        }
        let (took, instance_id) = (now - since, seat.instance().id.clone());
        let flaws = result.as_ref().map(flaws).unwrap_or_default();
        inside.ended.push_back(Ended { at: now, took, instance_id, failure, flaws });
        let out = inside.members.iter().filter(|one| one.is_out(now)).count();
        let may_leave = 2 * (out + 1) <= inside.members.len();
        drop(inside);
        let wire_broke = result.as_ref().is_err_and(|fault| fault.broken_wire);
        seat.note(went(result), wire_broke, may_leave);
    }

    /// The best seat there is now, elsewhere than at `avoided` where that can be.
    fn pick(&self, avoided: Option<&str>) -> Result<Option<Seat>, Failure> {
        let now = Instant::now();
        let mut standing = self.standing(now);
        if standing.iter().any(|(_, stand)| *stand != Stand::Out) {
            standing.retain(|(_, stand)| *stand != Stand::Out);
        }
        if standing.iter().any(|(one, _)| avoided != Some(one.instance.id.as_str())) {
            standing.retain(|(one, _)| avoided != Some(one.instance.id.as_str()));
        }
        let free = standing.into_iter().filter_map(|(one, _)| Some((one.load()?, one)));
        let mut free: Vec<(f64, Arc<Member>)> = free.collect();
        let mut limited: Option<Failure> = None;
        while let Some(best) = less_busy(&mut free) {
            match best.take(now) {
                Ok(Some(seat)) => return Ok(Some(seat)),
                // Others were quicker.
                Ok(None) => {}
                Err(refused) => {
                    if limited.as_ref().is_none_or(|held| refused.retry_after < held.retry_after) {
                        limited = Some(refused);
                    }
                }
            }
        }
        limited.map_or(Ok(None), Err)
    }

    /// A seat, waited for until shortly before `deadline`.
    async fn seat(&self, deadline: Instant, avoided: Option<&str>) -> Result<Seat, Fault> {
        // Nobody is overtaken.
        if let Ok(_turn) = self.turn.try_lock()
            && let Some(seat) = self.pick(avoided)?
        {
            return Ok(seat);
        }
        let Ok(_waits) = self.queue.try_acquire() else {
            return Err(self.nobody("more calls wait for one than may wait"));
        };
        let waiting = async {
            let _turn = self.turn.lock().await;
            loop {
                let woken = self.bell.place();
                tokio::pin!(woken);
                // Listening begins before looking, so that no change is missed between the two.
                woken.as_mut().enable();
                if let Some(seat) = self.pick(avoided)? {
                    return Ok::<_, Failure>(seat);
                }
                woken.await;
            }
        };
        let until = deadline.checked_sub(KEPT).unwrap_or(deadline);
        let seat = timeout_at(until, waiting).await;
        Ok(seat.map_err(|_| self.nobody("none became ready, or free, in the time allowed"))??)
    }

    fn nobody(&self, why: &str) -> Fault {
        let said = format!("no instance takes calls to {}: {why}", self.spec.id);
        Failure::ours(FailureClass::Transient, "NO_INSTANCE", said).into()
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was wrong with a call that succeeded all the same.
fn flaws(output: &CallOutput) -> Vec<Flaw> {
    let defects = output.gaps.iter().filter(|gap| gap.failure.class == FailureClass::Bug);
    let told = defects.map(|gap| Flaw::new(&gap.failure.reason, &gap.failure.message));
    let mut all: Vec<Flaw> = told.chain(output.flaws.iter().cloned()).take(MAX_FLAWS).collect();
    for flaw in &mut all {
        clean::cut(&mut flaw.said, MAX_FLAW);
    }
    all
}

/// What the end of a call tells about the replica that made it.
fn went(result: &Result<CallOutput, Fault>) -> Went {
    use FailureClass as C;
    let Err(fault) = result else { return Went::Well };
    match fault.failure.class {
        _ if fault.failure.reason == TOO_LARGE => Went::Well,
        C::Transient | C::Timeout | C::Bug => Went::Badly,
        // It may be called before it has read what its tools are called.
        C::Config if fault.failure.reason == MISMATCH => Went::Untold,
        C::Config => Went::Hopeless,
        C::InvalidArgument | C::NotFound | C::Permission => Went::Well,
        // Of what is behind it all replicas see the same.
        C::External | C::RateLimited | C::Cancelled => Went::Untold,
    }
}

/// Takes out the less busy of two that are drawn by weight.
fn less_busy(free: &mut Vec<(f64, Arc<Member>)>) -> Option<Arc<Member>> {
    let (load, one) = drawn(free)?;
    match drawn(free) {
        Some((other_load, other)) if other_load < load => {
            free.push((load, one));
            Some(other)
        }
        Some(other) => {
            free.push(other);
            Some(one)
        }
        None => Some(one),
    }
}

/// Takes one out by weight.
fn drawn(free: &mut Vec<(f64, Arc<Member>)>) -> Option<(f64, Arc<Member>)> {
    let weight = |(_, member): &(f64, Arc<Member>)| f64::from(member.instance.weight);
    let mut at = luck::share() * free.iter().map(weight).sum::<f64>();
    let mut chosen = free.len().checked_sub(1)?;
    for (index, one) in free.iter().enumerate() {
        at -= weight(one);
        if at < 0.0 {
            chosen = index;
            break;
        }
    }
    Some(free.swap_remove(chosen))
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
            let seat = pool.seat(ask.cx.deadline, ask.avoided.as_deref()).await?;
            let seat = Arc::new(seat);
            let left = ask.cx.deadline.saturating_duration_since(Instant::now());
            let timeout = pool.spec().timeout.min(POLICY_CAP).min(left.saturating_sub(KEPT));
            if timeout.is_zero() {
                let said = format!("too little time was left to ask {}", pool.spec().id);
                return Err(Failure::ours(FailureClass::Timeout, "DEADLINE_EXCEEDED", said).into());
            }
            let (call_id, held) = (Uuid::new_v4(), Arc::clone(&seat));
            let attempt = Attempt { ask, call_id, seat: held, timeout };
            let at = seat.instance();
            attempt.ask.record.started(attempt.call_id, attempt.ask.attempt, &at.id).await;
            let since = Instant::now();
            let mut result = inner.oneshot(attempt).await;
            pool.note(&seat, &result, since);
            if let Err(fault) = &mut result {
                fault.at = Some(at.id.clone());
                // An instance that is gone says nothing about the tool while another is there.
                if fault.failure.reason == CONNECT_FAILED && pool.has_sound_one("") {
                    fault.sent = false;
                }
            }
            result
        })
    }
}
