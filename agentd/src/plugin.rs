//! Plugins: strangers' processes that offer tools. They announce themselves at [`registry`], and
//! the engine calls their tools through [`Tools`], which takes nothing but a cleared call. What
//! comes back is data, checked, bounded and masked at this door, never an instruction.
//!
//! The way of a call: [`Tools::call`] → `stack` (record, halt, deadline, retry, concurrency, rate,
//! breaker, instance, attempt timer) → `client` (gRPC) → `reading` (the rules of the stream).

mod admission;
mod attempt;
mod bell;
mod bound;
mod cache;
mod clean;
mod client;
pub mod contracts;
pub mod digest;
mod ear;
mod ejection;
mod fault;
mod health;
mod instance;
pub(crate) mod luck;
mod member;
pub mod network;
pub mod news;
mod reading;
pub mod registry;
pub(crate) mod relay;
mod retry;
mod route;
mod schema;
pub mod secured;
pub mod semver;
mod stack;
pub mod wire;

use std::{borrow::Cow, sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::{
    attempt::{Ask, Record},
    cache::{Origin, Results},
    registry::Registry,
    schema::Contract,
};
use crate::{
    guard::Cleared,
    reasoner::catalogue::Catalogue,
    tool::{Call, CallOutput, Failure, FailureClass, ToolSpec},
};

/// Arguments up to this size, in bytes, are checked where they are.
const SMALL: usize = 4 * 1024;

/// Masks secrets in a text; borrows when there are none.
pub type Redact = for<'a> fn(&'a str) -> Cow<'a, str>;

/// What a call is made under: its bounds and on whose behalf.
#[derive(Debug, Clone)]
pub struct CallCx {
    /// When it is over, waiting and retries included.
    pub deadline: Instant,
    /// Withdraws it: the running attempt is cancelled at the plugin.
    pub cancel: CancellationToken,
    /// Hears of each attempt. Must be drained while the call runs: starts and ends wait for room.
    pub updates: mpsc::Sender<CallUpdate>,
    /// Person or service that asked, for the plugin's audit.
    pub principal: String,
    /// Target environment, such as `staging`.
    pub environment: String,
}

/// What happens while a call runs. Each attempt has one `Started` and one `Finished`; an attempt
/// that a guard of ours refused before it was sent has neither. A `Finished` that will be retried
/// need not be followed by a `Started`: the deadline or a halt may come first.
#[derive(Debug, Clone)]
pub enum CallUpdate {
    /// An attempt is being sent.
    Started {
        /// Id of the attempt.
        call_id: String,
        /// 1 for the first.
        attempt: u32,
        /// Instance that was chosen.
        instance_id: String,
    },
    /// An attempt got further. Dropped when the channel is full.
    Progressed {
        /// Id of the attempt.
        call_id: String,
        /// Share done, 0 to 1, when known.
        fraction: Option<f64>,
        /// One line, masked.
        message: String,
    },
    /// An attempt is over.
    Finished {
        /// Id of the attempt.
        call_id: String,
        /// 1 for the first.
        attempt: u32,
        /// How long it took.
        duration: Duration,
        /// What it gave.
        outcome: Box<Result<CallOutput, Failure>>,
        /// True when another attempt is meant to follow.
        will_retry: bool,
        /// True when nobody was asked: the result was there.
        cached: bool,
    },
}

/// The tools of all plugins, as the engine sees them. A cheap handle.
#[derive(Debug, Clone)]
pub struct Tools {
    registry: Registry,
    results: Results,
    redact: Redact,
}

// === impl Tools ===

impl Tools {
    /// The tools of `registry`; texts that come from plugins pass through `redact`.
    #[must_use]
    pub fn new(registry: Registry, redact: Redact) -> Self {
        let results = Results::new(registry.clock());
        Self { registry, results, redact }
    }

    /// What can be called now: the newest version of each tool that a ready instance offers.
    #[must_use]
    pub fn specs(&self) -> Vec<Arc<ToolSpec>> {
        self.registry.specs()
    }

    /// Signals and causes in force: the daemon's own, and those of the plugins that are registered.
    #[must_use]
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.registry.catalogue()
    }

    /// Waits until each of `plugins` has an instance that is ready.
    ///
    /// # Errors
    /// The names of those that are not ready at `deadline`.
    pub async fn wait_ready(
        &self,
        plugins: &[String],
        deadline: Instant,
    ) -> Result<(), Vec<String>> {
        self.registry.wait_ready(plugins, deadline).await
    }

    /// Calls that were answered by a result that was kept, since the start.
    #[must_use]
    pub fn results_used_again(&self) -> u64 {
        self.results.used_again()
    }

    /// Lets no plugin in any more; calls that run may finish.
    pub fn close(&self) {
        self.registry.stop();
    }

    /// Makes the call, retries included. Drive it to its end and stop it through `cx.cancel`:
    /// when the future is dropped instead, an open attempt has no `Finished`.
    ///
    /// # Errors
    /// Why it failed, as data: it becomes a gap.
    pub async fn call(&self, cleared: Cleared<Call>, cx: CallCx) -> Result<CallOutput, Failure> {
        let call = cleared.into_inner();
        let offer = self.registry.offered(&call.tool)?;
        check_arguments(offer.contract(), &call.arguments).await?;
        let (cx, call) = (Arc::new(cx), Arc::new(call));
        let record = Record::new(cx.updates.clone());
        let ask = Ask {
            contract: Arc::clone(offer.contract()),
            call: Arc::clone(&call),
            spec: Arc::clone(offer.spec()),
            record: record.clone(),
            cx: Arc::clone(&cx),
            attempt: 1,
            refusals: 0,
            avoided: None,
            redact: self.redact,
            ear: self.registry.ear(),
        };
        let stack = offer.stack();
        let asked = async { stack.oneshot(ask).await.map_err(|fault| fault.failure) };
        let who = (cx.environment.as_str(), cx.principal.as_str());
        let got = self.results.get(offer.spec(), &call, who, asked);
        let (origin, result) = stack::within(&cx, got).await?;
        if origin == Origin::Kept {
            record.kept(result.clone()).await;
        }
        result
    }
}

/// Holds arguments against their schema; large ones on a thread that serves nobody, since a stranger
/// made the schema.
async fn check_arguments(contract: &Arc<Contract>, arguments: &str) -> Result<(), Failure> {
    if arguments.len() <= SMALL {
        return contract.check_arguments(arguments);
    }
    let (contract, arguments) = (Arc::clone(contract), arguments.to_owned());
    let checked = tokio::task::spawn_blocking(move || contract.check_arguments(&arguments)).await;
    checked.unwrap_or_else(|_| {
        let said = "the arguments could not be checked";
        Err(Failure::ours(FailureClass::Bug, "ARGUMENTS_UNCHECKED", said))
    })
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
