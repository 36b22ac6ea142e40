//! `check_service`.

use agent_sdk::Output;
use plugin_pods::{args::Where, services::check_service};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod, start, waiting};

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_service(&cluster, &Where::default()).await.unwrap()
}

fn service(spec: &Value) -> Value {
    json!({"kind": "Service", "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"}, "spec": spec})
}

fn deployment(name: &str, labels: &Value, replicas: i64) -> Value {
    json!({"kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}}}})
}

#[tokio::test]
async fn ready_endpoints_are_health_and_lead_to_their_pods() {
    let output = check(&[
        service(
            &json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http"}]}),
        ),
        pod("web-7d-a", &json!({})),
        pod("web-7d-b", &waiting("CrashLoopBackOff", "")),
    ])
    .await;
    let seen = fact(&output, "service.endpoints_ready");
    assert_eq!(
        (seen.attributes["ready"].as_str(), seen.attributes["not_ready"].as_str()),
        ("1", "1")
    );
    assert!(facts(&output, "service.port_mismatch").is_empty());
    assert!(output.relations().iter().any(|r| r.from.kind == "Service" && r.to.name == "web-7d-a"));
}

#[tokio::test]
async fn a_selector_that_matches_nothing_names_the_key_and_the_workload_it_misses() {
    let mut edited = service(&json!({"selector": {"app": "web", "tier": "blue"}}));
    merge(
        &mut edited,
        &json!({"metadata": {"managedFields": [
        {"manager": "helm", "time": "2025-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:selector": {}}}},
        {"manager": "someone", "time": "2025-05-01T11:00:00Z", "fieldsV1": {"f:spec": {"f:selector": {"f:tier": {}}}}}]}}),
    );
    let labels = json!({"app": "web", "tier": "green"});
    let output = check(&[
        edited,
        deployment("web-main", &labels, 1),
        deployment("other", &json!({"app": "other"}), 1),
        pod("web-7d-a", &json!({"metadata": {"labels": {"tier": "green"}}})),
    ])
    .await;
    let seen = fact(&output, "service.selector_matches_nothing");
    for (key, want) in [
        ("wrong_key", "tier"),
        ("wanted", "blue"),
        ("found", "green"),
        ("selector", "app=web,tier=blue"),
    ] {
        assert_eq!(seen.attributes[key], want);
    }
    assert_eq!(
        (peer(seen).as_str(), start(seen).as_str()),
        ("Deployment/web-main", "2025-05-01T11:00:00Z")
    );
    let changed = fact(&output, "service.changed");
    assert_eq!(
        (changed.attributes["manager"].as_str(), changed.attributes["fields"].as_str()),
        ("someone", "spec.selector.tier")
    );
}

#[tokio::test]
async fn among_workloads_the_one_that_matches_most_is_meant() {
    let output = check(&[
        service(&json!({"selector": {"app": "web", "part": "front", "tier": "blue"}})),
        deployment("a-half", &json!({"app": "web", "part": "back", "tier": "green"}), 1),
        deployment("most", &json!({"app": "web", "part": "front", "tier": "green"}), 1),
    ])
    .await;
    let seen = fact(&output, "service.selector_matches_nothing");
    assert_eq!(
        (peer(seen).as_str(), seen.attributes["wrong_key"].as_str()),
        ("Deployment/most", "tier")
    );
}

#[tokio::test]
async fn a_misspelt_selector_is_matched_with_the_nearest_label() {
    let output = check(&[
        service(&json!({"selector": {"app": "wbe"}})),
        deployment("storefront", &json!({"app": "web"}), 1),
        deployment("zebra", &json!({"app": "far-away"}), 1),
    ])
    .await;
    let seen = fact(&output, "service.selector_matches_nothing");
    assert_eq!(
        (seen.attributes["found"].as_str(), peer(seen).as_str()),
        ("web", "Deployment/storefront")
    );
}

#[tokio::test]
async fn a_right_selector_without_pods_is_no_selectors_fault() {
    let output = check(&[
        service(&json!({"selector": {"app": "web"}})),
        deployment("web", &json!({"app": "web"}), 0),
    ])
    .await;
    let seen = fact(&output, "service.no_endpoints");
    assert_eq!((seen.attributes["desired"].as_str(), peer(seen).as_str()), ("0", "Deployment/web"));
    let stands = |r: &agent_sdk::Relation| {
        (r.from.kind.as_str(), r.to.kind.as_str()) == ("Service", "Deployment")
    };
    assert!(
        output.relations().iter().any(stands),
        "the Service stands before it without pods, too"
    );
    assert!(facts(&output, "service.selector_matches_nothing").is_empty());
}

#[tokio::test]
async fn no_ready_pod_is_no_endpoint() {
    let output =
        check(&[service(&json!({"selector": {"app": "web"}})), pod("web-7d-a", &waiting("x", ""))])
            .await;
    let seen = fact(&output, "service.no_endpoints");
    assert_eq!(
        (seen.attributes["not_ready"].as_str(), start(seen).as_str()),
        ("1", "2025-05-01T11:00:00Z")
    );
}

