//! Services that lead to no pod, or to a port where nobody listens.

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{MIN, Sec},
    cluster::Cluster,
    drawn::newer,
    mishap::waits_for_image,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("selector_edited", selector_edited),
    ("wrong_target_port", wrong_target_port),
    ("beside_a_bad_tag", beside_a_bad_tag),
];

/// From `at` on whoever calls `id` is refused.
fn refused(cluster: &mut Cluster, id: Id, at: Sec) {
    for caller in cluster.callers(id) {
        cluster.traffic.harm_call(caller, Peer::In(id), &Harm::errors(at, 1.0, Why::Refused));
    }
}

/// The selector of a Service was edited and fits no pod. The alert is its own or comes from the
/// gate. Its Deployment was released shortly before, which is innocent.
fn selector_edited(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let at = cluster.minutes_ago(6, 45);
    let labels = cluster[id].labels.clone();
    let way = cluster.dice.below(3);
    let end = cluster.dice.pick(&["-v2", "s", "-blue", "-new"]);
    let mut selector = labels.clone();
    match (way, selector.first_mut()) {
        (0, Some((_, value))) => value.push_str(end),
        (1, Some((key, _))) => {
            let other = if key == "app" { "app.kubernetes.io/name" } else { "app" };
            other.clone_into(key);
        }
        _ => selector
            .push(("track".to_owned(), cluster.dice.pick(&["stable", "live", "blue"]).to_owned())),
    }
    let text = |pairs: &[(String, String)]| {
        pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    };
    let (asked, carried) = (text(&selector), text(&labels));
    let editor = cluster.habits.editor;
    if let Some(front) = &mut cluster[id].front {
        (front.selector, front.edited) = (Some(selector), Some((at, editor)));
    }
    refused(cluster, id, at + 1);
    cluster.roll(id, at - cluster.dice.clone().between(240, 1500), |template| {
        template.tag = newer(&template.tag);
    });
    let own = cluster.dice.chance(0.35);
    let (alert, alerted) =
        if own { ("service_no_endpoints", id) } else { ("high_error_rate", gate) };
    cluster.lacks.logs = cluster.dice.chance(0.25);
    let (front, name) = (cluster[id].called().to_owned(), cluster[id].name.clone());
    let truth = told(
        cluster,
        (alert, alerted, gate),
        id,
        at,
        &format!(
            "The selector of Service {front} was edited to {asked}, but the pods of {name} carry {carried}: it has no endpoints, and its callers are refused while {name} is well."
        ),
    );
    truth
        .rated(
            match (own, hops) {
                (true, _) => "easy",
                (_, 3) => "hard",
                _ => "medium",
            },
            cluster.effect(gate),
        )
        .mention(&["selector", "no endpoints", "label", "selects"])
}

/// The same, while a neighbour nobody waits for is stuck with a tag that does not exist: two
/// faults that have nothing to do with each other.
fn beside_a_bad_tag(cluster: &mut Cluster) -> Truth {
    let mut truth = selector_edited(cluster);
    let space = cluster.home();
    let name = cluster.names.service();
    let other = cluster.service(&space, &name);
    if let Some(station) = cluster.traffic.station(other) {
        station.rps = 2.0;
    }
    let at = cluster.minutes_ago(20, 50);
    let bad = format!("{}-rc", cluster[other].template().tag);
    let places =
        cluster.stick(other, at, |template| template.tag.clone_from(&bad), waits_for_image);
    let image = cluster[other].template().reference();
    let said = format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
    );
    cluster.image_failures(other, &places, &said);
    truth.alert = "namespace_degraded";
    truth.description = format!("Several workloads of {space} are not as they should be.");
    let words = ["image", "tag", &bad].map(str::to_owned).to_vec();
    truth.also = Some(("image_pull_failure", cluster.reference(other), vec![words]));
    truth.difficulty = "hard";
    truth
}

/// The target port of a Service was changed to one that the pods do not have: by number, where
/// endpoints look well, or by name, where there are none.
fn wrong_target_port(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4) + 1;
    let app = cluster.app(hops);
    let (id, gate) = (app.last(), app.gate());
    let at = cluster.minutes_ago(6, 45);
    let by_name = cluster.dice.chance(0.35);
    let target = if by_name {
        json!(cluster.dice.pick(&["web", "https", "http-main", "api"]))
    } else {
        json!(cluster.dice.pick(&[8081, 8443, 9090, 80, 4000]))
    };
    let by = if cluster.dice.chance(0.5) { cluster.habits.editor } else { cluster.habits.deployer };
    if let Some(front) = &mut cluster[id].front {
        (front.target, front.edited) = (target.clone(), Some((at, by)));
    }
    refused(cluster, id, at + 1);
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 300, |template| template.tag = newer(&template.tag));
    }
    let (front, name, port) =
        (cluster[id].called().to_owned(), cluster[id].name.clone(), cluster[id].port);
    let truth = told(
        cluster,
        ("high_error_rate", gate, gate),
        id,
        at,
        &format!(
            "The targetPort of Service {front} was changed to {target}, but {name} listens on {port} (named http): its callers are refused while its pods are ready."
        ),
    );
    truth
        .rated(if hops > 2 { "hard" } else { "medium" }, cluster.effect(gate))
        .mention(&["port", "targetPort"])
}

fn told(
    cluster: &Cluster,
    (alert, alerted, gate): (&'static str, Id, Id),
    id: Id,
    at: Sec,
    cause: &str,
) -> Truth {
    let front = cluster[id].called();
    let whose = cluster[alerted].called();
    let description = if alerted == gate {
        format!(
            "{whose} answers a large part of requests with errors since about {} minutes.",
            -at / MIN
        )
    } else {
        format!("Service {whose} has no endpoints since about {} minutes.", -at / MIN)
    };
    Truth::new(cluster, alert, alerted, cluster.front_of(id))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told("A Service does not lead to its pods", &description, cause)
        .mention(&[front])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "crash loop"])
}
