//! Containers of a pod, spec and status together: what was asked for and what became of it.

use jiff::Timestamp;
use serde_json::Value;

use crate::object::{Object, time_of};

/// One container of a pod.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it runs before the others.
    pub init: bool,
    /// Its entry in the spec; null for one that only the status knows.
    pub spec: &'a Value,
    /// Its entry in the status; null before the kubelet reported.
    pub status: &'a Value,
}

/// What a container does or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State<'a> {
    /// Nothing is reported.
    Unknown,
    /// It is not started.
    Waiting {
        /// Such as `CrashLoopBackOff`.
        reason: &'a str,
        /// The kubelet's words.
        message: &'a str,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// It ended.
    Terminated {
        /// Exit code; above 128 it is 128 plus the signal.
        exit_code: i64,
        /// Such as `OOMKilled` or `Error`.
        reason: &'a str,
        /// The termination message.
        message: &'a str,
        /// When it started.
        started: Option<Timestamp>,
        /// When it ended.
        finished: Option<Timestamp>,
    },
}

/// A health check of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `liveness`, `readiness` or `startup`.
    pub kind: &'static str,
    /// The port as written, a number or a name; empty for a command.
    pub port: String,
    /// The path of an HTTP check; empty for others.
    pub path: String,
}

/// All containers of a pod, those that run before the others first.
#[must_use]
pub fn containers(pod: &Object) -> Vec<Container<'_>> {
    let mut all = Vec::new();
    for (specs, statuses, init) in [
        ("/spec/initContainers", "/status/initContainerStatuses", true),
        ("/spec/containers", "/status/containerStatuses", false),
    ] {
        let (specs, statuses) = (pod.list(specs), pod.list(statuses));
        for spec in specs {
            let status = statuses.iter().find(|s| name_of(s) == name_of(spec));
            let status = status.unwrap_or(&Value::Null);
            all.push(Container { name: name_of(spec), init, spec, status });
        }
        for status in statuses {
            if !specs.iter().any(|s| name_of(s) == name_of(status)) {
                all.push(Container { name: name_of(status), init, spec: &Value::Null, status });
            }
        }
    }
    all
}

fn name_of(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or_default()
}

// === impl Container ===

impl<'a> Container<'a> {
    /// What it does now.
    #[must_use]
    pub fn state(&self) -> State<'a> {
        state_of(self.status.get("state"))
    }

    /// How its run before ended.
    #[must_use]
    pub fn last_state(&self) -> State<'a> {
        state_of(self.status.get("lastState"))
    }

    /// Whether it is ready.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.status.get("ready").and_then(Value::as_bool) == Some(true)
    }

    /// How often it was restarted.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.status.get("restartCount").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Its image as the spec asks for it, else as the status tells.
    #[must_use]
    pub fn image(&self) -> &'a str {
        let of = |v: &'a Value| v.get("image").and_then(Value::as_str);
        of(self.spec).or_else(|| of(self.status)).unwrap_or_default()
    }

    /// Its limit of `memory` or `cpu` as written, such as `512Mi`. What the kubelet enforces
    /// (reported in the status) comes before what the spec asks for.
    #[must_use]
    pub fn limit(&self, resource: &str) -> Option<&'a str> {
        let of = |v: &'a Value| v.get("resources")?.get("limits")?.get(resource)?.as_str();
        of(self.status).or_else(|| of(self.spec))
    }

    /// The ports it declares: name and number.
    #[must_use]
    pub fn ports(&self) -> Vec<(&'a str, i64)> {
        list(self.spec, "ports")
            .iter()
            .filter_map(|p| Some((name_of(p), p.get("containerPort")?.as_i64()?)))
            .collect()
    }

    /// Its health checks.
    #[must_use]
    pub fn probes(&self) -> Vec<Probe> {
        [
            ("liveness", "livenessProbe"),
            ("readiness", "readinessProbe"),
            ("startup", "startupProbe"),
        ]
        .into_iter()
        .filter_map(|(kind, field)| {
            let probe = self.spec.get(field)?;
            let check = ["httpGet", "tcpSocket", "grpc"].iter().find_map(|k| probe.get(k));
            let port = check.and_then(|c| c.get("port"));
            let path = check.and_then(|c| c.get("path")).and_then(Value::as_str);
            Some(Probe {
                kind,
                port: port.map(shown).unwrap_or_default(),
                path: path.unwrap_or_default().to_owned(),
            })
        })
        .collect()
    }
}

/// A JSON list under `key`; empty when there is none.
#[must_use]
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A JSON value as people write it: texts without quotes.
#[must_use]
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn state_of(value: Option<&Value>) -> State<'_> {
    let part = |key| value.and_then(|v| v.get(key)).filter(|v| v.is_object());
    if let Some(ended) = part("terminated") {
        return State::Terminated {
            exit_code: ended.get("exitCode").and_then(Value::as_i64).unwrap_or(0),
            reason: text(ended, "reason"),
            message: text(ended, "message"),
            started: time_of(ended.get("startedAt")),
            finished: time_of(ended.get("finishedAt")),
        };
    }
    if let Some(waiting) = part("waiting") {
        return State::Waiting {
            reason: text(waiting, "reason"),
            message: text(waiting, "message"),
        };
    }
    part("running")
        .map_or(State::Unknown, |r| State::Running { since: time_of(r.get("startedAt")) })
}
