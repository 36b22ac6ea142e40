//! The plugin as a daemon meets it.

use agent_sdk::kit::Harness;
use serde_json::json;

use crate::events::{cluster, event};

#[tokio::test]
async fn the_plugin_offers_its_tool_and_answers_a_call() {
    let (_dir, cluster) = cluster(&[event("Preempted", "by another")]);
    let harness = Harness::new(plugin_events::tools::plugin(cluster)).await.unwrap();
    let outcome = harness.call("check_events", json!({"namespace": "shop"})).await;
    assert_eq!(outcome.signals(), ["pod.preempted"]);
}
