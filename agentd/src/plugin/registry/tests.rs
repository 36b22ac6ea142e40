//! Leases, replicas, verdicts over time. The clock is paused; nothing listens, so readiness is
//! given by hand where it is needed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use agent_proto::tool::v1 as pb;
use tokio::time::advance;

mod noise;
mod strangers;

use super::*;
use crate::{
    plugin::{
        fake::{announcement, descriptor},
        news::Kind,
        wire,
    },
    tool::FailureClass,
};

fn registry() -> Registry {
    Registry::new(Config::default())
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:1".parse().unwrap()
}

fn request() -> pb::RegisterRequest {
    announcement(nowhere(), vec![descriptor("look")])
}

impl Registry {
    async fn enter_ready(&self, request: pb::RegisterRequest) -> pb::RegisterResponse {
        let answer = self.register(request, &Caller::default()).await.unwrap();
        self.all_serve();
        answer
    }

    /// As if all had answered that they serve.
    pub(crate) fn all_serve(&self) {
        let state = self.shared.state.lock().unwrap();
        state.instances().for_each(|instance| instance.serves());
    }

    fn signs(&self, lease: &pb::RegisterResponse) -> Result<pb::RenewResponse, Error> {
        self.renew(&pb::RenewRequest {
            lease_id: lease.lease_id.clone(),
            catalog_digest: lease.catalog_digest.clone(),
            ..Default::default()
        })
    }

    fn leaves(&self, lease: &pb::RegisterResponse) {
        let lease_id = lease.lease_id.clone();
        let _ = self.deregister(&pb::DeregisterRequest { lease_id, reason: String::new() });
    }

