//! The tool `query`: one typed question, for people and models that know which number they want. The
//! expression is made from the arguments ([`crate::query::promql`]), never taken as text, so that what is
//! asked can be bounded and stays within its quotes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use agent_sdk::{CallCx, Failure, Output, Spec, Tool};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    query::{Condition, Fold, Function, Grid, Query, Selector, Track, promql},
    recording::Recording,
    remaining::Remaining,
    view::number,
};

/// Series told at most, those with the largest values first.
const MAX_TOLD: usize = 20;
/// Points of each at most.
const POINTS: u32 = 60;
/// Furthest back that is looked, minutes: a day.
const MAX_MINUTES: u32 = 24 * 60;

/// See [`Tool`].
#[derive(Debug, Clone)]
pub struct AskQuery {
    recording: Arc<Recording>,
}

/// Arguments of the tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Args {
    /// Name of the metric, such as `http_requests_total`.
    pub metric: String,
    /// Values that labels must have, whole.
    pub labels: BTreeMap<String, String>,
    /// How samples are looked at; left out: counters as rates, all else as it is.
    pub function: Option<Looked>,
    /// Labels that tell results apart; left out: each series is told.
    pub by: Vec<String>,
    /// How the series of one result are folded, where `by` is given.
    pub fold: Folded,
    /// A quantile, 0 to 1, of the buckets of a histogram.
    pub quantile: Option<f64>,
    /// How far back, in minutes: 1 to 1440; 0 means an hour.
    pub minutes: u32,
}

/// How samples are looked at.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Looked {
    /// As they are.
    AsIs,
    /// Growth of a counter per second.
    Rate,
    /// Growth of a counter between points.
    Increase,
    /// Mean between points.
    Average,
    /// Largest value between points.
    Max,
}

/// How series become one.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Folded {
    /// Their sum.
    #[default]
    Sum,
    /// Their mean.
    Average,
    /// The largest.
    Max,
}

#[derive(Debug, Serialize)]
struct Answer {
    expression: String,
    step_seconds: i64,
    series: Vec<Told>,
    left_out: usize,
}

#[derive(Debug, Serialize)]
struct Told {
    labels: BTreeMap<String, String>,
    from: String,
    last: Option<f64>,
    /// A value per step; null where there is none.
    values: Vec<Option<f64>>,
}

// === impl AskQuery ===

impl AskQuery {
    /// The tool over `recording`.
    #[must_use]
    pub fn new(recording: Arc<Recording>) -> Self {
        Self { recording }
    }
}

impl Tool for AskQuery {
    type Args = Args;

    fn spec(&self) -> Spec {
        Spec::read_only(
            "query",
            "One metric over time, by its name, with conditions on labels, as a rate, sum or \
             quantile. For a number that the other tools do not tell.",
        )
        .title("One metric over time")
        .permissions(&["prometheus:query"])
        .timeout(Duration::from_secs(25))
        .typical_latency(Duration::from_millis(300))
        .example(
            "Errors by code",
            r#"{"metric":"http_requests_total","labels":{"service":"web"},"by":["code"]}"#,
        )
        .example(
            "A quantile",
            r#"{"metric":"http_request_duration_seconds_bucket","by":["service"],"quantile":0.99}"#,
        )
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let minutes = match args.minutes {
            0 => 60,
            minutes if minutes <= MAX_MINUTES => minutes,
            _ => return Err(Failure::invalid_argument("minutes", "give 1 to 1440")),
        };
        // As fine as the points allow, and not finer than programs are measured.
        let step = Duration::from_secs(u64::from((minutes * 60 / POINTS).max(15)));
        let query = query(&args, step)?;
        let now = self.recording.cluster().now();
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(60_000);
        let end = now.as_millisecond();
        let grid = Grid {
            look_back_ms: 300_000,
            ..Grid::between(end - i64::from(minutes) * 60_000, end, step_ms)
        };
        let left = Remaining::of(&cx).left();
        let tracks = self.recording.tracks(&query, grid, left).await?;
        let answer = answer(tracks, promql::render(&query), grid);
        let summary = summary(&answer);
        let left_out = answer.left_out;
        let output = Output::new(&answer)?.summary(summary).observed_at(now);
        Ok(if left_out > 0 { output.truncated("") } else { output })
    }
}

