//! One key, one effect: twice in a row, at once, over a cut connection, after failures; and what
//! is remembered is bounded.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::atomic::Ordering::Relaxed;

use agent_proto::tool::v1::{
    CallMode, CallRequest, EffectState, FailureClass as Class, ToolRef, call_response::Update,
};
use serde_json::json;

use super::*;
use crate::{
    Plugin,
    fake::ledger::{How, Ledger, Unbook},
    kit::{Call, End, Harness, Outcome as Told},
    wire::CallResponse,
};

struct Stage {
    ledger: Ledger,
    harness: Harness,
}

impl Stage {
    async fn new() -> Self {
        let ledger = Ledger::new(|spec| spec.keyed().supports_dry_run());
        let plugin = Plugin::new("bank", "1.0.0").tool(ledger.clone()).tool(Unbook);
        Self { harness: Harness::new(plugin).await.unwrap(), ledger }
    }

    async fn book(&self, key: &str, how: How, amount: i64) -> Told {
        let told =
            self.harness.call_with("book", json!({"how": how, "amount": amount}), under(key));
        // A key that nobody works on any more would be waited for until the deadline of the call.
        tokio::time::timeout(Duration::from_secs(10), told).await.unwrap()
    }

    fn open(&self, times: usize) {
        self.ledger.gate.add_permits(times);
    }
}

fn under(key: &str) -> Call {
    Call { execute: true, idempotency_key: key.to_owned(), ..Call::default() }
}

fn last(told: &Told) -> &CallResponse {
    told.updates.last().unwrap()
}

fn failed(told: &Told) -> (Class, i32, &str, EffectState) {
    let failure = told.failure().unwrap_or_else(|| panic!("no failure: {told:?}"));
    (failure.failure_class(), failure.code, &failure.reason, failure.effects())
}

#[tokio::test]
async fn a_key_used_twice_has_one_effect_and_results_equal_to_the_byte() {
    let stage = Stage::new().await;
    stage.open(9);
    let first = stage.book("k", How::Book, 7).await;
    assert_eq!(first.json()["number"], 1);
    for _ in 0..3 {
        let again = stage.book("k", How::Book, 7).await;
        assert_eq!(last(&again), last(&first));
        assert!(matches!(again.updates.first().unwrap().update, Some(Update::Accepted(_))));
    }
    assert_eq!(stage.ledger.booked(), 1);
    assert_eq!(stage.book("other", How::Book, 7).await.json()["number"], 2);
}

#[tokio::test]
async fn a_key_used_twice_at_once_has_one_effect_and_the_second_waits_for_it() {
    let stage = Stage::new().await;
    let (first, second, ()) =
        tokio::join!(stage.book("k", How::Book, 7), stage.book("k", How::Book, 7), async {
            while stage.harness.in_flight() < 2 {
                tokio::task::yield_now().await;
            }
            stage.open(2);
        });
    assert!(first.result().is_ok());
    assert_eq!(last(&first), last(&second));
    assert_eq!((stage.ledger.booked(), stage.ledger.begun.load(Relaxed)), (1, 1));
}

#[tokio::test]
async fn other_arguments_under_a_used_key_are_refused_without_effect() {
    let stage = Stage::new().await;
    stage.open(9);
    stage.book("k", How::Book, 7).await.result().unwrap();
    let refused = stage.book("k", How::Book, 8).await;
    let expected = (Class::InvalidArgument, 6, "IDEMPOTENCY_KEY_REUSED", EffectState::None);
    assert_eq!(failed(&refused), expected);
    assert_eq!(refused.updates.len(), 1);
    assert_eq!(stage.ledger.booked(), 1);
    // The same arguments in other words are the same.
    let same = CallRequest {
        tool: Some(ToolRef { tool: "book".to_owned(), ..ToolRef::default() }),
        arguments_json: "{ \"amount\":7,\n\"how\": \"book\" }".to_owned(),
        idempotency_key: "k".to_owned(),
        mode: CallMode::Execute.into(),
        ..CallRequest::default()
    };
    assert_eq!(stage.harness.call_raw(same, false).await.json()["number"], 1);
}

