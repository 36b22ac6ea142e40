//! Containers that would be well if the liveness probe let them live.

mod protocol;

use serde_json::{Value, json};

use super::Tale;
use crate::incidents::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    dice::count,
    event::Happening,
    mishap::crashes_since,
    object::Ref,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime, draw_for},
    workload::{Ended, Pod, Saying, State, crashes},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("killed_while_starting", killed_while_starting),
    ("probes_the_wrong_door", probes_the_wrong_door),
    ("asks_in_another_protocol", protocol::asks_in_another_protocol),
];

/// What the kubelet says of probes that fail `each` times before it ends the container, and of
/// ending it.
fn probe_events(
    cluster: &mut Cluster,
    id: Id,
    failed: impl Fn(&Pod) -> String,
    (each, period): (Sec, Sec),
) {
    let workload = cluster[id].clone();
    for pod in workload.present().filter(|pod| !pod.runs.is_empty()) {
        let ended: Vec<Sec> = pod.runs.iter().map(|run| run.1).filter(|&end| end <= NOW).collect();
        let (Some(&first), Some(&last)) = (ended.first(), ended.last()) else { continue };
        let kills = count(ended.len());
        let say = |warning: bool, reason, message: String, times: (Sec, Sec, i64)| {
            let object = Ref::new("Pod", &workload.namespace, &pod.name);
            let event =
                Happening { warning, ..Happening::warning(object, "kubelet", reason, message) };
            let event = event.on(&pod.node).of_container(&workload.container);
            Happening { uid: pod.uid.clone(), ..event.times(times.0, times.1, times.2) }
        };
        let killed =
            format!("Container {} failed liveness probe, will be restarted", workload.container);
        let probed = (first - 2 - period * (each - 1), last - 2, kills * each);
        let events = [
            say(true, "Unhealthy", format!("Liveness probe failed: {}", failed(pod)), probed),
            say(false, "Killing", killed, (first - 2, last - 2, kills)),
        ];
        cluster.events.extend(events);
    }
}

fn probe(action: (&str, Value), (delay, period, failures): (i64, i64, i64)) -> Value {
    json!({action.0: action.1, "initialDelaySeconds": delay, "timeoutSeconds": 1,
        "periodSeconds": period, "successThreshold": 1, "failureThreshold": failures})
}

fn start_lines(runtime: Runtime) -> (&'static str, &'static str, &'static str) {
    match runtime {
        Runtime::Java => (
            "Starting application, loading reference tables before the port is opened",
            "warm-up: {n} of 2480 segments loaded",
            "Commencing graceful shutdown. Warm-up was not finished",
        ),
        Runtime::Python | Runtime::Ruby | Runtime::Php => (
            "building search index, server starts when it is complete",
            "index build: {n} of 1900 shards read",
            "Received SIGTERM while building the index, exiting",
        ),
        Runtime::Go
        | Runtime::Node
        | Runtime::DotNet
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => (
            "replaying journal before listening",
            "replayed segment {n} of 3100 in {ms}ms",
            "signal: terminated, journal replay interrupted",
        ),
    }
}

