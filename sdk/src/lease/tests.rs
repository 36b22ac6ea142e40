//! The life of a lease against a registry that answers as told, on a clock that stands still
//! while anything can be done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::sync::atomic::Ordering;

use agent_proto::tool::v1::{self as wire, ToolRef, ToolVerdict};
use tokio::task::JoinHandle;
use tonic_health::{
    pb::{HealthCheckRequest, health_check_response::ServingStatus, health_server::Health as _},
    server::HealthService,
};

use super::*;
use crate::{
    Plugin,
    fake::{Answer, Asked, Network, Puppet, RENEWAL, Registry, TTL, accepting},
};

struct Stage {
    registry: Registry,
    unready: crate::ToolReadiness,
    network: Network,
    readiness: Readiness,
    instance: Arc<Instance>,
}

impl Stage {
    async fn new() -> Self {
        let plugin = Plugin::new("theatre", "1.0.0").tool(Puppet::new());
        let unready = plugin.readiness();
        let registry = Registry::new();
        Self {
            network: Network::to(&registry),
            registry,
            unready,
            readiness: Readiness::new().await,
            instance: Arc::new(plugin.into_instance(8).unwrap()),
        }
    }

    fn keeper(&self) -> Keeper {
        let announcement = Announcement {
            agentd_url: "http://agentd.test".to_owned(),
            token: "registration-token".to_owned(),
            reach: Reach::Direct { endpoint: "127.0.0.1:7001".to_owned() },
        };
        let (instance, readiness) = (Arc::clone(&self.instance), self.readiness.clone());
        Keeper::new(instance, readiness, announcement, self.network.dial())
    }

    fn start(&self) -> JoinHandle<Result<(), Error>> {
        let mut keeper = self.keeper();
        tokio::spawn(async move { keeper.run().await })
    }

    async fn is_ready(&self) -> bool {
        let health = HealthService::from_health_reporter(self.readiness.reporter());
        let request = Request::new(HealthCheckRequest { service: String::new() });
        health.check(request).await.unwrap().into_inner().status() == ServingStatus::Serving
    }

