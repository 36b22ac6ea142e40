//! What cAdvisor, kube-state-metrics and node_exporter measure of every pod and node.

use super::{
    clock::{NOW, Sec},
    cluster::Cluster,
    dice::{Dice, count},
    kubelet::host_ip,
    node::Machine,
    series::{Metrics, along, around, at_point},
    traffic::{Id, Played, steps},
    workload::{Kind, Pod, State, Workload},
};

const MIB: f64 = 1_048_576.0;

/// Writes all of it.
pub fn write(cluster: &Cluster, played: &Played, metrics: &mut Metrics, chance: &mut Dice) {
    for (place, workload) in cluster.workloads.iter().enumerate() {
        let busy = busy(cluster, played, Id(place));
        for pod in &workload.pods {
            if pod.gone.is_none_or(|gone| gone > steps().next().unwrap_or(0)) {
                usage(workload, pod, &busy, (metrics, chance));
                let seen = Seen { workload, pod };
                seen.resources(metrics);
                seen.states(metrics);
            }
        }
        if workload.kind == Kind::Deployment {
            replicas(workload, metrics);
        }
    }
    for node in &cluster.nodes {
        machine(node, metrics, chance);
    }
}

fn machine(node: &Machine, metrics: &mut Metrics, chance: &mut Dice) {
    let address = format!("{}:9100", host_ip(&node.name));
    let pairs = [("instance", address.as_str()), ("node", node.name.as_str())];
    let heard = |values: Vec<f64>| -> Vec<f64> {
        let silent = node.silent.unwrap_or(Sec::MAX);
        steps().zip(values).map(|(at, value)| if at < silent { value } else { f64::NAN }).collect()
    };
    // Shares of the whole, told by the form or drawn.
    let mut shares = |told: &[(Sec, f64)], low: f64, high: f64| -> Vec<f64> {
        let usual = around(chance.range(low, high), 0.004, chance);
        steps()
            .zip(usual)
            .map(|(at, usual)| if told.is_empty() { usual } else { at_point(told, at) })
            .collect()
    };
    let total = node.memory as f64 * 1024.0 * MIB;
    let memory =
        shares(&node.memory_free, 0.3, 0.6).iter().map(|share| (total * share).round()).collect();
    let disk_free =
        shares(&node.disk_free, 0.4, 0.7).iter().map(|share| (1e11 * share).round()).collect();
    metrics.gauge("node_memory_MemTotal_bytes", &pairs, heard(along(&[(0, total)])));
    metrics.gauge("node_memory_MemAvailable_bytes", &pairs, heard(memory));
    metrics.gauge("node_load1", &pairs, heard(around(node.cores as f64 * 0.35, 0.2, chance)));
    let disk = [pairs[0], pairs[1], ("mountpoint", "/")];
    metrics.gauge("node_filesystem_size_bytes", &disk, heard(along(&[(0, 1e11)])));
    metrics.gauge("node_filesystem_avail_bytes", &disk, heard(disk_free));
    for kind in ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"] {
        let values = steps().map(|at| {
            let ill = node.ills.iter().find(|ill| ill.kind == kind && at >= ill.since);
            f64::from(u8::from(ill.map_or(kind == "Ready", |ill| ill.status == "True")))
        });
        let pairs = [("condition", kind), ("node", node.name.as_str()), ("status", "true")];
        metrics.gauge("kube_node_status_condition", &pairs, values.collect());
    }
    let up = steps()
        .map(|at| f64::from(u8::from(node.silent.is_none_or(|silent| at < silent))))
        .collect();
    metrics.gauge("up", &[("instance", address.as_str()), ("job", "node-exporter")], up);
}

/// How busy a workload is over time: its rate against the rate at the beginning.
fn busy(cluster: &Cluster, played: &Played, id: Id) -> Vec<f64> {
    let place = cluster.traffic.stations.iter().position(|station| station.id == id);
    let course = place.and_then(|place| played.stations.get(place));
    match course {
        Some(course) => {
            let first = course.rate.iter().take(10).sum::<f64>().max(0.01) / 10.0;
            let before = cluster[id].ready(super::clock::BEGIN).max(1) as f64;
            steps()
                .zip(&course.rate)
                .map(|(at, rate)| rate / first * before / cluster[id].ready(at).max(1) as f64)
                .collect()
        }
        None => steps().map(|_| 1.0).collect(),
    }
}

