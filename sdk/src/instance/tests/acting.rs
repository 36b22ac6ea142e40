//! Calls that act: dry runs, protected parts, what is said of their effects, whose trace they are.

use std::sync::{Arc, Mutex};

use super::*;
use crate::{
    CallCx, Failure, Output, Spec, Tool,
    fake::ledger::{How, Ledger, Unbook},
};

async fn stage(spec: impl FnOnce(Spec) -> Spec) -> (Ledger, Harness) {
    let ledger = Ledger::new(spec);
    let plugin = Plugin::new("bank", "1.0.0").tool(ledger.clone()).tool(Unbook);
    (ledger, Harness::new(plugin).await.unwrap())
}

fn book(how: How) -> Value {
    json!({"amount": 7, "how": how})
}

fn acting() -> Call {
    Call { execute: true, ..Call::default() }
}

#[tokio::test]
async fn a_dry_run_reaches_a_tool_that_knows_it_and_no_other() {
    let (ledger, harness) = stage(Spec::supports_dry_run).await;
    let dry = Call { dry_run: true, ..Call::default() };
    // Mode unset is never read as "act".
    for call in [dry.clone(), Call::default()] {
        let told = harness.call_with("book", book(How::Book), call).await;
        assert_eq!(told.result().unwrap().planned_effects, ["would book 7"]);
    }
    assert_eq!(ledger.booked(), 0);
    ledger.gate.add_permits(1);
    let told = harness.call_with("book", book(How::Book), acting()).await;
    assert_eq!(told.json()["number"], 1);
    let undo = &told.result().unwrap().compensations[0];
    assert_eq!((undo.tool.as_str(), undo.summary.as_str()), ("unbook", "takes the booking back"));
    let (ledger, harness) = stage(|spec| spec).await;
    let refused = harness.call_with("book", book(How::Book), dry).await;
    assert_eq!(failed(&refused).2, EffectState::None);
    assert_eq!(refused.failure().unwrap().violations[0].field, "mode");
    assert_eq!(ledger.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_protected_part_goes_on_to_its_end_when_the_call_is_withdrawn_and_the_rest_does_not() {
    let (ledger, harness) = stage(|spec| spec).await;
    {
        let call = harness.call_with("book", book(How::Protect), acting());
        tokio::select! {
            biased;
            told = call => panic!("{told:?}"),
            () = ledger.begun(1) => {}
        }
    }
    harness.idle().await;
    assert_eq!(ledger.booked(), 0);
    ledger.gate.add_permits(2);
    harness.instance().shelter.empty().await;
    // One permit for the protected part; nobody is left to take the other.
    assert_eq!((ledger.booked(), ledger.gate.available_permits()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_protected_part_outlives_the_deadline_and_the_failure_says_that_it_may_have_acted() {
    let (ledger, harness) = stage(|spec| spec).await;
    let call = Call { timeout: Some(Duration::from_millis(300)), ..acting() };
    let told = harness.call_with("book", book(How::Protect), call).await;
    assert_eq!(failed(&told), (Class::Timeout, "TIMEOUT", EffectState::Maybe));
    ledger.gate.add_permits(1);
    harness.instance().shelter.empty().await;
    assert_eq!(ledger.booked(), 1);
}

#[tokio::test]
async fn a_caller_who_stays_gets_what_came_of_a_protected_part() {
    let (ledger, harness) = stage(|spec| spec).await;
    ledger.gate.add_permits(2);
    let told = harness.call_with("book", book(How::Protect), acting()).await;
    assert_eq!(told.json()["number"], 1);
    let told = harness.call_with("book", book(How::PanicProtected), acting()).await;
    assert_eq!(failed(&told), (Class::Bug, "PANIC", EffectState::Maybe));
    assert!(told.failure().unwrap().message.contains("torn"));
}

#[tokio::test]
async fn a_failure_of_a_tool_that_changes_something_may_have_acted_unless_it_says_otherwise() {
    let (_, harness) = stage(|spec| spec).await;
    let torn = harness.call_with("book", book(How::Fail), acting()).await;
    assert_eq!(failed(&torn).2, EffectState::Maybe);
    let clean = harness.call_with("book", book(How::FailClean), acting()).await;
    assert_eq!(failed(&clean).2, EffectState::None);
}

#[tokio::test]
async fn a_call_withdrawn_before_it_was_accepted_changed_nothing_and_never_began() {
    let (ledger, harness) = stage(|spec| spec).await;
    // As a drain that is over does, between the checks and the first step of the work.
    harness.instance().ending.cancel();
    let told = harness.call_with("book", book(How::Book), acting()).await;
    assert_eq!(failed(&told), (Class::Cancelled, "CANCELLED", EffectState::None));
    assert_eq!((told.updates.len(), ledger.begun.load(Ordering::SeqCst)), (1, 0));
}

/// What a tool was told of who asks.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Heard>>>);

/// Principal and traceparent.
type Heard = (String, Option<String>);

impl Tool for Listener {
    type Args = std::collections::BTreeMap<String, String>;

    fn spec(&self) -> Spec {
        Spec::read_only("listen", "Listens.")
    }

    async fn call(&self, cx: CallCx, _: Self::Args) -> Result<Output, Failure> {
        let trace = cx.trace_context().get("traceparent").cloned();
        self.0.lock().unwrap().push((cx.principal().to_owned(), trace));
        Output::new(&())
    }
}

#[tokio::test]
async fn a_tool_knows_who_asked_and_the_trace_of_the_message_leads_over_metadata() {
    let listener = Listener::default();
    let harness = Harness::new(Plugin::new("ear", "1.0.0").tool(listener.clone())).await.unwrap();
    let context = |trace: &[(&str, &str)]| crate::wire::CallContext {
        principal: "ann".to_owned(),
        trace_context: trace.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Default::default()
    };
    let token = format!("Bearer {}", harness.caller_token());
    for trace in [&[("traceparent", "00-message-01")][..], &[]] {
        let mut call = Request::new(CallRequest {
            tool: named("", "listen", "", ""),
            context: Some(context(trace)),
            ..CallRequest::default()
        });
        call.metadata_mut().insert("authorization", token.parse().unwrap());
        call.metadata_mut().insert("traceparent", "00-metadata-01".parse().unwrap());
        let mut client = ToolServiceClient::new(harness.channel());
        let mut updates = client.call(call).await.unwrap().into_inner();
        while updates.message().await.unwrap().is_some() {}
    }
    let heard = listener.0.lock().unwrap().clone();
    let of = |trace: &str| ("ann".to_owned(), Some(trace.to_owned()));
    assert_eq!(heard, [of("00-message-01"), of("00-metadata-01")]);
}
