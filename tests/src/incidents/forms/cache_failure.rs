//! Caches that hold nothing, or too little: what they no longer answer falls on the database.

mod gone;
mod roles;

use super::Tale;
use crate::incidents::{
    app::App,
    clients::POOLED,
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    series::along,
    storage::Store,
    traffic::{Harm, Id, Peer, Why},
    truth::Truth,
    voice::{Level, Voice},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("restarted_and_cold", restarted_and_cold),
    ("pushed_out_by_new_keys", pushed_out_by_new_keys),
    ("refuses_to_store", refuses_to_store),
    ("will_not_load_its_file", gone::will_not_load_its_file),
    ("entries_live_too_briefly", gone::entries_live_too_briefly),
    ("nobody_measures_it", gone::nobody_measures_it),
    ("first_comes_back_as_replica", roles::first_comes_back_as_replica),
];

/// An application, its cache and its database.
struct Cached {
    app: App,
    user: Id,
    cache: Id,
    base: Id,
}

fn cached(cluster: &mut Cluster, hops: usize, memcached: bool) -> Cached {
    let app = cluster.app(hops);
    let user = app.last();
    cluster.written_in(user, &POOLED);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Mysql]);
    let base = cluster.store_for(user, kind);
    let cache = cluster.store_for(user, Store::Redis);
    if memcached {
        cluster[cache].always(|t| {
            "memcached".clone_into(&mut t.image);
            "1.6.31".clone_into(&mut t.tag);
            t.mounts.clear();
            t.env.clear();
        });
        cluster[cache].claims.clear();
        let claim = format!("data-{}-0", cluster[cache].name);
        let claim =
            crate::incidents::object::Ref::new("PersistentVolumeClaim", &cluster.home(), &claim);
        cluster.objects.remove(&claim);
        cluster[cache].voice = Voice::Plain;
        cluster[cache].port = 11211;
        cluster[cache].routine = vec![
            "<{n} new auto-negotiating client connection".to_owned(),
            "<{n} connection closed.".to_owned(),
        ];
        if let Some(front) = &mut cluster[cache].front {
            (front.port, front.target) = (11211, serde_json::json!(11211));
        }
        let host = cluster[cache].called().to_owned();
        cluster[user].always(|t| {
            t.env
                .retain(|e| e.get("name").and_then(serde_json::Value::as_str) != Some("REDIS_URL"));
            t.set_env("CACHE_SERVERS", &format!("{host}:11211"));
        });
    }
    // Without the cache the program still works, only slowly.
    for call in cluster.traffic.calls.iter_mut().filter(|call| call.from == user) {
        if call.to == Peer::In(cache) {
            (call.needed, call.share) = (false, 1.0);
        }
        if call.to == Peer::In(base) {
            call.share = 0.12;
        }
    }
    Cached { app, user, cache, base }
}

/// The share of hits over time, and since when entries are evicted, if they are.
struct Hits<'a> {
    course: &'a [(Sec, f64)],
    evicts: Option<Sec>,
}

/// Writes hits and misses, as the cache's exporter or its user counts them.
fn measure(cluster: &mut Cluster, c: &Cached, hits: &Hits<'_>) {
    // As many as its user asks for.
    let played = cluster.traffic.play(&cluster.workloads, &mut cluster.dice.fork("reads"));
    let mut calls = cluster.traffic.calls.iter().zip(&played.calls);
    let reads = calls.find(|(call, _)| call.from == c.user && call.to == Peer::In(c.cache));
    let reads = reads.map(|(_, course)| course.rate.clone()).unwrap_or_default();
    let share = along(hits.course);
    let good: Vec<f64> = share.iter().zip(&reads).map(|(share, rate)| share * rate).collect();
    let bad: Vec<f64> =
        share.iter().zip(&reads).map(|(share, rate)| (1.0 - share) * rate).collect();
    let (space, cache) = (cluster.home(), cluster[c.cache].called().to_owned());
    let user = cluster[c.user].called().to_owned();
    let of_user = cluster.dice.chance(0.35);
    let exporter = [("namespace", space.as_str()), ("service", cache.as_str())];
    // What is missed is read and stored again, in place of something else.
    let since = hits.evicts.unwrap_or(Sec::MAX);
    let evictions: Vec<f64> = crate::incidents::traffic::steps()
        .zip(&bad)
        .map(|(at, missed)| if at >= since { missed * 0.9 } else { 0.0 })
        .collect();
    if cluster[c.cache].voice == Voice::Redis {
        cluster.metrics.counter("redis_keyspace_hits", &exporter, 4e7, &good);
        cluster.metrics.counter("redis_keyspace_misses", &exporter, 2e6, &bad);
        cluster.metrics.counter("redis_evicted_keys", &exporter, 0.0, &evictions);
    } else {
        for (status, rates) in [("hit", &good), ("miss", &bad)] {
            let mut pairs = exporter.to_vec();
            pairs.extend([("command", "get"), ("status", status)]);
            cluster.metrics.counter("memcached_commands", &pairs, 1e6, rates);
        }
        cluster.metrics.counter("memcached_items_evicted", &exporter, 0.0, &evictions);
    }
    if of_user {
        for (result, rates) in [("hit", &good), ("miss", &bad)] {
            let pairs = [
                ("namespace", space.as_str()),
                ("service", user.as_str()),
                ("cache", "items"),
                ("result", result),
            ];
            cluster.metrics.counter("cache_gets", &pairs, 1e6, rates);
        }
    }
}

