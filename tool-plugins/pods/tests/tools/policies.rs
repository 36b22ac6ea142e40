//! `check_policies`.

use agent_sdk::Output;
use plugin_pods::{args::Where, policies::check_policies};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod, start};

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_policies(&cluster, &Where::default()).await.unwrap()
}

fn policy(kind: &str, name: &str, part: &Value) -> Value {
    let mut made = json!({"kind": kind, "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"}});
    merge(&mut made, part);
    made
}

#[tokio::test]
async fn an_edited_or_new_policy_is_a_change_and_an_old_one_is_not() {
    let edited = json!({"metadata": {"managedFields": [
        {"manager": "someone", "time": "2025-05-01T11:00:00Z", "fieldsV1": {"f:spec": {"f:ingress": {}}}}]}});
    let output = check(&[
        policy("NetworkPolicy", "now", &edited),
        policy("NetworkPolicy", "old", &json!({})),
        policy(
            "RoleBinding",
            "made",
            &json!({"metadata": {"creationTimestamp": "2025-05-01T10:00:00Z"}}),
        ),
    ])
    .await;
    let told = facts(&output, "policy.changed");
    let names: Vec<&str> = told.iter().map(|o| o.subject.as_ref().unwrap().name.as_str()).collect();
    assert_eq!(names, ["now", "made"]);
    assert_eq!(start(told[0]), "2025-05-01T11:00:00Z");
    assert_eq!(told[0].attributes["fields"], "spec.ingress");
    assert_eq!(told[1].attributes["how"], "created");
}

#[tokio::test]
async fn without_policies_nothing_is_told() {
    let output = check(&[policy("ServiceAccount", "default", &json!({}))]).await;
    assert!(output.observations().is_empty());
}

#[tokio::test]
async fn a_budget_without_room_blocks_only_while_its_node_is_drained() {
    let budget = policy(
        "PodDisruptionBudget",
        "web",
        &json!({"spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1}}),
    );
    for (cordoned, told) in [(true, 1), (false, 0)] {
        let node = json!({"kind": "Node", "metadata": {"name": "node-1"}, "spec": {"unschedulable": cordoned}});
        let output = check(&[budget.clone(), node, pod("web-7d-a", &json!({}))]).await;
        assert_eq!(facts(&output, "policy.pdb_blocks").len(), told);
        if told == 1 {
            assert_eq!(peer(fact(&output, "policy.pdb_blocks")), "Deployment/web");
        }
    }
}
