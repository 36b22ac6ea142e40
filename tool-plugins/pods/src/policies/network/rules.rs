//! The rules of network policies, as the API defines them: which pods a policy selects, which
//! directions it closes, which peers and ports each rule lets pass.
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>

use std::{collections::BTreeMap, net::IpAddr};

use agent_sdk::Entity;
use plugin_cluster::{
    Object,
    pod::{self, list},
    selector,
};
use serde_json::Value;

use super::{Far, Flow, far_pods};
use crate::policies::Scene;

/// Policies and the labels of namespaces, as both directions need them.
pub(super) struct Side<'a> {
    pub(super) policies: &'a [Object],
    pub(super) namespaces: &'a [Object],
}

/// A needed connection that no rule lets pass.
pub(super) struct Denial<'a> {
    pub(super) direction: &'static str,
    pub(super) why: &'static str,
    /// What no rule covers, the end of a sentence.
    pub(super) says: String,
    /// All policies that close the direction for the pod.
    pub(super) closing: Vec<&'a Object>,
    pub(super) first: &'a Object,
    /// The one with a rule that nearly fits.
    pub(super) near: Option<&'a Object>,
}

/// One end as a rule's peers are held against it.
enum Peer<'a> {
    Pod(&'a Object),
    Outside(Option<IpAddr>),
}

/// How a rule takes a connection.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Fit {
    No,
    /// The namespace is right, the pod's labels are not.
    Labels,
    /// The pod's labels are right, its namespace is not.
    Namespace,
    /// The peer is right, the port is not.
    Port,
    Yes,
}

/// Whether a policy selects a pod.
pub(super) fn selects(policy: &Object, pod: &Object) -> bool {
    // An absent selector is an empty one: it selects all.
    let chosen = policy.at("/spec/podSelector");
    policy.namespace() == pod.namespace()
        && pod.at("/spec/hostNetwork").and_then(Value::as_bool) != Some(true)
        && chosen.is_none_or(|s| selector::matches(Some(s), &pod.labels()))
}

fn closes(policy: &Object, direction: &str) -> bool {
    let types = policy.list("/spec/policyTypes");
    let word = if direction == "egress" { "Egress" } else { "Ingress" };
    if types.is_empty() {
        return word == "Ingress" || policy.at("/spec/egress").is_some();
    }
    types.iter().any(|t| t.as_str() == Some(word))
}

// === impl Side ===

