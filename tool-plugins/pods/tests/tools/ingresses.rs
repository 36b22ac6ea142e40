//! `check_service` on Ingresses.

use agent_sdk::Output;
use plugin_pods::{args::Where, services::check_service};
use serde_json::{Value, json};

use crate::recorded::{fact, facts, merge, peer, pod, speaking, start};

fn ingress(part: &Value) -> Value {
    let mut made = json!({"kind": "Ingress", "metadata": {"name": "front", "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"},
        "spec": {"ingressClassName": "nginx", "tls": [{"hosts": ["shop.example.com"], "secretName": "front-tls"}],
            "rules": [{"host": "shop.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]}}]}});
    merge(&mut made, part);
    made
}

fn backend(service: &str, port: Value, path: &str) -> Value {
    json!({"spec": {"rules": [{"host": "shop.example.com", "http": {"paths": [
        {"path": path, "pathType": "ImplementationSpecific", "backend": {"service": {"name": service, "port": port}}}]}}]}})
}

fn around() -> Vec<Value> {
    vec![
        pod("web-7d-a", &json!({})),
        json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
        json!({"kind": "IngressClass", "metadata": {"name": "nginx"}}),
        json!({"kind": "Secret", "metadata": {"name": "front-tls", "namespace": "shop"}, "type": "kubernetes.io/tls"}),
    ]
}

async fn check(mut objects: Vec<Value>, logs: &[(&str, &str)]) -> Output {
    objects.extend(around());
    let (_dir, cluster) = speaking(&objects, logs);
    let args = Where { namespace: "shop".to_owned(), service: String::new() };
    check_service(&cluster, &args).await.unwrap()
}

#[tokio::test]
async fn an_ingress_whose_parts_exist_is_routed() {
    let output = check(vec![ingress(&json!({}))], &[]).await;
    assert!(facts(&output, "ingress.misrouted").is_empty());
    assert_eq!(facts(&output, "ingress.routed").len(), 1);
    let to: Vec<&str> = output
        .relations()
        .iter()
        .filter(|r| r.from.kind == "Ingress")
        .map(|r| r.to.name.as_str())
        .collect();
    assert!(to.contains(&"web") && to.contains(&"front-tls"));
}

#[tokio::test]
async fn each_kind_of_wrong_reference_is_named() {
    let note = |key: &str, value: &str| json!({"metadata": {"annotations": {format!("nginx.ingress.kubernetes.io/{key}"): value}}});
    let mut rewritten = note("rewrite-target", "/$2");
    merge(&mut rewritten, &backend("web", json!({"number": 80}), "/api"));
    for (part, why, key, value) in [
        (backend("web-svc", json!({"number": 80}), "/"), "backend_missing", "nearest", "web"),
        (backend("web", json!({"number": 8080}), "/"), "backend_port", "ports", "http:80"),
        (backend("web", json!({"name": "grpc"}), "/"), "backend_port", "port", "grpc"),
        (json!({"spec": {"ingressClassName": "ngnix"}}), "class_missing", "nearest", "nginx"),
        (json!({"spec": {"ingressClassName": null}}), "class_missing", "class", ""),
        (
            json!({"spec": {"tls": [{"hosts": ["shop.example.com"], "secretName": "gone"}]}}),
            "tls_secret_missing",
            "secret",
            "gone",
        ),
        (rewritten, "rewrite", "rewrite", "/$2"),
        (note("backend-protocol", "HTTPS"), "protocol", "protocol", "HTTPS"),
    ] {
        let output = check(vec![ingress(&part)], &[]).await;
        let seen = fact(&output, "ingress.misrouted");
        assert_eq!(
            (seen.attributes["why"].as_str(), seen.attributes[key].as_str()),
            (why, value),
            "{part}"
        );
        assert!(facts(&output, "ingress.routed").is_empty());
    }
}

#[tokio::test]
async fn notes_that_agree_with_the_rules_are_no_fault() {
    let mut good = json!({"metadata": {"annotations": {
        "nginx.ingress.kubernetes.io/rewrite-target": "/$2", "nginx.ingress.kubernetes.io/backend-protocol": "HTTP"}}});
    merge(&mut good, &backend("web", json!({"name": "http"}), "/api(/|$)(.*)"));
    let output = check(vec![ingress(&good)], &[]).await;
    assert!(facts(&output, "ingress.misrouted").is_empty());
}

fn controller() -> Value {
    let mut pod = pod(
        "gate-1",
        &json!({"metadata": {"namespace": "gate", "labels": {"app.kubernetes.io/name": "ingress-nginx"}}}),
    );
    pod["metadata"]["ownerReferences"] = json!([]);
    pod
}

#[tokio::test]
async fn requests_lost_since_an_edit_tell_host_or_path() {
    let edited = json!({"metadata": {"managedFields": [{"manager": "someone", "time": "2025-05-01T11:30:00Z", "fieldsV1": {"f:spec": {"f:rules": {}}}}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": json!({"spec": {"rules": [{"host": "store.example.com"}]}}).to_string()}}});
    let line = |at: &str, path: &str| {
        format!(
            "2025-05-01T{at}Z 10.0.0.1 - - [x] \"GET {path} HTTP/1.1\" 404 1 \"-\" \"-\" 8 0.0 [] [] - - - - 6\n"
        )
    };
    let lost = |at: &str, path: &str| (0..6).map(|_| line(at, path)).collect::<String>();
    for (log, why) in [
        (lost("11:31:00", "/cart"), Some("host")),
        (lost("10:31:00", "/cart"), None),
        (line("11:31:00", "/cart"), None),
    ] {
        let output =
            check(vec![controller(), ingress(&edited)], &[("gate/gate-1/app.log", &log)]).await;
        let seen = facts(&output, "ingress.misrouted");
        assert_eq!(seen.first().map(|o| o.attributes["why"].as_str()), why);
        if let Some(seen) = seen.first() {
            assert_eq!(start(seen), "2025-05-01T11:30:00Z");
            assert!(
                seen.statement.contains("was store.example.com, is shop.example.com"),
                "{}",
                seen.statement
            );
        }
        assert_eq!(fact(&output, "ingress.changed").attributes["manager"], "someone");
    }
    let mut narrow = edited.clone();
    merge(&mut narrow, &backend("web", json!({"number": 80}), "/v2"));
    let json_line = "2025-05-01T11:31:00Z {\"host\":\"shop.example.com\",\"uri\":\"/cart/1\",\"status\":404,\"proxy_upstream_name\":\"-\"}\n".repeat(5);
    let output =
        check(vec![controller(), ingress(&narrow)], &[("gate/gate-1/app.log", &json_line)]).await;
    let seen = fact(&output, "ingress.misrouted");
    assert_eq!(
        (seen.attributes["why"].as_str(), seen.attributes["asked"].as_str()),
        ("path", "shop.example.com/cart/1")
    );
    assert_eq!(peer(seen), "");
}

#[tokio::test]
async fn an_ingress_that_misses_its_service_is_linked_with_the_one_it_means() {
    let wrong = ingress(&backend("web-svc", json!({"number": 80}), "/"));
    let output = check(vec![wrong], &[]).await;
    let leads = |r: &agent_sdk::Relation| r.from.kind == "Ingress" && r.to.name == "web";
    assert!(output.relations().iter().any(leads));
}
