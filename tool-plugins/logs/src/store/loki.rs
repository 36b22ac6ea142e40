//! A Loki's query API: <https://grafana.com/docs/loki/latest/reference/loki-http-api/>. Refusals are
//! plain text there, answers JSON.

use std::collections::BTreeMap;

use agent_sdk::{Failure, FailureClass};
use jiff::{SignedDuration, Timestamp};
use plugin_http::{
    Body, Session,
    quote::{literal, quoted},
    short,
};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    Entry, Page, Wanted, Whose,
    bind::{Bound, How, LABELS, Name, Names},
    pages::PAGE_TOO_LARGE,
    refused,
    settings::LOKI,
};

/// What one must be allowed.
const NEEDS: &str = "read access to /loki/api/v1/labels and query_range";
/// How far back labels are looked for: agents that were silent of late are found as well.
const LABELLED: SignedDuration = SignedDuration::from_hours(24);

/// What each answer is wrapped in.
#[derive(Debug, Deserialize)]
struct Envelope<T> {
    #[serde(default)]
    status: String,
    /// Left away where there is nothing.
    data: Option<T>,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Queried {
    #[serde(default, rename = "resultType")]
    kind: String,
    #[serde(default)]
    result: Vec<Streamed>,
}

#[derive(Debug, Deserialize)]
struct Streamed {
    #[serde(default)]
    stream: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<Line>,
}

/// Time in nanoseconds, line, and what newer servers add.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Line {
    Plain(String, String),
    WithMore(String, String, IgnoredAny),
}

/// By which labels pods are told apart.
pub(super) async fn names(session: &Session<'_>, now: Timestamp) -> Result<Bound, Failure> {
    let [start, end] = [now.saturating_sub(LABELLED).unwrap_or(now), now].map(nanos);
    let body = session.ask("labels", &[("start", &start), ("end", &end)]).await?;
    let (labels, _) = read::<Vec<String>>(&body)?;
    let labels = labels.unwrap_or_default();
    let bound = bound(&labels);
    if bound.is_empty() {
        let says = if labels.is_empty() {
            "Loki holds no stream of the last day; where it keeps tenants apart, --loki-tenant may \
             be missing"
                .to_owned()
        } else {
            let shown = labels.iter().take(12).map(String::as_str).collect::<Vec<_>>().join(", ");
            format!("no label of Loki that is known here names namespaces; it has {shown}")
        };
        return Err(LOKI.config(&says));
    }
    Ok(bound)
}

fn bound(labels: &[String]) -> Bound {
    let is_there = |label: &str| labels.iter().any(|l| l == label);
    let name = |label: &str| {
        // What is no label of streams may stand beside each line.
        let how = if is_there(label) { How::Exact } else { How::Scanned };
        Name::new(label, how)
    };
    let known = LABELS.iter().filter(|[namespace, ..]| is_there(namespace));
    known
        .map(|[namespace, pod, container]| Names {
            namespace: name(namespace),
            pod: name(pod),
            container: Some(name(container)).filter(|name| name.how == How::Exact),
        })
        .collect()
}

/// A page of lines up to a time, those at that time as well.
pub(super) async fn page(
    session: &Session<'_>,
    bound: &Bound,
    wanted: &Wanted,
    (until, size): (Timestamp, usize),
) -> Result<Page, Failure> {
    let mut page = Page::default();
    let mut failed = None;
    // One agent's names are the rule; where there are several, their lines join.
    for names in bound {
        match one(session, names, wanted, (until, size)).await {
            Ok(had) => {
                page.is_full |= had.is_full;
                page.partial = page.partial.or(had.partial);
                page.entries.extend(had.entries);
            }
            Err(failure) => failed = Some(failure),
        }
    }
    match failed {
        Some(failure) if page.entries.is_empty() || failure.reason.ends_with(PAGE_TOO_LARGE) => {
            Err(failure)
        }
        failed => {
            page.partial = page.partial.or(failed);
            Ok(newest(page, size))
        }
    }
}

/// Of the lines of several agents only those that are younger than the oldest of each that has more.
fn newest(mut page: Page, size: usize) -> Page {
    page.entries.sort_by(|a, b| b.cmp(a));
    if page.is_full {
        page.entries.truncate(size);
    }
    page.oldest = page.entries.last().map(|entry| entry.time);
    page
}

async fn one(
    session: &Session<'_>,
    names: &Names,
    wanted: &Wanted,
    (until, size): (Timestamp, usize),
) -> Result<Page, Failure> {
    let after = until.saturating_add(SignedDuration::from_nanos(1)).unwrap_or(until);
    let (query, limit) = (query(names, wanted), size.to_string());
    let (start, end) = (nanos(wanted.from), nanos(after));
    let fields = [
        ("query", query.as_str()),
        ("start", &start),
        ("end", &end),
        ("limit", &limit),
        ("direction", "backward"),
    ];
    let body = session.ask("query_range", &fields).await?;
    let (queried, warnings) = read::<Queried>(&body)?;
    let queried = queried.unwrap_or(Queried { kind: "streams".to_owned(), result: Vec::new() });
    if queried.kind != "streams" {
        return Err(LOKI.external("NOT_JSON", "the answer of Loki holds no streams"));
    }
    let entries = entries(queried.result, names, wanted)?;
    let partial = (!warnings.is_empty()).then(|| {
        let says = format!("Loki answered in part: {}", short(&warnings.join("; ")));
        LOKI.external("PARTIAL", says)
    });
    Ok(Page::of(entries, size, partial))
}

