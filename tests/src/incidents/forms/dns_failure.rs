//! Names that cannot be resolved.

mod local;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{MIN, Sec},
    cluster::Cluster,
    drawn::newer,
    mishap::crashes_since,
    object::{Edit, Ref},
    traffic::{Call, Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime, Target},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("forwarder_gone", forwarder_gone),
    ("pod_with_own_resolver", pod_with_own_resolver),
    ("resolver_does_not_come_back", resolver_does_not_come_back),
    ("resolver_of_one_node", local::resolver_of_one_node),
];

/// How a program says that the resolver gives no answer, rather than that a name does not exist.
fn unresolved(runtime: Runtime, way: &Target, refused: bool) -> String {
    let (host, port) = (&way.host, way.port);
    let scheme = if way.secure { "https" } else { "http" };
    let pool = if way.secure { "HTTPSConnectionPool" } else { "HTTPConnectionPool" };
    let temporary = "Temporary failure in name resolution";
    match runtime {
        Runtime::Java => format!(
            "I/O error on GET request for \"{scheme}://{host}/v1/items\": {host}: {temporary}; nested exception is java.net.UnknownHostException: {host}: {temporary}"
        ),
        Runtime::Go if refused => format!(
            "dial tcp: lookup {host} on 10.96.0.10:53: read udp 10.244.1.9:41220->10.96.0.10:53: read: connection refused"
        ),
        Runtime::Go => format!("dial tcp: lookup {host} on 10.96.0.10:53: server misbehaving"),
        Runtime::Python => format!(
            "{pool}(host='{host}', port={port}): Max retries exceeded with url: /v1/items (Caused by NameResolutionError(\"Failed to resolve '{host}' ([Errno -3] {temporary})\"))"
        ),
        Runtime::Node => format!("getaddrinfo EAI_AGAIN {host}"),
        Runtime::DotNet => format!(
            "System.Net.Http.HttpRequestException: Resource temporarily unavailable ({host}:{port}) ---> System.Net.Sockets.SocketException (11): Resource temporarily unavailable"
        ),
        Runtime::Ruby => format!(
            "Faraday::ConnectionFailed: Failed to open TCP connection to {host}:{port} (getaddrinfo: {temporary})"
        ),
        Runtime::Php => format!("cURL error 6: Could not resolve host: {host}"),
        Runtime::Rust => format!(
            "error sending request for url ({scheme}://{host}/v1/items): dns error: failed to lookup address information: {temporary}"
        ),
        Runtime::Proxy | Runtime::Store => format!(
            "{host} could not be resolved (110: Operation timed out), client: 10.244.3.17, server: _, request: \"GET /v1/items HTTP/1.1\""
        ),
    }
}

/// The cluster's DNS with a Corefile of the story's own.
fn dns_with(cluster: &mut Cluster, corefile: &str, edit: Edit) -> (Id, Ref) {
    let id = cluster.dns();
    let map = Ref::new("ConfigMap", "kube-system", "coredns");
    cluster.objects.remove(&map);
    cluster.config_map(("kube-system", "coredns"), &[("Corefile", corefile.to_owned())], &[edit]);
    (id, map)
}

fn corefile(forward: &str, cache: &str) -> String {
    format!(
        ".:53 {{\n    errors\n    health {{\n       lameduck 5s\n    }}\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa {{\n       pods insecure\n       fallthrough in-addr.arpa ip6.arpa\n       ttl 30\n    }}\n    prometheus :9153\n    forward . {forward}\n    {cache} 30\n    loop\n    reload\n    loadbalance\n}}\n"
    )
}

/// What names the DNS as well as its ConfigMap.
fn dns_parts(cluster: &Cluster, dns: Id) -> Vec<Ref> {
    let mut parts = vec![cluster.reference(dns)];
    parts.extend(cluster.parts(dns));
    parts
}

/// The Corefile forwards to an address where nobody answers: names outside the cluster fail, those
/// inside resolve. Two applications suffer.
fn forwarder_gone(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops);
    let id = app.last();
    cluster.programmed(id);
    let (place, host) = cluster.outside(id, true);
    let (space, name) = cluster.names.stranger();
    let other = cluster.service(&space, &name);
    if let Some(station) = cluster.traffic.station(other) {
        station.rps = 5.0;
    }
    let (far, elsewhere) = cluster.outside(other, true);
    let at = cluster.minutes_ago(7, 45);
    let server = format!("10.{}.0.{}", cluster.dice.between(20, 60), cluster.dice.between(2, 250));
    let editor = cluster.habits.editor;
    let edit = Edit::new(at, editor, &["f:data.f:Corefile"]);
    let (dns, map) = dns_with(cluster, &corefile(&server, "cache"), edit);
    let seen = at + cluster.dice.between(30, 75);
    let share = cluster.dice.range(0.85, 1.0);
    for (from, to, host) in [(id, Peer::Out(place), &host), (other, Peer::Out(far), &elsewhere)] {
        let text = unresolved(cluster[from].runtime, &cluster.way(from, to), false);
        cluster.traffic.harm_call(
            from,
            to,
            &Harm { grows: 60, ..Harm::errors(seen, share, Why::Said(text)) },
        );
        let line = format!(
            "[ERROR] plugin/errors: 2 {host}. A: read udp 10.244.0.9:4{{n}}->{server}:53: i/o timeout"
        );
        cluster[dns].sayings.push(Saying::new(seen, 6, Level::Error, &line));
    }
    for line in ["[INFO] Reloading", "[INFO] Reloading complete"] {
        cluster[dns].sayings.push(Saying::new(seen - 2, 0, Level::Info, line));
    }
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 200, |template| template.tag = newer(&template.tag));
    }
    let gate = app.gate();
    let parts = dns_parts(cluster, dns);
    Truth::new(cluster, "high_error_rate", gate, map)
        .accept(parts)
        .told(
            "Names outside the cluster do not resolve",
            &format!("{} fails since about {} minutes.", cluster[gate].called(), -seen / MIN),
            &format!("ConfigMap coredns was edited: it forwards to {server}, where nobody answers, so {host} and all other names outside the cluster cannot be resolved."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(gate))
        .mention(&["dns", "resol", "coredns", "lookup"])
        .mention(&["coredns", "Corefile", &server, "forward"])
        .not_claim(&["OOM", "bad release", "network policy", "traffic spike", "credentials"])
        .or_category(&["config_change_regression"])
}

