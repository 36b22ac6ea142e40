//! Containers that need more memory than they may have.

mod two;

use super::Tale;
use crate::incidents::{
    app::App,
    batch::tries,
    clock::{BEGIN, MIN, NOW, Sec},
    cluster::Cluster,
    event::Happening,
    object::Ref,
    storage::Store,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("message_too_large", message_too_large),
    ("limit_was_lowered", limit_was_lowered),
    ("child_killed_inside", child_killed_inside),
    ("store_killed", store_killed),
    ("nightly_job_killed", nightly_job_killed),
    ("heap_larger_than_container", heap_larger_than_container),
    ("two_at_once", two::two_at_once),
];

fn told(
    cluster: &Cluster,
    (alert, alerted, id): (&'static str, Id, Id),
    (description, cause): (&str, &str),
) -> Truth {
    let template = cluster[id].template();
    let limit = template.memory_limit;
    let written =
        if limit % 1024 == 0 { format!("{}Gi", limit / 1024) } else { format!("{limit}Mi") };
    Truth::new(cluster, alert, alerted, cluster.reference(id))
        .accept(cluster.parts(id))
        .told("More memory than allowed", description, cause)
        .mention(&["OOMKilled", "out of memory", "OOM", "memory cgroup", "killed for memory"])
        .mention(&["memory limit", "limit", &written, "memory"])
        .not_claim(&[
            "network policy",
            "image pull",
            "dns failure",
            "node lost",
            "liveness probe is wrong",
        ])
}

/// A worker takes up a far too large message, is killed, and takes it up again.
fn message_too_large(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    cluster.forgo(&["events", "metrics", "logs"], 0.35);
    let (home, name) = (cluster.home(), cluster.names.worker());
    let id = cluster.worker(&home, &name);
    cluster.written_in(id, &[Runtime::Java, Runtime::Python, Runtime::Go, Runtime::Node]);
    let queue = cluster.store_for(app.last(), Store::Rabbit);
    cluster.use_store(id, queue, true);
    let at = cluster.minutes_ago(15, 50);
    let run = (cluster.dice.between(12, 20), cluster.dice.between(25, 50));
    cluster.kill_for_memory(id, at, run, None);
    let rows = cluster.dice.between(1_900_000, 9_800_000);
    let file = cluster.dice.hex(8);
    let noun = cluster.dice.pick(&[
        "export",
        "import file",
        "statement batch",
        "bundle",
        "report request",
    ]);
    cluster[id].crash = vec![
        (Level::Info, format!("{name} ready, prefetch 1"), Vec::new()),
        (
            Level::Info,
            format!(
                "delivery {file} (redelivered=true): loading {noun} with {rows} rows into memory"
            ),
            Vec::new(),
        ),
    ];
    cluster[id].routine = vec!["delivery {id} acknowledged, {n} rows in {ms}ms".to_owned()];
    let alert = cluster.dice.pick(&["pod_crash_looping", "KubePodCrashLooping", "worker_down"]);
    let cause = format!(
        "{name} loads {noun} {file} with {rows} rows into memory and is OOMKilled at its limit each time it is delivered again."
    );
    told(
        cluster,
        (alert, id, id),
        (&format!("{name} restarts again and again since {} minutes.", -at / MIN), &cause),
    )
    .rated("easy", "P2")
    .mention(&[&name])
}

/// Somebody made the limit too small; nothing else changed. Users see it some calls further up.
fn limit_was_lowered(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(4);
    let app = cluster.app(hops + 1);
    cluster.forgo(&["events", "logs"], 0.3);
    let id = app.last();
    let (old, new) = cluster.dice.pick(&[(1024_i64, 192_i64), (768, 128), (512, 96), (2048, 256)]);
    cluster[id].always(|t| (t.memory_limit, t.memory_request) = (old, old / 2));
    cluster[id].memory_used = new as f64 * cluster.dice.range(0.75, 0.9);
    let at = cluster.minutes_ago(9, 45);
    cluster.roll(id, at, |t| (t.memory_limit, t.memory_request) = (new, new / 2));
    let warm = cluster.dice.chance(0.5).then_some(14);
    let run = if warm.is_some() { (30, 90) } else { (6, 12) };
    cluster.kill_for_memory(id, at + 30, run, warm);
    if warm.is_some() {
        cluster.traffic.harm(id, Harm::errors(at + 40, 0.3, Why::Reset));
    }
    let gate = if hops == 0 { id } else { app.gate() };
    let alert = if hops == 0 {
        "KubePodCrashLooping"
    } else {
        cluster.dice.pick(&["high_error_rate", "HighErrorRatio", "error_budget_burn"])
    };
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(app.gate());
    let cause = format!(
        "The memory limit of {name} was lowered from {old}Mi to {new}Mi, less than it needs: its containers are OOMKilled."
    );
    told(
        cluster,
        (alert, gate, id),
        (&format!("{shown} fails for a part of its users since {} minutes.", -at / MIN), &cause),
    )
    .rated(["easy", "medium", "medium", "hard"].get(hops).copied().unwrap_or("hard"), severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["config_change_regression"])
}

/// The kernel kills worker processes inside the container; the container itself goes on, nothing
/// is restarted, and only the node and the parent process speak of it.
fn child_killed_inside(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Python, Runtime::Ruby, Runtime::Php]);
    let limit = cluster.dice.pick(&[512_i64, 768, 1024]);
    cluster[id].always(|t| (t.memory_limit, t.memory_request) = (limit, limit / 2));
    let at = cluster.minutes_ago(9, 40);
    let course = filling_again(cluster, limit as f64, at);
    cluster[id].memory_course = course;
    let (process, said): (&str, String) = match cluster[id].runtime {
        Runtime::Python => {
            ("gunicorn", "Worker (pid:{n}) was sent SIGKILL! Perhaps out of memory?".to_owned())
        }
        Runtime::Ruby => {
            ("puma", "puma worker {n} terminated by SIGKILL, starting a new one".to_owned())
        }
        Runtime::Java
        | Runtime::Go
        | Runtime::Node
        | Runtime::DotNet
        | Runtime::Php
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => (
            "php-fpm",
            "[pool www] child {n} exited on signal 9 (SIGKILL) after 41.{n} seconds from start"
                .to_owned(),
        ),
    };
    cluster[id].say(at, 55, Level::Error, &said);
    let boot =
        if process == "gunicorn" { "Booting worker with pid: {n}" } else { "worker {n} booted" };
    cluster[id].say(at + 2, 55, Level::Info, boot);
    kernel_says(cluster, id, at, process);
    let share = cluster.dice.range(0.12, 0.4);
    cluster.traffic.harm(id, Harm::errors(at, share, Why::Reset));
    let gate = app.gate();
    let alert = cluster.dice.pick(&["high_error_rate", "HttpErrorRatioHigh"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "{name} reaches its memory limit of {limit}Mi; the kernel kills its {process} processes inside the container, and the requests they serve are lost. The container is never restarted."
    );
    told(
        cluster,
        (alert, gate, id),
        (&format!("{shown}: responses are cut off since {} minutes.", -at / MIN), &cause),
    )
    .rated("hard", severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["memory_leak"])
}

