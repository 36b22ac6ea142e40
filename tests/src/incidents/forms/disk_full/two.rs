//! A full volume, and beside it a worker that is killed for its own reasons.

use super::{claim, filling, told};
use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    storage::Store,
    traffic::{Harm, Peer, Why},
    truth::Truth,
    voice::Level,
};

/// A database's volume is full, and a worker that has nothing to do with it needs more memory than
/// it may have: the alert is about the namespace.
pub(in super::super) fn beside_a_killed_worker(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let (app, id) = cluster.app_on(hops, Store::Mysql);
    let at = cluster.minutes_ago(7, 40);
    let (claim, size) = claim(cluster, id);
    let course = filling(cluster, at);
    cluster.volume_stats(&claim, size, &course);
    let text = "Disk is full writing './binlog.000417' (OS errno 28 - No space left on device). Waiting for someone to free space... Retry in 60 secs. Message reprinted in 600 secs.";
    cluster[id].say(at, 600, Level::Error, text);
    let harm = Harm { slow: 60.0, ..Harm::errors(at, 0.5, Why::Timeout) };
    cluster.traffic.harm_call(app.last(), Peer::In(id), &harm);
    let (home, name) = (cluster.home(), cluster.names.worker());
    let other = cluster.worker(&home, &name);
    let since = cluster.minutes_ago(15, 50);
    cluster.kill_for_memory(other, since, (15, 40), None);
    let gate = app.gate();
    let alert = cluster.dice.pick(&["namespace_degraded", "WorkloadsNotReady"]);
    let (base, killed) = (cluster[id].name.clone(), cluster[other].name.clone());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The volume {} of {base} is full, so everything that writes hangs; independently, {killed} is OOMKilled again and again.",
        claim.name
    );
    let description = format!(
        "{home}: requests of {} fail since {} minutes, and more than one workload is in trouble.",
        cluster[gate].called(),
        -at / MIN
    );
    let mut truth =
        told(cluster, (alert, gate, id), &claim, (&description, &cause)).rated("hard", severity);
    let words = [["OOMKilled", "OOM", "out of memory", "memory"].as_slice(), &[&killed]];
    let words = words.iter().map(|group| group.iter().map(|&w| w.to_owned()).collect()).collect();
    truth.also = Some(("oom_killed", cluster.reference(other), words));
    truth
}
