//! Bounds that were made too narrow.

use crate::incidents::{
    clock::{DAY, MIN},
    cluster::Cluster,
    drawn::newer,
    event::Happening,
    scaling::Scaler,
    traffic::{Harm, Why},
    truth::Truth,
    voice::Level,
};

/// Somebody lowered the most pods that an autoscaler may make, in the middle of the day: pods were
/// taken away at once, and the few that are left cannot serve a load that is as ever.
pub(super) fn upper_bound_was_lowered(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 2;
    let app = cluster.app(hops);
    let id = app.path.get(1 + cluster.dice.below(2)).copied().unwrap_or(app.last());
    let gate = app.gate();
    cluster.programmed(id);
    cluster[id].always(|template| (template.cpu_limit, template.cpu_request) = (500, 250));
    let many = usize::try_from(cluster.dice.between(6, 8)).unwrap_or(6);
    cluster.scale(id, many, -3 * DAY);
    let at = cluster.minutes_ago(9, 40);
    cluster.scale(id, 2, at + 15);
    let called = cluster[id].called().to_owned();
    let named = format!("{called}-hpa");
    let object = cluster.scaler(id, &named, &Scaler::at_most((1, 2), 196, at));
    let message =
        "New size: 2; reason: Current number of replicas above Spec.MaxReplicas".to_owned();
    let event = Happening::normal(
        object.clone(),
        "horizontal-pod-autoscaler",
        "SuccessfulRescale",
        message,
    );
    cluster.events.push(event.at(at + 15));
    cluster[id].cpu_course = vec![(at + 10, 170.0), (at + 90, 492.0)];
    let share = cluster.dice.range(0.15, 0.5);
    let harm = Harm { slow: 9.0, grows: 120, ..Harm::errors(at + 30, share, Why::Status(503)) };
    cluster.traffic.harm(id, harm);
    let line = cluster.dice.pick(&[
        "worker queue is full, request {id} refused",
        "no free worker within 1000ms, answering 503 to {id}",
        "load shedding active, in-flight {n} of 64",
    ]);
    cluster[id].say(at + 60, 7, Level::Warn, line);
    let space = cluster.home();
    let pairs = [("namespace", space.as_str()), ("horizontalpodautoscaler", named.as_str())];
    let points = [(at, 10.0), (at + 1, 2.0)];
    let most = crate::incidents::series::along(&points);
    cluster.metrics.gauge("kube_horizontalpodautoscaler_spec_max_replicas", &pairs, most);
    cluster.roll(app.last(), at - cluster.dice.clone().between(120, 600), |template| {
        template.set_env("LOG_SAMPLING", "0.1");
    });
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 700, |template| template.tag = newer(&template.tag));
    }
    let alert = cluster.dice.pick(&["KubeHpaMaxedOut", "LatencySLOBurn", "high_latency"]);
    Truth::new(cluster, alert, gate, object)
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "An autoscaler may make two pods only",
            &format!("p95 of {} is above its objective and part of its requests fail since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("maxReplicas of HorizontalPodAutoscaler {named} was lowered from 10 to 2: {called} went from {many} pods to 2 at once and cannot serve its usual load with them."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&named, "HorizontalPodAutoscaler", "autoscaler", "HPA"])
        .mention(&["maxReplicas", "max replicas", "maximum", "upper bound", "MaxReplicas", "limit of 2"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "traffic spike"])
}
