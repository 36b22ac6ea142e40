//! A store of logs beside the API server: a Loki, or an Elasticsearch. It remembers what nodes have
//! thrown away. One question is put to it: the lines of a pod, or of the pods of a workload, in a
//! time. What it is asked for, and how its lines join those of the API server, is [`crate::earlier`]'s.
//!
//! Invariants: queries are built from typed values, each quoted for its language; what a call asks
//! for and keeps is bounded by constants; what was had in part only is a named gap.

mod bind;
mod elasticsearch;
mod loki;
mod pages;
pub mod settings;
mod shipped;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use agent_sdk::{Failure, FailureClass};
use jiff::Timestamp;
use plugin_cluster::LogLine;
use plugin_http::{Body, Bounds, Server, Session, Source, short};
use tokio::time::Instant;

use self::{bind::Bound, pages::Pages, settings::Settings};

/// What a call asks of a store and takes from it.
pub const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(3),
    request: Duration::from_secs(6),
    // Of the 25 s of a tool; the rest belongs to the API server's logs and to reading.
    call: Duration::from_secs(15),
    // Four pages of eight logs, or one each of many.
    requests: 32,
    // A page of 1,000 lines is seldom more than a megabyte.
    body: 16 * 1024 * 1024,
};
/// Lines at most of one question.
pub const MAX_LINES: usize = 20_000;
/// Bytes at most of the lines of one question.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// How long it is remembered by which names a store tells pods apart: agents are seldom set up anew.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Whose lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Of one pod.
    Pod(String),
    /// Of all pods whose name begins with that of a workload and a dash.
    Workload(String),
}

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Namespace of the pods.
    pub namespace: String,
    /// Which pods.
    pub whose: Whose,
    /// Which container; empty for all.
    pub container: String,
    /// From here on.
    pub from: Timestamp,
    /// Up to, but not at.
    pub to: Timestamp,
    /// The newest so many.
    pub lines: usize,
}

/// Pod and container.
pub type Speaker = (String, String);

/// What a store had.
#[derive(Debug, Default)]
pub struct Had {
    /// Lines, oldest first, by who wrote them.
    pub lines: BTreeMap<Speaker, Vec<LogLine>>,
    /// Why there may be more.
    pub gap: Option<Failure>,
}

/// One line as it was stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: Timestamp,
    speaker: Speaker,
    text: String,
    /// What tells it from another with the same time and text.
    id: String,
}

/// Part of an answer, newest first.
#[derive(Debug, Default)]
struct Page {
    entries: Vec<Entry>,
    /// The oldest that came, also of those that are not kept.
    oldest: Option<Timestamp>,
    /// Whether older ones may be had by asking again.
    is_full: bool,
    /// Why it may be partial.
    partial: Option<Failure>,
}

/// A store of logs.
#[derive(Debug)]
pub struct Store {
    server: Server,
    dialect: Dialect,
    /// By which names it tells pods apart, and since when that is known.
    bound: Mutex<Option<(Instant, Bound)>>,
}

/// What kind of store it is.
#[derive(Debug)]
enum Dialect {
    Loki,
    Elasticsearch { index: String },
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// By which names it tells logs apart, for people.
    pub names: Vec<String>,
}

/// One call's conversation with a store.
#[derive(Debug)]
pub struct Talk<'a> {
    store: &'a Store,
    session: Session<'a>,
}

// === impl Store ===

impl Store {
    /// The store that `settings` name; `None` when they name none. `clock` is the machine's.
    ///
    /// # Errors
    /// CONFIG when the settings cannot be used, or name two.
    pub fn of(settings: &Settings, clock: fn() -> Timestamp) -> Result<Option<Self>, Failure> {
        Self::bounded(settings, BOUNDS, clock)
    }

    /// The same with other bounds.
    ///
    /// # Errors
    /// As for [`Self::of`].
    pub fn bounded(
        settings: &Settings,
        bounds: Bounds,
        clock: fn() -> Timestamp,
    ) -> Result<Option<Self>, Failure> {
        let loki = Server::of(settings.loki.settings(), bounds, clock)?;
        let elasticsearch = Server::of(settings.elasticsearch(), bounds, clock)?;
        let (server, dialect) = match (loki, elasticsearch) {
            (None, None) => return Ok(None),
            (Some(server), None) => (server, Dialect::Loki),
            (None, Some(server)) => {
                let index = settings.index()?;
                (server, Dialect::Elasticsearch { index })
            }
            (Some(_), Some(_)) => {
                let says = "give --loki-url or --elasticsearch-url, not both";
                return Err(settings::LOKI.config(says));
            }
        };
        Ok(Some(Self { server, dialect, bound: Mutex::default() }))
    }

