//! One slot from its opening to its end: parked, at most one call, or given back.

use std::time::Duration;

use agent_proto::tool::v1::{
    CallRequest, ServeRequest, ServeResponse, SlotOpened, SlotReleased, serve_request as up,
    serve_response::Message as Down, tool_relay_service_client::ToolRelayServiceClient,
};
use futures_util::StreamExt as _;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Berth, PATIENCE, Slots};
use crate::{instance::Answer, lease::authorised, limits::MAX_WIRE};

/// Updates that may wait for the connection; each is at most 512 KiB.
const WAITING: usize = 2;
/// How often agentd pings unless it says otherwise.
const PING: Duration = Duration::from_secs(15);
/// Pings that may be missed before a slot is taken for dead.
const MISSED: u32 = 3;
/// How long agentd may take to end a slot whose call is over; then it is left alone.
const ENDING: Duration = Duration::from_millis(500);
/// Time to clean up after a withdrawal that names none.
const GRACE: Duration = Duration::from_secs(2);

/// How a slot ended.
pub(super) enum End {
    /// It carried a call.
    Served,
    /// It was given back, or agentd ended it.
    Released,
    /// It broke, or agentd refused it.
    Broken(Status),
}

/// What came to a parked slot.
enum Came {
    Call(Box<CallRequest>),
    Ended(End),
}

/// A slot that is open.
struct Slot {
    say: mpsc::Sender<ServeRequest>,
    hear: Streaming<ServeResponse>,
    released: bool,
}

/// Opens a slot at a berth and holds it to its end.
pub(super) async fn serve(slots: &mut Slots, berth: &Berth) -> End {
    let mut slot = match open(slots, berth).await {
        Ok(slot) => slot,
        Err(status) => return End::Broken(status),
    };
    let call = match slot.wait(slots, berth).await {
        Came::Call(call) => call,
        Came::Ended(end) => return end,
    };
    let answer =
        if slot.released { slots.instance.refuse_late() } else { slots.instance.answer(*call) };
    slot.work(answer).await;
    End::Served
}

async fn open(slots: &Slots, berth: &Berth) -> Result<Slot, Status> {
    let (say, said) = mpsc::channel(WAITING);
    let opened = up::Message::Opened(SlotOpened { lease_id: berth.lease_id.clone() });
    let _ = say.try_send(ServeRequest { message: Some(opened) });
    let mut client = ToolRelayServiceClient::new(berth.channel.clone())
        .max_decoding_message_size(MAX_WIRE)
        .max_encoding_message_size(MAX_WIRE);
    let request = authorised(ReceiverStream::new(said), &slots.token);
    match tokio::time::timeout(PATIENCE, client.serve(request)).await {
        Ok(opened) => Ok(Slot { say, hear: opened?.into_inner(), released: false }),
        Err(_) => Err(Status::unavailable("the slot was not opened in time")),
    }
}

impl Slot {
    /// Waits for a call. Gives the slot back when the instance drains or its lease is another.
    async fn wait(&mut self, slots: &mut Slots, berth: &Berth) -> Came {
        let draining = slots.instance.draining.clone();
        let is_left =
            |held: &Option<Berth>| held.as_ref().is_none_or(|held| held.lease_id != berth.lease_id);
        let mut silence = PATIENCE;
        let mut ends = Instant::now() + silence;
        loop {
            let heard = tokio::select! {
                biased;
                heard = tokio::time::timeout_at(ends, self.hear.message()) => heard,
                () = async {
                    tokio::select! {
                        () = draining.cancelled() => {}
                        _ = slots.moorings.berth.wait_for(is_left) => {}
                    }
                }, if !self.released => {
                    self.released = true;
                    let released = up::Message::Released(SlotReleased {});
                    let _ = self.say.try_send(ServeRequest { message: Some(released) });
                    ends = Instant::now() + PATIENCE;
                    continue;
                }
            };
            match heard {
                Err(_) if self.released => return Came::Ended(End::Released),
                Err(_) => {
                    let why = format!("agentd said nothing on a slot for {silence:?}");
                    return Came::Ended(End::Broken(Status::unavailable(why)));
                }
                Ok(Err(_)) if self.released => return Came::Ended(End::Released),
                Ok(Err(status)) => return Came::Ended(End::Broken(status)),
                Ok(Ok(None)) if self.released => return Came::Ended(End::Released),
                Ok(Ok(None)) => {
                    let why = "agentd ended an idle slot";
                    return Came::Ended(End::Broken(Status::unavailable(why)));
                }
                Ok(Ok(Some(ServeResponse { message: Some(Down::Call(call)) }))) => {
                    return Came::Call(Box::new(call));
                }
                Ok(Ok(Some(ServeResponse { message: Some(Down::Parked(parked)) }))) => {
                    let ping = parked.ping_interval.and_then(|ping| ping.try_into().ok());
                    silence =
                        ping.filter(|ping: &Duration| !ping.is_zero()).unwrap_or(PING) * MISSED;
                }
                // A ping, or a message of a newer agentd.
                Ok(Ok(Some(_))) => {}
            }
            if !self.released {
                ends = Instant::now() + silence;
            }
        }
    }

    /// Sends the updates of a call up, and heeds its withdrawal. When agentd has left, the work is
    /// dropped, as a reset stream drops it where agentd dials.
    async fn work(mut self, mut answer: Answer) {
        let withdrawal = answer.withdrawal();
        let pump = async {
            while let Some(Ok(update)) = answer.next().await {
                let message = Some(up::Message::Update(update));
                if self.say.send(ServeRequest { message }).await.is_err() {
                    return;
                }
            }
        };
        let listen = async {
            let mut ends = None::<Instant>;
            loop {
                let heard = match ends {
                    None => self.hear.message().await,
                    Some(ends) => match tokio::time::timeout_at(ends, self.hear.message()).await {
                        Ok(heard) => heard,
                        Err(_) => return,
                    },
                };
                match heard {
                    Ok(Some(ServeResponse { message: Some(Down::Cancelled(cancelled)) })) => {
                        let grace = cancelled.grace.and_then(|grace| grace.try_into().ok());
                        ends = Some(Instant::now() + grace.unwrap_or(GRACE));
                        if let Some(withdrawal) = &withdrawal {
                            withdrawal.cancel();
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        };
        let is_told = tokio::select! {
            biased;
            () = pump => true,
            () = listen => false,
        };
        if is_told {
            drop(self.say);
            let ended = async { while let Ok(Some(_)) = self.hear.message().await {} };
            let _ = tokio::time::timeout(ENDING, ended).await;
        }
    }
}
