//! The life of a slot over channels, with the clock paused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::AbortOnDropHandle;

use super::*;

/// A plugin's end of one slot.
struct Parked {
    says: mpsc::Sender<Result<pb::ServeRequest, Status>>,
    told: mpsc::Receiver<Result<pb::ServeResponse, Status>>,
    gone: CancellationToken,
    life: AbortOnDropHandle<()>,
}

async fn parked(slots: &Arc<Slots>) -> Parked {
    let (says, heard) = mpsc::channel(8);
    let (telling, told) = mpsc::channel(8);
    let gone = CancellationToken::new();
    let slot = slots.open().unwrap();
    let life =
        serve(slot, ReceiverStream::new(heard), telling, [gone.clone(), CancellationToken::new()]);
    let mut parked = Parked { says, told, gone, life: AbortOnDropHandle::new(tokio::spawn(life)) };
    assert!(matches!(parked.hears().await, Some(Said::Parked(_))));
    parked
}

impl Parked {
    async fn hears(&mut self) -> Option<Said> {
        self.told.recv().await.map(|said| said.unwrap().message.unwrap())
    }

    async fn says(&self, message: Heard) {
        self.says.send(Ok(pb::ServeRequest { message: Some(message) })).await.unwrap();
    }

    async fn updates(&self, sequence: i32, update: Update) {
        self.says(Heard::Update(pb::CallResponse { sequence, update: Some(update) })).await;
    }
}

fn request(id: &str) -> pb::CallRequest {
    pb::CallRequest { call_id: id.to_owned(), ..pb::CallRequest::default() }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(3)
}

fn accepted() -> Update {
    Update::Accepted(pb::CallAccepted::default())
}

fn result() -> Update {
    Update::Result(pb::CallResult::default())
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_down_a_parked_slot_and_its_updates_come_up_until_the_slot_ends() {
    let slots = Arc::<Slots>::default();
    let mut plugin = parked(&slots).await;
    let mut answers = slots.send(request("a"), soon()).await.unwrap();
    let Some(Said::Call(call)) = plugin.hears().await else { panic!("no call") };
    assert_eq!(call.call_id, "a");
    plugin.updates(1, accepted()).await;
    plugin.updates(2, result()).await;
    let Parked { says, mut told, .. } = plugin;
    drop(says);
    for sequence in [1, 2] {
        assert_eq!(answers.recv().await.unwrap().unwrap().sequence, sequence);
    }
    assert!(answers.recv().await.is_none(), "the end is no fault");
    assert!(told.recv().await.is_none());
    assert_eq!(slots.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_slot_and_skips_those_that_went_away() {
    let slots = Arc::<Slots>::default();
    assert!(slots.send(request("a"), soon()).await.is_none(), "none came in time");
    let gone = parked(&slots).await;
    gone.says(Heard::Released(pb::SlotReleased {})).await;
    let Parked { mut told, .. } = gone;
    assert!(told.recv().await.is_none(), "given back, ended with OK");
    let waiting = tokio::spawn({
        let slots = Arc::clone(&slots);
        async move { slots.send(request("b"), soon()).await.is_some() }
    });
    let mut plugin = parked(&slots).await;
    assert!(matches!(plugin.hears().await, Some(Said::Call(_))));
    assert!(waiting.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_call_is_cancelled_and_ended_when_the_plugin_does_not() {
    let slots = Arc::<Slots>::default();
    let mut plugin = parked(&slots).await;
    let answers = slots.send(request("a"), soon()).await.unwrap();
    assert!(matches!(plugin.hears().await, Some(Said::Call(_))));
    drop(answers);
    let Some(Said::Cancelled(cancelled)) = plugin.hears().await else { panic!("not told") };
    assert_eq!(cancelled.grace.unwrap().seconds, 2);
    let begun = Instant::now();
    let ended = plugin.told.recv().await.unwrap().unwrap_err();
    assert_eq!(ended.code(), tonic::Code::DeadlineExceeded);
    assert_eq!(begun.elapsed(), GRACE);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_breaks_is_told_apart_from_one_that_ends_without_a_last_word() {
    let slots = Arc::<Slots>::default();
    for how in ["reset", "dropped", "closed"] {
        let mut plugin = parked(&slots).await;
        let mut answers = slots.send(request("a"), soon()).await.unwrap();
        plugin.hears().await;
        plugin.updates(1, accepted()).await;
        assert!(answers.recv().await.unwrap().is_ok());
        let Parked { says, told, life, .. } = plugin;
        match how {
            "reset" => says.send(Err(Status::unknown("reset"))).await.unwrap(),
            "dropped" => drop(life),
            _ => drop(says),
        }
        let end = answers.recv().await;
        match how {
            "closed" => assert!(end.is_none(), "the plugin's own fault"),
            _ => assert_eq!(end.unwrap().unwrap_err().code(), tonic::Code::Unavailable, "{how}"),
        }
        drop(told);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_is_pinged_and_ends_with_its_instance_and_a_busy_one_goes_on() {
    let slots = Arc::<Slots>::default();
    let mut idle = parked(&slots).await;
    for _ in 0..3 {
        assert!(matches!(idle.hears().await, Some(Said::Ping(_))));
    }
    idle.gone.cancel();
    assert!(idle.told.recv().await.is_none());
    let mut busy = parked(&slots).await;
    let mut answers = slots.send(request("a"), soon()).await.unwrap();
    busy.hears().await;
    busy.gone.cancel();
    busy.updates(1, result()).await;
    assert!(answers.recv().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn no_more_slots_are_opened_than_there_may_be_and_an_idle_one_may_not_talk() {
    let slots = Arc::<Slots>::default();
    let held: Vec<Slot> = std::iter::from_fn(|| slots.open()).collect();
    assert_eq!(held.len(), MAX_SLOTS);
    drop(held);
    let mut plugin = parked(&slots).await;
    plugin.updates(1, accepted()).await;
    let ended = plugin.told.recv().await.unwrap().unwrap_err();
    assert_eq!(ended.code(), tonic::Code::InvalidArgument);
}
