//! Pods of a real kubelet whose containers obey their command: states, texts and back-off are the
//! kubelet's own.

use agent_tests::control_plane::{
    ControlPlane,
    namespace::{Namespace, container, name_of, text},
    nodes::condition,
};
use serde_json::{Value, json};

/// Makes a pod of one container.
async fn run(here: &Namespace<'_>, name: &str, container: Value) {
    let mut container = container;
    container["name"] = json!("main");
    if container["image"].is_null() {
        container["image"] = json!("registry.example/any:1");
    }
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "containers": [container], "terminationGracePeriodSeconds": 1 } });
    here.api().post(&here.path("pods"), &pod).await.unwrap().good().unwrap();
}

#[tokio::test]
async fn a_container_over_its_memory_limit_crash_loops_and_its_last_words_can_be_read() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let here = plane.namespace("oom").await.unwrap();
    let words = ["simulate", "log", "page 1", "wait", "200ms", "err", "page 2", "oom"];
    run(&here, "renderer", json!({ "command": words })).await;
    let pod = here.waiting("renderer", "CrashLoopBackOff").await.unwrap();
    let last = &container(&pod)["lastState"]["terminated"];
    assert_eq!((&last["reason"], &last["exitCode"]), (&json!("OOMKilled"), &json!(137)));
    let message = text(container(&pod), "/state/waiting/message").unwrap();
    assert!(message.contains("restarting failed container=main"), "{message}");
    here.event("renderer", "BackOff", "Back-off restarting failed container").await.unwrap();
    let log = here.pod_log("renderer", "previous=true").await.unwrap();
    assert_eq!(log.text, "page 1\npage 2\n");
    let printed = here.kubectl(&["logs", "renderer", "--previous", "--tail=1"]).await.unwrap();
    assert_eq!(printed, "page 2\n");
}

#[tokio::test]
async fn an_image_that_is_not_there_is_told_of_in_the_words_of_a_runtime() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let here = plane.namespace("images").await.unwrap();
    run(&here, "absent", json!({ "image": "registry.example/shop/cart:9-absent" })).await;
    run(&here, "locked", json!({ "image": "registry.example/private/cart:9" })).await;
    run(&here, "nowhere", json!({ "image": "unreachable.example/shop/cart:9" })).await;
    for (pod, words) in [
        ("absent", "registry.example/shop/cart:9-absent: not found"),
        ("locked", "401 Unauthorized"),
        ("nowhere", "dial tcp: lookup unreachable.example: no such host"),
    ] {
        here.event(pod, "Failed", "ErrImagePull").await.unwrap();
        here.event(pod, "Failed", words).await.unwrap();
        let pod = here.waiting(pod, "ImagePullBackOff").await.unwrap();
        let message = text(container(&pod), "/state/waiting/message").unwrap();
        assert!(message.contains("Back-off pulling image"), "{message}");
    }
}

#[tokio::test]
async fn a_key_that_its_configmap_does_not_have_keeps_a_container_from_being_made() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let here = plane.namespace("keys").await.unwrap();
    let settings = json!({ "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "settings" }, "data": { "host": "a.example" } });
    here.api().post(&here.path("configmaps"), &settings).await.unwrap().good().unwrap();
    let key = |key: &str| {
        json!({ "command": ["simulate", "log", "to $(HOST)"], "env": [{ "name": "HOST",
            "valueFrom": { "configMapKeyRef": { "name": "settings", "key": key } } }] })
    };
    run(&here, "without", key("hostname")).await;
    run(&here, "with", key("host")).await;
    let pod = here.waiting("without", "CreateContainerConfigError").await.unwrap();
    let message = text(container(&pod), "/state/waiting/message").unwrap();
    assert!(message.contains("couldn't find key hostname in ConfigMap"), "{message}");
    here.pod("with", "ready", |pod| condition(pod, "Ready") == Some("True")).await.unwrap();
    assert_eq!(here.pod_log("with", "").await.unwrap().text, "to a.example\n");
    // What the apiserver says of a log that is not there yet.
    let none = here.pod_log("without", "").await.unwrap();
    assert_eq!(none.status, 400);
    assert!(none.text.contains("is waiting to start"), "{}", none.text);
}

#[tokio::test]
async fn probes_are_really_made_and_fail_as_the_command_says() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let here = plane.namespace("probes").await.unwrap();
    let failing = ["log", "no connection to db.example:5432", "exit", "1"];
    let probe = json!({ "exec": { "command": failing }, "periodSeconds": 1 });
    run(&here, "unready", json!({ "readinessProbe": probe })).await;
    let later = ["older", "2s", "log", "deadlock", "exit", "1"];
    let probe = json!({ "exec": { "command": later }, "periodSeconds": 1, "failureThreshold": 1 });
    run(&here, "unwell", json!({ "livenessProbe": probe })).await;
    let port = agent_tests::control_plane::free_port().unwrap();
    let serving = ["simulate", "serve", &format!("127.0.0.1:{port}"), "503"];
    let probe = json!({ "httpGet": { "host": "127.0.0.1", "port": port }, "periodSeconds": 1 });
    run(&here, "overloaded", json!({ "command": serving, "readinessProbe": probe })).await;
    for (pod, words) in [
        ("unready", "Readiness probe failed: no connection to db.example:5432"),
        ("unwell", "Liveness probe failed: deadlock"),
        ("overloaded", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ] {
        here.event(pod, "Unhealthy", words).await.unwrap();
    }
    here.event("unwell", "Killing", "failed liveness probe, will be restarted").await.unwrap();
    let pod = here.get("pods/unready").await.unwrap();
    assert_eq!((condition(&pod, "Ready"), name_of(&pod)), (Some("False"), "unready"));
}

#[tokio::test]
async fn a_pod_that_no_node_has_room_for_stays_pending_and_has_an_empty_log() {
    let Some(plane) = ControlPlane::shared_with_node().await.unwrap() else { return };
    let here = plane.namespace("room").await.unwrap();
    run(&here, "huge", json!({ "resources": { "requests": { "cpu": "900" } } })).await;
    here.event("huge", "FailedScheduling", "Insufficient cpu").await.unwrap();
    let pod = here.get("pods/huge").await.unwrap();
    assert_eq!(condition(&pod, "PodScheduled"), Some("False"));
    let log = here.pod_log("huge", "").await.unwrap();
    assert!(log.status.is_success() && log.text.is_empty(), "{log:?}");
}
