//! `check_policies` on admission webhooks.

use agent_sdk::Output;
use plugin_pods::{args::Where, policies::check_policies};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod};

fn configuration(part: &Value) -> Value {
    let mut made = json!({"kind": "ValidatingWebhookConfiguration", "metadata": {"name": "guard"},
        "webhooks": [{"name": "pods.guard.example", "failurePolicy": "Fail",
            "clientConfig": {"service": {"namespace": "sec", "name": "guard", "port": 443}},
            "rules": [{"operations": ["CREATE"], "apiGroups": [""], "resources": ["pods"]}]}]});
    merge(&mut made, part);
    made
}

fn deployment(part: &Value) -> Value {
    let mut made = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 2, "template": {"metadata": {"labels": {"app": "web"}}}}, "status": {"readyReplicas": 0}});
    merge(&mut made, part);
    made
}

fn service() -> Value {
    json!({"kind": "Service", "metadata": {"name": "guard", "namespace": "sec"}, "spec": {"selector": {"app": "guard"}}})
}

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_policies(&cluster, &Where::default()).await.unwrap()
}

#[tokio::test]
async fn a_refusal_names_the_configuration_why_and_whom() {
    for (said, why) in [
        (
            "admission webhook \"pods.guard.example\" denied the request: image is not signed",
            "refused",
        ),
        (
            "Internal error occurred: failed calling webhook \"pods.guard.example\": failed to call webhook: Post \"https://guard.sec.svc:443/v?timeout=10s\": context deadline exceeded",
            "unreachable",
        ),
        (
            "Internal error occurred: failed calling webhook \"pods.guard.example\": failed to call webhook: Post \"https://guard.sec.svc:443/v\": x509: certificate has expired",
            "certificate",
        ),
    ] {
        let failing = json!({"status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": said, "lastTransitionTime": "2025-05-01T11:00:00Z"}]}});
        let output = check(&[deployment(&failing), configuration(&json!({}))]).await;
        let seen = fact(&output, "policy.webhook_failed");
        let subject = seen.subject.as_ref().unwrap();
        assert_eq!(
            (subject.kind.as_str(), subject.name.as_str()),
            ("ValidatingWebhookConfiguration", "guard")
        );
        assert_eq!((seen.attributes["why"].as_str(), peer(seen).as_str()), (why, "Deployment/web"));
        assert!(output.relations().iter().any(|r| r.from.name == "guard" && r.to.name == "web"));
    }
}

#[tokio::test]
async fn a_webhook_nobody_answers_for_is_inferred_where_pods_are_missing() {
    let ignores = json!({"webhooks": [{"name": "x", "failurePolicy": "Ignore"}]});
    let elsewhere =
        json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 0}});
    for (objects, told) in [
        (vec![deployment(&json!({})), configuration(&json!({})), service()], 1),
        (vec![deployment(&json!({})), configuration(&ignores), service()], 0),
        (vec![deployment(&elsewhere), configuration(&json!({})), service()], 0),
        (
            vec![
                deployment(&json!({"spec": {"replicas": 1}})),
                pod("web-7d-a", &json!({})),
                configuration(&json!({})),
                service(),
            ],
            0,
        ),
        (
            vec![
                deployment(&json!({})),
                configuration(&json!({})),
                service(),
                pod(
                    "guard-1",
                    &json!({"metadata": {"namespace": "sec", "labels": {"app": "guard"}}}),
                ),
            ],
            0,
        ),
    ] {
        let output = check(&objects).await;
        let seen = facts(&output, "policy.webhook_failed");
        assert_eq!(seen.len(), told);
        if told == 1 {
            assert_eq!(seen[0].attributes["seen"], "inferred");
        }
    }
}
