//! How much room volumes and file systems have, in bytes and in inodes, and when they will be
//! full. Seen: the kubelet's figures of claims, `node_exporter`'s of file systems, and databases'
//! own of their data directory; also what a replication slot keeps a database from deleting.

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation};

use crate::{
    change,
    judge::{percent, since, time, timed},
    labels::Labels,
    thresholds as t,
    view::{Course, Found, Read, View, bytes, number},
};

/// Names of one way to measure room: what is free and how much there is.
struct Names {
    free: &'static str,
    size: &'static str,
    inodes: bool,
}

const ROOM: &[Names] = &[
    Names {
        free: "kubelet_volume_stats_available_bytes",
        size: "kubelet_volume_stats_capacity_bytes",
        inodes: false,
    },
    Names {
        free: "kubelet_volume_stats_inodes_free",
        size: "kubelet_volume_stats_inodes",
        inodes: true,
    },
    Names {
        free: "node_filesystem_avail_bytes",
        size: "node_filesystem_size_bytes",
        inodes: false,
    },
    Names { free: "node_filesystem_files_free", size: "node_filesystem_files", inodes: true },
    Names {
        free: "elasticsearch_filesystem_data_available_bytes",
        size: "elasticsearch_filesystem_data_size_bytes",
        inodes: false,
    },
    Names {
        free: "rabbitmq_disk_space_available_bytes",
        size: "rabbitmq_disk_space_total_bytes",
        inodes: false,
    },
];

/// What a database keeps on disk because somebody has not read it yet.
const RETAINED: &[&str] = &[
    "pg_replication_slots_pg_wal_lsn_diff",
    "pg_replication_slot_retained_bytes",
    "pg_replication_slots_retained_bytes",
    "pg_replication_slot_lag_bytes",
    "pg_wal_size_bytes",
    "mysql_binlog_size_bytes",
];

type Place = (Entity, String);

/// All facts about volumes and file systems.
#[must_use]
pub fn judge(view: View<'_>) -> Found {
    let mut found = Found::default();
    for names in ROOM.iter().filter(|n| view.store.has(n.free)) {
        let used = shares(view, names);
        for ((object, mount), (used, free, size)) in used {
            let fact = room(view, (&object, &mount), (&used, &free, size), names);
            found.facts.extend(fact.as_ref().and_then(|fact| of_users(view, &object, fact)));
            found.facts.extend(fact);
        }
    }
    if !view.store.has("kubelet_volume_stats_available_bytes") {
        for ((object, mount), (used, free, size)) in used_only(view) {
            if let Some(names) = ROOM.first() {
                found.facts.extend(room(view, (&object, &mount), (&used, &free, size), names));
            }
        }
    }
    for metric in RETAINED.iter().filter(|m| view.store.has(m)) {
        found.facts.extend(retained(view, metric));
    }
    found
}

/// That a claim has room is good news of whoever writes to it, too.
fn of_users(view: View<'_>, claim: &Entity, fact: &Observation) -> Option<Observation> {
    if claim.kind != "PersistentVolumeClaim" || fact.signal() != "storage.volume_ok" {
        return None;
    }
    let uses = |pod: &&plugin_cluster::Object| {
        pod.namespace() == claim.namespace
            && pod.list("/spec/volumes").iter().any(|volume| {
                volume.pointer("/persistentVolumeClaim/claimName").and_then(|c| c.as_str())
                    == Some(claim.name.as_str())
            })
    };
    let user = view.world.pods.iter().find(uses)?;
    let wire = fact.as_wire();
    let says = format!("{}, used by {}", wire.statement, user.name());
    let told = Observation::new("storage.volume_ok", view.world.top(&user.entity()), says)
        .value(wire.value.unwrap_or_default(), "1")
        .peer(claim.clone());
    Some(["what", "free", "capacity"].iter().fold(told, |told, key| {
        told.attr(*key, wire.attributes.get(*key).cloned().unwrap_or_default())
    }))
}

fn place(view: View<'_>, labels: &Labels) -> Option<Place> {
    let claim = labels.get("persistentvolumeclaim");
    if !claim.is_empty() {
        let namespace = crate::object::namespace(labels);
        return Some((Entity::new("PersistentVolumeClaim", namespace, claim), String::new()));
    }
    let kind = labels.get("fstype");
    let scratch = ["tmpfs", "overlay", "squashfs", "ramfs", "shm", "iso9660"];
    (!scratch.contains(&kind)).then(|| (node_or(view, labels), labels.get("mountpoint").to_owned()))
}

/// `node_exporter` runs in a pod and speaks of its node.
fn node_or(view: View<'_>, labels: &Labels) -> Entity {
    let node = labels.first_of(&["node", "nodename", "kubernetes_node", "k8s_node_name"]);
    if !node.is_empty() {
        return Entity::cluster_wide("Node", node);
    }
    let instance = labels.get("instance");
    match view.world.peers.address(instance).or_else(|| view.world.peers.known(instance, "")) {
        Some(found) => found,
        None => view.object(labels),
    }
}

type Shares = BTreeMap<Place, (Vec<f64>, Vec<f64>, f64)>;

