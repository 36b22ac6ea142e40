//! Statements that wait for each other, or take far too long.

mod documents;
mod queries;

use super::Tale;
use crate::incidents::{
    app::App,
    clients::POOLED,
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    object::Ref,
    series::along,
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("migration_holds_a_table", migration_holds_a_table),
    ("transaction_left_open", transaction_left_open),
    ("nightly_update_locks_rows", nightly_update_locks_rows),
    ("release_without_an_index", queries::release_without_an_index),
    ("analysts_scan_everything", queries::analysts_scan_everything),
    ("two_lock_crosswise", queries::two_lock_crosswise),
    ("index_was_dropped", documents::index_was_dropped),
];

fn told(cluster: &mut Cluster, (app, at): (&App, Sec), culprit: Ref, cause: &str) -> Truth {
    let gate = app.gate();
    let alert = cluster.dice.pick(&[
        "high_latency",
        "high_error_rate",
        "slow_responses",
        "RequestLatencyP99High",
    ]);
    let shown = cluster[gate].called().to_owned();
    let severity = cluster.lasting_effect(gate);
    let difficulty = if app.path.len() > 2 { "hard" } else { "medium" };
    Truth::new(cluster, alert, gate, culprit)
        .told(
            "Waiting for a table",
            &format!("{shown}: requests hang and in part fail since {} minutes.", -at / MIN),
            cause,
        )
        .rated(difficulty, severity)
        .mention(&["lock", "slow", "query", "statement", "transaction", "blocked", "waiting"])
        .not_claim(&["OOM", "network policy", "dns failure", "image pull", "disk full"])
}

/// Calls from `id` to `base` wait, and most of them in vain, since `at`.
fn blocked(cluster: &mut Cluster, id: Id, base: Id, (at, share): (Sec, f64), said: &str) {
    let harm =
        Harm { slow: 250.0, grows: 90, ..Harm::errors(at, share, Why::Said(said.to_owned())) };
    cluster.traffic.harm_call(id, Peer::In(base), &harm);
    for call in
        cluster.traffic.calls.iter_mut().filter(|call| call.from == id && call.to == Peer::In(base))
    {
        call.timeout = 5000.0;
        call.share = call.share.max(0.7);
    }
}

/// What a client says whose statement was given up by Postgres.
fn given_up(runtime: Runtime, why: &str) -> String {
    match runtime {
        Runtime::Java => format!(
            "org.postgresql.util.PSQLException: ERROR: canceling statement due to {why} timeout"
        ),
        Runtime::Python => format!(
            "psycopg2.errors.{}: canceling statement due to {why} timeout",
            if why == "lock" { "LockNotAvailable" } else { "QueryCanceled" }
        ),
        Runtime::Ruby => format!(
            "ActiveRecord::{}: PG::{}: ERROR:  canceling statement due to {why} timeout",
            if why == "lock" { "LockWaitTimeout" } else { "QueryCanceled" },
            if why == "lock" { "LockNotAvailable" } else { "QueryCanceled" }
        ),
        Runtime::DotNet => format!(
            "Npgsql.PostgresException (0x80004005): {}: canceling statement due to {why} timeout",
            if why == "lock" { "55P03" } else { "57014" }
        ),
        Runtime::Go
        | Runtime::Node
        | Runtime::Php
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => {
            format!(
                "ERROR: canceling statement due to {why} timeout (SQLSTATE {})",
                if why == "lock" { "55P03" } else { "57014" }
            )
        }
    }
}

/// The table that it is about: after the service.
fn table(cluster: &Cluster, id: Id) -> String {
    let name = cluster[id].called();
    let stem = name.split('-').next().unwrap_or("item");
    format!("{stem}_items")
}

/// Locks of a Postgres by mode, and the age of the oldest transaction by application.
fn locks(cluster: &mut Cluster, base: Id, (holder, mode): (&str, &str), at: Sec) {
    let (space, host) = (cluster.home(), cluster[base].called().to_owned());
    let home = [("namespace", space.as_str()), ("service", host.as_str()), ("datname", "app")];
    let held = [home[0], home[1], home[2], ("mode", mode)];
    cluster.metrics.gauge(
        "pg_locks_count",
        &held,
        along(&[(at - 30, 0.0), (at, 1.0), (NOW + 900, 1.0)]),
    );
    let waiting = [home[0], home[1], home[2], ("state", "active"), ("wait_event_type", "Lock")];
    cluster.metrics.gauge(
        "pg_stat_activity_count",
        &waiting,
        along(&[(at, 0.0), (at + 120, 31.0), (NOW + 900, 58.0)]),
    );
    let oldest = [home[0], home[1], home[2], ("application_name", holder)];
    cluster.metrics.gauge(
        "pg_stat_activity_max_tx_duration",
        &oldest,
        along(&[(at, 0.0), (NOW + 900, (NOW + 900 - at) as f64)]),
    );
}

