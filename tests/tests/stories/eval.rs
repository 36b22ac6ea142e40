//! `agentd eval` over the recorded incidents that measure. What it says of itself is checked
//! against the recordings' truths here, without its own scorer.

use std::{collections::BTreeMap, fs, process::Command};

use agent_tests::{build, process, staged::scenarios};
use serde_json::Value;

use crate::LONG;

/// How many of the fourteen must pass: five are promised, and what was reached is held.
const PASSING: usize = 10;

/// Truths by the scenario's name.
fn truths() -> BTreeMap<String, Value> {
    let mut truths = BTreeMap::new();
    for entry in fs::read_dir(scenarios()).unwrap().flatten() {
        if let Ok(text) = fs::read_to_string(entry.path().join("scenario.json")) {
            let name = entry.file_name().to_string_lossy().into_owned();
            truths.insert(name, serde_json::from_str(&text).unwrap());
        }
    }
    truths
}

#[tokio::test]
async fn enough_recorded_incidents_are_explained_and_none_is_explained_away() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("eval.json");
    let mut command = Command::new(build::programs().unwrap().join("agentd"));
    command.arg("eval").arg(scenarios()).arg("--json").arg(&out);
    let ended = process::run(command, 5 * LONG).await.unwrap();
    let table = &ended.stdout;
    assert!(!table.contains('\u{1b}'), "piped output has escape codes");
    let truths = truths();
    assert_eq!(truths.len(), 14);
    let lines: Vec<&str> = truths
        .keys()
        .map(|name| table.lines().find(|line| line.starts_with(name.as_str())).unwrap_or_default())
        .collect();
    let passed = lines.iter().filter(|line| line.contains(" PASS ")).count();
    let failed = lines.iter().filter(|line| line.contains(" FAIL ")).count();
    assert_eq!(passed + failed, 14, "the table has not a line for each:\n{table}");
    assert!(passed >= PASSING, "{passed} pass, at least {PASSING} should:\n{table}");
    let answers: BTreeMap<String, Value> =
        serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap();
    assert!(answers.keys().eq(truths.keys()), "answers for {:?}", answers.keys());
    for (name, truth) in &truths {
        let answer = &answers[name];
        leaks_nothing(name, truth, &format!("{answer}\n{table}\n{}", ended.stderr));
        if truth["no_fault"] == true {
            assert_eq!(answer["category"], "false_alarm_healthy", "{name}: {answer}");
            let blamed = &answer["culprit"]["name"];
            let alerted = &truth["alert"]["service"];
            assert!(blamed.is_null() || blamed == alerted, "{name} blames {blamed}");
        }
        if let Some(earlier) = truth["repeats"].as_str() {
            assert!(answer.to_string().contains(earlier), "{name} does not recall {earlier}");
        }
    }
    // What passes, by the table, blames the object that is to blame.
    for line in lines.iter().filter(|line| line.contains(" PASS ")) {
        let name = line.split_whitespace().next().unwrap();
        let (truth, blamed) = (&truths[name], &answers[name]["culprit"]);
        let accepted = truth["culprit_accept"].as_array().into_iter().flatten();
        let mut right = accepted.chain([&truth["culprit"]]);
        let known = right.any(|right| right["name"] == blamed["name"]);
        assert!(known || truth["no_fault"] == true, "{name} blames {blamed}");
    }
}

fn leaks_nothing(name: &str, truth: &Value, told: &str) {
    for secret in truth["must_not_leak"].as_array().into_iter().flatten() {
        let secret = secret.as_str().unwrap();
        assert!(!told.contains(secret), "{name} leaks {secret}");
    }
}