/// Share in use, what is free and the size, of each volume.
fn shares(view: View<'_>, names: &Names) -> Shares {
    let key = |labels: &Labels| place(view, labels);
    let mut sizes = view.summed(names.size, Read::Level, key);
    let free = view.summed(names.free, Read::Level, key);
    free.into_iter()
        .filter_map(|(place, free)| {
            let sizes = sizes.remove(&place)?;
            let size = sizes.iter().rev().copied().find(|v| v.is_finite() && *v > 0.0)?;
            let used = free.iter().zip(&sizes).map(|(free, size)| 1.0 - free / size).collect();
            Some((place, (used, free, size)))
        })
        .collect()
}

/// The same where only what is used is told.
fn used_only(view: View<'_>) -> Shares {
    let key = |labels: &Labels| place(view, labels);
    let mut sizes = view.summed("kubelet_volume_stats_capacity_bytes", Read::Level, key);
    let used = view.summed("kubelet_volume_stats_used_bytes", Read::Level, key);
    used.into_iter()
        .filter_map(|(place, used)| {
            let sizes = sizes.remove(&place)?;
            let size = sizes.iter().rev().copied().find(|v| v.is_finite() && *v > 0.0)?;
            let free = used.iter().zip(&sizes).map(|(used, size)| size - used).collect();
            let used = used.iter().zip(&sizes).map(|(used, size)| used / size).collect();
            Some((place, (used, free, size)))
        })
        .collect()
}

fn room(
    view: View<'_>,
    (object, mount): (&Entity, &str),
    (used, free, size): (&[f64], &[f64], f64),
    names: &Names,
) -> Option<Observation> {
    let course = Course::of(used)?;
    let left = Course::of(free)?.now;
    let what = if names.inodes { "inodes" } else { "bytes" };
    let shown = |value: f64| if names.inodes { number(value) } else { bytes(value) };
    let on = match (object.kind.as_str(), mount) {
        ("PersistentVolumeClaim", _) => format!("volume of claim {}", object.name),
        (_, "") => format!("disk of {}", object.name),
        (_, mount) => format!("file system {mount} of {}", object.name),
    };
    let per_hour = growth(used, view);
    let hours = if per_hour > 0.001 { (1.0 - course.now) / per_hour } else { f64::INFINITY };
    let grows = if per_hour > 0.001 {
        format!(", it grows by {} per hour", shown(per_hour * size))
    } else {
        String::new()
    };
    let head = format!("{on} has {} of {} {what} free", shown(left), shown(size));
    let attributes = |fact: Observation| {
        fact.attr("what", what)
            .attr("mountpoint", mount)
            .attr("free", shown(left))
            .attr("capacity", shown(size))
            .value(course.now, "1")
    };
    let is_node = object.kind == "Node";
    if course.now >= t::VOLUME_FULL {
        let signal = if is_node { "node.disk_full" } else { "storage.volume_full" };
        let first = used.iter().position(|v| *v >= t::VOLUME_FULL);
        let seen = first.filter(|first| *first > 2);
        let at = seen.map(|p| format!(", since {}", view.clock(p))).unwrap_or_default();
        let says = format!("{head}: {} full{at}{grows}", percent(course.now));
        let fact = attributes(Observation::new(signal, object.clone(), says))
            .baseline(course.before)
            .maybe_since(time(view.frame, seen.unwrap_or(0)))
            .maybe_until(time(view.frame, view.frame.grid.points.saturating_sub(1)))
            .attr("onset", if seen.is_some() { "seen" } else { "before_data" });
        return Some(fact);
    }
    if hours <= t::VOLUME_FILLS_HOURS && course.now >= 0.5 {
        let signal = if is_node { "node.disk_filling" } else { "storage.volume_filling" };
        let says = format!("{head}{grows} and is full in {} hours", number(hours));
        let fact = attributes(Observation::new(signal, object.clone(), says));
        return Some(timed(fact.baseline(course.before), course.rise(), view.frame));
    }
    if is_node || course.now > t::VOLUME_ROOM {
        return None;
    }
    let says = format!("{head}: {} in use", percent(course.now));
    Some(attributes(Observation::new("storage.volume_ok", object.clone(), says)))
}

/// Growth of the share in use per hour, over the last third of the time.
fn growth(used: &[f64], view: View<'_>) -> f64 {
    let recent = used.get(used.len() - used.len() / 3..).unwrap_or_default();
    let trend = change::trend(recent).filter(|t| t.rising >= 0.6 && t.falling <= 0.3);
    trend.map_or(0.0, |t| t.slope * 3600.0 / view.frame.step_seconds())
}

fn retained(view: View<'_>, metric: &str) -> Vec<Observation> {
    let key = |labels: &Labels| {
        let slot = labels.first_of(&["slot_name", "slot"]).to_owned();
        Some((view.object(labels), slot))
    };
    let mut facts = Vec::new();
    for ((database, slot), values) in view.summed(metric, Read::Level, key) {
        let Some(course) = Course::of(&values) else { continue };
        let grew = course.now - course.before;
        if course.now < 1_073_741_824.0 && grew < 0.5 * course.before.max(1_048_576.0) {
            continue;
        }
        let who = if slot.is_empty() { String::new() } else { format!(" for slot {slot}") };
        let says = format!(
            "{} keeps {} of log on disk{who} {}, before {}",
            database.name,
            bytes(course.now),
            since(course.rise(), view.frame),
            bytes(course.before)
        );
        let fact = Observation::new("db.log_retained", database, says)
            .value(course.now, "By")
            .baseline(course.before)
            .attr("slot", slot);
        facts.push(timed(fact, course.rise(), view.frame));
    }
    facts
}
