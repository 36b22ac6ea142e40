//! Leases, replicas, verdicts over time. The clock is paused; nothing listens, so readiness is
//! given by hand where it is needed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use tokio::time::advance;

use super::*;
use crate::plugin::fake::{announcement, descriptor};

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
        let state = self.shared.state.lock().unwrap();
        state.instances().for_each(|instance| instance.serves());
        drop(state);
        answer
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
    let answer = registry.enter_ready(other).await;
    assert!(answer.verdicts.iter().all(|verdict| verdict.accepted), "the first is gone");
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