    /// What people call it: `Loki`.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.server.source().title
    }

    /// Kind and address, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.server.shown()
    }

    /// The permission that it takes: `loki:query`.
    #[must_use]
    pub fn permission(&self) -> &'static str {
        match self.dialect {
            Dialect::Loki => "loki:query",
            Dialect::Elasticsearch { .. } => "elasticsearch:read",
        }
    }

    /// Begins a call, which may take `within` at most.
    ///
    /// # Errors
    /// CONFIG when a secret cannot be read.
    pub fn talk(&self, within: Duration) -> Result<Talk<'_>, Failure> {
        Ok(Talk { store: self, session: self.server.session(within)? })
    }
}

// === impl Talk ===

impl Talk<'_> {
    /// The newest lines of what is wanted, oldest first. What fails after some were had is a gap.
    ///
    /// # Errors
    /// When none could be had: PERMISSION, TIMEOUT, `RATE_LIMITED`, EXTERNAL, CONFIG.
    pub async fn lines(&self, wanted: &Wanted) -> Result<Had, Failure> {
        let bound = self.bound(wanted.to).await?;
        let mut pages = Pages::new(wanted);
        while let Some(end) = pages.next() {
            let page = match &self.store.dialect {
                Dialect::Loki => loki::page(&self.session, &bound, wanted, end).await,
                Dialect::Elasticsearch { index } => {
                    elasticsearch::page((&self.session, index), &bound, wanted, end).await
                }
            };
            pages.take(page)?;
        }
        Ok(pages.finish())
    }

    /// Asks it by which names it tells pods apart, `now`.
    ///
    /// # Errors
    /// As for [`Self::lines`].
    pub async fn look(&self, now: Timestamp) -> Result<Look, Failure> {
        let bound = self.asked(now).await?;
        Ok(Look { names: bound.iter().map(ToString::to_string).collect() })
    }

    /// Requests sent so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.session.requests()
    }

    async fn bound(&self, now: Timestamp) -> Result<Bound, Failure> {
        match self.known() {
            Some(bound) => Ok(bound),
            None => self.asked(now).await,
        }
    }

    fn known(&self) -> Option<Bound> {
        let known = self.store.bound.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, bound) = known.as_ref()?;
        (since.elapsed() < REMEMBERED).then(|| bound.clone())
    }

    async fn asked(&self, now: Timestamp) -> Result<Bound, Failure> {
        let bound = match &self.store.dialect {
            Dialect::Loki => loki::names(&self.session, now).await?,
            Dialect::Elasticsearch { index } => elasticsearch::names(&self.session, index).await?,
        };
        let mut known = self.store.bound.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), bound.clone()));
        Ok(bound)
    }
}

// === impl Page ===

impl Page {
    /// What came where so many were asked for.
    fn of(entries: Vec<Entry>, size: usize, partial: Option<Failure>) -> Self {
        let oldest = entries.iter().map(|entry| entry.time).min();
        Self { is_full: entries.len() >= size, entries, oldest, partial }
    }
}

// === impl Wanted ===

impl Wanted {
    /// Whether a line of this pod and container is meant.
    fn is_of(&self, (pod, container): &Speaker) -> bool {
        let is_pod = match &self.whose {
            Whose::Pod(name) => pod == name,
            Whose::Workload(name) => {
                pod.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('-'))
            }
        };
        is_pod && (self.container.is_empty() || *container == self.container)
    }
}

/// The failure that a store's refusal tells of; `needs` says what one must be allowed.
fn refused(source: Source, body: &Body, said: &str, needs: &str) -> Failure {
    let title = source.title;
    let said = if said.is_empty() { "no message".to_owned() } else { short(said) };
    let flag = source.flag;
    let (class, what, message) = match body.status {
        401 => (
            FailureClass::Permission,
            "FORBIDDEN",
            format!(
                "{title} does not know who asks (401): {said}; needs --{flag}-token-file or \
                 --{flag}-user, and --{flag}-tenant where it keeps tenants apart"
            ),
        ),
        403 => (
            FailureClass::Permission,
            "FORBIDDEN",
            format!("{title} does not permit it (403): {said}; needs {needs}"),
        ),
        404 => (
            FailureClass::Config,
            "NOT_THERE",
            format!(
                "there is no API of {title} at this address (404); its path prefix may be missing: {said}"
            ),
        ),
        429 => (FailureClass::RateLimited, "BUSY", format!("{title} is too busy (429): {said}")),
        408 | 504 => (FailureClass::Timeout, "TIMEOUT", format!("{title} took too long: {said}")),
        400 => (FailureClass::Bug, "BAD_QUERY", format!("{title} refused the query: {said}")),
        status => (
            FailureClass::External,
            "FAILED",
            format!("{title} could not answer ({status}): {said}"),
        ),
    };
    let mut failure = source.refusal((class, what), body.status, message);
    if class == FailureClass::Permission {
        let permission = format!("{flag}:{}", if flag == "loki" { "query" } else { "read" });
        failure.metadata.insert("permission".to_owned(), permission);
    }
    failure
}
