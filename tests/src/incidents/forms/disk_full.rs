//! Volumes without room.

mod others;
mod two;

use super::Tale;
use crate::incidents::{
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    dice::count,
    object::Ref,
    pressure::{ends, lives},
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::Level,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("log_of_changes_fills_volume", log_of_changes_fills_volume),
    ("server_waits_for_room", server_waits_for_room),
    ("snapshot_cannot_be_written", snapshot_cannot_be_written),
    ("broker_gives_up", others::broker_gives_up),
    ("no_more_inodes", others::no_more_inodes),
    ("index_made_read_only", others::index_made_read_only),
    ("beside_a_killed_worker", two::beside_a_killed_worker),
];

/// The claim of the first pod of a store, and its size in GiB as its volume template says.
fn claim(cluster: &Cluster, id: Id) -> (Ref, i64) {
    let workload = &cluster[id];
    let size = workload.claims.first().and_then(|c| c.pointer("/spec/resources/requests/storage"));
    let size = size.and_then(|s| s.as_str()).and_then(|s| s.strip_suffix("Gi")?.parse().ok());
    let name = format!("data-{}-0", workload.name);
    (Ref::new("PersistentVolumeClaim", &workload.namespace, &name), size.unwrap_or(20))
}

fn told(
    cluster: &Cluster,
    (alert, alerted, id): (&'static str, Id, Id),
    claim: &Ref,
    (description, cause): (&str, &str),
) -> Truth {
    Truth::new(cluster, alert, alerted, claim.clone())
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told("No room left", description, cause)
        .mention(&["full", "no space", "space left", "disk", "100%", "out of space", "no room"])
        .mention(&[&claim.name, &cluster[id].name, cluster[id].called(), "volume", "PVC", "claim"])
        .not_claim(&["OOM", "image pull", "network policy", "dns failure", "traffic spike"])
}

/// The course of a volume that grows until it is full at `at`.
fn filling(cluster: &mut Cluster, at: Sec) -> Vec<(Sec, f64)> {
    let pace = cluster.dice.range(0.00002, 0.00009);
    let level = |now: Sec| (1.0 - pace * (at - now) as f64).clamp(0.3, 1.0);
    vec![(BEGIN.min(at - 60), level(BEGIN.min(at - 60))), (at, 1.0), (NOW + 900, 1.0)]
}

/// A database's log of changes fills its volume (an unused replication slot, or plain growth): it
/// stops, and does not come up again. The alert is on its user or further up.
fn log_of_changes_fills_volume(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let (app, id) = cluster.app_on(hops, Store::Postgres);
    let at = cluster.minutes_ago(6, 35);
    let (claim, size) = claim(cluster, id);
    let measured = cluster.dice.chance(0.7);
    if measured {
        let course = filling(cluster, at);
        cluster.volume_stats(&claim, size, &course);
    }
    let slot = cluster.dice.chance(0.5);
    if let Some(pod) = cluster[id].pods.first_mut() {
        let runs = lives(pod.created + 3, at, || 4);
        ends(pod, runs, None, (1, "Error", ""));
    }
    cluster.end_events(id);
    let segment = cluster.dice.hex(8).to_uppercase();
    cluster[id].crash = vec![
        (
            Level::Info,
            "starting PostgreSQL 16.4 (Debian 16.4-1.pgdg120+1) on x86_64-pc-linux-gnu".to_owned(),
            Vec::new(),
        ),
        (
            Level::Info,
            "database system was not properly shut down; automatic recovery in progress".to_owned(),
            Vec::new(),
        ),
        (
            Level::Fatal,
            "could not write to file \"pg_wal/xlogtemp.29\": No space left on device".to_owned(),
            Vec::new(),
        ),
        (Level::Info, "startup process (PID 29) exited with exit code 1".to_owned(), Vec::new()),
    ];
    if slot {
        let text = format!(
            "still keeping WAL from 0000000100000{segment} for inactive replication slot \"cdc_old\""
        );
        cluster[id].crash.insert(2, (Level::Info, text, Vec::new()));
    }
    let gate = app.gate();
    let (alert, alerted) = if hops == 0 && cluster.dice.chance(0.5) {
        (cluster.dice.pick(&["KubePodCrashLooping", "database_down", "PostgresqlDown"]), id)
    } else {
        (cluster.dice.pick(&["high_error_rate", "HighErrorRatio"]), gate)
    };
    let name = cluster[id].name.clone();
    let severity = cluster.lasting_effect(gate);
    let why = if slot { " An inactive replication slot keeps its WAL." } else { "" };
    let cause = format!(
        "The volume {} of {name} is full; the database cannot write its WAL and does not start.{why}",
        claim.name
    );
    told(
        cluster,
        (alert, alerted, id),
        &claim,
        (&format!("{} fails since {} minutes.", cluster[alerted].called(), -at / MIN), &cause),
    )
    .rated(if measured { "medium" } else { "hard" }, severity)
}

/// A MySQL server waits for somebody to make room: it is up, its writers hang.
fn server_waits_for_room(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, id) = cluster.app_on(hops, Store::Mysql);
    let at = cluster.minutes_ago(7, 40);
    let (claim, size) = claim(cluster, id);
    let measured = cluster.dice.chance(0.6);
    if measured {
        let course = filling(cluster, at);
        cluster.volume_stats(&claim, size, &course);
    }
    let log = cluster.dice.between(100, 900);
    let text = format!(
        "Disk is full writing './binlog.000{log}' (OS errno 28 - No space left on device). Waiting for someone to free space... Retry in 60 secs. Message reprinted in 600 secs."
    );
    cluster[id].say(at, 600, Level::Error, &text);
    let harm = Harm { slow: 60.0, ..Harm::errors(at, cluster.dice.range(0.35, 0.7), Why::Timeout) };
    cluster.traffic.harm_call(app.last(), Peer::In(id), &harm);
    let gate = app.gate();
    let alert = cluster.dice.pick(&["high_error_rate", "high_latency", "WritesFailing"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The volume {} of {name} is full of binary logs; the server waits for room, and everything that writes hangs.",
        claim.name
    );
    told(
        cluster,
        (alert, gate, id),
        &claim,
        (&format!("{shown}: saving hangs since {} minutes.", -at / MIN), &cause),
    )
    .rated("hard", severity)
}

/// A Redis cannot save its snapshot and refuses all writes from then on.
fn snapshot_cannot_be_written(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let (app, id) = cluster.app_on(hops, Store::Redis);
    cluster.forgo(&["events", "metrics"], 0.3);
    let at = cluster.minutes_ago(8, 45);
    let (claim, size) = claim(cluster, id);
    let course = filling(cluster, at);
    cluster.volume_stats(&claim, size, &course);
    let pid = cluster.dice.between(900, 9000);
    for (shift, level, text) in [
        (1, Level::Info, "100 changes in 300 seconds. Saving...".to_owned()),
        (2, Level::Info, format!("Background saving started by pid {pid}")),
        (
            4,
            Level::Warn,
            "Write error saving DB on disk(rdbSaveRio): No space left on device".to_owned(),
        ),
        (5, Level::Warn, "Background saving error".to_owned()),
    ] {
        cluster[id].say(at + shift, 0, level, &text);
        cluster[id].say(at + 300 + shift, 302 + count(text.len() % 2), level, &text);
    }
    cluster[id].routine.clear();
    let said = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";
    let share = cluster.dice.range(0.3, 0.8);
    cluster.traffic.harm_call(
        app.last(),
        Peer::In(id),
        &Harm::errors(at + 6, share, Why::Said(said.to_owned())),
    );
    let gate = app.gate();
    let alert = cluster.dice.pick(&["high_error_rate", "HttpErrorRatioHigh"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The volume {} of {name} is full: it cannot save its snapshot and refuses writes (MISCONF).",
        claim.name
    );
    told(
        cluster,
        (alert, gate, id),
        &claim,
        (&format!("{shown}: most changes are refused since {} minutes.", -at / MIN), &cause),
    )
    .rated("medium", severity)
    .or_category(&["cache_failure"])
}