/// What is missed since `at` (the share of `hits` is left) falls on the database, which becomes
/// slow under it.
fn falls_through(cluster: &mut Cluster, c: &Cached, (at, slow): (Sec, f64), hits: f64) {
    // Of the reads before, 7 in 100 were never cached.
    let times = (1.07 - hits) / 0.12;
    let many = vec![(at, 1.0), (at + 60, times), (NOW + 900, times)];
    cluster.traffic.shifts.push((c.user, Peer::In(c.base), many));
    let slow = slow * cluster.dice.range(0.8, 1.8);
    cluster.traffic.harm(c.base, Harm { grows: 150, ..Harm::slow(at, slow) });
    for call in cluster.traffic.calls.iter_mut().filter(|call| call.to == Peer::In(c.base)) {
        call.timeout = 5000.0;
    }
    let top = cluster[c.base].template().cpu_limit as f64;
    cluster[c.base].cpu_course = vec![
        (BEGIN, top * 0.14),
        (at, top * 0.15),
        (at + 150, top * 0.93),
        (NOW + 900, top * 0.95),
    ];
    let base = cluster[c.base].called().to_owned();
    let space = cluster.home();
    let name = if cluster[c.base].voice == Voice::Postgres {
        "pg_stat_activity_count"
    } else {
        "mysql_global_status_threads_running"
    };
    let pairs = [("namespace", space.as_str()), ("service", base.as_str()), ("state", "active")];
    let pairs = if name.starts_with("pg") { &pairs[..] } else { &pairs[..2] };
    cluster.metrics.gauge(name, pairs, along(&[(at, 4.0), (at + 150, 61.0), (NOW + 900, 66.0)]));
}

fn told(cluster: &mut Cluster, c: &Cached, at: Sec, cause: &str) -> Truth {
    let gate = c.app.gate();
    let severity = cluster.lasting_effect(gate);
    let alert = if severity == "P3" {
        cluster.dice.pick(&["high_latency", "RequestLatencyP95High", "slow_responses"])
    } else {
        cluster.dice.pick(&["high_latency", "high_error_rate", "RequestLatencyP95High"])
    };
    let (shown, name) = (cluster[gate].called().to_owned(), cluster[c.cache].name.clone());
    let steps = c.app.path.len();
    Truth::new(cluster, alert, gate, cluster.reference(c.cache))
        .accept(cluster.parts(c.cache))
        .told(
            "What the cache no longer answers",
            &format!("{shown}: slow and in part failing since {} minutes.", -at / MIN),
            cause,
        )
        .rated(if steps > 2 { "hard" } else { "medium" }, severity)
        .mention(&[&name, cluster[c.cache].called()])
        .mention(&["cache", "hit", "miss", "evict", "redis", "memcached", "cold"])
        .not_claim(&["bad release", "network policy", "dns failure", "image pull", "memory leak"])
}

/// The cache was restarted and is empty; it cannot fill because the database behind it is too slow
/// by now.
fn restarted_and_cold(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let memcached = cluster.dice.chance(0.6);
    let c = cached(cluster, hops, memcached);
    cluster.forgo(&["events", "logs"], 0.3);
    let at = cluster.minutes_ago(7, 35);
    let newest = cluster[c.cache].revisions.len() - 1;
    let workload = cluster[c.cache].clone();
    let fresh = cluster.pod(&workload, 0, newest, at + 2);
    if let Some(pod) = cluster[c.cache].pods.first_mut() {
        pod.gone = Some(at);
        pod.memory = vec![(BEGIN, 702.0)];
    }
    let fresh = crate::incidents::workload::Pod {
        memory: vec![(at, 14.0), (at + 60, 22.0), (NOW + 900, 61.0)],
        ..fresh
    };
    cluster[c.cache].pods.push(fresh);
    let low = cluster.dice.range(0.05, 0.2);
    let course = [(at, 0.96), (at + 20, 0.01), (at + 400, low), (NOW + 900, low + 0.03)];
    measure(cluster, &c, &Hits { course: &course, evicts: None });
    let (space, name) = (cluster.home(), cluster[c.cache].called().to_owned());
    let pairs = [("namespace", space.as_str()), ("service", name.as_str())];
    let items = if memcached { "memcached_current_items" } else { "redis_db_keys" };
    cluster.metrics.gauge(
        items,
        &pairs,
        along(&[(at, 812_000.0), (at + 10, 0.0), (NOW, 41_000.0)]),
    );
    if !memcached {
        cluster[c.cache].say(at + 6, 0, Level::Info, "Server initialized");
        cluster[c.cache].say(at + 6, 0, Level::Info, "Ready to accept connections tcp");
    }
    falls_through(cluster, &c, (at + 30, 260.0), low);
    let cause = format!(
        "The cache {name} was restarted and lost its content; nearly every read falls on {}, which is too slow for it.",
        cluster[c.base].name
    );
    told(cluster, &c, at, &cause).mention(&[
        "restart",
        "empty",
        "cold",
        "lost its content",
        "lost",
        "miss",
        "hit ratio",
        "hit rate",
    ])
}

