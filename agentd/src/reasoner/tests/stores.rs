//! Caches and queues: what their users measure is theirs, who floods, who hangs, and what a broker
//! that is full says of its reader; told by the documents of the catalogue.

use super::{alert, assess, blamed, edge, embedded, saw, thing};
use crate::fact::{Entity, Observation, Relation, RelationKind};

fn with(mut observation: Observation, attributes: &[(&str, &str)]) -> Observation {
    for (key, value) in attributes {
        observation.attributes.insert((*key).to_owned(), (*value).to_owned());
    }
    observation
}

fn by(mut observation: Observation, peer: Entity) -> Observation {
    observation.peer = Some(peer);
    observation
}

fn calls(from: &str, to: &str) -> Relation {
    edge(thing("Deployment", from), RelationKind::Calls, thing("StatefulSet", to))
}

fn told(service: &str, facts: &[Observation], relations: &[Relation]) -> Vec<String> {
    blamed(&assess(embedded(), &alert("slow", service), facts, relations))
}

#[test]
fn what_a_program_measures_of_its_cache_is_no_second_fault() {
    let relations = [calls("shop", "basket"), calls("shop", "orders")];
    let facts = [
        saw("service.latency_high", thing("Deployment", "shop"), "11:31:00"),
        saw("cache.hit_ratio_low", thing("Deployment", "shop"), "11:30:00"),
        saw("cache.hit_ratio_low", thing("StatefulSet", "basket"), "11:30:00"),
        saw("cache.emptied", thing("StatefulSet", "basket"), "11:30:00"),
    ];
    assert_eq!(told("shop", &facts, &relations), ["cache_failure StatefulSet n/basket"]);
}

#[test]
fn a_cache_that_is_down_is_blamed_before_the_database_that_takes_its_load() {
    let relations = [calls("shop", "basket"), calls("shop", "orders")];
    let refused = || saw("log.connection_refused", thing("Deployment", "shop"), "11:30:30");
    let missed = || saw("log.cache_bypassed", thing("Deployment", "shop"), "11:30:30");
    let facts = [
        saw("service.latency_high", thing("Deployment", "shop"), "11:31:00"),
        saw("cache.down", thing("StatefulSet", "basket"), "11:30:00"),
        saw("container.crash_looping", thing("StatefulSet", "basket"), "11:30:00"),
        by(refused(), thing("StatefulSet", "basket")),
        by(missed(), thing("StatefulSet", "basket")),
        saw("container.cpu_throttled", thing("StatefulSet", "orders"), "11:31:00"),
    ];
    assert_eq!(told("shop", &facts, &relations), ["cache_failure StatefulSet n/basket"]);
}

#[test]
fn an_edited_lifetime_is_blamed_and_not_the_cache_that_only_shows_it() {
    let uses = edge(thing("Deployment", "shop"), RelationKind::Uses, thing("ConfigMap", "conf"));
    let edited = saw("config.changed", thing("ConfigMap", "conf"), "11:28:00");
    let facts = [
        with(edited, &[("topics", "cache"), ("keys", "CACHE_TTL")]),
        saw("service.latency_high", thing("Deployment", "shop"), "11:31:00"),
        saw("cache.hit_ratio_low", thing("Deployment", "shop"), "11:30:00"),
        saw("cache.hit_ratio_low", thing("StatefulSet", "basket"), "11:30:00"),
    ];
    let relations = [calls("shop", "basket"), uses];
    assert_eq!(told("shop", &facts, &relations), ["cache_failure ConfigMap n/conf"]);
}

fn grows(subject: Entity, attributes: &[(&str, &str)]) -> Observation {
    by(with(saw("queue.backlog_growing", subject, "11:31:00"), attributes), broker())
}

fn broker() -> Entity {
    thing("StatefulSet", "mq")
}

fn queue() -> Vec<Relation> {
    vec![calls("reader", "mq"), calls("front", "mq")]
}

#[test]
fn a_run_that_began_with_the_flood_is_blamed_for_it() {
    let mut relations = queue();
    relations.push(edge(thing("Job", "replay"), RelationKind::Calls, broker()));
    let flood = with(saw("queue.inflow_up", broker(), "11:31:00"), &[("producer", "unknown")]);
    let facts = [
        grows(thing("Deployment", "reader"), &[("why", "inflow"), ("consumer", "known")]),
        by(flood, thing("Deployment", "reader")),
        saw("job.started", thing("Job", "replay"), "11:30:00"),
    ];
    assert_eq!(told("reader", &facts, &relations), ["message_queue_backlog Job n/replay"]);
    assert_eq!(told("reader", &facts[..2], &queue()), [""; 0], "nobody known sends more");
}

#[test]
fn a_reader_that_hangs_is_blamed_and_a_queue_without_a_known_reader_blames_nobody() {
    let known = grows(thing("Deployment", "reader"), &[("why", "unknown"), ("consumer", "known")]);
    let hangs = saw("log.hung", thing("Deployment", "reader"), "11:30:00");
    let facts = [known, hangs];
    assert_eq!(told("mq", &facts, &queue()), ["message_queue_backlog Deployment n/reader"]);
    let nobody = grows(broker(), &[("why", "unknown"), ("consumer", "unknown")]);
    assert_eq!(told("mq", &[nobody], &queue()), [""; 0]);
}

#[test]
fn a_broker_full_of_what_nobody_reads_leaks_no_memory() {
    let stalled = saw("queue.consumer_stalled", thing("Deployment", "reader"), "11:00:00");
    let facts = [
        by(with(stalled, &[("why", "stalled"), ("consumer", "known")]), broker()),
        saw("workload.scaled_to_zero", thing("Deployment", "reader"), "11:00:00"),
        with(saw("container.memory_growing", broker(), "11:05:00"), &[("load", "level")]),
        saw("log.broker_blocked", broker(), "11:30:00"),
        by(saw("log.broker_blocked", thing("Deployment", "front"), "11:30:00"), broker()),
    ];
    assert_eq!(told("front", &facts, &queue()), ["message_queue_backlog Deployment n/reader"]);
}

#[test]
fn an_outside_service_that_slows_a_reader_explains_what_waits_at_its_broker() {
    let outside = || Entity::new("External", "", "pay.example.com");
    let mut relations = queue();
    relations.push(edge(thing("Deployment", "reader"), RelationKind::Calls, outside()));
    let facts = [
        grows(thing("Deployment", "reader"), &[("why", "slower"), ("consumer", "known")]),
        by(saw("dependency.failing", outside(), "11:30:00"), thing("Deployment", "reader")),
        by(saw("dependency.slow", outside(), "11:30:00"), thing("Deployment", "reader")),
        by(saw("log.timeout", thing("Deployment", "reader"), "11:30:00"), outside()),
    ];
    let expected = ["downstream_dependency_failure External pay.example.com"];
    assert_eq!(told("mq", &facts, &relations), expected, "the alert names the broker");
    assert_eq!(told("reader", &facts, &relations), expected, "the alert names the reader");
}
