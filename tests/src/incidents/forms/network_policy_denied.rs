//! Network policies that leave out traffic which is needed.

mod names;

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::DAY,
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    traffic::{Id, Peer},
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("other_namespaces_shut_out", other_namespaces_shut_out),
    ("egress_list_too_short", egress_list_too_short),
    ("port_list_left_behind", port_list_left_behind),
    ("names_may_not_be_asked_for", names::names_may_not_be_asked_for),
];

/// Names to DNS may always be asked for.
fn dns_rule() -> Value {
    json!({"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]})
}

/// A shared service in another namespace was closed to other namespaces: by a new policy, or by
/// an edit of an old one. It is well and ready, but nothing arrives; its callers wait in vain. It
/// was released shortly before, which is innocent.
fn other_namespaces_shut_out(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let (space, name) = cluster.names.stranger();
    let shared = cluster.service(&space, &name);
    cluster.call(id, Peer::In(shared), true);
    let at = cluster.minutes_ago(7, 45);
    let editor = cluster.habits.editor;
    let same = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]});
    let mut accept = Vec::new();
    let policy = if cluster.dice.chance(0.5) {
        let name = cluster.dice.pick(&["default-deny-ingress", "deny-all", "baseline-deny"]);
        let named = Ref::new("NetworkPolicy", &space, name);
        let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
        cluster.policy(&named, &spec, (at, &[]));
        let within = Ref::new("NetworkPolicy", &space, "allow-same-namespace");
        cluster.policy(&within, &same, (-DAY * 80, &[]));
        accept.push(within);
        named
    } else {
        let name = cluster.dice.pick(&["namespace-isolation", "ingress-rules", "tenant-boundary"]);
        let named = Ref::new("NetworkPolicy", &space, name);
        cluster.policy(&named, &same, (-DAY * 90, &[Edit::new(at, editor, &["f:spec.f:ingress"])]));
        named
    };
    cluster.roll(shared, at - cluster.dice.clone().between(200, 900), |template| {
        template.tag = newer(&template.tag);
    });
    let from = at + cluster.dice.between(5, 40);
    let share = cluster.dice.range(0.92, 1.0);
    cluster.cut_off((id, Peer::In(shared)), from, share);
    let home = cluster.home();
    let truth = told(
        cluster,
        (gate, policy.clone()),
        hops,
        &format!(
            "NetworkPolicy {} lets only pods of namespace {space} reach {name} there, so calls from {} in {home} get no answer; {name} itself is well.",
            policy.name, cluster[id].name
        ),
    );
    truth.accept(accept).mention(&[&name, &policy.name, &space])
}

/// A new policy lists where a workload may go, and forgets the partner outside.
fn egress_list_too_short(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    cluster.programmed(id);
    let (place, host) = cluster.outside(id, true);
    let space = cluster.home();
    let at = cluster.minutes_ago(6, 40);
    let end = cluster.dice.pick(&["egress", "outbound", "netpol"]);
    let name = format!("{}-{end}", cluster[id].called());
    let named = Ref::new("NetworkPolicy", &space, &name);
    let mut egress = vec![dns_rule(), json!({"to": [{"podSelector": {}}]})];
    if cluster.dice.chance(0.5) {
        egress.push(json!({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"protocol": "TCP", "port": 5432}]}));
    }
    let spec = json!({"podSelector": cluster.selector_of(id), "policyTypes": ["Egress"], "egress": egress});
    if cluster.dice.chance(0.5) {
        cluster.policy(&named, &spec, (at, &[]));
    } else {
        let editor = cluster.habits.editor;
        cluster.policy(&named, &spec, (-DAY * 60, &[Edit::new(at, editor, &["f:spec.f:egress"])]));
    }
    cluster.open_policy(&space);
    let from = at + cluster.dice.between(3, 30);
    cluster.cut_off((id, Peer::Out(place)), from, 1.0);
    let truth = told(
        cluster,
        (gate, named),
        hops,
        &format!(
            "NetworkPolicy {name} lists where the pods of {} may go and leaves out everything outside the cluster, so calls to {host} get no answer.",
            cluster[id].name
        ),
    );
    truth.mention(&[&host, &name, cluster[id].called()])
}

/// A service moved to another port, and its Service with it; the policy before it, as old as the
/// application, lets in the old port only. The change of the port brought it to light.
fn port_list_left_behind(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let (id, gate, space) = (app.last(), app.gate(), cluster.home());
    let (old, at) = (cluster[id].port, cluster.minutes_ago(8, 40));
    let new = cluster.dice.pick(&[8090, 9080, 7070, 8181]);
    let name =
        format!("{}-{}", cluster[id].called(), ["ingress", "in"].get(hops - 1).unwrap_or(&"in"));
    let named = Ref::new("NetworkPolicy", &space, &name);
    let spec = json!({"podSelector": cluster.selector_of(id), "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": old}]}]});
    cluster.policy(&named, &spec, (-DAY * 110, &[]));
    cluster[id].port = new;
    let deployer = cluster.habits.deployer;
    if let Some(front) = &mut cluster[id].front {
        (front.target, front.edited) = (json!(new), Some((at, deployer)));
    }
    cluster.roll(id, at, |template| {
        for probe in [&mut template.readiness, &mut template.liveness].into_iter().flatten() {
            if let Some(Value::Object(get)) = probe.pointer_mut("/httpGet") {
                get.insert("port".into(), json!(new));
            }
        }
        template.set_env("PORT", &new.to_string());
        template.tag = newer(&template.tag);
    });
    for caller in cluster.callers(id) {
        cluster.cut_off((caller, Peer::In(id)), at + 30, 1.0);
    }
    let accept = [vec![cluster.reference(id)], cluster.parts(id)].concat();
    let truth = told(
        cluster,
        (gate, named),
        hops,
        &format!(
            "{} moved from port {old} to {new} with its last release, but NetworkPolicy {name} still lets in {old} only: its callers get no answer while its pods are ready.",
            cluster[id].name
        ),
    );
    truth.accept(accept).mention(&[&new.to_string(), &old.to_string(), "port", &name])
}

fn told(cluster: &Cluster, (gate, policy): (Id, Ref), hops: usize, cause: &str) -> Truth {
    let called = cluster[gate].called().to_owned();
    Truth::new(cluster, if hops == 1 { "high_latency" } else { "high_error_rate" }, gate, policy)
        .told(
            "Needed traffic is not allowed",
            &format!("Requests to {called} fail or take very long for 5 minutes."),
            cause,
        )
        .rated(
            ["medium", "medium", "hard"].get(hops).copied().unwrap_or("hard"),
            cluster.effect(gate),
        )
        .mention(&["network policy", "NetworkPolicy", "netpol"])
        .not_claim(&["OOM", "bad release", "dns failure", "pool exhausted", "third party is down"])
}
