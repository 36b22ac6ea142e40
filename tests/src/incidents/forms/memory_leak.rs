//! Programs that never give memory back.

use super::Tale;
use crate::incidents::{
    clock::{BEGIN, DAY, HOUR, MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    pressure::{ends, lives, sawtooth},
    series::{along, at_point},
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime},
    workload::{Kind, Saying},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("sawtooth_at_level_load", sawtooth_at_level_load),
    ("script_heap_full", script_heap_full),
    ("collector_works_in_vain", collector_works_in_vain),
    ("agent_on_every_node", agent_on_every_node),
    ("creeping_since_release", creeping_since_release),
    ("steps_without_metrics", steps_without_metrics),
];

/// Lets all pods of `id` grow from `low` MiB to `high` in lives of about `length` seconds, each
/// ended with `exit`; the pods die at different times.
fn leak(
    cluster: &mut Cluster,
    id: Id,
    (low, high): (f64, f64),
    length: (Sec, Sec),
    end: (i64, &'static str, &str),
) {
    let count = cluster[id].pods.len();
    for place in 0..count {
        let mut dice = cluster.dice.fork(&format!("life {place}"));
        let born = BEGIN - dice.between(60, length.0);
        let first = born + dice.between(length.0, length.1);
        let mut runs = lives(born, first, || dice.between(length.0, length.1));
        let warm = dice.between(9, 25);
        if let Some(pod) = cluster[id].pods.get_mut(place) {
            let older = (born - pod.created) / length.1.max(1);
            pod.restarts = older.clamp(0, 60);
            ends(pod, std::mem::take(&mut runs), Some(warm), end);
            sawtooth(pod, (low, high), 0.0);
        }
    }
    blips(cluster, id);
}

/// Requests in flight are lost whenever a container dies.
fn blips(cluster: &mut Cluster, id: Id) {
    let pods = cluster[id].pods.clone();
    let share = 1.0 / pods.len().max(1) as f64;
    for (_, until) in pods.iter().flat_map(|pod| pod.runs.clone()).filter(|run| run.1 < NOW) {
        let harm = Harm { until: until + 45, ..Harm::errors(until, share * 0.8, Why::Reset) };
        cluster.traffic.harm(id, harm);
    }
}

fn grown(cluster: &mut Cluster, id: Id) {
    let limit = cluster.dice.pick(&[512, 768, 1024, 1536]);
    cluster[id].always(|t| (t.memory_limit, t.memory_request) = (limit, limit / 2));
}

/// Memory climbs in every pod at level load, the kernel kills it, and it begins anew. The alert is
/// on the service itself or some calls further up.
fn sawtooth_at_level_load(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops.max(1));
    cluster.forgo(&["events", "logs"], 0.3);
    let id = app.last();
    grown(cluster, id);
    let limit = cluster[id].template().memory_limit as f64;
    let low = limit * cluster.dice.range(0.25, 0.4);
    let length = (cluster.dice.between(14, 18) * MIN, cluster.dice.between(19, 27) * MIN);
    leak(cluster, id, (low, limit * 0.998), length, (137, "OOMKilled", ""));
    cluster.end_events(id);
    // Somebody else's release nearby: nothing came of it.
    if let Some(&side) = app.sides.first() {
        let at = cluster.minutes_ago(4, 50);
        cluster.roll(side, at, |template| template.tag = newer(&template.tag));
    }
    let direct = hops == 0;
    let alerted = if direct { id } else { app.gate() };
    let alert = if direct {
        cluster.dice.pick(&["pod_crash_looping", "KubeContainerOOMKilled", "PodRestartsFrequent"])
    } else {
        cluster.dice.pick(&["high_error_rate", "ErrorBudgetBurn"])
    };
    let shown = cluster[alerted].called().to_owned();
    told(
        cluster,
        (alert, alerted, id),
        &format!("{shown} loses requests again and again for the last hour."),
    )
    .rated(["easy", "medium", "medium", "hard"].get(hops).copied().unwrap_or("hard"), "P3")
}

