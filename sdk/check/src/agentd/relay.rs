//! `ToolRelayService` of the played agentd: slots that are parked, take one call, and end. Written
//! on tonic's own parts, because what is sent down has a field that the generated wire has not.

use std::{convert::Infallible, sync::Arc, time::Duration};

use agent_proto::tool::v1::{
    CallCancelled, CallResponse, ServeRequest, SlotParked, SlotPing, call_response::Update,
    serve_request::Message as Up,
};
use futures_util::future::BoxFuture;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming, codegen::Service, server::NamedService};

use super::{Deed, Shared, registry};
use crate::{
    exchange::{End, Exchange},
    later::{CallRequest, Down, ServeResponse},
};

/// How often an idle or busy slot hears of us.
const PING: Duration = Duration::from_millis(500);
/// How long the end of a slot may take after its last update.
const CLOSING: Duration = Duration::from_secs(3);

/// An idle slot. Dropping it ends the slot.
pub(crate) struct Slot {
    orders: mpsc::Sender<Order>,
}

/// What a slot is told to do.
pub(crate) enum Order {
    Call { request: Box<CallRequest>, came: mpsc::Sender<Came> },
    Cancel { grace: Duration },
}

/// What comes up a slot that has a call.
pub(crate) enum Came {
    Update(Box<CallResponse>),
    End(End),
}

// === impl Slot ===

impl Slot {
    /// Sends the one call; what comes is read one by one, and not read is felt by the plugin.
    pub(crate) async fn call(
        self,
        request: CallRequest,
    ) -> (mpsc::Receiver<Came>, mpsc::Sender<Order>) {
        let (came, updates) = mpsc::channel(1);
        let _ = self.orders.send(Order::Call { request: Box::new(request), came }).await;
        (updates, self.orders)
    }
}

/// The service.
#[derive(Clone)]
pub(super) struct RelayServer(pub(super) Arc<Shared>);

type Answers = ReceiverStream<Result<ServeResponse, Status>>;

impl NamedService for RelayServer {
    const NAME: &'static str = "agentd.tool.v1.ToolRelayService";
}

impl Service<http::Request<tonic::body::Body>> for RelayServer {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let method = Serve(Arc::clone(&self.0));
        Box::pin(async move {
            let codec = tonic_prost::ProstCodec::<ServeResponse, ServeRequest>::default();
            Ok(tonic::server::Grpc::new(codec).streaming(method, request).await)
        })
    }
}

struct Serve(Arc<Shared>);

impl tonic::server::StreamingService<ServeRequest> for Serve {
    type Response = ServeResponse;
    type ResponseStream = Answers;
    type Future = BoxFuture<'static, Result<Response<Answers>, Status>>;

    fn call(&mut self, request: Request<Streaming<ServeRequest>>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let token = registry::bearer(request.metadata());
        Box::pin(async move {
            let (down, answers) = mpsc::channel(4);
            tokio::spawn(run(shared, token, request.into_inner(), down));
            Ok(Response::new(ReceiverStream::new(answers)))
        })
    }
}

/// The life of one slot.
async fn run(
    shared: Arc<Shared>,
    token: Option<String>,
    mut up: Streaming<ServeRequest>,
    down: mpsc::Sender<Result<ServeResponse, Status>>,
) {
    let Some(lease) = opened(&mut up).await else {
        let said = "the first message of a slot must be `opened` with the lease";
        let _ = down.send(Err(Status::invalid_argument(said))).await;
        return;
    };
    let is_held = shared.state().lease.as_ref().is_some_and(|held| held.id == lease);
    if !is_held {
        shared.note(Deed::Stranger);
        let _ = down.send(Err(registry::lease_unknown())).await;
        return;
    }
    let parked = SlotParked { ping_interval: PING.try_into().ok() };
    if down.send(said(Down::Parked(parked))).await.is_err() {
        return;
    }
    let (orders, mut told) = mpsc::channel(2);
    shared.state().idle.push_back(Slot { orders });
    shared.note(Deed::Parked { token });
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    loop {
        tokio::select! {
            _ = ping.tick() => {
                let _ = down.try_send(said(Down::Ping(SlotPing {})));
            }
            order = told.recv() => match order {
                Some(Order::Call { request, came }) => {
                    return serve(&mut up, &down, Served { request: *request, came, told }).await;
                }
                Some(Order::Cancel { .. }) => {}
                // Let go: the lease was replaced.
                None => return,
            },
            message = up.message() => {
                told.close();
                forget_closed(&shared);
                let is_release = matches!(
                    &message,
                    Ok(Some(ServeRequest { message: Some(Up::Released(_)) }))
                );
                if is_release {
                    released(&shared, &mut up, &down).await;
                } else {
                    shared.note(Deed::Dropped);
                }
                return;
            }
        }
    }
}

