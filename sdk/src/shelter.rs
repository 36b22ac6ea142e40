//! Where work lives that goes on although its call is over: what an author protects, and the work
//! of keyed tools. It is counted, so that a process which stops can wait for it, and it ends with
//! the shelter at the latest.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, resume_unwind},
};

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// A cheap handle; clones are the same shelter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shelter {
    works: TaskTracker,
    closed: CancellationToken,
}

impl Shelter {
    /// Begins `work` in a task of its own. What it resolves to is none when the shelter closed
    /// first, and the panic when it panicked.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<Result<T, Box<dyn Any + Send>>>> {
        let closed = self.closed.clone();
        let work = async move {
            tokio::select! {
                biased;
                done = AssertUnwindSafe(work).catch_unwind() => Some(done),
                () = closed.cancelled() => None,
            }
        };
        self.works.spawn(work.in_current_span())
    }

    /// Works in the shelter and gives what came of it to whoever is still there.
    pub(crate) async fn protect<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match self.begin(work).await {
            Ok(Some(Ok(value))) => value,
            Ok(Some(Err(panic))) => resume_unwind(panic),
            // The process stops and has waited long enough: nobody is told any more.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Resolves when nothing works here any more.
    pub(crate) async fn empty(&self) {
        self.works.close();
        self.works.wait().await;
    }

    /// Ends what still works.
    pub(crate) fn close(&self) {
        self.closed.cancel();
    }
}
