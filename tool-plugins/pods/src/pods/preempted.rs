//! Who took the room of pods that were preempted: named by the scheduler, else whoever of higher
//! priority came to the same node at that time.

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Cluster, Event, Kind, Object, Owners};

/// A preemptor is bound to the node within this time of the preemption.
const SOON: SignedDuration = SignedDuration::from_mins(10);

pub(super) async fn judge(
    cluster: &Cluster,
    (pods, owners): (&[Object], &Owners),
    answer: &mut Answer,
) {
    let victims: Vec<&Object> = pods.iter().filter(|p| is_preempted(p)).collect();
    let events = cluster.list(Kind::Event, None).await.unwrap_or_default();
    let said: Vec<Event> = events
        .iter()
        .filter(|e| e.text("/reason") == "Preempted")
        .map(|e| Event::of(e, cluster.now()))
        .collect();
    let pushed: Vec<&Object> = pods.iter().filter(|p| finds_no_room(p)).collect();
    if victims.is_empty() && said.is_empty() && pushed.is_empty() {
        return;
    }
    let everywhere = cluster.list(Kind::Pod, None).await;
    let everywhere = answer.or_gap("pods of other namespaces", everywhere);
    let mut takers: Vec<&Object> = Vec::new();
    for pod in victims {
        let told = said.iter().find(|e| e.about == pod.entity());
        let by =
            told.and_then(|e| named(&e.message, &everywhere)).or_else(|| likely(pod, &everywhere));
        takers.extend(by);
        tell(pod.entity(), (Some(pod), told), by, answer);
    }
    for event in &said {
        let gone = !pods.iter().any(|p| p.entity() == event.about);
        let here = pods.iter().any(|p| p.namespace() == event.about.namespace);
        if gone && here {
            let by = named(&event.message, &everywhere);
            takers.extend(by);
            tell(event.about.clone(), (None, Some(event)), by, answer);
        }
    }
    // A preempted pod is gone, and nothing tells whose it was; the one in its place does.
    for pod in pushed {
        let Some(by) = came_then(pod, (&everywhere, owners)) else { continue };
        takers.push(by);
        answer.relate(Relation::new(by.entity(), RelationKind::Governs, pod.entity()));
        answer.harm(outranked(pod, by));
    }
    for taker in takers {
        answer.relate_all(owners.relations(taker));
    }
}

fn is_preempted(pod: &Object) -> bool {
    let target = pod.condition("DisruptionTarget").filter(|c| c.status == "True");
    target.is_some_and(|c| c.reason == "PreemptionByScheduler")
        || matches!(pod.text("/status/reason"), "Preempting" | "Preempted")
}

fn finds_no_room(pod: &Object) -> bool {
    let scheduled = pod.condition("PodScheduled").filter(|c| c.status == "False");
    scheduled.is_some_and(|c| c.message.contains("Insufficient"))
}

fn priority(pod: &Object) -> i64 {
    pod.number("/spec/priority").unwrap_or(0)
}

/// Whoever of higher priority, and of another owner, was bound anywhere as a pod was made anew.
fn came_then<'a>(pod: &Object, (pods, owners): (&'a [Object], &Owners)) -> Option<&'a Object> {
    let made = pod.created()?;
    let then = |other: &&Object| {
        let bound =
            other.condition("PodScheduled").filter(|c| c.status == "True").and_then(|c| c.since);
        let bound = bound.or_else(|| other.created());
        !other.text("/spec/nodeName").is_empty()
            && bound.is_some_and(|t: Timestamp| made.duration_since(t).abs() <= SOON)
    };
    let above =
        |other: &&Object| priority(other) > priority(pod) && owners.top(other) != owners.top(pod);
    pods.iter().filter(above).filter(then).max_by_key(|other| priority(other))
}

fn outranked(pod: &Object, by: &Object) -> Observation {
    let class = by.text("/spec/priorityClassName");
    let of = if class.is_empty() { String::new() } else { format!(" of PriorityClass {class}") };
    let says = format!(
        "pod {} finds no room since pods of higher priority came: pod {}/{}{of}",
        pod.name(),
        by.namespace(),
        by.name()
    );
    Observation::new("pod.preempted", pod.entity(), says)
        .maybe_since(pod.created())
        .attr("priority", priority(pod).to_string())
        .attr("by_priority", priority(by).to_string())
        .attr("class", class)
        .attr("certain", "false")
        .peer(by.entity())
}

/// The pod a sentence names: by its uid, or by namespace and name.
fn named<'a>(said: &str, pods: &'a [Object]) -> Option<&'a Object> {
    let (_, by) = said.split_once("reempted by ")?;
    let by = by.trim_start_matches("pod ").split_whitespace().next()?.trim_end_matches(['.', ',']);
    pods.iter().find(|p| {
        p.text("/metadata/uid") == by || by.split_once('/') == Some((p.namespace(), p.name()))
    })
}

/// Whoever of higher priority was bound to the node then.
fn likely<'a>(victim: &Object, pods: &'a [Object]) -> Option<&'a Object> {
    let at = victim.condition("DisruptionTarget")?.since?;
    let node = victim.text("/spec/nodeName");
    let near = |pod: &&Object| {
        let bound = pod.condition("PodScheduled").and_then(|c| c.since).or_else(|| pod.created());
        bound.is_some_and(|t: Timestamp| t.duration_since(at).abs() <= SOON)
    };
    let there = |pod: &&Object| {
        [pod.text("/spec/nodeName"), pod.text("/status/nominatedNodeName")].contains(&node)
    };
    let above = |pod: &&Object| priority(pod) > priority(victim);
    pods.iter().filter(above).filter(there).filter(near).max_by_key(|p| priority(p))
}

fn tell(
    victim: Entity,
    (pod, event): (Option<&Object>, Option<&Event>),
    by: Option<&Object>,
    answer: &mut Answer,
) {
    let priority = |pod: Option<&Object>| {
        pod.and_then(|p| p.number("/spec/priority")).map(|p| p.to_string()).unwrap_or_default()
    };
    let target = pod.and_then(|p| p.condition("DisruptionTarget"));
    let class = by.map_or("", |p| p.text("/spec/priorityClassName"));
    let who = by.map(|p| format!(": pod {}/{}", p.namespace(), p.name())).unwrap_or_default();
    let of = if class.is_empty() { String::new() } else { format!(" of PriorityClass {class}") };
    let says = format!("pod {} made way for a pod of higher priority{who}{of}", victim.name);
    let message = event.map_or("", |e| e.message.as_str());
    let seen = Observation::new("pod.preempted", victim.clone(), says)
        .maybe_since(target.and_then(|c| c.since).or_else(|| event.and_then(|e| e.first)))
        .attr("priority", priority(pod))
        .attr("by_priority", priority(by))
        .attr("class", class)
        .quote(target.map_or(message, |c| c.message));
    let Some(by) = by else {
        answer.harm(seen);
        return;
    };
    // Whoever displaces acts on the displaced.
    answer.relate(Relation::new(by.entity(), RelationKind::Governs, victim));
    answer.harm(seen.peer(by.entity()));
}
