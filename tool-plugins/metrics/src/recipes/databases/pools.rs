//! Pools of connections as their owners count them: how many are taken of how many there are, and
//! whether anybody waits.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::peers::bare_host;

use crate::{
    judge::{percent, since, timed},
    labels::Labels,
    recipes::is_machinery,
    thresholds as t,
    view::{Course, Found, Read, View, number},
    words,
};

/// Ends of names of what is taken, with those of how many there may be.
const FORMS: &[(&str, &[&str])] = &[
    ("connections_active", &["connections_max", "connections"]),
    ("in_use_connections", &["max_open_connections"]),
    ("connections_in_use", &["connections_max_open", "connections_max", "connections_limit"]),
    ("acquired_connections", &["max_connections"]),
    ("acquired_conns", &["max_conns"]),
    ("checkedout", &["size"]),
    ("checked_out", &["size"]),
    ("active", &["max", "size", "max_size", "limit"]),
    ("busy", &["max", "size", "max_size"]),
    ("in_use", &["max", "size", "max_size", "capacity", "limit"]),
    ("used", &["max", "size", "capacity", "limit"]),
    ("borrowed", &["max", "size"]),
];
/// Ends of names of what waits for a connection.
const WAITING: &[&str] = &[
    "connections_pending",
    "client_waiting_connections",
    "pending_requests",
    "waiting",
    "pending",
    "wait_queue",
    "waiters",
    "wait_count_total",
    "waited_for_total",
    "queue_length",
];
/// Parts that make a name one of a pool.
const POOL: &[&str] =
    &["pool", "hikaricp", "jdbc", "sql", "connections", "pgx", "pgxpool", "conns"];

/// One counter of taken connections with its limit, both by the same labels.
#[derive(Debug, Default)]
struct Pool {
    used: Vec<f64>,
    most: Vec<f64>,
    waiting: Vec<f64>,
}

type Pools = BTreeMap<(Entity, String), Pool>;

/// All facts about pools.
pub(super) fn judge(view: View<'_>) -> Found {
    let mut found = Found::default();
    for ((client, name), pool) in pools(view) {
        let database = database_of(view, &client);
        if let Some(database) = &database {
            found.relations.push(Relation::new(
                client.clone(),
                RelationKind::Calls,
                database.clone(),
            ));
        }
        found.facts.extend(fact(view, (&client, &name), &pool, database));
    }
    found
}

fn pools(view: View<'_>) -> Pools {
    let mut pools = Pools::new();
    let names = view.store.names();
    for metric in names.iter().filter(|m| is_of_pool(m)) {
        let form = FORMS.iter().find_map(|(end, limits)| {
            let base = metric.strip_suffix(end)?;
            limits.iter().map(|l| format!("{base}{l}")).find(|l| view.store.has(l))
        });
        if let Some(limit) = form {
            fill(view, metric, &mut pools, |_| true, |pool| &mut pool.used);
            fill(view, &limit, &mut pools, |_| true, |pool| &mut pool.most);
        }
    }
    open_telemetry(view, &mut pools);
    for metric in names.iter().filter(|m| is_of_pool(m)) {
        if WAITING.iter().any(|end| metric.ends_with(end)) && !metric.starts_with("pgbouncer") {
            let known: Vec<(Entity, String)> = pools.keys().cloned().collect();
            let sums = summed(view, metric, view.natural(metric), |_| true);
            for (key, values) in sums.into_iter().filter(|(key, _)| known.contains(key)) {
                pools.entry(key).or_default().waiting = values;
            }
        }
    }
    pools.retain(|_, pool| !pool.used.is_empty() && !pool.most.is_empty());
    pools
}

/// One metric with a label for what a connection is doing.
fn open_telemetry(view: View<'_>, pools: &mut Pools) {
    for (used, most) in [
        ("db_client_connections_usage", "db_client_connections_max"),
        ("db_client_connection_count", "db_client_connection_max"),
        ("db_pool_connections", "db_pool_max_connections"),
    ] {
        let taken = |labels: &Labels| {
            matches!(
                labels.first_of(&["state", "db_client_connection_state"]),
                "used" | "active" | "busy" | "in_use"
            )
        };
        if view.store.has(used) && view.store.has(most) {
            fill(view, used, pools, taken, |pool| &mut pool.used);
            fill(view, most, pools, |_| true, |pool| &mut pool.most);
        }
    }
}

