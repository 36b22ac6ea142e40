//! How caches fare: hit ratio, evictions, content, capacity, whether they answer. Seen: counters
//! of hits beside counters of misses, one counter with a label for either, a gauge of the ratio;
//! as Redis, Memcached, Varnish, Micrometer and others export them.

mod users;

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation};

use crate::{
    flow::add,
    judge::{percent, share, since, timed},
    labels::Labels,
    recipes::is_machinery,
    thresholds as t,
    view::{Course, Found, Read, View, bytes, number},
    words,
};

/// Labels whose value tells hit from miss.
pub(crate) const RESULT: &[&str] = &[
    "result",
    "status",
    "outcome",
    "type",
    "cache_status",
    "state",
    "hit",
    "event",
    "cache_result",
    "upstream_cache_status",
];
/// Labels that name one cache of several in a program.
pub(crate) const NAME: &[&str] = &["cache", "cache_name", "cacheName", "cache_manager", "region"];

/// Metrics of what else is known of a cache, by meaning; the first that is there is taken.
const EVICTED: &[&str] = &[
    "redis_evicted_keys_total",
    "memcached_items_evicted_total",
    "varnish_main_n_lru_nuked",
    "cache_evictions_total",
    "cache_evicted_total",
];
const USED: &[&str] = &["redis_memory_used_bytes", "memcached_current_bytes"];
const CAPACITY: &[&str] =
    &["redis_memory_max_bytes", "redis_config_maxmemory", "memcached_limit_bytes"];
const KEYS: &[&str] = &[
    "redis_db_keys",
    "memcached_current_items",
    "varnish_main_n_object",
    "cache_size",
    "cache_entries",
    "cache_items",
];
const UPTIME: &[&str] =
    &["redis_uptime_in_seconds", "memcached_uptime_seconds", "varnish_main_uptime"];
const UP: &[&str] = &["redis_up", "memcached_up", "varnish_up"];

/// Hits and misses of one cache.
#[derive(Debug, Default)]
struct Asked {
    hits: Vec<f64>,
    misses: Vec<f64>,
}

type Caches = BTreeMap<(Entity, String), Asked>;

/// What else is known of the caches of one object.
#[derive(Debug, Default)]
struct Around {
    evicted: Option<Course>,
    keys: Option<Course>,
    capacity: Option<(f64, f64, crate::change::Shift)>,
    limit: Option<f64>,
    used: Option<f64>,
    restarted: Option<usize>,
}

/// All facts about caches.
#[must_use]
pub fn judge(view: View<'_>) -> Found {
    let mut found = Found::default();
    let caches = asked(view);
    let mut objects: BTreeSet<Entity> = caches.keys().map(|(object, _)| object.clone()).collect();
    for metric in EVICTED.iter().chain(CAPACITY).chain(UP).filter(|m| view.store.has(m)) {
        objects.extend(view.summed(metric, Read::Level, |l| Some(view.object(l))).into_keys());
    }
    for object in objects {
        let around = around(view, &object);
        found.facts.extend(down(view, &object));
        found.facts.extend(capacity(view, &object, &around));
        found.facts.extend(emptied(view, &object, &around));
        let evicting = evicting(view, &object, &around);
        let troubled = evicting.is_some();
        found.facts.extend(evicting);
        for ((_, name), asked) in caches.iter().filter(|((of, _), _)| *of == object) {
            found.facts.extend(ratio(view, (&object, name), asked, (&around, troubled)));
        }
        let own = caches.iter().filter(|((of, _), _)| *of == object).map(|(_, asked)| asked);
        if let Some(fell) = own.filter_map(|asked| fell_at(view, asked)).min() {
            let (facts, relations) = users::concluded(view, &object, fell);
            found.facts.extend(facts);
            found.relations.extend(relations);
        }
    }
    found
}

/// Every cache that is counted, in any of the three forms.
fn asked(view: View<'_>) -> Caches {
    let mut caches = Caches::new();
    for metric in view.store.names() {
        if is_machinery(&metric) {
            continue;
        }
        if let Some(misses) = misses_of(view, &metric) {
            let read = view.natural(&metric);
            let read = if climbs(view, &metric) { Read::Rate } else { read };
            put(view, (&metric, read), &mut caches, |_| Some(true));
            put(view, (&misses, read), &mut caches, |_| Some(false));
        } else if words::has_part(&metric, &["cache", "commands", "gets"])
            && view.natural(&metric) == Read::Rate
        {
            put(view, (&metric, Read::Rate), &mut caches, told_by_label);
        }
    }
    for metric in view.store.names() {
        if is_ratio(&metric) && !is_machinery(&metric) {
            from_gauge(view, &metric, &mut caches);
        }
    }
    caches
}

/// The counter of misses that belongs to a counter of hits.
fn misses_of(view: View<'_>, metric: &str) -> Option<String> {
    if !words::has_part(metric, &["hit", "hits"]) || is_ratio(metric) {
        return None;
    }
    let misses = [metric.replacen("hits", "misses", 1), metric.replacen("hit", "miss", 1)];
    misses.into_iter().find(|name| name != metric && view.store.has(name))
}