    fn instances(&self) -> Vec<(Readiness, bool)> {
        let plugins = self.plugins();
        let all = plugins.into_iter().flat_map(|plugin| plugin.instances);
        all.map(|one| (one.readiness, matches!(one.lease, Lease::Left(_)))).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_lasts_as_long_as_it_is_renewed_and_is_shown_expired_for_one_more() {
    let registry = registry();
    let lease = registry.enter_ready(request()).await;
    assert_eq!(lease.lease_id.len(), 32);
    let interval = wire::duration_from(lease.renew_interval.as_ref()).unwrap();
    assert!((8.0..=12.0).contains(&interval.as_secs_f64()), "{interval:?}");
    for _ in 0..5 {
        advance(Duration::from_secs(20)).await;
        assert_eq!(registry.signs(&lease).unwrap().directive(), pb::InstanceDirective::Continue);
        assert_eq!(registry.specs().len(), 1);
    }
    advance(Duration::from_secs(30)).await;
    assert!(registry.specs().is_empty(), "an expired instance gets no calls");
    assert_eq!(registry.instances(), [(Readiness::Unready, false)]);
    assert_eq!(registry.signs(&lease), Err(Error::LeaseUnknown));
    assert_eq!(registry.tools()[0].standing, Standing::Unavailable);
    advance(Duration::from_secs(30)).await;
    assert!(registry.plugins().is_empty() && registry.tools().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_came_in_one_moment_is_asked_for_signs_of_life_at_different_ones() {
    let registry = registry();
    let mut drawn = Vec::new();
    for _ in 0..100 {
        let lease = registry.enter_ready(request()).await;
        drawn.extend(wire::duration_from(lease.renew_interval.as_ref()));
        let renewed = registry.signs(&lease).unwrap();
        drawn.extend(wire::duration_from(renewed.renew_interval.as_ref()));
    }
    let (first, last) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
    assert!(first.as_secs_f64() < 9.0 && last.as_secs_f64() > 11.0, "{first:?} to {last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_late_goodbye_of_an_old_lease_hurts_nobody() {
    let registry = registry();
    let again = request();
    let old = registry.enter_ready(again.clone()).await;
    let new = registry.enter_ready(again).await;
    let other = registry.enter_ready(request()).await;
    assert_ne!(old.lease_id, new.lease_id);
    assert_eq!(registry.instances().len(), 2, "the same id replaces, another is a replica");
    for _ in 0..2 {
        registry.leaves(&old);
        assert_eq!(registry.tools()[0].ready_instances, 2);
    }
    assert_eq!(registry.signs(&old), Err(Error::LeaseUnknown));
    registry.leaves(&new);
    assert_eq!(registry.tools()[0].ready_instances, 1);
    registry.leaves(&other);
    assert!(registry.tools().is_empty(), "its stack goes with it");
    registry.leaves(&pb::RegisterResponse::default());
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_holds_another_catalog_is_asked_to_register_again() {
    let registry = registry();
    let mut lease = registry.enter_ready(request()).await;
    lease.catalog_digest = "sha256:other".to_owned();
    assert_eq!(registry.signs(&lease).unwrap().directive(), pb::InstanceDirective::Reregister);
}

#[tokio::test(start_paused = true)]
async fn an_instance_says_itself_whether_it_takes_calls() {
    let registry = registry();
    let two = vec![descriptor("look"), descriptor("listen")];
    let lease = registry.enter_ready(announcement(nowhere(), two)).await;
    let names = || -> Vec<String> {
        registry.specs().into_iter().map(|spec| spec.id.tool.clone()).collect()
    };
    let says = |state: i32, unready: &[&str]| {
        let request = pb::RenewRequest {
            lease_id: lease.lease_id.clone(),
            catalog_digest: lease.catalog_digest.clone(),
            state,
            unready_tools: unready.iter().map(|name| (*name).to_owned()).collect(),
            ..Default::default()
        };
        registry.renew(&request).unwrap();
    };
    for (state, unready, left) in [
        (0, &[][..], &["listen", "look"][..]),
        (1, &["look"], &["listen"]),
        (2, &[], &[]),
        (1, &[], &["listen", "look"]),
        (3, &[], &[]),
        (99, &[], &[]),
    ] {
        says(state, unready);
        assert_eq!(names(), left, "state {state}");
    }
}

#[tokio::test(start_paused = true)]
async fn before_its_health_answers_an_instance_takes_no_calls() {
    let registry = registry();
    registry.register(request(), &Caller::default()).await.unwrap();
    assert!(registry.specs().is_empty());
    assert_eq!(registry.instances(), [(Readiness::Unready, true)]);
    let probe = ["probe".to_owned()];
    let missing = registry.wait_ready(&probe, Instant::now()).await.unwrap_err();
    assert_eq!(missing, probe);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_plugin_are_told_when_it_is_ready() {
    let registry = registry();
    let waits = {
        let registry = registry.clone();
        let soon = Instant::now() + Duration::from_secs(5);
        tokio::spawn(async move { registry.wait_ready(&["probe".to_owned()], soon).await })
    };
    tokio::task::yield_now().await;
    registry.enter_ready(request()).await;
    assert_eq!(waits.await.unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn the_same_version_with_other_words_is_refused_while_the_first_lives() {
    let registry = registry();
    let first = registry.enter_ready(request()).await;
    let mut other = request();
    let tools = &mut other.catalog.as_mut().unwrap().tools;
    tools[0].description = "looks elsewhere".to_owned();
    tools.push(descriptor("listen"));
    let answer = registry.enter_ready(other.clone()).await;
    let accepted: Vec<bool> = answer.verdicts.iter().map(|verdict| verdict.accepted).collect();
    assert_eq!(accepted, [false, true]);
    let rejection = answer.verdicts[0].rejection.clone().unwrap();
    assert_eq!((rejection.reason.as_str(), rejection.code), ("DESCRIPTOR_MISMATCH", 6));
    assert!(rejection.message.contains("raise the tool's version"), "{}", rejection.message);

    registry.leaves(&first);
    let directive = registry.signs(&answer).unwrap().directive();
    assert_eq!(directive, pb::InstanceDirective::Reregister, "nobody holds the other any more");
    let answer = registry.enter_ready(other).await;
    assert!(answer.verdicts[0].quarantined, "the first is gone, and a person has a look");
    let config = Config { accept_changes: true, ..Config::default() };
    let dev = Registry::new(config);
    for request in [request(), changed("looks, says its author")] {
        assert!(dev.enter_ready(request).await.verdicts[0].accepted, "who writes it may change it");
    }
}

#[tokio::test(start_paused = true)]
async fn an_id_cannot_be_taken_over_by_another_plugin() {
    let registry = registry();
    let mine = request();
    let lease = registry.enter_ready(mine.clone()).await;
    let mut thief = mine;
    thief.catalog.as_mut().unwrap().plugin = "thief".to_owned();
    let refused = registry.register(thief, &Caller::default()).await.unwrap_err();
    assert!(matches!(refused, Error::InstanceTaken { .. }), "{refused}");
    assert!(registry.signs(&lease).is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_newest_version_that_is_not_deprecated_is_shown_and_all_stand_side_by_side() {
    let registry = registry();
    for (version, deprecation) in
        [("1.9.0", ""), ("1.10.0", ""), ("2.0.0", "use 1.10"), ("1.2.0", "")]
    {
        let tool = pb::ToolDescriptor {
            version: version.to_owned(),
            deprecation: deprecation.to_owned(),
            ..descriptor("look")
        };
        registry.enter_ready(announcement(nowhere(), vec![tool])).await;
    }
    let specs = registry.specs();
    assert_eq!(specs.len(), 1);
    assert_eq!(specs[0].id.version, "1.10.0");
    assert_eq!(registry.tools().len(), 4);
    assert_eq!(registry.tool("probe", "look", "1.2.0").unwrap().spec.id.version, "1.2.0");
    assert!(registry.tool("probe", "look", "3.0.0").is_none());
}

fn changed(text: &str) -> pb::RegisterRequest {
    let mut tool = descriptor("look");
    tool.description = text.to_owned();
    announcement(nowhere(), vec![tool])
}

fn kinds(registry: &Registry) -> Vec<Kind> {
    // Nothing listens where these instances say.
    let told = registry.news(0).unwrap().into_iter().map(|event| event.kind);
    told.filter(|kind| *kind != Kind::Unreachable).collect()
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_changes_under_its_version_waits_for_a_person_also_after_a_restart() {
    let journal = Journal::in_memory(crate::app::codec()).unwrap();
    let registry = Registry::open(Config::default(), journal.clone()).unwrap();
    let lease = registry.enter_ready(request()).await;
    let first = registry.specs()[0].id.clone();
    registry.leaves(&lease);

    let answer = registry.enter_ready(changed("looks, and more")).await;
    let verdict = &answer.verdicts[0];
    assert!(verdict.quarantined && !verdict.accepted && verdict.rejection.is_none());
    assert!(verdict.warnings.last().unwrap().contains("agentd tools accept probe.look sha256:"));
    assert!(registry.specs().is_empty(), "it is not called");
    let view = &registry.tools()[0];
    assert_eq!(
        (view.standing, view.obstacles[0].field.as_str()),
        (Standing::Quarantined, "digest")
    );
    let refused = registry.offered(&view.spec.id).unwrap_err();
    assert_eq!((refused.class, refused.reason.as_str()), (FailureClass::Permission, "QUARANTINED"));

    // A daemon that is started again has forgotten nothing.
    let again = Registry::open(Config::default(), journal.clone()).unwrap();
    let waiting = again.enter_ready(changed("looks, and more")).await;
    assert!(waiting.verdicts[0].quarantined);
    let digest = waiting.verdicts[0].tool.clone().unwrap().digest;
    let stale =
        again.decide(("probe", "look"), Decision::Activate { digest: first.digest.clone() + "0" });
    assert_eq!(stale.await.unwrap_err().reason(), "DIGEST_STALE");
    again.decide(("probe", "look"), Decision::Activate { digest }).await.unwrap();
    assert_eq!(again.specs().len(), 1);
    let third = Registry::open(Config::default(), journal).unwrap();
    assert!(third.enter_ready(changed("looks, and more")).await.verdicts[0].accepted);
    assert!(kinds(&again).ends_with(&[Kind::ToolQuarantined, Kind::Ready, Kind::ToolActivated]));
}

#[tokio::test(start_paused = true)]
async fn a_tool_is_switched_off_and_on_by_people_for_all_its_versions() {
    let registry = registry();
    registry.enter_ready(request()).await;
    let reason = "asks too much".to_owned();
    registry.decide(("probe", "look"), Decision::Disable { reason }).await.unwrap();
    assert!(registry.specs().is_empty());
    let view = registry.tool("probe", "look", "").unwrap();
    assert_eq!(view.standing, Standing::Disabled);
    assert!(view.obstacles[0].description.contains("asks too much"));
    let mut next = descriptor("look");
    next.version = "1.1.0".to_owned();
    registry.enter_ready(announcement(nowhere(), vec![next])).await;
    assert!(registry.specs().is_empty(), "a new version is no way around it");
    let on = Decision::Activate { digest: String::new() };
    registry.decide(("probe", "look"), on).await.unwrap();
    assert_eq!(registry.specs()[0].id.version, "1.1.0");
    let nobody = Decision::Activate { digest: String::new() };
    let unknown = registry.decide(("probe", "none"), nobody).await.unwrap_err();
    assert_eq!(unknown.reason(), "TOOL_UNKNOWN");
}

#[tokio::test(start_paused = true)]
async fn who_comes_and_goes_is_told_once_each() {
    let registry = registry();
    let again = request();
    let lease = registry.enter_ready(again.clone()).await;
    registry.enter_ready(again).await;
    registry.enter_ready(request()).await;
    assert_eq!(kinds(&registry), [Kind::Registered, Kind::Ready, Kind::Registered, Kind::Ready]);
    registry.leaves(&lease);
    advance(Duration::from_secs(31)).await;
    assert_eq!(kinds(&registry).split_off(4), [Kind::Expired, Kind::Expired]);
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_registers_without_end_is_slowed_down_and_replicas_are_bounded() {
    let registry = registry();
    let again = request();
    let mut refused = 0;
    for _ in 0..400 {
        match registry.register(again.clone(), &Caller::default()).await {
            Ok(_) => {}
            Err(Error::TooOften { wait, .. }) => {
                assert!(wait <= Duration::from_millis(200), "{wait:?}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 99, "a burst of 301 is let in");
    let mut others = (0, 0);
    for _ in 0..300 {
        advance(Duration::from_millis(200)).await;
        let _ =
            registry.signs(&registry.register(again.clone(), &Caller::default()).await.unwrap());
        match registry.register(request(), &Caller::default()).await {
            Ok(_) => others.0 += 1,
            Err(_) => others.1 += 1,
        }
    }
    assert!(others.0 <= 255 && others.1 > 0, "{others:?}");
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_stops_lets_nobody_in_and_ends_idle_slots() {
    let registry = registry();
    let mut relayed = request();
    let relay = pb::register_request::Transport::Relay(pb::RelayTransport { slots: 2 });
    relayed.transport = Some(relay);
    let lease = registry.register(relayed, &Caller::default()).await.unwrap();
    assert!(registry.specs().is_empty(), "no slot is open yet");
    let (slot, [_, stopping]) = registry.open_slot(&lease.lease_id).unwrap();
    assert_eq!(registry.specs().len(), 1);
    assert!(matches!(registry.open_slot("other"), Err(Error::LeaseUnknown)));
    registry.stop();
    assert!(stopping.is_cancelled());
    assert_eq!(registry.signs(&lease).unwrap_err(), Error::Stopping);
    assert_eq!(
        registry.register(request(), &Caller::default()).await.unwrap_err(),
        Error::Stopping
    );
    drop(slot);
    assert!(registry.specs().is_empty(), "without a slot it cannot be called");
}