fn is_of_pool(metric: &str) -> bool {
    const NOT: &[&str] = &[
        "thread",
        "threads",
        "memory",
        "buffer",
        "executor",
        "pg",
        "pgbouncer",
        "mysql",
        "redis",
        "jvm",
        "gc",
        "nginx",
        "envoy",
        "worker",
        "workers",
        "kafka",
        "rabbitmq",
        "memcached",
    ];
    words::has_part(metric, POOL) && !words::has_part(metric, NOT) && !is_machinery_but_go(metric)
}

fn is_machinery_but_go(metric: &str) -> bool {
    is_machinery(metric) && !metric.starts_with("go_sql")
}

fn summed(
    view: View<'_>,
    metric: &str,
    read: Read,
    fits: impl Fn(&Labels) -> bool,
) -> BTreeMap<(Entity, String), Vec<f64>> {
    view.summed(metric, read, |labels| {
        let name = labels.first_of(&[
            "pool",
            "pool_name",
            "name",
            "db_name",
            "db_client_connection_pool_name",
        ]);
        fits(labels).then(|| (view.object(labels), name.to_owned()))
    })
}

fn fill(
    view: View<'_>,
    metric: &str,
    pools: &mut Pools,
    fits: impl Fn(&Labels) -> bool,
    field: impl Fn(&mut Pool) -> &mut Vec<f64>,
) {
    for (key, values) in summed(view, metric, Read::Level, fits) {
        let place = field(pools.entry(key).or_default());
        if place.is_empty() {
            *place = values;
        }
    }
}

fn fact(
    view: View<'_>,
    (client, name): (&Entity, &str),
    pool: &Pool,
    database: Option<Entity>,
) -> Option<Observation> {
    let most = Course::of(&pool.most).map(|c| c.now).filter(|m| *m > 0.0)?;
    let shares: Vec<f64> = pool.used.iter().map(|used| used / most).collect();
    let course = Course::of(&shares)?;
    let waiting = Course::of(&pool.waiting);
    let which = if name.is_empty() { String::new() } else { format!(" {name}") };
    let to = database.as_ref().map(|d| format!(" to {}", d.name)).unwrap_or_default();
    let with_peer = |fact: Observation| match &database {
        Some(database) => fact.attr("pool", name).peer(database.clone()),
        None => fact.attr("pool", name),
    };
    if course.now >= t::CONNECTIONS_FULL {
        let rise = course.rise();
        let wait = waiting.filter(|w| w.now >= 0.5);
        let wait = wait.map(|w| format!(", {} wait", number(w.now))).unwrap_or_default();
        let says = format!(
            "pool{which} of {}{to} has {} of {} connections in use{wait} {}, usually {}",
            client.name,
            number(course.now * most),
            number(most),
            since(rise, view.frame),
            percent(course.before)
        );
        let fact = Observation::new("pool.saturated", client.clone(), says)
            .value(course.now, "1")
            .baseline(course.before)
            .attr("max", number(most));
        return Some(timed(with_peer(fact), rise, view.frame));
    }
    let calm = course.now <= 0.8 && waiting.is_none_or(|w| w.now < 0.5);
    calm.then(|| {
        let says = format!(
            "pool{which} of {}{to} has {} of {} connections in use",
            client.name,
            number(course.now * most),
            number(most)
        );
        with_peer(Observation::new("pool.free", client.clone(), says).value(course.now, "1"))
    })
}

/// The one database that a workload is told to use.
fn database_of(view: View<'_>, client: &Entity) -> Option<Entity> {
    const SCHEMES: &[&str] =
        &["postgres", "postgresql", "mysql", "mariadb", "mongodb", "sqlserver", "oracle"];
    const KEYS: &[&str] = &["DB_HOST", "DATABASE_HOST", "PGHOST", "MYSQL_HOST", "POSTGRES_HOST"];
    let (_, told) = view.world.told().find(|(workload, _)| *workload == client)?;
    let hosts = told.iter().filter_map(|(key, value)| {
        let url = value.strip_prefix("jdbc:").unwrap_or(value);
        let by_scheme = url
            .split_once("://")
            .is_some_and(|(scheme, _)| SCHEMES.iter().any(|s| scheme.starts_with(s)));
        let by_key = KEYS.iter().any(|k| key.to_ascii_uppercase().contains(k));
        (by_scheme || by_key).then(|| bare_host(url)).flatten()
    });
    let mut found: Vec<Entity> =
        hosts.filter_map(|host| view.world.peers.host(&host, &client.namespace)).collect();
    found.dedup();
    match found.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}
