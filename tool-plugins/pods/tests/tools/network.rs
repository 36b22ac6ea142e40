//! `check_policies` on connections that network policies leave out.

use agent_sdk::Output;
use plugin_pods::{args::Where, policies::check_policies};
use serde_json::{Value, json};

use crate::recorded::{fact, facts, merge, peer, pod, speaking};

/// A caller that is told of a database, and the database.
fn shop() -> Vec<Value> {
    let mut caller = pod(
        "web-7d-a",
        &json!({"spec": {"containers": [{"name": "app", "env": [
        {"name": "DATABASE_URL", "value": "postgresql://u:p@store:5432/x"}]}]}}),
    );
    merge(&mut caller, &json!({"metadata": {"labels": {"app": "web"}}}));
    let mut store = pod(
        "store-0",
        &json!({"spec": {"containers": [{"name": "db",
        "ports": [{"name": "sql", "containerPort": 5432}]}]}, "status": {"podIP": "10.1.0.9"}}),
    );
    store["metadata"]["labels"] = json!({"app": "store"});
    store["metadata"]["ownerReferences"] =
        json!([{"kind": "StatefulSet", "name": "store", "controller": true}]);
    vec![
        caller,
        store,
        json!({"kind": "Service", "metadata": {"name": "store", "namespace": "shop"},
            "spec": {"selector": {"app": "store"}, "clusterIP": "10.96.0.9", "ports": [{"port": 5432, "targetPort": "sql"}]}}),
        json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "shop"}}}),
    ]
}

fn policy(name: &str, spec: Value) -> Value {
    json!({"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"}, "spec": spec})
}

fn closed() -> Value {
    policy("closed", json!({"podSelector": {}, "policyTypes": ["Ingress"]}))
}

fn lets(name: &str, rule: Value) -> Value {
    policy(
        name,
        json!({"podSelector": {"matchLabels": {"app": "store"}}, "policyTypes": ["Ingress"], "ingress": [rule]}),
    )
}

async fn check(policies: &[Value], logs: &[(&str, &str)]) -> Output {
    let mut all = shop();
    all.extend(policies.iter().cloned());
    let (_dir, cluster) = speaking(&all, logs);
    check_policies(&cluster, &Where { namespace: "shop".to_owned(), service: String::new() })
        .await
        .unwrap()
}

/// What it is about, the policies, and who is blamed why.
type Row = (&'static str, Vec<Value>, Option<(&'static str, &'static str)>);

#[tokio::test]
async fn policies_are_held_against_a_needed_connection_as_a_set() {
    let from = |peer: Value, port: Value| json!({"from": [peer], "ports": [{"port": port}]});
    let web = json!({"podSelector": {"matchLabels": {"app": "web"}}});
    let table: Vec<Row> = vec![
        ("no policy", vec![], None),
        ("denied by default", vec![closed()], Some(("closed", "no_rule"))),
        ("allowed by another", vec![closed(), lets("open", from(web.clone(), json!(5432)))], None),
        ("by the name of the port", vec![lets("open", from(web.clone(), json!("sql")))], None),
        (
            "wrong port",
            vec![closed(), lets("open", from(web.clone(), json!(3306)))],
            Some(("open", "port")),
        ),
        (
            "a range of ports",
            vec![lets(
                "open",
                json!({"from": [web.clone()], "ports": [{"port": 5000, "endPort": 6000}]}),
            )],
            None,
        ),
        (
            "wrong labels",
            vec![
                closed(),
                lets(
                    "open",
                    from(json!({"podSelector": {"matchLabels": {"app": "wbe"}}}), json!(5432)),
                ),
            ],
            Some(("open", "labels")),
        ),
        (
            "wrong namespace",
            vec![lets(
                "open",
                from(
                    json!({"namespaceSelector": {"matchLabels": {"team": "x"}}, "podSelector": {"matchLabels": {"app": "web"}}}),
                    json!(5432),
                ),
            )],
            Some(("open", "namespace")),
        ),
        (
            "right namespace",
            vec![lets(
                "open",
                from(json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}), json!(5432)),
            )],
            None,
        ),
        ("an empty rule takes all", vec![closed(), lets("open", json!({}))], None),
        (
            "egress closed",
            vec![policy(
                "out",
                json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 443}]}]}),
            )],
            Some(("out", "port")),
        ),
        (
            "egress to a block that holds the pod",
            vec![policy(
                "out",
                json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}),
            )],
            None,
        ),
        (
            "egress to a block that leaves the pod out",
            vec![policy(
                "out",
                json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]}),
            )],
            Some(("out", "no_rule")),
        ),
    ];
    for (what, policies, want) in table {
        let output = check(&policies, &[]).await;
        let told: Vec<(&str, &str)> = facts(&output, "policy.network_denied")
            .iter()
            .map(|o| (o.subject.as_ref().unwrap().name.as_str(), o.attributes["why"].as_str()))
            .collect();
        assert_eq!(told, want.into_iter().collect::<Vec<_>>(), "{what}");
        let allowed = facts(&output, "policy.network_allowed").len();
        assert_eq!(allowed, usize::from(want.is_none() && !policies.is_empty()), "{what}");
    }
}

