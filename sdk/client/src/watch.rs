//! Events of one investigation over as many connections as it takes. A stream that breaks, falls
//! silent or ends without the last event is taken up behind the newest event seen. Invariant: what
//! comes out is numbered upwards, without a repeat and without a hole, and ends with `finished`.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use agent_proto::v1::{
    Event, GetInvestigationRequest, InvestigationState, StreamEventsRequest, StreamEventsResponse,
    event::Payload,
};
use futures_util::{Stream, stream};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use crate::{client::Client, error::Error};

/// agentd says something every 15 s; beyond this a connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(45);
/// How long agentd may take to begin a stream or to answer a question.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Pauses before a stream is opened again: full jitter up to this, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Full jitter may draw next to nothing; this keeps a run of bad luck from being a hot loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// Streams in a row that may begin behind a hole.
const HOLES: u32 = 3;

/// The events of one investigation: a stream that resumes by itself, ends after `finished`, and
/// never repeats or skips. Leaving it never stops the investigation. An error ends it; each is one
/// that trying again would not mend.
pub struct Watch {
    client: Client,
    request: StreamEventsRequest,
    patience: Option<Duration>,
    /// None until the first event is asked for.
    events: Option<Events>,
}

type Events = Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>;

/// A watch at work.
struct Follow {
    client: Client,
    /// As it would be sent now: `after_sequence` is the newest event seen.
    request: StreamEventsRequest,
    patience: Option<Duration>,
    stream: Option<Streaming<StreamEventsResponse>>,
    /// Whether the present stream brought anything.
    heard: bool,
    since: Instant,
    pause: Duration,
    holes: u32,
    is_over: bool,
}

/// What became of one look at the stream.
enum Look {
    Event(Box<Event>),
    Nothing,
    Ended,
    Broke(String),
}

// === impl Watch ===

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("request", &self.request).finish_non_exhaustive()
    }
}

impl Watch {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        let request = StreamEventsRequest { name: name.to_owned(), ..Default::default() };
        Self { client, request, patience: None, events: None }
    }

    /// Begins behind this sequence instead of at the first event. To be said before the first event
    /// is asked for, as the two below.
    #[must_use]
    pub fn after(mut self, sequence: i32) -> Self {
        self.request.after_sequence = sequence;
        self
    }

    /// Only payloads of these kinds, such as `tool_call_finished`; the last event always comes. Then
    /// there are holes between the sequences.
    #[must_use]
    pub fn kinds(mut self, kinds: &[&str]) -> Self {
        self.request.kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        self
    }

    /// Ends with [`Error::Lost`] when nothing was heard for so long; without it agentd is waited for
    /// as long as it takes.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }
}

impl Stream for Watch {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.events.is_none() {
            let follow = Follow {
                client: self.client.clone(),
                request: self.request.clone(),
                patience: self.patience,
                stream: None,
                heard: false,
                since: Instant::now(),
                pause: FIRST_PAUSE,
                holes: 0,
                is_over: false,
            };
            self.events = Some(Box::pin(stream::unfold(follow, |mut follow| async move {
                let next = follow.next().await?;
                Some((next, follow))
            })));
        }
        match &mut self.events {
            Some(events) => events.as_mut().poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}

// === impl Follow ===

impl Follow {
    /// The next event; nothing behind the last one or an error.
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        if self.is_over {
            return None;
        }
        match self.look_on().await {
            Ok(Some(event)) => {
                self.is_over = matches!(event.payload, Some(Payload::Finished(_)));
                if self.is_over {
                    self.stream = None;
                }
                Some(Ok(event))
            }
            Ok(None) => {
                self.is_over = true;
                None
            }
            Err(error) => {
                self.is_over = true;
                self.stream = None;
                Some(Err(error))
            }
        }
    }

    async fn look_on(&mut self) -> Result<Option<Event>, Error> {
        loop {
            let look = match &mut self.stream {
                None => self.open().await?,
                Some(stream) => look(stream, self.request.after_sequence).await?,
            };
            match look {
                Look::Event(event) => {
                    if let Some(event) = self.take(*event)? {
                        return Ok(Some(event));
                    }
                }
                Look::Nothing => self.note_life(),
                Look::Ended if !self.heard && self.is_at_the_end().await? => return Ok(None),
                Look::Ended => self.broke("the stream ended before the last event").await?,
                Look::Broke(why) => self.broke(&why).await?,
            }
        }
    }

