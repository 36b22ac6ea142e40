//! More load than there is capacity for.

mod within;

use super::Tale;
use crate::incidents::{
    app::App,
    clock::{MIN, Sec},
    cluster::Cluster,
    object::Ref,
    scaling::Scaler,
    traffic::{Id, Peer},
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("campaign_at_the_gate", campaign_at_the_gate),
    ("narrow_service_inside", narrow_service_inside),
    ("load_test_past_the_gate", within::load_test_past_the_gate),
];

/// A campaign brings many times the users; the gate itself is too small and its autoscaler is at
/// its bound.
fn campaign_at_the_gate(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    spike(cluster, &app, 0)
}

/// The same, but a service further inside is the narrow one; the alert is on the gate.
fn narrow_service_inside(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    spike(cluster, &app, hops)
}

/// Requests of the service at `depth` for each request at the gate.
fn share(cluster: &Cluster, app: &App, depth: usize) -> f64 {
    let steps = app.path.iter().zip(app.path.iter().skip(1)).take(depth);
    let calls = &cluster.traffic.calls;
    steps
        .map(|(from, to)| {
            let call = calls.iter().find(|call| call.from == *from && call.to == Peer::In(*to));
            call.map_or(1.0, |call| call.share)
        })
        .product()
}

/// Gives the service at `depth` a capacity that the surge exceeds, and everyone else room.
fn narrow(cluster: &mut Cluster, app: &App, (id, depth): (Id, usize), usual: f64) -> f64 {
    let room = cluster.dice.range(1.8, 2.6);
    let capacity = usual * share(cluster, app, depth) * room;
    if let Some(station) = cluster.traffic.station(id) {
        station.capacity = capacity;
    }
    for other in app.path.iter().chain(&app.sides).filter(|other| **other != id) {
        cluster[*other].cpu_used = 22.0;
    }
    cluster[id].always(|template| (template.cpu_limit, template.cpu_request) = (500, 250));
    cluster[id].cpu_used = 500.0 / room;
    capacity
}

fn spike(cluster: &mut Cluster, app: &App, depth: usize) -> Truth {
    let id = app.path.get(depth).copied().unwrap_or(app.gate());
    let gate = app.gate();
    let at = cluster.minutes_ago(6, 35);
    let factor = cluster.dice.range(4.0, 9.0);
    let grows = cluster.dice.between(60, 400);
    let mut usual = 0.0;
    if let Some(station) = cluster.traffic.station(gate) {
        station.surges.push((at, Sec::MAX, grows, factor));
        usual = station.rps;
    }
    let capacity = narrow(cluster, app, (id, depth), usual);
    let (name, replicas) = (cluster[id].name.clone(), cluster[id].replicas);
    let scaled = at + grows + 60;
    let mut accept = cluster.parts(gate);
    if scaled < 200 && cluster.dice.chance(0.6) {
        let most = replicas + 2;
        cluster.scale(id, most, scaled);
        if let Some(station) = cluster.traffic.station(id) {
            // As much as the further pods bring, and still too little.
            station.capacity = capacity * 1.2;
        }
        accept.push(cluster.scaler(
            id,
            &name,
            &Scaler::at_most((replicas, most), 196, scaled + 30),
        ));
    }
    accept.extend([cluster.reference(gate)]);
    accept.extend(cluster.parts(id));
    told(cluster, (gate, id), accept, (at, factor))
        .rated(if depth > 1 { "hard" } else { "medium" }, cluster.effect(gate))
}

fn told(
    cluster: &mut Cluster,
    (gate, id): (Id, Id),
    accept: Vec<Ref>,
    (at, factor): (Sec, f64),
) -> Truth {
    let alert = cluster.dice.pick(&["high_latency", "high_error_rate"]);
    let (shown, name) = (cluster[gate].called().to_owned(), cluster[id].name.clone());
    Truth::new(cluster, alert, gate, cluster.reference(id))
        .accept(accept)
        .told(
            "Many times the usual load",
            &format!("{shown} is slow and refuses requests since {} minutes.", -at / MIN),
            &format!("Requests to {shown} rose to about {factor:.0} times the usual within minutes; {name} has no capacity for it. Nothing was deployed or changed."),
        )
        .mention(&["traffic", "load", "requests per second", "request rate", "demand"])
        .mention(&["capacity", "saturat", "spike", "surge", "rose", "increase", "times", "scale", "scaling"])
        .not_claim(&["bad release", "memory leak", "network policy", "dns failure", "database lock"])
}
