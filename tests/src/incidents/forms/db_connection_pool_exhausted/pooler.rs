//! A pooler between clients and their database.

use serde_json::json;

use super::{alert, told};
use crate::incidents::{
    clients::POOLED,
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    series::along,
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime, Voice},
    workload::{Front, Kind},
};

/// A pgbouncer called `name` before `base`.
fn pooler(cluster: &mut Cluster, base: Id, name: &str) -> Id {
    let home = cluster.home();
    let mut pooler = cluster.draft(&home, name, Kind::Deployment);
    pooler.always(|t| {
        "bitnami/pgbouncer".clone_into(&mut t.image);
        "1.23.1".clone_into(&mut t.tag);
        t.set_env("PGBOUNCER_DEFAULT_POOL_SIZE", "20");
    });
    (pooler.runtime, pooler.voice) = (Runtime::Store, Voice::Postgres);
    (pooler.port, pooler.instrumented) = (6432, false);
    pooler.routine = vec!["stats: {n} xacts/s, {n} queries/s, in 4{n} B/s, out 9{n} B/s, xact {n} us, query {n} us, wait {n} us".to_owned()];
    let name = name.to_owned();
    pooler.front =
        Some(Front { name, port: 6432, target: json!(6432), selector: None, edited: None });
    let pooler = cluster.add(pooler);
    cluster.call(pooler, Peer::In(base), true);
    pooler
}

/// Server connections, waiting clients, and whose sessions they are, since `at`.
fn measured(cluster: &mut Cluster, (base, id, holder): (Id, Id, Id), name: &str, at: Sec) {
    let home = cluster.home();
    let pairs =
        [("namespace", home.as_str()), ("service", name), ("database", "app"), ("user", "app")];
    let active = along(&[(at - 40, 5.0), (at, 20.0), (NOW + 900, 20.0)]);
    cluster.metrics.gauge("pgbouncer_pools_server_active_connections", &pairs, active);
    let waiting = along(&[(at - 20, 0.0), (at + 90, 74.0), (NOW + 900, 120.0)]);
    cluster.metrics.gauge("pgbouncer_pools_client_waiting_connections", &pairs, waiting);
    let (worker, user) = (cluster[holder].name.clone(), cluster[id].name.clone());
    let all = [
        (worker, "idle in transaction", vec![(at - 40, 0.0), (at, 19.0), (NOW + 900, 19.0)]),
        (user, "active", vec![(at - 40, 5.0), (at, 1.0), (NOW + 900, 1.0)]),
    ];
    cluster.sessions(base, 100.0, &all);
}

/// A pooler stands between; a worker keeps its transactions open, and everybody else waits.
pub(super) fn pooler_is_full(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    let (id, home) = (app.last(), cluster.home());
    let name = format!("{}-pgbouncer", cluster[base].called());
    let pooler = pooler(cluster, base, &name);
    let worker = cluster.names.worker();
    let holder = cluster.worker(&home, &worker);
    cluster.written_in(holder, &POOLED);
    cluster.traffic.calls.retain(|call| call.from != id || call.to != Peer::In(base));
    for user in [id, holder] {
        cluster.use_store(user, pooler, true);
    }
    let at = cluster.minutes_ago(7, 40);
    cluster[holder].say(
        at - 20,
        45,
        Level::Info,
        "transaction {id} open since {n}s, waiting for answers of 4{n} partners before commit",
    );
    measured(cluster, (base, id, holder), &name, at);
    cluster[pooler].say(
        at + 120,
        6,
        Level::Warn,
        "C-0x55{id}: app/app@10.244.2.9:4{n} pooler error: query_wait_timeout",
    );
    let said = "FATAL: query_wait_timeout; SSL connection has been closed unexpectedly".to_owned();
    let share = cluster.dice.range(0.4, 0.8);
    let harm = Harm { slow: 60.0, grows: 100, ..Harm::errors(at + 20, share, Why::Said(said)) };
    cluster.traffic.harm_call(id, Peer::In(pooler), &harm);
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "{worker} keeps its transactions open and so holds the 20 server connections of {name}; everybody else waits for one until query_wait_timeout."
    );
    let accept = cluster.parts(holder);
    let alert = alert(cluster, &app);
    let description =
        format!("{} fails since {} minutes.", cluster[app.gate()].called(), -at / MIN);
    told(cluster, alert, cluster.reference(holder), (&description, &cause))
        .accept(accept)
        .rated("hard", severity)
        .mention(&[&worker])
        .or_category(&["db_lock_or_slow_query"])
}
