//! Sessions of a server's log become facts about its clients.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use agent_sdk::Entity;
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Clients, Object, Peers};
use serde_json::json;

use super::{Place, Sessions};
use crate::{rate::Window, record::Joiner};

fn pod(name: &str, ip: &str) -> Object {
    Object::new(json!({"kind": "Pod", "metadata": {"name": name, "namespace": "n"},
        "status": {"podIP": ip}}))
}

fn window() -> Window {
    let from: Timestamp = "2025-06-30T20:00:00Z".parse().unwrap();
    let to = from.checked_add(SignedDuration::from_hours(1)).unwrap();
    Window { from, to, lead: SignedDuration::ZERO }
}

fn sessions(text: &str) -> Sessions {
    let mut joiner = Joiner::new(window().to);
    let mut sessions = Sessions::default();
    let records: Vec<_> = text.lines().filter_map(|line| joiner.line(None, line)).collect();
    for record in records.iter().chain(joiner.finish().as_ref()) {
        sessions.note(record, &window());
    }
    sessions
}

fn told(sessions: &Sessions) -> Vec<agent_sdk::Observation> {
    let pods = [pod("report-1", "10.1.2.3"), pod("web-1", "10.1.2.4")];
    let peers = Peers::of(&pods);
    let tops: BTreeMap<Entity, Entity> =
        [(pods[0].entity(), Entity::new("Job", "n", "report"))].into();
    let database = Entity::new("StatefulSet", "n", "db");
    let place =
        Place { database, namespace: "n", peers: &peers, tops: &tops, clients: &Clients::new() };
    sessions.tell(&place, &window()).0
}

#[test]
fn who_holds_a_lock_is_found_by_its_session() {
    let facts = told(&sessions(
        "2025-06-30 20:10:00.000 UTC [81] report@shop 10.1.2.3(5001) LOG:  statement: ALTER TABLE orders ADD COLUMN x int DEFAULT 0\n\
         2025-06-30 20:11:00.000 UTC [77] web@shop 10.1.2.4(5002) LOG:  process 77 still waiting for RowExclusiveLock on relation 16385 of database 1 after 1000.1 ms\n\
         2025-06-30 20:11:00.000 UTC [77] web@shop 10.1.2.4(5002) DETAIL:  Process holding the lock: 81. Wait queue: 77.\n\
         2025-06-30 20:11:00.000 UTC [77] web@shop 10.1.2.4(5002) STATEMENT:  UPDATE orders SET paid = true WHERE id = 1",
    ));
    let held = facts.iter().find(|f| f.signal() == "db.lock_held").unwrap().as_wire();
    assert_eq!(held.subject.as_ref().unwrap().name, "report");
    assert_eq!(held.attributes["known"], "true");
    assert_eq!(held.attributes["table"], "orders");
    assert!(held.attributes["statement"].starts_with("ALTER TABLE orders"));
}

#[test]
fn slow_statements_are_told_with_who_runs_them() {
    let facts = told(&sessions(
        "2025-06-30 20:10:00.000 UTC [81] app=report host=10.1.2.3 LOG:  duration: 15123.4 ms  statement: SELECT * FROM ledger",
    ));
    let slow = facts.iter().find(|f| f.signal() == "db.slow_query").unwrap().as_wire();
    assert_eq!(slow.subject.as_ref().unwrap().name, "report");
    assert_eq!(slow.attributes["table"], "ledger");
    let mongo = told(&sessions(
        r#"{"t":{"$date":"2025-06-30T20:10:00.000Z"},"s":"I","c":"COMMAND","ctx":"conn9","msg":"Slow query","attr":{"ns":"shop.orders","appName":"x","remote":"10.1.2.4:555","planSummary":"COLLSCAN","durationMillis":9123}}"#,
    ));
    let slow = mongo.iter().find(|f| f.signal() == "db.slow_query").unwrap().as_wire();
    assert_eq!(slow.subject.as_ref().unwrap().name, "web-1");
}