impl<'a> Side<'a> {
    fn closing(&self, pod: &Object, direction: &str) -> Vec<&'a Object> {
        self.policies.iter().filter(|p| closes(p, direction) && selects(p, pod)).collect()
    }

    /// Whether any policy acts on a connection at all.
    pub(super) fn isolates(&self, flow: &Flow<'_>) -> bool {
        !self.closing(flow.from, "egress").is_empty()
            || far_pods(flow).iter().any(|p| !self.closing(p, "ingress").is_empty())
    }

    /// What forbids a connection; none when some pod of the far end may be reached.
    pub(super) fn denial(&self, flow: &Flow<'_>) -> Option<Denial<'a>> {
        match &flow.far {
            Far::Outside(address, port) => {
                self.ask(flow.from, "egress", (&Peer::Outside(*address), *port, None))
            }
            Far::Pods(pods, ports) => {
                let ports: Vec<Option<u16>> = if ports.is_empty() {
                    vec![None]
                } else {
                    ports.iter().map(|p| Some(*p)).collect()
                };
                let mut first = None;
                for pod in pods {
                    for port in &ports {
                        match self.between(flow.from, pod, *port) {
                            None => return None,
                            Some(denial) => first = first.or(Some(denial)),
                        }
                    }
                }
                first
            }
        }
    }

    fn between(&self, from: &Object, to: &Object, port: Option<u16>) -> Option<Denial<'a>> {
        let host = |p: &Object| p.at("/spec/hostNetwork").and_then(Value::as_bool) == Some(true);
        // What a node sends or takes itself is beyond pod selectors; plugins differ.
        if host(from) || host(to) {
            return None;
        }
        self.ask(from, "egress", (&Peer::Pod(to), port, Some(to)))
            .or_else(|| self.ask(to, "ingress", (&Peer::Pod(from), port, Some(to))))
    }

    /// Holds a connection against all policies that close a direction of `pod`.
    fn ask(
        &self,
        pod: &Object,
        direction: &'static str,
        (peer, port, serving): (&Peer<'_>, Option<u16>, Option<&Object>),
    ) -> Option<Denial<'a>> {
        let closing = self.closing(pod, direction);
        let first = *closing.first()?;
        let mut best: (Fit, Option<&'a Object>) = (Fit::No, None);
        for policy in &closing {
            for rule in policy.list(&format!("/spec/{direction}")) {
                let fit = self.fit(policy, (rule, direction), (peer, port, serving));
                if fit == Fit::Yes {
                    return None;
                }
                if fit > best.0 {
                    best = (fit, Some(policy));
                }
            }
        }
        let what = if direction == "egress" { "egress of" } else { "ingress to" };
        let closed = format!("{what} {} is closed by {}", pod.name(), named(&closing));
        let (why, says) = match best.0 {
            Fit::Port => ("port", format!("its rule for this peer leaves out the port; {closed}")),
            Fit::Labels => {
                ("labels", format!("the peer's labels are not those that its rules name; {closed}"))
            }
            Fit::Namespace => (
                "namespace",
                format!("the peer's namespace is not one that its rules name; {closed}"),
            ),
            Fit::No | Fit::Yes => ("no_rule", format!("no rule lets it pass; {closed}")),
        };
        Some(Denial {
            direction,
            why,
            says,
            closing,
            first: best_closer(first, pod, self, direction),
            near: best.1,
        })
    }

    fn fit(
        &self,
        policy: &Object,
        (rule, direction): (&Value, &str),
        (peer, port, serving): (&Peer<'_>, Option<u16>, Option<&Object>),
    ) -> Fit {
        let peers = list(rule, if direction == "egress" { "to" } else { "from" });
        let taken = if peers.is_empty() {
            Fit::Yes
        } else {
            peers.iter().map(|p| self.takes(policy, p, peer)).max().unwrap_or(Fit::No)
        };
        let passes = port_passes(list(rule, "ports"), port, serving);
        match (taken, passes) {
            (Fit::Yes, true) => Fit::Yes,
            (Fit::Yes, false) => Fit::Port,
            // Wrong on both counts is not near.
            (_, false) => Fit::No,
            (near, true) => near,
        }
    }

    fn takes(&self, policy: &Object, told: &Value, peer: &Peer<'_>) -> Fit {
        if let Some(block) = told.get("ipBlock") {
            let fits = match peer {
                Peer::Pod(pod) => {
                    pod.text("/status/podIP").parse().ok().is_some_and(|ip| in_block(block, ip))
                }
                Peer::Outside(Some(address)) => in_block(block, *address),
                // A host whose address is not known may lie in any block that is not of a cluster.
                Peer::Outside(None) => !is_private(block),
            };
            return if fits { Fit::Yes } else { Fit::No };
        }
        let Peer::Pod(pod) = peer else { return Fit::No };
        let home = match told.get("namespaceSelector") {
            Some(wanted) => {
                selector::matches(Some(wanted), &self.namespace_labels(pod.namespace()))
            }
            None => pod.namespace() == policy.namespace(),
        };
        let labels = told
            .get("podSelector")
            .is_none_or(|wanted| selector::matches(Some(wanted), &pod.labels()));
        match (home, labels) {
            (true, true) => Fit::Yes,
            (true, false) => Fit::Labels,
            // Every pod fits an absent selector: then the right labels say nothing.
            (false, true)
                if told
                    .get("podSelector")
                    .is_some_and(|s| s.as_object().is_some_and(|o| !o.is_empty())) =>
            {
                Fit::Namespace
            }
            (false, _) => Fit::No,
        }
    }

    /// The labels of a namespace; the one it always has when it was not recorded.
    fn namespace_labels(&self, name: &str) -> BTreeMap<String, String> {
        let known = self.namespaces.iter().find(|n| n.name() == name);
        let mut labels = known.map(Object::labels).unwrap_or_default();
        labels.entry("kubernetes.io/metadata.name".to_owned()).or_insert_with(|| name.to_owned());
        labels
    }

    /// Callers that may not ask the cluster's DNS, although they call by name.
    pub(super) fn without_names<'f>(
        &self,
        flows: &[Flow<'f>],
        scene: &'f Scene<'_>,
    ) -> Vec<(Denial<'a>, Flow<'f>)> {
        let servers: Vec<&Object> = scene
            .pods
            .iter()
            .filter(|p| p.namespace() == "kube-system")
            .filter(|p| p.labels().get("k8s-app").is_some_and(|app| app == "kube-dns"))
            .collect();
        if servers.is_empty() {
            return Vec::new();
        }
        let mut asked: BTreeMap<&Entity, &Flow<'f>> = BTreeMap::new();
        for flow in flows.iter().filter(|f| f.told && scene.covers(f.from)) {
            asked.entry(&flow.caller).or_insert(flow);
        }
        let mut found = Vec::new();
        for (caller, flow) in asked {
            let names = Flow {
                caller: caller.clone(),
                from: flow.from,
                to: Entity::new("Service", "kube-system", "kube-dns"),
                port: Some(53),
                far: Far::Pods(servers.clone(), [53].into()),
                told: true,
                failed: None,
            };
            if let Some(mut denial) = self.denial(&names) {
                denial.why = "dns";
                denial.says = format!("names cannot be resolved; {}", denial.says);
                found.push((denial, names));
            }
        }
        found
    }
}

/// Of those that close a direction the one without any rule: it is what denies by default.
fn best_closer<'a>(
    first: &'a Object,
    pod: &Object,
    side: &Side<'a>,
    direction: &str,
) -> &'a Object {
    let closing = side.closing(pod, direction);
    let bare = |p: &&&Object| p.list(&format!("/spec/{direction}")).is_empty();
    closing.iter().find(bare).copied().unwrap_or(first)
}

