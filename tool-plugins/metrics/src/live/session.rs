//! Requests to one Prometheus: sent within the time of a call, counted, bounded in bytes, tried
//! again only where the server asks for it. What an answer means is [`super::answer`]'s.

use std::{
    error::Error as _,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    time::Duration,
};

use agent_sdk::{Failure, FailureClass};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use tokio::time::{Instant, timeout_at};

use super::settings::{Secret, Settings, config};

/// Bounds on what is asked of a server and taken from it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// To a connection: a Prometheus is near, and one that is gone should not use up the call.
    pub connect: Duration,
    /// One request, which the server is told as well (`timeout=`).
    pub request: Duration,
    /// All requests of a call: under the 25 s that the tools promise, with time left to judge.
    pub call: Duration,
    /// Requests of a call: twice what the largest namespace seen needs.
    pub requests: usize,
    /// Bytes of one answer. A batch is made to hold 250,000 samples at about 26 bytes each; four
    /// times as much is a server that means something else.
    pub body: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            request: Duration::from_secs(8),
            call: Duration::from_secs(20),
            requests: 60,
            body: 24 * 1024 * 1024,
        }
    }
}

/// The longest question that is asked by GET. Proxies that only read refuse POST, and web servers
/// refuse longer lines than about 8 KB.
const LONGEST_GET: usize = 3_500;
/// How often a request is sent at most, when the server asks to come again.
const MAX_ATTEMPTS: u32 = 3;
/// A wait before the next attempt, where the server names none.
const WAIT: Duration = Duration::from_millis(500);
/// A server's clock counts as wrong from this on: answers take time and `Date` has whole seconds.
const SKEW_SECONDS: i64 = 5;

/// One Prometheus.
#[derive(Debug)]
pub(super) struct Server {
    base: Url,
    client: Client,
    settings: Settings,
    tenant: Option<(HeaderName, HeaderValue)>,
    bounds: Bounds,
    clock: fn() -> Timestamp,
}

/// The requests of one call.
#[derive(Debug)]
pub(super) struct Session<'a> {
    server: &'a Server,
    secret: Option<Secret>,
    ends: Instant,
    requests: AtomicUsize,
    /// Seconds by which the server's clock is ahead, as of the last answer.
    ahead: AtomicI64,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Body {
    /// HTTP status.
    pub(super) status: u16,
    /// Content.
    pub(super) bytes: Vec<u8>,
}

// === impl Server ===

