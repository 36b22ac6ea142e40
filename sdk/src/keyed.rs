//! Calls with one idempotency key: one effect and equal results. Each key has one deed, worked on
//! in a task that no caller owns, since a cut connection must not undo what a retry will ask for.
//! Outcomes are kept in memory, within a number, a size and a time. It decides nothing on tools.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use serde_json::{Map, Value};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    failure::{Effects, Failure, FailureClass},
    offered::Work,
    output::Output,
    running::panic_failure,
    shelter::Shelter,
};

/// Keys that are remembered.
const KEYS: usize = 1024;
/// How long an outcome is remembered.
const KEPT: Duration = Duration::from_hours(1);
/// Bytes of results that are remembered in all.
const BYTES: usize = 32 * 1024 * 1024;

/// How long work that nobody waits for may still take; as long as a process that stops waits.
const GRACE: Duration = Duration::from_secs(25);

/// What came of a deed.
pub(crate) type Outcome = Result<Output, Failure>;

/// Tool and key: one key may belong to one tool only.
type Key = (String, String);

/// What is remembered of one instance.
#[derive(Default)]
pub(crate) struct Deeds {
    held: Mutex<BTreeMap<Key, Arc<Deed>>>,
}

/// What is done under one key.
struct Deed {
    arguments: Value,
    /// Size of the arguments as they came, in bytes.
    size: usize,
    outcome: watch::Sender<Option<(Arc<Outcome>, Instant)>>,
    /// Callers that wait for it.
    waiting: watch::Sender<usize>,
    /// Cancelled once nobody waits; the work may stop where it has changed nothing.
    withdrawn: CancellationToken,
}

/// What a call under a key has to do.
enum Claim {
    /// It is the first: to begin the work.
    First(Waiter),
    /// Another began it: to wait for what comes of it.
    Further(Waiter),
}

/// One caller that waits for a deed; dropped when the caller leaves.
struct Waiter {
    deed: Arc<Deed>,
}

/// One call under a key.
pub(crate) struct Keyed {
    deeds: Arc<Deeds>,
    key: Key,
    arguments: String,
    claim: Option<Claim>,
}

// === impl Deeds ===

impl Deeds {
    /// What a call of `tool` has to do.
    ///
    /// # Errors
    /// A failure without effects when the key was used with other arguments.
    fn claim(&self, key: &Key, arguments: &str) -> Result<Claim, Failure> {
        // As JSON, since agentd after an upgrade may write the same arguments in other text. They
        // were read before, so what does not parse here is the empty text.
        let (size, arguments) = (arguments.len(), serde_json::from_str(arguments));
        let arguments: Value = arguments.unwrap_or_else(|_| Value::Object(Map::new()));
        let mut held = self.held();
        let now = Instant::now();
        if let Some(deed) = held.get(key).filter(|deed| !deed.is_stale(now)) {
            if deed.arguments != arguments {
                let how = "was used with other arguments; take another key, or the same arguments";
                let mut failure = Failure::invalid_argument("idempotency_key", how);
                failure.reason = "IDEMPOTENCY_KEY_REUSED".to_owned();
                return Err(failure.nothing_changed());
            }
            return Ok(Claim::Further(Waiter::of(deed)));
        }
        let deed = Arc::new(Deed {
            arguments,
            size,
            outcome: watch::channel(None).0,
            waiting: watch::channel(0).0,
            withdrawn: CancellationToken::new(),
        });
        let waiter = Waiter::of(&deed);
        held.insert(key.clone(), deed);
        forget_the_oldest(&mut held, now);
        Ok(Claim::First(waiter))
    }

