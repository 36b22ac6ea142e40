//! Every tool over every recorded incident that is there: none fails, and none speaks words that
//! the signal catalogue does not know. Truth is judged elsewhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::BTreeSet,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use agent_sdk::kit::Harness;
use plugin_cluster::Source;
use plugin_metrics::recording::Recording;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn scenarios() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root().join("tests/scenarios")) else { return Vec::new() };
    let mut found: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.join("kube").is_dir()).collect();
    found.sort();
    found
}

fn known_signals() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("agentd/catalogue/signals.yaml")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("- { signal: ")?.split(',').next())
        .map(str::to_owned)
        .collect()
}

fn alert(scenario: &Path) -> (String, String) {
    let text = std::fs::read_to_string(scenario.join("scenario.json")).unwrap_or_default();
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let part = |key: &str| value["alert"][key].as_str().unwrap_or_default().to_owned();
    (part("namespace"), part("service"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_answers_on_every_scenario_in_known_words() {
    let known = known_signals();
    assert!(known.contains("target.resolved"), "the catalogue was read");
    let scenarios = scenarios();
    if scenarios.is_empty() {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "SKIPPED plugin-metrics on scenarios: tests/scenarios holds none")
            .unwrap();
        return;
    }
    for scenario in scenarios {
        let (namespace, service) = alert(&scenario);
        let cluster = Source { snapshot: Some(scenario.clone()) }.open().unwrap();
        let recording = Arc::new(Recording::new(cluster));
        let harness = Harness::new(plugin_metrics::plugin(&recording)).await.unwrap();
        let calls = [
            ("get_metrics", json!({"namespace": namespace, "service": service})),
            ("get_metrics", json!({"namespace": namespace})),
            ("get_metrics", json!({})),
            ("find_anomalies", json!({"namespace": namespace})),
            ("find_anomalies", json!({})),
        ];
        for (tool, arguments) in calls {
            let outcome = harness.call(tool, arguments.clone()).await;
            let result = outcome.result().unwrap_or_else(|failure| {
                panic!("{tool} {arguments} on {}: {failure:?}", scenario.display())
            });
            for fact in &result.observations {
                let shown = scenario.display();
                assert!(known.contains(&fact.signal), "{tool} on {shown}: {}", fact.signal);
                assert!(!fact.statement.contains('\n'), "{tool} on {shown}: {}", fact.statement);
            }
        }
    }
}
