//! Why each node does not take a pod that waits for one: its taints, the pod's selector and
//! anti-affinity, its free resources. Follows the scheduler's hard rules as far as objects tell;
//! what it does not know it leaves to the scheduler's own words.

use std::collections::BTreeMap;

use agent_sdk::Observation;
use plugin_cluster::{Answer, Cluster, Kind, Object, object, pod, quantity, selector};
use serde_json::Value;

use crate::nodes;

pub(super) async fn judge(cluster: &Cluster, pods: &[Object], answer: &mut Answer) {
    let waiting: Vec<&Object> = pods.iter().filter(|pod| is_unschedulable(pod)).collect();
    if waiting.is_empty() {
        return;
    }
    let listed = cluster.list(Kind::Node, None).await;
    let all_nodes = answer.or_gap("nodes", listed);
    let everywhere = cluster.list(Kind::Pod, None).await;
    let everywhere = answer.or_gap("pods of other namespaces", everywhere);
    let fit = Fit { nodes: &all_nodes, pods: &everywhere };
    // Told once for a node and once for a workload's pods, which wait for the same reason.
    let mut told: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for pod in &waiting {
        told.entry(fit.reasons(pod).join("; ")).or_default().push(pod);
    }
    for (reasons, pods) in &told {
        let Some(pod) = pods.first().filter(|_| !reasons.is_empty()) else { continue };
        let says = format!("why no node takes pod {}: {reasons}", pod.name());
        answer.neutral(
            Observation::new("pod.nodes_excluded", pod.entity(), says)
                .maybe_since(pod.condition("PodScheduled").and_then(|c| c.since))
                .count(u64::try_from(pods.len()).unwrap_or(1))
                .attr("nodes", reasons.as_str()),
        );
    }
    for node in all_nodes.iter().filter(|n| waiting.iter().any(|p| !untolerated(n, p).is_empty())) {
        if let Some(observation) = nodes::tainted(node) {
            answer.neutral(observation);
        }
    }
}

fn is_unschedulable(pod: &Object) -> bool {
    pod.text("/status/phase") == "Pending"
        && pod.condition("PodScheduled").is_some_and(|c| c.reason == "Unschedulable")
}

/// Taints of a node that keep a pod off.
fn untolerated<'a>(node: &'a Object, pod: &Object) -> Vec<&'a Value> {
    let hard = |t: &&Value| field(t, "effect") != "PreferNoSchedule";
    let tolerations = pod.list("/spec/tolerations");
    let tolerated = |t: &Value| tolerations.iter().any(|toleration| tolerates(toleration, t));
    node.list("/spec/taints").iter().filter(hard).filter(|t| !tolerated(t)).collect()
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (field(toleration, "key"), field(toleration, "effect"));
    let exists = field(toleration, "operator") == "Exists";
    (effect.is_empty() || effect == field(taint, "effect"))
        && ((key.is_empty() && exists) || key == field(taint, "key"))
        && (exists || field(toleration, "value") == field(taint, "value"))
}

fn field<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

struct Fit<'a> {
    nodes: &'a [Object],
    pods: &'a [Object],
}

// === impl Fit ===