fn entries(streams: Vec<Streamed>, names: &Names, wanted: &Wanted) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for Streamed { stream, values } in streams {
        let of = |name: &Name| stream.get(&name.read).cloned().unwrap_or_default();
        let container = names.container.as_ref().map(of);
        let speaker = (of(&names.pod), container.unwrap_or_else(|| wanted.container.clone()));
        for line in values {
            let (time, text) = match line {
                Line::Plain(time, text) | Line::WithMore(time, text, _) => (time, text),
            };
            let time = time.parse::<i128>().ok().and_then(|t| Timestamp::from_nanosecond(t).ok());
            let Some(time) = time else {
                return Err(LOKI.external("NOT_JSON", "a line of Loki has a time that is none"));
            };
            let text = text.trim_end_matches(['\n', '\r']).to_owned();
            entries.push(Entry { time, speaker: speaker.clone(), text, id: String::new() });
        }
    }
    Ok(entries)
}

/// The question in LogQL.
fn query(names: &Names, wanted: &Wanted) -> String {
    let pod = match &wanted.whose {
        Whose::Pod(name) => format!("={}", quoted(name)),
        Whose::Workload(name) => format!("=~{}", quoted(&format!("{}-.+", literal(name)))),
    };
    let container = names.container.as_ref().filter(|_| !wanted.container.is_empty());
    let container = container.map(|name| (name, format!("={}", quoted(&wanted.container))));
    let conditions = [(&names.pod, pod)].into_iter().chain(container);
    let mut streams = vec![format!("{}={}", names.namespace.asked, quoted(&wanted.namespace))];
    let mut lines = String::new();
    for (name, condition) in conditions {
        match name.how {
            How::Exact | How::Words => streams.push(format!("{}{condition}", name.asked)),
            How::Scanned => lines.push_str(&format!(" | {}{condition}", name.asked)),
        }
    }
    format!("{{{}}}{lines}", streams.join(","))
}

fn read<T: for<'de> Deserialize<'de>>(body: &Body) -> Result<(Option<T>, Vec<String>), Failure> {
    if body.is_refusal() {
        return Err(refusal(body));
    }
    let envelope: Envelope<T> = body.json(LOKI)?;
    if envelope.status != "success" {
        let says = format!("Loki could not answer: {}", short(&envelope.error));
        return Err(LOKI.external("FAILED", says));
    }
    Ok((envelope.data, envelope.warnings))
}

fn refusal(body: &Body) -> Failure {
    let said = body.said();
    if said.contains("max entries limit") {
        return LOKI.refusal((FailureClass::External, PAGE_TOO_LARGE), body.status, said);
    }
    // A query that ran too long, or asks too much, is told with 400 or 500.
    let too_much =
        ["deadline exceeded", "context canceled", "too long", "limit reached", "too many"];
    if body.status != 429 && too_much.iter().any(|words| said.contains(words)) {
        let says = format!("Loki gave the query up: {said}");
        return LOKI.refusal((FailureClass::Timeout, "TIMEOUT"), body.status, says);
    }
    refused(LOKI, body, &said, NEEDS)
}

fn nanos(time: Timestamp) -> String {
    time.as_nanosecond().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn of(labels: &[&str]) -> Names {
        let labels: Vec<String> = labels.iter().map(|label| (*label).to_owned()).collect();
        bound(&labels).remove(0)
    }

    fn wanted(namespace: &str, whose: Whose, container: &str) -> Wanted {
        Wanted {
            namespace: namespace.to_owned(),
            whose,
            container: container.to_owned(),
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
            lines: 1,
        }
    }

    #[test]
    fn each_agents_labels_are_found_and_what_is_none_is_asked_line_by_line() {
        let pod = wanted("shop", Whose::Pod("web-0".to_owned()), "app");
        let table: [(&[&str], &str); 3] = [
            (
                &["namespace", "pod", "container", "job"],
                r#"{namespace="shop",pod="web-0",container="app"}"#,
            ),
            (
                &["kubernetes_namespace_name", "kubernetes_pod_name"],
                r#"{kubernetes_namespace_name="shop",kubernetes_pod_name="web-0"}"#,
            ),
            (
                &["k8s_namespace_name", "k8s_container_name"],
                r#"{k8s_namespace_name="shop",k8s_container_name="app"} | k8s_pod_name="web-0""#,
            ),
        ];
        for (labels, expected) in table {
            assert_eq!(query(&of(labels), &pod), expected);
        }
        assert!(bound(&["job".to_owned()]).is_empty());
        let all = wanted("shop", Whose::Workload("web.v2".to_owned()), "");
        assert_eq!(
            query(&of(&["namespace", "pod"]), &all),
            r#"{namespace="shop",pod=~"web\\.v2-.+"}"#
        );
    }

    proptest! {
        #[test]
        fn text_from_outside_stays_within_its_quotes(
            namespace in any::<String>(), pod in any::<String>(), container in any::<String>(),
            is_pod in any::<bool>(),
        ) {
            let whose = if is_pod { Whose::Pod(pod) } else { Whose::Workload(pod) };
            let query = query(&of(&["namespace", "pod", "container"]), &wanted(&namespace, whose, &container));
            let mut outside = String::new();
            let (mut inside, mut escaped) = (false, false);
            for c in query.chars() {
                match c {
                    _ if escaped => escaped = false,
                    '\\' if inside => escaped = true,
                    '"' => inside = !inside,
                    c if !inside => outside.push(c),
                    '\n' => prop_assert!(false, "a string goes over lines"),
                    _ => {}
                }
            }
            prop_assert!(!inside);
            let sign = if is_pod { "=" } else { "=~" };
            let container = if container.is_empty() { "" } else { ",container=" };
            prop_assert_eq!(outside, format!("{{namespace=,pod{sign}{container}}}"));
        }
    }
}
