//! Statements that are slow by themselves, and pairs that stand in each other's way.

use super::{given_up, told};
use crate::incidents::{
    clients::POOLED,
    clock::{BEGIN, NOW},
    cluster::Cluster,
    drawn::newer,
    object::Ref,
    series::along,
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

/// The database's processor is at its bound since `at`.
fn busy(cluster: &mut Cluster, base: Id, at: i64) {
    let top = cluster[base].template().cpu_limit as f64;
    cluster[base].cpu_course =
        vec![(BEGIN, top * 0.15), (at, top * 0.17), (at + 90, top * 0.94), (NOW + 900, top * 0.96)];
}

/// A release asks the database something for which there is no index. Other users of the same
/// database become slow with it.
pub(super) fn release_without_an_index(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    let id = app.last();
    let released = cluster.minutes_ago(9, 40);
    let tag = newer(&cluster[id].template().tag);
    cluster.roll(id, released, |t| t.tag.clone_from(&tag));
    let at = released + 30;
    let (user, items) = (cluster[id].name.clone(), super::table(cluster, id));
    let query = format!(
        "SELECT * FROM {items} WHERE lower(note) LIKE $1 ORDER BY created_at DESC LIMIT 50"
    );
    let pid = cluster.dice.between(300, 900);
    let saying = Saying::new(
        at,
        5,
        Level::Info,
        &format!(
            "[{pid}] app@app/{user} LOG:  duration: 4{{n}}.{{n}} ms  execute <unnamed>: {query}"
        ),
    )
    .trace(&[&format!("app@app/{user} DETAIL:  parameters: $1 = '%open%'")]);
    cluster[base].sayings.push(saying);
    let harm = Harm { grows: 60, ..Harm::slow(at, 420.0) };
    cluster.traffic.harm(base, harm);
    for call in cluster.traffic.calls.iter_mut().filter(|call| call.to == Peer::In(base)) {
        call.timeout = 5000.0;
    }
    busy(cluster, base, at);
    if let Some(&side) = app.sides.first() {
        cluster.written_in(side, &POOLED);
        cluster.use_store(side, base, true);
    }
    let why = given_up(cluster[id].runtime, "statement");
    cluster.traffic.harm_call(id, Peer::In(base), &Harm::errors(at, 0.12, Why::Said(why)));
    let (space, host) = (cluster.home(), cluster[base].called().to_owned());
    let pairs = [
        ("namespace", space.as_str()),
        ("service", host.as_str()),
        ("datname", "app"),
        ("relname", items.as_str()),
    ];
    let scans = along(&[(at - 30, 0.01), (at + 60, 9.0), (NOW + 900, 9.0)]);
    cluster.metrics.counter("pg_stat_user_tables_seq_scan", &pairs, 800.0, &scans);
    let cause = format!(
        "Release {tag} of {user} searches {items} without an index; each query takes seconds and keeps {host} busy."
    );
    let accept: Vec<Ref> = cluster.parts(id);
    told(cluster, (&app, at), cluster.reference(id), &cause)
        .accept(accept)
        .mention(&[&user, cluster[id].called()])
        .or_category(&["bad_deploy_regression"])
}

/// Somebody's report reads whole collections; the database has no time for users.
pub(super) fn analysts_scan_everything(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Mongo);
    let (id, home) = (app.last(), cluster.home());
    let at = cluster.minutes_ago(7, 40);
    let name = cluster.names.thing(&["report", "insights", "bi-export", "analytics"]);
    let job = cluster.dice.chance(0.5);
    let holder = if job {
        let job = cluster.draft_job(&home, &name, at - 20);
        cluster.running_job(job)
    } else {
        cluster.worker(&home, &name)
    };
    cluster.written_in(holder, &[Runtime::Python, Runtime::Node, Runtime::Java]);
    cluster.use_store(holder, base, false);
    cluster[holder].say(at, 0, Level::Info, "building yearly overview for all tenants");
    cluster[holder].routine = vec![
        "{n} of 950 tenants read".to_owned(),
        "aggregation of tenant {n} took 2{ms}s".to_owned(),
    ];
    let items = super::table(cluster, id);
    let slow = format!(
        "Slow query attr={{\"type\":\"command\",\"ns\":\"app.{items}\",\"appName\":\"{name}\",\"command\":{{\"aggregate\":\"{items}\",\"pipeline\":[{{\"$group\":{{\"_id\":\"$tenant\"}}}}]}},\"planSummary\":\"COLLSCAN\",\"keysExamined\":0,\"docsExamined\":18{{n}}112,\"nreturned\":101,\"durationMillis\":2{{n}}1}}"
    );
    cluster[base].say(at + 3, 7, Level::Info, &slow);
    let user = cluster[id].name.clone();
    let own = format!(
        "Slow query attr={{\"type\":\"command\",\"ns\":\"app.{items}\",\"appName\":\"{user}\",\"command\":{{\"find\":\"{items}\"}},\"planSummary\":\"IXSCAN {{ _id: 1 }}\",\"keysExamined\":1,\"docsExamined\":1,\"durationMillis\":1{{n}}}}"
    );
    cluster[base].say(at + 20, 25, Level::Info, &own);
    cluster.traffic.harm(base, Harm { grows: 60, ..Harm::slow(at, 350.0) });
    for call in cluster.traffic.calls.iter_mut().filter(|call| call.to == Peer::In(base)) {
        (call.timeout, call.share) = (5000.0, call.share.max(0.7));
    }
    busy(cluster, base, at);
    let host = cluster[base].called().to_owned();
    let cause = format!(
        "{name} scans whole collections of {host} (COLLSCAN); queries of {user} that take a millisecond otherwise take seconds."
    );
    let accept = cluster.parts(holder);
    told(cluster, (&app, at), cluster.reference(holder), &cause).accept(accept).mention(&[&name])
}

