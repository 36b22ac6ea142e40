//! The tool `check_access` of this plugin: beside the rights on the cluster, whether metrics can be
//! asked for, and which of the kinds that the other tools rest on are there.

use std::{collections::BTreeMap, sync::Arc};

use agent_sdk::{CallCx, Failure, Output, Spec, Tool};
use plugin_cluster::{
    CheckAccess,
    access::{Access, Args},
};

use crate::{recording::Recording, remaining::Remaining};

/// A kind of metrics that tools rest on.
struct Sort {
    /// Who exports it.
    exporter: &'static str,
    /// Any of these shows that it is there.
    names: &'static [&'static str],
    /// What cannot be seen without it.
    blind: &'static str,
    /// What to do.
    mend: &'static str,
}

const SORTS: [Sort; 4] = [
    Sort {
        exporter: "kube-state-metrics",
        names: &["kube_pod_info", "kube_pod_container_resource_limits", "kube_pod_status_phase"],
        blind: "memory and CPU are not held against limits",
        mend: "let Prometheus scrape kube-state-metrics",
    },
    Sort {
        exporter: "cAdvisor",
        names: &["container_memory_working_set_bytes", "container_cpu_usage_seconds_total"],
        blind: "memory, CPU and throttling of containers",
        mend: "let Prometheus scrape /metrics/cadvisor of the kubelets",
    },
    Sort {
        exporter: "node exporter",
        names: &["node_filesystem_avail_bytes", "node_memory_MemAvailable_bytes"],
        blind: "room on nodes",
        mend: "let Prometheus scrape node exporters",
    },
    Sort {
        exporter: "requests of services",
        names: &[
            "http_requests_total",
            "http_server_request_duration_seconds_count",
            "http_request_duration_seconds_count",
            "http_server_requests_seconds_count",
            "http_server_duration_milliseconds_count",
            "grpc_server_handled_total",
            "nginx_ingress_controller_requests",
            "traefik_service_requests_total",
            "istio_requests_total",
            "hubble_http_requests_total",
            "response_total",
        ],
        blind: "error ratios, latencies and who calls whom",
        mend: "let services, a mesh or the ingress export requests, such as http_requests_total",
    },
];

/// See the module.
#[derive(Debug, Clone)]
pub struct MetricAccess {
    cluster: CheckAccess,
    recording: Arc<Recording>,
}

// === impl MetricAccess ===

impl MetricAccess {
    /// The tool beside the cluster's own.
    #[must_use]
    pub fn new(cluster: CheckAccess, recording: Arc<Recording>) -> Self {
        Self { cluster, recording }
    }
}

impl Tool for MetricAccess {
    type Args = Args;

    fn spec(&self) -> Spec {
        self.cluster.spec()
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let time = Remaining::of(&cx);
        let mut access = self.cluster.look(&cx, &args).await?;
        let names: Vec<&str> = SORTS.iter().flat_map(|sort| sort.names).copied().collect();
        let counted = self.recording.series(&names, time.left()).await;
        access.permit("prometheus:query", &[], counted.as_ref().map(|_| ()));
        match &counted {
            Ok(counted) => tell(&mut access, counted),
            Err(failure) => {
                access.blind.push(format!("all metrics: {}", failure.message));
                access.mend.push("name a Prometheus that answers: --prometheus-url URL".to_owned());
            }
        }
        if let Some(server) = self.recording.shown() {
            access.source = format!("{}; {server}", access.source);
        }
        access.told()
    }
}

fn tell(access: &mut Access, counted: &BTreeMap<String, usize>) {
    for sort in &SORTS {
        let there: Vec<String> = sort
            .names
            .iter()
            .filter_map(|name| Some(format!("{name} ({} series)", counted.get(*name)?)))
            .collect();
        if there.is_empty() {
            let names: Vec<&str> = sort.names.iter().copied().take(3).collect();
            let (exporter, blind) = (sort.exporter, sort.blind);
            access.blind.push(format!("{blind}: no {exporter} (such as {})", names.join(", ")));
            access.mend.push(sort.mend.to_owned());
        } else {
            access.found.push(format!("{}: {}", sort.exporter, there.join(", ")));
        }
    }
}
