//! Every tool over every recorded incident that is there: none fails, and none speaks words that
//! the signal catalogue does not know. Truth is judged elsewhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::Write as _;

use agent_sdk::kit::Harness;
use plugin_cluster::{Source, kit::corpus};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_answers_on_every_scenario_in_known_words() {
    let known = corpus::known_signals().unwrap();
    assert!(known.contains("target.resolved"), "the catalogue was read");
    let scenarios = corpus::scenarios();
    if scenarios.is_empty() {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "SKIPPED plugin-logs on scenarios: tests/scenarios holds none").unwrap();
        return;
    }
    for scenario in scenarios {
        let (namespace, service) = corpus::alerted(&scenario);
        let cluster = Source::recorded(scenario.clone()).open().await.unwrap();
        let files = cluster.log_files(Some(&namespace)).await.unwrap();
        let harness = Harness::new(plugin_logs::plugin(&cluster)).await.unwrap();
        let mut calls = vec![
            ("find_error_patterns", json!({"namespace": namespace, "service": service})),
            ("find_error_patterns", json!({"namespace": namespace})),
            ("find_error_patterns", json!({"namespace": "kube-system"})),
        ];
        calls.extend(files.into_iter().take(12).map(|file| {
            (
                "get_logs",
                json!({"namespace": file.namespace, "pod": file.pod,
                "container": file.container, "previous": file.previous, "tail_lines": 20}),
            )
        }));
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
