//! How a name becomes objects: none, one and several matches.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use plugin_cluster::{Cluster, How, Resolution, kit::Recording};
use serde_json::{Value, json};
use tempfile::TempDir;

fn deployment(namespace: &str, name: &str, labels: &Value) -> Value {
    json!({"kind": "Deployment", "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"template": {"metadata": {"labels": labels}}}})
}

fn service(namespace: &str, name: &str, selector: &Value) -> Value {
    json!({"kind": "Service", "metadata": {"namespace": namespace, "name": name}, "spec": {"selector": selector}})
}

fn cluster(objects: &[Value]) -> (TempDir, Cluster) {
    let dir = TempDir::new().unwrap();
    let recording = Recording::write(dir.path(), "2025-01-01T00:00:00Z", objects).unwrap();
    let cluster = recording.open().unwrap();
    (dir, cluster)
}

fn shop() -> (TempDir, Cluster) {
    cluster(&[
        deployment("shop", "cart-api", &json!({"app": "cart"})),
        deployment("shop", "checkout", &json!({"app.kubernetes.io/name": "till"})),
        deployment("shop", "mail-sender", &json!({"app": "mail"})),
        deployment("shop", "mail-reader", &json!({"app": "mail"})),
        deployment("pay", "ledger", &json!({"app": "ledger"})),
        deployment("shop", "twin", &json!({"app": "twin"})),
        deployment("pay", "twin", &json!({"app": "twin"})),
        service("shop", "basket", &json!({"app": "cart"})),
        json!({"kind": "ReplicaSet", "metadata": {"namespace": "shop", "name": "cart-api-7d",
            "ownerReferences": [{"kind": "Deployment", "name": "cart-api", "controller": true}]}}),
        json!({"kind": "Pod", "metadata": {"namespace": "shop", "name": "cart-api-7d-x1", "labels": {"app": "cart"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-api-7d", "controller": true}]}}),
        json!({"kind": "Node", "metadata": {"name": "node-1"}}),
    ])
}

fn workloads(answer: &Resolution) -> Vec<String> {
    answer.workloads.iter().map(|w| format!("{} {}/{}", w.kind, w.namespace, w.name)).collect()
}

#[tokio::test]
async fn each_step_of_the_rule_finds_what_the_one_before_did_not() {
    let (_dir, cluster) = shop();
    for (namespace, asked, how, want) in [
        ("shop", "checkout", How::Exact, vec!["Deployment shop/checkout"]),
        ("", "ledger", How::Exact, vec!["Deployment pay/ledger"]),
        ("shop", "basket", How::Exact, vec!["Deployment shop/cart-api"]),
        ("shop", "cart-api-7d-x1", How::Exact, vec!["Deployment shop/cart-api"]),
        ("shop", "till", How::Label, vec!["Deployment shop/checkout"]),
        ("shop", "cart", How::Label, vec!["Deployment shop/cart-api"]),
        (
            "shop",
            "mail",
            How::Label,
            vec!["Deployment shop/mail-reader", "Deployment shop/mail-sender"],
        ),
        ("shop", "check", How::Prefix, vec![]),
        ("shop", "checkout-5c9-zz", How::Prefix, vec!["Deployment shop/checkout"]),
        ("", "node-1", How::Exact, vec![]),
    ] {
        let answer = cluster.resolve(namespace, asked).await;
        if asked == "check" {
            // A prefix ends at a dash: half a word is no name.
            assert_eq!(answer.how, None);
            continue;
        }
        assert_eq!(answer.how, Some(how), "{asked}");
        assert_eq!(workloads(&answer), want, "{asked}");
    }
}

#[tokio::test]
async fn a_service_stands_for_the_workloads_it_selects_and_their_pods() {
    let (_dir, cluster) = shop();
    let answer = cluster.resolve("", "basket").await;
    assert_eq!(answer.namespace.as_deref(), Some("shop"));
    let signals: Vec<String> =
        answer.observations().iter().map(|o| o.as_wire().statement.clone()).collect();
    assert_eq!(
        signals,
        [
            "\"basket\" stands for Deployment cart-api (exact match)",
            "\"basket\" stands for Service basket (exact match)"
        ]
    );
    let pods = answer.pods(&cluster).await.unwrap();
    assert_eq!(pods.iter().map(|p| p.name()).collect::<Vec<_>>(), ["cart-api-7d-x1"]);
}

#[tokio::test]
async fn nothing_found_answers_with_the_nearest_names() {
    let (_dir, cluster) = shop();
    let answer = cluster.resolve("shop", "chekout").await;
    assert!(answer.is_unknown());
    assert_eq!(answer.nearest, ["checkout"]);
    let told = answer.observations();
    assert_eq!(told[0].signal(), "target.unknown");
    assert_eq!(told[0].as_wire().attributes["nearest"], "checkout");
    let elsewhere = cluster.resolve("shop", "ledgr").await;
    assert_eq!(elsewhere.nearest, ["pay/ledger"]);
    let nothing = cluster.resolve("shop", "zzzzzzzzzz").await;
    assert!(nothing.is_unknown() && nothing.nearest.is_empty());
    // A slip in the namespace: nothing at all lies there.
    let slip = cluster.resolve("shp", "checkout").await;
    assert!(slip.is_empty_there && !elsewhere.is_empty_there);
    assert_eq!(slip.nearest, ["shop/checkout"]);
    assert_eq!(slip.observations()[0].as_wire().attributes["empty_namespace"], "shp");
}

#[tokio::test]
async fn a_name_in_several_namespaces_is_told_and_not_guessed() {
    let (_dir, cluster) = shop();
    let answer = cluster.resolve("", "twin").await;
    assert!(answer.is_unknown());
    assert_eq!(answer.nearest, ["pay/twin", "shop/twin"]);
    let answer = cluster.resolve("pay", "twin").await;
    assert_eq!(workloads(&answer), ["Deployment pay/twin"]);
}

#[tokio::test]
async fn no_name_means_the_namespace_and_no_namespace_the_cluster() {
    let (_dir, cluster) = shop();
    let answer = cluster.resolve("shop", "").await;
    assert_eq!((answer.namespace.as_deref(), answer.is_unknown()), (Some("shop"), false));
    assert!(answer.observations().is_empty());
    assert_eq!(cluster.resolve("", " ").await.namespace, None);
}