/// A new release locks two tables in the other order than a worker does: deadlocks, and the
/// server ends one of each pair.
pub(super) fn two_lock_crosswise(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    let (id, home) = (app.last(), cluster.home());
    let name = cluster.names.worker();
    let other = cluster.worker(&home, &name);
    cluster.written_in(other, &POOLED);
    cluster.use_store(other, base, true);
    let released = cluster.minutes_ago(9, 40);
    let tag = newer(&cluster[id].template().tag);
    cluster.roll(id, released, |t| t.tag.clone_from(&tag));
    let at = released + 40;
    let (user, items) = (cluster[id].name.clone(), super::table(cluster, id));
    let (first, second) = (cluster.dice.between(300, 900), cluster.dice.between(1000, 1900));
    let saying = Saying::new(at, 8, Level::Error, &format!("[{first}] app@app/{user} ERROR:  deadlock detected")).trace(&[
        &format!("app@app/{user} DETAIL:  Process {first} waits for ShareLock on transaction 88123; blocked by process {second}."),
        &format!("\tProcess {second} waits for ShareLock on transaction 88121; blocked by process {first}."),
        &format!("app@app/{user} STATEMENT:  UPDATE {items}_totals SET open = open - 1 WHERE tenant = $1"),
    ]);
    cluster[base].sayings.push(saying);
    let said = match cluster[id].runtime {
        Runtime::Java => {
            "org.springframework.dao.CannotAcquireLockException: ERROR: deadlock detected"
        }
        Runtime::Python => "psycopg2.errors.DeadlockDetected: deadlock detected",
        Runtime::Ruby => {
            "ActiveRecord::Deadlocked: PG::TRDeadlockDetected: ERROR:  deadlock detected"
        }
        Runtime::DotNet => "Npgsql.PostgresException (0x80004005): 40P01: deadlock detected",
        Runtime::Go
        | Runtime::Node
        | Runtime::Php
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => "ERROR: deadlock detected (SQLSTATE 40P01)",
    };
    let share = cluster.dice.range(0.15, 0.45);
    cluster.traffic.harm_call(
        id,
        Peer::In(base),
        &Harm { slow: 20.0, grows: 60, ..Harm::errors(at, share, Why::Said(said.to_owned())) },
    );
    cluster[other].say(
        at + 3,
        15,
        Level::Warn,
        "transaction {id} was chosen as deadlock victim, retrying",
    );
    let (space, host) = (cluster.home(), cluster[base].called().to_owned());
    let pairs = [("namespace", space.as_str()), ("service", host.as_str()), ("datname", "app")];
    let rates = along(&[(at - 30, 0.0), (at + 30, 0.9), (NOW + 900, 1.0)]);
    cluster.metrics.counter("pg_stat_database_deadlocks", &pairs, 3.0, &rates);
    let cause = format!(
        "Since release {tag} {user} locks {items} and its totals in the other order than {name}: they deadlock, and {host} aborts one of each pair."
    );
    let accept = cluster.parts(id);
    let truth = told(cluster, (&app, at), cluster.reference(id), &cause)
        .accept(accept)
        .mention(&["deadlock"])
        .or_category(&["bad_deploy_regression"]);
    // Nothing waits long here: one of each pair is aborted.
    Truth { alert: "high_error_rate", ..truth }
}
