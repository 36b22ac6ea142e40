//! What a machine ran out of or cannot run.

use super::Rule;
use crate::level::Level;

pub(super) const RULES: &[Rule] = &[
    Rule {
        signal: "log.exec_format",
        least: Level::Unknown,
        phrases: &[
            "exec format error",
            "cannot execute binary file",
            "exec user process caused: exec",
        ],
    },
    Rule {
        signal: "log.oom",
        least: Level::Unknown,
        phrases: &[
            "outofmemoryerror",
            "java heap space",
            "gc overhead limit exceeded",
            "out of memory",
            "memoryerror",
            "cannot allocate memory",
            "std::bad_alloc",
            "memory allocation of",
            "outofmemoryexception",
            "oom-kill",
        ],
    },
];
