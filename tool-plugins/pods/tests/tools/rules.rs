//! `check_policies`: quotas and autoscalers.

use agent_sdk::{Output, RelationKind};
use plugin_pods::{args::Where, policies::check_policies};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, start};

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_policies(&cluster, &Where::default()).await.unwrap()
}

/// Workload `web` that has one of three pods, changed by `part`.
fn workload(kind: &str, part: &Value) -> Value {
    let mut made = json!({"kind": kind, "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "app",
            "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}}]}}},
        "status": {"replicas": 1, "readyReplicas": 1}});
    merge(&mut made, part);
    made
}

fn quota(hard: &Value, used: &Value) -> Value {
    json!({"kind": "ResourceQuota", "metadata": {"name": "team", "namespace": "shop"},
        "status": {"hard": hard, "used": used}})
}

#[tokio::test]
async fn a_refusal_in_a_condition_is_told_with_amounts_and_whom_it_holds_up() {
    let said = "pods \"web-7d-x\" is forbidden: exceeded quota: team, requested: limits.memory=1Gi, used: limits.memory=8Gi, limited: limits.memory=8Gi";
    let refused = json!({"status": {"conditions": [{"type": "ReplicaFailure", "status": "True",
        "reason": "FailedCreate", "message": said, "lastTransitionTime": "2025-05-01T11:00:00Z"}]}});
    let output = check(&[
        workload("Deployment", &refused),
        quota(&json!({"limits.memory": "8Gi"}), &json!({"limits.memory": "8Gi"})),
    ])
    .await;
    let seen = fact(&output, "policy.quota_exceeded");
    assert_eq!(
        (peer(seen).as_str(), start(seen).as_str()),
        ("Deployment/web", "2025-05-01T11:00:00Z")
    );
    assert_eq!(seen.subject.as_ref().unwrap().name, "team");
    let amount = |key: &str| seen.attributes[key].as_str();
    assert_eq!(
        (amount("resource"), amount("requested"), amount("used"), amount("hard"), amount("why")),
        ("limits.memory", "1Gi", "8Gi", "8Gi", "exceeded")
    );
    let governs = |r: &&agent_sdk::Relation| r.kind == RelationKind::Governs;
    assert_eq!(output.relations().iter().filter(governs).count(), 1);
}

#[tokio::test]
async fn a_full_quota_explains_pods_that_were_never_made_without_any_event() {
    for (hard, used, told, resource) in [
        (json!({"pods": "10"}), json!({"pods": "10"}), 1, "pods"),
        (json!({"requests.cpu": "2"}), json!({"requests.cpu": "1600m"}), 1, "requests.cpu"),
        (json!({"requests.cpu": "2"}), json!({"requests.cpu": "1500m"}), 0, ""),
        (json!({"services": "5"}), json!({"services": "5"}), 0, ""),
    ] {
        let output = check(&[workload("StatefulSet", &json!({})), quota(&hard, &used)]).await;
        let seen = facts(&output, "policy.quota_exceeded");
        assert_eq!(seen.len(), told, "{hard}");
        if let Some(seen) = seen.first() {
            assert_eq!(
                (seen.attributes["why"].as_str(), seen.attributes["resource"].as_str()),
                ("inferred", resource)
            );
        }
    }
    let whole = workload("Deployment", &json!({"status": {"replicas": 3}}));
    let output = check(&[whole, quota(&json!({"pods": "10"}), &json!({"pods": "10"}))]).await;
    assert!(facts(&output, "policy.quota_exceeded").is_empty());
}

#[tokio::test]
async fn a_quota_with_room_is_told_as_health() {
    let output =
        check(&[quota(&json!({"pods": "80", "cpu": "10"}), &json!({"pods": "60", "cpu": "2"}))])
            .await;
    let seen = fact(&output, "policy.quota_room");
    assert_eq!((seen.attributes["resource"].as_str(), seen.value), ("pods", Some(0.75)));
}

fn autoscaler(name: &str, part: &Value) -> Value {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": ""});
    let mut made = json!({"kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 6,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 75}}}]},
        "status": {"currentReplicas": 3, "desiredReplicas": 3,
            "currentMetrics": [{"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 60}}}],
            "conditions": [condition("AbleToScale", "True"), condition("ScalingActive", "True"), condition("ScalingLimited", "False")]}});
    merge(&mut made, part);
    made
}

fn with(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"status": {"conditions": [{"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2025-04-28T08:00:00Z"}]}})
}

