//! One running instance of a plugin: how it is reached, whether it takes calls now, how busy it
//! is, how it did lately. Replaced as a whole when it registers again; running calls keep the old
//! one alive until they end.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    bell::Bell,
    ejection::{Ejection, Stand, Went},
    news::{Kind, Subject},
    relay::Slots,
};
use crate::tool::ToolRef;

/// How long after a change of an instance's readiness no other one is told.
const QUIET: Duration = Duration::from_secs(1);
/// Calls that `recent` remembers.
const REMEMBERED: usize = 100;

/// What an instance says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// Takes new calls.
    Ready,
    /// Takes none for now, or is not known to be up yet.
    Unready,
    /// Finishes running calls and takes no new ones.
    Draining,
}

/// How calls reach an instance.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    /// We dial it.
    Direct {
        /// The connection, made when first used.
        channel: Channel,
        /// `Bearer` and the instance's secret, when it gave one.
        authorization: Option<MetadataValue<Ascii>>,
    },
    /// It parks slots.
    Relay(Arc<Slots>),
}

/// One instance.
#[derive(Debug)]
pub(crate) struct Instance {
    /// Drawn by the process.
    pub(crate) id: String,
    /// Namespace.
    pub(crate) plugin: String,
    /// Version of the plugin software.
    pub(crate) version: String,
    /// Where it is dialled, `host:port`, with `https://` before it by TLS; empty for the relay.
    pub(crate) endpoint: String,
    /// How calls reach it.
    pub(crate) line: Line,
    /// Calls it takes at once.
    pub(crate) max_calls: u32,
    /// Its share of calls beside that of others; at least 1.
    pub(crate) weight: u32,
    /// Tools that were accepted.
    pub(crate) offers: Vec<ToolRef>,
    /// Digest over its catalog.
    pub(crate) catalog_digest: String,
    /// Cancelled when it was deregistered or replaced.
    pub(crate) gone: CancellationToken,
    in_flight: AtomicU32,
    /// How often no connection to it came about.
    unreached: watch::Sender<u64>,
    bell: Arc<Bell>,
    live: Mutex<Live>,
}

#[derive(Debug)]
struct Live {
    lease_until: Instant,
    /// Its health answered SERVING.
    serving: bool,
    /// Why it cannot be reached, until it is; and whether the plugin was told so.
    trouble: Option<(String, bool)>,
    wish: Readiness,
    unready_tools: BTreeSet<String>,
    /// Deregistered or replaced.
    departed: bool,
    /// Of the wire to it.
    wire: Ejection,
    /// Failed or not, oldest first.
    recent: VecDeque<bool>,
    /// Its health answered at all, or a slot of its was opened.
    is_heard: bool,
    /// What was told last of whether it takes calls, and when.
    told_ready: bool,
    told: Option<Instant>,
}

/// What a new instance is made of.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) plugin: String,
    pub(crate) version: String,
    pub(crate) endpoint: String,
    pub(crate) line: Line,
    pub(crate) max_calls: u32,
    pub(crate) weight: u32,
    pub(crate) offers: Vec<ToolRef>,
    pub(crate) catalog_digest: String,
    /// What was told of it before, when it only registers again.
    pub(crate) before: Before,
}

/// What was told of an instance, and is not told again when it registers anew.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// That it takes calls.
    is_ready: bool,
    /// Why it cannot be reached.
    trouble: Option<String>,
}

// === impl Instance ===

impl Instance {
    /// An instance under a lease until `lease_until`, not yet known to be serving.
    pub(crate) fn new(made: Made, bell: Arc<Bell>, lease_until: Instant) -> Self {
        Self {
            id: made.id,
            plugin: made.plugin,
            version: made.version,
            endpoint: made.endpoint,
            line: made.line,
            max_calls: made.max_calls.max(1),
            weight: made.weight.max(1),
            offers: made.offers,
            catalog_digest: made.catalog_digest,
            gone: CancellationToken::new(),
            in_flight: AtomicU32::new(0),
            unreached: watch::Sender::default(),
            bell,
            live: Mutex::new(Live {
                lease_until,
                serving: false,
                trouble: made.before.trouble.map(|why| (why, false)),
                wish: Readiness::Ready,
                unready_tools: BTreeSet::new(),
                departed: false,
                wire: Ejection::default(),
                recent: VecDeque::new(),
                is_heard: false,
                told_ready: made.before.is_ready,
                told: None,
            }),
        }
    }

    /// What it is for callers: ready needs a lease, health and its own word.
    pub(crate) fn readiness(&self, now: Instant) -> Readiness {
        self.stands(&self.live(), now)
    }

    /// When its lease ends or ended.
    pub(crate) fn lease_until(&self) -> Instant {
        self.live().lease_until
    }

    /// Its health answered SERVING.
    pub(crate) fn serves(&self) {
        let mut live = self.live();
        let is_new = !std::mem::replace(&mut live.serving, true);
        let was_out_of_reach = live.trouble.take().is_some();
        live.is_heard = true;
        self.tell(live);
        if is_new || was_out_of_reach {
            self.bell.ring();
        }
    }

    /// Its health answered that it does not serve.
    pub(crate) fn does_not_serve(&self) {
        let mut live = self.live();
        let is_new = std::mem::replace(&mut live.serving, false);
        live.is_heard = true;
        self.tell(live);
        if is_new {
            self.bell.ring();
        }
    }

    /// What was told of it, for one that comes in its place at `endpoint`.
    pub(crate) fn told(&self, endpoint: &str) -> Before {
        let live = self.live();
        let trouble = live.trouble.as_ref().filter(|_| self.endpoint == endpoint);
        Before { is_ready: live.told_ready, trouble: trouble.map(|(why, _)| why.clone()) }
    }