#[tokio::test]
async fn a_target_port_nobody_declares_is_certain_by_name_and_likely_by_number() {
    for (port, certain) in [
        (json!("grpc"), Some("true")),
        (json!(9090), Some("false")),
        (json!(8080), None),
        (json!("http"), None),
    ] {
        let output = check(&[
            service(
                &json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": port}]}),
            ),
            pod("web-7d-a", &json!({})),
        ])
        .await;
        let seen = facts(&output, "service.port_mismatch");
        assert_eq!(seen.first().map(|o| o.attributes["certain"].as_str()), certain, "{port}");
        assert_eq!(
            facts(&output, "service.endpoints_ready").is_empty(),
            certain == Some("true"),
            "{port}"
        );
    }
}

#[tokio::test]
async fn ports_edited_lately_of_which_none_fits_leave_no_endpoint_that_is_well() {
    let edited = |at: &str, ports: &Value| {
        let mut service = service(&json!({"selector": {"app": "web"}, "ports": ports}));
        merge(
            &mut service,
            &json!({"metadata": {"managedFields": [
            {"manager": "helm", "time": "2025-01-01T00:00:00Z", "fieldsV1": {"f:spec": {"f:ports": {}}}},
            {"manager": "someone", "time": at, "fieldsV1": {"f:spec": {"f:ports": {}}}}]}}),
        );
        service
    };
    let wrong = json!({"name": "a", "port": 80, "targetPort": 9090});
    let right = json!({"name": "b", "port": 81, "targetPort": 8080});
    for (at, ports, told) in [
        ("2025-05-01T11:00:00Z", json!([wrong]), "true"),
        ("2025-02-01T11:00:00Z", json!([wrong]), "false"),
        ("2025-05-01T11:00:00Z", json!([wrong, right]), "false"),
    ] {
        let output = check(&[edited(at, &ports), pod("web-7d-a", &json!({}))]).await;
        let seen = fact(&output, "service.port_mismatch");
        assert_eq!(seen.attributes["edited"], told, "{at} {ports}");
        assert_eq!(facts(&output, "service.endpoints_ready").is_empty(), told == "true");
    }
}

#[tokio::test]
async fn services_without_selector_or_with_an_outside_name_are_not_judged() {
    let output = check(&[service(&json!({"clusterIP": "None"}))]).await;
    assert!(output.observations().is_empty());
    let output =
        check(&[service(&json!({"type": "ExternalName", "externalName": "db.partner.example"}))])
            .await;
    assert!(output.observations().is_empty());
    assert_eq!(output.relations()[0].to.name, "db.partner.example");
}

fn store() -> Value {
    let mut store = pod(
        "store-0",
        &json!({"metadata": {"labels": {"app": "shop", "part": "store"}},
        "spec": {"containers": [{"name": "db", "ports": [{"containerPort": 5432}]}]}}),
    );
    store["metadata"]["ownerReferences"] =
        json!([{"kind": "StatefulSet", "name": "store", "controller": true}]);
    store
}

#[tokio::test]
async fn pods_of_another_workload_behind_a_service_are_strangers() {
    let web = pod("web-7d-a", &json!({"metadata": {"labels": {"app": "shop", "part": "web"}}}));
    let wide = json!({"selector": {"app": "shop"}, "ports": [{"port": 80, "targetPort": 8080}]});
    let output = check(&[service(&wide), web.clone(), store()]).await;
    let seen = fact(&output, "service.selects_strangers");
    assert_eq!(
        (
            seen.attributes["why"].as_str(),
            seen.attributes["strangers"].as_str(),
            peer(seen).as_str()
        ),
        ("mixed", "StatefulSet store", "Deployment/web")
    );
    let other = json!({"selector": {"part": "store"}, "ports": [{"port": 80, "targetPort": 5432}]});
    let own = deployment("web", &json!({"app": "shop", "part": "web"}), 1);
    let output = check(&[service(&other), own, web.clone(), store()]).await;
    assert_eq!(fact(&output, "service.selects_strangers").attributes["why"], "other_workload");
    let right = json!({"selector": {"part": "web"}, "ports": [{"port": 80, "targetPort": 8080}]});
    let output = check(&[service(&right), web, store()]).await;
    assert!(facts(&output, "service.selects_strangers").is_empty());
    assert_eq!(facts(&output, "service.endpoints_ready").len(), 1);
}

#[tokio::test]
async fn a_port_of_another_protocol_leads_nowhere() {
    let udp = json!({"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080, "protocol": "UDP"}]});
    let output = check(&[service(&udp), pod("web-7d-a", &json!({}))]).await;
    let seen = fact(&output, "service.port_mismatch");
    assert_eq!(
        (seen.attributes["protocol"].as_str(), seen.attributes["certain"].as_str()),
        ("UDP", "true")
    );
}

#[tokio::test]
async fn endpoints_kept_by_hand_are_held_against_the_pods() {
    let by_hand = |ip: &str| json!({"kind": "Endpoints", "metadata": {"name": "web", "namespace": "shop"}, "subsets": [{"addresses": [{"ip": ip}]}]});
    let there = pod("web-7d-a", &json!({"status": {"podIP": "10.1.2.3"}}));
    for (ip, told) in [("10.1.2.9", 1), ("10.1.2.3", 0), ("192.0.2.7", 0)] {
        let output = check(&[service(&json!({})), by_hand(ip), there.clone()]).await;
        assert_eq!(facts(&output, "service.endpoints_stale").len(), told, "{ip}");
    }
    let mut none = by_hand("x");
    none["subsets"] = json!([]);
    let output = check(&[service(&json!({})), none, there]).await;
    assert_eq!(facts(&output, "service.no_endpoints").len(), 1);
}
