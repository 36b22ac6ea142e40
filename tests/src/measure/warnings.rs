//! Warning events that have nothing to do with the incident: workloads of other teams that fail
//! their probes, wait for volumes or find no node. Most are about other namespaces; where the alert
//! names its service, some are about strangers in the same namespace, of the harmless sort.

use std::path::Path;

use agentd::plugin::wire;
use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{case::Case, stage::Stage};
use crate::seed::Seed;

/// Where they are written; objects are read from every file there.
const FILE: &str = "kube/unrelated-warnings.json";
/// Of how many warnings one is about a stranger in the alerted namespace.
const NEAR: usize = 10;

/// A warning: reason, kind of the object, component, message.
type Saying = (&'static str, &'static str, &'static str, &'static str);

/// What happens somewhere every day.
const FAR: [Saying; 8] = [
    (
        "Unhealthy",
        "Pod",
        "kubelet",
        "Readiness probe failed: HTTP probe failed with statuscode: 503",
    ),
    ("BackOff", "Pod", "kubelet", "Back-off restarting failed container main in pod NAME"),
    (
        "FailedMount",
        "Pod",
        "kubelet",
        "MountVolume.SetUp failed for volume \"settings\" : configmap \"NAME-settings\" not found",
    ),
    (
        "FailedScheduling",
        "Pod",
        "default-scheduler",
        "0/6 nodes are available: 6 Insufficient memory. preemption: 0/6 nodes are available.",
    ),
    (
        "Failed",
        "Pod",
        "kubelet",
        "Failed to pull image \"registry.example/NAME:latest\": not found",
    ),
    (
        "ProvisioningFailed",
        "PersistentVolumeClaim",
        "persistentvolume-controller",
        "storageclass.storage.k8s.io \"fast\" not found",
    ),
    (
        "FailedGetResourceMetric",
        "HorizontalPodAutoscaler",
        "horizontal-pod-autoscaler",
        "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned",
    ),
    (
        "BackoffLimitExceeded",
        "Job",
        "job-controller",
        "Job has reached the specified backoff limit",
    ),
];

/// What strangers in the alerted namespace may say without being a fault of it.
const BESIDE: [Saying; 2] = [
    (
        "DNSConfigForming",
        "Pod",
        "kubelet",
        "Search Line limits were exceeded, some search paths have been omitted",
    ),
    ("Unhealthy", "Pod", "kubelet", "Readiness probe failed: context deadline exceeded"),
];

/// Adds `count` warnings to what plugins see.
///
/// # Errors
/// When they cannot be written.
pub fn add(stage: &Stage, case: &Case, count: u32) -> Result<()> {
    let events: Vec<Value> = events(case, count);
    stage.write(Path::new(FILE), Value::from(events).to_string().as_bytes())
}

fn events(case: &Case, count: u32) -> Vec<Value> {
    let fired = wire::timestamp_from(case.alert.start_time.as_ref());
    let fired = fired.unwrap_or(Timestamp::UNIX_EPOCH);
    let mut seed = Seed::new(u64::from(count));
    (0..count).map(|number| event(case, fired, number, &mut seed)).collect()
}

fn event(case: &Case, fired: Timestamp, number: u32, seed: &mut Seed) -> Value {
    let named = !case.alert.service.is_empty() && !case.alert.namespace.is_empty();
    let beside = named && seed.below(NEAR) == 0;
    let sayings: &[Saying] = if beside { &BESIDE } else { &FAR };
    let (reason, kind, component, message) =
        sayings.get(seed.below(sayings.len())).copied().unwrap_or_default();
    let namespace =
        if beside { case.alert.namespace.clone() } else { format!("unrelated-{}", seed.below(12)) };
    let name = format!("stranger-{}-{:05x}", seed.below(40), seed.below(0xf_ffff));
    // Before the alert, so that the recording's now stays what it is.
    let ago = |seconds: usize| {
        let seconds = i64::try_from(seconds).unwrap_or_default();
        fired.saturating_sub(SignedDuration::from_secs(seconds)).unwrap_or(fired)
    };
    let last = seed.below(1800);
    let first = last + seed.below(1800);
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{name}.{number:x}"),
            "namespace": namespace,
            "uid": format!("unrelated-warning-{number}"),
            "creationTimestamp": ago(first).to_string(),
        },
        "involvedObject": {"apiVersion": "v1", "kind": kind, "namespace": namespace, "name": name},
        "type": "Warning",
        "reason": reason,
        "message": message.replace("NAME", &name),
        "firstTimestamp": ago(first).to_string(),
        "lastTimestamp": ago(last).to_string(),
        "count": seed.below(40) + 1,
        "source": {"component": component},
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn case(service: &str) -> Case {
        let text = format!(
            r#"{{"id": "x", "category": "oom_killed", "expected_severity": "P2", "alert": {{"type": "t",
                "service": "{service}", "namespace": "shop", "fired_at": "2020-01-02T03:04:05Z"}}}}"#
        );
        Case::parse(Path::new("nowhere"), &text).unwrap()
    }

    #[test]
    fn warnings_come_before_the_alert_and_mostly_from_elsewhere() {
        let events = events(&case("web"), 400);
        assert_eq!(events.len(), 400);
        let times = events.iter().map(|event| event["lastTimestamp"].as_str().unwrap());
        assert!(times.max().unwrap() <= "2020-01-02T03:04:05Z");
        let near = events.iter().filter(|event| event["metadata"]["namespace"] == "shop").count();
        assert!((10..100).contains(&near), "{near}");
    }

    #[test]
    fn where_the_alert_names_no_service_nobody_in_its_namespace_is_a_stranger() {
        let events = events(&case(""), 400);
        assert!(events.iter().all(|event| event["metadata"]["namespace"] != "shop"));
    }
}