fn told(
    cluster: &Cluster,
    (alert, alerted, id): (&'static str, Id, Id),
    description: &str,
) -> Truth {
    let name = cluster[id].name.clone();
    Truth::new(cluster, alert, alerted, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "Memory that is never given back",
            description,
            &format!("{name} leaks memory: it grows steadily at level load until its container is killed, and again after every restart."),
        )
        .mention(&[&name, cluster[id].called()])
        .mention(&["leak", "grows", "growing", "climb", "steadily", "increas"])
        .not_claim(&["network policy", "image pull", "dns failure", "traffic spike", "liveness probe is wrong"])
}

/// A JavaScript heap fills up to its own bound, below the container's: the program aborts itself,
/// and nobody speaks of the kernel.
fn script_heap_full(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops + 1);
    cluster.forgo(&["events"], 0.2);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Node]);
    let heap = cluster.dice.pick(&[512, 768, 1024]);
    let option = format!("--max-old-space-size={heap}");
    cluster[id].always(|t| {
        (t.memory_limit, t.memory_request) = (heap * 2, heap);
        t.set_env("NODE_OPTIONS", &option);
    });
    let bound = heap as f64;
    let length = (cluster.dice.between(11, 15) * MIN, cluster.dice.between(16, 24) * MIN);
    leak(cluster, id, (bound * 0.3, bound * 1.12), length, (134, "Error", ""));
    cluster.end_events(id);
    let port = cluster[id].port;
    cluster[id].crash = vec![
        (Level::Info, format!("listening on port {port}"), Vec::new()),
        (
            Level::Fatal,
            "FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory".to_owned(),
            vec![
                format!("[1:0x6d3c000]   981233 ms: Mark-Compact {heap}.1 ({heap}.9) -> {heap}.0 ({heap}.9) MB, 1311.2 / 0.0 ms  (average mu = 0.081, current mu = 0.004) allocation failure; scavenge might not succeed"),
                "----- Native stack trace -----".to_owned(),
                " 1: 0xb9bf90 node::OOMErrorHandler(char const*, v8::OOMDetails const&) [node]".to_owned(),
            ],
        ),
    ];
    let space = cluster.home();
    for pod in cluster[id].pods.clone() {
        let pairs = [("namespace", space.as_str()), ("pod", pod.name.as_str())];
        let used = along(&pod.memory).iter().map(|mib| mib * 0.88 * 1_048_576.0).collect();
        cluster.metrics.gauge("nodejs_heap_size_used_bytes", &pairs, used);
    }
    let gate = if hops == 0 { id } else { app.gate() };
    let alert = cluster.dice.pick(&["pod_crash_looping", "KubePodCrashLooping", "high_error_rate"]);
    let shown = cluster[gate].called().to_owned();
    told(cluster, (alert, gate, id), &format!("{shown} is interrupted every few minutes."))
        .rated(if hops > 0 { "medium" } else { "easy" }, "P3")
        .or_category(&["oom_killed"])
}

