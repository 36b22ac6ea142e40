//! What the tools are called, what they need and when they are worth asking.

mod rights;
mod signals;

use std::time::Duration;

use agent_sdk::{Applies, CallCx, Failure, Output, Plugin, RateLimit, Spec, Tool};
use plugin_cluster::{CheckAccess, Cluster};

pub use self::signals::{
    NODE_SIGNALS, POD_SIGNALS, POLICY_SIGNALS, ROLLOUT_SIGNALS, SERVICE_SIGNALS, STORAGE_SIGNALS,
};
use crate::{
    args::{Nothing, Where},
    nodes, pods, policies, rollouts, services, storage,
};

/// Arguments for the alerted object.
const ALERTED: &str = r#"{"namespace":"{namespace}","service":"{service}"}"#;
/// Arguments for another place: the answer is for all of a namespace, whoever is asked about.
const OTHER: &str = r#"{"namespace":"{namespace}"}"#;
/// Names are resolved for the whole cluster there.
const DNS: &str = r#"{"namespace":"kube-system","service":""}"#;
const OBJECTS: [&str; 7] =
    ["Service", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"];
const AFTER: [&str; 5] = ["dependency.*", "service.*", "log.*", "workload.*", "pod.*"];

/// Alerts that policies are asked about from the start; after others they wait for a sign.
const POLICY_ALERTS: [&str; 16] = [
    "hpa*",
    "kubehpa*",
    "KubeHpa*",
    "autoscal*",
    "quota*",
    "KubeQuota*",
    "rbac*",
    "forbidden*",
    "webhook*",
    "admission*",
    "network*",
    "cert*",
    "Cert*",
    "tls*",
    "ingress*",
    "Ingress*",
];
/// Alerts that storage is asked about from the start; after others it waits for a sign.
const STORAGE_ALERTS: [&str; 8] = [
    "pvc*",
    "volume*",
    "storage*",
    "claim*",
    "persistent*",
    "kubepersistent*",
    "statefulset*",
    "pod_pending*",
];
/// Signs that volumes may be at fault.
const STORAGE_AFTER: [&str; 4] =
    ["storage.*", "pod.unschedulable", "container.waiting", "log.no_space"];

/// What may be a matter of policy when it is seen.
const POLICY_AFTER: [&str; 6] =
    ["dependency.*", "service.*", "log.*", "workload.*", "pod.*", "policy.*"];

/// The plugin `pods` with all its tools.
#[must_use]
pub fn plugin(cluster: &Cluster) -> Plugin {
    let tools = [
        CheckPods(cluster.clone()).spec(),
        CheckRollouts(cluster.clone()).spec(),
        CheckService(cluster.clone()).spec(),
        CheckNodes(cluster.clone()).spec(),
        CheckPolicies(cluster.clone()).spec(),
        CheckStorage(cluster.clone()).spec(),
    ];
    Plugin::new("pods", env!("CARGO_PKG_VERSION"))
        .title("Pods, rollouts, Services, policies and nodes")
        .tool(CheckPods(cluster.clone()))
        .tool(CheckRollouts(cluster.clone()))
        .tool(CheckService(cluster.clone()))
        .tool(CheckNodes(cluster.clone()))
        .tool(CheckPolicies(cluster.clone()))
        .tool(CheckStorage(cluster.clone()))
        .tool(CheckAccess::new(cluster.clone(), &tools))
}

/// `pods.check_pods`.
#[derive(Debug, Clone)]
pub struct CheckPods(pub Cluster);

/// `pods.check_rollouts`.
#[derive(Debug, Clone)]
pub struct CheckRollouts(pub Cluster);

/// `pods.check_service`.
#[derive(Debug, Clone)]
pub struct CheckService(pub Cluster);

/// `pods.check_nodes`.
#[derive(Debug, Clone)]
pub struct CheckNodes(pub Cluster);

/// `pods.check_policies`.
#[derive(Debug, Clone)]
pub struct CheckPolicies(pub Cluster);

impl Tool for CheckPods {
    type Args = Where;

    fn spec(&self) -> Spec {
        let spec = spec(
            "check_pods",
            "Finds what is wrong with pods and their containers: killed for memory, crash loops \
             with exit codes, images that cannot be pulled, missing ConfigMaps and Secrets, \
             failing health checks, pods no node takes and why, evictions. Also tells which \
             workloads are healthy, who owns, uses and calls what. Use it first.",
        );
        spec.title("Check pods")
            .permissions(&rights::PODS)
            .example(
                "Pods behind a service",
                r#"{"namespace":"my-namespace","service":"my-service"}"#,
            )
            .example("All pods of a namespace", r#"{"namespace":"my-namespace"}"#)
            .applies(Applies::from_start(ALERTED).emits(&POD_SIGNALS))
            .applies(Applies::after(&AFTER, &OBJECTS, OTHER).emits(&POD_SIGNALS))
            .applies(Applies::after(&["log.dns_failure"], &[], DNS).emits(&POD_SIGNALS))
    }

    async fn call(&self, _cx: CallCx, args: Where) -> Result<Output, Failure> {
        pods::check_pods(&self.0.view(), &args).await
    }
}

impl Tool for CheckRollouts {
    type Args = Where;

    fn spec(&self) -> Spec {
        let spec = spec(
            "check_rollouts",
            "Tells what was changed and when: rollouts with each differing value old -> new, \
             edited ConfigMaps, Secrets (names only) and Services, scaling. Also rollouts that \
             are stuck, replicas that are missing and Jobs that failed. Use it to find what \
             happened shortly before the trouble.",
        );
        spec.title("Check rollouts and changes")
            .permissions(&rights::ROLLOUTS)
            .example(
                "Changes around a service",
                r#"{"namespace":"my-namespace","service":"my-service"}"#,
            )
            .applies(Applies::from_start(ALERTED).emits(&ROLLOUT_SIGNALS))
            .applies(Applies::after(&AFTER, &OBJECTS, OTHER).emits(&ROLLOUT_SIGNALS))
            .applies(Applies::after(&["log.dns_failure"], &[], DNS).emits(&ROLLOUT_SIGNALS))
    }

    async fn call(&self, _cx: CallCx, args: Where) -> Result<Output, Failure> {
        rollouts::check_rollouts(&self.0.view(), &args).await
    }
}

impl Tool for CheckService {
    type Args = Where;

    fn spec(&self) -> Spec {
        let spec = spec(
            "check_service",
            "Tells for each Service of a namespace whether ready pods stand behind it, whether \
             its selector matches anything (and which label differs if not), whether its target \
             ports are declared, and when it was edited. The same of Ingresses: class, hosts, \
             paths, backends, certificates. Use it when calls fail although pods are well.",
        );
        spec.title("Check Services and endpoints")
            .permissions(&rights::SERVICE)
            .example("Services of a namespace", r#"{"namespace":"my-namespace"}"#)
            .applies(Applies::from_start(ALERTED).emits(&SERVICE_SIGNALS))
            .applies(Applies::after(&AFTER, &OBJECTS, OTHER).emits(&SERVICE_SIGNALS))
            .applies(Applies::after(&["log.dns_failure"], &[], DNS).emits(&SERVICE_SIGNALS))
    }

    async fn call(&self, _cx: CallCx, args: Where) -> Result<Output, Failure> {
        services::check_service(&self.0.view(), &args).await
    }
}

impl Tool for CheckNodes {
    type Args = Nothing;

    fn spec(&self) -> Spec {
        let spec = spec(
            "check_nodes",
            "Tells which nodes are not ready, short of memory, disk or process ids, cordoned or \
             tainted, each since when; and who runs on those in trouble. Use it when pods are \
             evicted, pending or lost.",
        );
        spec.title("Check nodes")
            .permissions(&rights::NODES)
            .example("All nodes", "{}")
            .applies(Applies::from_start("{}").emits(&NODE_SIGNALS))
            .applies(
                Applies::after(&["pod.*", "node.*"], &["Pod", "Node"], "{}").emits(&NODE_SIGNALS),
            )
    }

    async fn call(&self, _cx: CallCx, _args: Nothing) -> Result<Output, Failure> {
        nodes::check_nodes(&self.0.view()).await
    }
}

impl Tool for CheckPolicies {
    type Args = Where;

    fn spec(&self) -> Spec {
        let spec = spec(
            "check_policies",
            "Tells what the rules of the cluster forbid: connections that the network policies \
             leave out as a set, rights that a service account lacks and which role or binding \
             to mend, admission webhooks that refuse or do not answer, quotas, autoscalers and \
             disruption budgets, certificates that are no longer valid, and which of them were \
             edited lately. Use it when something is refused, times out or is not scaled.",
        );
        spec.title("Check policies")
            .permissions(&rights::POLICIES)
            .example(
                "Policies around a service",
                r#"{"namespace":"my-namespace","service":"my-service"}"#,
            )
            .example("Policies of a namespace", r#"{"namespace":"my-namespace"}"#)
            .applies(Applies::from_start(ALERTED).for_alerts(&POLICY_ALERTS).emits(&POLICY_SIGNALS))
            .applies(Applies::after(&POLICY_AFTER, &OBJECTS, OTHER).emits(&POLICY_SIGNALS))
    }

    async fn call(&self, _cx: CallCx, args: Where) -> Result<Output, Failure> {
        policies::check_policies(&self.0.view(), &args).await
    }
}

/// `pods.check_storage`.
#[derive(Debug, Clone)]
pub struct CheckStorage(pub Cluster);

impl Tool for CheckStorage {
    type Args = Where;

    fn spec(&self) -> Spec {
        let spec = spec(
            "check_storage",
            "Tells for each claim of a namespace whether it is bound, and if not why: a class \
             that does not exist, no default class, volumes that do not fit, a provisioner that \
             is down. Also volumes that lie where no node takes the pod, and volumes that another \
             node still holds (Multi-Attach). Use it when pods wait for volumes.",
        );
        let kinds = ["Pod", "PersistentVolumeClaim", "StatefulSet", "Deployment", "Job"];
        spec.title("Check claims and volumes")
            .permissions(&rights::STORAGE)
            .example("Claims of a namespace", r#"{"namespace":"my-namespace"}"#)
            .applies(
                Applies::from_start(ALERTED).for_alerts(&STORAGE_ALERTS).emits(&STORAGE_SIGNALS),
            )
            .applies(Applies::after(&STORAGE_AFTER, &kinds, OTHER).emits(&STORAGE_SIGNALS))
    }

    async fn call(&self, _cx: CallCx, args: Where) -> Result<Output, Failure> {
        storage::check_storage(&self.0.view(), &args).await
    }
}

/// What all of them have in common.
fn spec(name: &str, description: &str) -> Spec {
    Spec::read_only(name, description)
        .timeout(Duration::from_secs(20))
        .typical_latency(Duration::from_millis(200))
        .rate_limit(RateLimit {
            calls: 60,
            period: Duration::from_secs(60),
            burst: 20,
            max_concurrent: 4,
        })
}
