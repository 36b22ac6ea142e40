//! Slots against a relay that is played by the test, on a clock that stands still while anything
//! can be done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests"
)]

use std::sync::atomic::Ordering;

use agent_proto::tool::v1::{
    CallCancelled, CallRequest, EffectState, ToolRef, call_response::Update,
    register_request::Transport, serve_request::Message as Up, serve_response::Message as Down,
};
use tokio::{net::TcpListener, sync::mpsc, sync::oneshot, task::JoinHandle};
use tonic::transport::server::TcpIncoming;

use super::*;
use crate::{
    Options, Plugin,
    fake::{
        Act, Answer, Asked, DIGEST, Network, Puppet, Registry, accepting,
        relay::{PING, Relay, Slot, last},
    },
    lease::{Announcement, Keeper, Reach},
    options::Mode,
    server::Readiness,
};

const SECOND: Duration = Duration::from_secs(1);

struct Stage {
    registry: Registry,
    relay: Relay,
    opened: mpsc::UnboundedReceiver<Slot>,
    puppet: Puppet,
    instance: Arc<Instance>,
    slots: JoinHandle<Result<(), Error>>,
    _keeper: JoinHandle<Result<(), Error>>,
}

impl Stage {
    async fn with(count: u16) -> Self {
        let (registry, puppet) = (Registry::new(), Puppet::new());
        let (relay, opened) = Relay::knowing("lease");
        let network = Network::with_relay(&registry, &relay);
        let plugin = Plugin::new("theatre", "1.0.0").tool(puppet.clone());
        let instance = Arc::new(plugin.into_instance(count).unwrap());
        let announcement = Announcement {
            agentd_url: "http://agentd.test".to_owned(),
            token: "registration-token".to_owned(),
            reach: Reach::Relay { slots: count },
        };
        let readiness = Readiness::new().await;
        let mut keeper =
            Keeper::new(Arc::clone(&instance), readiness, announcement, network.dial());
        let slots = Slots {
            instance: Arc::clone(&instance),
            moorings: keeper.moorings(),
            token: "registration-token".to_owned(),
            agentd_url: "http://agentd.test".to_owned(),
            count,
        };
        let slots = tokio::spawn(slots.run());
        let keeper = tokio::spawn(async move { keeper.run().await });
        Self { registry, relay, opened, puppet, instance, slots, _keeper: keeper }
    }

    async fn slot(&mut self) -> Slot {
        // The lease is renewed for ever, so that waiting for nothing would never end.
        let opened = tokio::time::timeout(Duration::from_secs(120), self.opened.recv());
        opened.await.expect("no slot is opened").unwrap()
    }

    /// Lets everything happen that happens within a second, and no slot be opened meanwhile.
    async fn none_opened(&mut self) {
        assert!(tokio::time::timeout(SECOND, self.opened.recv()).await.is_err());
    }
}

fn call(act: &Act) -> CallRequest {
    CallRequest {
        tool: Some(ToolRef {
            plugin: "theatre".to_owned(),
            tool: "puppet".to_owned(),
            version: "1.0.0".to_owned(),
            digest: DIGEST.to_owned(),
        }),
        arguments_json: serde_json::json!({ "act": act }).to_string(),
        ..CallRequest::default()
    }
}

