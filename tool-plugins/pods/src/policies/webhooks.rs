//! Admission webhooks that keep pods from being made: those that are named in a refusal (of a
//! workload's conditions, of events, of what was heard), and those that stand before the pods of a
//! workload without pods although nobody answers for them.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{
    Answer, Event, Kind, Object, Owners,
    pod::list,
    sayings::{self, WebhookFailure, webhook_entries},
    selector,
};
use serde_json::Value;

use super::Scene;

/// One refusal: whose pods were refused, when, in which words.
struct Refused {
    workload: Entity,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    count: u64,
    quote: String,
}

/// Refusals by webhook and by workload refused.
type Seen = BTreeMap<(WebhookFailure, Entity), Refused>;

pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    let mut configurations = Vec::new();
    for kind in [Kind::ValidatingWebhookConfiguration, Kind::MutatingWebhookConfiguration] {
        let listed = scene.cluster.list(kind, None).await;
        configurations.extend(answer.or_gap(kind.plural(), listed));
    }
    let workloads = workloads(scene, answer).await;
    let events = scene.cluster.list(Kind::Event, scene.namespace).await.unwrap_or_default();
    let mut seen = Seen::new();
    for workload in &workloads {
        from_conditions(workload, &scene.owners, &mut seen);
    }
    for event in &events {
        from_event(&Event::of(event, scene.cluster.now()), (&workloads, &scene.owners), &mut seen);
    }
    let mut told: BTreeSet<Entity> = BTreeSet::new();
    for ((failure, _), refused) in &seen {
        let culprit = failure.culprit(&configurations);
        if let Some(found) = configurations.iter().find(|c| Some(c.entity()) == culprit) {
            relate(found, &refused.workload, answer);
        }
        told.insert(refused.workload.clone());
        answer.harm(observation(failure, culprit, refused));
    }
    silent(scene, (&configurations, &workloads), &told, answer).await;
}

async fn workloads(scene: &Scene<'_>, answer: &mut Answer) -> Vec<Object> {
    let mut all = Vec::new();
    for kind in [
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Job,
        Kind::CronJob,
    ] {
        let listed = scene.cluster.list(kind, scene.namespace).await;
        all.extend(answer.or_gap(kind.plural(), listed));
    }
    all
}

fn from_conditions(workload: &Object, owners: &Owners, seen: &mut Seen) {
    for condition in workload.list("/status/conditions") {
        let text = |key| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        let Some(failure) = sayings::webhook(text("message")) else { continue };
        let since = text("lastTransitionTime").parse().ok();
        add(
            seen,
            failure,
            Refused {
                workload: owners.top(workload),
                first: since,
                last: None,
                count: 1,
                quote: text("message").to_owned(),
            },
        );
    }
}

fn from_event(event: &Event, (workloads, owners): (&[Object], &Owners), seen: &mut Seen) {
    let Some(failure) = sayings::webhook(&event.message).filter(|_| event.warning) else { return };
    let about = workloads.iter().find(|w| w.entity() == event.about);
    let workload = about.map_or_else(|| event.about.clone(), |w| owners.top(w));
    add(
        seen,
        failure,
        Refused {
            workload,
            first: event.first,
            last: event.last,
            count: event.count,
            quote: event.message.clone(),
        },
    );
}

fn add(seen: &mut Seen, failure: WebhookFailure, more: Refused) {
    let key = (failure, more.workload.clone());
    match seen.get_mut(&key) {
        Some(known) => {
            known.first = [known.first, more.first].into_iter().flatten().min();
            known.last = known.last.max(more.last);
            known.count = known.count.max(more.count);
        }
        None => {
            seen.insert(key, more);
        }
    }
}

/// The configuration governs whom it refused and calls who answers for it.
fn relate(configuration: &Object, refused: &Entity, answer: &mut Answer) {
    let from = configuration.entity();
    answer.relate(Relation::new(from.clone(), RelationKind::Governs, refused.clone()));
    for (_, service) in webhook_entries(configuration) {
        if let Some((home, name)) = service {
            let service = Entity::new("Service", home, name);
            answer.relate(Relation::new(from.clone(), RelationKind::Calls, service));
        }
    }
}

