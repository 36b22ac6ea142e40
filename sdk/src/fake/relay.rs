//! The relay of an agentd: each slot that is opened is handed to the test, which plays the other
//! side of it.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use agent_proto::tool::v1::{
    CallRequest, CallResponse, ServeRequest, ServeResponse, SlotParked, SlotPing,
    call_response::Update,
    serve_request::Message as Up,
    serve_response::Message as Down,
    tool_relay_service_server::{ToolRelayService, ToolRelayServiceServer},
};
use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

pub(crate) const PING: Duration = Duration::from_secs(15);

/// A relay that knows some leases.
#[derive(Clone)]
pub(crate) struct Relay {
    leases: Arc<Mutex<Vec<String>>>,
    refusal: Arc<Mutex<Option<Status>>>,
    /// Slots that were asked for, the refused ones too.
    pub(crate) asked: Arc<AtomicUsize>,
    opened: mpsc::UnboundedSender<Slot>,
}

/// agentd's side of one slot.
pub(crate) struct Slot {
    pub(crate) lease: String,
    pub(crate) token: String,
    hear: Streaming<ServeRequest>,
    say: mpsc::Sender<Result<ServeResponse, Status>>,
}

impl Relay {
    pub(crate) fn knowing(lease: &str) -> (Self, mpsc::UnboundedReceiver<Slot>) {
        let (opened, slots) = mpsc::unbounded_channel();
        let relay = Self {
            leases: Arc::new(Mutex::new(vec![lease.to_owned()])),
            refusal: Arc::default(),
            asked: Arc::default(),
            opened,
        };
        (relay, slots)
    }

    /// From now on it knows this lease alone.
    pub(crate) fn know(&self, lease: &str) {
        *self.leases.lock().unwrap() = vec![lease.to_owned()];
    }

    pub(crate) fn refuse(&self, status: Option<Status>) {
        *self.refusal.lock().unwrap() = status;
    }

    pub(crate) fn service(&self) -> ToolRelayServiceServer<Self> {
        ToolRelayServiceServer::new(self.clone())
    }
}

#[tonic::async_trait]
impl ToolRelayService for Relay {
    type ServeStream = Pin<Box<dyn Stream<Item = Result<ServeResponse, Status>> + Send>>;

    async fn serve(
        &self,
        request: Request<Streaming<ServeRequest>>,
    ) -> Result<Response<Self::ServeStream>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(status) = self.refusal.lock().unwrap().clone() {
            return Err(status);
        }
        let token = request.metadata().get("authorization");
        let token = token.map_or(String::new(), |token| token.to_str().unwrap().to_owned());
        let mut hear = request.into_inner();
        let Some(ServeRequest { message: Some(Up::Opened(opened)) }) = hear.message().await? else {
            return Err(Status::invalid_argument("a slot begins with opened"));
        };
        if !self.leases.lock().unwrap().contains(&opened.lease_id) {
            return Err(Status::not_found("LEASE_UNKNOWN"));
        }
        let (say, said) = mpsc::channel(4);
        let parked = SlotParked { ping_interval: Some(PING.try_into().unwrap()) };
        say.try_send(Ok(ServeResponse { message: Some(Down::Parked(parked)) })).unwrap();
        self.opened.send(Slot { lease: opened.lease_id, token, hear, say }).unwrap();
        Ok(Response::new(Box::pin(ReceiverStream::new(said))))
    }
}

impl Slot {
    pub(crate) async fn say(&self, message: Down) {
        self.say.send(Ok(ServeResponse { message: Some(message) })).await.unwrap();
    }

    pub(crate) async fn call(&self, call: CallRequest) {
        self.say(Down::Call(call)).await;
    }

    pub(crate) async fn ping(&self) {
        self.say(Down::Ping(SlotPing {})).await;
    }

    /// What the plugin says next; none once it half-closed, an error when it reset the slot.
    pub(crate) async fn heard(&mut self) -> Result<Option<Up>, Status> {
        Ok(self.hear.message().await?.and_then(|request| request.message))
    }

    /// The updates of the call until the plugin half-closes; then the slot is ended.
    pub(crate) async fn updates(mut self) -> Result<Vec<CallResponse>, Status> {
        let mut updates = Vec::new();
        while let Some(message) = self.heard().await? {
            match message {
                Up::Update(update) => updates.push(update),
                Up::Released(_) | Up::Opened(_) => {}
            }
        }
        Ok(updates)
    }
}

/// The last update.
pub(crate) fn last(updates: &[CallResponse]) -> &Update {
    updates.last().and_then(|response| response.update.as_ref()).unwrap()
}
