//! What other namespaces tell of this one, and what is reached there: who names it as the one called,
//! and how the services fare that the alerted one calls. A few series of them, never all.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::Failure;

use super::{Round, look::Sought};
use crate::{
    families,
    live::{
        Beyond, Purpose,
        answer::TOO_MANY,
        places,
        questions::{raw, seconds},
        select::{self, Place, Rank},
    },
    query::{Condition, promql},
};

/// Series of callers from other namespaces, and of services reached there, that are looked through.
const MAX_ELSEWHERE: &str = "2000";
/// Services of other namespaces that are looked at.
const MAX_BEYOND: usize = 6;

type Labels = BTreeMap<String, String>;

impl Round<'_> {
    /// Where callers of other namespaces tell of calls to this one.
    pub(super) async fn callers(&mut self, namespace: &str) -> Vec<Sought> {
        let selectors = places::called_anywhere(namespace);
        let fields = selectors.iter().map(|(_, selector)| selector.as_str());
        let series = match self.series(fields.collect()).await {
            Ok(series) => series,
            Err(failure) => {
                self.gap("calls from other namespaces", failure);
                return Vec::new();
            }
        };
        let condition = Condition::HostIn(namespace.to_owned());
        let mut found: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
        for labels in &series {
            let Some(name) = labels.get("__name__") else { continue };
            if select::rank(name, Purpose::Recipes, false) != Some(Rank::Requests) {
                continue;
            }
            let named = selectors.iter().map(|(label, _)| *label);
            for label in named.filter(|l| labels.get(*l).is_some_and(|v| condition.holds(v))) {
                found.entry(label).or_default().insert(name.clone());
            }
        }
        let places = found.into_iter();
        places
            .map(|(label, names)| {
                (places::callers(namespace, label), Some(names.into_iter().collect()))
            })
            .collect()
    }

    /// Adds what there is of services of other namespaces that are reached.
    pub(in crate::live) async fn reach(&mut self, beyond: &[Beyond]) {
        for reached in beyond.iter().take(MAX_BEYOND) {
            if let Err(failure) = self.reach_one(reached).await {
                self.gap(&format!("metrics of {}/{}", reached.namespace, reached.service), failure);
            }
        }
        if let Some(rest) = beyond.get(MAX_BEYOND..).filter(|rest| !rest.is_empty()) {
            let says = format!("{} more services of other namespaces are reached", rest.len());
            self.gap("services of other namespaces", Failure::external(TOO_MANY, says));
        }
    }

    async fn reach_one(&mut self, reached: &Beyond) -> Result<(), Failure> {
        let homes = families::NAMESPACE;
        let sought = places::beyond(reached, homes);
        let selectors: Vec<String> = sought.iter().map(|p| promql::selector(&p.all())).collect();
        let series = self.series(selectors.iter().map(String::as_str).collect()).await?;
        let mut found: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        for labels in &series {
            let Some(name) = labels.get("__name__") else { continue };
            let rank = select::rank(name, Purpose::Recipes, false);
            let pairs: Vec<(String, String)> =
                labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
            let home = places::home_of(&pairs, &reached.namespace);
            if rank.is_none() || home.is_none() {
                continue;
            }
            // The first place that a series fits is enough.
            let fits = |place: &Place| {
                place.matchers.iter().all(|m| {
                    let value = labels.get(&m.label).map_or("", String::as_str);
                    m.condition.holds(value)
                })
            };
            if let Some(index) = sought.iter().position(fits) {
                found.entry(index).or_default().insert(name.clone());
            }
        }
        let end = seconds(self.until_ms);
        for (index, names) in found {
            let Some(place) = sought.get(index) else { continue };
            let names: Vec<String> = names.into_iter().collect();
            let answered = raw(self.session, &place.called(&names), (&end, false)).await?;
            self.keep(answered);
        }
        Ok(())
    }

    async fn series(&mut self, selectors: Vec<&str>) -> Result<Vec<Labels>, Failure> {
        let (start, end) = self.range();
        let mut fields: Vec<(&str, &str)> =
            selectors.into_iter().map(|selector| ("match[]", selector)).collect();
        fields.extend([("start", start.as_str()), ("end", end.as_str()), ("limit", MAX_ELSEWHERE)]);
        let body = self.session.ask("series", &fields).await?;
        self.read(&body)
    }
}
