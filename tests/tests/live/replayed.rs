//! The recorded incidents over HTTP, from an API server that replays them and a real Prometheus:
//! the same verdicts as from their files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_proto::v1::Investigation;
use agent_tests::{alert::Scenario, replay::Replay, staged};
use agentd::{
    cli,
    eval::{Truth, score},
};

const LONG: Duration = Duration::from_secs(120);

fn all() -> Vec<PathBuf> {
    let folders = fs::read_dir(staged::scenarios()).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<PathBuf> =
        folders.filter(|path| path.join("scenario.json").exists()).collect();
    all.sort();
    all
}

/// The verdict of the corpus's own scorer, all of its checks; what failed otherwise.
fn found(name: &str, found: &Investigation, truth: &Truth) -> Result<(), String> {
    let report = found.report.clone().unwrap_or_default();
    let gaps: Vec<String> = report
        .gaps
        .iter()
        .map(|gap| format!("{}: {}", gap.subject, gap.failure.clone().unwrap_or_default().message))
        .collect();
    let answer = cli::answer(&report, &BTreeMap::new()).map_err(|error| error.to_string())?;
    let scored = score(truth, &answer);
    let failed: Vec<String> = scored
        .checks
        .iter()
        .filter(|(_, (passed, _))| !passed)
        .map(|(check, (_, why))| format!("{}: {why}", check.as_str()))
        .collect();
    if scored.pass {
        return Ok(());
    }
    Err(format!("{name}: {failed:?}\n  {}\n  gaps {gaps:#?}", report.summary))
}

fn truth(scenario: &Path) -> Truth {
    let text = fs::read_to_string(scenario.join("scenario.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn recorded_incidents_have_the_same_verdict_over_the_wire_as_from_files() {
    let mut wrong = Vec::new();
    for scenario in all() {
        let name = scenario.file_name().unwrap().to_string_lossy().into_owned();
        let truth = Scenario::read(&scenario).unwrap();
        let Some(replay) = Replay::start(&scenario, &[]).await.unwrap() else { return };
        let fleet = replay.fleet().await.unwrap();
        let alert = replay.alert(&truth).unwrap();
        let ended = fleet.client().unwrap().investigate(alert, LONG).await.unwrap();
        wrong.extend(found(&name, &ended, &self::truth(&scenario)).err());
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn a_prometheus_that_answers_500_or_hangs_is_a_named_gap_and_the_others_are_used() {
    let scenario = staged::scenarios().join("s001");
    let truth = Scenario::read(&scenario).unwrap();
    for fault in ["metrics=500", "metrics=hang:60"] {
        let Some(replay) = Replay::start(&scenario, &[fault]).await.unwrap() else { return };
        let fleet = replay.fleet().await.unwrap();
        let alert = replay.alert(&truth).unwrap();
        let ended = fleet.client().unwrap().investigate(alert, LONG).await.unwrap();
        let cause = ended.report.clone().unwrap_or_default().root_causes;
        assert_eq!(cause.first().map(|c| &c.category), Some(&truth.category), "{fault}");
        let gaps = ended.report.unwrap_or_default().gaps;
        let named = gaps.iter().any(|gap| gap.subject.contains("metrics"));
        assert!(named, "{fault}: {gaps:#?}");
    }
}