#[tokio::test]
async fn an_autoscaler_that_works_is_healthy_and_governs_its_target() {
    let output = check(&[workload("Deployment", &json!({})), autoscaler("web", &json!({}))]).await;
    assert_eq!(fact(&output, "policy.hpa_ok").attributes["max"], "6");
    assert!(
        output.relations().iter().any(|r| r.kind == RelationKind::Governs && r.to.name == "web")
    );
}

#[tokio::test]
async fn each_fault_of_an_autoscaler_is_told_apart() {
    let missing_request = with(
        "ScalingActive",
        "False",
        "FailedGetResourceMetric",
        "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container app of Pod web-1",
    );
    let mut at_max = with(
        "ScalingLimited",
        "True",
        "TooManyReplicas",
        "the desired replica count is more than the maximum replica count",
    );
    merge(&mut at_max, &json!({"status": {"currentReplicas": 6}}));
    let mut fixed = at_max.clone();
    merge(&mut fixed, &json!({"spec": {"minReplicas": 6}}));
    let mut lowered = at_max.clone();
    merge(
        &mut lowered,
        &json!({"metadata": {"managedFields": [{"manager": "someone", "time": "2025-05-01T10:00:00Z",
        "fieldsV1": {"f:spec": {"f:maxReplicas": {}}}}]}}),
    );
    let silent = json!({"spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 250}}}]}});
    let off = json!({"spec": {"behavior": {"scaleUp": {"selectPolicy": "Disabled"}}}});
    let typo = json!({"spec": {"scaleTargetRef": {"name": "wep"}}});
    for (part, signal, key, value) in [
        (missing_request, "policy.hpa_no_metrics", "why", "requests_missing"),
        (at_max, "policy.hpa_at_max", "bound", "max"),
        (fixed, "policy.hpa_at_max", "bound", "fixed"),
        (lowered, "policy.hpa_at_max", "bound", "lowered"),
        (silent, "policy.hpa_never_triggers", "why", "capped"),
        (off, "policy.hpa_never_triggers", "why", "disabled"),
        (typo, "policy.hpa_target_missing", "nearest", "web"),
    ] {
        let output = check(&[workload("Deployment", &json!({})), autoscaler("web", &part)]).await;
        let seen = fact(&output, signal);
        assert_eq!(
            (seen.attributes[key].as_str(), peer(seen).as_str()),
            (value, "Deployment/web"),
            "{signal}"
        );
        assert!(facts(&output, "policy.hpa_ok").is_empty());
    }
}

#[tokio::test]
async fn a_fault_of_days_keeps_its_age() {
    let part = with(
        "ScalingActive",
        "False",
        "FailedGetPodsMetric",
        "unable to get metric rps: no metrics returned from custom metrics API",
    );
    let output = check(&[workload("Deployment", &json!({})), autoscaler("web", &part)]).await;
    let seen = fact(&output, "policy.hpa_no_metrics");
    assert_eq!(
        (start(seen).as_str(), seen.attributes["metric"].as_str()),
        ("2025-04-28T08:00:00Z", "rps")
    );
    assert_eq!(seen.attributes["lasting"], "true");
}

#[tokio::test]
async fn an_autoscaler_of_the_wrong_name_and_two_of_one_workload_are_told() {
    let mut other = workload("Deployment", &json!({}));
    other["metadata"]["name"] = json!("web-worker");
    let wrong = autoscaler("web-hpa", &json!({"spec": {"scaleTargetRef": {"name": "web-worker"}}}));
    let output = check(&[workload("Deployment", &json!({})), other.clone(), wrong]).await;
    assert_eq!(fact(&output, "policy.hpa_wrong_target").attributes["namesake"], "web");
    let newer =
        autoscaler("web-new", &json!({"metadata": {"creationTimestamp": "2025-05-01T08:00:00Z"}}));
    let output =
        check(&[workload("Deployment", &json!({})), autoscaler("web", &json!({})), newer]).await;
    assert_eq!(fact(&output, "policy.hpa_conflict").subject.as_ref().unwrap().name, "web-new");
}
