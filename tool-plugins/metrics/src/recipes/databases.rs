//! How databases and the pools in front of them fare: connections in use and who holds them,
//! locks waited for, transactions left open, slow statements. Seen: exporters of PostgreSQL,
//! MySQL, MongoDB, Redis and `PgBouncer`; pools of Java, Go, Python and OpenTelemetry clients.

mod pools;

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};

use crate::{
    judge::{seconds, since, timed},
    labels::Labels,
    thresholds as t,
    view::{Course, Found, Read, View, number},
    words,
};

/// Connections in use and how many there may be.
const CONNECTIONS: &[(&str, &str)] = &[
    ("pg_stat_activity_count", "pg_settings_max_connections"),
    ("pg_stat_database_numbackends", "pg_settings_max_connections"),
    ("mysql_global_status_threads_connected", "mysql_global_variables_max_connections"),
    ("redis_connected_clients", "redis_config_maxclients"),
    ("mongodb_connections_current", "mongodb_connections_max"),
    ("pgbouncer_pools_server_active_connections", "pgbouncer_databases_pool_size"),
];
/// Labels that name a client of a database, better ones first.
const CLIENT: &[&str] = &["application_name", "application", "client", "usename", "user"];
/// What counts locks that are waited for, and deadlocks.
const LOCKS: &[&str] = &[
    "mysql_global_status_innodb_row_lock_current_waits",
    "pg_locks_waiting",
    "pg_blocked_queries",
    "pg_stat_database_deadlocks",
    "pg_stat_database_deadlocks_total",
    "mysql_global_status_innodb_row_lock_waits",
    "mysql_global_status_innodb_deadlocks",
    "pg_locks_count",
    "pg_stat_activity_count",
];
/// Seconds that the longest transaction or statement lasts.
const LONGEST: &[&str] = &[
    "pg_stat_activity_max_tx_duration",
    "pg_stat_activity_max_state_duration",
    "pg_long_running_transactions_oldest_timestamp_seconds",
    "pg_stat_activity_max_idle_seconds",
];
const SLOW: &[&str] = &[
    "mysql_global_status_slow_queries",
    "mysql_global_status_slow_queries_total",
    "pg_stat_statements_mean_time_seconds",
    "pg_stat_statements_mean_exec_time_seconds",
    "pg_slow_queries_total",
    "mongodb_slow_queries_total",
];

/// All facts about databases and pools.
#[must_use]
pub fn judge(view: View<'_>) -> Found {
    let mut found = Found::default();
    let mut told = std::collections::BTreeSet::new();
    for (used, most) in CONNECTIONS.iter().filter(|(used, _)| view.store.has(used)) {
        let key = |labels: &Labels| Some(view.object(labels));
        let sizes = view.summed(most, Read::Level, |l| key(l));
        for (database, values) in view.summed(used, Read::Level, key) {
            let most = sizes.get(&database).and_then(|s| Course::of(s)).map(|c| c.now);
            if told.insert(database.clone()) {
                found.facts.extend(connections(view, &database, &values, most));
                found.facts.extend(holders(view, used, &database, most));
            }
        }
    }
    for metric in LOCKS.iter().filter(|m| view.store.has(m)) {
        found.facts.extend(locks(view, metric));
    }
    for metric in LONGEST.iter().filter(|m| view.store.has(m)) {
        found.facts.extend(longest(view, metric));
    }
    for metric in SLOW.iter().filter(|m| view.store.has(m)) {
        found.facts.extend(slow(view, metric));
    }
    let pools = pools::judge(view);
    found.facts.extend(pools.facts);
    found.relations.extend(pools.relations);
    found
}

fn connections(
    view: View<'_>,
    database: &Entity,
    used: &[f64],
    most: Option<f64>,
) -> Option<Observation> {
    let most = most.filter(|m| *m > 0.0)?;
    let course = Course::of(used)?;
    let share = course.now / most;
    let numbers = format!("{} of {}", number(course.now), number(most));
    if share >= t::CONNECTIONS_FULL {
        let rise = course.rise();
        let says = format!(
            "{} has {numbers} connections in use {}, usually {}",
            database.name,
            since(rise, view.frame),
            number(course.before)
        );
        let fact = Observation::new("db.connections_exhausted", database.clone(), says)
            .value(course.now, "1")
            .baseline(course.before)
            .attr("max", number(most));
        return Some(timed(fact, rise, view.frame));
    }
    (share <= 0.8).then(|| {
        let says = format!("{} has {numbers} connections in use", database.name);
        let fact = Observation::new("db.connections_free", database.clone(), says);
        fact.value(course.now, "1").attr("max", number(most))
    })
}

/// The client that holds most of a database's connections, when it took far more than before.
fn holders(view: View<'_>, metric: &str, database: &Entity, most: Option<f64>) -> Vec<Observation> {
    let clients = view.summed(metric, Read::Level, |labels| {
        let client = labels.first_of(CLIENT);
        (!client.is_empty() && view.object(labels) == *database).then(|| client.to_owned())
    });
    let courses: BTreeMap<&str, Course> = clients
        .iter()
        .filter_map(|(name, values)| Some((name.as_str(), Course::of(values)?)))
        .collect();
    let all: f64 = courses.values().map(|c| c.now).sum();
    let of = most.unwrap_or(all).max(1.0);
    let mut facts = Vec::new();
    for (name, course) in courses {
        let grew = course.now >= 2.0 * course.before && course.now - course.before >= 5.0;
        if course.now / of < t::CONNECTIONS_HELD || !grew {
            continue;
        }
        let Some(client) = client(view, name, database) else { continue };
        let rise = course.rise();
        let says = format!(
            "{name} holds {} of {} connections of {} {}, before {}",
            number(course.now),
            number(of),
            database.name,
            since(rise, view.frame),
            number(course.before)
        );
        let fact = Observation::new("db.connections_held", client, says)
            .value(course.now, "1")
            .baseline(course.before)
            .attr("application", name)
            .peer(database.clone());
        facts.push(timed(fact, rise, view.frame));
    }
    facts
}