fn is_ratio(metric: &str) -> bool {
    words::has_part(metric, &["hit", "hits", "hitrate", "hitratio"])
        && words::has_part(
            metric,
            &["ratio", "rate", "percent", "percentage", "hitrate", "hitratio"],
        )
}

/// Whether an untyped series only grows, as a counter does.
fn climbs(view: View<'_>, metric: &str) -> bool {
    view.tracks(metric, Read::Level).first().is_some_and(|track| {
        let there: Vec<f64> = track.values.iter().copied().filter(|v| v.is_finite()).collect();
        let pairs = there.windows(2).filter(|w| w.first() <= w.last()).count();
        there.len() > 5 && pairs * 20 >= (there.len() - 1) * 19
    })
}

fn told_by_label(labels: &Labels) -> Option<bool> {
    let command = labels.first_of(&["command", "operation", "method"]);
    if !command.is_empty() && !command.to_ascii_lowercase().starts_with("get") {
        return None;
    }
    let value = labels.first_of(RESULT).to_ascii_lowercase();
    match value.as_str() {
        "hit" | "hits" | "true" | "cache_hit" => Some(true),
        "miss" | "misses" | "false" | "cache_miss" => Some(false),
        _ => None,
    }
}

fn put(
    view: View<'_>,
    (metric, read): (&str, Read),
    caches: &mut Caches,
    hit: impl Fn(&Labels) -> Option<bool>,
) {
    let sums = view.summed(metric, read, |labels| {
        Some((view.object(labels), labels.first_of(NAME).to_owned(), hit(labels)?))
    });
    for ((object, name, hit), values) in sums {
        let asked = caches.entry((object, name)).or_default();
        add(if hit { &mut asked.hits } else { &mut asked.misses }, &values);
    }
}

/// A ratio stands for that many hits in a hundred.
fn from_gauge(view: View<'_>, metric: &str, caches: &mut Caches) {
    for track in view.tracks(metric, Read::Level) {
        let key = (view.object(&track.labels), track.labels.first_of(NAME).to_owned());
        let top = track.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
        if top <= 0.0 || caches.contains_key(&key) {
            continue;
        }
        let scale = if top > 1.5 { 1.0 } else { 100.0 };
        let hits: Vec<f64> = track.values.iter().map(|v| v * scale).collect();
        let misses = hits.iter().map(|v| 100.0 - v).collect();
        caches.insert(key, Asked { hits, misses });
    }
}

fn first_of(
    view: View<'_>,
    metrics: &[&str],
    read: impl Fn(&str) -> Read,
    object: &Entity,
) -> Option<Vec<f64>> {
    metrics.iter().filter(|m| view.store.has(m)).find_map(|metric| {
        let own = |labels: &Labels| (view.object(labels) == *object).then_some(());
        view.summed(metric, read(metric), own).remove(&())
    })
}

fn around(view: View<'_>, object: &Entity) -> Around {
    let level = |metrics| first_of(view, metrics, |_| Read::Level, object);
    let evicted = first_of(view, EVICTED, |_| Read::Rate, object);
    let limits = level(CAPACITY);
    let capacity = limits.as_deref().and_then(Course::of).and_then(|c| {
        let shift = c.shift.filter(|s| s.before > 0.0)?;
        Some((shift.before, shift.after, shift))
    });
    let uptime = level(UPTIME).unwrap_or_default();
    let restarted = (1..uptime.len()).rev().find(|i| {
        let at = |i: usize| uptime.get(i).copied().unwrap_or(f64::NAN);
        at(*i) < at(i - 1)
    });
    Around {
        evicted: evicted.as_deref().and_then(Course::of),
        keys: level(KEYS).as_deref().and_then(Course::of),
        capacity,
        limit: limits.as_deref().and_then(Course::of).map(|c| c.now).filter(|l| *l > 0.0),
        used: level(USED).as_deref().and_then(Course::of).map(|c| c.now),
        restarted,
    }
}

/// When the hits of a cache became fewer.
fn fell_at(view: View<'_>, asked: &Asked) -> Option<usize> {
    let mut all = asked.hits.clone();
    add(&mut all, &asked.misses);
    let missed = share(&asked.misses, &all, view.frame)?;
    let fell = missed.baseline.is_some_and(|b| missed.value - b >= t::HIT_RATIO_FALL);
    missed.shift.filter(|_| fell).map(|s| s.start)
}