#[tokio::test]
async fn lines_that_tell_of_it_and_the_policy_edited_last_are_named() {
    let mut edited = closed();
    edited["metadata"]["name"] = json!("edited");
    edited["metadata"]["managedFields"] =
        json!([{"manager": "someone", "time": "2025-05-01T11:00:00Z", "fieldsV1": {"f:spec": {}}}]);
    let line = "2025-05-01T11:05:00Z ERROR dial tcp 10.96.0.9:5432: i/o timeout\n";
    let output = check(&[closed(), edited], &[("shop/web-7d-a/app.log", line)]).await;
    let seen = fact(&output, "policy.network_denied");
    assert_eq!(seen.subject.as_ref().unwrap().name, "edited");
    assert_eq!(
        ["seen", "port", "from", "to", "direction"].map(|k| seen.attributes[k].as_str()),
        ["env,logs", "5432", "shop/web", "shop/store", "ingress"]
    );
    assert_eq!(peer(seen), "Deployment/web");
}

#[tokio::test]
async fn a_closed_egress_without_dns_is_told_as_such() {
    let mut dns = pod(
        "dns-1",
        &json!({"metadata": {"namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}}),
    );
    dns["metadata"]["ownerReferences"] = json!([]);
    let out = |more: Value| {
        let mut rules = vec![json!({"to": [{"podSelector": {}}]})];
        rules.extend(more.as_array().unwrap().clone());
        policy(
            "out",
            json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": rules}),
        )
    };
    let output = check(&[dns.clone(), out(json!([]))], &[]).await;
    let seen = fact(&output, "policy.network_denied");
    assert_eq!((seen.attributes["why"].as_str(), seen.attributes["port"].as_str()), ("dns", "53"));
    let names =
        json!([{"to": [{"namespaceSelector": {}}], "ports": [{"protocol": "UDP", "port": 53}]}]);
    let output = check(&[dns, out(names)], &[]).await;
    assert!(facts(&output, "policy.network_denied").is_empty());
}

#[tokio::test]
async fn an_outside_host_that_no_block_covers_is_denied() {
    let mut caller = pod(
        "web-7d-a",
        &json!({"spec": {"containers": [{"name": "app", "env": [
        {"name": "PARTNER", "value": "https://api.partner.example/v1"}]}]}}),
    );
    merge(&mut caller, &json!({"metadata": {"labels": {"app": "web"}}}));
    for (rules, denied) in [
        (json!([{"to": [{"podSelector": {}}]}]), 1),
        (json!([{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"port": 443}]}]), 0),
        (json!([{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]), 1),
    ] {
        let out =
            policy("out", json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}));
        let (_dir, cluster) = speaking(&[caller.clone(), out], &[]);
        let output = check_policies(&cluster, &Where::default()).await.unwrap();
        assert_eq!(facts(&output, "policy.network_denied").len(), denied, "{rules}");
    }
}
