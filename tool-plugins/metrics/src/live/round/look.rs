//! The first half of a call: which metrics there are for a namespace, and how many series each has.

use agent_sdk::Failure;
use futures_util::StreamExt as _;

use super::{AT_ONCE, Round};
use crate::{
    live::{
        About, Purpose,
        answer::is_missing,
        answer::{self, Queried},
        places,
        questions::{items, seconds, whole},
        select::{self, Item, Place},
    },
    query::{Fold, Function, Query, promql},
};

/// A place, and the metrics that are looked for there when they are known.
pub(super) type Sought = (Place, Option<Vec<String>>);

impl Round<'_> {
    /// Finds out which metrics there are for `about` and how much of each.
    pub(in crate::live) async fn look(
        &mut self,
        about: &About,
        present: bool,
    ) -> Result<(), Failure> {
        let mut sought = self.homes(about).await?;
        if let Some(ahead) = self.session.skew().filter(|_| present) {
            self.until_ms += ahead * 1000;
            let (way, by) = if ahead > 0 { ("ahead", ahead) } else { ("behind", -ahead) };
            let says = format!(
                "Prometheus's clock is {by} s {way} of this machine's; it was asked by its own, and \
                 times of measurements may be off by as much"
            );
            self.gap("clock of Prometheus", Failure::external("PROMETHEUS_CLOCK", says));
        }
        sought.push((places::cluster(), None));
        if self.purpose == Purpose::Recipes {
            let (place, names) = places::nodes(&about.namespace);
            sought.push((place, Some(names)));
            if !about.namespace.is_empty() {
                sought.extend(self.callers(&about.namespace).await);
            }
        }
        let asked = sought.into_iter().enumerate().map(|(index, (place, names))| {
            let (session, purpose, range) = (self.session, self.purpose, self.range());
            async move {
                let items = items(session, (purpose, &range), (index, &place), names).await;
                (place, items)
            }
        });
        let answers: Vec<(Place, Result<Vec<Item>, Failure>)> =
            futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
        let (mut last, mut any) = (None, false);
        for (place, items) in answers {
            match items {
                Ok(items) => {
                    any = true;
                    self.items.extend(items);
                }
                Err(failure) => {
                    self.gap(&place.what, failure.clone());
                    last = Some(failure);
                }
            }
            self.places.push(place);
        }
        match last {
            Some(failure) if !any => return Err(failure),
            _ => {}
        }
        self.pace().await;
        Ok(())
    }

    /// How many samples a series has, by the metric that has most series.
    async fn pace(&mut self) {
        let most = self.items.iter().max_by_key(|item| item.series);
        let Some((item, place)) = most.and_then(|item| Some((item, self.places.get(item.place)?)))
        else {
            return;
        };
        let selector = place.called(std::slice::from_ref(&item.name));
        let each = Query::Over { function: Function::Count, selector, window: select::PROBE };
        let query = promql::render(&each.by(Fold::Average, &[]));
        let end = seconds(self.until_ms);
        let fields = [("query", query.as_str()), ("time", end.as_str())];
        let Ok(body) = self.session.ask("query", &fields).await else { return };
        let Ok(answered) = answer::read::<Queried>(&body) else { return };
        let (series, _) = answered.data.series();
        let Some(sample) = series.first().and_then(|s| s.samples.first()) else { return };
        self.pace = whole(sample.value).unwrap_or(self.pace).max(1);
    }

    /// The places of the namespace; for none, requests of all namespaces.
    pub(super) async fn homes(&mut self, about: &About) -> Result<Vec<Sought>, Failure> {
        let namespace = about.namespace.as_str();
        if namespace.is_empty() {
            let says = "no namespace is named, so containers and programs' own series were not \
                        looked at, only requests and what belongs to no namespace";
            self.gap("metrics of all namespaces", Failure::external("NO_NAMESPACE", says));
            return Ok(match self.purpose {
                Purpose::Recipes => vec![(places::everywhere(), None)],
                Purpose::Anomalies => Vec::new(),
            });
        }
        let selectors = places::anywhere(namespace);
        let mut fields: Vec<(&str, &str)> =
            selectors.iter().map(|s| ("match[]", s.as_str())).collect();
        let (start, end) = self.range();
        fields.extend([("start", start.as_str()), ("end", end.as_str())]);
        let body = self.session.ask("labels", &fields).await?;
        let present: Vec<String> = if is_missing(&body) {
            // A server that does not tell its labels is asked under each.
            places::home_labels().map(str::to_owned).collect()
        } else {
            self.read(&body)?
        };
        Ok(places::homes(namespace, &present).into_iter().map(|place| (place, None)).collect())
    }
}
