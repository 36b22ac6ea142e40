//! Ingresses that lead nowhere.

mod bodies;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{MIN, Sec},
    cluster::Cluster,
    drawn::newer,
    edge::{Edge, Way},
    event::Happening,
    object::{Edit, Ref},
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::Level,
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("backend_that_is_not_there", backend_that_is_not_there),
    ("rule_for_nobody", rule_for_nobody),
    ("bodies_are_too_large", bodies::bodies_are_too_large),
];

/// From `at` on the controller answers all requests with `status` itself.
fn answers(cluster: &mut Cluster, (edge, gate): (&Edge, Id), (at, status): (Sec, u16)) {
    let line = cluster.line_of(gate, &edge.host, status);
    let why = Why::Said(line);
    cluster.traffic.harm_call(edge.controller, Peer::In(gate), &Harm::errors(at, 1.0, why));
    cluster.traffic.harm(edge.controller, Harm::errors(at, 0.001, Why::Status(status)));
}

fn synced(cluster: &mut Cluster, ingress: &Ref, at: Sec) {
    let text = "Scheduled for sync".to_owned();
    let event = Happening::normal(ingress.clone(), "nginx-ingress-controller", "Sync", text);
    cluster.events.push(event.at(at + 1));
}

/// What the controller's own code says at `at` and again at every sync since.
fn controller_says(
    cluster: &mut Cluster,
    edge: &Edge,
    (at, letter): (Sec, char),
    line: (&str, &str),
) {
    let mut when = at + 1;
    while when < 300 {
        let text = cluster.klog(when, letter, line);
        cluster[edge.controller].sayings.push(Saying::new(when, 0, Level::Warn, &text));
        when += 280;
    }
}

/// An edit of the Ingress names a Service, or a port of it, that does not exist: 503 for all.
fn backend_that_is_not_there(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let gate = app.gate();
    let edge = cluster.edge(gate);
    let (space, front) = (cluster.home(), cluster[gate].called().to_owned());
    let port = cluster[gate].front.as_ref().map_or(80, |front| front.port);
    let at = cluster.minutes_ago(6, 40);
    let by_name = cluster.dice.chance(0.5);
    let end = cluster.dice.pick(&["-svc", "-v2", "-service", "s"]);
    let wrong = if by_name { format!("{front}{end}") } else { front.clone() };
    let wrong_port = if by_name {
        json!(port)
    } else {
        cluster.dice.clone().pick(&[8443, 9090, 81, 4000]).into()
    };
    let name = format!("{}{}", front, cluster.dice.pick(&["", "-ingress", "-web"]));
    let way = Way {
        name: &name,
        class: edge.class,
        host: &edge.host,
        path: "/",
        to: (&wrong, wrong_port.clone()),
        tls: "",
        notes: json!({}),
    };
    let editor = cluster.habits.editor;
    let ingress = cluster.ingress(&space, &way, &[Edit::new(at, editor, &["f:spec.f:rules"])]);
    synced(cluster, &ingress, at);
    answers(cluster, (&edge, gate), (at + 2, 503));
    let (key, file) = (format!("{space}/{wrong}"), "controller.go:1108");
    let said = if by_name {
        format!(
            "Error obtaining Endpoints for Service \"{key}\": no object matching key \"{key}\" in local store"
        )
    } else {
        format!("Service \"{key}\" does not have any active Endpoint.")
    };
    controller_says(cluster, &edge, (at, 'W'), (file, &said));
    let (before, after) =
        (vec![(at, edge.rps), (at + 3, 0.0)], vec![(at, 0.0), (at + 3, edge.rps)]);
    cluster.edge_counts((&space, &way), &[(200, before), (503, after)]);
    let what = if by_name {
        format!("Service {wrong}, which does not exist")
    } else {
        format!("port {wrong_port} of Service {front}, which does not exist")
    };
    let truth = told(
        cluster,
        (gate, &edge, ingress),
        at,
        &format!(
            "Ingress {name} was edited and names {what}: the controller answers every request with 503 and nothing reaches {front}."
        ),
    );
    truth.mention(&[&wrong, "backend", "port", "503"])
}

