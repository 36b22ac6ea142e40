//! Stores of documents that read everything.

use crate::incidents::{
    clock::{MIN, NOW},
    cluster::Cluster,
    drawn::newer,
    series::along,
    storage::Store,
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::Level,
};

/// Somebody dropped an index that looked unused: every search reads the whole collection since.
pub(super) fn index_was_dropped(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let (app, base) = cluster.app_on(hops, Store::Mongo);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    let at = cluster.minutes_ago(8, 40);
    let part = cluster.dice.pick(&["entries", "positions", "events", "records"]);
    let key = cluster.dice.pick(&["accountId_1_createdAt_-1", "tenant_1_state_1", "externalRef_1"]);
    let dropped = format!("CMD: dropIndexes namespace app.{part} indexes {key}");
    cluster[base].say(at, 0, Level::Info, &dropped);
    let slow = format!(
        "Slow query ns app.{part} command find planSummary COLLSCAN keysExamined 0 docsExamined 4810{{n}}2 nreturned 12 numYields 37{{n}} durationMillis 6{{ms}}"
    );
    cluster[base].say(at + 8, 4, Level::Info, &slow);
    let wait = cluster.dice.range(250.0, 700.0);
    cluster.traffic.harm(base, Harm::slow(at + 5, wait));
    let why = Why::Said("operation exceeded time limit (MaxTimeMSExpired, code 50)".to_owned());
    let share = cluster.dice.range(0.1, 0.35);
    cluster.traffic.harm_call(
        id,
        Peer::In(base),
        &Harm { grows: 120, ..Harm::errors(at + 20, share, why) },
    );
    cluster[base].cpu_course = vec![(at, 210.0), (at + 90, 1880.0), (NOW + 900, 1900.0)];
    let name = cluster[base].name.clone();
    let host = cluster[base].called().to_owned();
    let pairs = [("namespace", home.as_str()), ("service", host.as_str())];
    let scanned = along(&[(at, 900.0), (at + 60, 4_200_000.0)]);
    cluster.metrics.counter(
        "mongodb_mongod_metrics_query_executor_scanned_objects",
        &pairs,
        7e8,
        &scanned,
    );
    cluster.roll(id, at - cluster.dice.clone().between(700, 1500), |t| t.tag = newer(&t.tag));
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 60, |template| template.tag = newer(&template.tag));
    }
    let alert = cluster.dice.pick(&["LatencySLOBurn", "high_latency", "ApdexLow"]);
    Truth::new(cluster, alert, gate, cluster.reference(base))
        .accept(cluster.parts(base))
        .told(
            "An index was dropped",
            &format!("{}: p99 is above 2s since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("The index {key} of app.{part} was dropped in {name}; every search scans the whole collection since, and requests wait for it."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&name, cluster[base].called()])
        .mention(&["index", "COLLSCAN", "slow quer", "scan", key])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "traffic spike"])
}
