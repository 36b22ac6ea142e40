//! One instance as a replica of one tool: how busy it is with that tool, how often it may be asked,
//! whether it is ejected. The instance itself knows about its lease, its wire and all its calls.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use tokio::time::Instant;

use super::{
    ejection::{Ejection, Stand, Went},
    instance::{Instance, Place},
};
use crate::{
    guard::rate::Bucket,
    tool::{Failure, RateLimit},
};

/// A replica of one tool.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance: Arc<Instance>,
    /// Its own share of a limit that instances do not share.
    bucket: Option<Bucket>,
    /// Calls to the tool at once; 0 for as many as the instance takes.
    at_once: u32,
    busy: AtomicU32,
    ejection: Mutex<Ejection>,
}

/// A place at a replica, given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    place: Place,
    member: Arc<Member>,
    /// Set once it was told how the call went.
    told: AtomicBool,
}

// === impl Member ===

impl Member {
    pub(crate) fn new(instance: Arc<Instance>, limit: Option<RateLimit>) -> Self {
        let own = limit.filter(|limit| !limit.shared);
        Self {
            instance,
            bucket: own.and_then(Bucket::new),
            at_once: own.map_or(0, |limit| limit.max_concurrent),
            busy: AtomicU32::new(0),
            ejection: Mutex::default(),
        }
    }

    /// How it stands for a call to `tool`: as a replica of it, and by its wire. None when it takes
    /// no calls.
    pub(crate) fn stand(&self, tool: &str, now: Instant) -> Option<Stand> {
        let wire = self.instance.stand(tool, now)?;
        Some(match (self.ejection().stand(now), wire) {
            (Stand::Out, _) | (_, Stand::Out) => Stand::Out,
            (Stand::Trial, _) | (_, Stand::Trial) => Stand::Trial,
            (Stand::In, Stand::In) => Stand::In,
        })
    }

    /// How busy it is for its weight; none when it is full.
    pub(crate) fn load(&self) -> Option<f64> {
        let full = self.at_once > 0 && self.busy.load(Ordering::Relaxed) >= self.at_once;
        self.instance.load().filter(|_| !full)
    }

    /// Whether it is ejected as a replica of the tool.
    pub(crate) fn is_out(&self, now: Instant) -> bool {
        self.ejection().stand(now) == Stand::Out
    }

    /// Takes a seat; none when others were quicker.
    ///
    /// # Errors
    /// That it was asked as often as it may be for now.
    pub(crate) fn take(self: &Arc<Self>, now: Instant) -> Result<Option<Seat>, Failure> {
        let at_once = if self.at_once == 0 { u32::MAX } else { self.at_once };
        let more = |busy: u32| (busy < at_once).then(|| busy.saturating_add(1));
        if self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Ok(None);
        }
        let taken = self.instance.take();
        let Some(place) = taken else {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            return Ok(None);
        };
        let seat = Seat { place, member: Arc::clone(self), told: AtomicBool::new(false) };
        // Given back by dropping the seat, when there is no token.
        self.bucket.as_ref().map_or(Ok(()), Bucket::take)?;
        self.ejection().ask(now);
        self.instance.ask(now);
        Ok(Some(seat))
    }

    /// Notes how a call went, with the tool and with the wire. `may_leave` tells whether one more
    /// replica may be ejected.
    fn note(&self, went: Went, wire_broke: bool, may_leave: bool) {
        let now = Instant::now();
        // What broke on the wire is told by the wire.
        let own = if wire_broke { Went::Untold } else { went };
        self.ejection().note(own, now, may_leave);
        let wire = match went {
            _ if wire_broke => Went::Hopeless,
            Went::Untold => Went::Untold,
            Went::Well | Went::Badly | Went::Hopeless => Went::Well,
        };
        self.instance.note(went, wire, now);
    }

    fn ejection(&self) -> MutexGuard<'_, Ejection> {
        self.ejection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Seat ===

impl Seat {
    /// Who it is with.
    pub(crate) fn instance(&self) -> &Instance {
        self.place.instance()
    }

    /// Notes how the call went; see [`Member::note`].
    pub(crate) fn note(&self, went: Went, wire_broke: bool, may_leave: bool) {
        self.told.store(true, Ordering::Relaxed);
        self.member.note(went, wire_broke, may_leave);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A call that was dropped told nothing; a trial that it was is given back.
        if !self.told.load(Ordering::Relaxed) {
            self.member.note(Went::Untold, false, false);
        }
        self.member.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