    /// Tells whether it takes calls when that is another word than the last one. Not each of many
    /// changes: the word that stays is told with the next sign of life.
    fn tell(&self, mut live: MutexGuard<'_, Live>) {
        let now = Instant::now();
        let is_ready = self.stands(&live, now) == Readiness::Ready;
        let is_quiet = live.told.is_none_or(|told| now - told >= QUIET);
        // Of one that has left, or whose lease ran out, that is what is told.
        let is_here = live.is_heard && !live.departed && now < live.lease_until;
        if is_ready == live.told_ready || !is_quiet || !is_here {
            return;
        }
        let (kind, said) = match live.wish {
            _ if is_ready => (Kind::Ready, "takes calls"),
            Readiness::Draining => (Kind::Unready, "drains and takes no new calls"),
            Readiness::Unready => (Kind::Unready, "says that it takes no calls for now"),
            Readiness::Ready if !live.serving => {
                (Kind::Unready, "takes no calls: its health says that it does not serve")
            }
            Readiness::Ready => (Kind::Unready, "takes no calls: it has no slot open"),
        };
        live.told_ready = is_ready;
        live.told = Some(now);
        drop(live);
        self.bell.news.tell(kind, self.subject(), format!("{} {said}", self.plugin));
    }

    /// It cannot be reached, for this reason. True when that is news.
    pub(crate) fn cannot_be_reached(&self, why: &str) -> bool {
        let mut live = self.live();
        let news = live.trouble.as_ref().is_none_or(|(known, _)| known != why);
        if news {
            live.trouble = Some((why.to_owned(), false));
            drop(live);
            self.bell.news.tell(Kind::Unreachable, self.subject(), self.unreached(why));
        }
        news
    }

    /// Why it cannot be reached, if it cannot.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.live().trouble.as_ref().map(|(why, _)| self.unreached(why))
    }

    /// The same, once, for the plugin itself.
    pub(crate) fn untold(&self) -> Option<String> {
        let mut live = self.live();
        let (why, told) = live.trouble.as_mut().filter(|(_, told)| !told)?;
        *told = true;
        Some(self.unreached(why))
    }

    fn subject(&self) -> Subject {
        Subject::instance(&self.plugin, &self.id)
    }

    fn unreached(&self, why: &str) -> String {
        format!("agentd cannot reach the plugin at {}: {why}", self.endpoint)
    }

    /// It gave a sign of life.
    pub(crate) fn renew(&self, until: Instant, wish: Readiness, unready_tools: BTreeSet<String>) {
        let mut live = self.live();
        let changed = live.wish != wish || live.unready_tools != unready_tools;
        live.lease_until = until;
        live.wish = wish;
        live.unready_tools = unready_tools;
        self.tell(live);
        if changed {
            self.bell.ring();
        }
    }

    /// It was deregistered or replaced: no new calls.
    pub(crate) fn depart(&self) {
        self.live().departed = true;
        self.gone.cancel();
        self.bell.ring();
    }

    /// Sees each time from now on that no connection comes about.
    pub(crate) fn unreached_times(&self) -> watch::Receiver<u64> {
        self.unreached.subscribe()
    }

    /// No connection came about.
    pub(crate) fn was_unreached(&self) {
        self.unreached.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// Calls running now.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Failures among the last hundred calls.
    pub(crate) fn recent_failures(&self) -> usize {
        self.live().recent.iter().filter(|failed| **failed).count()
    }

    /// How the wire to it stands; none when it takes no calls to `tool`.
    pub(crate) fn stand(&self, tool: &str, now: Instant) -> Option<Stand> {
        let live = self.live();
        let ready =
            self.stands(&live, now) == Readiness::Ready && !live.unready_tools.contains(tool);
        ready.then(|| live.wire.stand(now))
    }

    /// How busy it is for its weight; none when it is full.
    pub(crate) fn load(&self) -> Option<f64> {
        let busy = self.in_flight();
        // A slot carries one call; there may be fewer than were announced.
        let most = match &self.line {
            Line::Direct { .. } => self.max_calls,
            Line::Relay(slots) => {
                self.max_calls.min(u32::try_from(slots.count()).unwrap_or(u32::MAX))
            }
        };
        (busy < most).then(|| f64::from(busy) / f64::from(self.weight))
    }

    /// It is asked: a trial of its wire is taken.
    pub(crate) fn ask(&self, now: Instant) {
        self.live().wire.ask(now);
    }

    /// Takes a place, unless it is full by now.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Place> {
        self.in_flight
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |busy| {
                (busy < self.max_calls).then_some(busy.saturating_add(1))
            })
            .ok()
            .map(|_| Place { instance: Arc::clone(self) })
    }

    /// Notes how a call went, and how its wire did.
    pub(crate) fn note(&self, went: Went, wire: Went, now: Instant) {
        let mut live = self.live();
        if went != Went::Untold {
            if live.recent.len() == REMEMBERED {
                live.recent.pop_front();
            }
            live.recent.push_back(went != Went::Well);
        }
        live.wire.note(wire, now, true);
    }

    fn stands(&self, live: &Live, now: Instant) -> Readiness {
        if live.departed || !live.serving || now >= live.lease_until || !self.line.is_up() {
            return Readiness::Unready;
        }
        live.wish
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Whether there is a line at all; a direct one is made when it is needed.
    fn is_up(&self) -> bool {
        match self {
            Self::Direct { .. } => true,
            Self::Relay(slots) => slots.count() > 0,
        }
    }
}

/// A place at an instance, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    instance: Arc<Instance>,
}

impl Place {
    /// Where it is.
    pub(crate) fn instance(&self) -> &Instance {
        &self.instance
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.instance.bell.vacant();
    }
}
