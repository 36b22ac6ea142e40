//! What became of each container. Each is judged for itself: a sidecar's death is the sidecar's.

mod ends;
mod probes;

use agent_sdk::{Entity, Observation};
use jiff::Timestamp;
use plugin_cluster::{Answer, Container, Object, State, pod, sayings};

use super::leaving;

/// One container in its pod at a time.
struct Look<'a> {
    pod: &'a Object,
    container: Container<'a>,
    now: Timestamp,
}

/// A container may take its time before it is called slow.
const PATIENCE_SECS: i64 = 120;

pub(super) fn judge(pod: &Object, now: Timestamp, answer: &mut Answer) {
    if leaving(pod) || matches!(pod.text("/status/phase"), "Succeeded") {
        return;
    }
    for container in pod::containers(pod) {
        let look = Look { pod, container, now };
        match container.state() {
            State::Waiting { reason, message } => look.waiting(reason, message, answer),
            State::Terminated { .. } => look.ended(container.state(), answer),
            State::Running { .. } => {
                look.ended(container.last_state(), answer);
                look.running(answer);
            }
            State::Unknown => {}
        }
    }
}

// === impl Look ===

impl Look<'_> {
    fn subject(&self) -> Entity {
        self.pod.entity().container(self.container.name)
    }

    fn observe(&self, signal: &str, says: &str) -> Observation {
        let says = format!("container {} of pod {} {says}", self.container.name, self.pod.name());
        Observation::new(signal, self.subject(), says)
    }

    /// Since when the pod is not ready, when it is not.
    fn unready_since(&self) -> Option<Timestamp> {
        self.pod.condition("Ready").filter(|c| c.status != "True").and_then(|c| c.since)
    }

    /// When trouble that lasts began: the pod's first moment without readiness, else its start.
    fn trouble_since(&self) -> Option<Timestamp> {
        self.unready_since()
            .or_else(|| self.pod.time("/status/startTime"))
            .or_else(|| self.pod.created())
    }

    fn waiting(&self, reason: &str, message: &str, answer: &mut Answer) {
        match reason {
            "CrashLoopBackOff" => {
                answer.harm(self.crash_looping(message));
                self.ended(self.container.last_state(), answer);
                self.probe_ports(answer);
            }
            // Told by `pulls`, which knows the credentials and the registry, too.
            reason if super::pulls::REASONS.contains(&reason) => {}
            "CreateContainerConfigError" => self.config_missing(message, answer),
            "CreateContainerError" | "RunContainerError" | "PostStartHookError" | "StartError" => {
                answer.harm(self.create_failed(message));
            }
            "PodInitializing" => {}
            _ => self.slow(reason, message, answer),
        }
    }

    fn crash_looping(&self, message: &str) -> Observation {
        let restarts = self.container.restarts();
        let (code, why) =
            if let State::Terminated { exit_code, reason, .. } = self.container.last_state() {
                (exit_code.to_string(), reason)
            } else {
                (String::new(), "")
            };
        let says = format!("crash-loops: {restarts} restarts, last exit code {code} ({why})");
        self.observe("container.crash_looping", &says)
            .maybe_since(self.trouble_since())
            .until(self.now)
            .count(restarts)
            .attr("restarts", restarts.to_string())
            .attr("last_exit_code", code)
            .attr("last_reason", why)
            .quote(message)
    }

    fn config_missing(&self, message: &str, answer: &mut Answer) {
        let Some(missing) = sayings::missing(message) else {
            answer.harm(self.create_failed(message));
            return;
        };
        let object = Entity::new(missing.kind, self.pod.namespace(), missing.name.as_str());
        let key = missing.key.as_str();
        let what = if key.is_empty() {
            format!("{} {} does not exist", missing.kind, missing.name)
        } else {
            format!("{} {} has no key {key}", missing.kind, missing.name)
        };
        let since = self.trouble_since();
        answer.harm(
            self.observe("container.config_missing", &format!("cannot be created: {what}"))
                .maybe_since(since)
                .until(self.now)
                .attr("key", key)
                .peer(object.clone())
                .quote(message),
        );
        let signal = if key.is_empty() { "config.missing" } else { "config.key_missing" };
        let says = format!("{what}, needed by pod {}", self.pod.name());
        answer.harm(
            Observation::new(signal, object, says)
                .maybe_since(since)
                .until(self.now)
                .attr("key", key)
                .peer(self.pod.entity()),
        );
    }

    fn create_failed(&self, message: &str) -> Observation {
        let why = sayings::start_failure(message);
        self.observe("container.create_failed", &format!("cannot be started ({why})"))
            .maybe_since(self.trouble_since())
            .until(self.now)
            .attr("why", why)
            .attr("image", self.container.image())
            .quote(message)
    }

    fn slow(&self, reason: &str, message: &str, answer: &mut Answer) {
        let since = self.pod.time("/status/startTime").or_else(|| self.pod.created());
        let waited = since.map_or(0, |since| self.now.duration_since(since).as_secs());
        if waited < PATIENCE_SECS {
            return;
        }
        let says = format!("waits for {waited} s: {reason}");
        let seen = self.observe("container.waiting", &says);
        answer.harm(seen.maybe_since(since).until(self.now).attr("reason", reason).quote(message));
    }

    fn running(&self, answer: &mut Answer) {
        let sidecar = self.container.spec.get("restartPolicy").is_some();
        if self.container.ready() || (self.container.init && !sidecar) {
            return;
        }
        let since = self.unready_since();
        let told = since.map(|t| format!(" since {t}")).unwrap_or_default();
        answer.harm(
            self.observe("container.not_ready", &format!("runs and is not ready{told}"))
                .maybe_since(since)
                .until(self.now),
        );
        self.probe_ports(answer);
    }
}