/// A rollout gives the pods a resolver of their own, which does not know the cluster's names.
/// Whom they call was released shortly before, and is well.
fn pod_with_own_resolver(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, callee) = (app.caller(), app.last());
    let at = cluster.minutes_ago(8, 40);
    let server = cluster.dice.pick(&["1.1.1.1", "9.9.9.9", "8.8.8.8", "10.20.0.2"]);
    let own = cluster.dice.chance(0.6);
    cluster.roll(callee, at - cluster.dice.clone().between(120, 500), |template| {
        template.tag = newer(&template.tag);
    });
    let bumped = cluster.dice.chance(0.3);
    cluster.roll(id, at, |template| {
        if own {
            let config =
                json!({"nameservers": [server], "options": [{"name": "ndots", "value": "1"}]});
            template.spec.push(("dnsPolicy".to_owned(), json!("None")));
            template.spec.push(("dnsConfig".to_owned(), config));
        } else {
            template.spec.push(("dnsPolicy".to_owned(), json!("Default")));
        }
        if bumped {
            template.tag = newer(&template.tag);
        }
    });
    let calls: Vec<Call> =
        cluster.traffic.calls.iter().filter(|call| call.from == id).cloned().collect();
    for call in calls.iter().filter(|call| matches!(call.to, Peer::In(_))) {
        let host = cluster.way(id, call.to).host;
        let server = if own { server } else { "169.254.169.253" };
        let why = if cluster[id].runtime == Runtime::Go {
            Why::Said(format!(
                "Get \"http://{host}/v1/items\": dial tcp: lookup {host} on {server}:53: no such host"
            ))
        } else {
            Why::NoHost
        };
        cluster.traffic.harm_call(
            id,
            call.to,
            &Harm { grows: 60, ..Harm::errors(at + 20, 1.0, why) },
        );
    }
    let (gate, name) = (app.gate(), cluster[id].name.clone());
    let host = cluster[callee].called().to_owned();
    Truth::new(cluster, "high_error_rate", gate, cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "One workload does not find the cluster's names",
            &format!("Requests to {} fail since about {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The newest revision of {name} sets its own dnsPolicy: its pods ask a resolver that does not know the cluster's names, so {host} cannot be resolved by them. The cluster's DNS is well."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(gate))
        .mention(&["dns", "resol", "lookup", "dnsPolicy"])
        .mention(&[&name, cluster[id].called()])
        .not_claim(&["OOM", "coredns is down", "network policy", "traffic spike", "credentials"])
        .or_category(&["config_change_regression", "bad_deploy_regression"])
}

/// The Corefile was broken by an edit long ago, which the running resolvers refused to load; now
/// they were replaced and end at start. Nothing in the cluster finds anything.
fn resolver_does_not_come_back(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    cluster.outside(app.last(), true);
    let edited = cluster.hours_ago(2, 40);
    let editor = cluster.habits.editor;
    let word = cluster.dice.pick(&["cahce", "cache_ttl", "caching"]);
    let edit = Edit::new(edited, editor, &["f:data.f:Corefile"]);
    let (dns, map) = dns_with(cluster, &corefile("/etc/resolv.conf", word), edit);
    let at: Sec = cluster.minutes_ago(6, 25);
    let text =
        format!("/etc/coredns/Corefile:15 - Error during parsing: Unknown directive '{word}'");
    cluster[dns].crash = vec![(Level::Fatal, text, Vec::new())];
    cluster.replace_all(dns, at, |pod| crashes_since(pod, (pod.created + 2, 1), (1, "Error")));
    cluster.crash_events(dns);
    let calls = cluster.traffic.calls.clone();
    let share = cluster.dice.range(0.93, 1.0);
    for call in &calls {
        let way = cluster.way(call.from, call.to);
        let text = unresolved(cluster[call.from].runtime, &way, true);
        let harm = Harm { grows: 90, ..Harm::errors(at + 25, share, Why::Said(text)) };
        cluster.traffic.harm_call(call.from, call.to, &harm);
    }
    let gate = app.gate();
    let parts = dns_parts(cluster, dns);
    let alert =
        cluster.dice.pick(&["high_error_rate", "namespace_degraded", "service_unavailable"]);
    Truth::new(cluster, alert, gate, map)
        .accept(parts)
        .told(
            "The resolvers were replaced and do not start",
            &format!("{} and others fail since about {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The Corefile in ConfigMap coredns has the unknown directive {word} since hours; the CoreDNS pods were replaced and end at start, so no name is resolved in the cluster."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&["dns", "resol", "coredns", "lookup"])
        .mention(&["coredns", "Corefile", word])
        .not_claim(&["OOM", "bad release", "network policy", "traffic spike", "credentials"])
        .or_category(&["config_change_regression", "crash_loop_config_error"])
}
