//! `check_rollouts`.

use agent_sdk::Output;
use plugin_pods::{args::Where, rollouts::check_rollouts};
use serde_json::{Value, json};

use crate::recorded::{cluster, fact, facts, merge, peer, pod, start, waiting};

async fn check(objects: &[Value]) -> Output {
    let (_dir, cluster) = cluster(objects);
    check_rollouts(&cluster, &Where::default()).await.unwrap()
}

fn deployment(part: &Value) -> Value {
    let mut web = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z"},
        "spec": {"replicas": 1}, "status": {"readyReplicas": 1}});
    merge(&mut web, part);
    web
}

fn replica_set(name: &str, revision: i64, created: &str, image: &str) -> Value {
    json!({"kind": "ReplicaSet", "metadata": {"name": name, "namespace": "shop", "creationTimestamp": created,
            "annotations": {"deployment.kubernetes.io/revision": revision.to_string()},
            "ownerReferences": [{"kind": "Deployment", "name": "web", "controller": true}]},
        "spec": {"replicas": 1, "template": {"spec": {"containers": [{"name": "app", "image": image}]}}},
        "status": {"readyReplicas": 1}})
}

#[tokio::test]
async fn a_rollout_tells_each_value_old_and_new_and_when() {
    let output = check(&[
        deployment(&json!({})),
        replica_set("web-1", 9, "2025-03-01T00:00:00Z", "r/web:1"),
        replica_set("web-2", 10, "2025-05-01T11:30:00Z", "r/web:2"),
    ])
    .await;
    let seen = fact(&output, "workload.rolled_out");
    assert_eq!(start(seen), "2025-05-01T11:30:00Z");
    assert_eq!(seen.attributes["change.containers[app].image"], "r/web:1 -> r/web:2");
    assert_eq!(
        (
            seen.attributes["fields"].as_str(),
            seen.attributes["image_new"].as_str(),
            seen.attributes["revision"].as_str()
        ),
        ("image", "r/web:2", "10")
    );
}

#[tokio::test]
async fn going_back_to_an_old_revision_is_dated_by_the_edit_and_not_by_its_age() {
    let edited = json!({"metadata": {"managedFields": [{"manager": "kubectl-rollout", "time": "2025-05-01T11:45:00Z", "fieldsV1": {"f:spec": {"f:template": {}}}}]}});
    let output = check(&[
        deployment(&edited),
        replica_set("web-1", 3, "2025-03-01T00:00:00Z", "r/web:1"),
        replica_set("web-2", 2, "2025-04-30T11:30:00Z", "r/web:2"),
    ])
    .await;
    let seen = fact(&output, "workload.rolled_out");
    assert_eq!(start(seen), "2025-05-01T11:45:00Z");
    assert_eq!(seen.attributes["image_new"], "r/web:1");
}

#[tokio::test]
async fn an_old_rollout_is_not_told() {
    let output = check(&[
        deployment(&json!({})),
        replica_set("web-1", 1, "2025-03-01T00:00:00Z", "r/web:1"),
        replica_set("web-2", 2, "2025-04-01T11:30:00Z", "r/web:2"),
    ])
    .await;
    assert!(output.observations().is_empty());
}