/// A Java heap that fills up within an hour: the container's memory is level (it was reserved at
/// the start), what is left after each collection climbs, and collections eat the time.
fn collector_works_in_vain(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Java]);
    let (limit, heap) = cluster.dice.pick(&[(1024_i64, 768_i64), (2048, 1536), (1536, 1152)]);
    cluster[id].always(|t| {
        (t.memory_limit, t.memory_request) = (limit, limit);
        t.set_env("JAVA_TOOL_OPTIONS", &format!("-Xms{heap}m -Xmx{heap}m -XX:+UseG1GC"));
    });
    cluster[id].memory_course = vec![(BEGIN, heap as f64 * 1.18), (NOW, heap as f64 * 1.21)];
    let thick = cluster.minutes_ago(8, 22);
    let (whole, low) = (heap as f64 * 1_048_576.0, cluster.dice.range(0.4, 0.55));
    let space = cluster.home();
    let live = [(BEGIN, low), (thick, 0.95), (NOW, 0.995)];
    for pod in cluster[id].pods.clone() {
        let pairs = [("namespace", space.as_str()), ("pod", pod.name.as_str()), ("area", "heap")];
        let old = [pairs[0], pairs[1], ("area", "heap"), ("id", "G1 Old Gen")];
        let used: Vec<f64> = along(&live).iter().map(|share| share * whole).collect();
        cluster.metrics.gauge("jvm_memory_used_bytes", &old, used.clone());
        cluster.metrics.constant("jvm_memory_max_bytes", &old, whole);
        cluster.metrics.gauge("jvm_gc_live_data_size_bytes", &pairs[..2], used);
        let pause = along(&[(BEGIN, 0.01), (thick - 600, 0.03), (thick, 0.22), (NOW, 0.68)]);
        let name = "jvm_gc_pause_seconds";
        let all =
            [pairs[0], pairs[1], ("action", "end of major GC"), ("cause", "G1 Compaction Pause")];
        let kind = crate::incidents::series::Type::Histogram;
        cluster.metrics.growing((name, kind, "jvm_gc_pause_seconds_sum"), &all, 812.0, &pause);
        let times: Vec<f64> = pause.iter().map(|spent| spent / 1.4).collect();
        cluster.metrics.growing((name, kind, "jvm_gc_pause_seconds_count"), &all, 4021.0, &times);
    }
    cluster[id].cpu_course = vec![(BEGIN, 120.0), (thick - 600, 140.0), (NOW, 820.0)];
    cluster[id].always(|t| (t.cpu_limit, t.cpu_request) = (2000, 500));
    cluster.traffic.harm(id, Harm { grows: 600, ..Harm::slow(thick, 45.0) });
    let late = thick + (NOW - thick) / 2;
    cluster.traffic.harm(id, Harm { grows: 300, ..Harm::errors(late, 0.25, Why::Status(500)) });
    let lines: [(Sec, Sec, Level, String); 3] = [
        (thick, 45, Level::Warn, format!("[gc] GC({{n}}) Pause Full (G1 Compaction Pause) {}M->{}M({heap}M) 1{{n}}.104ms", heap - 2, heap - 9)),
        (late, 40, Level::Error, "Handler dispatch failed: java.lang.OutOfMemoryError: Java heap space".to_owned()),
        (late + 60, 90, Level::Error, "Exception in thread \"scheduling-1\" java.lang.OutOfMemoryError: GC overhead limit exceeded".to_owned()),
    ];
    for (from, every, level, text) in lines {
        cluster[id].say(from, every, level, &text);
    }
    let alert = cluster.dice.pick(&["high_latency", "RequestLatencyP99High", "slow_responses"]);
    let gate = app.gate();
    let shown = cluster[gate].called().to_owned();
    let severity = cluster.lasting_effect(gate);
    told(
        cluster,
        (alert, gate, id),
        &format!("p99 of {shown} rises since about {} minutes.", -thick / MIN),
    )
    .rated("hard", severity)
    .or_category(&["oom_killed"])
}

/// A log or metrics agent of the platform leaks on every node; applications are well.
fn agent_on_every_node(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    let name =
        cluster.dice.pick(&["log-shipper", "node-agent", "trace-forwarder", "flow-exporter"]);
    let space = cluster.dice.pick(&["observability", "platform-agents", "telemetry"]);
    let mut agent = cluster.draft(space, name, Kind::DaemonSet);
    agent.cpu_used = 25.0;
    let limit = cluster.dice.pick(&[200_i64, 256, 384]);
    agent.always(|t| (t.memory_limit, t.memory_request) = (limit, limit / 2));
    agent.routine = vec![
        "flushed {n} records in {ms}ms".to_owned(),
        "rotated input file, inode {n}".to_owned(),
        "buffer: {n} chunks held".to_owned(),
    ];
    let id = cluster.add(agent);
    let high = limit as f64;
    let length = (cluster.dice.between(20, 26) * MIN, cluster.dice.between(30, 40) * MIN);
    leak(cluster, id, (high * 0.3, high), length, (137, "OOMKilled", ""));
    cluster.end_events(id);
    let alert = cluster.dice.pick(&[
        "KubeDaemonSetPodsRestarting",
        "pod_restarts",
        "KubeContainerOOMKilled",
    ]);
    told(
        cluster,
        (alert, id, id),
        &format!("Containers of DaemonSet {name} in {space} were restarted more than ten times."),
    )
    .rated("easy", "P3")
    .or_category(&["oom_killed"])
}

