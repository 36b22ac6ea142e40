//! Services without a selector: their endpoints are kept by hand or by a program. Told when there
//! are none, or when they lie among the addresses of pods and no pod has them.

use std::{collections::BTreeSet, net::Ipv4Addr};

use agent_sdk::{Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, pod::list};
use serde_json::Value;

/// Endpoints as the cluster keeps them.
pub(super) struct Endpoints {
    all: Vec<Object>,
    known: bool,
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) async fn read(cluster: &Cluster, namespace: Option<&str>) -> Self {
        let mut all = Vec::new();
        let mut known = false;
        for kind in [Kind::Endpoints, Kind::EndpointSlice] {
            all.extend(cluster.list(kind, namespace).await.unwrap_or_default());
            known |= cluster.records(kind);
        }
        Self { all, known }
    }

    fn addresses(&self, service: &Object) -> BTreeSet<String> {
        let own = self.all.iter().filter(|e| {
            let labels = e.labels();
            let named = labels.get("kubernetes.io/service-name").map(String::as_str);
            e.namespace() == service.namespace()
                && (named == Some(service.name())
                    || (e.kind() == "Endpoints" && e.name() == service.name()))
        });
        let mut found = BTreeSet::new();
        for object in own {
            for subset in object.list("/subsets") {
                let ips = list(subset, "addresses").iter().filter_map(|a| a.get("ip")?.as_str());
                found.extend(ips.map(str::to_owned));
            }
            for endpoint in object.list("/endpoints") {
                let ready = endpoint.pointer("/conditions/ready").and_then(Value::as_bool);
                if ready != Some(false) {
                    let ips = list(endpoint, "addresses").iter().filter_map(Value::as_str);
                    found.extend(ips.map(str::to_owned));
                }
            }
        }
        found
    }

    /// Judges a Service without a selector.
    pub(super) fn judge(
        &self,
        service: &Object,
        pods: &[Object],
        now: Timestamp,
        answer: &mut Answer,
    ) {
        if !self.known || service.name() == "kubernetes" {
            return;
        }
        let addresses = self.addresses(service);
        let entity = service.entity();
        if addresses.is_empty() {
            let says = format!("Service {} has no selector and no endpoints", service.name());
            let seen = Observation::new("service.no_endpoints", entity, says);
            answer.harm(seen.until(now).attr("not_ready", "0"));
            return;
        }
        let pod_of = |ip: &str| pods.iter().find(|p| p.text("/status/podIP") == ip);
        for pod in addresses.iter().filter_map(|ip| pod_of(ip)) {
            answer.relate(Relation::new(entity.clone(), RelationKind::Selects, pod.entity()));
        }
        let stale: Vec<&String> =
            addresses.iter().filter(|ip| pod_of(ip).is_none() && is_of_pods(ip, pods)).collect();
        if stale.len() == addresses.len() {
            let told: Vec<&str> = stale.iter().map(|ip| ip.as_str()).take(4).collect();
            let told = told.join(", ");
            let says = format!(
                "Service {} has no selector, and its endpoints {told} are addresses that no pod has",
                service.name()
            );
            answer.harm(
                Observation::new("service.endpoints_stale", entity, says)
                    .until(now)
                    .attr("addresses", told),
            );
        }
    }
}

/// Whether an address lies in a network that pods are in, taken as /24.
fn is_of_pods(ip: &str, pods: &[Object]) -> bool {
    let network = |ip: &str| ip.parse::<Ipv4Addr>().ok().map(|ip| u32::from(ip) >> 8);
    let Some(own) = network(ip) else { return false };
    pods.iter()
        .filter(|p| p.at("/spec/hostNetwork").and_then(Value::as_bool) != Some(true))
        .any(|p| network(p.text("/status/podIP")) == Some(own))
}
