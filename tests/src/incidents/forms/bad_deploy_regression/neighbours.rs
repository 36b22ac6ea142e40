//! New versions that do well themselves, while others suffer from them.

use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    drawn::newer,
    traffic::{Harm, Id, Peer, Why, step_of},
    truth::Truth,
    voice::Level,
    workload::Saying,
};

/// Requests per second that `id` gets as things stand.
fn usual_rate(cluster: &Cluster, id: Id) -> f64 {
    let played = cluster.traffic.play(&cluster.workloads, &mut cluster.dice.fork("usual"));
    let place = cluster.traffic.stations.iter().position(|station| station.id == id);
    let course = place.and_then(|place| played.stations.get(place));
    course.and_then(|course| course.rate.get(step_of(-3000))).copied().unwrap_or(20.0)
}

/// A release sends every call several times over. The shared service behind it cannot serve that
/// many, and the alert is on another user of the shared service, released shortly before.
pub(super) fn asks_many_times(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 2;
    let app = cluster.app(hops);
    let (id, shared) = (app.caller(), app.last());
    cluster.programmed(id);
    let (home, name) = (cluster.home(), cluster.names.service());
    let other = cluster.service(&home, &name);
    let rps = cluster.dice.range(8.0, 20.0);
    if let Some(station) = cluster.traffic.station(other) {
        station.rps = rps;
    }
    cluster.call(other, Peer::In(shared), true);
    let room = usual_rate(cluster, shared) * cluster.dice.range(1.5, 1.9);
    if let Some(station) = cluster.traffic.station(shared) {
        station.capacity = room;
    }
    let at = cluster.minutes_ago(9, 35);
    let times = cluster.dice.between(4, 7);
    let tag = newer(&cluster[id].template().tag);
    let revision = cluster.roll(id, at, |template| template.tag.clone_from(&tag));
    let line = cluster.dice.pick(&[
        "client for {peer}: hedging enabled, {times} attempts in parallel, first answer wins",
        "http client {peer}: maxAttempts={times} backoff=0ms hedged=true",
        "{peer} client ready (speculative requests: {times}, delay 0 ms)",
    ]);
    let line =
        line.replace("{peer}", cluster[shared].called()).replace("{times}", &times.to_string());
    let mut hello = Saying::new(at + 9, 0, Level::Info, &line);
    hello.revision = Some(revision);
    cluster[id].sayings.push(hello);
    let points = vec![(at + 10, 1.0), (at + 70, times as f64)];
    cluster.traffic.shifts.push((id, Peer::In(shared), points));
    cluster[shared].say(at + 60, 6, Level::Warn, "accept queue full (256), shedding request {id}");
    cluster.roll(other, at - cluster.dice.clone().between(150, 600), |t| t.tag = newer(&t.tag));
    let (culprit, crowd) = (cluster[id].name.clone(), cluster[shared].called().to_owned());
    let alert = cluster.dice.pick(&["ErrorBudgetBurn", "SLOErrorBudgetBurnFast", "slo_burn_rate"]);
    let shown = cluster[other].called().to_owned();
    Truth::new(cluster, alert, other, cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "One release asks a shared service many times over",
            &format!("{shown} burns its 30d error budget at 14.4x (1h and 5m windows), SLO 99.9%."),
            &format!("Since release {tag} {culprit} sends each call to {crowd} {times} times; {crowd} cannot serve that many and sheds requests of all its users, {shown} among them."),
        )
        .rated("hard", cluster.effect(other))
        .mention(&[&culprit, cluster[id].called()])
        .mention(&[&tag, "release", "rollout", "deploy", "new version", "new revision", "rolled out"])
        .not_claim(&["OOM", "network policy", "dns failure", "campaign", "pool exhausted"])
        .or_category(&["traffic_spike"])
}

/// A release no longer has a route that its caller still asks for: 404 inside, 5xx at the gate.
pub(super) fn route_was_dropped(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 2;
    let app = cluster.app(hops);
    let id = app.last();
    cluster.programmed(id);
    let at = cluster.minutes_ago(8, 40);
    let tag = newer(&cluster[id].template().tag);
    let revision = cluster.roll(id, at, |template| template.tag.clone_from(&tag));
    let route = cluster.dice.pick(&["/v1/items/batch", "/internal/v1/lookup", "/v1/resolve"]);
    let share = cluster.dice.range(0.35, 0.8);
    let harm = Harm { grows: 60, ..Harm::errors(at + 22, share, Why::Status(404)) };
    cluster.traffic.harm(id, harm);
    let line = format!("no route for POST {route} (404), client 10.244.3.17:4{{n}}");
    let mut saying = Saying::new(at + 24, cluster.dice.between(4, 11), Level::Warn, &line);
    saying.revision = Some(revision);
    cluster[id].sayings.push(saying);
    let text = cluster.dice.pick(&[
        "routes registered: 14 (was 19), prefix /v2",
        "mounted router: /v2 (legacy routes removed)",
        "serving API v2; v1 has been removed",
    ]);
    let mut hello = Saying::new(at + 6, 0, Level::Info, text);
    hello.revision = Some(revision);
    cluster[id].sayings.push(hello);
    // Who asks was given another setting of no consequence.
    let caller = app.caller();
    cluster.roll(caller, at - 1500, |template| template.set_env("LOG_SAMPLING", "0.2"));
    let (name, gate) = (cluster[id].name.clone(), app.gate());
    let alert = cluster.dice.pick(&["KubeServiceAvailabilityLow", "high_error_rate"]);
    Truth::new(cluster, alert, gate, cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "A route that is still asked for is gone",
            &format!("Success ratio of {} is below 90% for {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("Release {tag} of {name} no longer has {route}, which its caller {} still uses: it is answered with 404 and everything above fails.", cluster[caller].name),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&name, cluster[id].called()])
        .mention(&[&tag, "release", "rollout", "deploy", "new version", "new revision", "rolled out"])
        .mention(&["404", "route", route, "removed", "not found"])
        .not_claim(&["OOM", "scanner", "network policy", "dns failure", "traffic spike"])
}
