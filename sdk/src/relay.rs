//! Calls without a port: the plugin parks slots at agentd, streams of which each carries at most
//! one call down and its updates up. A slot belongs to a lease: it is opened once one is held and
//! given back when it is lost. Invariant: a parked slot is given back, never reset, so that no call
//! is lost on the way.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use tonic::{Code, Status, transport::Channel};

use crate::{error::Error, instance::Instance, lease::pause::Backoff};

mod slot;

use slot::{End, serve};

/// How long a slot may take to be given back or to be opened.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where slots can be parked.
#[derive(Debug, Clone)]
pub(crate) struct Berth {
    pub(crate) lease_id: String,
    /// The connection that the lease was taken over: behind one address there may be several
    /// agentds, and only that one knows the lease.
    pub(crate) channel: Channel,
}

/// What the slots of one instance share with the keeper of its lease.
#[derive(Clone)]
pub(crate) struct Moorings {
    /// None while no lease is held.
    pub(crate) berth: watch::Receiver<Option<Berth>>,
    /// Tells the keeper that agentd does not know the lease.
    pub(crate) doubt: Arc<Notify>,
}

/// The slots of one instance.
#[derive(Clone)]
pub(crate) struct Slots {
    pub(crate) instance: Arc<Instance>,
    pub(crate) moorings: Moorings,
    /// Registration token; empty means none.
    pub(crate) token: String,
    pub(crate) agentd_url: String,
    pub(crate) count: u16,
}

impl Slots {
    /// Keeps so many slots parked until the instance drains, and all are given back.
    ///
    /// # Errors
    /// [`Error::Refused`] when agentd has no relay.
    pub(crate) async fn run(self) -> Result<(), Error> {
        let mut kept = JoinSet::new();
        for number in 0..self.count {
            kept.spawn(self.clone().keep(number));
        }
        while let Some(ended) = kept.join_next().await {
            match ended {
                Ok(ended) => ended?,
                Err(fault) => tracing::error!(%fault, "a slot was lost to a defect"),
            }
        }
        Ok(())
    }

    /// Keeps one slot parked.
    async fn keep(mut self, number: u16) -> Result<(), Error> {
        let mut backoff = Backoff::default();
        let mut failures = 0_u32;
        loop {
            let draining = self.instance.draining.clone();
            let berth = tokio::select! {
                biased;
                () = draining.cancelled() => return Ok(()),
                berth = self.moorings.berth.wait_for(Option::is_some) => match berth {
                    Ok(berth) => berth.clone(),
                    // The keeper is gone, and the process with it.
                    Err(_) => return Ok(()),
                },
            };
            let Some(berth) = berth else { continue };
            match serve(&mut self, &berth).await {
                End::Served | End::Released => {
                    backoff = Backoff::default();
                    failures = 0;
                }
                End::Broken(status) if status.code() == Code::Unimplemented => {
                    return Err(self.too_old(&status));
                }
                End::Broken(status) => {
                    failures = failures.saturating_add(1);
                    self.note(number, failures, &status);
                    self.pause(&berth, backoff.next()).await;
                }
            }
        }
    }

    /// Waits before a slot is opened again: shorter where another lease is held meanwhile.
    async fn pause(&mut self, berth: &Berth, pause: Duration) {
        let again = Instant::now() + pause;
        let is_other =
            |held: &Option<Berth>| held.as_ref().is_none_or(|held| held.lease_id != berth.lease_id);
        tokio::select! {
            () = self.instance.draining.cancelled() => {}
            _ = self.moorings.berth.wait_for(is_other) => {}
            () = tokio::time::sleep_until(again) => {}
        }
    }

    fn note(&self, number: u16, failures: u32, status: &Status) {
        let (code, why) = (status.code(), status.message());
        // One slot speaks for all: they fail for the same reason.
        if number == 0 && failures == 1 {
            tracing::warn!(?code, why, "a slot was lost; opening it again");
        } else {
            tracing::debug!(number, ?code, why, "a slot was lost; opening it again");
        }
        if matches!(code, Code::NotFound | Code::PermissionDenied | Code::Unauthenticated) {
            self.moorings.doubt.notify_one();
        }
    }

    fn too_old(&self, status: &Status) -> Error {
        let reason = format!("it has no relay ({:?}: {})", status.code(), status.message());
        let remedy = "use a newer agentd, or PLUGIN_MODE=direct where agentd can dial the plugin";
        Error::Refused { url: self.agentd_url.clone(), reason, remedy: remedy.to_owned() }
    }
}

#[cfg(test)]
mod tests;
