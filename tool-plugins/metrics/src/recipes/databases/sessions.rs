//! Who sits in a database, as exporters count sessions by client: who holds most connections, and
//! who keeps a transaction open while others wait. A client is known by the name it gives itself,
//! its user or its address; a name that several share names nobody.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::{SignedDuration, Timestamp};

use crate::{
    judge::{seconds, since, time, timed},
    labels::Labels,
    thresholds as t,
    view::{Course, Found, Read, View, number},
    words,
};

/// Sessions by client.
const SESSIONS: &[&str] = &[
    "pg_stat_activity_count",
    "pg_stat_activity_connections",
    "pg_connections_by_application",
    "pg_connections_by_client",
    "pg_sessions_count",
    "ccp_connection_stats_total",
    "mysql_info_schema_processlist_processes_by_user",
    "mysql_info_schema_processlist_processes_by_host",
    "mysql_info_schema_processlist_threads",
    "mysql_info_schema_threads",
    "mongodb_connections_by_app",
    "mongodb_currentop_count",
    "pgbouncer_pools_server_active_connections",
    "pgbouncer_pools_client_active_connections",
];
/// Labels that name a client, better ones first.
const CLIENT: &[&str] = &[
    "application_name",
    "application",
    "app_name",
    "appName",
    "client",
    "usename",
    "username",
    "mysql_user",
    "user",
    "role",
    "client_addr",
    "client_address",
    "client_host",
    "client_hostname",
];
/// Seconds that the oldest transaction or session of a client lasts, or the time it began.
const OLDEST: &[&str] = &[
    "pg_stat_activity_max_tx_duration",
    "pg_stat_activity_max_state_duration",
    "pg_stat_activity_max_idle_seconds",
    "pg_stat_activity_oldest_xact_seconds",
    "pg_stat_activity_oldest_transaction_seconds",
    "pg_stat_activity_xact_max_seconds",
    "pg_transaction_max_age_seconds",
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "pg_long_running_transactions_age_in_seconds",
    "pg_idle_in_transaction_seconds",
    "ccp_connection_stats_max_idle_in_txn_time",
    "ccp_connection_stats_max_query_time",
    "mysql_info_schema_innodb_trx_oldest_seconds",
    "mysql_info_schema_processlist_seconds",
    "mysql_innodb_trx_max_seconds",
    "mongodb_currentop_max_seconds",
];
/// Sessions from which a client's idle transactions are many.
const SOME: f64 = 5.0;
/// Share of all growth from which one client caused it.
const CAUSED: f64 = 0.66;

/// The connections that a database has in use, and how many it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) taken: f64,
    pub(super) most: f64,
}

/// The sessions of one client in one database.
#[derive(Debug, Default)]
struct Client {
    name: String,
    all: Vec<f64>,
    /// In a transaction without working in it.
    idle: Vec<f64>,
}

/// All facts about sessions. `rooms` are the connections of databases; `waited` are the
/// databases in which statements wait for locks.
pub(super) fn judge(view: View<'_>, rooms: &BTreeMap<Entity, Room>, waited: &[Entity]) -> Found {
    let Found { mut facts, mut relations } = Found::default();
    let mut told: Vec<(Entity, Entity)> = Vec::new();
    for metric in SESSIONS.iter().filter(|m| view.store.has(m)) {
        for (database, clients) in clients(view, metric) {
            let room = rooms.get(&database).copied();
            // Who sits in a database calls it.
            let callers = clients.keys().filter(|_| database.kind != "Namespace");
            relations.extend(
                callers.map(|c| Relation::new(c.clone(), RelationKind::Calls, database.clone())),
            );
            for (client, fact) in holders(view, &database, &clients, room) {
                let pair = (client, database.clone());
                if !told.contains(&pair) {
                    told.push(pair);
                    facts.push(fact);
                }
            }
        }
    }
    for metric in OLDEST.iter().filter(|m| view.store.has(m)) {
        facts.extend(oldest(view, metric, waited));
    }
    Found { facts, relations }
}

