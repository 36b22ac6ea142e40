//! How databases and the pools in front of them fare: connections in use and who holds them,
//! locks waited for, transactions left open, slow statements. Seen: exporters of PostgreSQL,
//! MySQL, MongoDB, Redis and `PgBouncer`; pools of Java, Go, Python and OpenTelemetry clients.

mod poolers;
mod pools;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation};

use crate::{
    judge::{seconds, since, timed},
    labels::Labels,
    thresholds as t,
    view::{Course, Found, Read, View, number},
};

/// Connections in use and how many there may be.
const CONNECTIONS: &[(&str, &str)] = &[
    ("pg_stat_activity_count", "pg_settings_max_connections"),
    ("pg_stat_database_numbackends", "pg_settings_max_connections"),
    ("mysql_global_status_threads_connected", "mysql_global_variables_max_connections"),
    ("redis_connected_clients", "redis_config_maxclients"),
    ("mongodb_connections_current", "mongodb_connections_max"),
    ("mongodb_ss_connections", "mongodb_ss_connections_max"),
    ("pg_stat_activity_connections", "pg_settings_max_connections"),
    ("ccp_connection_stats_total", "ccp_connection_stats_max_connections"),
    ("pgbouncer_pools_server_active_connections", "pgbouncer_databases_pool_size"),
];
/// What counts locks that are waited for, and deadlocks.
const LOCKS: &[&str] = &[
    "mysql_global_status_innodb_row_lock_current_waits",
    "mysql_info_schema_innodb_lock_waits",
    "mysql_global_status_innodb_row_lock_time",
    "mysql_global_status_table_locks_waited",
    "mysql_innodb_lock_waits",
    "mongodb_ss_globalLock_currentQueue",
    "mongodb_mongod_global_lock_current_queue",
    "pg_locks_waiting",
    "pg_locks_waiting_count",
    "pg_locks_not_granted",
    "pg_locks_blocked",
    "pg_blocked_queries_count",
    "pg_blocked_sessions",
    "pg_stat_activity_waiting",
    "pg_blocked_queries",
    "pg_stat_database_deadlocks",
    "pg_stat_database_deadlocks_total",
    "mysql_global_status_innodb_row_lock_waits",
    "mysql_global_status_innodb_deadlocks",
    "pg_locks_count",
    "pg_stat_activity_count",
];
const SLOW: &[&str] = &[
    "mysql_global_status_slow_queries",
    "mysql_global_status_slow_queries_total",
    "pg_stat_statements_mean_time_seconds",
    "pg_stat_statements_mean_exec_time_seconds",
    "pg_slow_queries_total",
    "mongodb_slow_queries_total",
    "pg_stat_user_tables_seq_scan",
    "pg_stat_user_tables_seq_scan_total",
    "mysql_global_status_select_scan",
    "mysql_global_status_select_full_join",
    "mongodb_ss_metrics_queryExecutor_collectionScans_total",
];
/// Whole tables read in a second from which it may hurt.
const SCANS: f64 = 1.0;

/// All facts about databases and pools.
#[must_use]
pub fn judge(view: View<'_>) -> Found {
    let mut found = Found::default();
    let mut told = BTreeSet::new();
    let mut rooms = BTreeMap::new();
    for (used, most) in CONNECTIONS.iter().filter(|(used, _)| view.store.has(used)) {
        let key = |labels: &Labels| Some(view.database(labels));
        let sizes = view.summed(most, Read::Level, |l| key(l));
        for (database, values) in view.summed(used, Read::Level, key) {
            let most = sizes.get(&database).and_then(|s| Course::of(s)).map(|c| c.now);
            let taken = Course::of(&values).map_or(0.0, |c| c.now);
            if let Some(most) = most.filter(|most| *most > 0.0) {
                rooms.entry(database.clone()).or_insert(sessions::Room { taken, most });
            }
            if told.insert(database.clone()) {
                found.facts.extend(connections(view, &database, &values, most));
            }
        }
    }
    for metric in LOCKS.iter().filter(|m| view.store.has(m)) {
        found.facts.extend(locks(view, metric));
    }
    let waits: Vec<Entity> = found
        .facts
        .iter()
        .filter(|fact| fact.signal() == "db.lock_waits")
        .filter_map(|fact| fact.as_wire().subject.clone())
        .map(|s| Entity::new(s.kind, s.namespace, s.name))
        .collect();
    let sessions = sessions::judge(view, &rooms, &waits);
    found.facts.extend(sessions.facts);
    found.relations.extend(sessions.relations);
    found.facts.extend(poolers::judge(view));
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

fn locks(view: View<'_>, metric: &str) -> Vec<Observation> {
    let waits_only = matches!(metric, "pg_locks_count" | "pg_stat_activity_count");
    let key = |labels: &Labels| {
        let waits = labels.get("granted") == "false"
            || labels.get("wait_event_type").eq_ignore_ascii_case("lock");
        (!waits_only || waits).then(|| view.database(labels))
    };
    let counts = (view.store.is_counter(metric) && !metric.ends_with("_count"))
        || metric.ends_with("_row_lock_waits")
        || metric.ends_with("_lock_time")
        || metric.ends_with("_locks_waited")
        || metric.contains("deadlocks");
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

fn slow(view: View<'_>, metric: &str) -> Vec<Observation> {
    let scans = ["seq_scan", "select_scan", "full_join", "collectionScans"];
    let scans = scans.iter().any(|part| metric.contains(part));
    let counts = metric.contains("slow_queries") || scans;
    let read = if counts { Read::Rate } else { Read::Level };
    let key = |labels: &Labels| {
        let statement = labels.first_of(&["query", "queryid", "relname"]).to_owned();
        Some((view.database(labels), statement))
    };
    let mut facts = Vec::new();
    for ((database, statement), values) in view.summed(metric, read, key) {
        let Some(rise) = Course::of(&values).and_then(|c| c.rise()) else { continue };
        let least = match (scans, counts) {
            (true, _) => SCANS,
            (_, true) => 0.05,
            _ => 0.1,
        };
        if rise.after < least || rise.after < 3.0 * rise.before {
            continue;
        }
        let (now, before) = if scans {
            let now = format!("{} queries/s that read whole tables", number(rise.after));
            (now, number(rise.before))
        } else if counts {
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
