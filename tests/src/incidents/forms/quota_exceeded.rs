//! Pods that a quota or limit of the namespace forbids.

mod objects;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{DAY, MIN, NOW, Sec},
    cluster::Cluster,
    controllers::Refused,
    dice::count,
    drawn::newer,
    event::Happening,
    object::{Edit, Ref},
    traffic::Id,
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("rollout_over_quota", rollout_over_quota),
    ("nothing_comes_back", nothing_comes_back),
    ("no_further_job", objects::no_further_job),
];

fn size(mi: i64) -> String {
    if mi % 1024 == 0 { format!("{}Gi", mi / 1024) } else { format!("{mi}Mi") }
}

/// Memory in MiB that the namespace's pods request or are limited to.
fn used(cluster: &Cluster, space: &str, limits: bool) -> i64 {
    let here = cluster.workloads.iter().filter(|workload| workload.namespace == space);
    let each = here.flat_map(|workload| {
        workload.active().map(|pod| {
            let template = workload.template_of(pod.revision);
            if limits { template.memory_limit } else { template.memory_request }
        })
    });
    each.sum()
}

/// The controller may not make `missing` pods of the current revision since `at`.
fn refuse(cluster: &mut Cluster, id: Id, (at, missing): (Sec, usize), why: &str) {
    let set = cluster.set_name(id, cluster[id].revisions.len() - 1);
    let object = Ref::new("ReplicaSet", &cluster[id].namespace, &set);
    let mut first = at;
    for pause in [1, 2, 4, 9, 20, 42, 82, 164, 330, 660, 960, 960] {
        let pod = format!("{set}-{}", cluster.dice.ending(5));
        let message = format!("Error creating: pods \"{pod}\" is forbidden: {why}");
        if first == at {
            let said = format!("pods \"{pod}\" is forbidden: {why}");
            cluster[id].refused = Some(Refused { at, missing, message: said });
        }
        if first < NOW {
            let event = Happening::warning(
                object.clone(),
                "replicaset-controller",
                "FailedCreate",
                message,
            );
            cluster.events.push(event.at(first));
        }
        first += pause;
    }
}

/// A rollout asks for more memory than the namespace's quota leaves: no new pod can be made and
/// the old ones serve on.
fn rollout_over_quota(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let place = cluster.dice.below(app.path.len());
    let id = app.path.get(place).copied().unwrap_or(app.gate());
    let space = cluster.home();
    let limits = cluster.dice.chance(0.5);
    let resource = if limits { "limits.memory" } else { "requests.memory" };
    let at = cluster.minutes_ago(16, 48);
    let quota =
        cluster.dice.pick(&["compute-resources", "team-budget", "namespace-quota", "mem-cap"]);
    let raised = cluster[id].template().memory_limit * 2;
    let made = cluster.stick(
        id,
        at,
        |template| {
            template.tag = newer(&template.tag);
            (template.memory_limit, template.memory_request) = (raised, raised / 2);
        },
        |_| {},
    );
    let missing = made.len();
    let kept = cluster[id].pods.len() - missing;
    cluster[id].pods.truncate(kept);
    cluster.settled = true;
    let requested = if limits { raised } else { raised / 2 };
    let taken = used(cluster, &space, limits);
    let hard = taken + requested / 4 * cluster.dice.between(0, 3);
    let why = format!(
        "exceeded quota: {quota}, requested: {resource}={}, used: {resource}={}, limited: {resource}={}",
        size(requested),
        size(taken),
        size(hard)
    );
    refuse(cluster, id, (at + 1, missing), &why);
    let named = Ref::new("ResourceQuota", &space, quota);
    let meta = cluster.objects.meta(
        &named,
        -DAY * 90,
        &[Edit::new(-DAY * 90, "kubectl-client-side-apply", &["f:spec.f:hard"])],
    );
    let bounds = json!({resource: size(hard)});
    let body = json!({"spec": {"hard": bounds}, "status": {"hard": bounds, "used": {resource: size(taken)}}});
    cluster.objects.put("ResourceQuota", meta, body);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["rollout_stuck", "deployment_replicas_mismatch"]);
    Truth::new(cluster, alert, id, named)
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "A rollout does not fit into the quota",
            &format!("Deployment {name} has not finished its rollout for more than 15 minutes."),
            &format!("The new revision of {name} asks for {} of {resource} per pod, but ResourceQuota {quota} has {} of {} used; no new pod can be created. The old ones serve.", size(requested), size(taken), size(hard)),
        )
        .rated("easy", "P3")
        .mention(&["quota"])
        .mention(&[quota, resource, "exceeded", "memory"])
        .not_claim(&["OOM", "image pull", "insufficient memory", "taint", "liveness probe"])
}

