//! How a call reaches the plugin: dialled, or down a parked slot. Everything above knows calls only.

use std::{sync::Arc, time::Duration};

use agent_proto::tool::v1::CallResponse;
use tokio::{sync::mpsc, time::Instant};
use tonic::{
    Request, Status, Streaming,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

use crate::{
    agentd::{
        Agentd, WINDOW,
        relay::{Came, Order},
    },
    exchange::{End, Exchange},
    later::CallRequest,
};

/// How long a slot may take to be there.
const SLOT: Duration = Duration::from_secs(2);
const MAX_WIRE: usize = 4 * 1024 * 1024;

/// The way to one plugin.
#[derive(Clone)]
pub(crate) enum Line {
    Direct { channel: Channel, token: Option<String> },
    Relay(Arc<Agentd>),
}

/// What is presented on a direct call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presented {
    Registered,
    Nothing,
    Wrong,
}

/// A call that runs.
pub(crate) struct Call {
    source: Source,
    pub(crate) seen: Exchange,
}

enum Source {
    Direct(Box<Streaming<CallResponse>>),
    Relay { updates: mpsc::Receiver<Came>, orders: mpsc::Sender<Order> },
    Over,
}

// === impl Line ===

impl Line {
    /// A line that dials `endpoint`, `host:port`.
    ///
    /// # Errors
    /// When it is no address.
    pub(crate) fn dial(
        endpoint: &str,
        token: Option<String>,
    ) -> Result<Self, tonic::transport::Error> {
        let channel = Endpoint::from_shared(format!("http://{endpoint}"))?
            .connect_timeout(Duration::from_secs(3))
            .tcp_nodelay(true)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(16 * 1024 * 1024)
            .connect_lazy();
        Ok(Self::Direct { channel, token })
    }

    pub(crate) fn is_relay(&self) -> bool {
        matches!(self, Self::Relay(_))
    }

    /// Begins a call.
    pub(crate) async fn begin(&self, request: CallRequest, presented: Presented) -> Call {
        let mut seen = Exchange::sent(&request);
        match self {
            Self::Direct { channel, token } => {
                let asked = authorised(request, token.as_deref(), presented);
                match direct(channel, asked).await {
                    Ok(updates) => Call { source: Source::Direct(Box::new(updates)), seen },
                    Err(status) => {
                        seen.end(End::Status(status));
                        Call { source: Source::Over, seen }
                    }
                }
            }
            Self::Relay(agentd) => {
                let Some(slot) = agentd.wait_for(SLOT, |state| state.idle.pop_front()).await else {
                    seen.end(End::Status(Status::unavailable("no slot is parked")));
                    return Call { source: Source::Over, seen };
                };
                let (updates, orders) = slot.call(request).await;
                Call { source: Source::Relay { updates, orders }, seen }
            }
        }
    }
}

async fn direct(
    channel: &Channel,
    request: Request<CallRequest>,
) -> Result<Streaming<CallResponse>, Status> {
    let mut client = tonic::client::Grpc::new(channel.clone())
        .max_decoding_message_size(MAX_WIRE)
        .max_encoding_message_size(MAX_WIRE);
    let dialled = client.ready().await;
    dialled.map_err(|fault| Status::unavailable(format!("cannot be dialled: {fault}")))?;
    let codec = tonic_prost::ProstCodec::<CallRequest, CallResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/agentd.tool.v1.ToolService/Call");
    client.server_streaming(request, path, codec).await.map(tonic::Response::into_inner)
}

/// A request with what is presented.
pub(crate) fn authorised<T>(message: T, token: Option<&str>, presented: Presented) -> Request<T> {
    let mut request = Request::new(message);
    let wrong = uuid::Uuid::new_v4().simple().to_string();
    let token = match presented {
        Presented::Registered => token,
        Presented::Nothing => None,
        Presented::Wrong => Some(wrong.as_str()),
    };
    if let Some(Ok(value)) = token.map(|token| MetadataValue::try_from(format!("Bearer {token}"))) {
        request.metadata_mut().insert("authorization", value);
    }
    request
}

// === impl Call ===

impl Call {
    /// Waits for the next update; false when the call is over.
    pub(crate) async fn next(&mut self) -> bool {
        let end = match &mut self.source {
            Source::Over => return false,
            Source::Direct(updates) => match updates.message().await {
                Ok(Some(update)) => {
                    self.seen.push(update);
                    return true;
                }
                Ok(None) => End::Ok,
                Err(status) => End::Status(status),
            },
            Source::Relay { updates, .. } => match updates.recv().await {
                Some(Came::Update(update)) => {
                    self.seen.push(*update);
                    return true;
                }
                Some(Came::End(end)) => end,
                None => End::Status(Status::unavailable("the slot was cut")),
            },
        };
        self.seen.end(end);
        self.source = Source::Over;
        false
    }

    /// Reads until `enough`, the end, or `limit`; true when `enough` was seen.
    pub(crate) async fn read_until(
        &mut self,
        limit: Duration,
        enough: impl Fn(&Exchange) -> bool,
    ) -> bool {
        let until = Instant::now() + limit;
        while !enough(&self.seen) {
            match tokio::time::timeout_at(until, self.next()).await {
                Ok(true) => {}
                Ok(false) | Err(_) => return enough(&self.seen),
            }
        }
        true
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.source, Source::Over)
    }

    /// Reads to the end.
    pub(crate) async fn finish(mut self, limit: Duration) -> Exchange {
        self.read_until(limit, |_| false).await;
        if !self.is_over() {
            // Left as it is the call would go on and disturb what comes after.
            self.withdraw(Duration::ZERO).await;
            self.seen.end(End::Silent);
        }
        self.seen
    }

    /// Withdraws the call. A direct one is reset, and nothing more is seen of it; down a slot the
    /// plugin is told, and what still comes within `limit` is read.
    pub(crate) async fn cancel(mut self, limit: Duration) -> Exchange {
        self.withdraw(limit).await;
        if matches!(self.source, Source::Relay { .. }) {
            self.read_until(limit, |_| false).await;
        }
        if self.seen.end.is_none() {
            let is_relay = matches!(self.source, Source::Relay { .. });
            self.seen.end(if is_relay { End::Silent } else { End::Left });
        }
        self.seen
    }

    async fn withdraw(&mut self, grace: Duration) {
        match &self.source {
            Source::Relay { orders, .. } => {
                let _ = orders.send(Order::Cancel { grace }).await;
            }
            Source::Direct(_) => self.source = Source::Over,
            Source::Over => {}
        }
    }
}