#[tokio::test]
async fn a_connection_cut_behind_accepted_costs_neither_a_second_effect_nor_the_result() {
    for _ in 0..20 {
        let stage = Stage::new().await;
        let cut = Call { cancel_after_accepted: true, ..under("k") };
        let outcome =
            stage.harness.call_with("book", json!({"how": How::Book, "amount": 7}), cut).await;
        assert!(matches!(outcome.end, End::Cancelled));
        stage.harness.idle().await;
        stage.open(9);
        assert_eq!(stage.book("k", How::Book, 7).await.json()["number"], 1);
        assert_eq!(stage.ledger.booked(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_out_of_time_leaves_its_outcome_to_the_retry() {
    let stage = Stage::new().await;
    let call = Call { timeout: Some(Duration::from_millis(300)), ..under("k") };
    let first = stage.harness.call_with("book", json!({"how": How::Book, "amount": 7}), call).await;
    assert_eq!(failed(&first), (Class::Timeout, 4, "TIMEOUT", EffectState::Maybe));
    assert_eq!(stage.harness.in_flight(), 0);
    stage.open(1);
    assert_eq!(stage.book("k", How::Book, 7).await.json()["number"], 1);
    assert_eq!(stage.ledger.booked(), 1);
}

#[tokio::test]
async fn a_failure_that_changed_nothing_leaves_the_key_free_and_any_other_is_repeated() {
    let stage = Stage::new().await;
    for attempt in 1..=2 {
        let clean = stage.book("clean", How::FailClean, 7).await;
        assert_eq!(failed(&clean), (Class::External, 14, "DOWN", EffectState::None));
        assert_eq!(stage.ledger.begun.load(Relaxed), attempt);
    }
    let torn = stage.book("torn", How::Fail, 7).await;
    assert_eq!(failed(&torn), (Class::External, 14, "TORN", EffectState::Maybe));
    assert_eq!(last(&stage.book("torn", How::Fail, 7).await), last(&torn));
    assert_eq!(stage.ledger.booked(), 1);
}

#[tokio::test]
async fn work_that_heeds_a_withdrawal_before_it_acts_leaves_its_turn_to_the_next() {
    let stage = Stage::new().await;
    let arguments = json!({"amount": 7, "how": How::Heed});
    {
        let first = stage.harness.call_with("book", arguments.clone(), under("k"));
        tokio::select! {
            biased;
            _ = first => panic!("nobody opened"),
            () = stage.ledger.begun(1) => {}
        }
    }
    stage.open(1);
    assert_eq!(stage.book("k", How::Heed, 7).await.json()["number"], 1);
}

#[tokio::test(start_paused = true)]
async fn work_that_nobody_waits_for_is_given_up_and_never_done_again() {
    let stage = Stage::new().await;
    let call = Call { timeout: Some(Duration::from_millis(300)), ..under("k") };
    stage.harness.call_with("book", json!({"how": How::Book, "amount": 7}), call).await;
    tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    stage.open(9);
    let told = stage.book("k", How::Book, 7).await;
    assert_eq!(failed(&told), (Class::Timeout, 4, "OUTCOME_UNKNOWN", EffectState::Maybe));
    assert_eq!(stage.ledger.booked(), 1);
}

#[tokio::test]
async fn dry_runs_and_calls_without_a_key_are_not_remembered() {
    let stage = Stage::new().await;
    stage.open(9);
    let dry = Call { dry_run: true, ..under("k") };
    let told = stage.harness.call_with("book", json!({"how": How::Book, "amount": 7}), dry).await;
    assert_eq!(told.result().unwrap().planned_effects, ["would book 7"]);
    assert_eq!(stage.ledger.booked(), 0);
    assert_eq!(stage.book("k", How::Book, 9).await.json()["number"], 1);
    assert_eq!(stage.book("", How::Book, 7).await.json()["number"], 2);
    assert_eq!(stage.book("", How::Book, 7).await.json()["number"], 3);
}

fn key(n: usize) -> Key {
    ("book".to_owned(), n.to_string())
}

fn claim(deeds: &Deeds, n: usize) -> Option<Arc<Deed>> {
    match deeds.claim(&key(n), "{}").unwrap() {
        Claim::First(waiter) => Some(Arc::clone(&waiter.deed)),
        Claim::Further(_) => None,
    }
}

fn done(deeds: &Deeds, n: usize, text: &str) {
    let deed = claim(deeds, n).unwrap();
    deeds.settle(&key(n), &deed, Output::new(&text));
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_is_bounded_in_number_in_size_and_in_time() {
    let deeds = Deeds::default();
    let running = claim(&deeds, 0).unwrap();
    for n in 1..=KEYS + 5 {
        done(&deeds, n, "x");
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(deeds.held().len(), KEYS);
    // What still works is never forgotten; of the rest the oldest is.
    assert!(claim(&deeds, 0).is_none() && claim(&deeds, 5).is_some());
    drop(running);
    tokio::time::advance(KEPT + Duration::from_secs(1)).await;
    assert!(claim(&deeds, KEYS).is_some());

    let deeds = Deeds::default();
    let large = "x".repeat(BYTES / 4);
    for n in 0..10 {
        done(&deeds, n, &large);
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    assert_eq!(deeds.held().len(), 3);
    assert!(claim(&deeds, 9).is_none() && claim(&deeds, 0).is_some());
}

#[tokio::test]
async fn a_call_that_is_dropped_before_its_work_began_leaves_the_key_free() {
    let deeds = Arc::new(Deeds::default());
    let keyed = || Keyed::new(&deeds, "book", "k", "{}".to_owned());
    drop(keyed().unwrap());
    assert!(deeds.held().is_empty());
    // One that waited for it takes its turn.
    let (first, second) = (keyed().unwrap(), keyed().unwrap());
    drop(first);
    let begin = |_| -> Work { Box::pin(async { Output::new(&"done") }) };
    assert!(second.outcome(&Shelter::default(), begin).await.is_ok());
}