/// Memory that reaches `top` at `at` and every minute or two from then on.
fn filling_again(cluster: &mut Cluster, top: f64, at: Sec) -> Vec<(Sec, f64)> {
    let mut course = vec![(BEGIN, top * 0.5), (at - 60, top * 0.53), (at, top * 0.999)];
    let mut then = at;
    while then < NOW + 600 {
        let next = then + cluster.dice.between(70, 130);
        course.extend([(then + 5, top * 0.72), (next, top * 0.999)]);
        then = next;
    }
    course
}

/// The kernel's words at the nodes of `id`, and the count of what it killed, since `at`.
fn kernel_says(cluster: &mut Cluster, id: Id, at: Sec, process: &str) {
    let limit = cluster[id].template().memory_limit;
    for pod in cluster[id].pods.clone() {
        let number = cluster.dice.between(9000, 99_000);
        let message = format!(
            "Memory cgroup out of memory: Killed process {number} ({process}) total-vm:{}kB, anon-rss:{}kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:1{}kB oom_score_adj:984",
            limit * 1900,
            limit * 410,
            number % 700
        );
        let object = Ref::new("Node", "", &pod.node);
        let last = NOW - cluster.dice.between(10, 60);
        let event = Happening::warning(object, "kernel-monitor", "OOMKilling", message);
        cluster.events.push(event.on(&pod.node).times(at + 1, last, (NOW - at) / 60));
        let pairs = [
            ("container", cluster[id].container.clone()),
            ("namespace", cluster.home()),
            ("pod", pod.name.clone()),
        ];
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let rates: Vec<f64> = crate::incidents::traffic::steps()
            .map(|now| if now < at { 0.0 } else { 1.0 / 60.0 })
            .collect();
        cluster.metrics.counter("container_oom_events", &pairs, 0.0, &rates);
    }
}

