//! What the controllers of Ingresses logged: requests that no rule took (answered 404 without a
//! backend), by host and path, and complaints that name an Ingress. Requests that a backend
//! answered are the backend's matter.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plugin_cluster::{Cluster, Object, names::distance};
use serde_json::Value;

use super::{Fault, TOLD_HOURS, route};
use crate::{rollouts::edits, within};

/// Lines read of one log at most.
const MAX_LINES: usize = 200_000;
/// Kinds of requests kept at most.
const MAX_KINDS: usize = 500;
/// Fewer lost requests than this are scanners and typing errors.
const ENOUGH: u64 = 5;

/// What was heard.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    lost: BTreeMap<Lost, Times>,
    /// Complaints that name an object as `namespace/name`.
    complaints: Vec<String>,
}

/// A request nobody took.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Lost {
    host: Option<String>,
    /// Its first two parts.
    path: String,
}

#[derive(Debug, Clone, Default)]
struct Times {
    count: u64,
    first: Option<Timestamp>,
    quote: String,
}

/// One line of an access log.
#[derive(Debug, PartialEq, Eq)]
struct Access {
    host: Option<String>,
    path: String,
    status: u16,
    /// Whether a backend was asked.
    backend: bool,
}

// === impl Gateway ===

impl Gateway {
    pub(super) async fn listen(cluster: &Cluster, pods: &[&Object]) -> Self {
        let mut heard = Self::default();
        let Ok(files) = cluster.log_files(None).await else { return heard };
        let speaks = |file: &&plugin_cluster::LogFile| {
            pods.iter().any(|p| p.namespace() == file.namespace && p.name() == file.pod)
        };
        for file in files.iter().filter(speaks).take(6) {
            let Ok(Some(lines)) = cluster.last_lines(file, MAX_LINES).await else { continue };
            for line in lines {
                heard.line(&line.text, line.time);
            }
        }
        heard
    }

    fn line(&mut self, text: &str, time: Option<Timestamp>) {
        if let Some(access) = access(text) {
            if access.status == 404 && !access.backend {
                let key = Lost { host: access.host, path: stem(&access.path) };
                if self.lost.len() < MAX_KINDS || self.lost.contains_key(&key) {
                    let times = self.lost.entry(key).or_default();
                    times.count += 1;
                    times.first = [times.first, time].into_iter().flatten().min();
                    text.clone_into(&mut times.quote);
                }
            }
        } else if is_complaint(text) && self.complaints.len() < MAX_KINDS {
            self.complaints.push(text.to_owned());
        }
    }

    /// Requests that an Ingress should have taken: it was edited lately, or its host is asked for
    /// with a path that none of its rules has.
    pub(super) fn fault(&self, ingress: &Object, all: &[Object], now: Timestamp) -> Option<Fault> {
        let routes = route::routes(ingress);
        // Without its host a request that no backend got was not taken, whatever its path.
        let taken = |lost: &Lost| {
            lost.host.as_deref().is_some_and(|host| {
                all.iter().flat_map(route::routes).any(|r| r.takes(Some(host), &lost.path))
            })
        };
        let edited = edits::last_edit(ingress, now).filter(|e| within(e.time, now, TOLD_HOURS));
        let since = |times: &Times| {
            edited
                .as_ref()
                .zip(times.first)
                .is_some_and(|(e, first)| first.duration_since(e.time).as_secs() >= -60)
        };
        let meant = self.lost.iter().filter(|(lost, times)| {
            let host_is_ours = lost
                .host
                .as_ref()
                .is_some_and(|host| routes.iter().any(|r| r.host.eq_ignore_ascii_case(host)));
            times.count >= ENOUGH && !taken(lost) && (since(times) || host_is_ours)
        });
        let Some((lost, times)) = meant.max_by_key(|(_, times)| times.count) else {
            return self.complaint(ingress);
        };
        let host_known = match &lost.host {
            Some(host) => {
                routes.iter().any(|r| r.host.is_empty() || r.host.eq_ignore_ascii_case(host))
            }
            // Its path fits, so it is the host that does not.
            None => !routes.iter().any(|r| r.takes(None, &lost.path)),
        };
        let asked = format!("{}{}", lost.host.as_deref().unwrap_or_default(), lost.path);
        let nearest = routes
            .iter()
            .min_by_key(|r| distance(&format!("{}{}", r.host, r.path), &asked))
            .map(route::Route::shown)
            .unwrap_or_default();
        Some(Fault {
            why: if host_known { "path" } else { "host" },
            says: format!(
                "requests for {asked} are answered 404 by the default backend ({} times), no rule \
                 takes them, the nearest is {nearest}",
                times.count
            ),
            certain: since(times),
            attributes: vec![
                ("asked", asked),
                ("nearest", nearest),
                ("host", lost.host.clone().unwrap_or_default()),
                ("path", lost.path.clone()),
            ],
            peer: None,
            quote: times.quote.clone(),
        })
    }