    /// Lets everything happen that happens without time passing.
    async fn settle(&self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn registered(&self) {
        self.registry.nth(1).await;
        self.settle().await;
        assert!(self.is_ready().await);
    }
}

fn renewals(asked: &[(Instant, Asked)]) -> usize {
    asked.iter().filter(|(_, asked)| matches!(asked, Asked::Renew(_))).count()
}

#[tokio::test(start_paused = true)]
async fn it_announces_itself_and_is_ready_only_then() {
    let stage = Stage::new().await;
    assert!(!stage.is_ready().await);
    let _running = stage.start();
    let (_, asked) = stage.registry.nth(1).await;
    let Asked::Register(request, token) = asked else { panic!("{asked:?}") };
    assert_eq!(token, "Bearer registration-token");
    assert!(uuid::Uuid::parse_str(&request.instance_id).is_ok());
    assert_eq!(request.catalog.as_ref(), Some(&stage.instance.catalog));
    assert_eq!(request.max_concurrent_calls, 8);
    let Some(Transport::Direct(direct)) = request.transport else { panic!("not direct") };
    assert_eq!(direct.endpoint, "127.0.0.1:7001");
    assert_eq!(direct.caller_token, stage.instance.caller_token);
    stage.settle().await;
    assert!(stage.is_ready().await);
}

#[tokio::test(start_paused = true)]
async fn it_renews_at_the_pace_it_was_given() {
    let stage = Stage::new().await;
    let _running = stage.start();
    let (mut last, _) = stage.registry.nth(1).await;
    for n in 2..=8 {
        let (at, asked) = stage.registry.nth(n).await;
        let Asked::Renew(request) = asked else { panic!("{asked:?}") };
        assert_eq!(
            (request.lease_id.as_str(), request.catalog_digest.as_str()),
            ("lease", "sha256:catalog")
        );
        assert_eq!(request.state(), InstanceState::Ready);
        assert_eq!((at - last).as_secs(), RENEWAL.as_secs());
        last = at;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_lease_is_registered_again_soon_and_as_the_same_instance() {
    let stage = Stage::new().await;
    let _running = stage.start();
    stage.registered().await;
    stage.registry.will([Answer::Fail(Status::not_found("LEASE_UNKNOWN"))]);
    let (lost, _) = stage.registry.nth(2).await;
    let (again, asked) = stage.registry.nth(3).await;
    let Asked::Register(request, _) = asked else { panic!("{asked:?}") };
    assert_eq!(request.instance_id, stage.instance.id);
    assert!(again - lost <= RENEWAL / 2 + Duration::from_millis(10), "{:?}", again - lost);
    stage.settle().await;
    assert!(stage.is_ready().await);
}

#[tokio::test(start_paused = true)]
async fn directives_are_followed() {
    let stage = Stage::new().await;
    let running = stage.start();
    stage.registered().await;
    stage.registry.will([Answer::Direct(InstanceDirective::Reregister)]);
    let (_, asked) = stage.registry.nth(3).await;
    assert!(matches!(asked, Asked::Register(..)), "{asked:?}");
    stage.registry.will([Answer::Direct(InstanceDirective::Stop)]);
    assert!(running.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_agentd_that_is_away_is_tried_on_with_growing_pauses_and_new_connections() {
    let stage = Stage::new().await;
    let away = || Answer::Fail(Status::unavailable("not yet"));
    stage.registry.will((0..6).map(|_| away()));
    let _running = stage.start();
    stage.registry.nth(7).await;
    stage.settle().await;
    assert!(stage.is_ready().await);
    let asked = stage.registry.asked();
    for (pair, ceiling) in asked.windows(2).zip([200, 400, 800, 1600, 3200, 5000]) {
        let pause = pair[1].0 - pair[0].0;
        assert!(pause >= Duration::from_millis(20), "{pause:?}");
        assert!(pause <= Duration::from_millis(ceiling + 10), "{pause:?} > {ceiling} ms");
    }
    assert_eq!(stage.network.dials.load(Ordering::SeqCst), 1 + 3);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_cannot_be_renewed_ends_by_its_own_clock_and_is_taken_anew() {
    let stage = Stage::new().await;
    let _running = stage.start();
    let (granted, _) = stage.registry.nth(1).await;
    stage.settle().await;
    stage.registry.will((0..200).map(|_| Answer::Fail(Status::unavailable("restarting"))));
    tokio::time::sleep_until(granted + TTL - Duration::from_millis(100)).await;
    assert!(stage.is_ready().await);
    tokio::time::sleep_until(granted + TTL + Duration::from_millis(100)).await;
    assert!(!stage.is_ready().await);
    stage.registry.forget_answers();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(stage.is_ready().await);
    let asked = stage.registry.asked();
    assert!(renewals(&asked) >= 3);
    assert!(matches!(asked[asked.len() - 1].1, Asked::Register(..) | Asked::Renew(_)));
}

#[tokio::test(start_paused = true)]
async fn an_agentd_that_was_replaced_on_the_same_address_gets_the_plugin_back_within_a_lease() {
    let stage = Stage::new().await;
    let _running = stage.start();
    let (granted, _) = stage.registry.nth(1).await;
    stage.settle().await;
    stage.network.is_up.store(false, Ordering::SeqCst);
    stage.registry.will((0..1).map(|_| Answer::Fail(Status::unavailable("gone"))));
    tokio::time::sleep_until(granted + RENEWAL + Duration::from_secs(3)).await;
    stage.registry.will([Answer::Fail(Status::not_found("LEASE_UNKNOWN"))]);
    stage.network.is_up.store(true, Ordering::SeqCst);
    tokio::time::sleep(TTL).await;
    assert!(stage.is_ready().await);
    let registered = stage.registry.asked();
    let again =
        registered.iter().skip(1).find(|(_, a)| matches!(a, Asked::Register(..))).unwrap().0;
    assert!(again - granted < RENEWAL + TTL, "{:?}", again - granted);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_hangs_does_not_keep_a_dead_lease_alive() {
    let stage = Stage::new().await;
    let _running = stage.start();
    let (granted, _) = stage.registry.nth(1).await;
    stage.settle().await;
    stage.registry.will((0..9).map(|_| Answer::Hang));
    tokio::time::sleep_until(granted + TTL + Duration::from_millis(10)).await;
    assert!(!stage.is_ready().await);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_slept_through_its_lease_registers_before_it_renews() {
    let stage = Stage::new().await;
    let _running = stage.start();
    stage.registered().await;
    // As SIGSTOP and SIGCONT do: time passes and nothing runs.
    tokio::time::advance(TTL * 2).await;
    let (_, asked) = stage.registry.nth(2).await;
    assert!(matches!(asked, Asked::Register(..)), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_trying_again_does_not_mend_stops_it_and_says_why() {
    for (status, remedy) in [
        (Status::permission_denied("NAMESPACE_NOT_ALLOWED"), "AGENTD_PLUGIN_TOKEN"),
        (Status::unauthenticated("who are you"), "AGENTD_PLUGIN_TOKEN"),
        (Status::failed_precondition("speaks revisions 3-3, agentd 1-2"), "revision"),
        (Status::invalid_argument("plugin: too long"), "mend"),
    ] {
        let stage = Stage::new().await;
        stage.registry.will([Answer::Fail(status.clone())]);
        let error = stage.start().await.unwrap().expect_err("refused");
        let said = error.to_string();
        assert!(said.contains(status.message()) && said.contains(remedy), "{said}");
        assert!(!said.contains("registration-token"));
        assert_eq!(stage.registry.asked().len(), 1);
    }
}

fn rejecting(tool: &str) -> ToolVerdict {
    ToolVerdict {
        tool: Some(ToolRef { tool: tool.to_owned(), ..ToolRef::default() }),
        rejection: Some(wire::Failure {
            reason: "BAD_SCHEMA".to_owned(),
            message: format!("tool {tool} was refused: name: too long"),
            violations: [("name", "too long"), ("input_schema_json", "remote $ref")]
                .map(|(field, description)| wire::FieldViolation {
                    field: field.to_owned(),
                    description: description.to_owned(),
                    reason: String::new(),
                })
                .into(),
            ..wire::Failure::default()
        }),
        ..ToolVerdict::default()
    }
}

#[tokio::test(start_paused = true)]
async fn one_rejected_tool_does_not_sink_the_others() {
    let stage = Stage::new().await;
    let mut response = accepting(&stage.instance.catalog);
    response.verdicts.push(rejecting("other"));
    stage.registry.will([Answer::Register(response)]);
    let _running = stage.start();
    stage.registered().await;
}

#[tokio::test(start_paused = true)]
async fn a_plugin_without_an_accepted_tool_stops_with_every_violation() {
    let stage = Stage::new().await;
    let mut response = accepting(&stage.instance.catalog);
    response.verdicts = vec![rejecting("puppet")];
    stage.registry.will([Answer::Register(response.clone())]);
    let said = stage.start().await.unwrap().expect_err("nothing left").to_string();
    assert!(said.contains("puppet") && said.contains("input_schema_json: remote $ref"), "{said}");
    assert_eq!(said.matches("too long").count(), 1, "said twice: {said}");

    // The lease it was given all the same is given back.
    stage.registry.will([Answer::Register(response)]);
    let mut keeper = stage.keeper();
    keeper.run().await.expect_err("nothing left");
    keeper.leave("the plugin stops").await;
    assert!(matches!(stage.registry.asked().pop(), Some((_, Asked::Deregister(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_revision_it_does_not_speak_stops_it() {
    let stage = Stage::new().await;
    let response = RegisterResponse { protocol: 2, ..accepting(&stage.instance.catalog) };
    stage.registry.will([Answer::Register(response)]);
    let said = stage.start().await.unwrap().expect_err("refused").to_string();
    assert!(said.contains("revision 2"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_drains_first_and_ends_the_lease() {
    let stage = Stage::new().await;
    let mut keeper = stage.keeper();
    tokio::select! {
        ended = keeper.run() => panic!("{ended:?}"),
        () = stage.registered() => {}
    }
    keeper.announce_drain().await;
    keeper.leave("the plugin stops").await;
    keeper.leave("twice").await;
    let asked = stage.registry.asked();
    assert_eq!(asked.len(), 3);
    assert!(matches!(&asked[1].1, Asked::Renew(r) if r.state() == InstanceState::Draining));
    assert!(matches!(&asked[2].1, Asked::Deregister(r) if r.lease_id == "lease"));
}

#[tokio::test(start_paused = true)]
async fn who_stops_while_it_registers_gives_back_the_lease_it_is_about_to_get() {
    let stage = Stage::new().await;
    let mut keeper = stage.keeper();
    stage.registry.will([Answer::Late(GOODBYE / 2)]);
    tokio::select! {
        ended = keeper.run() => panic!("{ended:?}"),
        _ = stage.registry.nth(1) => {}
    }
    keeper.announce_drain().await;
    keeper.leave("the plugin stops").await;
    let asked = stage.registry.asked();
    assert!(matches!(&asked[1].1, Asked::Renew(r) if r.state() == InstanceState::Draining));
    assert!(matches!(&asked[2].1, Asked::Deregister(r) if r.lease_id == "lease"), "{asked:?}");

    // An agentd that never answers does not hold up the end for long.
    let mut keeper = stage.keeper();
    stage.registry.will([Answer::Hang]);
    tokio::select! {
        ended = keeper.run() => panic!("{ended:?}"),
        _ = stage.registry.nth(4) => {}
    }
    let began = Instant::now();
    keeper.announce_drain().await;
    keeper.leave("the plugin stops").await;
    assert_eq!(began.elapsed(), GOODBYE);
    assert_eq!(stage.registry.asked().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn tools_that_are_out_of_order_are_told_at_once_and_so_is_their_return() {
    let stage = Stage::new().await;
    let _running = stage.start();
    stage.registered().await;
    let told = async |nth: usize| {
        let (at, asked) = stage.registry.nth(nth).await;
        let Asked::Renew(request) = asked else { panic!("{asked:?}") };
        (at, request.state(), request.unready_tools)
    };
    let began = Instant::now();
    stage.unready.tool_unready("other", "not ours, and told all the same");
    stage.unready.tool_unready("puppet", "the strings are torn");
    let (at, state, tools) = told(2).await;
    assert!(at - began < Duration::from_secs(1), "{:?}", at - began);
    // No tool is left.
    assert_eq!((state, tools.join(" ")), (InstanceState::Unready, "other puppet".to_owned()));
    stage.unready.tool_ready("puppet");
    let (_, state, tools) = told(3).await;
    assert_eq!((state, tools.join(" ")), (InstanceState::Ready, "other".to_owned()));
    stage.unready.unready("the backend is down");
    assert_eq!(told(4).await.1, InstanceState::Unready);
    stage.unready.all_ready();
    let (_, state, tools) = told(5).await;
    assert_eq!((state, tools.len()), (InstanceState::Ready, 0));
    // Nothing new, nothing told before it is due.
    let (last, _) = stage.registry.nth(5).await;
    stage.unready.all_ready();
    assert_eq!((told(6).await.0 - last).as_secs(), RENEWAL.as_secs());
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_order_is_told_again_with_a_new_lease() {
    let stage = Stage::new().await;
    stage.unready.tool_unready("puppet", "the strings are torn");
    let _running = stage.start();
    for round in 0..2 {
        let (_, asked) = stage.registry.nth(1 + round * 3).await;
        assert!(matches!(asked, Asked::Register(..)), "{asked:?}");
        let (_, asked) = stage.registry.nth(2 + round * 3).await;
        assert!(matches!(&asked, Asked::Renew(r) if r.unready_tools == ["puppet"]), "{asked:?}");
        stage.registry.will([Answer::Fail(Status::not_found("LEASE_UNKNOWN"))]);
    }
}
