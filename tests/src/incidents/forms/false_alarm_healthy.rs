//! Nothing is wrong: what an alert takes for trouble is meant to be so, or is over.

mod intended;
mod moved;

use super::Tale;
use crate::incidents::{
    clock::{BEGIN, DAY, HOUR, MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    object::Ref,
    storage::Store,
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::{Level, Runtime},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("scanner_asks_for_nothing", scanner_asks_for_nothing),
    ("memory_level_by_design", memory_level_by_design),
    ("retired_on_purpose", retired_on_purpose),
    ("busy_as_every_night", busy_as_every_night),
    ("over_and_recovered", over_and_recovered),
    ("complains_as_always", complains_as_always),
    ("drain_moved_its_pods", moved::drain_moved_its_pods),
    ("restarted_as_planned", moved::restarted_as_planned),
    ("budget_holds_a_drain_up", moved::budget_holds_a_drain_up),
    ("both_bounds_are_one", intended::both_bounds_are_one),
    ("renewal_is_set", intended::renewal_is_set),
];

fn told(
    cluster: &Cluster,
    alert: &'static str,
    id: Id,
    (description, cause): (&str, &str),
) -> Truth {
    let truth = Truth::new(cluster, alert, id, cluster.reference(id));
    let truth = Truth { healthy: true, ..truth };
    truth
        .accept(cluster.parts(id))
        .claimed("warning")
        .told("Nothing is wrong", description, cause)
        .rated("medium", "P4")
        .mention(&[
            "no fault",
            "false alarm",
            "healthy",
            "no real",
            "not an incident",
            "no incident",
            "benign",
            "no problem",
            "nothing is wrong",
            "no action",
            "works as intended",
            "on purpose",
            "intended",
            "expected",
        ])
        .not_claim(&[
            "memory leak",
            "bad release",
            "network policy",
            "dns failure",
            "pool exhausted",
        ])
}

/// A scanner of the internet asks for hundreds of pages that never were there: many answers are
/// not 2xx, and not one of them is a fault of the service.
fn scanner_asks_for_nothing(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let gate = app.gate();
    let at = cluster.minutes_ago(9, 35);
    let rps = cluster.traffic.station(gate).map_or(20.0, |station| station.rps);
    let scans = rps * cluster.dice.range(0.5, 1.3);
    cluster.traffic.strays.push((gate, vec![(at, 0.0), (at + 60, scans), (NOW + 900, scans)]));
    if let Some(&side) = app.sides.first() {
        let other = cluster.minutes_ago(3, 50);
        cluster.roll(side, other, |t| t.tag = newer(&t.tag));
    }
    let shown = cluster[gate].called().to_owned();
    let alert = cluster.dice.pick(&["high_error_rate", "HttpNon2xxRatioHigh", "http_errors"]);
    let cause = format!(
        "A scanner asks {shown} for pages that do not exist; it rightly answers 404. Requests of users are answered as ever."
    );
    told(cluster, alert, gate, (&format!("Non-2xx ratio on {shown} is above 25%."), &cause))
        .mention(&["404", "scanner", "crawler", "bot", "4xx", "probing", "not found"])
}

/// Memory is near the limit, and has been so ever since: it was reserved at the start.
fn memory_level_by_design(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    let limit = cluster.dice.pick(&[1024_i64, 2048, 4096]);
    let level = cluster.dice.range(0.9, 0.945) * limit as f64;
    let id = if cluster.dice.chance(0.5) {
        let id = app.last();
        cluster.written_in(id, &[Runtime::Java]);
        let heap = limit * 3 / 4;
        cluster[id].always(|t| {
            t.set_env("JAVA_TOOL_OPTIONS", &format!("-Xms{heap}m -Xmx{heap}m -XX:+AlwaysPreTouch"))
        });
        let space = cluster.home();
        for pod in cluster[id].pods.clone() {
            let pairs =
                [("namespace", space.as_str()), ("pod", pod.name.as_str()), ("area", "heap")];
            let mean = heap as f64 * 1_048_576.0 * 0.45;
            let used = crate::incidents::series::around(mean, 0.25, &mut cluster.dice);
            cluster.metrics.gauge("jvm_memory_used_bytes", &pairs, used);
            cluster.metrics.constant("jvm_memory_max_bytes", &pairs, heap as f64 * 1_048_576.0);
        }
        id
    } else {
        cluster.written_in(app.last(), &[Runtime::Java, Runtime::Go, Runtime::Python]);
        let id = cluster.store_for(app.last(), Store::Redis);
        let most = limit * 9 / 10;
        cluster[id].always(|t| {
            t.command = vec![
                "redis-server".to_owned(),
                "--maxmemory".to_owned(),
                format!("{most}mb"),
                "--maxmemory-policy".to_owned(),
                "allkeys-lru".to_owned(),
            ]
        });
        id
    };
    cluster[id].always(|t| (t.memory_limit, t.memory_request) = (limit, limit));
    cluster[id].memory_course = vec![(BEGIN, level), (NOW + 900, level)];
    let shown = cluster[id].called().to_owned();
    let alert =
        cluster.dice.pick(&["high_memory", "ContainerMemoryNearLimit", "KubeContainerMemoryHigh"]);
    let cause = format!(
        "The memory of {shown} is reserved at its start by design: it is level for days, nothing was ever killed, and it serves as usual."
    );
    told(cluster, alert, id, (&format!("Memory of {shown} is above 90% of its limit."), &cause))
        .mention(&[
            "flat",
            "by design",
            "stable",
            "constant",
            "level",
            "not grow",
            "no growth",
            "steady",
            "as usual",
            "Xms",
            "maxmemory",
            "preallocated",
            "reserved",
        ])
}

/// A service was shut down on purpose long ago, and says so itself.
fn retired_on_purpose(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    cluster.forgo(&["events", "logs", "metrics"], 0.3);
    let (home, name) = (cluster.home(), cluster.names.service());
    let id = cluster.service(&home, &name);
    let at = -cluster.dice.between(2 * HOUR, 9 * DAY);
    let stamp = cluster.clock.rfc(at);
    let day = stamp.get(..10).unwrap_or_default().to_owned();
    cluster.scale(id, 0, at);
    let firm = cluster.names.firm.clone();
    let ticket = cluster.dice.between(1000, 9000);
    let note = match cluster.dice.below(4) {
        0 => (
            format!("{firm}.example/retired"),
            format!(
                "{day}: replaced by the new platform, keep until archive is done (OPS-{ticket})"
            ),
        ),
        1 => (format!("ops.{firm}.example/status"), "decommissioned".to_owned()),
        2 => (
            "kubernetes.io/change-cause".to_owned(),
            format!("scaled to zero on purpose, CHG-{ticket}, {}", cluster.names.person()),
        ),
        _ => (
            format!("{firm}.example/lifecycle"),
            format!("sunset since {day}; scaled down intentionally"),
        ),
    };
    cluster[id].annotations.push(note);
    let shown = cluster[id].called().to_owned();
    let alert = cluster.dice.pick(&[
        "service_down",
        "no_endpoints",
        "KubeDeploymentReplicasZero",
        "target_absent",
    ]);
    let cause = format!(
        "{} was retired and scaled to zero on purpose, as its annotation says; nobody calls it.",
        cluster[id].name
    );
    told(cluster, alert, id, (&format!("{shown} has no ready endpoints."), &cause)).mention(&[
        "retired",
        "scaled to zero",
        "zero",
        "0 replicas",
        "on purpose",
        "decommission",
        "intention",
        "sunset",
        "annotation",
    ])
}

/// A nightly run uses all the processor it may have, at the same time as in every night.
fn busy_as_every_night(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    let (home, cron) = (
        cluster.home(),
        cluster.names.thing(&["nightly", "rollup", "recalc", "export", "compact"]),
    );
    let at = cluster.minutes_ago(12, 40);
    let long = cluster.dice.between(50, 80) * MIN;
    let limit = cluster.dice.pick(&[1000_i64, 2000, 4000]);
    let mut running = None;
    for night in [3, 2, 1, 0] {
        let begun = at - night * DAY;
        let name = format!("{cron}-{}", cluster.run_number(begun));
        let mut job = cluster.draft_job(&home, &name, begun);
        job.cron = Some(cron.clone());
        job.container.clone_from(&cron);
        job.always(|t| {
            t.cpu_limit = 0;
            t.cpu_request = limit / 2;
            t.tag = "7.3.1".to_owned();
        });
        job.cpu_course = vec![(BEGIN, limit as f64 * 0.97), (NOW + 900, limit as f64 * 0.97)];
        job.routine = vec![
            "partition {n} of 950 done in {ms}s".to_owned(),
            "{n}00 rows aggregated".to_owned(),
        ];
        if night == 0 {
            let schedule = cluster.daily(at);
            cluster.cron_job(&job, &schedule, (at, true));
            running = Some(cluster.running_job(job));
        } else {
            let length = long + cluster.dice.between(-2 * MIN, 2 * MIN);
            cluster.ended_job(job, &[(begun + 3, begun + 3 + length)], (0, "Completed"));
        }
    }
    let id = running.unwrap_or(Id(0));
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&["high_cpu", "ContainerCpuUsageHigh", "cpu_usage_high"]);
    let cause = format!(
        "{name} is the nightly run of CronJob {cron}: it takes as much processor as in the nights before, which all ended well."
    );
    told(cluster, alert, id, (&format!("CPU usage of {cron} is unusually high."), &cause))
        .accept([Ref::new("CronJob", &home, &cron)])
        .mention(&[
            "nightly",
            "schedule",
            "CronJob",
            "cron",
            "as every night",
            "as usual",
            "batch",
            "previous runs",
            "periodic",
        ])
}