async fn opened(up: &mut Streaming<ServeRequest>) -> Option<String> {
    match up.message().await.ok()??.message? {
        Up::Opened(opened) => Some(opened.lease_id),
        Up::Update(_) | Up::Released(_) => None,
    }
}

/// Idle slots that ended cannot be used for a call.
fn forget_closed(shared: &Shared) {
    shared.state().idle.retain(|slot| !slot.orders.is_closed());
}

/// The plugin gave the slot back. When a check wants it, a call crosses that on the wire.
async fn released(
    shared: &Arc<Shared>,
    up: &mut Streaming<ServeRequest>,
    down: &mpsc::Sender<Result<ServeResponse, Status>>,
) {
    let crossing = shared.state().crossing.take();
    shared.note(Deed::Released);
    let Some(request) = crossing else { return };
    let mut seen = Exchange::sent(&request);
    let (came, mut updates) = mpsc::channel(1);
    let (_hold, told) = mpsc::channel(1);
    let read = async {
        while let Some(came) = updates.recv().await {
            match came {
                Came::Update(update) => seen.push(*update),
                Came::End(end) => seen.end(end),
            }
        }
    };
    tokio::join!(serve(up, down, Served { request, came, told }), read);
    shared.note(Deed::Crossed(Box::new(seen)));
}

struct Served {
    request: CallRequest,
    came: mpsc::Sender<Came>,
    told: mpsc::Receiver<Order>,
}

/// One call down a slot, until the plugin has closed its side.
async fn serve(
    up: &mut Streaming<ServeRequest>,
    down: &mpsc::Sender<Result<ServeResponse, Status>>,
    served: Served,
) {
    let Served { request, came, mut told } = served;
    if down.send(said(Down::Call(request))).await.is_err() {
        let _ = came.send(Came::End(End::Status(Status::unavailable("the slot had ended")))).await;
        return;
    }
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    let mut closes: Option<Instant> = None;
    let end = loop {
        let closing = async {
            match closes {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = ping.tick() => {
                let _ = down.try_send(said(Down::Ping(SlotPing {})));
            }
            () = closing => break End::Silent,
            Some(order) = told.recv() => {
                if let Order::Cancel { grace } = order {
                    let cancelled = CallCancelled {
                        reason: "plugin-check withdraws it".to_owned(),
                        grace: grace.try_into().ok(),
                    };
                    let _ = down.send(said(Down::Cancelled(cancelled))).await;
                }
            }
            message = up.message() => match message {
                Ok(Some(ServeRequest { message: Some(Up::Update(update)) })) => {
                    let is_last =
                        matches!(update.update, Some(Update::Result(_) | Update::Failure(_)));
                    if is_last {
                        closes = Some(Instant::now() + CLOSING);
                    }
                    if came.send(Came::Update(Box::new(update))).await.is_err() && closes.is_none() {
                        // Nobody listens any more.
                        break End::Left;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break End::Ok,
                Err(status) => break End::Status(status),
            },
        }
    };
    let _ = came.send(Came::End(end)).await;
}

#[expect(clippy::unnecessary_wraps, reason = "an item of the stream")]
fn said(message: Down) -> Result<ServeResponse, Status> {
    Ok(ServeResponse { message: Some(message) })
}
