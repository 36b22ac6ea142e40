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
    // The words of supervisors whose process got signal 9; only the kernel, a person or a memory
    // limit sends that.
    Rule {
        signal: "log.child_killed",
        least: Level::Info,
        phrases: &[
            "was sent sigkill",
            "terminated by sigkill",
            "terminated by signal 9",
            "terminated due to signal 9",
            "exited on signal 9",
            "exited with signal 9",
            "exited due to signal 9",
            "killed by signal 9",
            "killed by sigkill",
            "died from signal 9",
            "signal 9 (sigkill)",
            "signal: killed",
            "signal 9: killed",
            "exited prematurely: signal 9",
            "exited prematurely with 'signal 9",
            "received sigkill",
            "workerlosterror",
            "exited prematurely: exitcode: signal 9",
            "exited prematurely: signal 9 (sigkill)",
            "cluster worker exited with signal sigkill",
            "worker killed by the kernel",
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
