//! The JSON that the HTTP API of Prometheus answers with, read into series. Tolerant of fields it
//! does not know. Format: <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use agent_sdk::{Failure, FailureClass};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};

use plugin_http::{Body, short};

use super::settings::PROMETHEUS;
use crate::store::{Sample, gathering::Fetched};

/// What each answer is wrapped in.
#[derive(Debug, Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    infos: Vec<String>,
}

/// An answer with what the server warns of.
#[derive(Debug)]
pub(super) struct Answered<T> {
    /// What was asked for.
    pub(super) data: T,
    /// Reasons why it may be partial.
    pub(super) warnings: Vec<String>,
}

/// Result of a query.
#[derive(Debug, Deserialize)]
pub(super) struct Queried {
    result: Vec<Element>,
}

#[derive(Debug, Deserialize)]
struct Element {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Point>,
    value: Option<Point>,
    histogram: Option<IgnoredAny>,
    #[serde(default)]
    histograms: Vec<IgnoredAny>,
}

/// `[time, "value"]`.
#[derive(Debug, Clone, Copy)]
struct Point(Sample);

/// What a kind of metric is, by family.
#[derive(Debug, Deserialize)]
pub(super) struct Kind {
    /// `counter`, `gauge`, …
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// Reads an answer of the API, whatever came instead of one.
///
/// # Errors
/// The class of failure that the answer tells of.
pub(super) fn read<T: DeserializeOwned>(body: &Body) -> Result<Answered<T>, Failure> {
    let envelope: Envelope<T> = match body.json(PROMETHEUS) {
        Ok(envelope) => envelope,
        Err(_) if body.is_refusal() => return Err(refused(body.status, "", &body.said())),
        Err(failure) => return Err(failure),
    };
    let Envelope { status, data, error_type, error, warnings, infos } = envelope;
    if let (true, Some(data)) = (status == "success", data) {
        // Notes on how a question is put are not about the answer.
        let partial = infos.into_iter().filter(|info| info.to_lowercase().contains("partial"));
        let warnings = warnings.into_iter().chain(partial).map(|w| short(&w)).collect();
        return Ok(Answered { data, warnings });
    }
    Err(refused(body.status, &error_type, &error))
}

/// What an answer says that is no success.
pub(super) fn refused(status: u16, error_type: &str, error: &str) -> Failure {
    let said = if error.is_empty() { "no message".to_owned() } else { short(error) };
    let lower = error.to_lowercase();
    let many = lower.contains("too many samples")
        || lower.contains("exceeds the limit")
        || lower.contains("exceeded the limit")
        || lower.contains("max-samples")
        || lower.contains("the query hit the max number of")
        || lower.contains("maximum resolution");
    let (class, reason) = match (status, error_type) {
        _ if many => (FailureClass::External, TOO_MANY),
        (401 | 403, _) => (FailureClass::Permission, "PROMETHEUS_FORBIDDEN"),
        (_, "timeout") | (504, _) => (FailureClass::Timeout, "PROMETHEUS_TIMEOUT"),
        (_, "bad_data") | (400, _) => (FailureClass::Bug, "PROMETHEUS_BAD_QUERY"),
        (404, "" | "not_found") => (FailureClass::Config, "PROMETHEUS_NOT_THERE"),
        (429, _) => (FailureClass::RateLimited, "PROMETHEUS_BUSY"),
        (_, "execution") | (422, _) => (FailureClass::External, "PROMETHEUS_QUERY_FAILED"),
        _ => (FailureClass::External, "PROMETHEUS_FAILED"),
    };
    let what = match (class, status) {
        (FailureClass::Permission, 401) => {
            "Prometheus does not know who asks (401); needs a token or user: --prometheus-token-file \
             or --prometheus-user"
        }
        (FailureClass::Permission, _) => {
            "Prometheus does not permit it (403); needs read access to /api/v1/query, query_range, \
             labels and series"
        }
        (FailureClass::Config, _) => {
            "there is no Prometheus API at this address (404); its path prefix may be missing"
        }
        _ => "Prometheus could not answer",
    };
    let mut failure = Failure::new(class, reason, format!("{what}: {said}"));
    failure.metadata.insert("status".to_owned(), status.to_string());
    if class == FailureClass::Permission {
        failure.metadata.insert("permission".to_owned(), "prometheus:query".to_owned());
    }
    failure
}

/// The reason of an answer that would be too large, here or there.
pub(super) const TOO_MANY: &str = "PROMETHEUS_TOO_MUCH";

/// Whether a status says that there is no such way to ask.
pub(super) fn is_missing(body: &Body) -> bool {
    matches!(body.status, 404 | 405)
}

// === impl Queried ===

impl Queried {
    /// The series, and how many of them are native histograms, which nothing here reads.
    pub(super) fn series(self) -> (Vec<Fetched>, usize) {
        let mut native = 0;
        let mut all = Vec::with_capacity(self.result.len());
        for element in self.result {
            native += usize::from(element.histogram.is_some() || !element.histograms.is_empty());
            let mut labels: Vec<(String, String)> = Vec::with_capacity(element.metric.len());
            let mut name = String::new();
            for (key, value) in element.metric {
                if key == "__name__" { name = value } else { labels.push((key, value)) }
            }
            let points = element.values.into_iter().chain(element.value);
            let samples: Vec<Sample> = points.map(|point| point.0).collect();
            all.push(Fetched { name, labels, samples, is_rate: false });
        }
        (all, native)
    }
}

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pair;
        impl<'de> Visitor<'de> for Pair {
            type Value = Point;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[time, \"value\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<Point, A::Error> {
                use serde::de::Error as _;
                let short = || A::Error::custom("a sample without time or value");
                let seconds: f64 = pair.next_element()?.ok_or_else(short)?;
                let value: Cow<'de, str> = pair.next_element()?.ok_or_else(short)?;
                let value = value.parse().map_err(|_| A::Error::custom("a value is no number"))?;
                let at_ms = millis(seconds).ok_or_else(|| A::Error::custom("a time is no time"))?;
                Ok(Point(Sample { at_ms, value }))
            }
        }
        deserializer.deserialize_seq(Pair)
    }
}

