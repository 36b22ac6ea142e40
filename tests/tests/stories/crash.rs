//! kill -9 of the daemon: what was acknowledged is there afterwards, as it was.

use std::{collections::BTreeMap, time::Duration};

use agent_proto::v1::{Alert, EndReason, InvestigateRequest, InvestigationState, event::Payload};
use agent_tests::{
    client::decoded,
    fleet::{BUNDLED, Fleet, SHORT_LEASES},
    seed::Seed,
    staged::Staged,
    told::report,
};
use prost::bytes::Bytes;

use crate::LONG;

/// Times the daemon is killed.
const ROUNDS: u64 = 6;

#[tokio::test]
async fn a_killed_daemon_comes_back_with_all_that_it_had_acknowledged() {
    let staged = Staged::bundled().unwrap();
    // The stranger's calls never end, which keeps an investigation of its alert running.
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, SHORT_LEASES).await.unwrap();
    fleet.start_hostile("sleeper", "hostile_plugin", &["sleeper", "hang-on-request"]).unwrap();
    fleet.ready(&["sleeper"]).await.unwrap();
    let mut finished: BTreeMap<String, Vec<Bytes>> = BTreeMap::new();
    let mut seed = Seed::new(20);
    let stuck =
        Alert { r#type: "stuck".to_owned(), service: "none".to_owned(), ..Default::default() };
    for round in 0..ROUNDS {
        let mut client = fleet.client().unwrap();
        let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        let memory = report(&found).memory.clone().unwrap_or_default();
        assert_eq!(memory.similar.is_empty(), round == 0, "round {round}: episodes are not there");
        finished.insert(found.name.clone(), client.events(&found.name, 0).await.unwrap());
        let begun = client.investigate(stuck.clone(), Duration::from_millis(300)).await.unwrap();
        assert_eq!(begun.state(), InvestigationState::Running, "round {round}");
        // One more whose acknowledgement is all that is known of it, at a random moment.
        let asked = InvestigateRequest {
            alert: Some(staged.scenario.alert()),
            wait: Some(prost_types::Duration {
                seconds: 0,
                nanos: i32::try_from(seed.below(400_000_000)).unwrap(),
            }),
            ..Default::default()
        };
        let acknowledged = client.ask(asked).await.unwrap();
        fleet.kill_daemon().unwrap();
        fleet.start_daemon().await.unwrap();
        let mut client = fleet.client().unwrap();
        for (name, before) in &finished {
            let after = client.events(name, 0).await.unwrap();
            assert!(after == *before, "round {round}: {name} is told otherwise");
        }
        let closed = client.get(&begun.name).await.unwrap();
        assert_eq!(closed.state(), InvestigationState::Partial, "round {round}");
        assert_eq!(report(&closed).ended_by(), EndReason::DaemonRestarted, "round {round}");
        for name in [&begun.name, &acknowledged.name] {
            let events = client.events(name, 0).await.unwrap();
            let told = decoded(&events).unwrap();
            let numbers: Vec<i32> = told.iter().map(|event| event.sequence).collect();
            let expected: Vec<i32> = (1..).take(numbers.len()).collect();
            assert_eq!(numbers, expected, "round {round}: {name} has holes");
            assert!(matches!(told.last().unwrap().payload, Some(Payload::Finished(_))));
            let before = [&begun, &acknowledged].into_iter().find(|i| i.name == *name).unwrap();
            assert!(
                told.len() >= usize::try_from(before.last_sequence).unwrap(),
                "round {round}: {} events of {} acknowledged ones",
                told.len(),
                before.last_sequence
            );
            finished.insert(name.clone(), events);
        }
        let mut all = BUNDLED.to_vec();
        all.push("sleeper");
        fleet.ready(&all).await.unwrap();
    }
}
