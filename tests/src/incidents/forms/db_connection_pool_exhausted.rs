//! Connections to databases that are all taken.

mod crowd;
mod pooler;

use super::Tale;
use crate::incidents::{
    app::App,
    clients::{POOLED, pool_timeout},
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    storage::Store,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::Saying,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("release_leaks_connections", release_leaks_connections),
    ("pool_made_too_small", pool_made_too_small),
    ("slowly_leaking_since_days", slowly_leaking_since_days),
    ("report_takes_all_slots", crowd::report_takes_all_slots),
    ("scaled_beyond_the_server", crowd::scaled_beyond_the_server),
    ("pooler_is_full", pooler::pooler_is_full),
];

fn told(
    cluster: &Cluster,
    (alert, alerted): (&'static str, Id),
    culprit: Ref,
    (description, cause): (&str, &str),
) -> Truth {
    Truth::new(cluster, alert, alerted, culprit)
        .told("No connection is free", description, cause)
        .mention(&["connection", "pool", "clients"])
        .mention(&[
            "exhaust",
            "pool",
            "too many",
            "max_connections",
            "no free",
            "slots",
            "leak",
            "limit",
            "held",
            "holds",
            "busy",
            "timeout",
            "full",
        ])
        .not_claim(&["OOM", "network policy", "dns failure", "image pull", "disk full"])
}

fn alert(cluster: &mut Cluster, app: &App) -> (&'static str, Id) {
    let alert = cluster.dice.pick(&["high_error_rate", "HighErrorRatio", "RequestFailures"]);
    (alert, app.gate())
}

fn rating(app: &App) -> &'static str {
    ["medium", "medium", "hard", "hard"]
        .get(app.path.len().saturating_sub(1))
        .copied()
        .unwrap_or("hard")
}

/// Requests wait for a connection and fail since `at`; the program says so.
fn starved(cluster: &mut Cluster, id: Id, (at, size): (Sec, i64), share: f64) {
    let said = pool_timeout(cluster[id].runtime, size);
    let every = cluster.dice.between(4, 12);
    cluster[id].say(at, every, Level::Error, &said);
    let slow = cluster.dice.range(8.0, 30.0);
    let harm = Harm { grows: 120, slow, ..Harm::errors(at, share, Why::Status(500)) };
    cluster.traffic.harm(id, harm);
}

/// A release takes connections and does not give all of them back; a pool of others' is well.
fn release_leaks_connections(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Mysql]);
    let (app, base) = cluster.app_on(hops, kind);
    let id = app.last();
    let size = cluster.dice.pick(&[10_i64, 20, 30]);
    cluster[id].always(|t| t.set_env("DB_POOL_MAX", &size.to_string()));
    let released = cluster.minutes_ago(15, 50);
    let tag = newer(&cluster[id].template().tag);
    let revision = cluster.roll(id, released, |t| t.tag.clone_from(&tag));
    let at = released + cluster.dice.between(150, 500);
    let share = cluster.dice.range(0.4, 0.9);
    starved(cluster, id, (at, size), share);
    let whole = size as f64;
    cluster.pool_metrics(
        id,
        whole,
        &[(released, whole * 0.3), (at, whole), (NOW + 900, whole)],
        &[(at - 30, 0.0), (at + 60, 24.0), (NOW + 900, 41.0)],
    );
    if cluster[id].runtime == Runtime::Java {
        let driver = match kind {
            Store::Mysql => "com.mysql.cj.jdbc.ConnectionImpl",
            Store::Postgres | Store::Redis | Store::Kafka | Store::Rabbit | Store::Mongo => {
                "org.postgresql.jdbc.PgConnection"
            }
        };
        let mut saying = Saying::new(released + 90, 50, Level::Warn, &"Connection leak detection triggered for {driver}@{id} on thread http-nio-8080-exec-{n}, stack trace follows".replace("{driver}", driver))
            .trace(&["java.lang.Exception: Apparent connection leak detected", "\tat com.zaxxer.hikari.HikariDataSource.getConnection(HikariDataSource.java:128)", "\tat com.app.export.ExportService.open(ExportService.java:74)"]);
        saying.revision = Some(revision);
        cluster[id].sayings.push(saying);
    }
    let name = cluster[id].name.clone();
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "Since release {tag} {name} does not return its database connections: its pool of {size} is exhausted. {} itself is well.",
        cluster[base].name
    );
    let (accept, difficulty) = (cluster.parts(id), rating(&app));
    let alert = alert(cluster, &app);
    told(
        cluster,
        alert,
        cluster.reference(id),
        (&format!("{} fails since {} minutes.", cluster[app.gate()].called(), -at / MIN), &cause),
    )
    .accept(accept)
    .rated(difficulty, severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["bad_deploy_regression"])
}