fn ratio(
    view: View<'_>,
    (object, name): (&Entity, &str),
    asked: &Asked,
    (around, evicting): (&Around, bool),
) -> Option<Observation> {
    let mut all = asked.hits.clone();
    add(&mut all, &asked.misses);
    let missed = share(&asked.misses, &all, view.frame)?;
    let which = if name.is_empty() { String::new() } else { format!(" (cache {name})") };
    let hit = 1.0 - missed.value;
    let fell = missed.shift.is_some_and(|s| s.after > s.before)
        && missed.baseline.is_some_and(|b| missed.value - b >= t::HIT_RATIO_FALL);
    let bad_all_along = missed.shift.is_none() && evicting && hit < t::HIT_RATIO_POOR;
    if !fell && !bad_all_along {
        if missed.shift.is_some_and(|s| s.after > s.before) || evicting {
            return None;
        }
        let says = format!("{}{which} answers {} of lookups, as usual", object.name, percent(hit));
        let fact = Observation::new("cache.healthy", object.clone(), says);
        return Some(fact.value(hit, "1").attr("cache", name));
    }
    let usual = missed.baseline.map(|b| format!(", usually {}", percent(1.0 - b)));
    let why = reasons(view, around);
    let says = format!(
        "hit ratio of {}{which} is {} {}{}{}",
        object.name,
        percent(hit),
        since(missed.shift, view.frame),
        usual.unwrap_or_default(),
        if why.is_empty() { String::new() } else { format!(": {why}") }
    );
    let fact = Observation::new("cache.hit_ratio_low", object.clone(), says)
        .value(hit, "1")
        .attr("cache", name)
        .attr("why", why);
    let fact = timed(fact, missed.shift, view.frame);
    Some(match missed.baseline {
        Some(baseline) => fact.baseline(1.0 - baseline),
        None => fact,
    })
}

/// What else changed at the cache, in words.
fn reasons(view: View<'_>, around: &Around) -> String {
    let mut why = Vec::new();
    if let Some((old, new, shift)) = around.capacity {
        let at = view.clock(shift.start);
        why.push(format!("its memory went from {} to {} at {at}", bytes(old), bytes(new)));
    }
    if let Some(evicted) = around.evicted.filter(|e| e.now >= t::EVICTED_LEAST) {
        let (now, before) = (number(evicted.now), number(evicted.before));
        why.push(format!("it evicts {now} keys/s, before {before}"));
    }
    if let Some(point) = around.restarted {
        why.push(format!("it restarted at {}", view.clock(point)));
    }
    if let Some(fall) = around.keys.and_then(|k| k.fall()).filter(|f| f.after < 0.5 * f.before) {
        why.push(format!("its keys fell from {} to {}", number(fall.before), number(fall.after)));
    }
    why.join(", ")
}

fn evicting(view: View<'_>, object: &Entity, around: &Around) -> Option<Observation> {
    let evicted = around.evicted.filter(|e| e.now >= t::EVICTED_LEAST)?;
    let rise = evicted.rise().filter(|r| r.after >= t::EVICTED_TIMES * r.before);
    // Caches that evict at all times are full by design.
    rise?;
    let full = match (around.used, around.limit) {
        (Some(used), Some(limit)) => format!(", {} of {} in use", bytes(used), bytes(limit)),
        _ => String::new(),
    };
    let says = format!(
        "{} evicts {} keys/s {}, before {}{full}",
        object.name,
        number(evicted.now),
        since(rise, view.frame),
        number(evicted.before)
    );
    let fact = Observation::new("cache.evicting", object.clone(), says)
        .value(evicted.now, "1/s")
        .baseline(evicted.before)
        .attr("limit", around.limit.map(bytes).unwrap_or_default());
    Some(timed(fact, rise, view.frame))
}

fn capacity(view: View<'_>, object: &Entity, around: &Around) -> Option<Observation> {
    let (old, new, shift) = around.capacity?;
    let at = view.clock(shift.start);
    let says = format!(
        "memory that {} may use for its content went from {} to {} at {at}",
        object.name,
        bytes(old),
        bytes(new)
    );
    let fact = Observation::new("cache.capacity_changed", object.clone(), says)
        .value(new, "By")
        .baseline(old)
        .attr("old", bytes(old))
        .attr("new", bytes(new))
        .attr("direction", if new < old { "down" } else { "up" });
    Some(timed(fact, Some(shift), view.frame))
}

fn emptied(view: View<'_>, object: &Entity, around: &Around) -> Option<Observation> {
    let lost = around
        .keys
        .and_then(|k| k.fall())
        .filter(|f| f.after < t::KEYS_LEFT * f.before && f.before >= 100.0)?;
    let near = |point: usize| point.abs_diff(lost.start) <= 10;
    let restarted = around.restarted.is_some_and(near);
    let how = if restarted { "restarted" } else { "flushed" };
    let says = format!(
        "{} lost its content at {}: {} keys, before {}{}",
        object.name,
        view.clock(lost.start),
        number(lost.after),
        number(lost.before),
        if restarted { ", as it restarted" } else { " without a restart" }
    );
    let fact = Observation::new("cache.emptied", object.clone(), says)
        .value(lost.after, "1")
        .baseline(lost.before)
        .attr("why", how);
    Some(timed(fact, Some(lost), view.frame))
}

fn down(view: View<'_>, object: &Entity) -> Option<Observation> {
    let up = first_of(view, UP, |_| Read::Level, object)?;
    let course = Course::of(&up)?;
    if course.now > 0.0 {
        return None;
    }
    let fall = course.fall();
    let says = format!("cache {} does not answer {}", object.name, since(fall, view.frame));
    Some(timed(Observation::new("cache.down", object.clone(), says), fall, view.frame))
}