/// A database is killed with its container; its users lose their connections.
fn store_killed(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Mysql, Store::Mongo, Store::Redis]);
    let (app, id) = cluster.app_on(hops, kind);
    cluster.forgo(&["events", "metrics"], 0.2);
    let limit = cluster.dice.pick(&[768_i64, 1024, 1536]);
    cluster[id].always(|t| (t.memory_limit, t.memory_request) = (limit, limit));
    cluster[id].memory_used = limit as f64 * 0.5;
    let at = cluster.minutes_ago(8, 35);
    let warm = cluster.dice.between(12, 22);
    cluster.kill_for_memory(id, at, (35, 80), Some(warm));
    let start: (Level, &str) = match kind {
        Store::Postgres => {
            (Level::Info, "database system was interrupted; last known up a minute ago")
        }
        Store::Mysql => (Level::Info, "Starting crash recovery."),
        Store::Mongo => (Level::Warn, "Detected unclean shutdown - Lock file is not empty"),
        Store::Redis | Store::Kafka | Store::Rabbit => {
            (Level::Info, "Ready to accept connections tcp")
        }
    };
    cluster[id].crash = vec![(start.0, start.1.to_owned(), Vec::new())];
    let gate = app.gate();
    let harm = Harm::errors(at, cluster.dice.range(0.3, 0.6), Why::Reset);
    cluster.traffic.harm(id, harm);
    let alert = cluster.dice.pick(&["high_error_rate", "service_degraded", "HighErrorRatio"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "StatefulSet {name} needs more than its memory limit of {limit}Mi and is OOMKilled again and again; its users lose their connections."
    );
    told(
        cluster,
        (alert, gate, id),
        (&format!("{shown} answers with errors in bursts since {} minutes.", -at / MIN), &cause),
    )
    .rated("medium", severity)
    .mention(&[&name, cluster[id].called()])
}

/// A nightly run needs more than it may have; every try ends the same way.
fn nightly_job_killed(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app: App = cluster.app(hops);
    let (home, cron) =
        (cluster.home(), cluster.names.thing(&["closing", "rollup", "export", "reindex"]));
    let at = cluster.minutes_ago(25, 45);
    let name = format!("{cron}-{}", cluster.run_number(at));
    let mut job = cluster.draft_job(&home, &name, at);
    let limit = cluster.dice.pick(&[256_i64, 512, 1024]);
    job.always(|t| (t.memory_limit, t.memory_request) = (limit, limit / 2));
    job.cron = Some(cron.clone());
    job.container.clone_from(&cron);
    let run = cluster.dice.between(40, 110);
    let (low, high) = (limit as f64 * 0.2, limit as f64);
    job.memory_course = vec![(at, low), (at + run - 4, high), (NOW, high)];
    let rows = cluster.dice.between(3, 40);
    job.routine = vec![
        format!("chunk {{n}} of {rows}00 read, {{n}} rows"),
        "aggregating {n} groups in memory".to_owned(),
    ];
    let schedule = cluster.daily(at);
    cluster.cron_job(&job, &schedule, (at, false));
    let id = cluster.ended_job(job, &tries(at + 3, run, 5), (137, "OOMKilled"));
    let alert = cluster.dice.pick(&["job_failed", "KubeJobFailed"]);
    let _ = app;
    let cause = format!(
        "The pods of Job {name} were OOMKilled at {limit}Mi in every try, until its backoff limit was reached."
    );
    let truth =
        told(cluster, (alert, id, id), (&format!("Job {home}/{name} failed to complete."), &cause));
    Truth { service: name.clone(), ..truth }
        .accept([Ref::new("CronJob", &home, &cron)])
        .rated("easy", "P3")
        .mention(&[&name, &cron])
        .or_category(&["job_failed"])
}

/// The heap may grow beyond the container's limit since months; today's somewhat higher load is
/// the first to fill it. A release of somebody else happens at the same time.
fn heap_larger_than_container(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops + 1);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Java]);
    let (limit, heap) = cluster.dice.pick(&[(768_i64, 1024_i64), (1024, 1536), (512, 768)]);
    cluster[id].always(|t| {
        (t.memory_limit, t.memory_request) = (limit, limit / 2);
        t.set_env("JAVA_OPTS", &format!("-Xmx{heap}m -XX:MaxMetaspaceSize=192m"));
    });
    cluster[id].memory_used = limit as f64 * 0.8;
    let at = cluster.minutes_ago(12, 40);
    let factor = cluster.dice.range(1.3, 1.6);
    let gate = app.gate();
    if let Some(station) = cluster.traffic.station(gate) {
        station.surges.push((at - 300, Sec::MAX, 400, factor));
    }
    cluster.kill_for_memory(id, at, (60, 150), Some(20));
    cluster.traffic.harm(id, Harm { grows: 120, ..Harm::errors(at, 0.25, Why::Reset) });
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at + 200, |t| t.tag = crate::incidents::drawn::newer(&t.tag));
    }
    let alerted = if hops == 0 { id } else { gate };
    let alert = cluster.dice.pick(&["high_error_rate", "KubePodCrashLooping", "service_unstable"]);
    let alert = if hops > 0 { "high_error_rate" } else { alert };
    let (name, shown) = (cluster[id].name.clone(), cluster[alerted].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "{name} may use a heap of {heap}Mi in a container of {limit}Mi since long; with today's load ({factor:.1} times) it does, and is OOMKilled."
    );
    told(
        cluster,
        (alert, alerted, id),
        (&format!("{shown} is unstable since {} minutes.", -at / MIN), &cause),
    )
    .rated(if hops == 0 { "medium" } else { "hard" }, severity)
    .mention(&[&name, cluster[id].called()])
}
