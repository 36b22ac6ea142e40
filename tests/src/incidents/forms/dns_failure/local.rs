//! Resolvers that every node has for itself.

use serde_json::json;

use super::unresolved;
use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    mishap::crashes_since,
    traffic::{Call, Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime, Voice},
    workload::Kind,
};

/// A caching resolver on every node.
fn on_every_node(cluster: &mut Cluster) -> Id {
    let mut draft = cluster.draft("kube-system", "node-local-dns", Kind::DaemonSet);
    draft.always(|template| {
        "registry.k8s.io/dns/k8s-dns-node-cache".clone_into(&mut template.image);
        "1.23.1".clone_into(&mut template.tag);
        template.command =
            ["/node-cache", "-localip", "169.254.20.10,10.96.0.10", "-conf", "/etc/Corefile"]
                .map(str::to_owned)
                .to_vec();
        template.spec.push(("hostNetwork".to_owned(), json!(true)));
        template.spec.push(("dnsPolicy".to_owned(), json!("Default")));
        template.spec.push(("priorityClassName".to_owned(), json!("system-node-critical")));
    });
    (draft.runtime, draft.voice, draft.instrumented) = (Runtime::Go, Voice::Plain, false);
    "node-cache".clone_into(&mut draft.container);
    draft.port = 53;
    draft.routine = vec!["[INFO] 10.244.2.{n}:4{n} - {n} \"A IN app.svc.cluster.local. udp 46 false 512\" NOERROR qr,aa,rd 106 0.000{n}s".to_owned()];
    cluster.add(draft)
}

/// On one node the local resolver does not start; what runs there finds nothing, all else is
/// well, the cluster's DNS too.
pub(super) fn resolver_of_one_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 2;
    let app = cluster.app(hops);
    let (id, gate) = (app.caller(), app.gate());
    cluster.programmed(id);
    let local = on_every_node(cluster);
    // A service of one pod, so that a node is all it has.
    cluster[id].pods.truncate(1);
    cluster[id].replicas = 1;
    let node = cluster[id].pods.first().map(|pod| pod.node.clone()).unwrap_or_default();
    let elsewhere = cluster.nodes.iter().map(|one| one.name.clone()).find(|one| *one != node);
    let others: Vec<Id> = (0..cluster.workloads.len()).map(Id).collect();
    for other in others.into_iter().filter(|other| *other != id && *other != local) {
        for pod in cluster[other].pods.iter_mut().filter(|pod| pod.node == node) {
            pod.node = elsewhere.clone().unwrap_or_default();
        }
    }
    let at = cluster.minutes_ago(7, 35);
    let text = cluster.dice.pick(&[
        "[FATAL] Error setting up networking: failed to add dummy interface nodelocaldns: operation not permitted",
        "listen udp 169.254.20.10:53: bind: address already in use",
        "[FATAL] iptables: exit status 4: Another app is currently holding the xtables lock; still 4s 0us time ahead to have a chance to grab the lock",
    ]);
    cluster[local].crash = vec![
        (Level::Info, "[INFO] Starting node-cache image: 1.23.1".to_owned(), Vec::new()),
        (Level::Fatal, text.to_owned(), Vec::new()),
    ];
    for pod in cluster[local].pods.iter_mut().filter(|pod| pod.node == node) {
        crashes_since(pod, (at, 2), (1, "Error"));
    }
    cluster.crash_events(local);
    let calls: Vec<Call> = cluster.traffic.calls.clone();
    let share = cluster.dice.range(0.88, 1.0);
    for call in calls.iter().filter(|call| call.from == id) {
        let way = cluster.way(id, call.to);
        let said =
            unresolved(cluster[id].runtime, &way, true).replace("10.96.0.10", "169.254.20.10");
        let harm = Harm { grows: 60, ..Harm::errors(at + 20, share, Why::Said(said)) };
        cluster.traffic.harm_call(id, call.to, &harm);
    }
    cluster.roll(app.last(), at - 400, |template| template.tag = newer(&template.tag));
    let alert = cluster.dice.pick(&["high_error_rate", "GatewayUpstreamErrors", "slo_burn_rate"]);
    let name = cluster[id].name.clone();
    Truth::new(cluster, alert, gate, cluster.reference(local))
        .accept(cluster.parts(local))
        .told(
            "The resolver of one node does not start",
            &format!("{} answers with errors since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The pod of DaemonSet node-local-dns on {node} does not start any more, so {name}, which runs there, cannot resolve any name; on other nodes names are resolved."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&["dns", "resol", "lookup"])
        .mention(&["node-local-dns", "node-cache", "nodelocaldns", &node])
        .not_claim(&["OOM", "bad release", "network policy", "traffic spike", "credentials"])
}