fn observation(
    failure: &WebhookFailure,
    culprit: Option<Entity>,
    refused: &Refused,
) -> Observation {
    let service = failure.service.as_ref().map_or(String::new(), |(home, name)| {
        if home.is_empty() { name.clone() } else { format!("{home}/{name}") }
    });
    let how = match failure.why {
        "refused" => "refuses pods of".to_owned(),
        "no_endpoints" => {
            format!("has no endpoint at Service {service}, so the server refuses pods of")
        }
        "certificate" => format!(
            "is not trusted at Service {service} (certificate), so the server refuses pods of"
        ),
        _ => format!("does not answer at Service {service}, so the server refuses pods of"),
    };
    let says = format!(
        "webhook {} {how} {} {} ({} times)",
        failure.name, refused.workload.kind, refused.workload.name, refused.count
    );
    Observation::new(
        "policy.webhook_failed",
        culprit.unwrap_or_else(|| refused.workload.clone()),
        says,
    )
    .maybe_since(refused.first)
    .maybe_until(refused.last)
    .count(refused.count)
    .attr("webhook", failure.name.as_str())
    .attr("service", service)
    .attr("why", failure.why)
    .attr("seen", "told")
    .peer(refused.workload.clone())
    .quote(&refused.quote)
}

/// Webhooks that must agree to pods and whose Service has no pod, before workloads that have
/// fewer pods than they should: the refusals themselves may be forgotten already.
async fn silent(
    scene: &Scene<'_>,
    (configurations, workloads): (&[Object], &[Object]),
    told: &BTreeSet<Entity>,
    answer: &mut Answer,
) {
    let namespaces = scene.cluster.list(Kind::Namespace, None).await.unwrap_or_default();
    let short = |w: &&Object| {
        let top = scene.owners.top(w);
        w.owner().is_none()
            && !told.contains(&top)
            && pods_made(scene, &top) < crate::pods::desired(w)
    };
    for workload in workloads
        .iter()
        .filter(|w| matches!(w.kind(), "Deployment" | "StatefulSet" | "DaemonSet"))
        .filter(short)
    {
        let home = namespaces.iter().find(|n| n.name() == workload.namespace());
        for configuration in configurations {
            let hooks = list(configuration.value(), "webhooks").iter();
            let standing = hooks.filter(|hook| stands_before_pods(hook, home));
            for (hook, service) in standing.filter_map(|h| Some((h, service_of(h)?))) {
                if !has_nobody(scene, &service).await {
                    continue;
                }
                let failure = WebhookFailure {
                    name: hook.get("name").and_then(Value::as_str).unwrap_or_default().to_owned(),
                    why: "no_endpoints",
                    service: Some((service.namespace, service.name)),
                    is_policy: false,
                };
                let refused = Refused {
                    workload: workload.entity(),
                    first: None,
                    last: Some(scene.cluster.now()),
                    count: 1,
                    quote: String::new(),
                };
                relate(configuration, &refused.workload, answer);
                let seen = observation(&failure, Some(configuration.entity()), &refused);
                answer.harm(seen.attr("seen", "inferred"));
            }
        }
    }
}

fn pods_made(scene: &Scene<'_>, workload: &Entity) -> i64 {
    let own = scene.pods.iter().filter(|p| scene.owners.top(p) == *workload);
    i64::try_from(own.count()).unwrap_or(i64::MAX)
}

/// Whether a webhook must agree before pods are made in a namespace.
fn stands_before_pods(hook: &Value, home: Option<&Object>) -> bool {
    let ignored = hook.get("failurePolicy").and_then(Value::as_str) == Some("Ignore");
    let rules = list(hook, "rules").iter().any(|rule| {
        let any = |key: &str, wanted: &str| {
            list(rule, key).iter().filter_map(Value::as_str).any(|v| v == "*" || v == wanted)
        };
        any("resources", "pods") && any("operations", "CREATE")
    });
    let chosen = hook
        .get("namespaceSelector")
        .is_none_or(|s| home.is_none_or(|home| selector::matches(Some(s), &home.labels())));
    !ignored && rules && chosen
}

fn service_of(hook: &Value) -> Option<Entity> {
    let text =
        |key: &str| hook.pointer(&format!("/clientConfig/service/{key}")).and_then(Value::as_str);
    Some(Entity::new("Service", text("namespace")?, text("name")?))
}

/// Whether a Service does not exist or has no ready pod.
async fn has_nobody(scene: &Scene<'_>, wanted: &Entity) -> bool {
    let there = Some(wanted.namespace.as_str());
    let Ok(services) = scene.cluster.list(Kind::Service, there).await else { return false };
    let Some(service) = services.iter().find(|s| s.entity() == *wanted) else {
        return scene.cluster.records(Kind::Service);
    };
    let Ok(pods) = scene.cluster.list(Kind::Pod, there).await else { return false };
    let chosen = service.map("/spec/selector");
    let ready = |p: &&Object| p.condition("Ready").is_some_and(|c| c.status == "True");
    !chosen.is_empty()
        && !pods.iter().filter(|p| selector::pairs_match(&chosen, &p.labels())).any(|p| ready(&p))
}