/// The workload that a client's name stands for.
fn client(view: View<'_>, name: &str, database: &Entity) -> Option<Entity> {
    let here = [database.namespace.as_str(), view.world.namespace()];
    let exact = here.iter().find_map(|ns| {
        view.world.workload(ns, name).or_else(|| view.world.workload(ns, words::stem(name)))
    });
    if let Some(found) = exact.filter(|found| found != database) {
        return Some(found);
    }
    let mut alike = view.world.told().map(|(workload, _)| workload).filter(|w| {
        here.contains(&w.namespace.as_str())
            && *w != database
            && words::likeness(name, &w.name) > 0.99
            && words::likeness(&w.name, name) > 0.49
    });
    let first = alike.next()?;
    alike.next().is_none().then(|| first.clone())
}

fn locks(view: View<'_>, metric: &str) -> Vec<Observation> {
    let waits_only = matches!(metric, "pg_locks_count" | "pg_stat_activity_count");
    let key = |labels: &Labels| {
        let waits = labels.get("granted") == "false"
            || labels.get("wait_event_type").eq_ignore_ascii_case("lock");
        (!waits_only || waits).then(|| view.object(labels))
    };
    let counts =
        metric.ends_with("_waits") && !metric.contains("current") || metric.contains("deadlocks");
    let read = if counts { Read::Rate } else { Read::Level };
    let mut facts = Vec::new();
    for (database, values) in view.summed(metric, read, key) {
        let Some(rise) = Course::of(&values).and_then(|c| c.rise()) else { continue };
        let least = if counts { 0.02 } else { 2.0 };
        if rise.after < least || rise.after < 3.0 * rise.before {
            continue;
        }
        let what = if metric.contains("deadlock") { "deadlocks" } else { "waits for locks" };
        let unit = if counts { "/s" } else { "" };
        let says = format!(
            "{} has {}{unit} {what} {}, before {}",
            database.name,
            number(rise.after),
            since(Some(rise), view.frame),
            number(rise.before)
        );
        let fact = Observation::new("db.lock_waits", database, says)
            .value(rise.after, "1")
            .baseline(rise.before)
            .attr("metric", metric);
        facts.push(timed(fact, Some(rise), view.frame));
    }
    facts
}

/// A transaction that sits idle holds its locks; a statement that runs long is slow.
fn longest(view: View<'_>, metric: &str) -> Vec<Observation> {
    let key = |labels: &Labels| {
        let state = labels.get("state").to_owned();
        Some((view.object(labels), labels.first_of(CLIENT).to_owned(), state))
    };
    let mut facts = Vec::new();
    for ((database, name, state), values) in view.summed(metric, Read::Level, key) {
        let Some(course) = Course::of(&values) else { continue };
        if course.now < t::IDLE_IN_TRANSACTION || course.now < 3.0 * course.before {
            continue;
        }
        let idle = state.starts_with("idle in transaction");
        let (who, signal) = match (idle, client(view, &name, &database)) {
            (true, Some(client)) => (client, "db.lock_held"),
            (false, _) if state == "active" => (database.clone(), "db.slow_query"),
            _ => continue,
        };
        let rise = course.rise();
        let what = if idle {
            "keeps a transaction open without working in it"
        } else {
            "runs a statement"
        };
        let says = format!(
            "{name} {what} on {} for {} {}",
            database.name,
            seconds(course.now),
            since(rise, view.frame)
        );
        let fact = Observation::new(signal, who.clone(), says)
            .value(course.now, "s")
            .baseline(course.before)
            .attr("application", name);
        let fact = if who == database { fact } else { fact.attr("known", "true").peer(database) };
        facts.push(timed(fact, rise, view.frame));
    }
    facts
}

fn slow(view: View<'_>, metric: &str) -> Vec<Observation> {
    let counts = metric.contains("slow_queries");
    let read = if counts { Read::Rate } else { Read::Level };
    let key = |labels: &Labels| {
        let statement = labels.first_of(&["query", "queryid"]).to_owned();
        Some((view.object(labels), statement))
    };
    let mut facts = Vec::new();
    for ((database, statement), values) in view.summed(metric, read, key) {
        let Some(rise) = Course::of(&values).and_then(|c| c.rise()) else { continue };
        let least = if counts { 0.05 } else { 0.1 };
        if rise.after < least || rise.after < 3.0 * rise.before {
            continue;
        }
        let (now, before) = if counts {
            (format!("{} slow statements/s", number(rise.after)), number(rise.before))
        } else {
            (format!("a mean of {}", seconds(rise.after)), seconds(rise.before))
        };
        let which = if statement.is_empty() { String::new() } else { format!(" for {statement}") };
        let says = format!(
            "{} has {now}{which} {}, before {before}",
            database.name,
            since(Some(rise), view.frame)
        );
        let fact = Observation::new("db.slow_query", database, says)
            .value(rise.after, if counts { "1/s" } else { "s" })
            .baseline(rise.before)
            .attr("statement", statement);
        facts.push(timed(fact, Some(rise), view.frame));
    }
    facts
}
