//! How a container's last run ended: killed for memory, with an error, or not worth a word.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{Answer, State, sayings};

use super::Look;
use crate::within;

/// One end of a run.
#[derive(Clone, Copy)]
struct End<'a> {
    code: i64,
    reason: &'a str,
    message: &'a str,
    finished: Option<Timestamp>,
}

impl Look<'_> {
    pub(super) fn ended(&self, state: State<'_>, answer: &mut Answer) {
        let State::Terminated { exit_code: code, reason, message, finished, .. } = state else {
            return;
        };
        let end = End { code, reason, message, finished };
        let cannot_start = matches!(reason, "StartError" | "ContainerCannotRun")
            || message.contains("exec format error");
        if reason == "OOMKilled" {
            answer.harm(self.oom_killed(end));
        } else if cannot_start {
            answer.harm(self.could_not_start(end));
        } else if !self.container.ready() && code != 0 {
            answer.harm(self.exited(end));
        } else if self.runs() && self.worth_telling(end) {
            answer.harm(self.restarted(end));
        }
    }

    fn runs(&self) -> bool {
        matches!(self.container.state(), State::Running { .. })
    }

    /// An orderly end days ago is not.
    fn worth_telling(&self, end: End<'_>) -> bool {
        end.code != 0 || end.finished.is_some_and(|at| within(at, self.now, 24))
    }

    /// While it keeps ending, trouble began when the pod lost readiness; else with this end.
    fn onset(&self, end: End<'_>) -> Option<Timestamp> {
        let unready = self.unready_since().filter(|_| !self.container.ready());
        match (unready, end.finished) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => b.or(a),
        }
    }

    fn at(&self, end: End<'_>) -> String {
        end.finished.map(|t| format!(" at {t}")).unwrap_or_default()
    }

    fn oom_killed(&self, end: End<'_>) -> Observation {
        let restarts = self.container.restarts();
        let limit = self.container.limit("memory").unwrap_or("none");
        let says = format!(
            "was OOMKilled, last{}, memory limit {limit}, {restarts} restarts, exit code {}",
            self.at(end),
            end.code
        );
        self.observe("container.oom_killed", &says)
            .maybe_since(self.onset(end))
            .maybe_until(end.finished)
            .count(restarts.max(1))
            .attr("exit_code", end.code.to_string())
            .attr("limit", limit)
            .attr("restarts", restarts.to_string())
            .attr("image", self.container.image())
            .quote(end.message)
    }

    fn could_not_start(&self, end: End<'_>) -> Observation {
        let why = sayings::start_failure(end.message);
        self.observe("container.create_failed", &format!("could not be started ({why})"))
            .maybe_since(self.onset(end))
            .maybe_until(end.finished)
            .count(self.container.restarts().max(1))
            .attr("why", why)
            .attr("exit_code", end.code.to_string())
            .attr("image", self.container.image())
            .quote(end.message)
    }

    fn exited(&self, end: End<'_>) -> Observation {
        let restarts = self.container.restarts();
        let signal = signal_of(end.code);
        let killed = match signal {
            "" => String::new(),
            // 137 alone is not memory: the runtime would have said OOMKilled.
            "KILL" => " (killed by SIGKILL, not for memory)".to_owned(),
            other => format!(" (SIG{other})"),
        };
        let says = format!(
            "exited with code {}{killed}{}, reason {}, {restarts} restarts",
            end.code,
            self.at(end),
            end.reason
        );
        self.observe("container.exited", &says)
            .maybe_since(self.onset(end))
            .maybe_until(end.finished)
            .count(restarts.max(1))
            .attr("exit_code", end.code.to_string())
            .attr("reason", end.reason)
            .attr("restarts", restarts.to_string())
            .attr("signal", signal)
            .attr("complaint", complaint(end.message))
            .attr("image", self.container.image())
            .quote(end.message)
    }

    fn restarted(&self, end: End<'_>) -> Observation {
        let restarts = self.container.restarts();
        let age = end.finished.map(|at| format!(", {} ago", crate::ago(at, self.now)));
        let says = format!(
            "restarted{}{} after exit code {} ({}) and runs again, {restarts} restarts in all",
            self.at(end),
            age.unwrap_or_default(),
            end.code,
            end.reason
        );
        self.observe("container.restarted", &says)
            .maybe_since(end.finished)
            .maybe_until(end.finished)
            .count(restarts.max(1))
            .attr("restarts", restarts.to_string())
            .attr("last_reason", end.reason)
            .attr("exit_code", end.code.to_string())
            .quote(end.message)
    }
}

/// What a termination message complains of, in one word; empty when it does not tell. Logs tell
/// more; this stands in where they are missing.
fn complaint(message: &str) -> &'static str {
    const WORDS: &[(&str, &[&str])] = &[
        (
            "setting",
            &[
                "environment variable",
                "env var",
                "is not set",
                "must be set",
                "missing required",
                "is required",
                "unknown flag",
                "unrecognized option",
                "flag provided but not defined",
                "unknown option",
                "invalid value",
                "invalid configuration",
                "could not resolve placeholder",
                "failed to parse config",
                "failed to load config",
                "config error",
                "configuration error",
                "unknown key",
                "unknown field",
                "unknown directive",
                "yaml:",
                "keyerror:",
            ],
        ),
        ("port", &["address already in use", "eaddrinuse", "port is already in use"]),
        ("file", &["no such file or directory", "file not found", "cannot open"]),
        (
            "schema",
            &["pending migration", "schema version", "undefinedcolumn", "unapplied migration"],
        ),
        ("dependency", &["connection refused", "no such host", "timed out", "econnrefused"]),
        ("credentials", &["authentication failed", "access denied", "unauthorized", "wrongpass"]),
        ("crash", &["panic:", "segmentation", "exception", "traceback", "nullpointer"]),
    ];
    let lower = message.to_ascii_lowercase();
    let found = WORDS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word)));
    found.map_or("", |(word, _)| *word)
}

/// The signal behind an exit code above 128.
fn signal_of(code: i64) -> &'static str {
    match code {
        129 => "HUP",
        130 => "INT",
        131 => "QUIT",
        132 => "ILL",
        134 => "ABRT",
        135 => "BUS",
        136 => "FPE",
        137 => "KILL",
        139 => "SEGV",
        141 => "PIPE",
        143 => "TERM",
        _ => "",
    }
}