#[tokio::test]
async fn a_stateful_set_is_compared_by_its_controller_revisions_or_dated_by_its_edit() {
    let set = json!({"kind": "StatefulSet", "metadata": {"name": "db", "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z",
        "managedFields": [{"manager": "kubectl-edit", "time": "2025-05-01T11:00:00Z", "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"db\"}": {"f:resources": {}}}}}}}}]},
        "spec": {"replicas": 1}, "status": {"readyReplicas": 1}});
    let revision = |number: i64, created: &str, memory: &str| {
        json!({"kind": "ControllerRevision", "revision": number, "metadata": {"name": format!("db-{number}"), "namespace": "shop", "creationTimestamp": created,
                "ownerReferences": [{"kind": "StatefulSet", "name": "db", "controller": true}]},
            "data": {"spec": {"template": {"spec": {"containers": [{"name": "db", "resources": {"limits": {"memory": memory}}}]}}}}})
    };
    let dated = check(std::slice::from_ref(&set)).await;
    let seen = fact(&dated, "workload.rolled_out");
    assert_eq!(
        (start(seen).as_str(), seen.attributes["fields"].as_str()),
        ("2025-05-01T11:00:00Z", "resources")
    );
    let compared = check(&[
        set,
        revision(1, "2025-02-01T00:00:00Z", "1Gi"),
        revision(2, "2025-05-01T11:00:01Z", "256Mi"),
    ])
    .await;
    let seen = fact(&compared, "workload.rolled_out");
    assert_eq!(seen.attributes["change.containers[db].resources.limits.memory"], "1Gi -> 256Mi");
}

#[tokio::test]
async fn a_rollout_without_a_ready_pod_is_stuck_unless_it_had_come_through() {
    let mut new = replica_set("web-7d", 2, "2025-05-01T11:30:00Z", "r/web:2");
    new["status"]["readyReplicas"] = json!(0);
    let old = replica_set("web-1", 1, "2025-03-01T00:00:00Z", "r/web:1");
    let progressing = |reason: &str| {
        deployment(
            &json!({"status": {"readyReplicas": 0, "conditions": [{"type": "Progressing", "status": "True", "reason": reason}]}}),
        )
    };
    let failing = pod("web-7d-a", &waiting("CrashLoopBackOff", ""));
    let stuck =
        check(&[progressing("ReplicaSetUpdated"), old.clone(), new.clone(), failing.clone()]).await;
    assert_eq!(start(fact(&stuck, "workload.rollout_stuck")), "2025-05-01T11:30:00Z");
    let missing = fact(&stuck, "workload.replicas_missing");
    assert_eq!(
        (missing.value, missing.baseline, start(missing).as_str()),
        (Some(0.0), Some(1.0), "2025-05-01T11:00:00Z")
    );
    let came_through = check(&[progressing("NewReplicaSetAvailable"), old, new, failing]).await;
    assert!(facts(&came_through, "workload.rollout_stuck").is_empty());
}

