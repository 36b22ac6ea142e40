//! Plugins that die, hang, lie, babble and flood: the run ends in time, the gap is named, the
//! other tools are not harmed.

use std::time::{Duration, Instant};

use agent_proto::v1::event::Payload;
use agent_tests::{
    client::decoded,
    fleet::{BUNDLED, Fleet},
    staged::Staged,
    told::{in_short, is_true, report},
    wait::wait_until,
};

use crate::LONG;

/// A bound on one investigation that is far below the patience of the test.
const BOUNDED: &str = "[investigation]\nmax_duration = \"30s\"\n";

#[tokio::test]
async fn a_tool_that_misbehaves_becomes_a_gap_and_harms_no_other() {
    for mode in ["hang", "silent", "noise", "nonsense", "flood", "empty"] {
        let staged = Staged::bundled().unwrap();
        let mut fleet = Fleet::with(staged.path(), &BUNDLED, BOUNDED).await.unwrap();
        fleet.start_hostile("stranger", "hostile_plugin", &["stranger", mode]).unwrap();
        fleet.ready(&["stranger"]).await.unwrap();
        let mut client = fleet.client().unwrap();
        let begun = Instant::now();
        let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(45), "{mode}: took {:?}", begun.elapsed());
        let told = report(&found);
        assert!(is_true(told, &staged.scenario), "{mode}: {}", in_short(told));
        let gaps: Vec<_> =
            told.gaps.iter().filter(|gap| gap.subject.contains("stranger.look")).collect();
        assert_eq!(gaps.len(), 1, "{mode}: {}", in_short(told));
        let failure = gaps[0].failure.clone().expect("a gap says why");
        assert!(!failure.reason.is_empty() && !failure.message.is_empty(), "{mode}: {failure:?}");
        assert_eq!(told.gaps.len(), 1, "{mode}: others are harmed: {}", in_short(told));
        // And again: nothing was left in a bad state.
        let again = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
        assert!(is_true(report(&again), &staged.scenario), "{mode}: {}", in_short(report(&again)));
    }
}

#[tokio::test]
async fn words_of_a_tool_are_data_and_no_instructions() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, BOUNDED).await.unwrap();
    fleet.start_hostile("stranger", "hostile_plugin", &["stranger", "lies"]).unwrap();
    fleet.ready(&["stranger"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    assert!(is_true(report(&found), &staged.scenario), "{}", in_short(report(&found)));
    // The stream can still be printed by anybody: numbers are numbers, signals are words.
    for event in decoded(&client.events(&found.name, 0).await.unwrap()).unwrap() {
        let Some(Payload::ToolCallFinished(call)) = event.payload else { continue };
        for observation in &call.observations {
            assert!(observation.count >= 0, "{observation:?}");
            assert!(observation.value.is_none_or(f64::is_finite), "{observation:?}");
            assert!(!observation.signal.contains([' ', ';']), "{observation:?}");
        }
    }
}

#[tokio::test]
async fn a_plugin_killed_in_mid_call_becomes_a_gap() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::with(staged.path(), &BUNDLED, BOUNDED).await.unwrap();
    fleet.start_hostile("stranger", "hostile_plugin", &["stranger", "hang-long"]).unwrap();
    fleet.ready(&["stranger"]).await.unwrap();
    let mut client = fleet.client().unwrap();
    let running = client.investigate(staged.scenario.alert(), Duration::ZERO).await.unwrap();
    let mut reader = client.clone();
    let request = agent_proto::v1::StreamEventsRequest {
        name: running.name.clone(),
        replay_only: true,
        ..Default::default()
    };
    wait_until("a call to the stranger", LONG, async || {
        let events =
            reader.stream(request.clone()).await.map_err(|refusal| format!("{refusal:?}"))?;
        let sent = decoded(&events).unwrap().into_iter().any(|event| match event.payload {
            Some(Payload::ToolCallStarted(call)) => {
                call.tool.is_some_and(|t| t.plugin == "stranger")
            }
            _ => false,
        });
        if sent { Ok(()) } else { Err(format!("{} events", events.len())) }
    })
    .await
    .unwrap();
    fleet.kill_plugin("stranger").unwrap();
    let ended = wait_until("the end", Duration::from_secs(20), async || {
        let now = client.get(&running.name).await.map_err(|refusal| format!("{refusal:?}"))?;
        if now.end_time.is_some() { Ok(now) } else { Err(format!("{:?}", now.state())) }
    });
    let ended = ended.await.unwrap();
    let told = report(&ended);
    assert!(is_true(told, &staged.scenario), "{}", in_short(told));
    let named = told.gaps.iter().any(|gap| gap.subject.contains("stranger.look"));
    assert!(named, "{}", in_short(told));
}
