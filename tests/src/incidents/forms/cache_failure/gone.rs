//! Caches that are down, bypassed, or measured by nobody.

use super::{Hits, cached, falls_through, measure, told};
use crate::incidents::{
    clock::NOW,
    cluster::Cluster,
    object::{Edit, Ref},
    pressure::{ends, lives},
    truth::Truth,
    voice::Level,
};

/// The cache cannot read the file that it keeps its content in and does not start; the program
/// goes on without it.
pub(super) fn will_not_load_its_file(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let c = cached(cluster, hops, false);
    let at = cluster.minutes_ago(8, 40);
    if let Some(pod) = cluster[c.cache].pods.first_mut() {
        let runs = lives(pod.created + 3, at, || 2);
        ends(pod, runs, None, (1, "Error", ""));
    }
    cluster.end_events(c.cache);
    cluster[c.cache].crash = vec![
        (Level::Info, "oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo".to_owned(), Vec::new()),
        (Level::Warn, "Bad file format reading the append only file appendonly.aof.14.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>".to_owned(), Vec::new()),
    ];
    let user = c.user;
    cluster[user].say(at + 10, 9, Level::Warn, "cache unavailable, reading {id} from database");
    falls_through(cluster, &c, (at + 15, 230.0), 0.0);
    let name = cluster[c.cache].name.clone();
    let cause = format!(
        "The cache {name} does not start because its append-only file is damaged; every read falls on {}, which is too slow for it.",
        cluster[c.base].name
    );
    told(cluster, &c, at, &cause).mention(&[
        "append only file",
        "append-only",
        "AOF",
        "crash",
        "not start",
        "down",
        "restart",
        "not ready",
        "unavailable",
        "refused",
    ])
}

/// The cache is well; since an edit of its user's settings entries live for a second or two.
pub(super) fn entries_live_too_briefly(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let memcached = cluster.dice.chance(0.4);
    let c = cached(cluster, hops, memcached);
    let edited = cluster.minutes_ago(11, 45);
    let (home, map) = (cluster.home(), format!("{}-config", cluster[c.user].called()));
    let editor = cluster.habits.editor;
    let (key, old, new) = cluster.dice.pick(&[
        ("CACHE_TTL_SECONDS", "3600", "1"),
        ("CACHE_TTL", "30m", "30ms"),
        ("CACHE_ENABLED_FOR", "items,prices,lists", "none"),
    ]);
    cluster.config_map(
        (&home, &map),
        &[(key, new.to_owned()), ("WORKERS", "8".to_owned())],
        &[Edit::new(edited, editor, &[&format!("f:data.f:{key}")])],
    );
    cluster[c.user].always(|t| t.env_from_map(&map));
    let stamp = cluster.clock.rfc(edited + 50);
    let user = c.user;
    let revision = cluster.roll(user, edited + 50, |t| {
        t.annotations.push(("kubectl.kubernetes.io/restartedAt".to_owned(), stamp))
    });
    let at = edited + 80;
    let course = [(at, 0.95), (at + 60, 0.04), (NOW + 900, 0.05)];
    measure(cluster, &c, &Hits { course: &course, evicts: None });
    falls_through(cluster, &c, (at + 20, 220.0), 0.05);
    let mut hello = crate::incidents::workload::Saying::new(
        at - 20,
        0,
        Level::Info,
        &format!("cache settings: {key}={new}"),
    );
    hello.revision = Some(revision);
    cluster[user].sayings.push(hello);
    let cause = format!(
        "{key} in ConfigMap {map} was changed from {old} to {new}: hardly anything is found in the cache any more, and reads fall on {}.",
        cluster[c.base].name
    );
    let accept: Vec<Ref> = [cluster.reference(user), cluster.reference(c.cache)]
        .into_iter()
        .chain(cluster.parts(user))
        .collect();
    let mut truth =
        told(cluster, &c, at, &cause).accept(accept).or_category(&["config_change_regression"]);
    truth.culprit = Ref::new("ConfigMap", &home, &map);
    // What names the cache itself is not asked for here.
    truth.mention.remove(0);
    truth.mention(&[&map, key, "TTL", "setting", "config"])
}

/// No exporter and no metrics: the cache's own log and its user's complaints.
pub(super) fn nobody_measures_it(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let c = cached(cluster, hops, false);
    let at = cluster.minutes_ago(8, 40);
    let (cache, user) = (c.cache, c.user);
    for (shift, level, text) in [
        (
            0,
            Level::Warn,
            "User requested FLUSHALL from 10.244.2.71:51822, executing (db0, 1822301 keys)",
        ),
        (1, Level::Info, "DB saved on disk"),
        (60, Level::Info, "10000 changes in 60 seconds. Saving..."),
    ] {
        cluster[cache].say(at + shift, 0, level, text);
    }
    let line = cluster.dice.pick(&[
        "cache miss for {id}, loading from database took 3{n}ms",
        "hit ratio of the last minute: 0.0{n}",
    ]);
    cluster[user].say(at + 8, 10, Level::Warn, line);
    falls_through(cluster, &c, (at + 15, 260.0), 0.05);
    cluster.lacks.metrics = true;
    let name = cluster[cache].name.clone();
    let cause = format!(
        "The content of the cache {name} was flushed; nearly every read misses and falls on {}, which is too slow for it.",
        cluster[c.base].name
    );
    told(cluster, &c, at, &cause).mention(&["flush", "FLUSHALL", "empty", "miss", "cold", "lost"])
}