/// A waiting session as Postgres reports it, with the process that holds the lock.
fn waits(
    cluster: &mut Cluster,
    base: Id,
    (application, holder): (&str, i64),
    statement: &str,
    at: Sec,
) {
    let waiting = cluster.dice.between(300, 900);
    let said = format!(
        "[{waiting}] app@app/{application} LOG:  process {waiting} still waiting for RowExclusiveLock on relation 16512 of database 16384 after 1000.{{n}} ms"
    );
    let saying = Saying::new(at, 9, Level::Info, &said).trace(&[
        &format!("app@app/{application} DETAIL:  Process holding the lock: {holder}. Wait queue: {waiting}, {}.", waiting + 7),
        &format!("app@app/{application} STATEMENT:  {statement}"),
    ]);
    cluster[base].sayings.push(saying);
}

/// A migration that was started during the day holds a table that everybody writes to.
fn migration_holds_a_table(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    cluster.forgo(&["events", "metrics"], 0.3);
    let (id, home) = (app.last(), cluster.home());
    let at = cluster.minutes_ago(6, 35);
    let name = format!(
        "{}-{}",
        cluster[id].called(),
        cluster.dice.clone().pick(&["migrate-0142", "schema-update", "db-migrate", "flyway-v88"])
    );
    let mut job = cluster.draft_job(&home, &name, at - 15);
    let items = table(cluster, id);
    let statement = cluster
        .dice
        .pick(&[
            "ALTER TABLE {t} ADD COLUMN region text NOT NULL DEFAULT compute_region()",
            "ALTER TABLE {t} ALTER COLUMN total TYPE numeric(14,4)",
            "CREATE INDEX {t}_state_idx ON {t} (state)",
            "VACUUM FULL {t}",
        ])
        .replace("{t}", &items);
    job.routine = vec!["still running step 3 of 5".to_owned()];
    let job = cluster.running_job(job);
    cluster.written_in(job, &[Runtime::Java, Runtime::Python, Runtime::Go, Runtime::Ruby]);
    cluster.use_store(job, base, true);
    cluster[job].say(at - 2, 0, Level::Info, &format!("step 3 of 5: {statement}"));
    let holder = cluster.dice.between(4000, 9000);
    let user = cluster[id].name.clone();
    let told_by = cluster.lacks.metrics || cluster.dice.chance(0.75);
    if told_by {
        waits(
            cluster,
            base,
            (&user, holder),
            &format!("UPDATE {items} SET state = $1 WHERE id = $2"),
            at + 5,
        );
        let said = format!("[{holder}] migrator@app/{name} LOG:  statement: {statement}");
        cluster[base].say(at, 0, Level::Info, &said);
    }
    locks(cluster, base, (&name, "accessexclusivelock"), at);
    let said = given_up(cluster[id].runtime, "lock");
    let share = cluster.dice.range(0.4, 0.85);
    blocked(cluster, id, base, (at, share), &said);
    let cause = format!(
        "Job {name} runs \"{statement}\" and holds {items} locked; statements of {user} wait for it until they are cancelled."
    );
    let accept = cluster.parts(job);
    told(cluster, (&app, at), cluster.reference(job), &cause).accept(accept).mention(&[
        &name,
        "migration",
        "ALTER TABLE",
        "schema",
    ])
}