#[test]
fn the_client_that_takes_most_connections_lately_is_named() {
    let line = |minute: u32, pid: u32, ip: &str| {
        format!(
            "2025-06-30 20:{minute:02}:00.000 UTC [{pid}] LOG:  connection authorized: user=u database=d host={ip}"
        )
    };
    let mut lines: Vec<String> = (0..30).map(|m| line(m, 100 + m, "10.1.2.4")).collect();
    lines.extend((30..60).flat_map(|m| {
        [line(m, 200 + m, "10.1.2.4"), line(m, 300 + m, "10.1.2.3"), line(m, 400 + m, "10.1.2.3")]
    }));
    let facts = told(&sessions(&lines.join("\n")));
    let held = facts.iter().find(|f| f.signal() == "db.connections_held").unwrap().as_wire();
    assert_eq!(held.subject.as_ref().unwrap().name, "report");
    assert!(held.value.unwrap() > 0.6 && held.baseline.unwrap() < 0.1);
}

#[test]
fn a_holder_is_found_by_the_program_named_in_the_prefix() {
    let facts = told(&sessions(
        "2025-06-30 20:10:00.000 UTC [81] app@shop/report-1 LOG:  duration: 2.1 ms  statement: BEGIN; UPDATE orders SET held = 0 WHERE open\n\
         2025-06-30 20:11:00.000 UTC [77] app@shop/web-1 LOG:  process 77 still waiting for RowExclusiveLock on relation 16385 of database 1 after 1000.1 ms\n\
         2025-06-30 20:11:00.000 UTC [77] app@shop/web-1 DETAIL:  Process holding the lock: 81. Wait queue: 77.",
    ));
    let held = facts.iter().find(|f| f.signal() == "db.lock_held").unwrap().as_wire();
    assert_eq!(held.subject.as_ref().unwrap().name, "report");
    assert_eq!(held.attributes["known"], "true");
    assert!(!facts.iter().any(|f| f.signal() == "db.slow_query"), "2 ms are not slow");
}

#[test]
fn who_reads_little_and_takes_long_is_no_cause_of_slowness() {
    let line = |ip: &str, plan: &str, examined: u32, took: u32| {
        format!(
            r#"{{"t":{{"$date":"2025-06-30T20:10:00.000Z"}},"s":"I","c":"COMMAND","ctx":"conn{took}","msg":"Slow query","attr":{{"ns":"shop.orders","remote":"{ip}:555","planSummary":"{plan}","keysExamined":1,"docsExamined":{examined},"durationMillis":{took}}}}}"#
        )
    };
    let facts = told(&sessions(&format!(
        "{}\n{}",
        line("10.1.2.3", "COLLSCAN", 1_800_000, 9000),
        line("10.1.2.4", "IXSCAN { _id: 1 }", 1, 12000)
    )));
    let slow = |name: &str| {
        let of = |f: &&agent_sdk::Observation| {
            f.signal() == "db.slow_query" && f.as_wire().subject.as_ref().unwrap().name == name
        };
        facts.iter().find(of).unwrap().as_wire()
    };
    let attributes = |name: &str| {
        let told = &slow(name).attributes;
        (told["known"].as_str(), told["most"].as_str(), told["waits"].as_str())
    };
    assert_eq!(attributes("report"), ("true", "true", "false"));
    assert_eq!(attributes("web-1"), ("true", "false", "true"));
}

#[test]
fn both_sides_of_a_deadlock_are_named_and_neither_is_its_holder() {
    let facts = told(&sessions(
        "2025-06-30 20:10:00.000 UTC [81] app@shop/report-1 LOG:  statement: BEGIN\n\
         2025-06-30 20:11:00.000 UTC [77] app@shop/web-1 ERROR:  deadlock detected\n\
         2025-06-30 20:11:00.000 UTC [77] app@shop/web-1 DETAIL:  Process 77 waits for ShareLock on transaction 8; blocked by process 81.\n\
         \tProcess 81 waits for ShareLock on transaction 9; blocked by process 77.",
    ));
    let named = |signal: &str| -> Vec<String> {
        let of = facts.iter().filter(|f| f.signal() == signal);
        of.map(|f| f.as_wire().subject.as_ref().unwrap().name.clone()).collect()
    };
    assert_eq!(named("db.deadlock"), ["report", "web-1"]);
    assert!(named("db.lock_held").is_empty());
}