impl Fit<'_> {
    /// One entry per node: `node-1: taint a=b:NoSchedule`. A node that by its objects could take
    /// the pod is told, too: then the scheduler knows more, or things have moved since.
    fn reasons(&self, pod: &Object) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| {
                let mut why: Vec<String> = untolerated(node, pod)
                    .into_iter()
                    .map(|taint| format!("taint {}", nodes::shown_taint(taint)))
                    .collect();
                why.extend(self.cordoned(node));
                why.extend(selector_misses(node, pod));
                why.extend(self.repelled(node, pod));
                why.extend(self.lacking(node, pod));
                if why.is_empty() {
                    why.push("nothing seen in its objects".to_owned());
                }
                format!("{}: {}", node.name(), why.join(", "))
            })
            .take(12)
            .collect()
    }

    fn cordoned(&self, node: &Object) -> Option<String> {
        (node.at("/spec/unschedulable") == Some(&Value::Bool(true))).then(|| "cordoned".to_owned())
    }

    /// A pod that the waiting one must not share a place with.
    fn repelled(&self, node: &Object, pod: &Object) -> Option<String> {
        let terms = "/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution";
        let places = node.labels();
        pod.list(terms).iter().find_map(|term| {
            let key = field(term, "topologyKey");
            let place = places.get(key)?;
            let there = self.pods.iter().find(|other| {
                other.namespace() == pod.namespace()
                    && other.name() != pod.name()
                    && !matches!(other.text("/status/phase"), "Succeeded" | "Failed")
                    && self.place(other, key).as_ref() == Some(place)
                    && selector::matches(term.get("labelSelector"), &other.labels())
            })?;
            Some(format!("anti-affinity to pod {} there", there.name()))
        })
    }

    fn place(&self, pod: &Object, key: &str) -> Option<String> {
        let node = pod.text("/spec/nodeName");
        let node = self.nodes.iter().find(|n| n.name() == node)?;
        node.labels().remove(key)
    }

    /// Resources of which too little is free.
    fn lacking(&self, node: &Object, pod: &Object) -> Option<String> {
        let lacks: Vec<String> = ["cpu", "memory"]
            .into_iter()
            .filter_map(|resource| {
                let there = node.at("/status/allocatable")?.get(resource)?.as_str()?;
                let taken: f64 = self
                    .pods
                    .iter()
                    .filter(|p| p.text("/spec/nodeName") == node.name())
                    .filter(|p| !matches!(p.text("/status/phase"), "Succeeded" | "Failed"))
                    .map(|p| requested(p, resource))
                    .sum();
                let wants = requested(pod, resource);
                (wants > 0.0 && quantity::parse(there)? - taken < wants)
                    .then(|| format!("too little {resource} free"))
            })
            .collect();
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }
}

fn requested(pod: &Object, resource: &str) -> f64 {
    pod::containers(pod)
        .iter()
        .filter(|c| !c.init)
        .filter_map(|c| c.spec.get("resources")?.get("requests")?.get(resource))
        .filter_map(|q| quantity::parse(&pod::shown(q)))
        .sum()
}

fn selector_misses(node: &Object, pod: &Object) -> Option<String> {
    let labels = node.labels();
    for (key, value) in object::text_map(pod.at("/spec/nodeSelector")) {
        if labels.get(&key) != Some(&value) {
            return Some(format!("lacks label {key}={value}"));
        }
    }
    let terms = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = pod.list(terms);
    let met = terms.iter().any(|term| {
        pod::list(term, "matchExpressions")
            .iter()
            .all(|expression| selector::expression_matches(expression, &labels))
    });
    (!terms.is_empty() && !met).then(|| "does not match the pod's node affinity".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_taint_is_tolerated_as_the_scheduler_has_it() {
        let taint = json!({"key": "team", "value": "data", "effect": "NoSchedule"});
        for (toleration, want) in [
            (
                json!({"key": "team", "operator": "Equal", "value": "data", "effect": "NoSchedule"}),
                true,
            ),
            (json!({"key": "team", "value": "data"}), true),
            (json!({"key": "team", "value": "web"}), false),
            (json!({"key": "team", "operator": "Exists"}), true),
            (json!({"key": "team", "operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
            (json!({"operator": "Exists"}), true),
            (json!({}), false),
        ] {
            assert_eq!(tolerates(&toleration, &taint), want, "{toleration}");
        }
    }

    #[test]
    fn labels_and_node_affinity_keep_a_pod_off() {
        let node = Object::new(json!({"metadata": {"labels": {"disk": "ssd", "zone": "a"}}}));
        let affinity = |values: &[&str]| {
            let expression = json!({"key": "zone", "operator": "In", "values": values});
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}}})
        };
        for (spec, misses) in [
            (json!({}), false),
            (json!({"nodeSelector": {"disk": "ssd"}}), false),
            (json!({"nodeSelector": {"disk": "hdd"}}), true),
            (affinity(&["a", "b"]), false),
            (affinity(&["b"]), true),
        ] {
            let pod = Object::new(json!({"spec": spec}));
            assert_eq!(selector_misses(&node, &pod).is_some(), misses, "{spec}");
        }
    }
}
