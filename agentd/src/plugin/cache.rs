//! Results that stay true for a while, for tools that only read and say so (PROTOCOL 4.13). Asked at
//! once by several, a tool is called once and all are answered. What counts is how old the data is,
//! not when it arrived; what failed, was cut or has holes is not kept.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use moka::future::Cache;

use crate::tool::{Call, CallOutput, Failure, FailureClass, ToolRef, ToolSpec};

/// Bytes of results that are kept.
const MOST: u64 = 64 << 20;
/// What an entry takes beside its texts, in bytes.
const ENTRY: usize = 1024;
/// How long anything is kept: as long as data may be taken for fresh.
const LONGEST: Duration = Duration::from_secs(300);

/// What a result is found again by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// With its plugin: the same descriptor elsewhere is another tool.
    tool: ToolRef,
    /// As text: two that differ in it are two questions.
    arguments: String,
    page: String,
    environment: String,
    /// Empty where principals share.
    principal: String,
}

#[derive(Debug, Clone)]
struct Kept {
    output: Arc<CallOutput>,
    /// From then on it is too old; none for what must not be used again.
    until: Option<Timestamp>,
}

/// The results that are kept. A cheap handle.
#[derive(Clone)]
pub(crate) struct Results {
    kept: Cache<Key, Kept>,
    used_again: Arc<AtomicU64>,
    clock: fn() -> Timestamp,
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Results").finish_non_exhaustive()
    }
}

/// Where a result came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From this very call.
    Called,
    /// From an earlier one, or one that somebody else makes.
    Kept,
}

impl Results {
    /// Nothing is kept yet; `clock` tells how old data is.
    pub(crate) fn new(clock: fn() -> Timestamp) -> Self {
        let weigh = |key: &Key, kept: &Kept| {
            let bytes = ENTRY + key.arguments.len() + key.page.len() + size(&kept.output);
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(MOST).weigher(weigh).time_to_live(LONGEST).build();
        Self { kept, used_again: Arc::default(), clock }
    }

    /// Calls that were answered without asking anybody, since the start.
    pub(crate) fn used_again(&self) -> u64 {
        self.used_again.load(Ordering::Relaxed)
    }

    /// The result of `call`, from what is kept or by `ask`.
    ///
    /// # Errors
    /// What `ask` fails with.
    pub(crate) async fn get(
        &self,
        spec: &ToolSpec,
        call: &Call,
        (environment, principal): (&str, &str),
        ask: impl Future<Output = Result<CallOutput, Failure>> + Send,
    ) -> (Origin, Result<CallOutput, Failure>) {
        let Some(rule) = spec.cache else { return (Origin::Called, ask.await) };
        let key = Key {
            tool: call.tool.clone(),
            arguments: call.arguments.clone(),
            page: call.page_token.clone(),
            environment: environment.to_owned(),
            principal: if rule.shared { String::new() } else { principal.to_owned() },
        };
        let ttl = SignedDuration::try_from(rule.ttl).unwrap_or(SignedDuration::MAX);
        let mut ask = Box::pin(ask);
        loop {
            let now = (self.clock)();
            let held = self.kept.get(&key).await;
            if held.is_some_and(|kept| kept.until.is_none_or(|until| until <= now)) {
                self.kept.invalidate(&key).await;
            }
            let asked = AtomicBool::new(false);
            let made = self.kept.try_get_with_by_ref(&key, async {
                asked.store(true, Ordering::Relaxed);
                let output = ask.as_mut().await?;
                let whole = output.gaps.is_empty() && !output.truncated;
                // Data from the future is of now.
                let now = (self.clock)();
                let since = output.observe_time.map_or(now, |observed| observed.min(now));
                let until = since.checked_add(ttl).ok().filter(|_| whole);
                Ok(Kept { output: Arc::new(output), until })
            });
            let made: Result<Kept, Arc<Failure>> = made.await;
            let asked = asked.into_inner();
            let origin = if asked { Origin::Called } else { Origin::Kept };
            match made {
                Ok(kept) => {
                    if asked && kept.until.is_none() {
                        self.kept.invalidate(&key).await;
                    }
                    if !asked {
                        self.used_again.fetch_add(1, Ordering::Relaxed);
                    }
                    return (origin, Ok(CallOutput::clone(&kept.output)));
                }
                // Somebody else's call ended for reasons of theirs.
                Err(failure) if !asked && is_their_own(&failure) => {}
                Err(failure) => return (origin, Err(Failure::clone(&failure))),
            }
        }
    }
}

/// Whether a call ended because of who made it: withdrawn, or out of time.
fn is_their_own(failure: &Failure) -> bool {
    matches!(failure.class, FailureClass::Cancelled | FailureClass::Timeout)
}

/// About how many bytes a result takes.
fn size(output: &CallOutput) -> usize {
    let facts =
        output.observations.iter().map(|seen| 256 + seen.statement.len() + seen.quote.len());
    output.result_json.len()
        + output.summary.len()
        + facts.sum::<usize>()
        + 128 * output.relations.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::atomic::AtomicU32;

    use futures_util::future::join_all;

    use super::*;
    use crate::{
        guard::policy::tests::{call, spec},
        tool::{CacheRule, SideEffect},
    };

    static NOW: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);