#[tokio::test]
async fn a_rollout_past_its_deadline_quotes_the_controller() {
    let mut new = replica_set("web-7d", 2, "2025-05-01T11:30:00Z", "r/web:2");
    new["status"]["readyReplicas"] = json!(0);
    let late = json!({"status": {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out progressing"}]}});
    let output = check(&[
        deployment(&late),
        replica_set("web-1", 1, "2025-03-01T00:00:00Z", "r/web:1"),
        new,
    ])
    .await;
    let seen = fact(&output, "workload.rollout_stuck");
    assert_eq!(
        (seen.attributes["reason"].as_str(), seen.quote.as_str()),
        ("ProgressDeadlineExceeded", "timed out progressing")
    );
}

#[tokio::test]
async fn a_quota_that_refuses_pods_is_named() {
    let refused = json!({"status": {"readyReplicas": 0, "conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "pods \"web-7d-a\" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9, limited: pods=9", "lastTransitionTime": "2025-05-01T11:00:00Z"}]}});
    let output = check(&[deployment(&refused)]).await;
    let seen = fact(&output, "policy.quota_exceeded");
    assert_eq!(seen.subject.as_ref().unwrap().name, "team");
    assert_eq!(peer(seen), "Deployment/web");
}

#[tokio::test]
async fn scaling_and_retirement_are_told_with_who_and_why() {
    let scaled = |replicas: i64| {
        deployment(
            &json!({"metadata": {"annotations": {"team.example/reason": "retired, see the notes", "deployment.kubernetes.io/revision": "3"},
            "managedFields": [{"manager": "kubectl-scale", "time": "2025-05-01T09:00:00Z", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
            "spec": {"replicas": replicas}, "status": {"readyReplicas": replicas}}),
        )
    };
    let output = check(&[scaled(5)]).await;
    let seen = fact(&output, "workload.scaled");
    assert_eq!(
        (seen.attributes["to"].as_str(), seen.attributes["manager"].as_str()),
        ("5", "kubectl-scale")
    );
    let output = check(&[scaled(0)]).await;
    let seen = fact(&output, "workload.scaled_to_zero");
    assert_eq!(seen.attributes["reason"], "team.example/reason: retired, see the notes");
    assert_eq!(start(seen), "2025-05-01T09:00:00Z");
}

#[tokio::test]
async fn pods_made_anew_without_a_rollout_are_a_change() {
    let mut anew = pod("web-7d-a", &json!({}));
    anew["metadata"]["creationTimestamp"] = json!("2025-05-01T11:10:00Z");
    let settled =
        [deployment(&json!({})), replica_set("web-7d", 1, "2025-03-01T00:00:00Z", "r/web:1")];
    let output = check(&[settled[0].clone(), settled[1].clone(), anew.clone()]).await;
    assert_eq!(start(fact(&output, "workload.pods_replaced")), "2025-05-01T11:10:00Z");
    let rolled = replica_set("web-7d", 2, "2025-05-01T11:09:50Z", "r/web:2");
    let output = check(&[settled[0].clone(), rolled, anew]).await;
    assert!(facts(&output, "workload.pods_replaced").is_empty());
}

fn config(name: &str, edited: &str) -> Value {
    json!({"kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2025-01-01T00:00:00Z", "managedFields": [
            {"manager": "helm", "time": "2025-01-01T00:00:00Z", "fieldsV1": {"f:data": {}}},
            {"manager": "kubectl-edit", "time": edited, "fieldsV1": {"f:data": {"f:app.conf": {}}}}]},
        "data": {"app.conf": "workers 2\npassword hunter2\nurl http://u:hunter2@db/x\n", "other": "kept back"}})
}

#[tokio::test]
async fn an_edit_of_configuration_within_a_day_is_told_without_lines_that_may_hold_secrets() {
    let output = check(&[
        deployment(&json!({})),
        config("now", "2025-05-01T11:40:00Z"),
        config("long-ago", "2025-04-20T00:00:00Z"),
        config("never", "2025-01-01T00:00:00Z"),
    ])
    .await;
    let seen = fact(&output, "config.changed");
    assert_eq!(
        (seen.subject.as_ref().unwrap().name.as_str(), start(seen).as_str()),
        ("now", "2025-05-01T11:40:00Z")
    );
    assert_eq!(
        (seen.attributes["keys"].as_str(), seen.attributes["manager"].as_str()),
        ("app.conf", "kubectl-edit")
    );
    assert_eq!(seen.quote, "app.conf:\nworkers 2");
}

#[tokio::test]
async fn an_edited_secret_is_told_by_name_and_key_only() {
    let mut secret = config("login", "2025-05-01T11:40:00Z");
    merge(&mut secret, &json!({"kind": "Secret", "data": {"app.conf": "aHVudGVyMg=="}}));
    let output = check(&[deployment(&json!({})), secret]).await;
    let seen = fact(&output, "config.changed");
    assert_eq!((seen.attributes["keys"].as_str(), seen.quote.as_str()), ("app.conf", ""));
}

#[tokio::test]
async fn a_secret_made_anew_in_an_old_namespace_is_a_change() {
    let made = json!({"kind": "Secret", "metadata": {"name": "login", "namespace": "shop", "creationTimestamp": "2025-05-01T11:00:00Z"}});
    let output = check(&[deployment(&json!({})), made.clone()]).await;
    assert_eq!(fact(&output, "config.changed").attributes["how"], "created");
    let mut fresh = deployment(&json!({}));
    fresh["metadata"]["creationTimestamp"] = json!("2025-05-01T11:00:01Z");
    let output = check(&[fresh, made]).await;
    assert!(facts(&output, "config.changed").is_empty());
}

#[tokio::test]
async fn jobs_that_gave_up_name_their_cron_job_and_newest_successes_are_health() {
    let job = |name: &str, status: Value| {
        json!({"kind": "Job", "metadata": {"name": name, "namespace": "shop", "ownerReferences": [{"kind": "CronJob", "name": "nightly", "controller": true}]},
            "spec": {"backoffLimit": 2}, "status": status})
    };
    let output = check(&[
        deployment(&json!({})),
        job("nightly-3", json!({"failed": 3, "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "lastTransitionTime": "2025-05-01T02:00:00Z"}]})),
        job("nightly-2", json!({"completionTime": "2025-04-30T02:00:00Z"})),
        job("nightly-1", json!({"completionTime": "2025-04-29T02:00:00Z"})),
    ])
    .await;
    let seen = fact(&output, "job.failed");
    assert_eq!(
        (
            peer(seen).as_str(),
            seen.attributes["failed"].as_str(),
            seen.attributes["backoff_limit"].as_str()
        ),
        ("CronJob/nightly", "3", "2")
    );
    assert_eq!(fact(&output, "job.succeeded").subject.as_ref().unwrap().name, "nightly-2");
}

#[tokio::test]
async fn a_job_that_began_lately_and_still_runs_is_a_change() {
    let job = |name: &str, status: Value| json!({"kind": "Job", "metadata": {"name": name, "namespace": "shop"}, "spec": {}, "status": status});
    let output = check(&[
        deployment(&json!({})),
        job("replay", json!({"active": 1, "startTime": "2025-05-01T11:40:00Z"})),
        job("old", json!({"active": 1, "startTime": "2025-04-21T11:40:00Z"})),
        job(
            "done",
            json!({"startTime": "2025-05-01T11:00:00Z", "completionTime": "2025-05-01T11:01:00Z"}),
        ),
    ])
    .await;
    let seen = fact(&output, "job.started");
    assert_eq!(seen.subject.as_ref().unwrap().name, "replay");
    assert_eq!(start(seen), "2025-05-01T11:40:00Z");
}

#[tokio::test]
async fn other_code_and_other_settings_are_told_apart_with_what_they_are_about() {
    let with = |value: &str, image: &str, name: &str, revision: i64, created: &str| {
        let mut set = replica_set(name, revision, created, image);
        let container = &mut set["spec"]["template"]["spec"]["containers"][0];
        container["env"] = json!([{"name": "DB_POOL_SIZE", "value": value}]);
        set
    };
    let old = with("40", "r/web:1", "web-1", 9, "2025-03-01T00:00:00Z");
    for (value, image, what, topics) in [
        ("2", "r/web:1", "settings", "pool"),
        ("2", "r/web:2", "code", "pool"),
        ("40", "r/web:2", "code", ""),
    ] {
        let new = with(value, image, "web-2", 10, "2025-05-01T11:30:00Z");
        let output = check(&[deployment(&json!({})), old.clone(), new]).await;
        let seen = fact(&output, "workload.rolled_out");
        assert_eq!(
            (seen.attributes["what"].as_str(), seen.attributes["topics"].as_str()),
            (what, topics)
        );
    }
}

#[tokio::test]
async fn an_edited_config_tells_what_it_is_about() {
    let config = json!({"kind": "ConfigMap", "metadata": {"name": "names", "namespace": "shop",
            "creationTimestamp": "2025-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl-edit", "time": "2025-05-01T11:40:00Z",
                "fieldsV1": {"f:data": {"f:Corefile": {}}}}]},
        "data": {"Corefile": ".:53 { forward . 10.0.0.2 }"}});
    let output = check(&[config]).await;
    assert_eq!(fact(&output, "config.changed").attributes["topics"], "dns");
}