/// The sessions of each database by client.
fn clients(view: View<'_>, metric: &str) -> BTreeMap<Entity, BTreeMap<Entity, Client>> {
    let key = |labels: &Labels| {
        let database = view.database(labels);
        let (name, client) = client(view, labels, &database)?;
        Some((database, client, name, labels.get("state").starts_with("idle in transaction")))
    };
    let mut all: BTreeMap<Entity, BTreeMap<Entity, Client>> = BTreeMap::new();
    for ((database, client, name, idle), values) in view.summed(metric, Read::Level, key) {
        let client = all.entry(database).or_default().entry(client).or_default();
        client.name = name;
        crate::flow::add(&mut client.all, &values);
        if idle {
            crate::flow::add(&mut client.idle, &values);
        }
    }
    all
}

/// Who holds most of a database's connections: who took far more than before, who keeps most in
/// idle transactions, and in a full database who made it full.
fn holders(
    view: View<'_>,
    database: &Entity,
    clients: &BTreeMap<Entity, Client>,
    room: Option<Room>,
) -> Vec<(Entity, Observation)> {
    let course = |values: &[f64]| Course::of(values);
    let taken: f64 = clients.values().filter_map(|c| course(&c.all)).map(|c| c.now).sum();
    let before: f64 = clients.values().filter_map(|c| course(&c.all)).map(|c| c.before).sum();
    let of = room.map_or(taken, |room| room.most).max(1.0);
    let is_full = room.is_some_and(|room| room.taken / room.most >= t::CONNECTIONS_FULL);
    let mut found = Vec::new();
    for (entity, client) in clients {
        let Some(all) = course(&client.all) else { continue };
        let idle = course(&client.idle);
        let grown = all.now - all.before;
        let grew = all.now >= 2.0 * all.before && grown >= SOME;
        let idle_now = idle.map_or(0.0, |i| i.now);
        let sits = idle_now >= SOME && 2.0 * idle_now >= all.now;
        let sits_more =
            sits && idle.is_some_and(|i| i.now >= 2.0 * i.before) && idle_now >= 0.5 * taken;
        let filled = grown >= 0.05 * of && grown >= CAUSED * (taken - before);
        let holds = all.now / of >= t::CONNECTIONS_HELD;
        if !(holds && (grew || sits) || sits_more || is_full && holds && filled) {
            continue;
        }
        let shown = if sits { idle.unwrap_or(all) } else { all };
        let rise = shown.rise();
        let doing = if sits { " in transactions it leaves open" } else { "" };
        let says = format!(
            "{} holds {} of {} connections of {}{doing} {}, before {}",
            client.name,
            number(all.now),
            number(of),
            database.name,
            since(rise, view.frame),
            number(shown.before)
        );
        let fact = Observation::new("db.connections_held", entity.clone(), says)
            .value(all.now, "1")
            .baseline(shown.before)
            .attr("application", client.name.as_str())
            .attr("state", if sits { "idle in transaction" } else { "" })
            .peer(database.clone());
        found.push((entity.clone(), timed(fact, rise, view.frame)));
    }
    found
}

