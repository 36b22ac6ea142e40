//! `check_policies` on rights that were refused.

use agent_sdk::Output;
use plugin_pods::{args::Where, policies::check_policies};
use serde_json::{Value, json};

use crate::recorded::{fact, facts, peer, pod, speaking, start};

const REFUSED: &str = r#"2025-05-01T11:10:00Z E0501 reflector.go:150: failed to list *v1.ConfigMap: configmaps is forbidden: User "system:serviceaccount:shop:robot" cannot list resource "configmaps" in API group "" in the namespace "shop""#;

async fn check(objects: &[Value]) -> Output {
    let mut all = vec![pod("web-7d-a", &json!({"spec": {"serviceAccountName": "robot"}}))];
    all.extend(objects.iter().cloned());
    let (_dir, cluster) = speaking(&all, &[("shop/web-7d-a/app.log", REFUSED)]);
    check_policies(&cluster, &Where::default()).await.unwrap()
}

fn role(name: &str, verbs: &[&str]) -> Value {
    json!({"kind": "Role", "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z",
        "managedFields": [{"manager": "someone", "time": "2025-05-01T11:00:00Z", "fieldsV1": {"f:rules": {}}}]},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]})
}

fn binding(name: &str, namespace: &str, role: &str, subject: (&str, &str)) -> Value {
    json!({"kind": "RoleBinding", "metadata": {"name": name, "namespace": namespace, "creationTimestamp": "2025-01-01T00:00:00Z"},
        "roleRef": {"kind": "Role", "name": role},
        "subjects": [{"kind": "ServiceAccount", "namespace": subject.0, "name": subject.1}]})
}

#[tokio::test]
async fn the_role_that_lacks_the_verb_is_named_with_what_it_has() {
    let output =
        check(&[role("reader", &["get"]), binding("reads", "shop", "reader", ("shop", "robot"))])
            .await;
    let seen = fact(&output, "policy.rbac_forbidden");
    assert_eq!(seen.subject.as_ref().unwrap().kind, "Role");
    for (key, want) in [
        ("why", "verb_missing"),
        ("verb", "list"),
        ("resource", "configmaps"),
        ("has", "configmaps: get"),
        ("scope", "shop"),
        ("service_account", "shop:robot"),
    ] {
        assert_eq!(seen.attributes[key], want, "{key}");
    }
    assert_eq!(
        (peer(seen).as_str(), start(seen).as_str()),
        ("Deployment/web", "2025-05-01T11:00:00Z")
    );
}

#[tokio::test]
async fn who_is_to_blame_follows_from_the_bindings() {
    let lists = &["get", "list"];
    let table: [(&str, Vec<Value>, &str, &str); 6] = [
        (
            "a binding that names another account",
            vec![role("reader", lists), binding("reads", "shop", "reader", ("shop", "robots"))],
            "RoleBinding/reads",
            "wrong_subject",
        ),
        (
            "a binding that names the account of another namespace",
            vec![role("reader", lists), binding("reads", "shop", "reader", ("stage", "robot"))],
            "RoleBinding/reads",
            "wrong_namespace",
        ),
        (
            "a binding to a role that is gone",
            vec![role("other", lists), binding("reads", "shop", "reader", ("shop", "robot"))],
            "Role/reader",
            "role_missing",
        ),
        ("a role without a binding", vec![role("reader", lists)], "Role/reader", "binding_missing"),
        (
            "nothing that gives it",
            vec![role("reader", &["get"])],
            "ServiceAccount/robot",
            "nothing_bound",
        ),
        ("no role recorded", vec![], "ServiceAccount/robot", "nothing_bound"),
    ];
    for (what, objects, blamed, why) in table {
        let output = check(&objects).await;
        let seen = fact(&output, "policy.rbac_forbidden");
        let subject = seen.subject.as_ref().unwrap();
        assert_eq!(format!("{}/{}", subject.kind, subject.name), blamed, "{what}");
        assert_eq!(seen.attributes["why"], why, "{what}");
    }
}

#[tokio::test]
async fn a_workload_that_changed_its_account_is_to_blame_itself() {
    let set = |name: &str, account: &str, made: &str| {
        json!({"kind": "ReplicaSet", "metadata": {"name": name, "namespace": "shop", "creationTimestamp": made,
            "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": true}]},
            "spec": {"template": {"spec": {"serviceAccountName": account}}}})
    };
    let output = check(&[
        set("web-1a", "keeper", "2025-01-01T00:00:00Z"),
        set("web-7d", "robot", "2025-05-01T11:05:00Z"),
        role("reader", &["get", "list"]),
        binding("reads", "shop", "reader", ("shop", "keeper")),
    ])
    .await;
    let seen = fact(&output, "policy.rbac_forbidden");
    assert_eq!(seen.subject.as_ref().unwrap().kind, "Deployment");
    assert_eq!(
        (seen.attributes["why"].as_str(), start(seen).as_str()),
        ("other_account", "2025-05-01T11:05:00Z")
    );
}

#[tokio::test]
async fn a_right_that_is_given_by_now_is_not_missed() {
    let output =
        check(&[role("reader", &["*"]), binding("reads", "shop", "reader", ("shop", "robot"))])
            .await;
    assert!(facts(&output, "policy.rbac_forbidden").is_empty());
}

#[tokio::test]
async fn a_right_refused_as_far_back_as_the_log_goes_is_lived_with() {
    let old = REFUSED.replace("11:10:00", "10:02:00");
    let other = "2025-05-01T10:00:00Z INFO all is well\n";
    let objects = [pod("web-7d-a", &json!({"spec": {"serviceAccountName": "robot"}}))];
    for (log, always) in [(format!("{other}{old}"), 1), (format!("{other}{REFUSED}"), 0)] {
        let (_dir, cluster) = speaking(&objects, &[("shop/web-7d-a/app.log", &log)]);
        let output = check_policies(&cluster, &Where::default()).await.unwrap();
        assert_eq!(facts(&output, "policy.refused_always").len(), always);
        assert_eq!(facts(&output, "policy.rbac_forbidden").len(), 1 - always);
    }
}