    fn clock() -> Timestamp {
        Timestamp::from_second(NOW.load(Ordering::Relaxed)).unwrap()
    }

    fn cached(shared: bool) -> ToolSpec {
        let mut spec = spec("look", SideEffect::ReadOnly);
        spec.cache = Some(CacheRule { ttl: Duration::from_secs(10), shared });
        spec
    }

    /// Counts how often it was asked.
    async fn ask(asked: &AtomicU32, observed: Option<i64>) -> Result<CallOutput, Failure> {
        tokio::task::yield_now().await;
        let times = asked.fetch_add(1, Ordering::Relaxed) + 1;
        let observe_time = observed.map(|second| Timestamp::from_second(second).unwrap());
        Ok(CallOutput { summary: times.to_string(), observe_time, ..CallOutput::default() })
    }

    // One test, since its clock is one.
    #[tokio::test]
    async fn data_is_used_again_while_it_is_young_and_asked_for_once_by_many() {
        let (results, asked) = (Results::new(clock), AtomicU32::new(0));
        let (spec, call) = (cached(true), call(&cached(true)));
        let get = |who: &'static str, observed| {
            let (results, spec, call, asked) = (&results, &spec, &call, &asked);
            async move { results.get(spec, call, ("prod", who), ask(asked, observed)).await }
        };
        let many = join_all((0..20).map(|_| get("a", None))).await;
        let own = many.iter().filter(|(origin, _)| *origin == Origin::Called).count();
        assert_eq!((asked.load(Ordering::Relaxed), own), (1, 1));
        assert_eq!(results.used_again(), 19);
        assert!(many.into_iter().all(|(_, result)| result.unwrap().summary == "1"));
        NOW.store(9, Ordering::Relaxed);
        assert_eq!(get("b", None).await.0, Origin::Kept);
        // From ten seconds on it is too old; and what is old when it comes stays no longer.
        NOW.store(10, Ordering::Relaxed);
        assert_eq!(get("b", Some(2)).await.1.unwrap().summary, "2");
        NOW.store(12, Ordering::Relaxed);
        assert_eq!(get("b", None).await.1.unwrap().summary, "3");

        // The same descriptor of another plugin is another tool.
        let mut elsewhere = call.clone();
        elsewhere.tool.plugin = "other".to_owned();
        let got = results.get(&spec, &elsewhere, ("prod", "a"), ask(&asked, None)).await;
        assert_eq!(got.0, Origin::Called);

        let private = cached(false);
        for (who, origin) in [("a", Origin::Called), ("a", Origin::Kept), ("b", Origin::Called)] {
            let got = results.get(&private, &call, ("dev", who), ask(&asked, None)).await;
            assert_eq!(got.0, origin, "{who}");
        }
    }

    #[tokio::test]
    async fn what_failed_or_has_holes_is_not_kept_and_a_withdrawn_call_harms_nobody_else() {
        let results = Results::new(|| Timestamp::UNIX_EPOCH);
        let (spec, call) = (cached(true), call(&cached(true)));
        let fails = |class| async move { Err(Failure::ours(class, "X", "x")) };
        for _ in 0..2 {
            let got = results.get(&spec, &call, ("", ""), fails(FailureClass::External)).await;
            assert_eq!((got.0, got.1.is_err()), (Origin::Called, true));
        }
        let truncated = async { Ok(CallOutput { truncated: true, ..CallOutput::default() }) };
        assert_eq!(results.get(&spec, &call, ("", ""), truncated).await.0, Origin::Called);
        let asked = AtomicU32::new(0);
        let withdrawn = async {
            tokio::task::yield_now().await;
            Err(Failure::ours(FailureClass::Cancelled, "CANCELLED", "x"))
        };
        let (first, second) = tokio::join!(
            results.get(&spec, &call, ("", ""), withdrawn),
            results.get(&spec, &call, ("", ""), ask(&asked, None)),
        );
        assert!(first.1.is_err() && second.1.is_ok());
    }
}
