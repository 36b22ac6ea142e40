//! Databases whose slots or locks somebody holds: who holds is the cause, who waits the symptom,
//! and the server is named only where nobody is seen to hold.

use super::{Assessment, alert, assess, blamed, edge, embedded, saw, thing};
use crate::fact::{Entity, Observation, Relation, RelationKind};

fn with(mut observation: Observation, attributes: &[(&str, &str)]) -> Observation {
    for (key, value) in attributes {
        observation.attributes.insert((*key).to_owned(), (*value).to_owned());
    }
    observation
}

fn at_db(mut observation: Observation) -> Observation {
    observation.peer = Some(db());
    observation
}

fn db() -> Entity {
    thing("StatefulSet", "db")
}

fn other(kind: &str) -> Entity {
    thing(kind, "other")
}

/// The Deployment `web` behind its Service, and another workload; both call the database.
fn both(kind: &str) -> Vec<Relation> {
    let pod = || thing("Pod", "web-1");
    vec![
        edge(pod(), RelationKind::OwnedBy, thing("Deployment", "web")),
        edge(thing("Service", "web"), RelationKind::Selects, pod()),
        edge(thing("Deployment", "web"), RelationKind::Calls, db()),
        edge(other(kind), RelationKind::Calls, db()),
    ]
}

fn told(facts: &[Observation], kind: &str) -> Vec<String> {
    blamed(&assessed(facts, kind))
}

fn assessed(facts: &[Observation], kind: &str) -> Assessment {
    let web = thing("Service", "web");
    let mut all = vec![
        saw("service.error_ratio_high", web.clone(), "11:32:00"),
        saw("service.latency_high", web, "11:32:00"),
    ];
    all.extend(facts.iter().cloned());
    assess(embedded(), &alert("high_error_rate", "web"), &all, &both(kind))
}

fn refused() -> Vec<Observation> {
    let said = saw("log.pool_exhausted", thing("Pod", "web-1"), "11:32:00");
    let server = saw("log.pool_exhausted", db(), "11:32:00");
    vec![
        at_db(with(said, &[("pool", "server"), ("side", "client"), ("is_new", "true")])),
        with(server, &[("pool", "server"), ("side", "server"), ("is_new", "true")]),
    ]
}

fn waits() -> Vec<Observation> {
    let said = saw("log.lock_wait", thing("Pod", "web-1"), "11:32:00");
    vec![
        saw("db.lock_waits", db(), "11:32:00"),
        at_db(with(said, &[("side", "client"), ("is_new", "true")])),
    ]
}

#[test]
fn who_leaves_transactions_open_is_blamed_for_the_slots_and_locks_they_keep() {
    let open = || {
        let open = saw("log.transaction_open", other("Deployment"), "11:31:00");
        vec![with(open, &[("side", "client"), ("is_new", "true")])]
    };
    let slots = told(&[refused(), open()].concat(), "Deployment");
    assert_eq!(slots, ["db_connection_pool_exhausted Deployment n/other"]);
    let locks = told(&[waits(), open()].concat(), "Deployment");
    assert_eq!(locks, ["db_lock_or_slow_query Deployment n/other"]);
}

#[test]
fn who_was_scaled_up_right_before_a_server_is_full_is_blamed_and_not_who_was_scaled_down() {
    let full = || saw("db.connections_exhausted", db(), "11:32:00");
    let scaled = |direction| {
        let seen = saw("workload.scaled", thing("Deployment", "web"), "11:31:00");
        with(seen, &[("direction", direction), ("from", "2"), ("to", "6")])
    };
    let up = told(&[refused(), vec![full(), scaled("up")]].concat(), "Deployment");
    assert_eq!(up, ["db_connection_pool_exhausted Deployment n/web"]);
    let down = told(&[refused(), vec![full(), scaled("down")]].concat(), "Deployment");
    assert_eq!(down, ["db_connection_pool_exhausted StatefulSet n/db"]);
}

#[test]
fn a_run_that_began_right_before_others_wait_is_likely_and_never_certain() {
    let began = |time| vec![saw("job.started", other("Job"), time)];
    assert_eq!(
        told(&[waits(), began("11:31:00")].concat(), "Job"),
        ["db_lock_or_slow_query Job n/other"]
    );
    let chance = assessed(&[waits(), began("11:31:00")].concat(), "Job");
    assert!(chance.conclusion.root_causes[0].confidence < 0.7);
    let later = told(&[waits(), began("11:50:00")].concat(), "Job");
    assert!(!later.contains(&"db_lock_or_slow_query Job n/other".to_owned()), "{later:?}");
    // Another is known to hold the lock.
    let held = at_db(with(
        saw("db.lock_held", thing("Deployment", "web"), "11:31:00"),
        &[("known", "true")],
    ));
    let known = told(&[waits(), began("11:31:00"), vec![held]].concat(), "Job");
    assert_eq!(known, ["db_lock_or_slow_query Deployment n/web"]);
}

#[test]
fn who_scans_is_blamed_and_not_who_only_waits() {
    let slow = |of: Entity, most, waits| {
        let seen = at_db(saw("db.slow_query", of, "11:31:00"));
        with(seen, &[("known", "true"), ("most", most), ("waits", waits)])
    };
    let busy = saw("container.cpu_saturated", db(), "11:31:00");
    let scans = slow(other("Job"), "true", "false");
    let victim = slow(thing("Deployment", "web"), "false", "true");
    assert_eq!(told(&[busy, scans, victim], "Job"), ["db_lock_or_slow_query Job n/other"]);
}

#[test]
fn of_two_that_deadlock_the_one_that_changed_is_blamed() {
    let crossed = |of: Entity| at_db(saw("db.deadlock", of, "11:32:00"));
    let both = vec![crossed(thing("Deployment", "web")), crossed(other("Deployment"))];
    let rolled = saw("workload.rolled_out", other("Deployment"), "11:31:00");
    let rolled = with(rolled, &[("fields", "env"), ("what", "settings")]);
    let changed = told(&[waits(), both.clone(), vec![rolled]].concat(), "Deployment");
    assert_eq!(changed, ["db_lock_or_slow_query Deployment n/other"]);
    let alike = told(&[waits(), both].concat(), "Deployment");
    assert!(alike.len() <= 1, "one fault has one cause: {alike:?}");
}

#[test]
fn a_database_without_room_is_blamed_by_its_clients_words_and_its_claim_where_that_is_measured() {
    let says = with(
        saw("log.no_space", thing("Pod", "web-1"), "11:32:00"),
        &[("side", "client"), ("is_new", "true")],
    );
    let told_so = [at_db(says)];
    assert_eq!(told(&told_so, "Deployment"), ["disk_full StatefulSet n/db"]);
    let claim = || thing("PersistentVolumeClaim", "data-db-0");
    let full = saw("storage.volume_full", claim(), "11:00:00");
    let mut relations = both("Deployment");
    relations.push(edge(thing("StatefulSet", "db"), RelationKind::Uses, claim()));
    let web = thing("Service", "web");
    let released = with(
        saw("workload.rolled_out", thing("Deployment", "web"), "11:20:00"),
        &[("fields", "image"), ("what", "code")],
    );
    let all =
        [saw("service.error_ratio_high", web, "11:32:00"), told_so[0].clone(), full, released];
    let told = assess(embedded(), &alert("high_error_rate", "web"), &all, &relations);
    assert_eq!(blamed(&told), ["disk_full PersistentVolumeClaim n/data-db-0"]);
}
