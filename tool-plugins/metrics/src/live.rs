//! A Prometheus that is asked while an investigation runs. For one call it finds out which series
//! there are for a namespace, takes those that recipes look at into a [`Store`], and from there on
//! all is as with a recording.
//!
//! Invariant: what a call asks for and keeps is bounded by constants ([`BOUNDS`],
//! [`select`]), and depends on nothing that lies in namespaces the call is not about. What could not
//! be had is a named gap, never silence.

mod answer;
mod fold;
mod places;
mod questions;
mod round;
mod select;
pub mod settings;

use std::{collections::BTreeMap, time::Duration};

use agent_sdk::Failure;
use jiff::Timestamp;
use plugin_http::Server;
use tokio::sync::OnceCell;

pub use plugin_http::Bounds;

use self::{answer::Kind, round::Round, settings::Settings};
use crate::{
    query::{Condition, Grid, Query, Selector, Track, promql},
    store::{Limits, Store, gathering::Gathering},
};

/// What the measurements are for: it decides which series are worth moving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// The typed recipes.
    Recipes,
    /// The search through everything.
    Anomalies,
}

/// What a call is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct About {
    /// Namespace; empty: only what belongs to none, and services of all.
    pub namespace: String,
    /// The alerted pods: where a namespace has too many containers, only theirs are looked at.
    pub pods: Vec<String>,
}

/// A service of another namespace that the alerted one reaches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beyond {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Its pods.
    pub pods: Vec<String>,
}

/// What was had of a server.
#[derive(Debug, Clone, Default)]
pub struct Had {
    /// The series.
    pub store: Store,
    /// What could not be had.
    pub gaps: Vec<(String, Failure)>,
    /// Requests that it took.
    pub requests: usize,
    /// The time up to which was asked: the server's "now" where its clock differs.
    pub until_ms: i64,
}

/// A Prometheus.
#[derive(Debug)]
pub struct Live {
    server: Server,
    limits: Limits,
    /// What the server says of its metrics; it changes with deployments, not with incidents.
    kinds: OnceCell<BTreeMap<String, Vec<Kind>>>,
    clock: fn() -> Timestamp,
}

/// What a call asks of a server and takes from it.
pub const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(3),
    request: Duration::from_secs(8),
    // Under the 25 s that the tools promise, with time left to judge.
    call: Duration::from_secs(20),
    // Twice what the largest namespace seen needs.
    requests: 60,
    // A batch is made to hold 250,000 samples at about 26 bytes each; four times as much is a server
    // that means something else.
    body: 24 * 1024 * 1024,
};

/// A present that is this near to the machine's clock is the present; else a recording's.
const PRESENT: i64 = 24 * 3600;

// === impl Live ===

impl Live {
    /// The Prometheus that `settings` name; `None` when they name none. `clock` is the machine's.
    ///
    /// # Errors
    /// CONFIG when the settings cannot be used.
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
        let Some(server) = Server::of(settings.settings(), bounds, clock)? else {
            return Ok(None);
        };
        let limits = Limits { max_series: select::MAX_SERIES, max_samples: select::MAX_SAMPLES };
        Ok(Some(Self { server, limits, kinds: OnceCell::new(), clock }))
    }

    /// The measurements for a call.
    ///
    /// # Errors
    /// When nothing at all could be had: PERMISSION, TIMEOUT, EXTERNAL, CONFIG.
    pub async fn measured(
        &self,
        about: &About,
        purpose: Purpose,
        (now, within): (Timestamp, Duration),
    ) -> Result<Had, Failure> {
        let session = self.server.session(within)?;
        let mut round = Round::new(&session, self.limits, purpose, now.as_millisecond());
        round.look(about, self.is_present(now)).await?;
        self.learn_kinds(&mut round).await;
        round.take(about).await?;
        round.look_at_age();
        Ok(round.finish())
    }

    /// Adds to `had` the services of other namespaces that are reached.
    ///
    /// # Errors
    /// CONFIG when the secrets cannot be read.
    pub async fn reach(
        &self,
        had: Had,
        beyond: &[Beyond],
        within: Duration,
    ) -> Result<Had, Failure> {
        let session = self.server.session(within)?;
        let Had { store, gaps, requests, until_ms } = had;
        let mut round = Round::new(&session, self.limits, Purpose::Recipes, until_ms);
        round.go_on(Gathering::over(store, self.limits), gaps, requests);
        round.reach(beyond).await;
        Ok(round.finish())
    }

    /// The metrics called `names` of a namespace as they were `before` the time that `had` is of.
    ///
    /// # Errors
    /// As for [`Self::measured`].
    pub async fn earlier(
        &self,
        about: &About,
        names: &[String],
        (until_ms, within): (i64, Duration),
    ) -> Result<Had, Failure> {
        let session = self.server.session(within)?;
        let mut round = Round::new(&session, self.limits, Purpose::Anomalies, until_ms);
        // Nothing from then is no failure: servers forget.
        _ = round.named(about, names).await;
        Ok(round.finish())
    }

    /// The answer to one question, a value per time of `grid`.
    ///
    /// # Errors
    /// As for [`Self::measured`].
    pub async fn tracks(
        &self,
        query: &Query,
        grid: Grid,
        within: Duration,
    ) -> Result<Vec<Track>, Failure> {
        let session = self.server.session(within)?;
        let end_ms = grid.time_ms(grid.points.saturating_sub(1));
        let times = [grid.start_ms, end_ms, grid.step_ms].map(questions::seconds);
        let answered = questions::ranged(&session, &promql::render(query), times).await?;
        Ok(answered.data.into_iter().map(|fetched| fetched.track(grid)).collect())
    }

    /// How many series there are of late of each of `names`.
    ///
    /// # Errors
    /// As for [`Self::measured`].
    pub async fn series(
        &self,
        names: &[&str],
        (now, within): (Timestamp, Duration),
    ) -> Result<BTreeMap<String, usize>, Failure> {
        let session = self.server.session(within)?;
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let condition = Condition::OneOf(names);
        let called = Selector::new("").matching("__name__", condition);
        questions::counts(&session, &called, &questions::seconds(now.as_millisecond())).await
    }

    /// Kind and address, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        self.server.shown()
    }

    fn is_present(&self, now: Timestamp) -> bool {
        ((self.clock)().as_second() - now.as_second()).abs() < PRESENT
    }

    /// What the server says its metrics are. Not every server says it, and names mostly tell.
    async fn learn_kinds(&self, round: &mut Round<'_>) {
        let kinds = match self.kinds.get() {
            Some(kinds) => kinds,
            None => match round.kinds().await {
                Ok(kinds) => self.kinds.get_or_init(async || kinds).await,
                Err(_) => return,
            },
        };
        round.learn(kinds);
    }
}