/// A transaction that sits idle holds its locks; so does the oldest one in a database in which
/// statements wait. A statement that runs long is slow.
fn oldest(view: View<'_>, metric: &str, waited: &[Entity]) -> Vec<Observation> {
    let key = |labels: &Labels| {
        let database = view.database(labels);
        let (name, client) = client(view, labels, &database).unzip();
        let state = labels.first_of(&["state", "command"]).to_owned();
        Some((database, name.unwrap_or_default(), client, state))
    };
    let now = time(view.frame, view.frame.grid.points.saturating_sub(1));
    let aged = |value: f64| match now {
        // Some tell when it began instead.
        Some(now) if metric.contains("timestamp") => real(now) - value,
        _ => value,
    };
    let mut oldest: BTreeMap<Entity, (f64, Observation)> = BTreeMap::new();
    let mut facts = Vec::new();
    for ((database, name, client, state), values) in view.summed(metric, Read::Level, key) {
        let Some(course) = Course::of(&values) else { continue };
        let last = values.iter().rev().copied().find(|v| v.is_finite());
        let age = aged(last.unwrap_or(course.now));
        let fresh = metric.contains("timestamp") || course.now >= 3.0 * course.before;
        if age < t::IDLE_IN_TRANSACTION || !fresh {
            continue;
        }
        let idle = state.starts_with("idle in transaction") || metric.contains("idle");
        let waits = waited.contains(&database);
        let (who, signal) = match client {
            Some(client) if idle || waits => (client, "db.lock_held"),
            _ if state == "active" => (database.clone(), "db.slow_query"),
            _ => continue,
        };
        let began = now.and_then(|now| now.checked_sub(span(age)).ok());
        let says =
            format!("{name} {} on {} for {}", doing(idle, signal), database.name, seconds(age));
        let fact = Observation::new(signal, who.clone(), says)
            .value(age, "s")
            .baseline(course.before)
            .maybe_since(began)
            .maybe_until(now)
            .attr("onset", "seen")
            .attr("application", name);
        if who == database {
            facts.push(fact);
            continue;
        }
        let fact = fact.attr("known", "true").peer(database.clone());
        if idle {
            facts.push(fact);
        } else if oldest.get(&database).is_none_or(|(than, _)| age > *than) {
            oldest.insert(database, (age, fact));
        }
    }
    facts.extend(unless_known(&facts, oldest));
    facts
}

/// The oldest transaction of a database, unless one that sits idle there is known: who waits has a
/// transaction open as well.
fn unless_known(
    facts: &[Observation],
    oldest: BTreeMap<Entity, (f64, Observation)>,
) -> Vec<Observation> {
    let known = |database: &Entity| {
        facts
            .iter()
            .filter(|f| f.signal() == "db.lock_held")
            .any(|fact| fact.as_wire().peer.as_ref().is_some_and(|peer| peer.name == database.name))
    };
    let open = oldest.into_iter().filter(|(database, _)| !known(database));
    open.map(|(_, (_, fact))| fact).collect()
}

fn doing(idle: bool, signal: &str) -> &'static str {
    match (idle, signal) {
        (true, _) => "keeps a transaction open without working in it",
        (false, "db.lock_held") => "has the oldest transaction open while others wait for locks",
        _ => "runs a statement",
    }
}

fn real(time: Timestamp) -> f64 {
    time.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()
}

fn span(age: f64) -> SignedDuration {
    SignedDuration::try_from_secs_f64(age).unwrap_or(SignedDuration::ZERO)
}

/// The workload behind a series, with the name that told it.
fn client(view: View<'_>, labels: &Labels, database: &Entity) -> Option<(String, Entity)> {
    CLIENT.iter().find_map(|label| {
        let name = labels.get(label);
        let found = (!name.is_empty()).then(|| named(view, name, database)).flatten()?;
        Some((name.to_owned(), found))
    })
}

/// The workload that a client's name or address stands for.
fn named(view: View<'_>, name: &str, database: &Entity) -> Option<Entity> {
    let here = [database.namespace.as_str(), view.world.namespace()];
    let other = |found: &Entity| found != database;
    if let Some(pod) = view.world.peers.address(name).filter(|e| e.kind == "Pod") {
        return Some(view.world.top(&pod)).filter(other);
    }
    let exact = here.iter().find_map(|ns| {
        view.world
            .workload(ns, name)
            .or_else(|| view.world.workload(ns, words::stem(name)))
            .or_else(|| view.world.clients.named(name, ns))
    });
    if let Some(found) = exact.filter(other) {
        return Some(found);
    }
    let mut alike = view.world.told().map(|(workload, _)| workload).filter(|w| {
        here.contains(&w.namespace.as_str())
            && other(w)
            && words::likeness(name, &w.name) > 0.99
            && words::likeness(&w.name, name) > 0.49
    });
    let first = alike.next()?;
    alike.next().is_none().then(|| first.clone())
}