fn say(text: &str) -> CallRequest {
    call(&Act::Say(text.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn as_many_slots_are_parked_as_were_announced_and_each_names_the_lease() {
    let mut stage = Stage::with(3).await;
    let (_, asked) = stage.registry.nth(1).await;
    let Asked::Register(request, _) = asked else { panic!("{asked:?}") };
    let Some(Transport::Relay(relay)) = request.transport else { panic!("not relay") };
    assert_eq!((relay.slots, request.max_concurrent_calls), (3, 3));
    let mut slots = Vec::new();
    for _ in 0..3 {
        let slot = stage.slot().await;
        assert_eq!((&*slot.lease, &*slot.token), ("lease", "Bearer registration-token"));
        slots.push(slot);
    }
    stage.none_opened().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_comes_down_a_slot_and_another_is_opened_at_once() {
    let mut stage = Stage::with(1).await;
    let mut slot = stage.slot().await;
    for round in 0..100 {
        let began = Instant::now();
        slot.call(say(&format!("round {round}"))).await;
        let updates = slot.updates().await.unwrap();
        let numbers: Vec<_> = updates.iter().map(|update| update.sequence).collect();
        assert_eq!(numbers, [1, 2]);
        assert!(matches!(updates[0].update, Some(Update::Accepted(_))));
        let Update::Result(result) = last(&updates) else { panic!("round {round}: {updates:?}") };
        assert_eq!(result.result_json, format!("\"round {round}\""));
        slot = stage.slot().await;
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_is_opened_anew_although_agentd_does_not_end_the_one_before() {
    let mut stage = Stage::with(1).await;
    let mut first = stage.slot().await;
    first.call(say("x")).await;
    while first.heard().await.unwrap().is_some() {}
    let began = Instant::now();
    let _second = stage.slot().await;
    assert!(began.elapsed() < SECOND);
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn a_call_passes_the_same_checks_as_one_over_a_port() {
    let mut stage = Stage::with(1).await;
    let unknown = CallRequest { tool: Some(ToolRef::default()), ..say("x") };
    let mut other = say("x");
    other.tool.as_mut().unwrap().digest = "sha256:other".to_owned();
    let arguments = CallRequest { arguments_json: "[]".to_owned(), ..say("x") };
    for (call, reason) in
        [(unknown, "UNKNOWN_TOOL"), (other, "DESCRIPTOR_MISMATCH"), (arguments, "INVALID_ARGUMENT")]
    {
        let slot = stage.slot().await;
        slot.call(call).await;
        let updates = slot.updates().await.unwrap();
        let Update::Failure(failure) = last(&updates) else { panic!("{updates:?}") };
        assert_eq!((&*failure.reason, failure.effects()), (reason, EffectState::None));
        assert_eq!((updates.len(), updates[0].sequence), (1, 1));
    }
    assert_eq!(stage.puppet.begun.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_withdrawn_call_stops_the_work_and_still_tells_its_end() {
    let mut stage = Stage::with(1).await;
    let mut slot = stage.slot().await;
    slot.call(call(&Act::Wait)).await;
    assert!(matches!(slot.heard().await, Ok(Some(Up::Update(_)))));
    let began = Instant::now();
    let grace = Some(Duration::from_secs(2).try_into().unwrap());
    slot.say(Down::Cancelled(CallCancelled { reason: "halted".to_owned(), grace })).await;
    let updates = slot.updates().await.unwrap();
    let Update::Failure(failure) = last(&updates) else { panic!("{updates:?}") };
    assert_eq!((&*failure.reason, failure.code), ("CANCELLED", 1));
    assert!(began.elapsed() < SECOND);
    let begun = stage.puppet.begun.load(Ordering::SeqCst);
    assert_eq!(stage.puppet.dropped.load(Ordering::SeqCst), begun);
    stage.slot().await;
}

#[tokio::test(start_paused = true)]
async fn an_agentd_that_leaves_in_the_middle_of_a_call_stops_its_work() {
    let mut stage = Stage::with(1).await;
    let mut slot = stage.slot().await;
    slot.call(call(&Act::Wait)).await;
    assert!(matches!(slot.heard().await, Ok(Some(Up::Update(_)))));
    while stage.puppet.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(slot);
    stage.instance.idle().await;
    assert_eq!(stage.puppet.dropped.load(Ordering::SeqCst), 1);
    stage.slot().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_hears_nothing_for_three_pings_is_opened_anew() {
    let mut stage = Stage::with(1).await;
    let slot = stage.slot().await;
    for _ in 0..10 {
        tokio::time::sleep(PING).await;
        slot.ping().await;
    }
    assert_eq!(stage.relay.asked.load(Ordering::SeqCst), 1);
    let silent = Instant::now();
    let _again = stage.slot().await;
    let took = silent.elapsed();
    assert!(took >= PING * 3 && took < PING * 3 + SECOND, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_agentd_forgot_is_registered_anew_and_the_slots_follow_without_a_rush() {
    let mut stage = Stage::with(8).await;
    for _ in 0..8 {
        stage.slot().await;
    }
    // As an agentd that restarted with an empty store: it ended every slot, and knows nobody.
    stage.relay.know("lease-2");
    let catalog = stage.instance.catalog.clone();
    stage.registry.will([
        Answer::Fail(Status::not_found("LEASE_UNKNOWN")),
        Answer::Register(wire_lease(&catalog, "lease-2")),
    ]);
    for _ in 0..8 {
        assert_eq!(stage.slot().await.lease, "lease-2");
    }
    let asked = stage.registry.asked();
    let took = asked[2].0 - asked[1].0;
    assert!(matches!(asked[1].1, Asked::Renew(_)) && took <= Duration::from_secs(6), "{asked:?}");
    let tries = stage.relay.asked.load(Ordering::SeqCst);
    assert!(tries <= 8 * 3 + 8 * 8, "{tries} slots were asked for");
}

fn wire_lease(catalog: &crate::wire::PluginCatalog, lease: &str) -> crate::wire::RegisterResponse {
    crate::wire::RegisterResponse { lease_id: lease.to_owned(), ..accepting(catalog) }
}

#[tokio::test(start_paused = true)]
async fn slots_of_an_old_lease_are_given_back_and_opened_for_the_new_one() {
    let mut stage = Stage::with(2).await;
    let (mut first, mut second) = (stage.slot().await, stage.slot().await);
    stage.relay.know("lease-2");
    let catalog = stage.instance.catalog.clone();
    stage.registry.will([
        Answer::Direct(crate::wire::InstanceDirective::Reregister),
        Answer::Register(wire_lease(&catalog, "lease-2")),
    ]);
    for slot in [&mut first, &mut second] {
        assert!(matches!(slot.heard().await, Ok(Some(Up::Released(_)))));
    }
    // A call that crosses the return belongs to a lease of the past, though nothing drains.
    second.call(say("x")).await;
    let updates = second.updates().await.unwrap();
    let Update::Failure(failure) = last(&updates) else { panic!("{updates:?}") };
    assert_eq!((&*failure.reason, failure.effects()), ("DRAINING", EffectState::None));
    drop(first);
    for _ in 0..2 {
        assert_eq!(stage.slot().await.lease, "lease-2");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_drains_gives_idle_slots_back_and_never_resets_one() {
    let mut stage = Stage::with(2).await;
    let (mut idle, busy) = (stage.slot().await, stage.slot().await);
    busy.call(call(&Act::Wait)).await;
    while stage.puppet.begun.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    stage.instance.draining.cancel();
    assert!(matches!(idle.heard().await, Ok(Some(Up::Released(_)))));
    // Nothing more from its side: it waits for agentd to end the slot.
    assert!(tokio::time::timeout(SECOND, idle.heard()).await.is_err());
    drop(idle);
    stage.puppet.gate.add_permits(1);
    let updates = busy.updates().await.unwrap();
    assert!(matches!(last(&updates), Update::Result(_)), "{updates:?}");
    assert!(stage.slots.await.unwrap().is_ok());
    assert_eq!(stage.relay.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_crosses_the_return_of_its_slot_is_refused_without_effect() {
    let mut stage = Stage::with(1).await;
    let mut slot = stage.slot().await;
    stage.instance.draining.cancel();
    assert!(matches!(slot.heard().await, Ok(Some(Up::Released(_)))));
    slot.call(say("x")).await;
    let updates = slot.updates().await.unwrap();
    let Update::Failure(failure) = last(&updates) else { panic!("{updates:?}") };
    assert_eq!((&*failure.reason, failure.code), ("DRAINING", 14));
    assert_eq!((failure.effects(), updates.len()), (EffectState::None, 1));
    assert!(stage.slots.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_agentd_without_a_relay_is_told_and_ends_the_plugin() {
    let registry = Registry::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agentd_url = format!("http://{}", listener.local_addr().unwrap());
    let agentd = tonic::transport::Server::builder().add_service(registry.service());
    tokio::spawn(agentd.serve_with_incoming(TcpIncoming::from(listener)));
    let plugin = Plugin::new("theatre", "1.0.0").tool(Puppet::new());
    let options = Options { agentd_url, mode: Mode::Relay, ..Options::default() };
    let ended = plugin.serve(options, std::future::pending()).await;
    let said = ended.expect_err("there is no relay").to_string();
    assert!(said.contains("no relay") && said.contains("PLUGIN_MODE=direct"), "{said}");
    let asked = registry.asked();
    assert!(matches!(asked.last(), Some((_, Asked::Deregister(_)))), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_refuses_is_tried_on_with_growing_pauses() {
    let mut stage = Stage::with(1).await;
    let slot = stage.slot().await;
    stage.relay.refuse(Some(Status::unavailable("not yet")));
    drop(slot);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let tries = stage.relay.asked.load(Ordering::SeqCst);
    // With full jitter the pauses are 0 to 5 s.
    assert!(tries > 8 && tries < 100, "{tries}");
    stage.relay.refuse(None);
    stage.slot().await;
}

#[tokio::test]
async fn in_relay_mode_no_port_is_opened_and_the_slots_are_given_back_before_the_goodbye() {
    let (registry, puppet) = (Registry::new(), Puppet::new());
    let (relay, mut opened) = Relay::knowing("lease");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = listener.local_addr().unwrap();
    let agentd = tonic::transport::Server::builder()
        .add_service(registry.service())
        .add_service(relay.service());
    tokio::spawn(agentd.serve_with_incoming(TcpIncoming::from(listener)));
    let (stop, stopped) = oneshot::channel::<()>();
    let plugin = Plugin::new("theatre", "1.0.0").tool(puppet);
    // Listening there would fail: the address is taken.
    let options = Options {
        agentd_url: format!("http://{taken}"),
        mode: Mode::Relay,
        slots: 2,
        listen: taken,
        ..Options::default()
    };
    let served = tokio::spawn(plugin.serve(options, async {
        let _ = stopped.await;
    }));
    let mut slots = [opened.recv().await.unwrap(), opened.recv().await.unwrap()];
    stop.send(()).unwrap();
    for slot in &mut slots {
        assert!(matches!(slot.heard().await, Ok(Some(Up::Released(_)))));
    }
    let (_, asked) = registry.nth(2).await;
    assert!(matches!(asked, Asked::Renew(_)), "{asked:?}");
    assert_eq!(registry.asked().len(), 2);
    drop(slots);
    let (_, asked) = registry.nth(3).await;
    assert!(matches!(asked, Asked::Deregister(_)), "{asked:?}");
    assert!(served.await.unwrap().is_ok());
}