/// Whether the pod's container runs at `at`.
fn runs(pod: &Pod, at: Sec) -> bool {
    if pod.gone.is_some_and(|gone| at >= gone) {
        return false;
    }
    if pod.lost.is_some_and(|lost| at >= lost) {
        return false;
    }
    if matches!(pod.state, State::Evicted(_)) {
        return (pod.created..pod.ready_until).contains(&at);
    }
    if !pod.runs.is_empty() {
        return pod.runs.iter().any(|(from, until)| (*from..*until).contains(&at));
    }
    pod.started().is_some_and(|since| at >= since)
        && !matches!(&pod.state, State::Over(ended) if at >= ended.finished)
}

fn usage(
    workload: &Workload,
    pod: &Pod,
    busy: &[f64],
    (metrics, chance): (&mut Metrics, &mut Dice),
) {
    let container = workload.container.as_str();
    let pairs = [
        ("container", container),
        ("namespace", workload.namespace.as_str()),
        ("pod", pod.name.as_str()),
    ];
    let template = workload.template_of(pod.revision);
    let used = workload.cpu_used / 1000.0;
    let limit =
        if template.cpu_limit > 0 { template.cpu_limit as f64 / 1000.0 } else { f64::INFINITY };
    let mut cpu = Vec::new();
    let mut throttled = Vec::new();
    let mut memories = Vec::new();
    for (at, busy) in steps().zip(busy) {
        let there = if runs(pod, at) { 1.0 } else { f64::NAN };
        let told = at_point(&workload.cpu_course, at) / 1000.0;
        let wanted = if told.is_nan() { used * busy } else { told } * chance.range(0.9, 1.1);
        cpu.push(wanted.min(limit) * there);
        throttled.push(10.0 * ((wanted / limit - 0.6) * 2.2).clamp(0.001, 0.97) * there);
        let told = told_memory(workload, pod, at);
        let level =
            if told.is_nan() { workload.memory_used * (0.9 + 0.1 * busy.min(3.0)) } else { told };
        let value = (level * MIB * chance.range(0.985, 1.015)).round();
        memories.push(if template.memory_limit > 0 {
            value.min(template.memory_limit as f64 * MIB) * there
        } else {
            value * there
        });
    }
    let age = (NOW - pod.created) as f64;
    metrics.counter("container_cpu_usage_seconds", &pairs, age * used, &cpu);
    if template.cpu_limit > 0 {
        let periods: Vec<f64> =
            cpu.iter().map(|cpu| if cpu.is_nan() { f64::NAN } else { 10.0 }).collect();
        metrics.counter("container_cpu_cfs_periods", &pairs, age * 10.0, &periods);
        metrics.counter("container_cpu_cfs_throttled_periods", &pairs, age * 0.02, &throttled);
    }
    metrics.gauge("container_memory_working_set_bytes", &pairs, memories);
}

/// Memory in MiB as the form tells it; not a number where it follows the load.
fn told_memory(workload: &Workload, pod: &Pod, at: Sec) -> f64 {
    if !pod.memory.is_empty() {
        return at_point(&pod.memory, at);
    }
    let run = pod.runs.iter().find(|(from, until)| (*from..*until).contains(&at));
    match (workload.memory_run, run) {
        (Some((first, last)), Some(&(from, until))) => {
            at_point(&[(from, first), (until, last)], at)
        }
        _ => at_point(&workload.memory_course, at),
    }
}

/// A pod as kube-state-metrics sees it.
struct Seen<'a> {
    workload: &'a Workload,
    pod: &'a Pod,
}

