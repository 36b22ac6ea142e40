//! The live source against a server that answers as it is told, to the byte. Real API servers
//! are asked in tests/tests/live.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use agent_sdk::FailureClass;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{Cluster, Span};

/// What the server does with the next request.
enum Does {
    Answer(u16, Value),
    AnswerText(u16, &'static str),
    /// 429, to be asked again after so many seconds.
    Later(u64),
    Hang,
    Reset,
    /// A head, a part of the body, then nothing more.
    HalfOpen(&'static str),
    TellTime(&'static str),
}

type Asked = Arc<Mutex<Vec<String>>>;

/// A cluster behind a server that does these things in turn, and what it was asked.
fn cluster(does: impl IntoIterator<Item = Does>) -> (Cluster, Asked) {
    let script = Arc::new(Mutex::new(VecDeque::from_iter(does)));
    let asked: Asked = Arc::default();
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        assert_eq!(request.method(), http::Method::GET, "a plugin only reads");
        seen.lock().unwrap().push(request.uri().to_string());
        let next = script.lock().unwrap().pop_front();
        async move { act(next.unwrap_or_else(|| Does::Answer(200, list(&[], "")))).await }
    });
    let live = Live::new(Door::of(kube::Client::new(service, "default")), "test".to_owned());
    (Cluster::live(Arc::new(live)), asked)
}

type Reply = UnsyncBoxBody<Bytes, std::io::Error>;

async fn act(does: Does) -> Result<Response<Reply>, std::io::Error> {
    let whole =
        |bytes: Vec<u8>| Full::new(Bytes::from(bytes)).map_err(|e| match e {}).boxed_unsync();
    let answer = |status: u16, body: Vec<u8>| {
        Ok(Response::builder().status(status).body(whole(body)).unwrap())
    };
    match does {
        Does::Answer(status, body) => answer(status, body.to_string().into_bytes()),
        Does::AnswerText(status, text) => answer(status, text.as_bytes().to_vec()),
        Does::Later(seconds) => Ok(Response::builder()
            .status(429)
            .header("retry-after", seconds)
            .body(whole(b"slow down".to_vec()))
            .unwrap()),
        Does::Hang => std::future::pending().await,
        Does::Reset => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        Does::HalfOpen(text) => {
            let first = stream::iter([Ok(Frame::data(Bytes::from(text)))]);
            let body = StreamBody::new(first.chain(stream::pending()));
            Ok(Response::new(BodyExt::boxed_unsync(body)))
        }
        Does::TellTime(date) => Ok(Response::builder()
            .header("date", date)
            .body(whole(list(&[], "").to_string().into_bytes()))
            .unwrap()),
    }
}

fn list(names: &[&str], go_on: &str) -> Value {
    let items: Vec<Value> =
        names.iter().map(|n| json!({"metadata": {"name": n, "namespace": "shop"}})).collect();
    json!({"kind": "PodList", "metadata": {"continue": go_on}, "items": items})
}

fn status(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "code": code, "message": message})
}

async fn pods(cluster: &Cluster) -> Result<Vec<String>, Failure> {
    let listed = cluster.list(Kind::Pod, Some("shop")).await?;
    Ok(listed.iter().map(|pod| pod.name().to_owned()).collect())
}