fn millis(seconds: f64) -> Option<i64> {
    let nearest = jiff::SignedDuration::try_from_secs_f64(seconds + 0.000_5).ok()?;
    i64::try_from(nearest.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn body(status: u16, text: &str) -> Body {
        Body { status, bytes: text.as_bytes().to_vec() }
    }

    #[test]
    fn series_are_read_with_values_of_every_kind() {
        let text = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"m","a":"x"},
             "values":[[1435781430.781,"1"],[1435781445.781,"NaN"],[1435781460,"+Inf"]]},
            {"metric":{"__name__":"h"},"histograms":[[1,{"count":"1"}]]}]},
            "warnings":["one store is away"],"new_field":{}}"#;
        let answered: Answered<Queried> = read(&body(200, text)).unwrap();
        assert_eq!(answered.warnings, ["one store is away"]);
        let (series, native) = answered.data.series();
        assert_eq!((series[0].name.as_str(), native), ("m", 1));
        assert_eq!(series[0].samples[0].at_ms, 1_435_781_430_781);
        assert!(series[0].samples[1].value.is_nan());
        assert!(series[0].samples[2].value.is_infinite());
        assert_eq!(series[0].labels, [("a".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn what_is_no_answer_is_told_by_its_kind() {
        let table = [
            (200, "<html>Sign in</html>", FailureClass::External, "PROMETHEUS_NOT_JSON"),
            (
                200,
                r#"{"status":"success","data":{"res"#,
                FailureClass::External,
                "PROMETHEUS_TRUNCATED",
            ),
            (200, "[]", FailureClass::External, "PROMETHEUS_NOT_JSON"),
            (401, "", FailureClass::Permission, "PROMETHEUS_FORBIDDEN"),
            (403, "<html>no</html>", FailureClass::Permission, "PROMETHEUS_FORBIDDEN"),
            (404, "404 page not found", FailureClass::Config, "PROMETHEUS_NOT_THERE"),
            (500, "boom", FailureClass::External, "PROMETHEUS_FAILED"),
            (502, "<html>", FailureClass::External, "PROMETHEUS_FAILED"),
            (
                503,
                r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#,
                FailureClass::Timeout,
                "PROMETHEUS_TIMEOUT",
            ),
            (
                422,
                r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}"#,
                FailureClass::External,
                TOO_MANY,
            ),
            (
                400,
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                FailureClass::Bug,
                "PROMETHEUS_BAD_QUERY",
            ),
        ];
        for (status, text, class, reason) in table {
            let failure = read::<Queried>(&body(status, text)).unwrap_err();
            assert_eq!(
                (failure.class, failure.reason.as_str()),
                (class, reason),
                "{status} {text}"
            );
        }
    }
}
