//! What the tool is called, what it needs and when it is worth asking.

use std::time::Duration;

use agent_sdk::{Applies, CallCx, Failure, Output, Plugin, RateLimit, Spec, Tool};
use plugin_cluster::{CheckAccess, Cluster};

use crate::{args::Where, events};

/// Arguments for the alerted object.
const ALERTED: &str = r#"{"namespace":"{namespace}","service":"{service}"}"#;
/// Arguments for another place: the answer is for all of a namespace, whoever is asked about.
const OTHER: &str = r#"{"namespace":"{namespace}"}"#;
const OBJECTS: [&str; 7] =
    ["Service", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"];
const AFTER: [&str; 5] = ["dependency.*", "service.*", "log.*", "workload.*", "pod.*"];

/// The signals of `check_events`.
pub const SIGNALS: [&str; 44] = [
    "target.resolved",
    "target.unknown",
    "container.liveness_failed",
    "container.readiness_failed",
    "container.startup_failed",
    "container.crash_looping",
    "container.image_pull_failed",
    "container.config_missing",
    "container.create_failed",
    "config.missing",
    "config.key_missing",
    "storage.mount_failed",
    "storage.claim_pending",
    "pod.unschedulable",
    "pod.evicted",
    "pod.preempted",
    "pod.deleted",
    "policy.quota_exceeded",
    "policy.webhook_failed",
    "policy.forbidden",
    "job.failed",
    "node.not_ready",
    "node.memory_pressure",
    "node.disk_pressure",
    "node.pid_pressure",
    "node.cordoned",
    "node.tainted",
    "workload.scaled",
    "container.pull_secret_missing",
    "storage.attach_failed",
    "storage.provisioning_failed",
    "pod.lost",
    "pod.sandbox_failed",
    "policy.hpa_no_metrics",
    "policy.hpa_at_max",
    "policy.hpa_target_missing",
    "policy.hpa_conflict",
    "policy.hpa_flapping",
    "job.deadline_exceeded",
    "job.missed",
    "node.rebooted",
    "node.reclaimed",
    "event.warning",
    "text.instruction",
];

/// The plugin `events` with its tool.
#[must_use]
pub fn plugin(cluster: Cluster) -> Plugin {
    let events = CheckEvents(cluster.clone());
    let access = CheckAccess::new(cluster, &[events.spec()]);
    Plugin::new("events", env!("CARGO_PKG_VERSION")).title("Events").tool(events).tool(access)
}

/// Which rights it uses; every tool begins by finding out what a name stands for. A test holds them
/// against `k8s/base/rights.yaml`.
const RIGHTS: [&str; 15] = [
    "k8s:configmaps/list",
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:events/list",
    "k8s:jobs/list",
    "k8s:limitranges/list",
    "k8s:mutatingwebhookconfigurations/list",
    "k8s:namespaces/list",
    "k8s:pods/list",
    "k8s:replicasets/list",
    "k8s:resourcequotas/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
    "k8s:validatingwebhookconfigurations/list",
];

/// `events.check_events`.
#[derive(Debug, Clone)]
pub struct CheckEvents(pub Cluster);

impl Tool for CheckEvents {
    type Args = Where;

    fn spec(&self) -> Spec {
        let description = "Tells what the cluster said lately about the objects of a namespace \
            and about nodes: failing health checks and the kills they cause, image pulls, missing \
            configuration, volumes, scheduling, evictions, refused creations, scaling. Events are \
            kept for about an hour; use it early. It names when things began, which pods do not.";
        Spec::read_only("check_events", description)
            .title("Check events")
            .permissions(&RIGHTS)
            .timeout(Duration::from_secs(20))
            .typical_latency(Duration::from_millis(200))
            .rate_limit(RateLimit {
                calls: 60,
                period: Duration::from_secs(60),
                burst: 20,
                max_concurrent: 4,
            })
            .example(
                "Events around a service",
                r#"{"namespace":"my-namespace","service":"my-service"}"#,
            )
            .example("Events of a namespace", r#"{"namespace":"my-namespace"}"#)
            .applies(Applies::from_start(ALERTED).emits(&SIGNALS))
            .applies(Applies::after(&AFTER, &OBJECTS, OTHER).emits(&SIGNALS))
    }

    async fn call(&self, _cx: CallCx, args: Where) -> Result<Output, Failure> {
        events::check_events(&self.0.view(), &args).await
    }
}