/// Somebody made the pool far too small in a ConfigMap and restarted the program.
fn pool_made_too_small(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Mysql]);
    let (app, base) = cluster.app_on(hops, kind);
    let id = app.last();
    let (old, new) = cluster.dice.pick(&[(40_i64, 4_i64), (30, 3), (50, 5), (25, 2)]);
    let edited = cluster.minutes_ago(10, 45);
    let (home, map) = (cluster.home(), format!("{}-config", cluster[id].called()));
    let key = cluster.dice.pick(&["DB_POOL_SIZE", "DATABASE_MAX_CONNECTIONS", "POOL_MAX"]);
    let editor = cluster.habits.editor;
    cluster.config_map(
        (&home, &map),
        &[(key, new.to_string()), ("DB_TIMEOUT", "30s".to_owned())],
        &[Edit::new(edited, editor, &[&format!("f:data.f:{key}")])],
    );
    cluster[id].always(|t| t.env_from_map(&map));
    let at = edited + cluster.dice.between(40, 120);
    let stamp = cluster.clock.rfc(at);
    cluster.roll(id, at, |t| {
        t.annotations.push(("kubectl.kubernetes.io/restartedAt".to_owned(), stamp))
    });
    let share = cluster.dice.range(0.3, 0.7);
    starved(cluster, id, (at + 25, new), share);
    cluster.pool_metrics(
        id,
        new as f64,
        &[(at, 2.0), (at + 40, new as f64)],
        &[(at, 0.0), (at + 90, 33.0)],
    );
    let name = cluster[id].name.clone();
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "{key} in ConfigMap {map} was changed from {old} to {new}; since the restart the pool of {name} is always exhausted, while {} has room.",
        cluster[base].name
    );
    let accept: Vec<Ref> = [cluster.reference(id)].into_iter().chain(cluster.parts(id)).collect();
    let (alert, difficulty) = (alert(cluster, &app), rating(&app));
    told(
        cluster,
        alert,
        Ref::new("ConfigMap", &home, &map),
        (&format!("{} fails since {} minutes.", cluster[app.gate()].called(), -at / MIN), &cause),
    )
    .accept(accept)
    .rated(difficulty, severity)
    .mention(&[&map, key, "configmap", "config", "setting", &name])
    .or_category(&["config_change_regression"])
}

/// A worker of another kind keeps transactions open since days, one more every hour; today it met
/// the server's bound. Its logs are not kept, and there was no change.
fn slowly_leaking_since_days(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, base) = cluster.app_on(hops, Store::Postgres);
    let id = app.last();
    let (home, name) = (cluster.home(), cluster.names.worker());
    let holder = cluster.worker(&home, &name);
    cluster.written_in(holder, &POOLED);
    cluster.use_store(holder, base, true);
    cluster[holder].logged = cluster.dice.chance(0.5);
    let at = cluster.minutes_ago(7, 35);
    let host = cluster[base].called().to_owned();
    let most = cluster.dice.pick(&[100.0_f64, 150.0, 200.0]);
    let all = [
        (
            name.clone(),
            "idle in transaction",
            vec![(BEGIN, most * 0.8), (at, most * 0.88), (NOW + 900, most * 0.88)],
        ),
        (cluster[id].name.clone(), "active", vec![(BEGIN, 7.0), (at, 8.0), (NOW + 900, 7.0)]),
        ("psql".to_owned(), "idle", vec![(BEGIN, 1.0)]),
    ];
    cluster.sessions(base, most, &all);
    cluster[base].say(at, 5, Level::Fatal, "sorry, too many clients already");
    let said = crate::incidents::clients::sent_away(cluster[id].runtime, Store::Postgres, &host);
    let share = cluster.dice.range(0.3, 0.8);
    cluster.traffic.harm_call(
        id,
        crate::incidents::traffic::Peer::In(base),
        &Harm::errors(at, share, Why::Said(said)),
    );
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "{name} keeps ever more transactions of {host} open and never ends them; by now they are nearly all of its {most:.0} connections, and others are sent away."
    );
    let (accept, difficulty) = (cluster.parts(holder), "hard");
    let alert = alert(cluster, &app);
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