/// An edit of the Ingress changed its class or its host to one that nobody serves or asks for:
/// 404 for all. The gate was released shortly before, which is innocent.
fn rule_for_nobody(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let gate = app.gate();
    let edge = cluster.edge(gate);
    let (space, front) = (cluster.home(), cluster[gate].called().to_owned());
    let port = cluster[gate].front.as_ref().map_or(80, |front| front.port);
    let at = cluster.minutes_ago(8, 45);
    let by_class = cluster.dice.chance(0.5);
    let class = if by_class {
        cluster.dice.pick(&["nginx-internal", "traefik", "haproxy", "nginx-v2"])
    } else {
        edge.class
    };
    let typo = edge
        .host
        .replace(".example", cluster.dice.pick(&[".exmaple", "-eu.example", ".example.com"]));
    let host = if by_class { &edge.host } else { &typo };
    let name = format!("{front}-{}", cluster.dice.pick(&["edge", "public", "http"]));
    let way = Way {
        name: &name,
        class,
        host,
        path: "/",
        to: (&front, json!(port)),
        tls: "",
        notes: json!({}),
    };
    let field = if by_class { "f:spec.f:ingressClassName" } else { "f:spec.f:rules" };
    let editor = cluster.habits.editor;
    let ingress = cluster.ingress(&space, &way, &[Edit::new(at, editor, &[field])]);
    cluster.roll(gate, at - cluster.dice.clone().between(180, 700), |template| {
        template.tag = newer(&template.tag)
    });
    answers(cluster, (&edge, gate), (at + 2, 404));
    if by_class {
        let said = format!(
            "\"Ignoring ingress because of error while validating ingress class\" ingress=\"{space}/{name}\" error=\"no object matching key \\\"{class}\\\" in local store\""
        );
        controller_says(cluster, &edge, (at, 'I'), ("store.go:440", &said));
    } else {
        synced(cluster, &ingress, at);
    }
    let before = Way { host: &edge.host, ..way.clone() };
    cluster.edge_counts((&space, &before), &[(200, vec![(at, edge.rps), (at + 3, 0.0)])]);
    let nobody = Way { name: "", host: "_", ..way.clone() };
    cluster.edge_counts(("", &nobody), &[(404, vec![(at, 0.02), (at + 3, edge.rps)])]);
    let what = if by_class {
        format!("class {class}, which no controller serves")
    } else {
        format!("host {host} instead of {}", edge.host)
    };
    let truth = told(
        cluster,
        (gate, &edge, ingress),
        at,
        &format!(
            "Ingress {name} was edited to {what}: users get 404 from the controller and nothing reaches {front}, which is well."
        ),
    );
    truth.mention(&[if by_class { "class" } else { "host" }, class, &typo, "404"])
}

fn told(
    cluster: &mut Cluster,
    (gate, edge, ingress): (Id, &Edge, Ref),
    at: Sec,
    cause: &str,
) -> Truth {
    let (called, host) = (cluster[gate].called().to_owned(), &edge.host);
    let alert = cluster.dice.pick(&["traffic_drop", "endpoint_down", "service_unavailable"]);
    let description = match alert {
        "traffic_drop" => {
            format!("{called} gets hardly any requests since about {} minutes.", -at / MIN)
        }
        _ => format!(
            "https://{host}/ does not answer as it should since about {} minutes.",
            -at / MIN
        ),
    };
    let name = ingress.name.clone();
    Truth::new(cluster, alert, gate, ingress)
        .told("An edited Ingress leads nowhere", &description, cause)
        .rated("medium", "P1")
        .mention(&["ingress", &name])
        .not_claim(&[
            "OOM",
            "bad release",
            "dns failure",
            "network policy",
            "certificate expired",
            "scaled to zero",
        ])
}
