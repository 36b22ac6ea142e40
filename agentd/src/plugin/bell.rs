//! What rings when something changes that somebody may wait for.

use tokio::sync::{Notify, watch};

use super::news::News;

/// Wakes those that wait for a change: callers for a place, others for plugins to be ready.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    places: Notify,
    changes: watch::Sender<u64>,
    /// What is told of all this.
    pub(crate) news: News,
}

impl Bell {
    /// A bell that tells `news`.
    pub(crate) fn new(news: News) -> Self {
        Self { news, ..Self::default() }
    }

    /// Something changed that readiness depends on.
    pub(crate) fn ring(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
        self.places.notify_waiters();
    }

    /// A place came free.
    pub(crate) fn vacant(&self) {
        self.places.notify_waiters();
    }

    /// Sees each change from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Ends when a place may have come free.
    pub(crate) fn place(&self) -> tokio::sync::futures::Notified<'_> {
        self.places.notified()
    }
}
