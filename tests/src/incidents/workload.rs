//! Workloads and their pods as a story thinks of them, before they are written down as objects.
//! A form changes these; the controllers' and the kubelet's words follow from them.

use serde_json::{Value, json};

use super::{
    clock::{MIN, NOW, Sec},
    controllers::Refused,
    voice::{Level, Runtime, Voice},
};

pub use super::saying::Saying;

/// Which controller owns the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are those of the Kubernetes API")]
pub enum Kind {
    #[default]
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

impl Kind {
    /// As the API spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
        }
    }
}

/// What pods are made from: everything that a new revision may change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    /// Image without tag.
    pub image: String,
    /// Tag, or a digest beginning with `sha256:`.
    pub tag: String,
    /// `env` of the container.
    pub env: Vec<Value>,
    /// `envFrom` of the container.
    pub env_from: Vec<Value>,
    /// Volumes of the pod.
    pub volumes: Vec<Value>,
    /// `volumeMounts` of the container.
    pub mounts: Vec<Value>,
    /// `command` of the container; empty is the image's own.
    pub command: Vec<String>,
    /// Liveness probe.
    pub liveness: Option<Value>,
    /// Readiness probe.
    pub readiness: Option<Value>,
    /// CPU request in thousandths.
    pub cpu_request: i64,
    /// CPU limit in thousandths; 0 is none.
    pub cpu_limit: i64,
    /// Memory request in MiB.
    pub memory_request: i64,
    /// Memory limit in MiB; 0 is none.
    pub memory_limit: i64,
    /// Annotations of the pods.
    pub annotations: Vec<(String, String)>,
    /// Further fields of the pod's spec: `nodeSelector`, `affinity`, `imagePullSecrets`, …
    pub spec: Vec<(String, Value)>,
    /// Further containers (sidecars) and `initContainers`, whole.
    pub sidecars: Vec<Value>,
}

impl Template {
    /// Image and tag as containers name them.
    #[must_use]
    pub fn reference(&self) -> String {
        let mark = if self.tag.starts_with("sha256:") { '@' } else { ':' };
        format!("{}{mark}{}", self.image, self.tag)
    }

    /// Reads all keys of a ConfigMap as variables.
    pub fn env_from_map(&mut self, name: &str) {
        self.env_from.push(json!({"configMapRef": {"name": name}}));
    }

    /// Reads one key of a Secret as the variable `variable`.
    pub fn env_from_secret(&mut self, variable: &str, name: &str, key: &str) {
        let from = json!({"secretKeyRef": {"name": name, "key": key}});
        self.env.push(json!({"name": variable, "valueFrom": from}));
    }

    /// Sets a plain variable, in place of the former value if there is one.
    pub fn set_env(&mut self, variable: &str, value: &str) {
        self.env.retain(|e| e.get("name").and_then(Value::as_str) != Some(variable));
        self.env.push(json!({"name": variable, "value": value}));
    }

    /// Mounts a ConfigMap, Secret or claim at `path`. `source` is such as
    /// `{"configMap": {"name": "x"}}`.
    pub fn mount(&mut self, volume: &str, path: &str, source: Value) {
        let mut whole = json!({"name": volume});
        if let (Value::Object(whole), Value::Object(source)) = (&mut whole, source) {
            whole.extend(source);
        }
        self.volumes.push(whole);
        self.mounts.push(json!({"name": volume, "mountPath": path}));
    }
}

/// One revision of a workload.
#[derive(Debug, Clone)]
pub struct Revision {
    /// When it was applied.
    pub at: Sec,
    /// By which program, such as `helm` or `argocd-controller`.
    pub by: &'static str,
    /// What pods are made from since.
    pub template: Template,
    /// Ending of the ReplicaSet's name.
    pub hash: String,
}

/// How a container ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Exit code.
    pub exit: i64,
    /// Reason, such as `Error`, `Completed` or `OOMKilled`.
    pub reason: &'static str,
    /// Termination message; empty is none.
    pub message: String,
    /// When it began.
    pub started: Sec,
    /// When it ended.
    pub finished: Sec,
}

