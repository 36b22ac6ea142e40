//! Lists that were read a moment ago, shared by all calls: the tools of one investigation ask for
//! the same pods within seconds. Who asks while a list is read waits for it.
//!
//! Invariant: nothing older than [`FRESH`] is given out; what is older is dropped when anybody asks
//! for anything, and by [`Lists::sweep`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::OnceCell, time::Instant};

use super::{
    answer::Trouble,
    pages::{Listed, Which},
};
use crate::kind::Kind;

/// How long a list is good. As long as a round of an investigation takes, and shorter than any
/// change matters to one.
const FRESH: Duration = Duration::from_secs(10);

type Held = HashMap<(Kind, Which), (Instant, Answer)>;
type Answer = Arc<OnceCell<Result<Arc<Listed>, Trouble>>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Lists {
    held: Mutex<Held>,
}

// === impl Lists ===

impl Lists {
    /// The list held for `key`, else what `read` answers, for all who ask meanwhile.
    pub(super) async fn get<F>(
        &self,
        key: (Kind, Which),
        read: impl FnOnce() -> F,
    ) -> Result<Arc<Listed>, Trouble>
    where
        F: Future<Output = Result<Listed, Trouble>>,
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

    fn cell(&self, key: (Kind, Which)) -> Answer {
        let now = Instant::now();
        let mut held = self.lock();
        drop_old(&mut held, now);
        let (_, answer) = held.entry(key).or_insert_with(|| (now, Answer::default()));
        Arc::clone(answer)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drop_old(held: &mut Held, now: Instant) {
    held.retain(|_, (read, answer)| {
        let failed = matches!(answer.get(), Some(Err(_)));
        now.duration_since(*read) < FRESH && !failed
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    async fn ask(lists: &Lists, asked: &AtomicUsize, fails: bool) -> bool {
        let read = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            if fails { Err(Trouble::Silent(String::new())) } else { Ok(Listed::default()) }
        };
        lists.get((Kind::Pod, Which::default()), read).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_meanwhile_and_soon_after_shares_one_answer() {
        let (lists, asked) = (Lists::default(), AtomicUsize::new(0));
        let both = tokio::join!(ask(&lists, &asked, false), ask(&lists, &asked, false));
        assert_eq!(both, (true, true));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(ask(&lists, &asked, false).await);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::advance(FRESH).await;
        assert!(ask(&lists, &asked, false).await);
        assert_eq!(asked.load(Ordering::Relaxed), 2, "what is old is asked anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_not_kept() {
        let (lists, asked) = (Lists::default(), AtomicUsize::new(0));
        assert!(!ask(&lists, &asked, true).await);
        assert!(ask(&lists, &asked, false).await);
    }
}
