//! `check_pods` on health checks and references.

use agent_sdk::Output;
use plugin_pods::{args::Where, pods::check_pods};
use serde_json::{Value, json};

use crate::recorded::{fact, facts, merge, pod, speaking, waiting};

async fn run(objects: &[Value]) -> Output {
    let (_dir, cluster) = speaking(objects, &[]);
    check_pods(&cluster, &Where::default()).await.unwrap()
}

/// A container that runs without being ready, or crash-loops, with a check and a log.
async fn probed(part: &Value, log: &str) -> Output {
    let mut unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2025-05-01T11:00:00Z"}],
        "containerStatuses": [{"name": "app", "ready": false, "restartCount": 0, "state": {"running": {"startedAt": "2025-05-01T10:59:00Z"}}}]}});
    merge(&mut unready, part);
    let (_dir, cluster) = speaking(&[pod("web-7d-a", &unready)], &[("shop/web-7d-a/app.log", log)]);
    check_pods(&cluster, &Where::default()).await.unwrap()
}

fn check(field: &str, probe: Value) -> Value {
    json!({"spec": {"containers": [{"name": "app", "image": "r/x:1", field: probe}]}})
}

#[tokio::test]
async fn a_check_is_held_against_where_the_program_says_it_listens() {
    let log = "2025-05-01T10:59:01Z INFO HTTP server listening on 0.0.0.0:8080\n";
    for (port, told) in [(8081, 1), (8080, 0)] {
        let output =
            probed(&check("readinessProbe", json!({"httpGet": {"port": port, "path": "/r"}})), log)
                .await;
        let seen = facts(&output, "container.probe_port_unserved");
        assert_eq!(seen.len(), told, "{port}");
        if told == 1 {
            assert_eq!(
                (seen[0].attributes["served"].as_str(), seen[0].attributes["probe"].as_str()),
                ("8080", "readiness")
            );
        }
    }
}

#[tokio::test]
async fn answers_to_the_kubelet_tell_whose_fault_a_failed_check_is() {
    for (status, fault) in [("404", Some("probe")), ("503", Some("program")), ("200", None)] {
        let log = format!("2025-05-01T11:01:00Z 10.0.0.1 - - [x] \"GET /r HTTP/1.1\" {status} 9 \"-\" \"kube-probe/1.31\"\n").repeat(3);
        let output = probed(
            &check("readinessProbe", json!({"httpGet": {"port": 8080, "path": "/r"}})),
            &log,
        )
        .await;
        let seen = facts(&output, "container.probe_answered");
        assert_eq!(seen.first().map(|o| o.attributes["fault"].as_str()), fault, "{status}");
    }
}

#[tokio::test]
async fn a_run_that_ends_with_the_patience_of_a_check_is_told_without_events() {
    let ended = |field: &str, probe: Value, finished: &str, code: i64| {
        let mut part = check(field, probe);
        merge(
            &mut part,
            &json!({"status": {"containerStatuses": [{"name": "app", "ready": false, "restartCount": 4,
            "state": {"running": {"startedAt": "2025-05-01T11:59:00Z"}},
            "lastState": {"terminated": {"exitCode": code, "reason": "Error", "startedAt": "2025-05-01T11:50:00Z", "finishedAt": finished}}}]}}),
        );
        part
    };
    let startup = json!({"httpGet": {"port": 8080}, "periodSeconds": 5, "failureThreshold": 6});
    let liveness = json!({"httpGet": {"port": 8080}, "initialDelaySeconds": 10});
    for (part, told) in [
        (ended("startupProbe", startup.clone(), "2025-05-01T11:50:30Z", 143), Some("startup")),
        (ended("startupProbe", startup.clone(), "2025-05-01T11:51:00Z", 137), Some("startup")),
        (ended("livenessProbe", liveness.clone(), "2025-05-01T11:50:33Z", 143), Some("liveness")),
        (ended("livenessProbe", liveness.clone(), "2025-05-01T11:58:00Z", 137), None),
        (ended("livenessProbe", liveness, "2025-05-01T11:50:33Z", 1), None),
    ] {
        let output = probed(&part, "").await;
        let seen = facts(&output, "container.ended_at_probe_limit");
        assert_eq!(seen.first().map(|o| o.attributes["probe"].as_str()), told, "{part}");
    }
}

#[tokio::test]
async fn a_missing_key_names_the_nearest_and_another_namespace_is_hinted_at() {
    let stuck = |source: Value| {
        let mut part = json!({"spec": {"containers": [{"name": "app", "env": [{"name": "X", "valueFrom": source}]}]},
            "status": {"phase": "Pending"}});
        merge(&mut part, &waiting("ContainerCreating", ""));
        pod("web-7d-a", &part)
    };
    let config = |ns: &str, name: &str| json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": ns}, "data": {"db.host": "x"}});
    let key = stuck(json!({"configMapKeyRef": {"name": "settings", "key": "db_host"}}));
    let output = run(&[key, config("shop", "settings")]).await;
    let seen = fact(&output, "config.key_missing");
    assert_eq!(
        (seen.attributes["key"].as_str(), seen.attributes["nearest"].as_str()),
        ("db_host", "it has db.host")
    );
    let object = stuck(json!({"configMapKeyRef": {"name": "settings", "key": "db.host"}}));
    let output = run(&[object.clone(), config("stage", "settings")]).await;
    assert_eq!(
        fact(&output, "config.missing").attributes["nearest"],
        "one of that name is in namespace stage"
    );
    let output = run(&[object, config("shop", "setting")]).await;
    assert_eq!(fact(&output, "config.missing").attributes["nearest"], "the nearest is setting");
    let optional =
        stuck(json!({"configMapKeyRef": {"name": "gone", "key": "x", "optional": true}}));
    let output = run(&[optional, config("shop", "settings")]).await;
    assert!(facts(&output, "config.missing").is_empty());
}
