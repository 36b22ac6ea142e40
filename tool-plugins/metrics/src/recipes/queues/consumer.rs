//! Who reads a queue and who fills it. The program that measures its own lag is the reader; else
//! the reader is looked for among workloads, by what they are told and by their names. When two
//! fit equally well, none is named.

use agent_sdk::Entity;

use super::Queue;
use crate::{view::View, words};

/// Words in the name of a setting of one who reads.
const READS: &[&str] = &["CONSUM", "SUBSCRI", "GROUP", "LISTEN", "INPUT", "SOURCE", "READ"];
/// And of one who fills.
const FILLS: &[&str] = &["PRODUC", "PUBLISH", "OUTPUT", "TARGET", "SINK", "WRITE", "SEND"];
/// Words in the names of workloads that read.
const READERS: &[&str] =
    &["worker", "consumer", "processor", "listener", "handler", "indexer", "sidekiq", "celery"];
/// Words in the names of brokers and of what only measures them.
const BROKERS: &[&str] = &[
    "kafka",
    "rabbit",
    "nats",
    "redis",
    "exporter",
    "broker",
    "sqs",
    "pulsar",
    "activemq",
    "valkey",
    "zookeeper",
    "mq",
];

/// Points from which a workload is taken for the one looked for.
const ENOUGH: f64 = 20.0;

/// Who reads a queue.
pub(super) fn of(view: View<'_>, queue: &Queue) -> Option<Entity> {
    let measured = view.world.top(&queue.measured);
    if !is_broker(view, &measured) && is_workload(view, &measured) {
        return Some(measured);
    }
    best(view, queue, &measured, reads)
}

/// Who fills a queue, when its settings say so.
pub(super) fn producer(view: View<'_>, queue: &Queue, consumer: &Entity) -> Option<Entity> {
    best(view, queue, consumer, |queue, _, told| {
        let fills = told.iter().any(|(key, value)| {
            said(key, FILLS) && !queue.name.is_empty() && words::mentions(value, &queue.name)
        });
        if fills { 60.0 } else { 0.0 }
    })
}

fn best(
    view: View<'_>,
    queue: &Queue,
    but: &Entity,
    points: impl Fn(&Queue, &Entity, &[(String, String)]) -> f64,
) -> Option<Entity> {
    let namespaces = [view.world.namespace(), queue.measured.namespace.as_str(), ""];
    namespaces.into_iter().find_map(|namespace| {
        let mut ranked: Vec<(f64, &Entity)> = view
            .world
            .told()
            .filter(|(w, _)| namespace.is_empty() || w.namespace == namespace)
            .filter(|(w, _)| *w != but && **w != queue.measured && !is_broker(view, w))
            .map(|(workload, told)| (points(queue, workload, told), workload))
            .filter(|(points, _)| *points >= ENOUGH)
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let (first, second) = (ranked.first()?, ranked.get(1));
        second.is_none_or(|(points, _)| *points < first.0).then(|| first.1.clone())
    })
}

fn reads(queue: &Queue, workload: &Entity, told: &[(String, String)]) -> f64 {
    let mut points = 0.0;
    if [&queue.group, &queue.name].iter().any(|name| **name == workload.name) {
        points += 100.0;
    }
    for (name, weight) in [(&queue.group, 60.0), (&queue.name, 40.0)] {
        let mut mentions = told.iter().filter(|(_, value)| words::mentions(value, name)).peekable();
        if mentions.peek().is_none() {
            continue;
        }
        points += weight;
        for (key, _) in mentions {
            points += if said(key, READS) { 20.0 } else { 0.0 };
            points -= if said(key, FILLS) { 60.0 } else { 0.0 };
        }
    }
    points += 30.0 * words::likeness(&queue.group, &workload.name);
    points += 25.0 * words::likeness(&queue.name, &workload.name);
    if points > 0.0 && READERS.iter().any(|word| workload.name.contains(word)) {
        points += 5.0;
    }
    points
}

fn said(key: &str, words: &[&str]) -> bool {
    let key = key.to_ascii_uppercase();
    words.iter().any(|word| key.contains(word))
}

/// Whether messages wait in a workload, or it only measures them: by its image, else its name.
fn is_broker(view: View<'_>, workload: &Entity) -> bool {
    if view.world.server(workload).is_some() {
        return true;
    }
    workload.name.split('-').any(|part| BROKERS.iter().any(|broker| part.contains(broker)))
        && !READERS.iter().any(|reader| workload.name.contains(reader))
}

fn is_workload(view: View<'_>, entity: &Entity) -> bool {
    view.world.told().any(|(workload, _)| workload == entity)
}