    /// Takes down what came of a deed and tells all who wait. One that failed and changed nothing
    /// leaves the key free for another try.
    fn settle(&self, key: &Key, deed: &Arc<Deed>, outcome: Outcome) {
        let free = matches!(&outcome, Err(failure) if failure.effects == Effects::None);
        let mut held = self.held();
        if free && held.get(key).is_some_and(|held| Arc::ptr_eq(held, deed)) {
            held.remove(key);
        }
        let now = Instant::now();
        deed.outcome.send_replace(Some((Arc::new(outcome), now)));
        forget_the_oldest(&mut held, now);
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Deed>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps to the bounds. What is still worked on stays: it is bounded by the calls taken at once.
fn forget_the_oldest(held: &mut BTreeMap<Key, Arc<Deed>>, now: Instant) {
    held.retain(|_, deed| !deed.is_stale(now));
    let mut done: Vec<_> = held
        .iter()
        .filter_map(|(key, deed)| deed.done().map(|(at, size)| (at, size, key.clone())))
        .collect();
    done.sort();
    let mut bytes: usize = done.iter().map(|(_, size, _)| size).sum();
    for (_, size, key) in done {
        if held.len() <= KEYS && bytes <= BYTES {
            return;
        }
        bytes -= size;
        held.remove(&key);
    }
}

// === impl Deed ===

impl Deed {
    /// What came of it, once it is over.
    async fn outcome(&self) -> Arc<Outcome> {
        let mut outcome = self.outcome.subscribe();
        match outcome.wait_for(Option::is_some).await.map(|outcome| outcome.clone()) {
            Ok(Some((outcome, _))) => outcome,
            // The sender lives as long as this does.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Resolves when no caller waits any more.
    async fn left_alone(&self) {
        let _ = self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await;
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.outcome.borrow().as_ref().is_some_and(|(_, at)| now.duration_since(*at) > KEPT)
    }

    /// When it was over, and how large what is remembered of it is.
    fn done(&self) -> Option<(Instant, usize)> {
        let outcome = self.outcome.borrow();
        let (outcome, at) = outcome.as_ref()?;
        let size = match outcome.as_ref() {
            Ok(output) => output.size(),
            Err(failure) => failure.message.len(),
        };
        Some((*at, size + self.size))
    }
}

// === impl Waiter ===

impl Waiter {
    fn of(deed: &Arc<Deed>) -> Self {
        deed.waiting.send_modify(|waiting| *waiting += 1);
        Self { deed: Arc::clone(deed) }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.deed.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}

// === impl Keyed ===

impl Keyed {
    /// A call of `tool` under `key`.
    ///
    /// # Errors
    /// A failure without effects when the key was used with other arguments.
    pub(crate) fn new(
        deeds: &Arc<Deeds>,
        tool: &str,
        key: &str,
        arguments: String,
    ) -> Result<Self, Failure> {
        let key = (tool.to_owned(), key.to_owned());
        let claim = Some(deeds.claim(&key, &arguments)?);
        Ok(Self { deeds: Arc::clone(deeds), key, arguments, claim })
    }

    /// What comes of the key: of the work that `begin` makes, given a token that tells when nobody
    /// waits any more, or of the work another call began.
    pub(crate) async fn outcome(
        mut self,
        shelter: &Shelter,
        begin: impl FnOnce(CancellationToken) -> Work,
    ) -> Outcome {
        loop {
            match &self.claim {
                Some(Claim::First(waiter)) => {
                    let deed = Arc::clone(&waiter.deed);
                    let work = begin(deed.withdrawn.clone());
                    let (deeds, key) = (Arc::clone(&self.deeds), self.key.clone());
                    let working = Arc::clone(&deed);
                    shelter.begin(async move {
                        let outcome = until_given_up(&working, work).await;
                        deeds.settle(&key, &working, outcome);
                    });
                    // From here on the work settles the key, not this call.
                    self.claim = Some(Claim::Further(Waiter::of(&deed)));
                    return deed.outcome().await.as_ref().clone();
                }
                Some(Claim::Further(waiter)) => {
                    let outcome = waiter.deed.outcome().await;
                    let stopped = waiter.deed.withdrawn.is_cancelled()
                        && matches!(&*outcome, Err(failure) if failure.effects == Effects::None);
                    if !stopped {
                        return outcome.as_ref().clone();
                    }
                    // It heeded that those before had left, and changed nothing: now it is our turn.
                    self.claim = Some(self.deeds.claim(&self.key, &self.arguments)?);
                }
                None => return Err(unknown()),
            }
        }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        if let Some(Claim::First(waiter)) = &self.claim {
            // Withdrawn before the work began.
            waiter.deed.withdrawn.cancel();
            let message = "the call was withdrawn before it began";
            let failure = Failure::new(FailureClass::Cancelled, "CANCELLED", message);
            self.deeds.settle(&self.key, &waiter.deed, Err(failure.nothing_changed()));
        }
    }
}

/// The work's outcome, unless nobody has waited for it for too long.
async fn until_given_up(deed: &Deed, work: Work) -> Outcome {
    let given_up = async {
        loop {
            deed.left_alone().await;
            deed.withdrawn.cancel();
            tokio::time::sleep(GRACE).await;
            if *deed.waiting.borrow() == 0 {
                return;
            }
        }
    };
    let outcome = tokio::select! {
        biased;
        outcome = AssertUnwindSafe(work).catch_unwind() => {
            outcome.unwrap_or_else(|panic| Err(panic_failure(panic.as_ref())))
        }
        () = given_up => Err(unknown()),
    };
    outcome.map_err(|failure| failure.said_or(Effects::Maybe))
}

/// What a key answers whose work was given up: it may have changed something.
fn unknown() -> Failure {
    let message = "an earlier attempt under this idempotency key was given up, and it is not known \
                   what it changed";
    Failure::new(FailureClass::Timeout, "OUTCOME_UNKNOWN", message).effects(Effects::Maybe)
}

#[cfg(test)]
mod tests;