fn named(policies: &[&Object]) -> String {
    let names: Vec<&str> = policies.iter().map(|p| p.name()).collect();
    names.join(", ")
}

/// Whether the ports of a rule take a port. No port known passes when any could be meant.
fn port_passes(ports: &[Value], asked: Option<u16>, serving: Option<&Object>) -> bool {
    let Some(asked) = asked else { return true };
    ports.is_empty()
        || ports.iter().any(|entry| {
            let tcp = entry.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
            // Names are asked for over both.
            let protocol = tcp == "TCP" || (asked == 53 && tcp == "UDP");
            protocol
                && match entry.get("port") {
                    None => true,
                    Some(Value::String(name)) => serving.is_some_and(|pod| {
                        let ports = pod::containers(pod);
                        let mut ports = ports.iter().flat_map(|c| c.ports());
                        ports.any(|(n, number)| n == name && number == i64::from(asked))
                    }),
                    Some(number) => {
                        let from = number.as_u64().unwrap_or(0);
                        let to = entry.get("endPort").and_then(Value::as_u64).unwrap_or(from);
                        (from..=to).contains(&u64::from(asked))
                    }
                }
        })
}

fn in_block(block: &Value, address: IpAddr) -> bool {
    let cidr = block.get("cidr").and_then(Value::as_str).unwrap_or_default();
    let except = list(block, "except").iter().filter_map(Value::as_str);
    in_cidr(cidr, address) && !except.into_iter().any(|cidr| in_cidr(cidr, address))
}

/// Whether a block is of addresses that are only used inside.
fn is_private(block: &Value) -> bool {
    let cidr = block.get("cidr").and_then(Value::as_str).unwrap_or_default();
    match cidr
        .split_once('/')
        .and_then(|(ip, bits)| Some((ip.parse().ok()?, bits.parse::<u32>().ok()?)))
    {
        Some((IpAddr::V4(ip), bits)) => bits >= 8 && (ip.is_private() || ip.is_loopback()),
        Some((IpAddr::V6(ip), bits)) => bits >= 7 && ip.is_unique_local(),
        None => false,
    }
}

fn in_cidr(cidr: &str, address: IpAddr) -> bool {
    let (ip, bits) = cidr.split_once('/').unwrap_or((cidr, "128"));
    let Ok(bits) = bits.parse::<u32>() else { return false };
    match (ip.parse::<IpAddr>(), address) {
        (Ok(IpAddr::V4(net)), IpAddr::V4(ip)) => {
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            u32::from(net) & mask == u32::from(ip) & mask
        }
        (Ok(IpAddr::V6(net)), IpAddr::V6(ip)) => {
            let mask = u128::MAX.checked_shl(128 - bits.min(128)).unwrap_or(0);
            u128::from(net) & mask == u128::from(ip) & mask
        }
        _ => false,
    }
}
