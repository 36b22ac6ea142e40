//! Pods, rollouts, Services, policies and nodes of a cluster, judged object by object: what is wrong, what
//! was changed, what is fine, and how the objects hang together. Nothing here names a cause
//! across objects, and nothing changes anything.

pub mod args;
mod gateway;
pub mod intent;
pub mod nodes;
pub mod pods;
pub mod policies;
pub mod rollouts;
pub mod services;
pub mod storage;
pub mod tools;

use jiff::{SignedDuration, Timestamp};

/// Whether `time` lies within the last `hours` before `now`.
fn within(time: Timestamp, now: Timestamp, hours: i64) -> bool {
    time <= now && now.duration_since(time) <= SignedDuration::from_hours(hours)
}

/// How long ago, as people say it: `4m`, `3h`, `12d`.
fn ago(time: Timestamp, now: Timestamp) -> String {
    let minutes = now.duration_since(time).as_mins();
    match minutes {
        ..120 => format!("{minutes}m"),
        120..2880 => format!("{}h", minutes / 60),
        _ => format!("{}d", minutes / 1440),
    }
}