/// What a pod is doing at the time of the recording.
#[derive(Debug, Clone)]
pub enum State {
    /// Its container runs since.
    Running(Sec),
    /// Its container was never started, or waits to be started again: reason and message.
    Waiting(&'static str, String),
    /// No node was found for it: the scheduler's message.
    Unscheduled(String),
    /// Its container ended and is not started again (Jobs, evicted pods).
    Over(Ended),
    /// It was thrown off its node: message of the kubelet.
    Evicted(String),
}

/// A pod.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Name.
    pub name: String,
    /// Identifier.
    pub uid: String,
    /// Node; empty as long as none was found.
    pub node: String,
    /// Address; empty as long as it has none.
    pub ip: String,
    /// When it was made.
    pub created: Sec,
    /// Which of the workload's revisions.
    pub revision: usize,
    /// What it is doing.
    pub state: State,
    /// When it became ready; `Sec::MAX` is never.
    pub ready_from: Sec,
    /// When it ceased to be ready; `Sec::MAX` is not yet.
    pub ready_until: Sec,
    /// How often its container was started again.
    pub restarts: i64,
    /// How its container ended last time.
    pub last: Option<Ended>,
    /// Starts and ends of its container so far, oldest first, where it is started again and again.
    pub runs: Vec<(Sec, Sec)>,
    /// Where it is started again and again and becomes ready in between: seconds after each start.
    pub warm: Option<Sec>,
    /// When its node was heard of last, if it is lost with it.
    pub lost: Option<Sec>,
    /// Memory in MiB over time, as points of a line, where it is not that of its workload.
    pub memory: Vec<(Sec, f64)>,
    /// When it was deleted, if it is gone: then it is in metrics and logs only in the past.
    pub gone: Option<Sec>,
}

impl Pod {
    /// Whether it is ready at `at`.
    #[must_use]
    pub fn ready(&self, at: Sec) -> bool {
        if let Some(after) = self.warm {
            let warm = |run: &(Sec, Sec)| (run.0 + after..run.1).contains(&at);
            return self.runs.iter().any(warm) && self.gone.is_none_or(|gone| at < gone);
        }
        self.ready_from <= at && at < self.ready_until && self.gone.is_none_or(|gone| at < gone)
    }

    /// When it was marked for deletion because its node did not come back for five minutes.
    #[must_use]
    pub fn given_up(&self) -> Option<Sec> {
        self.lost.map(|lost| lost + 340).filter(|&at| at <= NOW)
    }

    /// Whether its container ever ran.
    #[must_use]
    pub fn started(&self) -> Option<Sec> {
        match &self.state {
            State::Running(since) => Some(self.runs.first().map_or(*since, |run| run.0)),
            State::Over(ended) => Some(ended.started),
            State::Waiting(..) | State::Evicted(_) | State::Unscheduled(_) => {
                self.runs.first().map(|run| run.0)
            }
        }
    }
}

