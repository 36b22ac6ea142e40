//! Nodes that do not answer, have no network or are taken away: by their conditions, by leases that
//! are no longer renewed, by the taints that providers and autoscalers set.

use std::collections::BTreeMap;

use agent_sdk::Observation;
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Cluster, Kind, Object, object::time_of};
use serde_json::Value;

/// Where kubelets renew their leases, every ten seconds.
const LEASES: &str = "kube-node-lease";
/// A lease older than this is stale: the node controller's own default grace.
const STALE: SignedDuration = SignedDuration::from_secs(50);

/// Parts of taints with which a node is taken away.
const TAKEN: [&str; 8] = [
    "ToBeDeletedByClusterAutoscaler",
    "impending-node-termination",
    "node-termination-handler",
    "cloudprovider.kubernetes.io/shutdown",
    "karpenter.sh/disrupted",
    "karpenter.sh/disruption",
    "scalesetpriority-eviction",
    "node.kubernetes.io/out-of-service",
];

/// When each node last renewed its lease.
pub(super) struct Leases {
    renewed: BTreeMap<String, Timestamp>,
    /// The newest of all: a recording may hold leases of an earlier moment.
    newest: Option<Timestamp>,
}

impl Leases {
    pub(super) async fn read(cluster: &Cluster) -> Self {
        let listed = if cluster.records(Kind::Lease) {
            cluster.list(Kind::Lease, Some(LEASES)).await.unwrap_or_default()
        } else {
            Vec::new()
        };
        let renewed: BTreeMap<String, Timestamp> = listed
            .iter()
            .filter_map(|lease| Some((lease.name().to_owned(), lease.time("/spec/renewTime")?)))
            .collect();
        let newest = renewed.values().max().copied().filter(|_| renewed.len() > 1);
        Self { renewed, newest }
    }

    /// How long a node's lease lags behind the newest, when that is long.
    fn lag(&self, node: &str) -> Option<(Timestamp, SignedDuration)> {
        let at = self.renewed.get(node)?;
        let lag = self.newest?.duration_since(*at);
        (lag > STALE).then_some((*at, lag))
    }
}

/// What is wrong with a node beyond its pressures, as words.
pub(super) fn judge(
    node: &Object,
    leases: &Leases,
    now: Timestamp,
    answer: &mut Answer,
) -> Vec<String> {
    let mut trouble = Vec::new();
    let name = node.name();
    let ready = node.condition("Ready");
    let silent = ready.filter(|c| c.status == "Unknown");
    let lag = leases.lag(name);
    if silent.is_some() || lag.is_some() {
        let (why, since) = match (silent, lag) {
            (Some(c), _) => ("silent", c.since),
            (None, lag) => ("lease", lag.map(|(at, _)| at)),
        };
        let age = lag.map(|(_, lag)| format!("{} s", lag.as_secs())).unwrap_or_default();
        let leased =
            if age.is_empty() { String::new() } else { format!(", its lease is {age} old") };
        let says = format!("node {name} does not answer: its kubelet is silent{leased}");
        answer.harm(
            Observation::new("node.unreachable", node.entity(), says)
                .maybe_since(since)
                .until(now)
                .attr("why", why)
                .attr("lease_age", age)
                .quote(silent.map_or("", |c| c.message)),
        );
        trouble.push("unreachable".to_owned());
    }
    if let Some(c) = node.condition("NetworkUnavailable").filter(|c| c.status == "True") {
        let says = format!("the pod network of node {name} is not set up: {}", c.reason);
        answer.harm(
            Observation::new("node.network_unavailable", node.entity(), says)
                .maybe_since(c.since)
                .until(now)
                .attr("reason", c.reason)
                .quote(c.message),
        );
        trouble.push("no network".to_owned());
    }
    if let Some((taint, since)) = taken(node) {
        let says = format!("node {name} is taken away (taint {taint})");
        answer.harm(
            Observation::new("node.reclaimed", node.entity(), says)
                .maybe_since(since)
                .until(now)
                .attr("taints", taint),
        );
        trouble.push("taken away".to_owned());
    }
    trouble
}

fn taken(node: &Object) -> Option<(String, Option<Timestamp>)> {
    node.list("/spec/taints").iter().find_map(|taint| {
        let key = taint.get("key").and_then(Value::as_str)?;
        let fits = TAKEN.iter().any(|part| key.contains(part));
        fits.then(|| (key.to_owned(), time_of(taint.get("timeAdded"))))
    })
}
