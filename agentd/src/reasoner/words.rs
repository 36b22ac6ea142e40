//! What fills the templates of a cause: values out of its evidence, and the words of a source that
//! tell most. Nothing is phrased here.

use jiff::Timestamp;

use super::{case::Case, catalogue::matches_any, template::Values, weigh::Weighed};
use crate::fact::Observation;

/// The words that tell most: of the signals the cause names for it, in that order.
fn quote(case: &Case<'_>, weighed: &Weighed<'_>) -> String {
    let spoken: Vec<&Observation> = weighed
        .evidence
        .iter()
        .filter_map(|(index, _)| case.facts.seen().get(*index))
        .map(|seen| &seen.observation)
        .filter(|observation| !observation.quote.is_empty())
        .collect();
    let named = weighed.cause.quote.iter().find_map(|signal| {
        let one = std::slice::from_ref(signal);
        spoken.iter().find(|observation| matches_any(one, &observation.signal))
    });
    named.map(|observation| telling_line(observation)).unwrap_or_default()
}

/// Of a quote of several lines, the one that names the exception; else the first.
fn telling_line(observation: &Observation) -> String {
    let exception = observation.attr("exception");
    let names = |line: &&str| !exception.is_empty() && line.contains(exception);
    let line = observation.quote.lines().find(names).unwrap_or(&observation.quote);
    first_line(line.trim())
}

/// Values for the templates: the strongest evidence leads, the others fill what it lacks.
pub(super) fn values(case: &Case<'_>, weighed: &Weighed<'_>) -> Values {
    let culprit = &weighed.culprit;
    let mut values = Values::from([
        ("kind".to_owned(), culprit.kind.clone()),
        ("namespace".to_owned(), culprit.namespace.clone()),
        ("name".to_owned(), culprit.name.clone()),
        ("quote".to_owned(), quote(case, weighed)),
        ("since".to_owned(), weighed.start.map(clock).unwrap_or_default()),
    ]);
    values.retain(|_, value| !value.is_empty());
    for (index, _) in &weighed.evidence {
        let Some(seen) = case.facts.seen().get(*index) else { continue };
        let observation = &seen.observation;
        let mut put = |key: &str, value: String| {
            if !value.is_empty() {
                values.entry(key.to_owned()).or_insert(value);
            }
        };
        let word = observation.signal.rsplit('.').next().unwrap_or_default();
        put("what", word.replace('_', " "));
        put(&format!("said.{}", observation.signal), observation.statement.clone());
        put("container", observation.subject.container.clone());
        put("statement", observation.statement.clone());
        put("quote", telling_line(observation));
        put("peer", observation.peer.as_ref().map(ToString::to_string).unwrap_or_default());
        let start = observation.start.map(clock).unwrap_or_default();
        put("since", start.clone());
        if observation.count > 1 {
            put("count", observation.count.to_string());
        }
        if let Some(value) = observation.value.filter(|_| observation.unit == "1") {
            put("percent", format!("{:.0} %", value * 100.0));
        }
        if observation.signal == "workload.rolled_out" {
            put("changed_at", start);
        }
        for (key, value) in &observation.attributes {
            put(&format!("attr.{key}"), value.clone());
            if key.starts_with("change.") && key.contains("cpu") {
                put("change.cpu", value.clone());
            }
        }
    }
    if let Some(why) = values.get("attr.why").map(|why| why.replace('_', " ")) {
        values.insert("attr.why_words".to_owned(), why);
    }
    values
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(240).collect()
}

fn clock(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