impl Seen<'_> {
    /// Labels of the pod, with one more.
    fn labels<'b>(&'b self, more: &[(&'b str, &'b str)]) -> Vec<(&'b str, &'b str)> {
        let mut all =
            vec![("namespace", self.workload.namespace.as_str()), ("pod", self.pod.name.as_str())];
        all.extend(more);
        all
    }

    /// Values as long as the pod is there.
    fn over(&self, value: impl Fn(Sec) -> f64) -> Vec<f64> {
        let there = |at: Sec| at >= self.pod.created && self.pod.gone.is_none_or(|gone| at < gone);
        steps().map(|at| if there(at) { value(at) } else { f64::NAN }).collect()
    }

    fn resources(&self, metrics: &mut Metrics) {
        let template = self.workload.template_of(self.pod.revision);
        for (name, cpu, memory) in [
            ("kube_pod_container_resource_limits", template.cpu_limit, template.memory_limit),
            ("kube_pod_container_resource_requests", template.cpu_request, template.memory_request),
        ] {
            let both =
                [("cpu", "core", cpu as f64 / 1000.0), ("memory", "byte", memory as f64 * MIB)];
            for (resource, unit, value) in both.into_iter().filter(|(_, _, value)| *value > 0.0) {
                let container = ("container", self.workload.container.as_str());
                let all = self.labels(&[container, ("resource", resource), ("unit", unit)]);
                metrics.gauge(name, &all, self.over(|_| value));
            }
        }
    }

    fn phase(&self) -> &'static str {
        match &self.pod.state {
            State::Unscheduled(_) => "Pending",
            State::Waiting(..) if self.pod.runs.is_empty() => "Pending",
            State::Running(_) | State::Waiting(..) => "Running",
            State::Over(ended) if ended.exit == 0 => "Succeeded",
            State::Over(_) | State::Evicted(_) => "Failed",
        }
    }

    /// Restarts so far at `at`.
    fn restarts(&self, at: Sec) -> f64 {
        let pod = self.pod;
        let begun = count(pod.runs.iter().filter(|run| run.0 <= at).count());
        let before = pod.restarts - (count(pod.runs.len()) - 1).max(0);
        (before + (begun - 1).max(0)) as f64
    }

    fn states(&self, metrics: &mut Metrics) {
        let (pod, container) = (self.pod, ("container", self.workload.container.as_str()));
        let restarts = self.over(|at| self.restarts(at));
        metrics.sampled("kube_pod_container_status_restarts", &self.labels(&[container]), restarts);
        let phase = self.over(|_| 1.0);
        metrics.gauge("kube_pod_status_phase", &self.labels(&[("phase", self.phase())]), phase);
        let ready = self.over(|at| f64::from(u8::from(pod.ready(at))));
        metrics.gauge("kube_pod_status_ready", &self.labels(&[("condition", "true")]), ready);
        if let State::Waiting(reason, _) = &pod.state {
            let all = self.labels(&[container, ("reason", reason)]);
            let waiting = self.over(|at| f64::from(u8::from(!runs(pod, at))));
            metrics.gauge("kube_pod_container_status_waiting_reason", &all, waiting);
        }
        if let Some(last) = &pod.last {
            let all = self.labels(&[container, ("reason", last.reason)]);
            let first = pod.runs.first().map_or(last.finished, |run| run.1);
            let values = self.over(|at| if at >= first { 1.0 } else { f64::NAN });
            metrics.gauge("kube_pod_container_status_last_terminated_reason", &all, values);
        }
    }
}

fn replicas(workload: &Workload, metrics: &mut Metrics) {
    let pairs =
        [("deployment", workload.name.as_str()), ("namespace", workload.namespace.as_str())];
    let wanted = |at: Sec| match workload.scaled {
        Some((when, before)) if at < when => before,
        _ => workload.replicas,
    };
    metrics.gauge(
        "kube_deployment_spec_replicas",
        &pairs,
        steps().map(|at| wanted(at) as f64).collect(),
    );
    let ready = steps().map(|at| workload.ready(at).min(wanted(at) + 1) as f64).collect();
    metrics.gauge("kube_deployment_status_replicas_available", &pairs, ready);
}