/// The program needs longer to start than the liveness probe waits, because there is more to load
/// than there used to be. Its pods were replaced (a restart, no new version) and now none
/// finishes starting. The alert comes from the gate.
fn killed_while_starting(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    if cluster[id].runtime == Runtime::Proxy {
        cluster[id].runtime = Runtime::Go;
        cluster[id].voice = draw_for(Runtime::Go, &mut cluster.dice);
    }
    let (delay, period, failures) =
        cluster.dice.pick(&[(10, 10, 3), (15, 5, 3), (20, 10, 3), (5, 10, 4)]);
    let (path, port) = (cluster.habits.probe, cluster[id].port);
    let live = json!({"path": path, "port": port, "scheme": "HTTP"});
    cluster[id].always(|template| {
        template.liveness = Some(probe(("httpGet", live.clone()), (delay, period, failures)));
    });
    let (begin, step, end) = start_lines(cluster[id].runtime);
    cluster[id].routine = vec![step.to_owned()];
    cluster[id].crash = vec![
        (Level::Info, begin.to_owned(), Vec::new()),
        (Level::Warn, end.to_owned(), Vec::new()),
    ];
    let run = delay + period * (failures - 1) + cluster.dice.between(2, 6);
    let exit = cluster.dice.pick(&[143, 143, 137]);
    let at = cluster.minutes_ago(9, 35);
    cluster.replace_all(id, at, |pod| crashes_since(pod, (pod.created + 3, run), (exit, "Error")));
    cluster.crash_events(id);
    let refused = |pod: &Pod| {
        format!(
            "Get \"http://{}:{port}{path}\": dial tcp {}:{port}: connect: connection refused",
            pod.ip, pod.ip
        )
    };
    probe_events(cluster, id, refused, (failures, period));
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["high_error_rate", "availability_low"]);
    Truth::new(cluster, alert, app.gate(), cluster.reference(id))
        .accept(cluster.parts(id))
        .told(
            "Restarted pods are killed before they have started",
            &format!("{} fails for most users since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("{name} needs longer to start than its liveness probe allows (delay {delay}s, {failures} failures every {period}s); the kubelet kills the containers again and again while they still load."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(app.gate()))
        .mention(&["liveness"])
        .mention(&[&name, cluster[id].called()])
        .not_claim(&["OOM", "out of memory", "image pull", "bad release", "dns failure"])
}

/// A rollout moved the liveness probe to a path or port where nothing answers well; the pods
/// become ready, serve, and are killed. The same code runs as before.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
fn probes_the_wrong_door(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let id = app.last();
    if cluster[id].runtime == Runtime::Proxy {
        cluster[id].runtime = Runtime::Node;
        cluster[id].voice = draw_for(Runtime::Node, &mut cluster.dice);
    }
    let port = cluster[id].port;
    let wrong = cluster.dice.chance(0.5);
    let (path, door) = if wrong {
        (cluster.dice.pick(&["/live", "/internal/alive", "/q/health/live", "/ping"]), port)
    } else {
        (cluster.habits.probe, port + 81)
    };
    let (delay, period, failures) = cluster.dice.pick(&[(15, 20, 5), (30, 15, 6), (20, 30, 4)]);
    let http = json!({"path": path, "port": door, "scheme": "HTTP"});
    let at = cluster.minutes_ago(14, 45);
    let revision = cluster.roll(id, at, |template| {
        template.liveness = Some(probe(("httpGet", http), (delay, period, failures)));
    });
    let run = delay + period * (failures - 1) + 5;
    for pod in cluster[id].pods.iter_mut().filter(|pod| pod.revision == revision) {
        restarted(pod, run);
    }
    cluster.crash_events(id);
    let failed = move |pod: &Pod| {
        if wrong {
            "HTTP probe failed with statuscode: 404".to_owned()
        } else {
            format!(
                "Get \"http://{0}:{door}{path}\": dial tcp {0}:{door}: connect: connection refused",
                pod.ip
            )
        }
    };
    probe_events(cluster, id, failed, (failures, period));
    let lost = cluster.dice.range(0.06, 0.18);
    cluster.traffic.harm(id, Harm::errors(at + 3 + run, lost, Why::Reset));
    let farewell = cluster.dice.pick(&[
        "shutdown requested, draining {n} connections",
        "received SIGTERM, stopping",
        "Shutting down: signal 15",
    ]);
    cluster[id].crash = vec![
        (Level::Info, format!("listening on port {port}"), Vec::new()),
        (Level::Warn, farewell.to_owned(), Vec::new()),
    ];
    if wrong && cluster.dice.chance(0.5) {
        let mut saying =
            Saying::new(at, period, Level::Warn, &format!("GET {path} 404 kube-probe/1.31"));
        saying.revision = Some(revision);
        cluster[id].sayings.push(saying);
    }
    let name = cluster[id].name.clone();
    let alert =
        cluster.dice.pick(&["pod_restarting_often", "pod_crash_looping", "container_restarts"]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "Pods that serve are restarted every few minutes",
            &format!("Containers of {name} restarted several times within half an hour."),
            &format!("Since the last rollout the liveness probe of {name} asks port {door} path {path}, where nothing answers it well; the kubelet kills containers that serve."),
        )
        .rated("easy", match cluster.effect(app.gate()) { "P1" => "P1", _ => "P2" })
        .mention(&["liveness"])
        .mention(&["probe", path, &door.to_string()])
        .not_claim(&["OOM", "out of memory", "image pull", "memory leak", "node pressure"])
        .or_category(&["bad_deploy_regression"])
}

/// The pod serves between its ends, which the kubelet brings about.
fn restarted(pod: &mut Pod, run: Sec) {
    pod.runs = crashes(pod.created + 3, run, NOW);
    pod.warm = Some(9);
    pod.restarts = count(pod.runs.len()) - 1;
    let ended = pod.runs.iter().rev().find(|run| run.1 <= NOW);
    pod.last = ended.map(|&(started, finished)| Ended {
        exit: 143,
        reason: "Error",
        message: String::new(),
        started,
        finished,
    });
    pod.state = match pod.runs.last() {
        Some(&(from, until)) if until > NOW => State::Running(from),
        _ => State::Waiting("CrashLoopBackOff", back_off(pod.runs.len())),
    };
}

fn back_off(runs: usize) -> String {
    let said = match runs {
        0 | 1 => "10s",
        2 => "20s",
        3 => "40s",
        4 => "1m20s",
        5 => "2m40s",
        _ => "5m0s",
    };
    format!("back-off {said} restarting failed container")
}
