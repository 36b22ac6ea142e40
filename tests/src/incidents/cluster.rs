//! The cluster of a story: everything a form can change, and what is made of it in the end.
//! Names, habits and noise are drawn from the seed; a form only says what is particular to it.

use std::ops::{Index, IndexMut};

use serde_json::{Value, json};

use super::{
    clock::{Clock, DAY, HOUR, NOW, Sec},
    dice::Dice,
    event::Happening,
    node::Machine,
    object::{Edit, Objects, Ref},
    red::Scheme,
    series::Metrics,
    traffic::{Id, Traffic},
    words::Names,
    workload::{Pod, Workload},
};

/// Habits of the people and programs of this cluster.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// How requests are measured.
    pub scheme: Scheme,
    /// Whether callers measure their calls.
    pub clients: bool,
    /// Whether the scheduler writes events in the newer form.
    pub modern: bool,
    /// What deploys.
    pub deployer: &'static str,
    /// What people edit with.
    pub editor: &'static str,
    /// Labels: 0 is `app`, 1 the recommended ones, 2 `k8s-app`, 3 app and component.
    pub labels: usize,
    /// Path of the probes.
    pub probe: &'static str,
}

/// Sources that are not there or do not answer.
#[derive(Debug, Clone, Default)]
pub struct Lacks {
    /// There are no logs at all.
    pub logs: bool,
    /// There are no events at all.
    pub events: bool,
    /// There are no metrics at all.
    pub metrics: bool,
    /// A source answers with an error: target, status, message.
    pub faults: Vec<(&'static str, u16, &'static str)>,
}

/// The cluster of a story.
#[derive(Debug)]
pub struct Cluster {
    /// Chance for what the form draws itself.
    pub dice: Dice,
    /// Names.
    pub names: Names,
    /// Time.
    pub clock: Clock,
    /// Objects besides workloads.
    pub objects: Objects,
    /// Workloads.
    pub workloads: Vec<Workload>,
    /// Calls and requests.
    pub traffic: Traffic,
    /// Events besides those of ordinary life.
    pub events: Vec<Happening>,
    /// Metrics besides those of ordinary life.
    pub metrics: Metrics,
    /// Nodes.
    pub nodes: Vec<Machine>,
    /// Habits.
    pub habits: Habits,
    /// Missing sources.
    pub lacks: Lacks,
    /// Whether the form has counted the pods of its namespace, so that noise adds none there.
    pub settled: bool,
    addresses: i64,
}

impl Index<Id> for Cluster {
    type Output = Workload;

    #[expect(clippy::indexing_slicing, reason = "an Id is only made by adding a workload")]
    fn index(&self, id: Id) -> &Workload {
        &self.workloads[id.0]
    }
}

impl IndexMut<Id> for Cluster {
    #[expect(clippy::indexing_slicing, reason = "an Id is only made by adding a workload")]
    fn index_mut(&mut self, id: Id) -> &mut Workload {
        &mut self.workloads[id.0]
    }
}

