//! Autoscalers that cannot do their work when the load of the day comes.

mod bounds;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    app::App,
    clock::{DAY, MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    event::Happening,
    object::{Edit, Ref},
    scaling::Scaler,
    traffic::{Id, Peer},
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("nothing_to_measure", nothing_to_measure),
    ("bound_to_nothing", bound_to_nothing),
    ("upper_bound_was_lowered", bounds::upper_bound_was_lowered),
];

/// The load of a busy day on a service that would need some more pods for it. Gives its start.
fn busy_day(cluster: &mut Cluster, app: &App, id: Id) -> Sec {
    let gate = app.gate();
    let at = cluster.minutes_ago(8, 32);
    let grows = cluster.dice.between(180, 500);
    let factor = cluster.dice.range(1.9, 2.6);
    let mut usual = 0.0;
    if let Some(station) = cluster.traffic.station(gate) {
        station.surges.push((at, Sec::MAX, grows, factor));
        usual = station.rps;
    }
    let calls = &cluster.traffic.calls;
    let call = calls.iter().find(|call| call.from == gate && call.to == Peer::In(id));
    let share = if id == gate { 1.0 } else { call.map_or(1.0, |call| call.share) };
    let room = cluster.dice.range(1.35, 1.7);
    if let Some(station) = cluster.traffic.station(id) {
        station.capacity = usual * share * room;
    }
    cluster[id].always(|template| template.cpu_limit = 500);
    cluster[id].cpu_used = 500.0 / room;
    for other in app.path.iter().chain(&app.sides).filter(|other| **other != id) {
        cluster[*other].cpu_used = 25.0;
    }
    at
}

fn complain(cluster: &mut Cluster, object: &Ref, reason: &'static str, message: String) {
    let last = NOW - cluster.dice.between(1, 14);
    let event = Happening::warning(object.clone(), "horizontal-pod-autoscaler", reason, message);
    cluster.events.push(event.times(-9 * DAY, last, 9 * DAY / 15));
}

/// The autoscaler scales by CPU in percent of a request that the containers do not have: it has
/// never computed anything. A release of another service is innocent.
fn nothing_to_measure(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let id = app.path.get(hops.min(1)).copied().unwrap_or(app.gate());
    let at = busy_day(cluster, &app, id);
    cluster[id].always(|template| template.cpu_request = 0);
    let pod = cluster[id].pods.first().map(|pod| pod.name.clone()).unwrap_or_default();
    let container = cluster[id].container.clone();
    let why = format!(
        "failed to get cpu utilization: missing request for cpu in container {container} of Pod {pod}"
    );
    let fewest = cluster[id].replicas;
    let mut scaler = Scaler::calm((fewest, fewest * 4), fewest);
    scaler.usage = (None, 70);
    let whole = format!("the HPA was unable to compute the replica count: {why}");
    let [_, active, _] = &mut scaler.conditions;
    *active = ("False", "FailedGetResourceMetric", whole, -9 * DAY);
    let name = cluster[id].name.clone();
    let object = cluster.scaler(id, &name, &scaler);
    complain(cluster, &object, "FailedGetResourceMetric", why.clone());
    complain(
        cluster,
        &object,
        "FailedComputeMetricsReplicas",
        format!(
            "invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: {why}"
        ),
    );
    if let Some(&side) = app.sides.first() {
        let other = at + cluster.dice.between(-300, 300);
        cluster.roll(side, other, |template| template.tag = newer(&template.tag));
    }
    told(cluster, (app.gate(), id), object, at)
        .told(
            "An autoscaler that cannot compute on a busy day",
            &format!("{} is slow and refuses requests since {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("The HorizontalPodAutoscaler {name} has no CPU request to compute a utilization from and never scales, so {name} stays at {fewest} pods under the load of a busy day."),
        )
        .mention(&["missing request", "cpu request", "metric", "compute", "ScalingActive", "FailedGetResourceMetric"])
}

/// The autoscaler refers to a Deployment that has had another name for days.
fn bound_to_nothing(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let id = app.path.get(1).copied().unwrap_or(app.gate());
    let at = busy_day(cluster, &app, id);
    let (name, space) = (cluster[id].name.clone(), cluster.home());
    let end = cluster.dice.pick(&["v1", "old", "blue", "legacy", "deploy"]);
    let former = format!("{}-{end}", cluster[id].called());
    let object = Ref::new("HorizontalPodAutoscaler", &space, &former);
    let made = -DAY * cluster.dice.between(60, 200);
    let why = format!("deployments.apps \"{former}\" not found");
    let deployer = cluster.habits.deployer;
    let meta = cluster.objects.meta(&object, made, &[Edit::new(made, deployer, &["f:spec"])]);
    let since = cluster.clock.rfc(-9 * DAY);
    let fewest = cluster[id].replicas;
    let body = json!({"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": former},
        "minReplicas": fewest, "maxReplicas": fewest * 5, "metrics": [{"type": "Resource", "resource":
        {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]},
        "status": {"currentReplicas": 0, "desiredReplicas": 0, "currentMetrics": null, "conditions": [
        {"type": "AbleToScale", "status": "False", "lastTransitionTime": since, "reason": "FailedGetScale",
        "message": format!("the HPA controller was unable to get the target's current scale: {why}")}]}});
    cluster.objects.put("HorizontalPodAutoscaler", meta, body);
    complain(cluster, &object, "FailedGetScale", why);
    told(cluster, (app.gate(), id), object, at)
        .told(
            "An autoscaler that is bound to a former name",
            &format!("{} is slow and refuses requests since {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("The HorizontalPodAutoscaler {former} refers to a Deployment that does not exist; {name} has no working autoscaler and stays at {fewest} pods under the load of a busy day."),
        )
        .mention(&["not found", "does not exist", "scaleTargetRef", "target", "FailedGetScale"])
}

fn told(cluster: &mut Cluster, (gate, id): (Id, Id), object: Ref, at: Sec) -> Truth {
    let alert = cluster.dice.pick(&["high_latency", "high_error_rate"]);
    let difficulty = if at < -20 * MIN { "medium" } else { "hard" };
    Truth::new(cluster, alert, gate, object)
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .rated(difficulty, cluster.effect(gate))
        .mention(&["HPA", "HorizontalPodAutoscaler", "autoscal"])
        .not_claim(&["bad release", "memory leak", "OOM", "network policy", "dns failure"])
}