/// Somebody put a tighter quota or limit on the namespace hours ago; what ran, ran on. When the
/// pods of a service were moved, none could be made again. The alert comes from the gate.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
fn nothing_comes_back(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let space = cluster.home();
    let edited = cluster.hours_ago(2, 30);
    let editor = cluster.habits.editor;
    let at = cluster.minutes_ago(7, 35);
    let made = cluster.replace_all(id, at, |_| {});
    let missing = made.len();
    let kept = cluster[id].pods.len() - missing;
    cluster[id].pods.truncate(kept);
    cluster.settled = true;
    let limit = cluster[id].template().memory_limit;
    let by_range = cluster.dice.chance(0.4);
    let (named, why) = if by_range {
        let most = limit / 2;
        let named = Ref::new(
            "LimitRange",
            &space,
            cluster.dice.pick(&["container-bounds", "defaults", "mem-limit-range"]),
        );
        let meta = cluster.objects.meta(
            &named,
            edited,
            &[Edit::new(edited, editor, &["f:spec.f:limits"])],
        );
        let body = json!({"spec": {"limits": [{"type": "Container", "max": {"memory": size(most)},
            "default": {"memory": size(most)}, "defaultRequest": {"memory": size(most / 2)}}]}});
        cluster.objects.put("LimitRange", meta, body);
        let why = format!(
            "maximum memory usage per Container is {}, but limit is {}",
            size(most),
            size(limit)
        );
        (named, why)
    } else {
        let taken = used(cluster, &space, true);
        let hard = taken + limit / 4 * cluster.dice.between(-4, 3);
        let quota = cluster.dice.pick(&["cost-guard", "compute-resources", "ns-budget"]);
        let named = Ref::new("ResourceQuota", &space, quota);
        let edits = [
            Edit::new(-DAY * 120, "helm", &["f:metadata.f:labels"]),
            Edit::new(edited, editor, &["f:spec.f:hard"]),
        ];
        let meta = cluster.objects.meta(&named, -DAY * 120, &edits);
        let bounds = json!({"limits.memory": size(hard), "pods": "60"});
        let pods = cluster
            .workloads
            .iter()
            .filter(|w| w.namespace == space)
            .flat_map(|w| w.active())
            .count();
        let body = json!({"spec": {"hard": bounds}, "status": {"hard": bounds,
            "used": {"limits.memory": size(taken), "pods": count(pods).to_string()}}});
        cluster.objects.put("ResourceQuota", meta, body);
        let why = format!(
            "exceeded quota: {quota}, requested: limits.memory={}, used: limits.memory={}, limited: limits.memory={}",
            size(limit),
            size(taken),
            size(hard)
        );
        (named, why)
    };
    refuse(cluster, id, (at + 1, missing), &why);
    let name = cluster[id].name.clone();
    let (kind, object) = (named.kind.clone(), named.name.clone());
    Truth::new(cluster, "high_error_rate", app.gate(), named)
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "Pods may not be made again",
            &format!("Most requests of {} fail since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("{kind} {object} was tightened; when the pods of {name} were replaced, the API server refused to create them, so nothing serves behind {name}."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(app.gate()))
        .mention(&["quota", "LimitRange", "limit range", &object])
        .mention(&[&name, cluster[id].called(), "forbidden", "exceeded"])
        .not_claim(&["OOM", "image pull", "insufficient memory", "taint", "dns failure"])
}
