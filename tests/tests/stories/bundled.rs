//! The bundled incident through four plugin processes: the answer is the true one, it comes with
//! its evidence, and no secret of the recording is told by anybody.

use std::{fs, path::Path, time::Instant};

use agent_proto::v1::{Verdict, event::Payload};
use agent_tests::{
    client::decoded,
    fleet::Fleet,
    staged::Staged,
    told::{in_short, is_true, report},
    wait::wait_until,
};
use prost::Message as _;

use crate::LONG;

#[tokio::test]
async fn an_alert_goes_in_and_the_true_cause_comes_out_with_its_evidence() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let found = fleet.client().unwrap().investigate(staged.scenario.alert(), LONG).await.unwrap();
    let report = report(&found);
    assert!(is_true(report, &staged.scenario), "{}", in_short(report));
    assert!(!report.evidence.is_empty(), "nothing is cited");
    assert_eq!(report.gaps, [], "{}", in_short(report));
    let cause = &report.root_causes[0];
    assert!(cause.confidence > 0.5 && cause.confidence < 1.0, "{}", cause.confidence);
    assert!(cause.confirm_command.starts_with("kubectl "), "{}", cause.confirm_command);
    for id in &cause.evidence_ids {
        assert!(report.evidence.iter().any(|e| e.id == *id), "{id} is cited and not there");
    }
    let commands = report.recommendations.iter().filter(|r| !r.command.is_empty()).count();
    assert!(commands > 0, "no recommendation has a command: {:?}", report.recommendations);
    let tools: Vec<&str> =
        report.plan.as_ref().unwrap().steps.iter().map(|step| step.tool.as_str()).collect();
    for plugin in agent_tests::fleet::BUNDLED {
        assert!(tools.iter().any(|tool| tool.starts_with(plugin)), "{plugin} not asked: {tools:?}");
    }
}

#[tokio::test]
async fn the_first_event_comes_at_once() {
    let staged = Staged::bundled().unwrap();
    let fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let begun = Instant::now();
    let running =
        client.investigate(staged.scenario.alert(), std::time::Duration::ZERO).await.unwrap();
    let request = agent_proto::v1::StreamEventsRequest { name: running.name, ..Default::default() };
    let mut stream = client.agent.stream_events(request).await.unwrap().into_inner();
    let first = stream.message().await.unwrap().unwrap().decode_event().unwrap().unwrap();
    assert!(matches!(first.payload, Some(Payload::Started(_))), "{first:?}");
    assert!(begun.elapsed().as_secs() < 3, "took {:?}", begun.elapsed());
}

#[tokio::test]
async fn no_secret_of_the_recording_is_told_in_events_reports_logs_or_files() {
    let staged = Staged::bundled().unwrap();
    let secrets = &staged.scenario.must_not_leak;
    assert!(secrets.len() >= 3, "the recording has no secrets to look for");
    let mut fleet = Fleet::on(staged.path()).await.unwrap();
    let mut client = fleet.client().unwrap();
    let mut alert = staged.scenario.alert();
    // People paste secrets, too.
    let pasted = "password=Sudden-Otter-Cabin-9";
    alert.description.push_str(&format!(" See postgres://app:{pasted}@db/x and {pasted}"));
    alert.annotations.insert("note".to_owned(), pasted.to_owned());
    let found = client.investigate(alert, LONG).await.unwrap();
    assert!(found.report.is_some());
    let events = client.events(&found.name, 0).await.unwrap();
    fleet.stop_daemon().await.unwrap();
    let mut told: Vec<(String, Vec<u8>)> = vec![("the report".into(), found.encode_to_vec())];
    for event in decoded(&events).unwrap() {
        told.push((format!("event {}: {}", event.sequence, event.summary), event.encode_to_vec()));
    }
    files(fleet.dir(), &mut told);
    assert!(told.iter().any(|(place, _)| place.ends_with("journal.redb")), "no journal was read");
    for secret in secrets.iter().map(String::as_str).chain(["Sudden-Otter-Cabin-9"]) {
        for (place, bytes) in &told {
            let leaks = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!leaks, "{secret} is told in {place}");
        }
    }
}

/// All files below `dir` with their bytes.
fn files(dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[tokio::test]
async fn without_the_logs_no_other_cause_is_claimed_and_the_gap_is_named() {
    let staged = Staged::bundled().unwrap();
    let mut fleet = Fleet::on(staged.path()).await.unwrap();
    fleet.kill_plugin("logs").unwrap();
    let mut client = fleet.client().unwrap();
    let found = client.investigate(staged.scenario.alert(), LONG).await.unwrap();
    let report = report(&found);
    if report.verdict() == Verdict::RootCauseFound {
        assert!(is_true(report, &staged.scenario), "{}", in_short(report));
    }
    assert_ne!(report.verdict(), Verdict::Healthy, "{}", in_short(report));
    let named = report.gaps.iter().any(|gap| gap.subject.contains("logs."));
    assert!(named, "no gap names the tools of logs: {}", in_short(report));
    // The plugin's absence is told to who lists plugins and tools, too.
    wait_until("the tools of logs without an instance", LONG, async || {
        let tools = client.tools().await.map_err(|refusal| format!("{refusal:?}"))?;
        let ready =
            tools.iter().filter(|t| t.name.starts_with("tools/logs.")).map(|t| t.ready_instances);
        let ready: i32 = ready.sum();
        if ready == 0 { Ok(()) } else { Err(format!("{ready} instances")) }
    })
    .await
    .unwrap();
}