impl Server {
    /// A client for `base`, not connected yet.
    pub(super) fn new(
        base: Url,
        settings: Settings,
        bounds: Bounds,
        clock: fn() -> Timestamp,
    ) -> Result<Self, Failure> {
        let mut builder = Client::builder()
            .connect_timeout(bounds.connect)
            // A login page is no answer, and no secret goes where a server points.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("agentd-plugin-metrics/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if let Some(file) = &settings.prometheus_ca_file {
            let unusable = |why: String| config(&format!("{}: {why}", file.display()));
            let pem = std::fs::read(file).map_err(|e| unusable(format!("cannot be read: {e}")))?;
            let roots = Certificate::from_pem_bundle(&pem)
                .map_err(|e| unusable(format!("holds no certificates in PEM: {e}")))?;
            if roots.is_empty() {
                return Err(unusable("holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(roots);
        }
        let client = builder
            .build()
            .map_err(|error| config(&format!("no client can be made: {}", told(error))))?;
        let tenant = tenant(&settings)?;
        Ok(Self { base, client, settings, tenant, bounds, clock })
    }

    /// Begins a call, which may take `within` at most.
    pub(super) fn session(&self, within: Duration) -> Result<Session<'_>, Failure> {
        Ok(Session {
            server: self,
            secret: self.settings.authorization()?,
            ends: Instant::now() + within.min(self.bounds.call),
            requests: AtomicUsize::new(0),
            ahead: AtomicI64::new(0),
        })
    }
}

fn tenant(settings: &Settings) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
    let Some(tenant) = settings.prometheus_tenant.as_deref().filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let name = HeaderName::from_bytes(settings.prometheus_tenant_header.as_bytes())
        .map_err(|_| config("--prometheus-tenant-header is no name of a header"))?;
    let value = HeaderValue::from_str(tenant)
        .map_err(|_| config("--prometheus-tenant holds what no header can carry"))?;
    Ok(Some((name, value)))
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

// === impl Session ===

impl Session<'_> {
    /// Requests sent so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Seconds by which the server's clock is ahead of this machine's, when it is worth words.
    pub(super) fn skew(&self) -> Option<i64> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        (ahead.abs() > SKEW_SECONDS).then_some(ahead)
    }

    /// Asks `path` with `fields` and takes the whole answer.
    ///
    /// # Errors
    /// TIMEOUT, EXTERNAL, `RATE_LIMITED` where no usable answer came; other statuses are answers.
    pub(super) async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Result<Body, Failure> {
        let mut attempt = 1;
        loop {
            if self.requests.fetch_add(1, Ordering::Relaxed) >= self.server.bounds.requests {
                self.requests.fetch_sub(1, Ordering::Relaxed);
                let says =
                    format!("more than {} requests were needed", self.server.bounds.requests);
                return Err(Failure::external("PROMETHEUS_TOO_MANY_REQUESTS_NEEDED", says));
            }
            let ends = self.ends.min(Instant::now() + self.server.bounds.request);
            let asked = timeout_at(ends, self.once(path, fields, ends)).await;
            let (response, body) = match asked {
                Err(_) => return Err(late(path, ends < self.ends)),
                Ok(answered) => answered?,
            };
            tracing::debug!(
                path,
                status = body.status,
                bytes = body.bytes.len(),
                attempt,
                "prometheus answered"
            );
            let Some(wait) = self.again(&body, &response, attempt) else { return Ok(body) };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// How long to wait before the next attempt; `None` when the answer stands.
    fn again(&self, body: &Body, headers: &HeaderMap, attempt: u32) -> Option<Duration> {
        if !matches!(body.status, 429 | 503) || attempt >= MAX_ATTEMPTS {
            return None;
        }
        // A query that took too long would do so again.
        if body.status == 503 && body.bytes.windows(9).any(|w| w == b"\"timeout\"") {
            return None;
        }
        let named = headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok());
        let named = named.and_then(|v| v.trim().parse().ok()).map(Duration::from_secs);
        let wait = named.unwrap_or(WAIT * attempt);
        (Instant::now() + wait + WAIT < self.ends).then_some(wait)
    }

    async fn once(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        ends: Instant,
    ) -> Result<(HeaderMap, Body), Failure> {
        let request = self.request(path, fields, ends)?;
        let response = request.send().await.map_err(unreached)?;
        self.look_at_clock(response.headers());
        if response.status().is_redirection() {
            return Err(Failure::external(
                "PROMETHEUS_ELSEWHERE",
                "Prometheus's address answers with a pointer to another one, most likely a login \
                 page; give the address it stands at",
            ));
        }
        let headers = response.headers().clone();
        Ok((headers, self.take(response).await?))
    }

    fn request(
        &self,
        path: &str,
        fields: &[(&str, &str)],
        ends: Instant,
    ) -> Result<RequestBuilder, Failure> {
        let server = self.server;
        let mut url = server.base.join(&format!("api/v1/{path}")).map_err(|error| {
            Failure::bug("PROMETHEUS_BAD_PATH", format!("no path of an API: {error}"))
        })?;
        let left = ends.saturating_duration_since(Instant::now()).as_secs().max(1).to_string();
        {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(fields);
            if path.starts_with("query") {
                pairs.append_pair("timeout", &left);
            }
        }
        let query = url.query().unwrap_or_default().to_owned();
        // Values of a label are asked by GET only.
        let mut request = if query.len() <= LONGEST_GET || path.starts_with("label/") {
            server.client.request(Method::GET, url)
        } else {
            url.set_query(None);
            let form = "application/x-www-form-urlencoded";
            server.client.request(Method::POST, url).header(header::CONTENT_TYPE, form).body(query)
        };
        if let Some(secret) = &self.secret {
            request = request.header(header::AUTHORIZATION, secret.header());
        }
        if let Some((name, value)) = &server.tenant {
            request = request.header(name.clone(), value.clone());
        }
        Ok(request.header(header::ACCEPT, "application/json"))
    }

    /// Takes the body as it comes, up to the bound.
    async fn take(&self, response: Response) -> Result<Body, Failure> {
        let status = response.status();
        let most = self.server.bounds.body;
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                // An error page may be torn; its status says enough.
                Err(_) if status.is_client_error() || status.is_server_error() => break,
                Err(error) => return Err(torn(error)),
            };
            if bytes.len() + chunk.len() > most {
                let says = format!("an answer of Prometheus is larger than {most} bytes");
                return Err(Failure::external(super::answer::TOO_MANY, says));
            }
            bytes.extend_from_slice(&chunk);
        }
        if let (Some(secret), false) = (&self.secret, status.is_success()) {
            bytes = secret.masked(&bytes);
        }
        Ok(Body { status: status.as_u16(), bytes })
    }

    fn look_at_clock(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let Some(theirs) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
            return;
        };
        let ahead = theirs.timestamp().as_second() - (self.server.clock)().as_second();
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

fn late(path: &str, request: bool) -> Failure {
    let what = if request { "a request" } else { "all requests of a call" };
    let says = format!("Prometheus did not answer {path} within the time for {what}");
    Failure::new(FailureClass::Timeout, "PROMETHEUS_TIMEOUT", says)
}

fn torn(error: reqwest::Error) -> Failure {
    let says = format!("the answer of Prometheus broke off: {}", told(error));
    Failure::external("PROMETHEUS_TRUNCATED", says)
}

fn unreached(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        let says = format!("Prometheus cannot be reached in time: {}", told(error));
        return Failure::new(FailureClass::Timeout, "PROMETHEUS_TIMEOUT", says);
    }
    let says = format!("Prometheus cannot be reached: {}", told(error));
    Failure::external("PROMETHEUS_UNREACHABLE", says)
}

/// An error with its reasons and without the address it concerns.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut reason = error.source();
    while let Some(because) = reason {
        text = format!("{text}: {because}");
        reason = because.source();
    }
    text
}

/// Whether a status says that there is no such way to ask.
pub(super) fn is_missing(body: &Body) -> bool {
    matches!(
        StatusCode::from_u16(body.status),
        Ok(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED)
    )
}
