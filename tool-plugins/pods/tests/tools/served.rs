//! The plugin as a daemon meets it.

use agent_sdk::kit::Harness;
use serde_json::json;

use crate::recorded::{cluster, pod, waiting};

#[tokio::test]
async fn the_plugin_offers_all_its_tools_and_answers_a_call() {
    let (_dir, cluster) = cluster(&[pod("web-7d-a", &waiting("ImagePullBackOff", "not found"))]);
    let harness = Harness::new(plugin_pods::tools::plugin(&cluster)).await.unwrap();
    let offered = harness.catalog().await.unwrap();
    let names: Vec<&str> = offered.tools.iter().map(|t| t.name.as_str()).collect();
    let all = [
        "check_pods",
        "check_rollouts",
        "check_service",
        "check_nodes",
        "check_policies",
        "check_storage",
        "check_access",
    ];
    assert_eq!(names, all);
    let outcome = harness.call("check_pods", json!({"namespace": "shop"})).await;
    assert_eq!(outcome.signals(), ["container.image_pull_failed"]);
    let refused = harness.call("check_pods", json!({"nmespace": "shop"})).await;
    assert!(refused.failure().is_some());
}
