//! One call's conversation with a Prometheus: which names are there, how many samples they have, and
//! then the samples. Steps that fail cost what they would have brought, as a gap.

mod elsewhere;
mod look;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use agent_sdk::{Failure, FailureClass};
use futures_util::StreamExt as _;
use plugin_http::{Body, Session};
use serde::de::DeserializeOwned;

use super::{
    About, Had, Purpose,
    answer::{self, Kind, TOO_MANY},
    fold, places,
    questions::{called, items, listed, ranged, raw, seconds},
    select::{self, Batch, Item, Place, Plan},
};
use crate::{
    flow::Frame,
    query::{Condition, promql},
    store::{
        Limits,
        gathering::{Fetched, Gathering},
    },
};

/// Requests that run at once: one call should not be what a small server has to do.
const AT_ONCE: usize = 3;
/// The newest sample may be this old before it is worth words.
const STALE_MS: i64 = 5 * 60 * 1000;

/// One call's conversation.
pub(super) struct Round<'a> {
    session: &'a Session<'a>,
    purpose: Purpose,
    until_ms: i64,
    gathering: Gathering,
    places: Vec<Place>,
    items: Vec<Item>,
    gaps: Vec<(String, Failure)>,
    warnings: BTreeSet<String>,
    requests_before: usize,
    /// Samples of one series in [`select::PROBE`].
    pace: usize,
}

// === impl Round ===

impl<'a> Round<'a> {
    pub(super) fn new(
        session: &'a Session<'a>,
        limits: Limits,
        purpose: Purpose,
        until_ms: i64,
    ) -> Self {
        Self {
            session,
            purpose,
            until_ms,
            gathering: Gathering::new(limits),
            places: Vec::new(),
            items: Vec::new(),
            gaps: Vec::new(),
            warnings: BTreeSet::new(),
            requests_before: 0,
            // Every 15 s, until it is known.
            pace: 40,
        }
    }

    /// Goes on with what was had before.
    pub(super) fn go_on(
        &mut self,
        gathering: Gathering,
        gaps: Vec<(String, Failure)>,
        requests: usize,
    ) {
        self.gathering = gathering;
        self.gaps = gaps;
        self.requests_before = requests;
    }

    /// Takes what was found, by plan.
    pub(super) async fn take(&mut self, about: &About) -> Result<(), Failure> {
        let items = std::mem::take(&mut self.items);
        let has_items = !items.is_empty();
        let Plan { batches, folded, narrowed, left_out } =
            select::plan(items, self.pace, !about.pods.is_empty());
        if !narrowed.is_empty() {
            let says = format!(
                "there are too many containers; of the alerted pods only: {}",
                narrowed.join(", ")
            );
            self.gap("containers of the namespace", Failure::external(TOO_MANY, says));
        }
        if !left_out.is_empty() {
            let says = format!("too many series, left out: {}", listed(&left_out));
            self.gap("metrics with too many series", Failure::external(TOO_MANY, says));
        }
        let mut folded = folded;
        let failed = self.batches(batches, about, &mut folded).await;
        self.fold(folded).await;
        match failed {
            Some(failure) if has_items && self.gathering.kept() == 0 => Err(failure),
            _ if self.gathering.kept() == 0 => Err(self.nothing(about)),
            _ => Ok(()),
        }
    }

    /// Why nothing was had: what went wrong first, or that there is nothing.
    fn nothing(&self, about: &About) -> Failure {
        if let Some((_, failure)) = self.gaps.iter().find(|(_, f)| f.reason != "PROMETHEUS_CLOCK") {
            return failure.clone();
        }
        let hours = select::RANGE.as_secs() / 3600;
        let says = format!(
            "Prometheus has no sample of the last {hours} hours about namespace {}",
            about.namespace
        );
        Failure::new(FailureClass::Config, "NO_METRICS", says)
    }

    /// Moves batches; those that are too large for the server are halved, and a metric that is too
    /// large alone is `folded` where that loses nothing. The last failure.
    async fn batches(
        &mut self,
        batches: Vec<Batch>,
        about: &About,
        folded: &mut Vec<Item>,
    ) -> Option<Failure> {
        let mut waiting: VecDeque<Batch> = batches.into();
        let mut last = None;
        while !waiting.is_empty() {
            let now: Vec<Batch> = waiting.drain(..waiting.len().min(AT_ONCE)).collect();
            let asked =
                now.into_iter().filter_map(|batch| {
                    let place = self.places.get(batch.place)?;
                    let (session, end) = (self.session, seconds(self.until_ms));
                    let mut selector = place.called(&batch.names);
                    if batch.narrow {
                        let pods = Condition::OneOf(about.pods.clone());
                        selector = selector.matching(place.pod_label, pods);
                    }
                    let what = place.what.clone();
                    Some(async move {
                        (raw(session, &selector, (&end, batch.short)).await, batch, what)
                    })
                });
            let answers: Vec<_> =
                futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
            for (answered, batch, what) in answers {
                match answered {
                    Ok(answered) => {
                        if batch.short {
                            let says = "too many samples at once; only the last hour was taken";
                            let why = Failure::external(TOO_MANY, says);
                            self.gap(&format!("{} before", listed(&batch.names)), why);
                        }
                        self.keep(answered);
                    }
                    Err(failure) if failure.reason == TOO_MANY => match select::smaller(batch) {
                        Ok(less) => less.into_iter().rev().for_each(|b| waiting.push_front(b)),
                        Err(batch) => match select::foldable(&batch, self.purpose) {
                            Some(item) if folded.len() < select::MAX_FOLDED => folded.push(item),
                            _ => self.gap(&listed(&batch.names), failure),
                        },
                    },
                    Err(failure) => {
                        self.gap(&format!("{what}: {}", listed(&batch.names)), failure.clone());
                        last = Some(failure);
                    }
                }
            }
        }
        last
    }

