//! Why each node does not take a pod that waits for one: its taints, the pod's selector and
//! anti-affinity, its free resources. Follows the scheduler's hard rules as far as objects tell;
//! what it does not know it leaves to the scheduler's own words.

use std::collections::{BTreeMap, BTreeSet};

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
    let fit = Fit { nodes: &all_nodes, pods: &everywhere, whole: cluster.sees_all().await };
    // Told once for a node and once for a workload's pods, which wait for the same reason.
    let mut told: BTreeMap<String, Vec<&Object>> = BTreeMap::new();
    for pod in &waiting {
        told.entry(fit.reasons(pod).join("; ")).or_default().push(pod);
    }
    for (reasons, pods) in &told {
        if let Some(pod) = pods.first().filter(|_| !reasons.is_empty()) {
            let seen = fit.excluded(pod, reasons);
            answer.neutral(seen.count(u64::try_from(pods.len()).unwrap_or(1)));
        }
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
    /// Whether these are all pods there are; else nobody can tell what is free.
    whole: bool,
}

// === impl Fit ===

impl Fit<'_> {
    /// One entry per node: `node-1: taint a=b:NoSchedule`. A node that by its objects could take
    /// the pod is told, too: then the scheduler knows more, or things have moved since.
    fn reasons(&self, pod: &Object) -> Vec<String> {
        self.nodes
            .iter()
            .map(|node| {
                let why: Vec<String> = self.why(node, pod).into_iter().map(|(_, w)| w).collect();
                let why = if why.is_empty() {
                    "nothing seen in its objects".to_owned()
                } else {
                    why.join(", ")
                };
                format!("{}: {why}", node.name())
            })
            .take(12)
            .collect()
    }

    /// Why a node does not take a pod: the kind of reason, and its words.
    fn why(&self, node: &Object, pod: &Object) -> Vec<(&'static str, String)> {
        let mut why: Vec<(&'static str, String)> = untolerated(node, pod)
            .into_iter()
            .map(|taint| {
                (kind_of(field(taint, "key")), format!("taint {}", nodes::shown_taint(taint)))
            })
            .collect();
        if !why.iter().any(|(kind, _)| *kind == "cordoned") {
            why.extend(self.cordoned(node).map(|w| ("cordoned", w)));
        }
        why.extend(selector_misses(node, pod).map(|w| ("selector", w)));
        why.extend(self.repelled(node, pod).map(|w| ("affinity", w)));
        why.extend(self.lacking(node, pod).map(|w| ("resources", w)));
        why
    }

    /// Why no node takes a pod, with what alone keeps a node that is otherwise fit.
    fn excluded(&self, pod: &Object, reasons: &str) -> Observation {
        let mut decides: Vec<&str> = Vec::new();
        for node in self.nodes {
            let why = self.why(node, pod);
            if let [(only, _)] = why.as_slice()
                && *only != "control_plane"
                && !decides.contains(only)
            {
                decides.push(only);
            }
        }
        let requests = requests(pod);
        let largest = self.largest(pod);
        let free =
            if largest.is_empty() { String::new() } else { format!("; most free: {largest}") };
        let never = if self.ever_fits(pod) { "" } else { "never" };
        let asks = if requests.is_empty() {
            String::new()
        } else {
            format!(" (requests {requests}{free})")
        };
        let says = format!("why no node takes pod {}{asks}: {reasons}", pod.name());
        Observation::new("pod.nodes_excluded", pod.entity(), says)
            .maybe_since(pod.condition("PodScheduled").and_then(|c| c.since))
            .attr("nodes", reasons)
            .attr("decides", decides.join(","))
            .attr("requests", requests)
            .attr("largest", largest)
            .attr("fits", never)
    }

    /// The most that is free on one node, of what the pod asks for.
    fn largest(&self, pod: &Object) -> String {
        let told =
            RESOURCES.into_iter().filter(|r| requested(pod, r) > 0.0).filter_map(|resource| {
                let free = self.nodes.iter().filter_map(|n| Some((self.free(n, resource)?, n)));
                let (free, node) = free.max_by(|a, b| a.0.total_cmp(&b.0))?;
                Some(format!("{resource} {} on {}", shown(free.max(0.0), resource), node.name()))
            });
        told.collect::<Vec<_>>().join(", ")
    }

    /// Whether some node would be large enough if it were empty.
    fn ever_fits(&self, pod: &Object) -> bool {
        self.nodes.is_empty()
            || self.nodes.iter().any(|node| {
                RESOURCES.into_iter().all(|resource| {
                    let all = allocatable(node, resource);
                    all.is_none_or(|all| all >= requested(pod, resource))
                })
            })
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

    /// What is left of a resource on a node after what its pods asked for.
    fn free(&self, node: &Object, resource: &str) -> Option<f64> {
        if !self.whole {
            return None;
        }
        let taken: f64 = self
            .pods
            .iter()
            .filter(|p| p.text("/spec/nodeName") == node.name())
            .filter(|p| !matches!(p.text("/status/phase"), "Succeeded" | "Failed"))
            .map(|p| requested(p, resource))
            .sum();
        Some(allocatable(node, resource)? - taken)
    }

    /// Resources of which too little is free.
    fn lacking(&self, node: &Object, pod: &Object) -> Option<String> {
        let mut asked: Vec<String> = RESOURCES.into_iter().map(str::to_owned).collect();
        asked.extend(extended(pod));
        let lacks: Vec<String> = asked
            .iter()
            .filter_map(|resource| {
                let wants = requested(pod, resource);
                // A resource that a node does not have at all is lacking as well.
                let free =
                    self.free(node, resource).or_else(|| resource.contains('/').then_some(0.0))?;
                (wants > 0.0 && free < wants).then(|| {
                    let free = shown(free.max(0.0), resource);
                    format!("too little {resource} free ({free})")
                })
            })
            .collect();
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }
}

/// The resources every node has.
const RESOURCES: [&str; 2] = ["cpu", "memory"];

fn allocatable(node: &Object, resource: &str) -> Option<f64> {
    quantity::parse(&pod::shown(node.at("/status/allocatable")?.get(resource)?))
}

/// Resources such as `example.com/gpu` that a pod asks for.
fn extended(pod: &Object) -> BTreeSet<String> {
    let containers = pod::containers(pod);
    let asked = containers.iter().filter_map(|c| c.spec.get("resources")).flat_map(|resources| {
        ["requests", "limits"].into_iter().filter_map(|part| resources.get(part))
    });
    let names = asked.filter_map(Value::as_object).flat_map(|r| r.keys());
    names.filter(|name| name.contains('/')).cloned().collect()
}

/// What a pod asks for, as people write it.
fn requests(pod: &Object) -> String {
    let mut asked: Vec<String> = RESOURCES.into_iter().map(str::to_owned).collect();
    asked.extend(extended(pod));
    let told = asked.iter().map(|r| (r, requested(pod, r))).filter(|(_, amount)| *amount > 0.0);
    told.map(|(r, amount)| format!("{r} {}", shown(amount, r))).collect::<Vec<_>>().join(", ")
}

/// An amount as people write it.
fn shown(amount: f64, resource: &str) -> String {
    const GI: f64 = 1_073_741_824.0;
    match resource {
        "memory" => format!("{:.1}Gi", amount / GI),
        _ if amount.fract() > 0.0 => format!("{:.0}m", amount * 1000.0),
        _ => format!("{amount:.0}"),
    }
}

/// What a taint stands for, in the words of the scheduler's sentence.
fn kind_of(key: &str) -> &'static str {
    match key {
        "node.kubernetes.io/not-ready"
        | "node.kubernetes.io/unreachable"
        | "node.kubernetes.io/network-unavailable" => "node_down",
        "node.kubernetes.io/unschedulable" => "cordoned",
        "node-role.kubernetes.io/control-plane" | "node-role.kubernetes.io/master" => {
            "control_plane"
        }
        key if key.starts_with("node.kubernetes.io/") => "node_pressure",
        _ => "taint",
    }
}

fn requested(pod: &Object, resource: &str) -> f64 {
    pod::containers(pod)
        .iter()
        .filter(|c| !c.init)
        .filter_map(|c| {
            let resources = c.spec.get("resources")?;
            // A limit without a request is the request, too.
            let asked = resources.get("requests").and_then(|r| r.get(resource));
            asked.or_else(|| resources.get("limits")?.get(resource))
        })
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
