//! Events of one investigation as they come, over as many connections as it takes: a stream that
//! breaks, falls silent or ends without the last event is taken up again after the newest event
//! seen. Invariant: what comes out is numbered upwards without repeats, and ends with `finished`.

use std::time::Duration;

use agent_proto::v1::{Event, StreamEventsRequest, StreamEventsResponse, event::Payload};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use super::{Error, client::Client, text::bare};

/// A daemon says something every 15 s; beyond this the connection is taken for dead.
const SILENCE: Duration = Duration::from_secs(45);
/// First pause before a stream is opened again; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// How long a daemon may be away.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is heard of an investigation.
#[derive(Debug, Clone)]
pub(super) enum Heard {
    /// An event.
    Event(Box<Event>),
    /// The connection broke; it is being tried again.
    Broken,
}

/// The events of one investigation.
#[derive(Debug)]
pub(super) struct Events {
    client: Client,
    name: String,
    after: i32,
    stream: Option<Streaming<StreamEventsResponse>>,
    broken: Option<Broken>,
    finished: bool,
}

/// Since when there is no stream.
#[derive(Debug, Clone, Copy)]
struct Broken {
    since: Instant,
    pause: Duration,
}

/// What became of one look at the stream.
enum Look {
    Event(Box<Event>),
    Nothing,
    Broke,
}

// === impl Events ===

impl Events {
    /// Events after a number.
    pub(super) fn new(client: Client, name: &str, after: i32) -> Self {
        let name = name.to_owned();
        Self { client, name, after, stream: None, broken: None, finished: false }
    }

    /// Number of the newest event seen.
    pub(super) fn after(&self) -> i32 {
        self.after
    }

    /// What is heard next; nothing after the last event.
    ///
    /// # Errors
    /// When the daemon refuses, such as for an unknown name, or stays away too long.
    pub(super) async fn next(&mut self) -> Result<Option<Heard>, Error> {
        while !self.finished {
            let look = match &mut self.stream {
                None => self.open().await?,
                Some(stream) => look(stream).await?,
            };
            match look {
                Look::Event(event) if event.sequence > self.after => {
                    self.after = event.sequence;
                    self.broken = None;
                    self.finished = matches!(event.payload, Some(Payload::Finished(_)));
                    return Ok(Some(Heard::Event(event)));
                }
                Look::Event(_) | Look::Nothing => {}
                Look::Broke => {
                    self.stream = None;
                    if self.broke()? {
                        return Ok(Some(Heard::Broken));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn open(&mut self) -> Result<Look, Error> {
        if let Some(broken) = &mut self.broken {
            tokio::time::sleep(broken.pause).await;
            broken.pause = (broken.pause * 2).min(LONGEST_PAUSE);
        }
        let request = StreamEventsRequest {
            name: self.name.clone(),
            after_sequence: self.after,
            replay_only: false,
            kinds: Vec::new(),
        };
        match self.client.agent.clone().stream_events(request).await {
            Ok(stream) => {
                self.stream = Some(stream.into_inner());
                Ok(Look::Nothing)
            }
            Err(status) => broke(&status),
        }
    }

    /// Notes that there is no stream; true the first time since an event came.
    fn broke(&mut self) -> Result<bool, Error> {
        let now = Instant::now();
        match self.broken {
            None => {
                self.broken = Some(Broken { since: now, pause: FIRST_PAUSE });
                Ok(true)
            }
            Some(broken) if now.duration_since(broken.since) < PATIENCE => Ok(false),
            Some(_) => Err(Error::Lost {
                url: self.client.url().to_owned(),
                id: bare(&self.name).to_owned(),
                after: self.after,
            }),
        }
    }
}

async fn look(stream: &mut Streaming<StreamEventsResponse>) -> Result<Look, Error> {
    match tokio::time::timeout(SILENCE, stream.message()).await {
        // Silent, or ended before the last event.
        Err(_) | Ok(Ok(None)) => Ok(Look::Broke),
        Ok(Err(status)) => broke(&status),
        Ok(Ok(Some(item))) => match item.decode_event() {
            Ok(Some(event)) => Ok(Look::Event(Box::new(event))),
            Ok(None) => Ok(Look::Nothing),
            Err(_) => Err(Error::Unreadable),
        },
    }
}

/// Whether a status tells of a broken connection, which may heal, or of a refusal, which will not.
fn broke(status: &Status) -> Result<Look, Error> {
    match status.code() {
        Code::NotFound
        | Code::OutOfRange
        | Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::FailedPrecondition
        | Code::AlreadyExists => Err(Error::refused(status)),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Ok(Look::Broke),
    }
}

#[cfg(test)]
mod tests;
