//! Databases and poolers that one client fills for all others.

use super::{alert, rating, told};
use crate::incidents::{
    clients::sent_away,
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    scaling::Scaler,
    series::along,
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
};

/// Somebody's report, as a Job or as a service that was told to do more at once.
fn reporter(cluster: &mut Cluster, name: &str, at: Sec) -> Id {
    let home = cluster.home();
    let holder = if cluster.dice.chance(0.5) {
        let job = cluster.draft_job(&home, name, at - 40);
        cluster.running_job(job)
    } else {
        let holder = cluster.worker(&home, name);
        cluster.roll(holder, at - 60, |t| t.set_env("PARALLEL_QUERIES", "80"));
        holder
    };
    cluster.written_in(holder, &[Runtime::Python, Runtime::Go, Runtime::Node]);
    cluster[holder].routine = vec![
        "chunk {n} of 950: query took {ms}s".to_owned(),
        "opened a connection for region {n}".to_owned(),
    ];
    holder
}

/// A report (a Job, or a service for analysts) opens a connection per query until no slot is left
/// for anybody.
pub(super) fn report_takes_all_slots(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    cluster.forgo(&["events"], 0.2);
    let id = app.last();
    let at = cluster.minutes_ago(6, 35);
    let name = cluster.names.thing(&["report", "export", "dashboards", "insights", "bi-sync"]);
    let holder = reporter(cluster, &name, at);
    cluster.use_store(holder, base, false);
    let most = cluster.dice.pick(&[100.0_f64, 200.0]);
    let all = [
        (name.clone(), "active", vec![(at - 30, 0.0), (at, most - 12.0), (NOW + 900, most - 10.0)]),
        (
            cluster[id].name.clone(),
            "active",
            vec![(BEGIN, 9.0), (at, 9.0), (at + 60, 6.0), (NOW + 900, 6.0)],
        ),
    ];
    cluster.sessions(base, most, &all);
    cluster[base].say(at, 4, Level::Fatal, "sorry, too many clients already");
    cluster[base].say(
        at + 20,
        9,
        Level::Fatal,
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    );
    let host = cluster[base].called().to_owned();
    let said = sent_away(cluster[id].runtime, Store::Postgres, &host);
    let share = cluster.dice.range(0.35, 0.85);
    cluster.traffic.harm_call(
        id,
        Peer::In(base),
        &Harm { grows: 60, ..Harm::errors(at, share, Why::Said(said)) },
    );
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "{name} holds nearly all of the {most:.0} connections of {host}; the server sends everybody else away (too many clients)."
    );
    let accept = cluster.parts(holder);
    let (alert, difficulty) = (alert(cluster, &app), rating(&app));
    told(
        cluster,
        alert,
        cluster.reference(holder),
        (&format!("{} fails since {} minutes.", cluster[app.gate()].called(), -at / MIN), &cause),
    )
    .accept(accept)
    .rated(difficulty, severity)
    .mention(&[&name])
}

/// Connections of a MySQL server: `few` of `most` before `at`, and all of them since.
fn threads(cluster: &mut Cluster, base: Id, (few, most): (f64, f64), at: Sec) {
    let (space, host) = (cluster.home(), cluster[base].called().to_owned());
    let pairs = [("namespace", space.as_str()), ("service", host.as_str())];
    cluster.metrics.constant("mysql_global_variables_max_connections", &pairs, most);
    let connected = along(&[(at, few), (at + 60, most), (NOW + 900, most)]);
    cluster.metrics.gauge("mysql_global_status_threads_connected", &pairs, connected);
    let refused: Vec<f64> = crate::incidents::traffic::steps()
        .map(|now| if now > at + 40 { 14.0 } else { 0.0 })
        .collect();
    let name = "mysql_global_status_connection_errors_max_connections";
    cluster.metrics.counter(name, &pairs, 0.0, &refused);
}

/// Each pod has a pool of its own; with the pods that today's load brought, the pools together
/// are larger than what the server allows.
pub(super) fn scaled_beyond_the_server(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Mysql);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Java, Runtime::Go, Runtime::Python]);
    let size = cluster.dice.pick(&[25_i64, 30, 40]);
    cluster[id].always(|t| t.set_env("DB_POOL_SIZE", &size.to_string()));
    let at = cluster.minutes_ago(8, 35);
    let (before, wanted) = (cluster[id].replicas, cluster[id].replicas + 4);
    cluster.scale(id, wanted, at);
    let name = cluster[id].name.clone();
    let scaler = Scaler {
        desired: wanted,
        usage: (Some(71), 75),
        ..Scaler::calm((before, wanted + 4), wanted)
    };
    cluster.scaler(id, &name, &scaler);
    let factor = cluster.dice.range(1.4, 1.9);
    let gate = app.gate();
    if let Some(station) = cluster.traffic.station(gate) {
        station.surges.push((at - 300, Sec::MAX, 240, factor));
    }
    let most = 151.0;
    let few = (size * i64::try_from(before).unwrap_or(2)) as f64 * 0.8;
    threads(cluster, base, (few.min(140.0), most), at);
    let host = cluster[base].called().to_owned();
    let said = sent_away(cluster[id].runtime, Store::Mysql, &host);
    let share = cluster.dice.range(0.2, 0.55);
    cluster.traffic.harm_call(id, Peer::In(base), &Harm::errors(at + 45, share, Why::Said(said)));
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "{name} was scaled from {before} to {wanted} pods with a pool of {size} each: together more than the {most:.0} connections of {host}, which refuses the rest (Too many connections)."
    );
    let accept: Vec<_> = cluster
        .parts(id)
        .into_iter()
        .chain([cluster.reference(base)])
        .chain(cluster.parts(base))
        .collect();
    let alert = alert(cluster, &app);
    told(
        cluster,
        alert,
        cluster.reference(id),
        (&format!("{} fails in part since {} minutes.", cluster[gate].called(), -at / MIN), &cause),
    )
    .accept(accept)
    .rated("hard", severity)
    .mention(&[
        "scaled",
        "replicas",
        "pods",
        "max_connections",
        "Too many connections",
        "too many",
        &host,
    ])
}
