//! The few questions that are put to a Prometheus, one function each, with their answers read.

use std::collections::BTreeMap;

use agent_sdk::Failure;
use plugin_http::Session;

use super::{
    Purpose,
    answer::{self, Queried},
    select::{self, Item, Place, Rank},
};
use crate::{
    query::{Fold, Function, Query, Selector, promql},
    store::gathering::Fetched,
};

/// The metrics at a place with their counts of series.
pub(super) async fn items(
    session: &Session<'_>,
    (purpose, range): (Purpose, &(String, String)),
    (index, place): (usize, &Place),
    names: Option<Vec<String>>,
) -> Result<Vec<Item>, Failure> {
    let named = names.is_some();
    let names = match names {
        Some(names) => names,
        None => all_names(session, place, range).await?,
    };
    let rank = |name: &str| {
        let rank = select::rank(name, purpose, place.is_clusters)?;
        // Of all namespaces together only requests are looked at.
        (!place.matchers.is_empty() || rank == Rank::Requests).then_some(rank)
    };
    let ranked: Vec<(String, Rank)> = names
        .into_iter()
        .filter_map(|name| {
            let rank = rank(&name).or(named.then_some(Rank::Other))?;
            Some((name, rank))
        })
        .collect();
    let mut counted = BTreeMap::new();
    for chunk in ranked.chunks(400) {
        let names: Vec<String> = chunk.iter().map(|(name, _)| name.clone()).collect();
        counted.extend(counts(session, &place.called(&names), &range.1).await?);
    }
    let item = |(name, rank): (String, Rank)| {
        let series = counted.get(&name).copied().unwrap_or(0);
        Item { place: index, name, rank, series }
    };
    Ok(ranked.into_iter().map(item).collect())
}

/// The names of the metrics at a place: a look into the server's index, not at its samples.
pub(super) async fn all_names(
    session: &Session<'_>,
    place: &Place,
    (start, end): &(String, String),
) -> Result<Vec<String>, Failure> {
    let selector = promql::selector(&place.all());
    let mut fields = vec![("start", start.as_str()), ("end", end.as_str())];
    if !place.matchers.is_empty() {
        // A selector that may match nothing is refused; each series has a name.
        fields.push(("match[]", selector.as_str()));
    }
    let body = session.ask("label/__name__/values", &fields).await?;
    Ok(answer::read(&body)?.data)
}

/// How many series each metric has of late. What ended before counts as few: it is bounded when it
/// comes.
pub(super) async fn counts(
    session: &Session<'_>,
    selector: &Selector,
    end: &str,
) -> Result<BTreeMap<String, usize>, Failure> {
    let count =
        Query::Over { function: Function::Last, selector: selector.clone(), window: select::PROBE };
    let query = promql::render(&count.by(Fold::Count, &["__name__"]));
    let body = session.ask("query", &[("query", query.as_str()), ("time", end)]).await?;
    let answered = answer::read::<Queried>(&body)?;
    let (series, _) = answered.data.series();
    let count = |fetched: Fetched| {
        let count = whole(fetched.samples.first()?.value)?;
        Some((fetched.name, count))
    };
    Ok(series.into_iter().filter_map(count).collect())
}

/// The samples of a selector as they were recorded, up to a time; of less time where `short`.
pub(super) async fn raw(
    session: &Session<'_>,
    selector: &Selector,
    (end, short): (&str, bool),
) -> Result<answer::Answered<Vec<Fetched>>, Failure> {
    let range = if short { select::RANGE / 3 } else { select::RANGE };
    let query = format!("{}[{}]", promql::selector(selector), promql::span(range));
    let body = session.ask("query", &[("query", query.as_str()), ("time", end)]).await?;
    // Megabytes of JSON take a while, which other calls need not wait for.
    let reading = tokio::task::spawn_blocking(move || answer::read::<Queried>(&body));
    let answered = reading.await.map_err(|error| {
        Failure::bug("PROMETHEUS_READER_FAILED", format!("reading ended early: {error}"))
    })??;
    let (data, native) = answered.data.series();
    let mut warnings = answered.warnings;
    if native > 0 {
        warnings.push(format!("{native} series are native histograms, which are not read"));
    }
    Ok(answer::Answered { data, warnings })
}

/// A query at equal steps from a time to another.
pub(super) async fn ranged(
    session: &Session<'_>,
    query: &str,
    [start, end, step]: [String; 3],
) -> Result<answer::Answered<Vec<Fetched>>, Failure> {
    let fields = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
    let body = session.ask("query_range", &fields).await?;
    let answered = answer::read::<Queried>(&body)?;
    Ok(answer::Answered { data: answered.data.series().0, warnings: answered.warnings })
}

/// What was computed, under the name of what it was computed from.
pub(super) fn called(
    mut answered: answer::Answered<Vec<Fetched>>,
    name: &str,
    is_rate: bool,
) -> answer::Answered<Vec<Fetched>> {
    for fetched in &mut answered.data {
        name.clone_into(&mut fetched.name);
        fetched.is_rate = is_rate;
    }
    answered
}

pub(super) fn whole(value: f64) -> Option<usize> {
    format!("{value:.0}").parse().ok()
}

pub(super) fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

pub(super) fn listed(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    match names.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