/// A provider had a hiccup of a few minutes; everything is as before since then.
fn over_and_recovered(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3);
    let app = cluster.app(hops);
    let (place, host) = cluster.outside(app.last(), true);
    let ended: Sec = -cluster.dice.between(60, 240);
    let at = ended - cluster.dice.between(2 * MIN, 4 * MIN);
    let share = cluster.dice.range(0.3, 0.7);
    if let Some(outside) = cluster.traffic.outside.get_mut(place) {
        outside.harms.push(Harm { until: ended, ..Harm::errors(at, share, Why::Status(503)) });
    }
    let gate = app.gate();
    let shown = cluster[gate].called().to_owned();
    let alert = cluster.dice.pick(&["high_error_rate", "HighErrorRatio"]);
    let cause = format!(
        "{host} answered with errors for a few minutes and has recovered by itself; since then {shown} serves as before."
    );
    told(
        cluster,
        alert,
        gate,
        (&format!("{shown}: 5xx ratio was above 10% over the last five minutes."), &cause),
    )
    .accept([Ref::new("External", "", &host)])
    .mention(&[
        "recovered",
        "resolved",
        "back to normal",
        "over",
        "ended",
        "transient",
        "blip",
        "no longer",
        "self-healed",
        "temporary",
        "brief",
    ])
}

/// A program complains loudly about its clients' mistakes, today as ever; no request fails.
fn complains_as_always(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    cluster.written_in(
        id,
        &[Runtime::Java, Runtime::Python, Runtime::DotNet, Runtime::Node, Runtime::Ruby],
    );
    let every = cluster.dice.between(8, 16);
    for text in [
        "validation failed for {id}: field 'postcode' must match [0-9]{5}",
        "rejecting upload {id}: file type 'heic' is not allowed",
    ] {
        cluster[id].say(BEGIN - 60, every, Level::Error, text);
    }
    let shown = cluster[id].called().to_owned();
    let alert = cluster.dice.pick(&["error_logs_high", "LogErrorRateHigh", "log_errors"]);
    let cause = format!(
        "{shown} logs its clients' mistakes as errors, as many as in the hour before; it answers every request well."
    );
    told(cluster, alert, id, (&format!("{shown} writes many ERROR lines."), &cause)).mention(&[
        "validation",
        "client",
        "as usual",
        "unchanged",
        "same rate",
        "as before",
        "constant",
        "always",
        "baseline",
        "logs",
        "log lines",
    ])
}
