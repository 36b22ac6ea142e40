//! Programs that may not use the processor as much as they need.

use super::Tale;
use crate::incidents::{
    clock::{BEGIN, DAY, HOUR, MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    object::Edit,
    traffic::{Harm, Id},
    truth::Truth,
    voice::{Level, Runtime},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("limit_edited_down", limit_edited_down),
    ("worker_over_its_limit", worker_over_its_limit),
    ("tight_limit_met_by_growth", tight_limit_met_by_growth),
    ("probes_starve", probes_starve),
    ("starved_and_unmeasured", starved_and_unmeasured),
];

/// `id` wants `factor` times its limit since `at`, and takes that much longer.
fn starve(cluster: &mut Cluster, id: Id, at: Sec, (limit, factor): (i64, f64)) {
    let wanted = limit as f64 * factor;
    // What it wants is there all the time; only the limit is new, or it comes near it.
    cluster[id].cpu_course = vec![(BEGIN, wanted), (NOW + 600, wanted * 1.02)];
    if let Some(station) = cluster.traffic.station(id) {
        station.latency = station.latency.max(25.0);
    }
    let slow = (8.0 + 14.0 * factor) * cluster.dice.range(0.8, 1.6);
    cluster.traffic.harm(id, Harm::slow(at + 20, slow));
    for call in cluster.traffic.calls.iter_mut() {
        call.timeout = call.timeout.max(10_000.0);
    }
}

fn told(
    cluster: &Cluster,
    (alert, alerted, id): (&'static str, Id, Id),
    limit: i64,
    (description, cause): (&str, &str),
) -> Truth {
    Truth::new(cluster, alert, alerted, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told("Slow because it may not run", description, cause)
        .mention(&["throttl", "CFS", "cpu limit", "CPU starv"])
        .mention(&[&format!("{limit}m"), "limit"])
        .not_claim(&["memory leak", "network policy", "dns failure", "image pull", "database lock"])
}

/// The CPU limit was lowered by an edit (nothing else changed): its callers get slow, up to five
/// calls away.
fn limit_edited_down(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(6);
    let app = cluster.app(hops);
    cluster.forgo(&["events", "logs"], 0.3);
    let id = app.last();
    let (old, new) = cluster.dice.pick(&[(1000_i64, 150_i64), (800, 100), (2000, 250), (500, 80)]);
    cluster[id].always(|t| (t.cpu_limit, t.cpu_request) = (old, old / 4));
    let at = cluster.minutes_ago(8, 48);
    let deployer = std::mem::replace(&mut cluster.habits.deployer, cluster.habits.editor);
    cluster.roll(id, at, |t| (t.cpu_limit, t.cpu_request) = (new, new / 2));
    cluster.habits.deployer = deployer;
    let factor = cluster.dice.range(1.15, 1.9);
    starve(cluster, id, at, (new, factor));
    if let Some(&side) = app.sides.first() {
        let other = cluster.minutes_ago(1, 50);
        cluster.roll(side, other, |t| t.tag = newer(&t.tag));
    }
    let gate = app.gate();
    let alert = cluster.dice.pick(&[
        "high_latency",
        "RequestLatencyP95High",
        "slow_responses",
        "LatencyBudgetBurn",
    ]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The CPU limit of {name} was lowered from {old}m to {new}m; it is throttled most of the time and slows everything that calls it."
    );
    told(
        cluster,
        (alert, gate, id),
        new,
        (
            &format!("p95 latency of {shown} is many times its usual value; errors are rare."),
            &cause,
        ),
    )
    .rated(["easy", "medium", "medium", "hard"].get(hops).copied().unwrap_or("hard"), severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["config_change_regression"])
}

/// A worker without requests: only its own words and the processor's accounts tell.
fn worker_over_its_limit(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    let (home, name) = (cluster.home(), cluster.names.worker());
    let id = cluster.worker(&home, &name);
    cluster.written_in(
        id,
        &[Runtime::Java, Runtime::Python, Runtime::Go, Runtime::Rust, Runtime::DotNet],
    );
    let limit = cluster.dice.pick(&[100_i64, 200, 250, 300]);
    let at = -cluster.dice.between(2 * HOUR, 3 * DAY);
    cluster[id].always(|t| (t.cpu_limit, t.cpu_request) = (1000, 200));
    cluster.roll(id, at, |t| (t.cpu_limit, t.cpu_request) = (limit, limit));
    let wanted = limit as f64 * cluster.dice.range(1.4, 2.4);
    cluster[id].cpu_course = vec![(BEGIN, wanted), (NOW + 600, wanted)];
    cluster[id].routine = vec![
        "job {id} finished in 2{n}.4s (expected 6s)".to_owned(),
        "job {id} picked up after waiting 1{n}s".to_owned(),
    ];
    cluster[id].say(
        BEGIN,
        70,
        Level::Warn,
        "heartbeat was {ms}0ms late, event loop or scheduler is starved",
    );
    let alert = cluster.dice.pick(&["CPUThrottlingHigh", "worker_slow", "job_duration_high"]);
    let cause = format!(
        "{name} wants about twice its CPU limit of {limit}m and is throttled in most periods; its jobs take several times as long."
    );
    told(
        cluster,
        (alert, id, id),
        limit,
        (&format!("{name}: jobs take far longer than expected."), &cause),
    )
    .rated("easy", "P3")
}

/// The limit was always tight; the load has grown a little since this morning and now meets it.
/// A neighbour was released at the same time.
fn tight_limit_met_by_growth(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    cluster.forgo(&["events", "logs"], 0.2);
    let place = cluster.dice.below(hops) + 1;
    let id = app.path.get(place).copied().unwrap_or(app.last());
    let limit = cluster.dice.pick(&[120_i64, 150, 200, 300]);
    cluster[id].always(|t| (t.cpu_limit, t.cpu_request) = (limit, limit / 2));
    let at = cluster.minutes_ago(15, 40);
    let grown = cluster.dice.range(1.2, 1.35);
    let gate = app.gate();
    if let Some(station) = cluster.traffic.station(gate) {
        station.surges.push((at - 600, Sec::MAX, 900, grown));
    }
    let most = limit as f64;
    let high = most * cluster.dice.range(1.15, 1.3);
    cluster[id].cpu_course =
        vec![(BEGIN, most * 0.62), (at - 600, most * 0.66), (at + 300, high), (NOW + 600, high)];
    for other in app.path.iter().chain(&app.sides).filter(|other| **other != id) {
        cluster[*other].cpu_used = 20.0;
    }
    let slow = cluster.dice.range(14.0, 40.0);
    cluster.traffic.harm(id, Harm { grows: 500, ..Harm::slow(at - 100, slow) });
    for call in cluster.traffic.calls.iter_mut() {
        call.timeout = call.timeout.max(10_000.0);
    }
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 30, |t| t.tag = newer(&t.tag));
    }
    let alert = cluster.dice.pick(&["high_latency", "P99LatencyAboveObjective", "slow_responses"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "{name} reached its CPU limit of {limit}m with the slowly growing load of the day and is throttled; nothing was changed at it."
    );
    told(
        cluster,
        (alert, gate, id),
        limit,
        (&format!("{shown} has become slow over the last half hour."), &cause),
    )
    .rated("hard", severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["traffic_spike"])
}

/// Starved so much that even probes are not answered in time: pods come and go from the Service,
/// and the probe is innocent.
fn probes_starve(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let (old, new) = cluster.dice.pick(&[(1000_i64, 50_i64), (500, 30), (750, 40)]);
    cluster[id].always(|t| (t.cpu_limit, t.cpu_request) = (old, old / 4));
    let at = cluster.minutes_ago(9, 40);
    cluster.roll(id, at, |t| (t.cpu_limit, t.cpu_request) = (new, new));
    let factor = cluster.dice.range(2.2, 3.5);
    starve(cluster, id, at, (new, factor));
    let workload = cluster[id].clone();
    for pod in workload.present() {
        let message = format!(
            "Readiness probe failed: Get \"http://{}:{}{}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            pod.ip, workload.port, cluster.habits.probe
        );
        let every = cluster.dice.between(25, 70);
        cluster.warn_pod(id, pod, ("Unhealthy", message), (pod.ready_from + 40, every));
    }
    // One of them is out of the Service at the moment.
    if let Some(pod) = cluster[id].pods.iter_mut().rev().find(|pod| pod.gone.is_none()) {
        pod.ready_until = NOW - 25;
    }
    let share = cluster.dice.range(0.08, 0.25);
    let harm = Harm::errors(at + 60, share, crate::incidents::traffic::Why::Timeout);
    cluster.traffic.harm(id, harm);
    let gate = app.gate();
    let alert = cluster.dice.pick(&["high_error_rate", "high_latency", "HighErrorRatio"]);
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "Since its last rollout {name} has a CPU limit of {new}m instead of {old}m; it is throttled so much that it does not even answer its probes in time."
    );
    told(
        cluster,
        (alert, gate, id),
        new,
        (&format!("{shown}: slow and partly failing since {} minutes.", -at / MIN), &cause),
    )
    .rated("hard", severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["config_change_regression"])
}

/// Nothing is measured: a limit of a few hundredths of a core, an edit, and a runtime that wonders
/// where its time goes.
fn starved_and_unmeasured(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    cluster.written_in(id, &[Runtime::Java, Runtime::DotNet, Runtime::Node]);
    let (old, new) = cluster.dice.pick(&[(1000_i64, 60_i64), (1500, 80), (800, 50)]);
    cluster[id].always(|t| (t.cpu_limit, t.cpu_request) = (old, old / 4));
    let at = cluster.minutes_ago(12, 45);
    cluster.roll(id, at, |t| (t.cpu_limit, t.cpu_request) = (new, new));
    starve(cluster, id, at, (new, 2.4));
    let said = match cluster[id].runtime {
        Runtime::Java => {
            "HikariPool-1 - Thread starvation or clock leap detected (housekeeper delta=4{n}ms)."
        }
        Runtime::DotNet => {
            "As of \"{id}\", the heartbeat has been running for \"00:00:04.{n}\" which is longer than \"00:00:01\". This could be caused by thread pool starvation."
        }
        Runtime::Go
        | Runtime::Python
        | Runtime::Node
        | Runtime::Ruby
        | Runtime::Php
        | Runtime::Rust
        | Runtime::Proxy
        | Runtime::Store => "event loop blocked for 3{n}ms (threshold 200ms)",
    };
    cluster[id].say(at + 40, 30, Level::Warn, said);
    cluster[id].say(
        at + 30,
        20,
        Level::Warn,
        "slow request {id}: 4{n}ms, of which 2{ms}ms in handlers and the rest waiting to run",
    );
    cluster.lacks.metrics = true;
    // An edit of somebody's settings that has nothing to do with it.
    let (home, map) = (cluster.home(), format!("{}-banner", cluster[app.gate()].called()));
    let edited = at - 600;
    let editor = cluster.habits.editor;
    cluster.config_map(
        (&home, &map),
        &[("TEXT", "autumn".to_owned())],
        &[Edit::new(edited, editor, &["f:data.f:TEXT"])],
    );
    let gate = app.gate();
    let (name, shown) = (cluster[id].name.clone(), cluster[gate].called().to_owned());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "{name} may use only {new}m of CPU since its last rollout ({old}m before) and is starved."
    );
    told(
        cluster,
        ("high_latency", gate, id),
        new,
        (&format!("{shown} is slow; answers take seconds."), &cause),
    )
    .rated("hard", severity)
    .mention(&[&name, cluster[id].called()])
    .or_category(&["config_change_regression", "bad_deploy_regression"])
}