/// New, larger entries push everything else out: evictions, and half of all reads miss.
fn pushed_out_by_new_keys(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let c = cached(cluster, hops, false);
    cluster.forgo(&["events", "logs"], 0.3);
    let at = cluster.minutes_ago(9, 40);
    let most = cluster.dice.pick(&[64_i64, 128, 256]);
    let size = format!("{most}mb");
    cluster[c.cache].always(|t| {
        t.command = vec![
            "redis-server".to_owned(),
            "--maxmemory".to_owned(),
            size.clone(),
            "--maxmemory-policy".to_owned(),
            "allkeys-lru".to_owned(),
        ]
    });
    let low = cluster.dice.range(0.2, 0.45);
    let course = [(at, 0.95), (at + 240, low), (NOW + 900, low)];
    measure(cluster, &c, &Hits { course: &course, evicts: Some(at) });
    let (space, name) = (cluster.home(), cluster[c.cache].called().to_owned());
    let pairs = [("namespace", space.as_str()), ("service", name.as_str())];
    let whole = most as f64 * 1_048_576.0;
    cluster.metrics.gauge(
        "redis_memory_used_bytes",
        &pairs,
        along(&[(BEGIN, whole * 0.8), (at, whole * 0.995), (NOW + 900, whole)]),
    );
    cluster.metrics.constant("redis_memory_max_bytes", &pairs, whole);
    cluster[c.cache].memory_course =
        vec![(BEGIN, most as f64 * 0.9), (at, most as f64 * 1.1), (NOW + 900, most as f64 * 1.12)];
    falls_through(cluster, &c, (at + 60, 180.0), low);
    let user = c.user;
    let line = cluster.dice.pick(&[
        "cache miss ratio {ms}%, reading items from database",
        "items:{id} not in cache, loading ({ms}0ms)",
    ]);
    cluster[user].say(at + 90, 12, Level::Warn, line);
    let cause = format!(
        "The cache {name} is too small (maxmemory {size}) for what is stored in it now: it evicts keys all the time, and more than half of all reads fall on {}.",
        cluster[c.base].name
    );
    told(cluster, &c, at, &cause).mention(&[
        "evict",
        "maxmemory",
        &size,
        "too small",
        "full",
        "memory",
    ])
}

/// The cache may not evict and is full: nothing new is stored, and what there is expires.
fn refuses_to_store(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let c = cached(cluster, hops, false);
    let at = cluster.minutes_ago(15, 45);
    cluster[c.cache].always(|t| {
        t.command = vec![
            "redis-server".to_owned(),
            "--maxmemory".to_owned(),
            "512mb".to_owned(),
            "--maxmemory-policy".to_owned(),
            "noeviction".to_owned(),
        ]
    });
    let course = [(at, 0.94), (at + 600, 0.35), (NOW + 900, 0.12)];
    measure(cluster, &c, &Hits { course: &course, evicts: None });
    let (space, name) = (cluster.home(), cluster[c.cache].called().to_owned());
    let pairs = [("namespace", space.as_str()), ("service", name.as_str())];
    let whole = 512.0 * 1_048_576.0;
    cluster.metrics.gauge(
        "redis_memory_used_bytes",
        &pairs,
        along(&[(BEGIN, whole * 0.9), (at, whole), (NOW + 900, whole)]),
    );
    cluster.metrics.constant("redis_memory_max_bytes", &pairs, whole);
    cluster[c.cache].memory_course = vec![(BEGIN, 500.0), (at, 560.0), (NOW + 900, 562.0)];
    let said = "OOM command not allowed when used memory > 'maxmemory'.".to_owned();
    cluster.traffic.harm_call(c.user, Peer::In(c.cache), &Harm::errors(at, 0.5, Why::Said(said)));
    falls_through(cluster, &c, (at + 200, 200.0), 0.25);
    let cause = format!(
        "The cache {name} is full and its policy is noeviction: it refuses to store anything (OOM command not allowed), so what is in it expires and reads fall on {}.",
        cluster[c.base].name
    );
    told(cluster, &c, at, &cause).mention(&[
        "maxmemory",
        "noeviction",
        "OOM command not allowed",
        "full",
        "refuses",
        "memory",
    ])
}