/// The question that the arguments mean.
fn query(args: &Args, step: Duration) -> Result<Query, Failure> {
    if !promql::is_metric(&args.metric) {
        return Err(Failure::invalid_argument("metric", "give the name of one metric"));
    }
    let names = args.labels.keys().chain(&args.by);
    if let Some(bad) = names.into_iter().find(|name| !promql::is_label(name)) {
        return Err(Failure::invalid_argument("labels", format!("{bad:?} is no name of a label")));
    }
    if args.quantile.is_some_and(|q| !(0.0..=1.0).contains(&q)) {
        return Err(Failure::invalid_argument("quantile", "give 0 to 1"));
    }
    let selector = args.labels.iter().fold(Selector::new(&args.metric), |s, (label, value)| {
        s.matching(label, Condition::Is(value.clone()))
    });
    // Four steps, so that one lost scrape leaves a value.
    let over = |function| Query::Over { function, selector: selector.clone(), window: 4 * step };
    let looked = match args.function {
        None | Some(Looked::AsIs) => Query::Instant(selector.clone()),
        Some(Looked::Rate) => over(Function::Rate),
        Some(Looked::Increase) => over(Function::Increase),
        Some(Looked::Average) => over(Function::Average),
        Some(Looked::Max) => over(Function::Max),
    };
    let counted = args.function.is_none() && is_counted(args);
    let looked = if counted { over(Function::Rate) } else { looked };
    let fold = match args.fold {
        Folded::Sum => Fold::Sum,
        Folded::Average => Fold::Average,
        Folded::Max => Fold::Max,
    };
    let mut by: Vec<&str> = args.by.iter().map(String::as_str).collect();
    let Some(q) = args.quantile else {
        return Ok(if by.is_empty() { looked } else { looked.by(fold, &by) });
    };
    by.push("le");
    Ok(looked.by(Fold::Sum, &by).quantile(q))
}

/// Whether a name is a counter's by its ending.
fn is_counted(args: &Args) -> bool {
    let ends = ["_total", "_count", "_sum", "_bucket"];
    args.quantile.is_some() || ends.iter().any(|end| args.metric.ends_with(end))
}

fn answer(mut tracks: Vec<Track>, expression: String, grid: Grid) -> Answer {
    tracks.retain(|track| track.values.iter().any(|v| v.is_finite()));
    let top = |track: &Track| {
        track.values.iter().copied().filter(|v| v.is_finite()).fold(f64::NEG_INFINITY, f64::max)
    };
    tracks.sort_by(|a, b| top(b).total_cmp(&top(a)).then_with(|| a.labels.cmp(&b.labels)));
    let left_out = tracks.len().saturating_sub(MAX_TOLD);
    tracks.truncate(MAX_TOLD);
    let from = jiff::Timestamp::from_millisecond(grid.start_ms).map(|t| t.to_string());
    let from = from.unwrap_or_default();
    let told = tracks.into_iter().map(|track| {
        let values: Vec<Option<f64>> =
            track.values.iter().map(|v| v.is_finite().then_some(*v)).collect();
        let labels = track.labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let last = values.iter().rev().find_map(|v| *v);
        Told { labels, from: from.clone(), last, values }
    });
    Answer { expression, step_seconds: grid.step_ms / 1000, series: told.collect(), left_out }
}

fn summary(answer: &Answer) -> String {
    if answer.series.is_empty() {
        return format!("{} has no value in that time", answer.expression);
    }
    let line = |told: &Told| {
        let labels: Vec<String> = told.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let there: Vec<f64> = told.values.iter().filter_map(|v| *v).collect();
        let most = there.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let least = there.iter().copied().fold(f64::INFINITY, f64::min);
        let last = told.last.map(number).unwrap_or_default();
        format!("{{{}}} {last} now, {} to {}", labels.join(","), number(least), number(most))
    };
    let lines: Vec<String> = answer.series.iter().take(15).map(line).collect();
    format!("{}\n{}", answer.expression, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn args(text: &str) -> Args {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn arguments_become_one_expression() {
        let minute = Duration::from_secs(15);
        let table = [
            (r#"{"metric":"up"}"#, "up"),
            (r#"{"metric":"a_total","by":["x"]}"#, "sum by (x) (rate(a_total[60s]))"),
            (
                r#"{"metric":"m","labels":{"l":"a\"} or b"},"function":"max"}"#,
                r#"max_over_time(m{l="a\"} or b"}[60s])"#,
            ),
            (
                r#"{"metric":"d_bucket","by":["s"],"quantile":0.5}"#,
                "histogram_quantile(0.5, sum by (s, le) (rate(d_bucket[60s])))",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(promql::render(&query(&args(text), minute).unwrap()), expected);
        }
        for bad in [
            r#"{"metric":""}"#,
            r#"{"metric":"a or b"}"#,
            r#"{"metric":"a","by":["x) or ("]}"#,
            r#"{"metric":"a","labels":{"x=\"\"":"1"}}"#,
            r#"{"metric":"a_bucket","quantile":2}"#,
        ] {
            assert!(query(&args(bad), minute).is_err(), "{bad}");
        }
    }
}
