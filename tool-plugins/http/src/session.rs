//! Requests to one server: sent within the time of a call, counted, bounded in bytes, tried again
//! only where the server asks for it.

use std::{
    error::Error as _,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
    time::Duration,
};

use agent_sdk::{Failure, FailureClass};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use reqwest::{
    Certificate, Client, Method, RequestBuilder, Response, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use tokio::time::{Instant, timeout_at};

use crate::{
    body::Body,
    settings::{Secret, Settings, Source},
};

/// Bounds on what is asked of a server and taken from it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// To a connection: servers are near, and one that is gone should not use up the call.
    pub connect: Duration,
    /// One request, which the server is told as well where it wants to know.
    pub request: Duration,
    /// All requests of a call.
    pub call: Duration,
    /// Requests of a call.
    pub requests: usize,
    /// Bytes of one answer.
    pub body: usize,
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

/// Carries the tenant where no other header is named.
const TENANT_HEADER: &str = "X-Scope-OrgID";

/// One server.
#[derive(Debug)]
pub struct Server {
    base: Url,
    client: Client,
    settings: Settings,
    tenant: Option<(HeaderName, HeaderValue)>,
    bounds: Bounds,
    clock: fn() -> Timestamp,
}

/// The requests of one call.
#[derive(Debug)]
pub struct Session<'a> {
    server: &'a Server,
    secret: Option<Secret>,
    ends: Instant,
    requests: AtomicUsize,
    /// Seconds by which the server's clock is ahead, as of the last answer.
    ahead: AtomicI64,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Below the base and the API's own prefix.
    pub path: &'a str,
    /// Fields of the query; a long one is sent as a form.
    pub fields: &'a [(&'a str, &'a str)],
    /// A JSON document to be sent; the fields stay in the address then.
    pub json: Option<&'a str>,
}

// === impl Server ===

impl Server {
    /// A client of the server that `settings` name, not connected yet; `None` where they name none.
    ///
    /// # Errors
    /// CONFIG when the settings cannot be used.
    pub fn of(
        settings: Settings,
        bounds: Bounds,
        clock: fn() -> Timestamp,
    ) -> Result<Option<Self>, Failure> {
        let Some(base) = settings.base()? else { return Ok(None) };
        // Without a provider of cryptography the client would panic.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(settings.source.config("no provider of cryptography is installed"));
        }
        let client = client(&base, &settings, bounds)?;
        let tenant = tenant(&settings)?;
        Ok(Some(Self { base, client, settings, tenant, bounds, clock }))
    }

    /// Begins a call, which may take `within` at most.
    ///
    /// # Errors
    /// CONFIG when a secret cannot be read.
    pub fn session(&self, within: Duration) -> Result<Session<'_>, Failure> {
        Ok(Session {
            server: self,
            secret: self.settings.authorization()?,
            ends: Instant::now() + within.min(self.bounds.call),
            requests: AtomicUsize::new(0),
            ahead: AtomicI64::new(0),
        })
    }

    /// What kind it is.
    #[must_use]
    pub fn source(&self) -> Source {
        self.settings.source
    }

    /// Kind and address, for people. No secret can stand in it.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} {}", self.settings.source.title, self.base)
    }
}

fn client(base: &Url, settings: &Settings, bounds: Bounds) -> Result<Client, Failure> {
    let config = |says: String| settings.source.config(&says);
    let mut builder = Client::builder()
        .connect_timeout(bounds.connect)
        // A login page is no answer, and no secret goes where a server points.
        .redirect(redirect::Policy::none())
        .user_agent(concat!("agentd-plugin/", env!("CARGO_PKG_VERSION")));
    if is_loopback(base) {
        builder = builder.no_proxy();
    }
    if let Some(file) = &settings.ca_file {
        let unusable = |why: String| config(format!("{}: {why}", file.display()));
        let pem = std::fs::read(file).map_err(|e| unusable(format!("cannot be read: {e}")))?;
        let roots = Certificate::from_pem_bundle(&pem)
            .map_err(|e| unusable(format!("holds no certificates in PEM: {e}")))?;
        if roots.is_empty() {
            return Err(unusable("holds no certificate".to_owned()));
        }
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|error| config(format!("no client can be made: {}", told(error))))
}

fn tenant(settings: &Settings) -> Result<Option<(HeaderName, HeaderValue)>, Failure> {
    let Some(tenant) = settings.tenant.as_deref().filter(|t| !t.is_empty()) else {
        return Ok(None);
    };
    let flag = settings.source.flag;
    let header = settings.tenant_header.as_deref().unwrap_or(TENANT_HEADER);
    let name = HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
        settings.source.config(&format!("--{flag}-tenant-header is no name of a header"))
    })?;
    let value = HeaderValue::from_str(tenant).map_err(|_| {
        settings.source.config(&format!("--{flag}-tenant holds what no header can carry"))
    })?;
    Ok(Some((name, value)))
}

