//! Every tool over every recorded incident that is there: none fails, and none speaks words that
//! the signal catalogue does not know. Truth is judged elsewhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::{io::Write as _, sync::Arc};

use agent_sdk::kit::Harness;
use plugin_cluster::{Source, kit::corpus};
use plugin_metrics::recording::Recording;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_answers_on_every_scenario_in_known_words() {
    let known = corpus::known_signals().unwrap();
    assert!(known.contains("target.resolved"), "the catalogue was read");
    let scenarios = corpus::scenarios();
    if scenarios.is_empty() {
        let mut stderr = std::io::stderr().lock();
        writeln!(stderr, "SKIPPED plugin-metrics on scenarios: tests/scenarios holds none")
            .unwrap();
        return;
    }
    for scenario in scenarios {
        let (namespace, service) = corpus::alerted(&scenario);
        let cluster = Source::recorded(scenario.clone()).open().await.unwrap();
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
