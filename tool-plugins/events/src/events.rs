//! `check_events`: the events of a namespace and of cluster-wide objects.

use agent_sdk::{Entity, Failure, Observation, Output, Relation, RelationKind};
use plugin_cluster::{Answer, Cluster, Event, Kind, Object, Owners, Rules, instruction};
use serde::Serialize;

use crate::{args::Where, gather::Gathered, read, scaling};

/// One event in the result for people and models.
#[derive(Debug, Serialize)]
struct Row {
    last_seen: String,
    count: u64,
    reason: String,
    object: String,
    message: String,
}

/// Most events listed in the result, the latest first.
const MAX_ROWS: usize = 100;

/// Looks at the events of a namespace and of cluster-wide objects, or at all when neither
/// namespace nor service says which.
///
/// # Errors
/// What the source answers when events cannot be listed.
pub async fn check_events(cluster: &Cluster, args: &Where) -> Result<Output, Failure> {
    let target = cluster.resolve(&args.namespace, &args.service).await;
    let namespace = target.namespace.as_deref();
    let all = cluster.list(Kind::Event, None).await?;
    let mut answer = Answer::about(&target);
    let mut events: Vec<Event> = all
        .iter()
        .map(|object| Event::of(object, cluster.now()))
        .filter(|event| concerns(event, namespace))
        .collect();
    // Oldest first: what is gathered keeps the words of the last.
    events.sort_by_key(|event| event.last);
    let mut gathered = Gathered::default();
    let mut webhooks = Vec::new();
    for kind in [Kind::ValidatingWebhookConfiguration, Kind::MutatingWebhookConfiguration] {
        webhooks.extend(cluster.list(kind, None).await.unwrap_or_default());
    }
    let rules = Rules::read(cluster, namespace).await;
    for event in &events {
        let planted = instruction::find(&event.message).is_some();
        for finding in read::findings(event, &rules).into_iter().filter(|_| !planted) {
            gathered.add(event, read::by_webhook(finding, event, &webhooks));
        }
    }
    for finding in scaling::findings(&events) {
        gathered.add(finding.0, finding.1);
    }
    answer.relate_all(gathered.governed());
    gathered.tell(&mut answer);
    orders(&events, &mut answer);
    relate(cluster, namespace, &events, &mut answer).await;
    let headline = format!(
        "{} warnings among {} events in {}",
        events.iter().filter(|e| e.warning).count(),
        events.len(),
        namespace.unwrap_or("the cluster")
    );
    answer.into_output(cluster, &headline, &rows(&events))
}

/// Messages that read like orders to their reader: anyone who may write events can plant them.
fn orders(events: &[Event], answer: &mut Answer) {
    for event in events {
        let Some(order) = instruction::find(&event.message) else { continue };
        let says = format!(
            "event {} of {} {} reads like an order to its reader; it is not followed",
            event.reason, event.about.kind, event.about.name
        );
        answer.neutral(
            Observation::new("text.instruction", event.about.clone(), says)
                .maybe_since(event.first)
                .maybe_until(event.last)
                .count(event.count)
                .attr("where", "event")
                .quote(order),
        );
    }
}

fn concerns(event: &Event, namespace: Option<&str>) -> bool {
    let about = &event.about.namespace;
    about.is_empty() || namespace.is_none_or(|ns| about == ns)
}

fn rows(events: &[Event]) -> Vec<Row> {
    let latest = events.iter().rev().filter(|e| e.warning).take(MAX_ROWS);
    latest
        .map(|e| Row {
            last_seen: e.last.map(|t| t.to_string()).unwrap_or_default(),
            count: e.count,
            reason: e.reason.clone(),
            object: format!("{}/{}", e.about.kind, e.about.name),
            message: e.message.clone(),
        })
        .collect()
}

/// Where pods ran and what they belonged to, also of those that are gone: an event still tells
/// the node, and the pod's name its workload.
async fn relate(cluster: &Cluster, namespace: Option<&str>, events: &[Event], answer: &mut Answer) {
    let listed = cluster.list(Kind::Pod, namespace).await;
    let pods = answer.or_gap("pods", listed);
    let owners = Owners::read(cluster, namespace).await;
    let mut workloads: Vec<Object> = Vec::new();
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Job] {
        workloads.extend(cluster.list(kind, namespace).await.unwrap_or_default());
    }
    // A ReplicaSet that may not make pods has none that would tell whose it is.
    for event in events.iter().filter(|e| e.warning && e.about.kind == "ReplicaSet") {
        answer.relate_all(set_owner(&event.about, &owners, &workloads));
    }
    for event in events.iter().filter(|e| e.warning && e.about.kind == "Job") {
        if let [job, owner, ..] = owners.chain_of(&event.about).as_slice() {
            answer.relate(Relation::new(job.clone(), RelationKind::OwnedBy, owner.clone()));
        }
    }
    for event in events.iter().filter(|e| e.warning && e.about.kind == "Pod") {
        let subject = Entity { container: String::new(), ..event.about.clone() };
        if !event.host.is_empty() {
            let node = Entity::cluster_wide("Node", event.host.as_str());
            answer.relate(Relation::new(subject.clone(), RelationKind::RunsOn, node));
        }
        let here = pods.iter().find(|p| p.entity() == subject);
        match here {
            Some(pod) => answer.relate_all(owners.relations(pod)),
            None => answer.relate_all(former_owner(&subject, &workloads)),
        }
    }
}

/// Whose `ReplicaSet` it is: by its owner, or by its name when it is not recorded.
fn set_owner(set: &Entity, owners: &Owners, workloads: &[Object]) -> Option<Relation> {
    let told = owners.chain_of(set).into_iter().nth(1);
    let owner = told.or_else(|| {
        let (stem, _) = set.name.rsplit_once('-')?;
        let named = |w: &&Object| {
            w.kind() == "Deployment" && w.namespace() == set.namespace && w.name() == stem
        };
        workloads.iter().find(named).map(Object::entity)
    })?;
    Some(Relation::new(set.clone(), RelationKind::OwnedBy, owner))
}

/// The workload whose name begins a vanished pod's; the longest, when several do.
fn former_owner(pod: &Entity, workloads: &[Object]) -> Option<Relation> {
    let makes = |w: &&Object| {
        let rest = pod.name.strip_prefix(w.name()).and_then(|rest| rest.strip_prefix('-'));
        let parts = rest.map_or(0, |rest| rest.split('-').count());
        let ordinal = rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        w.namespace() == pod.namespace
            && match w.kind() {
                "Deployment" => parts == 2,
                "StatefulSet" => parts == 1 && ordinal,
                _ => parts == 1 && !ordinal,
            }
    };
    let owner = workloads.iter().filter(makes).max_by_key(|w| w.name().len())?;
    Some(Relation::new(pod.clone(), RelationKind::OwnedBy, owner.entity()))
}