    fn keep(&mut self, answered: answer::Answered<Vec<Fetched>>) {
        self.warnings.extend(answered.warnings);
        for fetched in answered.data {
            self.gathering.add(fetched);
        }
    }

    /// Has the server fold what has too many series, at the interval of what was moved.
    async fn fold(&mut self, items: Vec<Item>) {
        let frame = Frame::of(self.gathering.store());
        let paced = select::PROBE.as_secs() / u64::try_from(self.pace).unwrap_or(40).max(1);
        let paced = i64::try_from(paced * 1000).unwrap_or(30_000);
        // Below what a server evaluates at once (11,000 points), and not finer than is looked at.
        let step = frame.map_or(paced, |frame| frame.grid.step_ms).max(15_000);
        let window = std::time::Duration::from_millis(u64::try_from(4 * step).unwrap_or(120_000));
        let range_ms = i64::try_from(select::RANGE.as_millis()).unwrap_or(i64::MAX);
        let (start, end) = (seconds(self.until_ms - range_ms), seconds(self.until_ms));
        let step = seconds(step);
        let questions: Vec<(String, String, bool)> = items
            .into_iter()
            .filter_map(|item| {
                let place = self.places.get(item.place)?;
                let is_counter = self.gathering.store().is_counter(&item.name);
                let (query, is_rate) = fold::folded(&item, place, (is_counter, window));
                Some((item.name, promql::render(&query), is_rate))
            })
            .collect();
        let session = self.session;
        let asked = questions.into_iter().map(|(name, query, is_rate)| {
            let times = [start.clone(), end.clone(), step.clone()];
            async move {
                let answered = ranged(session, &query, times).await;
                (answered.map(|answered| called(answered, &name, is_rate)), name)
            }
        });
        let answers: Vec<_> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
        for (answered, name) in answers {
            match answered {
                Ok(answered) => self.keep(answered),
                Err(failure) => self.gap(&name, failure),
            }
        }
    }

    /// Takes metrics by their names, with a plan as ever.
    pub(super) async fn named(&mut self, about: &About, names: &[String]) -> Result<(), Failure> {
        let mut sought = self.homes(about).await?;
        sought.push((places::cluster(), None));
        self.gaps.clear();
        for (index, (place, _)) in sought.into_iter().enumerate() {
            let names = Some(names.to_vec());
            let range = self.range();
            let found = items(self.session, (self.purpose, &range), (index, &place), names).await?;
            // What had no sample then has no past to be compared with.
            self.items.extend(found.into_iter().filter(|item| item.series > 0));
            self.places.push(place);
        }
        self.take(about).await
    }

    /// What the server says its metrics are.
    pub(super) async fn kinds(&self) -> Result<BTreeMap<String, Vec<Kind>>, Failure> {
        let body = self.session.ask("metadata", &[("limit_per_metric", "1")]).await?;
        Ok(answer::read(&body)?.data)
    }

    pub(super) fn learn(&mut self, kinds: &BTreeMap<String, Vec<Kind>>) {
        for (family, said) in kinds {
            if let Some(said) = said.first() {
                self.gathering.kind(family, &said.kind);
            }
        }
    }

    fn read<T: DeserializeOwned>(&mut self, body: &Body) -> Result<T, Failure> {
        let answered = answer::read(body)?;
        self.warnings.extend(answered.warnings);
        Ok(answered.data)
    }

    fn range(&self) -> (String, String) {
        let range = i64::try_from(select::RANGE.as_millis()).unwrap_or(i64::MAX);
        (seconds(self.until_ms - range), seconds(self.until_ms))
    }

    fn gap(&mut self, subject: &str, why: Failure) {
        if !self.gaps.iter().any(|(known, _)| known == subject) {
            self.gaps.push((subject.to_owned(), why));
        }
    }

    /// Says when nothing new has come for some time: what is looked at is then the past.
    pub(super) fn look_at_age(&mut self) {
        let Some((_, last)) = self.gathering.store().span_ms() else { return };
        let old = self.until_ms - last;
        if old > STALE_MS {
            let says = format!("the newest sample is {} minutes old", old / 60_000);
            self.gap("metrics of late", Failure::external("METRICS_STALE", says));
        }
    }

    /// What was had.
    pub(super) fn finish(mut self) -> Had {
        if !self.warnings.is_empty() {
            let says: Vec<String> = self.warnings.iter().take(3).cloned().collect();
            let says = format!("Prometheus warns of its answers: {}", says.join("; "));
            self.gap("answers of Prometheus", Failure::external("PROMETHEUS_PARTIAL", says));
        }
        let requests = self.requests_before + self.session.requests();
        let store = self.gathering.finish();
        tracing::info!(
            requests,
            series = store.len(),
            gaps = self.gaps.len(),
            purpose = ?self.purpose,
            "prometheus was asked"
        );
        Had { store, gaps: self.gaps, requests, until_ms: self.until_ms }
    }
}
