//! Health checks against what the program does: where it says it listens, how it answered the
//! kubelet, and whether its runs end just when a check gives up. Looked at only for containers in
//! trouble that have a check; it works without events.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::Observation;
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Cluster, Container, LogFile, Object, Probe, State, pod, sayings};
use serde_json::Value;

use super::leaving;

/// Lines read of one log at most.
const MAX_LINES: usize = 100_000;
/// Containers looked at; replicas are alike.
const MAX_CONTAINERS: usize = 30;
/// The kubelet's own delays around a check.
const SLACK_SECS: i64 = 12;

/// What a log tells of ports and checks.
#[derive(Debug, Default)]
struct Heard {
    ports: BTreeSet<u16>,
    /// By path and status.
    answers: BTreeMap<(String, u16), Answers>,
}

/// Answers of one kind to the kubelet.
#[derive(Debug, Default)]
struct Answers {
    count: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    line: String,
}

pub(super) async fn judge(cluster: &Cluster, pods: &[Object], answer: &mut Answer) {
    let mut looked = 0;
    for pod in pods.iter().filter(|p| !leaving(p)) {
        for container in pod::containers(pod) {
            let probes = container.probes();
            let ends = ends_at_limit(pod, &container, cluster.now());
            let troubled = !container.ready() || container.restarts() > 0;
            if probes.is_empty() || !troubled || done(&container) || looked >= MAX_CONTAINERS {
                continue;
            }
            looked += 1;
            if let Some(seen) = ends {
                answer.harm(seen);
            }
            let heard = listen(cluster, pod, container.name).await;
            for probe in &probes {
                if let Some(seen) = unserved(pod, &container, (probe, &heard), cluster.now()) {
                    answer.harm(seen);
                }
            }
            for seen in answered(pod, &container, (&probes, &heard)) {
                answer.harm(seen);
            }
        }
    }
}

fn done(container: &Container<'_>) -> bool {
    container.init && container.spec.get("restartPolicy").is_none()
}

async fn listen(cluster: &Cluster, pod: &Object, container: &str) -> Heard {
    let mut heard = Heard::default();
    for previous in [true, false] {
        let file = LogFile {
            namespace: pod.namespace().to_owned(),
            pod: pod.name().to_owned(),
            container: container.to_owned(),
            previous,
        };
        // Logs that cannot be read are the logs plugin's gap.
        let Ok(Some(lines)) = cluster.last_lines(&file, MAX_LINES).await else { continue };
        for line in lines {
            heard.ports.extend(sayings::listening(&line.text));
            if let Some(answer) = sayings::probe_answer(&line.text) {
                let entry = heard.answers.entry(answer).or_default();
                entry.count += 1;
                entry.first = entry.first.or(line.time);
                entry.last = line.time;
                entry.line = line.text;
            }
        }
    }
    heard
}

/// A check on a port that the program says it does not listen on.
fn unserved(
    pod: &Object,
    container: &Container<'_>,
    (probe, heard): (&Probe, &Heard),
    now: Timestamp,
) -> Option<Observation> {
    let named = container.ports().into_iter().find(|(name, _)| *name == probe.port);
    let asked = match named {
        Some((_, number)) => u16::try_from(number).ok(),
        None => probe.port.parse().ok(),
    }?;
    if heard.ports.is_empty() || heard.ports.contains(&asked) {
        return None;
    }
    let served: Vec<String> = heard.ports.iter().map(u16::to_string).collect();
    let served = served.join(",");
    let says = format!(
        "container {} of pod {} is asked by its {} probe on port {asked}, but says it listens on {served}",
        container.name,
        pod.name(),
        probe.kind
    );
    Some(
        Observation::new(
            "container.probe_port_unserved",
            pod.entity().container(container.name),
            says,
        )
        .maybe_since(pod.created())
        .until(now)
        .attr("probe", probe.kind)
        .attr("port", asked.to_string())
        .attr("path", probe.path.as_str())
        .attr("served", served),
    )
}

/// Checks that the program itself answered with an error, by its own access log.
fn answered(
    pod: &Object,
    container: &Container<'_>,
    (probes, heard): (&[Probe], &Heard),
) -> Vec<Observation> {
    let refused = heard.answers.iter().filter(|((_, status), _)| *status >= 400);
    refused
        .map(|((path, status), told)| {
            let asking = probes.iter().filter(|p| p.path.split('?').next() == Some(path));
            let kinds: Vec<&str> = asking.map(|p| p.kind).collect();
            let fault = sayings::fault_of_status(*status);
            let says = format!(
                "container {} of pod {} answered the kubelet's health check {path} with {status}, {} times",
                container.name,
                pod.name(),
                told.count
            );
            Observation::new("container.probe_answered", pod.entity().container(container.name), says)
                .maybe_since(told.first)
                .maybe_until(told.last)
                .count(told.count)
                .attr("probe", kinds.join(","))
                .attr("path", path.as_str())
                .attr("status", status.to_string())
                .attr("fault", fault)
                .quote(&told.line)
        })
        .collect()
}

/// The last run was ended from outside just when a failing check uses up its patience: the kubelet
/// did it, and the program may only have been slow.
fn ends_at_limit(pod: &Object, container: &Container<'_>, now: Timestamp) -> Option<Observation> {
    let State::Terminated { exit_code, reason, started, finished, .. } = container.last_state()
    else {
        return None;
    };
    let from_outside = matches!(exit_code, 137 | 143) && reason != "OOMKilled";
    let (started, finished) = (started?, finished?);
    if !from_outside || container.restarts() == 0 {
        return None;
    }
    let lasted = finished.duration_since(started).as_secs();
    let grace = match exit_code {
        // Killed only after the time it was given to end by itself.
        137 => pod.number("/spec/terminationGracePeriodSeconds").unwrap_or(30),
        _ => 0,
    };
    let (kind, limit) = ["startupProbe", "livenessProbe"].into_iter().find_map(|field| {
        let probe = container.spec.get(field)?;
        let limit = patience(probe);
        let period = number(probe, "periodSeconds", 10);
        // A check starts anew after each success, so only the first limit can be recognised.
        let near = |grace: i64| (lasted - limit - grace).abs() <= SLACK_SECS + period;
        (near(grace) || near(0)).then_some((field.trim_end_matches("Probe"), limit))
    })?;
    let says = format!(
        "container {} of pod {} was ended from outside after {lasted} s, just when its {kind} probe gives up ({limit} s), {} restarts",
        container.name,
        pod.name(),
        container.restarts()
    );
    let since = pod.condition("Ready").filter(|c| c.status != "True").and_then(|c| c.since);
    Some(
        Observation::new(
            "container.ended_at_probe_limit",
            pod.entity().container(container.name),
            says,
        )
        .maybe_since(since.or(Some(started)).filter(|t| *t <= now))
        .until(finished)
        .count(container.restarts())
        .attr("probe", kind)
        .attr("lasted", SignedDuration::from_secs(lasted).as_secs().to_string())
        .attr("limit", limit.to_string()),
    )
}

/// Seconds from a container's start until a check that never succeeds gives up.
fn patience(probe: &Value) -> i64 {
    let failures = number(probe, "failureThreshold", 3);
    let between = number(probe, "periodSeconds", 10) * (failures - 1).max(0);
    number(probe, "initialDelaySeconds", 0) + between + number(probe, "timeoutSeconds", 1)
}

fn number(probe: &Value, key: &str, default: i64) -> i64 {
    probe.get(key).and_then(Value::as_i64).unwrap_or(default)
}
