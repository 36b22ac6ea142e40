//! Asks the API server: one question at a time in its time, again where that is worth it, and
//! nothing but GET. Invariant: this file is the only place that sends a request, and the method is
//! not a parameter.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Request, Response, StatusCode, header::DATE};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::{Client, client::Body};
use tokio::time::{Instant, timeout};

use super::{
    answer::{Refused, Trouble},
    door::Door,
};

/// One attempt at most: from sending to the last byte. Tools have 20 s and ask several things.
const ATTEMPT: Duration = Duration::from_secs(6);
/// All attempts at one question together. An API server that was killed is back after about 2 s.
const PATIENCE: Duration = Duration::from_secs(8);
/// The first pause between attempts; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(150);
/// As long as a server that was away is not waited for again: what a call asks next would only
/// wait as long once more, and an answer in part is worth more than none. One that refuses
/// connections is asked once each time, so that its return is seen at once; one that keeps silent
/// is not asked, since each attempt costs a whole [`ATTEMPT`].
const SPARED: Duration = Duration::from_secs(4);
/// Bytes at most of one answer.
pub(super) const MAX_BODY: usize = 64 * 1024 * 1024;
/// Bytes at most of a refusal that are read.
const MAX_REFUSAL: usize = 16 * 1024;
/// A server's clock may differ by this much before its time is taken instead of ours, seconds:
/// its Date has whole seconds and came over the network.
const SAME_CLOCK: i64 = 5;

/// A connection to one API server.
pub(crate) struct Asker {
    door: Door,
    /// Requests sent so far.
    sent: AtomicU64,
    /// Seconds by which the server's clock is ahead of ours.
    ahead: AtomicI64,
    spared: Mutex<Option<(Instant, Trouble)>>,
}

// === impl Asker ===

impl Asker {
    pub(super) fn new(door: Door) -> Self {
        Self { door, sent: AtomicU64::new(0), ahead: AtomicI64::new(0), spared: Mutex::new(None) }
    }

    /// Requests sent since the start.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Seconds by which the server's clock is ahead of ours.
    pub(crate) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// The time by the server's clock, which stamps all that it tells.
    pub(crate) fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let own = Timestamp::now();
        if ahead.abs() <= SAME_CLOCK {
            return own;
        }
        own.checked_add(jiff::SignedDuration::from_secs(ahead)).unwrap_or(own)
    }

    /// The whole answer to GET `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Bytes, Trouble> {
        self.patiently(|client| self.whole(client, path)).await
    }

    /// The answer to GET `path` as it comes; only its head is waited for here.
    pub(super) async fn stream(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, kube::Error>> + Send + use<>, Trouble> {
        let response = self
            .patiently(|client| async {
                timeout(ATTEMPT, self.head(client, path)).await.map_err(|_| silent())?
            })
            .await?;
        Ok(frames(response.into_body()))
    }

    /// Asks until there is an answer that will not change by asking again, or the time is over.
    async fn patiently<T, F>(&self, mut ask: impl FnMut(Client) -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let spared = self.is_spared();
        if let Some(silent @ Trouble::Silent(_)) = spared {
            return Err(silent);
        }
        let ends = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        let mut renewed = false;
        loop {
            // A login has its own time.
            let (client, number) = self.door.client().await?;
            let trouble = match ask(client).await {
                Ok(answer) => {
                    self.spared.lock().unwrap_or_else(PoisonError::into_inner).take();
                    return Ok(answer);
                }
                Err(trouble) => trouble,
            };
            if let Trouble::Refused(Refused { status: 401, .. }) = &trouble
                && !std::mem::replace(&mut renewed, true)
                && self.door.renew(number).await
            {
                continue;
            }
            let wait = match &trouble {
                Trouble::Unreached(_) => spared.is_none().then_some(pause),
                Trouble::Refused(Refused { status: 429 | 500..=599, retry_after, .. }) => {
                    Some(retry_after.unwrap_or(pause))
                }
                Trouble::Refused(_)
                | Trouble::NoLogin(_)
                | Trouble::Silent(_)
                | Trouble::TooLarge(_) => None,
            };
            match wait.filter(|wait| Instant::now() + *wait < ends) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => {
                    self.spare(&trouble);
                    return Err(trouble);
                }
            }
            pause = pause.saturating_mul(2);
        }
    }

    fn is_spared(&self) -> Option<Trouble> {
        let spared = self.spared.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, trouble) = spared.as_ref()?;
        (Instant::now() < *until).then(|| trouble.clone())
    }

    fn spare(&self, trouble: &Trouble) {
        if matches!(trouble, Trouble::Unreached(_) | Trouble::Silent(_)) {
            let mut spared = self.spared.lock().unwrap_or_else(PoisonError::into_inner);
            *spared = Some((Instant::now() + SPARED, trouble.clone()));
        }
    }

    async fn whole(&self, client: Client, path: &str) -> Result<Bytes, Trouble> {
        let whole = async {
            let response = self.head(client, path).await?;
            collect(response, MAX_BODY).await.map(|(_, body)| body)
        };
        timeout(ATTEMPT, whole).await.map_err(|_| silent())?
    }

    /// Sends the request; the head of a success, or what else it came to.
    async fn head(&self, client: Client, path: &str) -> Result<Response<Body>, Trouble> {
        let request = Request::get(path)
            .body(Body::empty())
            .map_err(|error| Trouble::Unreached(format!("{path} is no request: {error}")))?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let response = client.send(request).await.map_err(|error| {
            let says = words(&error);
            if matches!(error, kube::Error::Auth(_)) {
                Trouble::NoLogin(says)
            } else {
                Trouble::Unreached(says)
            }
        })?;
        self.mind_the_clock(response.headers());
        let (status, headers) = (response.status(), response.headers().clone());
        // The log of a pod without a node is 204 and empty.
        if status.is_success() {
            return Ok(response);
        }
        let body = match collect(response, MAX_REFUSAL).await {
            Ok((_, body)) => body,
            Err(_) => Bytes::new(),
        };
        Err(Trouble::Refused(Refused::read(status, &headers, &body)))
    }

    fn mind_the_clock(&self, headers: &HeaderMap) {
        let Some(date) = headers.get(DATE).and_then(|v| v.to_str().ok()) else { return };
        let Ok(theirs) = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date) else {
            return;
        };
        self.ahead.store(theirs.as_second() - Timestamp::now().as_second(), Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").field("sent", &self.sent()).finish_non_exhaustive()
    }
}

fn silent() -> Trouble {
    Trouble::Silent(format!("no answer within {} s", ATTEMPT.as_secs()))
}

/// The frames of a body that carry data.
fn frames(body: Body) -> impl Stream<Item = Result<Bytes, kube::Error>> + Send {
    body.into_data_stream()
}

async fn collect(response: Response<Body>, most: usize) -> Result<(StatusCode, Bytes), Trouble> {
    let status = response.status();
    let mut frames = std::pin::pin!(frames(response.into_body()));
    let mut body = Vec::new();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|error| Trouble::Unreached(words(&error)))?;
        if body.len() + frame.len() > most {
            return Err(Trouble::TooLarge(format!("the answer has more than {most} bytes")));
        }
        body.extend_from_slice(&frame);
    }
    Ok((status, body.into()))
}

/// An error with what it came from, each once: the outermost mostly says only "service error".
pub(super) fn words(error: &dyn std::error::Error) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|known| known.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    said.join(": ")
}
