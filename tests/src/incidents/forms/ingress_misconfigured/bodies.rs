//! Requests that the edge finds too large.

use serde_json::json;

use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    edge::Way,
    object::Edit,
    series::along,
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::Level,
    workload::Saying,
};

/// An annotation of the Ingress allows small bodies only: uploads end at the edge with 413, all
/// other requests are served, and inside nothing fails.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn bodies_are_too_large(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (gate, home) = (app.gate(), cluster.home());
    let edge = cluster.edge(gate);
    let front = cluster[gate].called().to_owned();
    let port = cluster[gate].front.as_ref().map_or(80, |front| front.port);
    let at = cluster.minutes_ago(10, 45);
    let size = cluster.dice.pick(&["64k", "16k", "128k", "8k"]);
    let name = format!("{front}{}", cluster.dice.pick(&["-public", "-edge", "-http"]));
    let way = Way {
        name: &name,
        class: edge.class,
        host: &edge.host,
        path: "/",
        to: (&front, json!(port)),
        tls: "",
        notes: json!({"nginx.ingress.kubernetes.io/proxy-body-size": size,
            "nginx.ingress.kubernetes.io/proxy-read-timeout": "60"}),
    };
    let editor = cluster.habits.editor;
    let ingress =
        cluster.ingress(&home, &way, &[Edit::new(at, editor, &["f:metadata.f:annotations"])]);
    let share = cluster.dice.range(0.12, 0.3);
    let from = at + 5;
    let harm = Harm::errors(from, share, Why::Status(413));
    cluster.traffic.harm_call(edge.controller, Peer::In(gate), &harm);
    let served = vec![(from, edge.rps), (from + 1, edge.rps * (1.0 - share))];
    let refused = vec![(from, 0.0), (from + 1, edge.rps * share)];
    cluster.edge_counts((&home, &way), &[(200, served), (413, refused)]);
    let route =
        cluster.dice.pick(&["/v1/documents", "/v1/photos", "/api/import", "/v1/claims/files"]);
    let line = format!(
        "[error] 31#31: *4{{n}} client intended to send too large body: 24{{n}}88 bytes, client: 203.0.113.88, server: {}, request: \"POST {route} HTTP/2.0\", host: \"{}\"",
        edge.host, edge.host
    );
    cluster[edge.controller].say(from, 6, Level::Error, &line);
    for text in [
        "\"Configuration changes detected, backend reload required\"",
        "\"Backend successfully reloaded\"",
    ] {
        let file =
            if text.contains("detected") { "controller.go:193" } else { "controller.go:213" };
        let line = cluster.klog(at + 2, 'I', (file, text));
        cluster[edge.controller].sayings.push(Saying::new(at + 2, 0, Level::Info, &line));
    }
    let usual = cluster.dice.range(0.6, 3.0);
    let uploads = along(&[(from, usual), (from + 60, usual * 0.04)]);
    cluster.metrics.counter(
        "uploads_stored",
        &[("namespace", &home), ("service", &front)],
        41_000.0,
        &uploads,
    );
    cluster.roll(gate, at - cluster.dice.clone().between(300, 1500), |t| t.tag = newer(&t.tag));
    let alert = cluster.dice.pick(&["uploads_low", "BusinessKpiDrop", "UploadSuccessLow"]);
    Truth::new(cluster, alert, gate, ingress)
        .claimed("warning")
        .told(
            "Uploads end at the edge",
            &format!("rate(uploads_stored_total) of {front} is 90% below the same hour of last week since {} minutes.", -from / MIN),
            &format!("Ingress {name} was edited and allows bodies of {size} only; uploads are refused by the ingress controller with 413 and never reach {front}."),
        )
        .rated("hard", "P2")
        .mention(&["413", "too large", "body size", "body-size", "proxy-body-size", size])
        .mention(&[&name, "ingress"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "disk full"])
}
