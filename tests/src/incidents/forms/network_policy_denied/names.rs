//! A policy that forgets that names have to be asked for.

use serde_json::json;

use super::told;
use crate::incidents::{
    cluster::Cluster,
    drawn::newer,
    object::Ref,
    traffic::{Call, Harm, Why},
    truth::Truth,
    voice::{Runtime, Target},
};

/// How a program says that the resolver never answers it.
fn no_answer(runtime: Runtime, way: &Target) -> String {
    let (host, port) = (&way.host, way.port);
    match runtime {
        Runtime::Java => {
            format!("java.net.UnknownHostException: {host}: Temporary failure in name resolution")
        }
        Runtime::Python => format!(
            "HTTPConnectionPool(host='{host}', port={port}): Max retries exceeded with url: /v1/items (Caused by NameResolutionError(\"Failed to resolve '{host}' ([Errno -3] Temporary failure in name resolution)\"))"
        ),
        Runtime::Node => format!("getaddrinfo EAI_AGAIN {host}"),
        Runtime::DotNet => format!(
            "System.Net.Http.HttpRequestException: Resource temporarily unavailable ({host}:{port})"
        ),
        Runtime::Ruby => format!(
            "Failed to open TCP connection to {host}:{port} (getaddrinfo: Temporary failure in name resolution)"
        ),
        Runtime::Php => "cURL error 28: Resolving timed out after 5000 milliseconds".to_owned(),
        Runtime::Rust => {
            "error sending request: dns error: failed to lookup address information: Try again"
                .to_owned()
        }
        Runtime::Go | Runtime::Proxy | Runtime::Store => format!(
            "dial tcp: lookup {host} on 10.96.0.10:53: read udp 10.244.2.19:4{{n}}->10.96.0.10:53: i/o timeout"
        ),
    }
}

/// A new policy names every peer of a workload by its labels, and not the cluster's DNS: the
/// workload cannot resolve anything any more, while everybody else can.
pub(super) fn names_may_not_be_asked_for(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 2;
    let app = cluster.app(hops);
    let (id, gate, home) = (app.caller(), app.gate(), cluster.home());
    cluster.programmed(id);
    cluster.outside(id, false);
    let at = cluster.minutes_ago(7, 40);
    let end = cluster.dice.pick(&["egress", "allow-out", "least-privilege"]);
    let named = Ref::new("NetworkPolicy", &home, &format!("{}-{end}", cluster[id].called()));
    let peers: Vec<_> = app
        .path
        .iter()
        .chain(&app.sides)
        .map(|peer| json!({"to": [{"podSelector": cluster.selector_of(*peer)}]}))
        .chain([json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}],
            "ports": [{"protocol": "TCP", "port": 443}]})])
        .collect();
    let spec =
        json!({"podSelector": cluster.selector_of(id), "policyTypes": ["Egress"], "egress": peers});
    cluster.policy(&named, &spec, (at, &[]));
    let calls: Vec<Call> = cluster.traffic.calls.clone();
    let share = cluster.dice.range(0.9, 1.0);
    // Kept connections and cached names last a little.
    let from = at + cluster.dice.between(10, 50);
    for call in calls.iter().filter(|call| call.from == id) {
        let text = no_answer(cluster[id].runtime, &cluster.way(id, call.to));
        let harm = Harm { grows: 60, ..Harm::errors(from, share, Why::Said(text)) };
        cluster.traffic.harm_call(id, call.to, &harm);
    }
    cluster.roll(app.last(), at - cluster.dice.clone().between(100, 700), |template| {
        template.tag = newer(&template.tag);
    });
    let name = cluster[id].name.clone();
    let cause = format!(
        "NetworkPolicy {} lists where {name} may go and leaves the cluster's DNS out, so {name} cannot resolve any name; the DNS itself answers everybody else.",
        named.name
    );
    let mut truth = told(cluster, (gate, named.clone()), hops, &cause);
    truth.not_claim.retain(|claim| !claim.contains("dns"));
    truth.not_claim(&["coredns is down"]).mention(&[&named.name, &name])
}