    async fn open(&mut self) -> Result<Look, Error> {
        self.heard = false;
        let mut agent = self.client.agent();
        match tokio::time::timeout(ATTEMPT, agent.stream_events(self.request.clone())).await {
            Ok(Ok(stream)) => {
                self.stream = Some(stream.into_inner());
                // Not yet a sign of life: a stream that ends at once must not be opened in a rush.
                self.first().await
            }
            Ok(Err(status)) => broke(status),
            Err(_) => Ok(Look::Broke("agentd did not begin the stream in time".to_owned())),
        }
    }

    async fn first(&mut self) -> Result<Look, Error> {
        match &mut self.stream {
            Some(stream) => look(stream, self.request.after_sequence).await,
            None => Ok(Look::Ended),
        }
    }

    /// Takes an event over, unless it was seen before or others are missing before it.
    fn take(&mut self, event: Event) -> Result<Option<Event>, Error> {
        let after = self.request.after_sequence;
        if event.sequence <= after {
            return Ok(None);
        }
        if self.request.kinds.is_empty() && event.sequence != after.saturating_add(1) {
            self.holes += 1;
            if self.holes >= HOLES {
                return Err(Error::Hole { after, got: event.sequence });
            }
            // Asked again, agentd may have what is missing.
            self.stream = None;
            return Ok(None);
        }
        self.holes = 0;
        self.request.after_sequence = event.sequence;
        self.note_life();
        Ok(Some(event))
    }

    fn note_life(&mut self) {
        self.heard = true;
        self.since = Instant::now();
        self.pause = FIRST_PAUSE;
    }

    /// Waits before the stream is opened again, over a connection of its own.
    async fn broke(&mut self, why: &str) -> Result<(), Error> {
        self.stream = None;
        if self.patience.is_some_and(|patience| self.since.elapsed() >= patience) {
            return Err(Error::Lost { after: self.request.after_sequence, why: why.to_owned() });
        }
        tokio::time::sleep(jitter(self.pause).max(SHORTEST_PAUSE)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.client = self.client.anew();
        Ok(())
    }

    /// Whether nothing can follow: the watch began behind the last event of an investigation that is
    /// over, and only that one would have said so.
    async fn is_at_the_end(&self) -> Result<bool, Error> {
        let request = GetInvestigationRequest { name: self.request.name.clone() };
        let mut agent = self.client.agent();
        let answer = match tokio::time::timeout(ATTEMPT, agent.get_investigation(request)).await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return broke(status).map(|_| false),
            Err(_) => return Ok(false),
        };
        let investigation = answer.investigation.unwrap_or_default();
        let is_over = match investigation.state() {
            InvestigationState::Succeeded
            | InvestigationState::Partial
            | InvestigationState::Failed
            | InvestigationState::Cancelled => true,
            InvestigationState::Unspecified
            | InvestigationState::Queued
            | InvestigationState::Running
            | InvestigationState::AwaitingApproval
            | InvestigationState::RollingBack => false,
        };
        Ok(is_over && investigation.last_sequence <= self.request.after_sequence)
    }
}

async fn look(stream: &mut Streaming<StreamEventsResponse>, after: i32) -> Result<Look, Error> {
    match tokio::time::timeout(SILENCE, stream.message()).await {
        Err(_) => Ok(Look::Broke(format!("agentd said nothing for {SILENCE:?}"))),
        Ok(Ok(None)) => Ok(Look::Ended),
        Ok(Err(status)) => broke(status),
        Ok(Ok(Some(item))) => match item.decode_event() {
            Ok(Some(event)) => Ok(Look::Event(Box::new(event))),
            Ok(None) => Ok(Look::Nothing),
            Err(_) => Err(Error::Unreadable { after }),
        },
    }
}

/// Whether a status tells of a break, which may heal, or of a refusal, which will not.
fn broke(status: Status) -> Result<Look, Error> {
    match status.code() {
        Code::Unavailable
        // SLOW_READER: whoever comes back is served again.
        | Code::ResourceExhausted
        | Code::DeadlineExceeded
        | Code::Aborted
        // What a cut connection looks like from here.
        | Code::Cancelled
        | Code::Internal
        | Code::Unknown => Ok(Look::Broke(format!("{} ({:?})", status.message(), status.code()))),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => Err(Error::Refused(Box::new(status))),
    }
}

/// A random span from nothing to `longest`. The keys of a hash map are random enough for that.
fn jitter(longest: Duration) -> Duration {
    let drawn = RandomState::new().build_hasher().finish() >> 32;
    let share = f64::from(u32::try_from(drawn).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    longest.mul_f64(share)
}

#[cfg(test)]
mod tests;