impl Cluster {
    /// An empty cluster with its nodes, names and habits.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        let mut habits = dice.fork("habits");
        let mut time = dice.fork("time");
        let fired = 1_735_689_600 + time.between(0, 500) * DAY + time.between(0, 24 * 60 - 1) * 60;
        let clock = Clock { fired };
        let mut names = Names::draw(dice.fork("names"));
        let nodes = super::node::draw(&mut names, &mut dice.fork("nodes"));
        let habits = Habits {
            scheme: habits.pick(&Scheme::ALL),
            clients: habits.chance(0.75),
            modern: habits.chance(0.5),
            deployer: habits.pick(&[
                "helm",
                "argocd-controller",
                "flux",
                "kubectl-client-side-apply",
                "spinnaker",
            ]),
            editor: habits.pick(&[
                "kubectl-edit",
                "kubectl-client-side-apply",
                "kubectl-patch",
                "lens",
                "rancher",
            ]),
            labels: habits.below(4),
            probe: habits.pick(&[
                "/healthz",
                "/health",
                "/ready",
                "/actuator/health/readiness",
                "/-/ready",
                "/livez",
            ]),
        };
        Self {
            objects: Objects::new(clock, dice.fork("objects")),
            dice: dice.fork("form"),
            names,
            clock,
            workloads: Vec::new(),
            traffic: Traffic::default(),
            events: Vec::new(),
            metrics: Metrics::default(),
            nodes,
            habits,
            lacks: Lacks::default(),
            settled: false,
            addresses: 4,
        }
    }

    /// With probability `share`, one of the sources `from` (`logs`, `events`, `metrics`) is not
    /// there: name only those that the story can be understood without.
    pub fn forgo(&mut self, from: &[&'static str], share: f64) {
        if !self.dice.chance(share) {
            return;
        }
        match self.dice.pick(from) {
            "logs" => self.lacks.logs = true,
            "events" => self.lacks.events = true,
            "metrics" => self.lacks.metrics = true,
            _ => {}
        }
    }

    /// Namespace of the application that the alert is about.
    #[must_use]
    pub fn home(&self) -> String {
        self.names.home.clone()
    }

    /// The next free address of a pod.
    pub fn address(&mut self) -> String {
        self.addresses += 1;
        format!("10.244.{}.{}", self.addresses / 200, self.addresses % 200 + 10)
    }

    /// A ConfigMap with `pairs`, made long ago and changed by `edits` since.
    pub fn config_map(&mut self, named: (&str, &str), pairs: &[(&str, String)], edits: &[Edit]) {
        let (namespace, name) = named;
        let made = -DAY * self.dice.between(50, 300);
        let all: Vec<String> = pairs.iter().map(|(key, _)| format!("f:data.f:{key}")).collect();
        let keys: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut whole = vec![Edit::new(made, self.habits.deployer, &keys)];
        whole.extend(edits.iter().cloned());
        let meta = self.objects.meta(&Ref::new("ConfigMap", namespace, name), made, &whole);
        let data: serde_json::Map<String, Value> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.objects.put("ConfigMap", meta, json!({"data": data}));
    }

    /// A Secret with these keys. Values are never written down: they read as redacted.
    pub fn secret(&mut self, named: (&str, &str), kind: &str, keys: &[&str], edits: &[Edit]) {
        let (namespace, name) = named;
        let made = -DAY * self.dice.between(50, 300);
        let all: Vec<String> = keys.iter().map(|key| format!("f:data.f:{key}")).collect();
        let paths: Vec<&str> = all.iter().map(String::as_str).collect();
        let mut whole = vec![Edit::new(made, self.habits.deployer, &paths)];
        whole.extend(edits.iter().cloned());
        let meta = self.objects.meta(&Ref::new("Secret", namespace, name), made, &whole);
        let data: serde_json::Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), json!("UkVEQUNURUQ="))).collect();
        self.objects.put("Secret", meta, json!({"type": kind, "data": data}));
    }

    /// Scales a Deployment to `wanted` at `at`, with new pods that come up well.
    pub fn scale(&mut self, id: Id, wanted: usize, at: Sec) {
        let before = self[id].replicas;
        let revision = self[id].revisions.len().saturating_sub(1);
        self[id].scaled = Some((at, before));
        self[id].replicas = wanted;
        for number in before..wanted {
            let workload = self[id].clone();
            let pod = self.pod(&workload, number, revision, at + 1);
            self[id].pods.push(pod);
        }
        for pod in self[id].pods.iter_mut().filter(|pod| pod.gone.is_none()).skip(wanted) {
            pod.gone = Some(at + 2);
        }
        let set = self.set_name(id, revision);
        let verb = if wanted > before { "up" } else { "down" };
        let message = format!("Scaled {verb} replica set {set} from {before} to {wanted}");
        self.say_scaled(id, at, message);
    }

    pub(super) fn set_name(&self, id: Id, revision: usize) -> String {
        let hash = self[id].revisions.get(revision).map(|r| r.hash.clone()).unwrap_or_default();
        format!("{}-{hash}", self[id].name)
    }

    pub(super) fn say_scaled(&mut self, id: Id, at: Sec, message: String) {
        let object = self.reference(id);
        let event =
            Happening::normal(object, "deployment-controller", "ScalingReplicaSet", message);
        self.events.push(event.at(at));
    }

    /// Names a workload.
    #[must_use]
    pub fn reference(&self, id: Id) -> Ref {
        Ref::new(self[id].kind.name(), &self[id].namespace, &self[id].name)
    }

    /// Names the Service before a workload.
    #[must_use]
    pub fn front_of(&self, id: Id) -> Ref {
        Ref::new("Service", &self[id].namespace, self[id].called())
    }

    /// Some time between `low` and `high` minutes before the alert.
    pub fn minutes_ago(&mut self, low: i64, high: i64) -> Sec {
        -self.dice.between(low * 60, high * 60)
    }

    /// Some time between `low` and `high` hours before the alert.
    pub fn hours_ago(&mut self, low: i64, high: i64) -> Sec {
        -self.dice.between(low * HOUR, high * HOUR)
    }

    /// Adds a warning of the kubelet about a pod of `id`, again and again until now.
    pub fn warn_pod(
        &mut self,
        id: Id,
        pod: &Pod,
        (reason, message): (&'static str, String),
        (first, every): (Sec, Sec),
    ) {
        let object = Ref::new("Pod", &self[id].namespace, &pod.name);
        let container = self[id].container.clone();
        let times = (NOW - first) / every.max(1) + 1;
        let last = first + (times - 1) * every;
        let event = Happening::warning(object, "kubelet", reason, message);
        let mut event = event.on(&pod.node).of_container(&container).times(first, last, times);
        event.uid.clone_from(&pod.uid);
        self.events.push(event);
    }
}
