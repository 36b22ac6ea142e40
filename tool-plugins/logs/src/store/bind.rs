//! By which names a store tells namespaces, pods and containers apart. Agents that ship logs name
//! them differently, and one store may hold logs of several agents.

use std::fmt;

/// How one agent names things.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Names {
    /// Of the namespace.
    pub(super) namespace: Name,
    /// Of the pod.
    pub(super) pod: Name,
    /// Of the container, where it is told.
    pub(super) container: Option<Name>,
}

/// One name, and how it may be asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    /// Where the value stands in an entry.
    pub(super) read: String,
    /// What a query compares with.
    pub(super) asked: String,
    /// How it compares.
    pub(super) how: How,
}

/// How a query compares a name with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum How {
    /// Whole, by an index.
    Exact,
    /// Word by word: what comes back is looked at again.
    Words,
    /// Line by line, for lack of an index.
    Scanned,
}

/// The names of each agent whose logs a store holds.
pub(super) type Bound = Vec<Names>;

/// Names that agents give to namespace, pod and container in a Loki: Promtail and Alloy,
/// OpenTelemetry's collector, Fluent Bit and Fluentd.
pub(super) const LABELS: [[&str; 3]; 4] = [
    ["namespace", "pod", "container"],
    ["k8s_namespace_name", "k8s_pod_name", "k8s_container_name"],
    ["kubernetes_namespace_name", "kubernetes_pod_name", "kubernetes_container_name"],
    ["kubernetes_namespace", "kubernetes_pod_name", "kubernetes_container_name"],
];

/// The same in an Elasticsearch: Filebeat and Elastic's agent, Fluent Bit and Fluentd,
/// OpenTelemetry's collector in both of its ways.
pub(super) const FIELDS: [[&str; 3]; 4] = [
    ["kubernetes.namespace", "kubernetes.pod.name", "kubernetes.container.name"],
    ["kubernetes.namespace_name", "kubernetes.pod_name", "kubernetes.container_name"],
    ["k8s.namespace.name", "k8s.pod.name", "k8s.container.name"],
    [
        "resource.attributes.k8s.namespace.name",
        "resource.attributes.k8s.pod.name",
        "resource.attributes.k8s.container.name",
    ],
];

// === impl Names ===

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.namespace.read, self.pod.read)?;
        match &self.container {
            Some(container) => write!(f, ", {}", container.read),
            None => f.write_str(", no name of the container"),
        }
    }
}

// === impl Name ===

impl Name {
    pub(super) fn new(read: &str, how: How) -> Self {
        Self { read: read.to_owned(), asked: read.to_owned(), how }
    }
}