/// A worker began a transaction, changed rows and then waits for something else: idle in
/// transaction, holding what others need.
fn transaction_left_open(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    let (id, home) = (app.last(), cluster.home());
    let name = cluster.names.worker();
    let holder = cluster.worker(&home, &name);
    cluster.written_in(holder, &POOLED);
    cluster.use_store(holder, base, true);
    let at = cluster.minutes_ago(7, 40);
    let items = table(cluster, id);
    let pid = cluster.dice.between(4000, 9000);
    let user = cluster[id].name.clone();
    waits(
        cluster,
        base,
        (&user, pid),
        &format!("UPDATE {items} SET reserved = reserved + $1 WHERE id = $2"),
        at + 4,
    );
    cluster[base].say(at - 1, 0, Level::Info, &format!("[{pid}] app@app/{name} LOG:  duration: 2.118 ms  statement: BEGIN; UPDATE {items} SET reserved = 0 WHERE state = 'open'"));
    cluster[holder].say(
        at,
        0,
        Level::Info,
        &format!("reset of {items} begun, asking for confirmation before commit"),
    );
    cluster[holder].say(at + 60, 60, Level::Warn, "still no confirmation, transaction stays open");
    locks(cluster, base, (&name, "rowexclusivelock"), at);
    let all =
        [(name.clone(), "idle in transaction", vec![(at - 30, 0.0), (at, 1.0), (NOW + 900, 1.0)])];
    cluster.sessions(base, 200.0, &all);
    let said = given_up(
        cluster[id].runtime,
        if cluster.dice.clone().chance(0.5) { "lock" } else { "statement" },
    );
    let share = cluster.dice.range(0.3, 0.7);
    blocked(cluster, id, base, (at, share), &said);
    let cause = format!(
        "A transaction of {name} stays open (idle in transaction) and holds rows of {items}; statements of {user} wait for it."
    );
    let accept = cluster.parts(holder);
    told(cluster, (&app, at), cluster.reference(holder), &cause).accept(accept).mention(&[&name])
}

/// A batch changes a million rows of a MySQL table in one transaction; everybody else's changes
/// run into the lock wait timeout.
fn nightly_update_locks_rows(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Mysql);
    let (id, home) = (app.last(), cluster.home());
    let at = cluster.minutes_ago(7, 40);
    let cron = cluster.names.thing(&["recalc", "archive", "cleanup", "settle"]);
    let name = format!("{cron}-{}", cluster.run_number(at - 10));
    let mut job = cluster.draft_job(&home, &name, at - 10);
    let items = table(cluster, id);
    job.cron = Some(cron.clone());
    job.container.clone_from(&cron);
    job.routine = vec!["waiting for server to finish".to_owned()];
    let schedule = cluster.daily(at - 10);
    cluster.cron_job(&job, &schedule, (at - 10, true));
    let job = cluster.running_job(job);
    cluster.written_in(job, &[Runtime::Python, Runtime::Php, Runtime::Java, Runtime::Ruby]);
    cluster.use_store(job, base, true);
    cluster[job].say(at, 0, Level::Info, &format!("UPDATE {items} SET archived = 1 WHERE created < '2024-01-01': 4{{n}}123 rows, one transaction"));
    let (space, host) = (cluster.home(), cluster[base].called().to_owned());
    let pairs = [("namespace", space.as_str()), ("service", host.as_str())];
    cluster.metrics.gauge(
        "mysql_global_status_innodb_row_lock_current_waits",
        &pairs,
        along(&[(at, 0.0), (at + 90, 22.0), (NOW + 900, 37.0)]),
    );
    let rates = along(&[(BEGIN, 0.01), (at, 0.01), (at + 90, 3.5), (NOW + 900, 5.0)]);
    cluster.metrics.counter("mysql_global_status_innodb_row_lock_waits", &pairs, 900.0, &rates);
    cluster[base].say(at + 30, 60, Level::Info, "[InnoDB] page_cleaner: 1000ms intended loop took 5{n}ms. The settings might not be optimal. (flushed=200, during the time.)");
    let said = match cluster[id].runtime {
        Runtime::Java => "com.mysql.cj.jdbc.exceptions.MySQLTransactionRollbackException: Lock wait timeout exceeded; try restarting transaction".to_owned(),
        Runtime::Python => "pymysql.err.OperationalError: (1205, 'Lock wait timeout exceeded; try restarting transaction')".to_owned(),
        Runtime::Ruby => "ActiveRecord::LockWaitTimeout: Mysql2::Error::TimeoutError: Lock wait timeout exceeded; try restarting transaction".to_owned(),
        Runtime::Go | Runtime::Node | Runtime::DotNet | Runtime::Php | Runtime::Rust | Runtime::Proxy | Runtime::Store => "Error 1205 (HY000): Lock wait timeout exceeded; try restarting transaction".to_owned(),
    };
    let share = cluster.dice.range(0.3, 0.7);
    blocked(cluster, id, base, (at + 20, share), &said);
    let cause = format!(
        "Job {name} of CronJob {cron} changes millions of rows of {items} in one transaction; changes of others run into the lock wait timeout."
    );
    let accept: Vec<Ref> =
        cluster.parts(job).into_iter().chain([Ref::new("CronJob", &home, &cron)]).collect();
    told(cluster, (&app, at), cluster.reference(job), &cause)
        .accept(accept)
        .mention(&[&name, &cron])
}
