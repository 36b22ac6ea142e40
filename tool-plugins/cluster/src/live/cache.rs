//! Answers that were had a moment ago, shared by all calls: the tools of one investigation ask for
//! the same pods within seconds. Who asks while an answer is read waits for it.
//!
//! Invariant: nothing older than [`FRESH`] is given out; what is older is dropped when anybody asks
//! for anything, and by [`Recent::sweep`].

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::OnceCell, time::Instant};

use super::answer::Trouble;

/// How long an answer is good. As long as a round of an investigation takes, and shorter than any
/// change matters to one.
const FRESH: Duration = Duration::from_secs(10);

type Held<K, V> = HashMap<K, (Instant, Answer<V>)>;
type Answer<V> = Arc<OnceCell<Result<Arc<V>, Trouble>>>;

/// Answers of one kind by what was asked; see the module.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    held: Mutex<Held<K, V>>,
}

// === impl Recent ===

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// The answer held for `key`, else what `read` gives, for all who ask meanwhile.
    pub(super) async fn get<F>(&self, key: K, read: impl FnOnce() -> F) -> Result<Arc<V>, Trouble>
    where
        F: Future<Output = Result<V, Trouble>>,
    {
        let answer = self.cell(key);
        answer.get_or_init(|| async { read().await.map(Arc::new) }).await.clone()
    }

    /// Drops what is old, for as long as it is polled: a plugin that nobody asks holds nothing.
    pub(super) async fn sweep(&self) {
        loop {
            tokio::time::sleep(FRESH).await;
            drop_old(&mut self.lock(), Instant::now());
        }
    }

    fn cell(&self, key: K) -> Answer<V> {
        let now = Instant::now();
        let mut held = self.lock();
        drop_old(&mut held, now);
        let (_, answer) = held.entry(key).or_insert_with(|| (now, Answer::default()));
        Arc::clone(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Held<K, V>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_old<K: Eq + Hash, V>(held: &mut Held<K, V>, now: Instant) {
    held.retain(|_, (read, answer)| {
        let failed = matches!(answer.get(), Some(Err(_)));
        now.duration_since(*read) < FRESH && !failed
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Counts = Recent<&'static str, usize>;

    async fn ask(counts: &Counts, asked: &AtomicUsize, fails: bool) -> bool {
        let read = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if fails { Err(Trouble::Silent(String::new())) } else { Ok(7) }
        };
        counts.get("pods", read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_meanwhile_and_soon_after_shares_one_answer() {
        let (counts, asked) = (Counts::default(), AtomicUsize::new(0));
        let both = tokio::join!(ask(&counts, &asked, false), ask(&counts, &asked, false));
        assert_eq!(both, (true, true));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(ask(&counts, &asked, false).await);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(FRESH).await;
        assert!(ask(&counts, &asked, false).await);
        assert_eq!(asked.load(Ordering::Relaxed), 2, "what is old is asked anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let (counts, asked) = (Counts::default(), AtomicUsize::new(0));
        assert!(!ask(&counts, &asked, true).await);
        assert!(ask(&counts, &asked, false).await);
    }
}
