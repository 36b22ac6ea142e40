//! What disks and programs under load say: no room, memory that is nearly gone, more requests than
//! can be taken. Some of it is said calmly, at the level of information.

use super::Rule;
use crate::level::Level;

pub(super) const RULES: &[Rule] = &[
    Rule {
        signal: "log.no_space",
        least: Level::Unknown,
        phrases: &[
            "no space left",
            "enospc",
            "disk quota exceeded",
            "disk is full",
            "disk full",
            "not enough space",
            "read-only-allow-delete",
            "(os error 28)",
            "out of disk space",
            "insufficient disk space",
            "not enough disk space",
            "insufficient storage",
            "insufficient space",
            "storage full",
            "storagefull",
            "volume is full",
            "device is full",
            "device full",
            "errcode: 28",
            "error: 28",
            "errno: 28",
            "errno=28",
            "misconf redis is configured to save",
            "unable to persist to disk",
            "can't save in background: fork: no space",
            "failed opening the temp rdb",
            "write error saving db on disk",
            "could not extend file",
            "could not write to file \"pg_wal",
            "flood-stage watermark",
            "flood stage",
            "exceeded flood-stage",
            "disk usage exceeded",
            "high disk watermark",
            "disk watermark [",
            "out of inodes",
            "no free inodes",
            "no inodes",
            "remounting filesystem read-only",
            "remounted read-only",
            "there is not enough space on the disk",
            "not enough free space",
            "disk space is low",
            "logdirfailure",
            "the table is full",
            "is full (errno",
            "innodb: write to file",
            "mmap: no space",
        ],
    },
    Rule {
        signal: "log.gc_pressure",
        least: Level::Info,
        phrases: &[
            "gc overhead",
            "pause full (",
            "full gc (",
            "full gc[",
            "concurrent mode failure",
            "to-space exhausted",
            "promotion failed",
            "gc locker",
            "heap usage is",
            "heap usage above",
            "heap usage at",
            "heap is nearly full",
            "heap nearly full",
            "old gen usage",
            "memory usage above",
            "memory usage is above",
            "memory usage critical",
            "high memory usage",
            "memory pressure",
            "memory limit nearly reached",
            "approaching memory limit",
            "approaching heap limit",
            "last resort; gc in old space",
            "ineffective mark-compacts",
            "possible memory leak",
            "memory leak detected",
            "leaked memory",
            "memory leaked",
            "leaked objects",
            "leaked buffers",
            "leak: bytebuf",
        ],
    },
    Rule {
        signal: "log.overloaded",
        least: Level::Unknown,
        phrases: &[
            "load shedding",
            "shedding load",
            "server overloaded",
            "server is overloaded",
            "service overloaded",
            "overload manager",
            "worker_connections are not enough",
            "rejectedexecutionexception",
            "too many concurrent requests",
            "in-flight limit",
            "in-flight requests limit",
            "too many in-flight requests",
            "too many requests in flight",
            "queue is at its limit",
            "queue limit reached",
            "queue length limit",
            "request rejected: queue",
            "admission queue",
            "max concurrent requests",
            "concurrency limit reached",
            "concurrency limit exceeded",
            "request queue is full",
            "request queue full",
            "queue is full, rejecting",
            "accept queue is full",
            "listen queue of socket",
            "listen queue overflow",
            "backlog limit exceeded",
            "no available workers",
            "all workers are busy",
            "all workers busy",
            "server reached pm.max_children",
            "reached max_children",
            "maxrequestworkers",
            "thread pool is exhausted",
            "thread pool exhausted",
            "threadpool starvation",
            "thread pool starvation",
            "all request threads are busy",
            "limiting requests, excess",
            "limiting connections by zone",
            "pending overflow",
            "upstream_rq_pending_overflow",
        ],
    },
];

/// Whether a line says calmly what matters all the same.
pub(in crate::signals) fn is_said_calmly(message: &str) -> bool {
    const SAID: &[&str] =
        &["Pause Full", "Full GC", "To-space exhausted", "eap usage", "emory usage"];
    SAID.iter().any(|words| message.contains(words))
}

/// The detail that a signal of this table carries as its attribute.
pub(in crate::signals) fn detail(signal: &str, lower: &str) -> Option<(&'static str, String)> {
    let why = [("inode", "inodes"), ("read-only", "read_only")];
    let found = why.iter().find(|(words, _)| lower.contains(words));
    let why = found.map_or("bytes", |(_, word)| *word);
    (signal == "log.no_space").then(|| ("why", why.to_owned()))
}

/// What a container does, in words, for a signal of this table.
pub(in crate::signals) fn phrase(signal: &str) -> Option<String> {
    Some(match signal {
        "log.gc_pressure" => "is short of heap and collects garbage in vain".to_owned(),
        "log.overloaded" => "has more requests than it can take".to_owned(),
        _ => return None,
    })
}