/// Nothing was killed yet: since a release hours ago memory creeps towards the limit at the same
/// pace in all pods.
fn creeping_since_release(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    cluster.forgo(&["events", "logs"], 0.3);
    let place = cluster.dice.below(app.path.len());
    let id = app.path.get(place).copied().unwrap_or(app.last());
    grown(cluster, id);
    let limit = cluster[id].template().memory_limit as f64;
    let at = -cluster.dice.between(5 * HOUR, 20 * HOUR);
    let tag = newer(&cluster[id].template().tag);
    cluster.roll(id, at, |template| template.tag.clone_from(&tag));
    let end = cluster.dice.range(0.93, 0.975) * limit;
    let course = [(at, limit * 0.28), (NOW, end), (NOW + 900, limit * 0.995)];
    cluster[id].memory_course = vec![
        (BEGIN, at_point(&course, BEGIN)),
        (BEGIN / 2, at_point(&course, BEGIN / 2)),
        (NOW, end),
    ];
    let alert =
        cluster.dice.pick(&["ContainerMemoryNearLimit", "high_memory", "KubeContainerMemoryHigh"]);
    let shown = cluster[id].called().to_owned();
    told(cluster, (alert, id, id), &format!("Working set of {shown} is above 90% of its limit."))
        .rated("medium", "P3")
        .or_category(&["bad_deploy_regression"])
}

/// There are no metrics: only the restarts at even intervals and what the program says of itself.
fn steps_without_metrics(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops + 1);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Java, Runtime::Go, Runtime::Python]);
    grown(cluster, id);
    let limit = cluster[id].template().memory_limit as f64;
    let hours = cluster.dice.between(2, 5);
    let length = (hours * HOUR - 4 * MIN, hours * HOUR + 4 * MIN);
    for pod in &mut cluster[id].pods {
        pod.created = pod.created.min(-3 * DAY);
    }
    leak(cluster, id, (limit * 0.2, limit), length, (137, "OOMKilled", ""));
    cluster.end_events(id);
    for pod in cluster[id].pods.clone() {
        let mut at = BEGIN;
        while at < NOW {
            let used = at_point(&pod.memory, at);
            let text = format!(
                "session registry: {} entries held, 0 expired, process rss {}MiB",
                crate::incidents::dice::whole(used * 1900.0),
                crate::incidents::dice::whole(used)
            );
            let mut saying = Saying::new(at, 0, Level::Info, &text);
            saying.pod = Some(pod.name.clone());
            cluster[id].sayings.push(saying);
            at += 5 * MIN;
        }
    }
    let refused = cluster.dice.chance(0.5);
    if refused {
        cluster.lacks.faults.push(("metrics", 503, "service unavailable: query engine is down"));
    } else {
        cluster.lacks.metrics = true;
    }
    let alert = cluster.dice.pick(&["pod_crash_looping", "PodRestartsFrequent"]);
    let shown = cluster[id].called().to_owned();
    let mut truth = told(
        cluster,
        (alert, id, id),
        &format!("{shown} was restarted every few hours since days."),
    )
    .rated("hard", "P3")
    .or_category(&["oom_killed"]);
    if refused {
        truth.gaps = vec![vec!["metrics".to_owned(), "prometheus".to_owned()]];
    }
    truth
}