#[tokio::test(start_paused = true)]
async fn pages_are_joined_and_objects_know_their_kind() {
    let pages = [Does::Answer(200, list(&["b"], "t 1")), Does::Answer(200, list(&["a"], ""))];
    let (cluster, asked) = cluster(pages);
    assert_eq!(pods(&cluster).await.unwrap(), ["a", "b"]);
    let asked = asked.lock().unwrap().clone();
    let path = "/api/v1/namespaces/shop/pods?limit=500";
    assert_eq!(asked, [path.to_owned(), format!("{path}&continue=t%201")]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_expired_goes_on_from_the_fresh_token_and_tells_nothing_twice() {
    let mut gone = status(410, "the provided continue parameter is too old");
    gone["metadata"] = json!({"continue": "fresh"});
    let (cluster, asked) = cluster([
        Does::Answer(200, list(&["a", "b"], "old")),
        Does::Answer(410, gone),
        Does::Answer(200, list(&["b", "c"], "")),
    ]);
    assert_eq!(pods(&cluster).await.unwrap(), ["a", "b", "c"]);
    assert!(asked.lock().unwrap().last().unwrap().ends_with("continue=fresh"));
}

#[tokio::test(start_paused = true)]
async fn an_expired_list_without_a_token_begins_anew_once() {
    let gone = || Does::Answer(410, status(410, "too old"));
    let page = || Does::Answer(200, list(&["a"], "t"));
    let (once, _) = cluster([page(), gone(), page(), Does::Answer(200, list(&["b"], ""))]);
    assert_eq!(pods(&once).await.unwrap(), ["a", "b"]);
    let (twice, _) = cluster([page(), gone(), page(), gone()]);
    assert!(pods(&twice).await.unwrap_err().message.contains("410"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let (cluster, asked) = cluster([Does::Later(3), Does::Answer(200, list(&["a"], ""))]);
    let begun = Instant::now();
    assert_eq!(pods(&cluster).await.unwrap(), ["a"]);
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_busy_is_a_gap_with_when_to_come_back() {
    let (cluster, asked) = cluster([Does::Later(60)]);
    let failure = pods(&cluster).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::RateLimited);
    assert_eq!(failure.retry_after, Some(Duration::from_secs(60)));
    assert_eq!(asked.lock().unwrap().len(), 1, "an hour is not waited for");
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_server_in_mid_call_is_waited_out() {
    let (cluster, asked) = cluster([
        Does::Reset,
        Does::Reset,
        Does::Answer(503, status(503, "starting")),
        Does::Answer(200, list(&["a"], "")),
    ]);
    assert_eq!(pods(&cluster).await.unwrap(), ["a"]);
    assert_eq!(asked.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_is_told_at_once_with_its_name_and_place() {
    let says = "pods is forbidden: User \"eve\" cannot list resource \"pods\"";
    let (cluster, asked) = cluster([Does::Answer(403, status(403, says))]);
    let failure = pods(&cluster).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::Permission);
    assert_eq!(failure.metadata.get("permission").unwrap(), "k8s:pods/list");
    assert_eq!(failure.metadata.get("namespace").unwrap(), "shop");
    assert!(failure.message.contains(says), "{}", failure.message);
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(!cluster.records(Kind::Pod), "what could not be listed may exist");
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_one_wait_and_the_next_questions_none() {
    let (cluster, asked) = cluster([Does::Hang]);
    let begun = Instant::now();
    let failure = pods(&cluster).await.unwrap_err();
    assert_eq!(failure.reason, "SOURCE_SILENT");
    let waited = begun.elapsed();
    assert!(cluster.list(Kind::Service, Some("shop")).await.is_err());
    assert_eq!(begun.elapsed(), waited, "nobody waits a second time");
    assert_eq!(asked.lock().unwrap().len(), 1);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(pods(&cluster).await.unwrap(), Vec::<String>::new(), "later it is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_waited_for_in_vain_is_asked_once_and_seen_when_it_is_back() {
    let away = std::iter::repeat_with(|| Does::Reset).take(7);
    let back = [Does::Answer(503, status(503, "starting")), Does::Answer(200, list(&["a"], ""))];
    let (cluster, asked) = cluster(away.chain(back));
    assert_eq!(pods(&cluster).await.unwrap_err().class, FailureClass::External);
    assert_eq!(asked.lock().unwrap().len(), 6, "until its time is over");
    let ended = Instant::now();
    assert!(cluster.list(Kind::Service, Some("shop")).await.is_err());
    assert_eq!(ended.elapsed(), Duration::ZERO, "nobody waits a second time");
    assert_eq!(pods(&cluster).await.unwrap(), ["a"], "one that is starting is waited for");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stops_half_way_ends_with_the_attempt() {
    let (cluster, _) = cluster([Does::HalfOpen("{\"kind\":\"PodList\",\"items\":[")]);
    assert_eq!(pods(&cluster).await.unwrap_err().reason, "SOURCE_SILENT");
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_is_refused_is_no_reason_to_ask_again_when_there_is_no_other() {
    let refused = || Does::Answer(401, status(401, "Unauthorized"));
    let (cluster, asked) = cluster([refused(), refused()]);
    assert_eq!(pods(&cluster).await.unwrap_err().reason, "UNAUTHENTICATED");
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_is_a_fault_of_the_server_and_no_crash() {
    for body in ["", "<html>login</html>", "[1,2]", "{\"items\":7}"] {
        let (cluster, _) = cluster([Does::AnswerText(200, body)]);
        let failure = pods(&cluster).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::External, "{body}: {failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_the_server_does_not_know_is_none_and_its_absence_means_nothing() {
    let (cluster, _) = cluster([Does::AnswerText(404, "404 page not found")]);
    assert!(cluster.list(Kind::Certificate, Some("shop")).await.unwrap().is_empty());
    assert!(!cluster.records(Kind::Certificate));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_a_namespace_never_becomes_a_path() {
    let (cluster, asked) = cluster([]);
    for name in ["../../secrets", "a/b", "A", "", "x?y=z"] {
        assert!(cluster.list(Kind::Pod, Some(name)).await.unwrap().is_empty());
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_clock_differs_tells_the_time() {
    let (cluster, _) = cluster([Does::TellTime("Sat, 06 Nov 2094 08:49:37 GMT")]);
    pods(&cluster).await.unwrap();
    assert!(cluster.now().to_string().starts_with("2094-11-06T08:49"), "{}", cluster.now());
}

#[tokio::test(start_paused = true)]
async fn of_a_large_cluster_only_the_namespace_and_what_it_names_is_read() {
    let many = json!({"metadata": {"continue": "x", "remainingItemCount": 40_000}, "items": [{}]});
    let one = |namespace: &str, name: &str, rest: Value| {
        let meta = json!({"metadata": {"name": name, "namespace": namespace}, "spec": rest});
        Does::Answer(200, json!({"metadata": {}, "items": [meta]}))
    };
    let env = json!([{"name": "DB", "value": "db.data.svc:5432"}]);
    let (cluster, asked) = cluster([
        Does::Answer(200, many),
        one("shop", "web", json!({"containers": [{"env": env}]})),
        one("", "data", json!({})),
        one("shop", "settings", json!({})),
        one("shop", "web", json!({})),
        one("data", "db-0", json!({})),
    ]);
    let view = cluster.view();
    view.settle("shop");
    let all = view.list(Kind::Pod, None).await.unwrap();
    let names: Vec<&str> = all.iter().map(Object::name).collect();
    assert_eq!(names, ["db-0", "web"]);
    assert!(!view.sees_all().await);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.first().unwrap(), "/api/v1/pods?limit=1", "counted, not read");
    assert!(asked.iter().skip(1).all(|path| !path.starts_with("/api/v1/pods")), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn more_objects_than_are_taken_in_are_a_gap_of_the_call() {
    let names: Vec<String> = (0..500).map(|n| format!("p{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pages = (0..30).map(|_| Does::Answer(200, list(&names, "more")));
    let (cluster, asked) = cluster(pages);
    let view = cluster.view();
    pods(&view).await.unwrap();
    assert_eq!(asked.lock().unwrap().len(), MOST / 500);
    let gaps = view.gaps();
    assert_eq!(gaps.first().unwrap().1.reason, "TOO_MANY_OBJECTS");
    assert!(cluster.view().gaps().is_empty(), "another call has its own");
}

fn log() -> LogFile {
    LogFile {
        namespace: "shop".to_owned(),
        pod: "web-1".to_owned(),
        container: "web".to_owned(),
        previous: false,
    }
}

#[tokio::test]
async fn a_short_log_is_one_request_and_a_long_one_is_asked_for_by_lines() {
    let (short, asked) =
        cluster([Does::AnswerText(200, "2026-01-01T10:00:00Z one\n2026-01-01T10:00:01Z two\n")]);
    let lines = short.last_lines(&log(), 100_000).await.unwrap().unwrap();
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["one", "two"]);
    assert!(lines.iter().all(|line| line.time.is_some()));
    assert_eq!(asked.lock().unwrap().len(), 1);

    let line: &'static str = Box::leak(format!("{}\n", "x".repeat(1023)).repeat(200).into());
    let (long, asked) = cluster([Does::AnswerText(200, line), Does::AnswerText(200, line)]);
    long.last_lines(&log(), 1_000_000).await.unwrap().unwrap();
    let asked = asked.lock().unwrap().clone();
    let most = 21 * 1024 * 1024 / 1024;
    assert!(asked.last().unwrap().contains(&format!("tailLines={most}")), "{asked:?}");
}

#[tokio::test]
async fn of_a_log_whose_earlier_lines_are_longer_than_its_last_the_end_is_read_all_the_same() {
    let last: &'static str = Box::leak("2026-01-01T10:00:00Z bye\n".repeat(200).into());
    let earlier = format!("2026-01-01T09:00:00Z {}\n", "x".repeat(999_978)).repeat(26);
    let whole: &'static str = Box::leak((earlier + last).into());
    let (cluster, _) = cluster([Does::AnswerText(200, last), Does::AnswerText(200, whole)]);
    let reader = cluster.logs(&log(), Span::default()).await.unwrap().unwrap();
    let read = tokio::task::spawn_blocking(|| reader.collect::<Vec<_>>()).await.unwrap();
    let bye = read.iter().filter(|line| line.as_ref().is_ok_and(|line| line.text == "bye"));
    assert_eq!(bye.count(), 200);
    let failure = read.last().unwrap().as_ref().unwrap_err();
    assert_eq!(failure.reason, "LOG_TOO_LONG");
    assert!(failure.message.contains("between about 24 MiB and its last lines"), "{failure}");
}

#[tokio::test]
async fn last_lines_that_were_passed_on_already_are_not_given_twice() {
    use std::fmt::Write as _;
    let mut last = String::new();
    for second in 0..200 {
        let (minute, second) = (second / 60, second % 60);
        writeln!(last, "2026-01-01T10:{minute:02}:{second:02}Z {}", "y".repeat(1000)).unwrap();
    }
    // What comes before leaves room for a part of them only.
    let line = 999_979;
    let earlier = format!("2026-01-01T09:00:00Z {}\n", "x".repeat(line - 22)).repeat(25);
    let filler = 24 * 1024 * 1024 - earlier.len() - last.len() / 2;
    let filler = format!("2026-01-01T09:30:00Z {}\n", "z".repeat(filler - 22));
    let whole: &'static str = Box::leak((earlier + &filler + &last).into());
    let last: &'static str = Box::leak(last.into());
    let (cluster, _) = cluster([Does::AnswerText(200, last), Does::AnswerText(200, whole)]);
    let reader = cluster.logs(&log(), Span::default()).await.unwrap().unwrap();
    let read = tokio::task::spawn_blocking(|| reader.collect::<Vec<_>>()).await.unwrap();
    let mut times: Vec<_> = read.iter().filter_map(|line| line.as_ref().ok()?.time).collect();
    times.retain(|time| *time >= "2026-01-01T10:00:00Z".parse().unwrap());
    let all = times.len();
    times.dedup();
    assert_eq!(times.len(), all, "a line came twice");
}

#[tokio::test]
async fn a_container_that_never_ran_has_no_log_and_a_lost_node_is_a_gap() {
    let waits =
        status(400, "container \"web\" in pod \"web-1\" is waiting to start: PodInitializing");
    let (cluster_, _) = cluster([Does::Answer(400, waits)]);
    assert!(cluster_.logs(&log(), Span::default()).await.unwrap().is_none());
    let (cluster_, _) = cluster([Does::Answer(403, status(403, "no"))]);
    let failure = cluster_.logs(&log(), Span::default()).await.unwrap_err();
    assert_eq!(failure.metadata.get("permission").unwrap(), "k8s:pods/log");
}
