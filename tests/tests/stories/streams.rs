//! Streams of events: from any place, byte for byte, to the last event.

use agent_proto::v1::{StreamEventsRequest, event::Payload};
use agent_tests::{client::decoded, fleet::Fleet, staged::Staged};
use tonic::Code;

use crate::LONG;

#[tokio::test]
async fn a_stream_from_any_place_gives_exactly_the_events_after_it() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    // Followed while it runs: what was seen live is what is replayed later.
    let running =
        client.investigate(staged.scenario.alert(), std::time::Duration::ZERO).await.unwrap();
    let live = client.events(&running.name, 0).await.unwrap();
    let events = decoded(&live).unwrap();
    for (event, number) in events.iter().zip(1..) {
        assert_eq!(event.sequence, number, "numbers have holes");
        assert_eq!(event.investigation, running.name);
        assert!(!event.summary.is_empty(), "event {number} has no summary");
    }
    let Some(Payload::Finished(_)) = &events.last().unwrap().payload else {
        panic!("the last event is {:?}", events.last())
    };
    assert!(live.len() > 10, "only {} events", live.len());
    for killed in [false, true] {
        if killed {
            fleet.kill_daemon().unwrap();
            fleet.start_daemon().await.unwrap();
        }
        let mut client = fleet.client().unwrap();
        for after in 0..=live.len() {
            let place = i32::try_from(after).unwrap();
            let replayed = client.events(&running.name, place).await.unwrap();
            assert!(replayed == live[after..], "killed {killed}: the events after {after}");
        }
        let newest = i32::try_from(live.len()).unwrap();
        for beyond in [1, 5] {
            let refusal = client.events(&running.name, newest + beyond).await.unwrap_err();
            assert_eq!(refusal.code, Code::OutOfRange, "{refusal:?}");
            assert_eq!(refusal.metadata.get("oldest").map(String::as_str), Some("1"));
            assert_eq!(refusal.metadata.get("newest"), Some(&newest.to_string()), "{refusal:?}");
        }
    }
}

#[tokio::test]
async fn a_filtered_stream_keeps_the_numbers_and_the_last_event() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let request = |kinds: &[&str]| StreamEventsRequest {
        name: found.name.clone(),
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..Default::default()
    };
    let some = decoded(&client.stream(request(&["plan_updated"])).await.unwrap()).unwrap();
    let (last, plans) = some.split_last().unwrap();
    assert!(matches!(last.payload, Some(Payload::Finished(_))), "{last:?}");
    assert!(!plans.is_empty());
    assert!(plans.iter().all(|event| matches!(event.payload, Some(Payload::PlanUpdated(_)))));
    let refusal = client.stream(request(&["plan_updatet"])).await.unwrap_err();
    assert_eq!((refusal.code, refusal.fields), (Code::InvalidArgument, vec!["kinds".to_owned()]));
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_is_alive() {
    let mut fleet = Fleet::start("").await.unwrap();
    fleet.start_hostile("sleeper", "hostile_plugin", &["sleeper", "hang-long"]).unwrap();
    fleet.ready(&["sleeper"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let alert = agent_proto::v1::Alert { service: "some-service".to_owned(), ..Default::default() };
    let running = client.investigate(alert, std::time::Duration::ZERO).await.unwrap();
    let request = StreamEventsRequest { name: running.name, ..Default::default() };
    let mut stream = client.agent.stream_events(request).await.unwrap().into_inner();
    let alive = tokio::time::timeout(std::time::Duration::from_secs(40), async {
        let mut newest = 0;
        loop {
            let item = stream.message().await.unwrap().unwrap();
            match item.decode_event().unwrap() {
                Some(event) => newest = event.sequence,
                None => break (item, newest),
            }
        }
    });
    let (item, newest) = alive.await.expect("no sign of life within 40 s");
    let Some(agent_proto::v1::stream_events_response::Item::KeepAlive(alive)) = item.item else {
        panic!("{item:?}")
    };
    assert_eq!(alive.last_sequence, newest);
}
