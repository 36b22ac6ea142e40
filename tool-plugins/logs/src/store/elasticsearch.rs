//! An Elasticsearch's search API, or OpenSearch's, as far as they are alike:
//! <https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search>.

mod document;

use std::collections::BTreeMap;

use agent_sdk::{Failure, FailureClass};
use jiff::Timestamp;
use plugin_http::{Body, Question, Session, short};
use serde::Deserialize;
use serde_json::{Value, json};

use self::document::{MESSAGES, Seen};
use super::{
    Page, Wanted, Whose,
    bind::{Bound, FIELDS, How, Name, Names},
    pages::PAGE_TOO_LARGE,
    refused,
    settings::ELASTICSEARCH,
};

/// What one must be allowed.
const NEEDS: &str = "the index privileges read and view_index_metadata on --elasticsearch-index";
/// When an entry was written: the one field that all agents agree upon.
const TIME: &str = "@timestamp";
/// How long it may search itself; less than a request may take, so that it answers with what it has.
const SEARCHED: &str = "4s";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capable {
    fields: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Searched {
    timed_out: bool,
    _shards: Shards,
    hits: Option<Hits>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Shards {
    total: u64,
    failed: u64,
    failures: Vec<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hits {
    hits: Vec<Seen>,
}

/// By which fields pods are told apart.
pub(super) async fn names(session: &Session<'_>, index: &str) -> Result<Bound, Failure> {
    let wanted: Vec<String> = FIELDS
        .iter()
        .flatten()
        .flat_map(|field| [(*field).to_owned(), format!("{field}.keyword")])
        .chain([TIME.to_owned()])
        .collect();
    let path = format!("{index}/_field_caps");
    let fields = wanted.join(",");
    let fields = [("fields", fields.as_str()), ("ignore_unavailable", "true")];
    let body = session.ask(&path, &fields).await?;
    let Capable { fields } = read(&body)?;
    if fields.is_empty() {
        let says = format!("no index that fits {index} holds a field of a pod");
        return Err(ELASTICSEARCH.config(&says));
    }
    if !fields.contains_key(TIME) {
        let says = format!("the entries of {index} have no {TIME}, so no time can be asked for");
        return Err(ELASTICSEARCH.config(&says));
    }
    let bound = bound(&fields);
    if bound.is_empty() {
        let says = format!("no field of {index} that is known here names namespaces and pods");
        return Err(ELASTICSEARCH.config(&says));
    }
    Ok(bound)
}

fn bound(fields: &BTreeMap<String, BTreeMap<String, Value>>) -> Bound {
    let name = |field: &str| {
        let is_whole = |field: &str| {
            let types = fields.get(field)?;
            Some(["keyword", "constant_keyword", "wildcard"].iter().any(|t| types.contains_key(*t)))
        };
        let keyword = format!("{field}.keyword");
        match (is_whole(field), is_whole(&keyword)) {
            (Some(true), _) => Some(Name::new(field, How::Exact)),
            (_, Some(true)) => Some(Name { asked: keyword, ..Name::new(field, How::Exact) }),
            (Some(false), _) => Some(Name::new(field, How::Words)),
            (None, _) => None,
        }
    };
    let named = |[namespace, pod, container]: &[&str; 3]| {
        Some(Names { namespace: name(namespace)?, pod: name(pod)?, container: name(container) })
    };
    FIELDS.iter().filter_map(named).collect()
}

/// A page of lines up to a time, those at that time as well.
pub(super) async fn page(
    (session, index): (&Session<'_>, &str),
    bound: &Bound,
    wanted: &Wanted,
    (until, size): (Timestamp, usize),
) -> Result<Page, Failure> {
    let path = format!("{index}/_search");
    let search = search(bound, wanted, (until, size)).to_string();
    let fields = [("ignore_unavailable", "true"), ("allow_no_indices", "true")];
    let question = Question { path: &path, fields: &fields, json: Some(&search) };
    let body = session.put(question).await?;
    let searched: Searched = read(&body)?;
    let partial = partial(&searched);
    let hits = searched.hits.unwrap_or_default().hits;
    let is_full = hits.len() >= size;
    let entries = hits.into_iter().filter_map(|hit| hit.entry(bound, &wanted.container)).collect();
    // What is no line of a pod counts as well for whether there is more.
    Ok(Page { is_full, ..Page::of(entries, size, partial) })
}

fn partial(searched: &Searched) -> Option<Failure> {
    let shards = &searched._shards;
    let why = if shards.failed > 0 {
        let because = shards.failures.first().and_then(|f| f.pointer("/reason/reason")?.as_str());
        let because = short(because.unwrap_or("no reason told"));
        format!("{} of {} shards failed: {because}", shards.failed, shards.total)
    } else if searched.timed_out {
        format!("it stopped searching after {SEARCHED}")
    } else {
        return None;
    };
    Some(ELASTICSEARCH.external("PARTIAL", format!("Elasticsearch answered in part: {why}")))
}

/// The question, newest first.
fn search(bound: &Bound, wanted: &Wanted, (until, size): (Timestamp, usize)) -> Value {
    let agents: Vec<Value> = bound
        .iter()
        .map(|names| {
            let mut all = vec![is(&names.namespace, &wanted.namespace)];
            all.extend(match (&wanted.whose, names.pod.how) {
                (Whose::Pod(pod), _) => Some(is(&names.pod, pod)),
                (Whose::Workload(workload), How::Exact) => {
                    Some(json!({"prefix": {&names.pod.asked: {"value": format!("{workload}-")}}}))
                }
                // Words have no beginning that is that of the name: looked at when they are here.
                (Whose::Workload(_), How::Words | How::Scanned) => None,
            });
            let container = names.container.as_ref().filter(|_| !wanted.container.is_empty());
            all.extend(container.map(|name| is(name, &wanted.container)));
            json!({"bool": {"filter": all}})
        })
        .collect();
    let time = json!({"range": {TIME: {"gte": wanted.from.to_string(), "lte": until.to_string()}}});
    let read = bound.iter().flat_map(|n| [Some(&n.namespace), Some(&n.pod), n.container.as_ref()]);
    let mut sources: Vec<&str> = read.flatten().map(|name| name.read.as_str()).collect();
    sources.extend(MESSAGES);
    sources.push(TIME);
    json!({
        "size": size,
        "timeout": SEARCHED,
        "track_total_hits": false,
        "sort": [{TIME: {"order": "desc", "unmapped_type": "date"}}],
        "_source": sources,
        "query": {"bool": {
            "filter": [time, {"bool": {"should": agents, "minimum_should_match": 1}}],
        }},
    })
}

fn is(name: &Name, value: &str) -> Value {
    match name.how {
        How::Exact => json!({"term": {&name.asked: {"value": value}}}),
        How::Words | How::Scanned => json!({"match_phrase": {&name.asked: {"query": value}}}),
    }
}

fn read<T: for<'de> Deserialize<'de>>(body: &Body) -> Result<T, Failure> {
    if body.is_refusal() {
        return Err(refusal(body));
    }
    body.json(ELASTICSEARCH)
}

fn refusal(body: &Body) -> Failure {
    let parsed: Option<Value> = serde_json::from_slice(&body.bytes).ok();
    let at = |path: &str| Some(parsed.as_ref()?.pointer(path)?.as_str()?.to_owned());
    let cause = at("/error/root_cause/0/reason").or_else(|| at("/error/reason"));
    let said = cause.or_else(|| at("/error")).unwrap_or_else(|| body.said());
    if said.contains("Result window is too large") {
        return ELASTICSEARCH.refusal((FailureClass::External, PAGE_TOO_LARGE), body.status, said);
    }
    if at("/error/type").as_deref() == Some("index_not_found_exception") {
        let says = format!("there is no such index: {}", short(&said));
        return ELASTICSEARCH.config(&says);
    }
    refused(ELASTICSEARCH, body, &said, NEEDS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    fn bound_to(fields: &[(&str, &str)]) -> Bound {
        let of = |(field, kind): &(&str, &str)| {
            ((*field).to_owned(), BTreeMap::from([((*kind).to_owned(), json!({}))]))
        };
        bound(&fields.iter().map(of).collect())
    }

    fn wanted(namespace: &str, whose: Whose) -> Wanted {
        Wanted {
            namespace: namespace.to_owned(),
            whose,
            container: String::new(),
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH,
            lines: 1,
        }
    }

    #[test]
    fn fields_are_asked_by_their_whole_value_where_an_index_has_it() {
        let filebeat =
            bound_to(&[("kubernetes.namespace", "keyword"), ("kubernetes.pod.name", "keyword")]);
        let fluent = bound_to(&[
            ("kubernetes.namespace_name", "text"),
            ("kubernetes.namespace_name.keyword", "keyword"),
            ("kubernetes.pod_name", "text"),
        ]);
        let asked = |bound: &Bound, whose: Whose| {
            let query = search(bound, &wanted("shop", whose), (Timestamp::UNIX_EPOCH, 7));
            query["query"]["bool"]["filter"][1]["bool"]["should"][0]["bool"]["filter"].clone()
        };
        let web = || Whose::Workload("web".to_owned());
        assert_eq!(
            asked(&filebeat, web()),
            json!([{"term": {"kubernetes.namespace": {"value": "shop"}}},
                {"prefix": {"kubernetes.pod.name": {"value": "web-"}}}])
        );
        assert_eq!(
            asked(&fluent, web()),
            json!([{"term": {"kubernetes.namespace_name.keyword": {"value": "shop"}}}])
        );
        assert_eq!(
            asked(&fluent, Whose::Pod("web-0".to_owned()))[1],
            json!({"match_phrase": {"kubernetes.pod_name": {"query": "web-0"}}})
        );
    }

    #[test]
    fn what_was_searched_in_part_is_told_with_its_reason() {
        let part = |text: &str| partial(&serde_json::from_str(text).unwrap());
        assert!(part(r#"{"timed_out":false,"_shards":{"total":3,"failed":0}}"#).is_none());
        let failed = part(
            r#"{"timed_out":true,"_shards":{"total":3,"failed":1,
            "failures":[{"reason":{"type":"x","reason":"no room"}}]},"hits":{"hits":[]}}"#,
        );
        assert!(failed.unwrap().message.ends_with("1 of 3 shards failed: no room"));
        assert!(part(r#"{"timed_out":true}"#).unwrap().message.contains("stopped searching"));
    }

    proptest! {
        #[test]
        fn text_from_outside_is_a_value_and_nothing_else(
            namespace in any::<String>(), pod in any::<String>(),
        ) {
            let bound =
                bound_to(&[("kubernetes.namespace", "keyword"), ("kubernetes.pod.name", "keyword")]);
            let text = search(&bound, &wanted(&namespace, Whose::Pod(pod.clone())), (Timestamp::UNIX_EPOCH, 7));
            let query: Value = serde_json::from_str(&text.to_string()).unwrap();
            let filter = &query["query"]["bool"]["filter"][1]["bool"]["should"][0]["bool"]["filter"];
            prop_assert_eq!(filter.as_array().unwrap().len(), 2);
            prop_assert_eq!(&filter[0]["term"]["kubernetes.namespace"]["value"], &Value::String(namespace));
            prop_assert_eq!(&filter[1]["term"]["kubernetes.pod.name"]["value"], &Value::String(pod));
        }
    }
}