    /// What a controller says of an Ingress itself.
    fn complaint(&self, ingress: &Object) -> Option<Fault> {
        let name = format!("{}/{}", ingress.namespace(), ingress.name());
        let names = |line: &&String| {
            line.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '.')))
                .any(|word| word == name)
        };
        let line = self.complaints.iter().rev().find(names)?;
        let why =
            if line.to_ascii_lowercase().contains("class") { "class_missing" } else { "refused" };
        Some(Fault {
            why,
            says: "its controller does not take it up".to_owned(),
            certain: false,
            attributes: Vec::new(),
            peer: None,
            quote: line.clone(),
        })
    }
}

fn is_complaint(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower.contains("ingress")
        && ["ignoring", "error", "invalid", "skipping", "cannot", "rejected"]
            .iter()
            .any(|word| lower.contains(word))
}

/// The first two parts of a path, without its query.
fn stem(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).take(2).collect();
    format!("/{}", parts.join("/"))
}

/// Reads a line of an access log: JSON of several gateways, or the combined form with what
/// ingress-nginx and traefik append.
fn access(text: &str) -> Option<Access> {
    if text.starts_with('{') {
        return json(text);
    }
    let (_, rest) = text.split_once('"')?;
    let (request, rest) = rest.split_once('"')?;
    let path = request.split(' ').nth(1).filter(|p| p.starts_with('/'))?;
    let status = rest.split_whitespace().next()?.parse().ok()?;
    let brackets: Vec<&str> = rest.split('[').skip(1).filter_map(|p| p.split(']').next()).collect();
    let backend = match brackets.first() {
        Some(upstream) => !upstream.is_empty() && *upstream != "-" && !is_default(upstream),
        // Traefik names the router, and none when no rule fits.
        None => !rest.contains("\"-\" \"-\" 0ms") && rest.contains("://"),
    };
    Some(Access { host: None, path: path.to_owned(), status, backend })
}

fn is_default(upstream: &str) -> bool {
    upstream.contains("default-backend") || upstream.contains("default-http-backend")
}

fn json(text: &str) -> Option<Access> {
    let line: Value = serde_json::from_str(text).ok()?;
    let first = |keys: &[&str]| {
        keys.iter().find_map(|key| line.get(*key)).and_then(|v| match v {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        })
    };
    let path = first(&["path", "uri", "request_uri", "RequestPath", "url", "x_path"])
        .or_else(|| first(&["request"])?.split(' ').nth(1).map(str::to_owned))?;
    let status = first(&["status", "response_code", "DownstreamStatus", "OriginStatus"])?;
    let host = first(&["host", "vhost", "http_host", "RequestHost", "authority", "server_name"]);
    let backend = first(&[
        "proxy_upstream_name",
        "upstream_name",
        "upstream_cluster",
        "ServiceName",
        "upstream_host",
        "upstream_addr",
        "backend",
    ]);
    Some(Access {
        host: host.map(|h| h.split(':').next().unwrap_or_default().to_owned()),
        path,
        status: status.parse().ok()?,
        backend: backend.is_some_and(|b| !b.is_empty() && b != "-" && !is_default(&b)),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn access_logs_of_gateways_tell_whether_a_backend_was_asked() {
        for (line, host, path, status, backend) in [
            (
                r#"10.0.0.1 - - [01/May/2025:11:00:00 +0000] "GET /api/x HTTP/1.1" 404 146 "-" "curl" 84 0.000 [] [] - - - - 6f"#,
                None,
                "/api/x",
                404,
                false,
            ),
            (
                r#"10.0.0.1 - - [01/May/2025:11:00:00 +0000] "GET /api/x HTTP/1.1" 200 14 "-" "curl" 84 0.002 [shop-web-80] [] 10.1.1.1:8080 14 0.002 200 6f"#,
                None,
                "/api/x",
                200,
                true,
            ),
            (
                r#"10.0.0.1 - - [01/May/2025:11:00:00 +0000] "GET /a HTTP/1.1" 404 14 "-" "curl" 84 0.002 [upstream-default-backend] [] 127.0.0.1:8181 14 0.002 404 6f"#,
                None,
                "/a",
                404,
                false,
            ),
            (
                r#"{"host":"a.example","uri":"/x?y=1","status":404,"proxy_upstream_name":"-"}"#,
                Some("a.example"),
                "/x?y=1",
                404,
                false,
            ),
            (
                r#"{"RequestHost":"a.example:443","RequestPath":"/x","DownstreamStatus":404}"#,
                Some("a.example"),
                "/x",
                404,
                false,
            ),
        ] {
            let read = access(line).unwrap();
            assert_eq!(
                (read.host.as_deref(), read.path.as_str(), read.status, read.backend),
                (host, path, status, backend),
                "{line}"
            );
        }
        assert_eq!(access("ready to serve"), None);
        assert_eq!((stem("/a/b/c?d"), stem("/")), ("/a/b".to_owned(), "/".to_owned()));
    }
}