/// A Service before its workload.
#[derive(Debug, Clone)]
pub struct Front {
    /// Name: what callers use.
    pub name: String,
    /// Port that callers use.
    pub port: i64,
    /// Port of the pods: a number or a name.
    pub target: Value,
    /// Selector, where it is not the workload's own.
    pub selector: Option<Vec<(String, String)>>,
    /// When its spec was changed last, and by whom.
    pub edited: Option<(Sec, &'static str)>,
}

/// A workload.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// Controller.
    pub kind: Kind,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name of its container.
    pub container: String,
    /// Labels of its pods, by which it selects them.
    pub labels: Vec<(String, String)>,
    /// Annotations of its own.
    pub annotations: Vec<(String, String)>,
    /// How many pods are wanted.
    pub replicas: usize,
    /// When it was made.
    pub created: Sec,
    /// Revisions, oldest first; the last one is current.
    pub revisions: Vec<Revision>,
    /// Port its container listens at.
    pub port: i64,
    /// The Service before it.
    pub front: Option<Front>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Further pods of the current revision that the API server does not let it make.
    pub refused: Option<Refused>,
    /// When it was scaled last, and from how many.
    pub scaled: Option<(Sec, usize)>,
    /// Language of its program.
    pub runtime: Runtime,
    /// Form of its log lines.
    pub voice: Voice,
    /// What it says besides its routine.
    pub sayings: Vec<Saying>,
    /// What its container says when it starts and when it ends by itself.
    pub crash: Vec<(Level, String, Vec<String>)>,
    /// Its routine lines; `{id}`, `{n}` and `{ms}` are drawn anew.
    pub routine: Vec<String>,
    /// CPU in thousandths that it uses at its usual load, per pod.
    pub cpu_used: f64,
    /// Memory in MiB that it uses, per pod.
    pub memory_used: f64,
    /// CPU in thousandths per pod over time, as points of a line, where it does not follow the
    /// load. What is beyond the limit is throttled.
    pub cpu_course: Vec<(Sec, f64)>,
    /// Memory in MiB per pod over time, as points of a line, where it does not follow the load.
    pub memory_course: Vec<(Sec, f64)>,
    /// Memory in MiB at the beginning and at the end of each run of a container that is started
    /// again and again.
    pub memory_run: Option<(f64, f64)>,
    /// Whether it has metrics of its own (requests and so on).
    pub instrumented: bool,
    /// Whether its logs are kept.
    pub logged: bool,
    /// What a Job's status says, where it is one.
    pub job: Option<Value>,
    /// The CronJob that made it, where one did.
    pub cron: Option<String>,
    /// Templates of claims, where it is a StatefulSet.
    pub claims: Vec<Value>,
}

impl Workload {
    /// The template of the current revision.
    #[must_use]
    pub fn template(&self) -> Template {
        self.revisions.last().map(|revision| revision.template.clone()).unwrap_or_default()
    }

    /// The template of revision `at`.
    #[must_use]
    pub fn template_of(&self, at: usize) -> Template {
        self.revisions.get(at).map(|revision| revision.template.clone()).unwrap_or_default()
    }

    /// Changes the template in all revisions, as if it had always been so.
    pub fn always(&mut self, change: impl Fn(&mut Template)) {
        self.revisions.iter_mut().for_each(|revision| change(&mut revision.template));
    }

    /// What callers name it by: its Service, else itself.
    #[must_use]
    pub fn called(&self) -> &str {
        self.front.as_ref().map_or(&self.name, |front| &front.name)
    }

    /// Pods that are not gone.
    pub fn present(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(|pod| pod.gone.is_none())
    }

    /// Pods that count for its controller: neither gone nor ended nor thrown off their node.
    pub fn active(&self) -> impl Iterator<Item = &Pod> {
        self.present().filter(|pod| {
            !matches!(pod.state, State::Over(_) | State::Evicted(_)) && pod.given_up().is_none()
        })
    }

    /// Lets the program say `text` about every `every` seconds since `from`; 0 is once.
    pub fn say(&mut self, from: Sec, every: Sec, level: Level, text: &str) {
        self.sayings.push(Saying::new(from, every, level, text));
    }

    /// How many pods are ready at `at`.
    #[must_use]
    pub fn ready(&self, at: Sec) -> usize {
        self.pods.iter().filter(|pod| pod.ready(at)).count()
    }
}

/// Starts and ends of a container that begins at `first`, runs `run` seconds and ends, with the
/// kubelet's growing pauses (10 s, doubled up to five minutes), as far as `until`.
#[must_use]
pub fn crashes(first: Sec, run: Sec, until: Sec) -> Vec<(Sec, Sec)> {
    let mut runs = Vec::new();
    let (mut start, mut pause) = (first, 10);
    while start < until {
        runs.push((start, start + run));
        start += run + pause + 1;
        pause = (pause * 2).min(5 * MIN);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_between_crashes_double_up_to_five_minutes() {
        let runs = crashes(0, 4, 1000);
        let starts: Vec<Sec> = runs.iter().map(|run| run.0).collect();
        assert_eq!(starts, [0, 15, 40, 85, 170, 335, 640, 945]);
    }
}