fn is_loopback(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

// === impl Session ===

impl Session<'_> {
    /// Requests sent so far.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Seconds by which the server's clock is ahead of this machine's, when it is worth words.
    #[must_use]
    pub fn skew(&self) -> Option<i64> {
        let ahead = self.ahead.load(Ordering::Relaxed);
        (ahead.abs() > SKEW_SECONDS).then_some(ahead)
    }

    /// Asks `path` with `fields` and takes the whole answer.
    ///
    /// # Errors
    /// As for [`Self::put`].
    pub async fn ask(&self, path: &str, fields: &[(&str, &str)]) -> Result<Body, Failure> {
        self.put(Question { path, fields, json: None }).await
    }

    /// Puts a question and takes the whole answer.
    ///
    /// # Errors
    /// TIMEOUT, EXTERNAL where no usable answer came; other statuses are answers.
    pub async fn put(&self, question: Question<'_>) -> Result<Body, Failure> {
        let (source, bounds) = (self.server.source(), self.server.bounds);
        let mut attempt = 1;
        loop {
            if self.requests.fetch_add(1, Ordering::Relaxed) >= bounds.requests {
                self.requests.fetch_sub(1, Ordering::Relaxed);
                let says = format!("more than {} requests were needed", bounds.requests);
                return Err(source.external("TOO_MANY_REQUESTS_NEEDED", says));
            }
            let ends = self.ends.min(Instant::now() + bounds.request);
            let asked = timeout_at(ends, self.once(question, ends)).await;
            let (headers, body) = match asked {
                Err(_) => return Err(late((source, question.path), ends < self.ends)),
                Ok(answered) => answered?,
            };
            tracing::debug!(
                source = source.flag,
                path = question.path,
                status = body.status,
                bytes = body.bytes.len(),
                attempt,
                "server answered"
            );
            let Some(wait) = self.again(&body, &headers, attempt) else { return Ok(body) };
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
        question: Question<'_>,
        ends: Instant,
    ) -> Result<(HeaderMap, Body), Failure> {
        let source = self.server.source();
        let request = self.request(question, ends)?;
        let response = request.send().await.map_err(|error| unreached(source, error))?;
        self.look_at_clock(response.headers());
        if response.status().is_redirection() {
            let says = format!(
                "{}'s address answers with a pointer to another one, most likely a login page; \
                 give the address it stands at",
                source.title
            );
            return Err(source.external("ELSEWHERE", says));
        }
        let headers = response.headers().clone();
        Ok((headers, self.take(response).await?))
    }

    fn request(&self, question: Question<'_>, ends: Instant) -> Result<RequestBuilder, Failure> {
        let (server, source) = (self.server, self.server.source());
        let Question { path, fields, json } = question;
        let below = format!("{}/{path}", source.api);
        let mut url = server.base.join(below.trim_start_matches('/')).map_err(|error| {
            Failure::bug(&source.reason("BAD_PATH"), format!("no path of an API: {error}"))
        })?;
        let left = ends.saturating_duration_since(Instant::now()).as_secs().max(1).to_string();
        {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(fields);
            if !source.patience.is_empty() && path.starts_with("query") {
                pairs.append_pair(source.patience, &left);
            }
        }
        let query = url.query().unwrap_or_default().to_owned();
        let mut request = if let Some(json) = json {
            let json = json.to_owned();
            let request = server.client.request(Method::POST, url);
            request.header(header::CONTENT_TYPE, "application/json").body(json)
        } else if query.len() <= LONGEST_GET || path.starts_with("label/") {
            // Values of a label are asked by GET only.
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
        let (source, most) = (self.server.source(), self.server.bounds.body);
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(chunk) = stream.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                // An error page may be torn; its status says enough.
                Err(_) if status.is_client_error() || status.is_server_error() => break,
                Err(error) => return Err(torn(source, error)),
            };
            if bytes.len() + chunk.len() > most {
                let says = format!("an answer of {} is larger than {most} bytes", source.title);
                return Err(source.external("TOO_MUCH", says));
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

fn late((source, path): (Source, &str), request: bool) -> Failure {
    let what = if request { "a request" } else { "all requests of a call" };
    let says = format!("{} did not answer {path} within the time for {what}", source.title);
    Failure::new(FailureClass::Timeout, &source.reason("TIMEOUT"), says)
}

fn torn(source: Source, error: reqwest::Error) -> Failure {
    let says = format!("the answer of {} broke off: {}", source.title, told(error));
    source.external("TRUNCATED", says)
}

fn unreached(source: Source, error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        let says = format!("{} cannot be reached in time: {}", source.title, told(error));
        return Failure::new(FailureClass::Timeout, &source.reason("TIMEOUT"), says);
    }
    let says = format!("{} cannot be reached: {}", source.title, told(error));
    source.external("UNREACHABLE", says)
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
