//! Load that comes from within the cluster.

use crate::incidents::{
    clock::{END, MIN},
    cluster::Cluster,
    drawn::newer,
    traffic::{Call, Peer, step_of},
    truth::Truth,
    voice::{Level, Voice},
};

/// A load test in another namespace asks an inner service directly, past the gate, far more than
/// it can serve. What comes through the gate is as ever, and suffers.
pub(super) fn load_test_past_the_gate(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    let played = cluster.traffic.play(&cluster.workloads, &mut cluster.dice.fork("usual"));
    let place = cluster.traffic.stations.iter().position(|station| station.id == id);
    let course = place.and_then(|place| played.stations.get(place));
    let usual = course.and_then(|c| c.rate.get(step_of(-3000))).copied().unwrap_or(20.0);
    let room = usual * cluster.dice.range(1.5, 2.2);
    if let Some(station) = cluster.traffic.station(id) {
        station.capacity = room;
    }
    let at = cluster.minutes_ago(7, 30);
    let space = cluster.dice.pick(&["perf", "qa-load", "staging-tools"]);
    let tool = cluster.dice.pick(&["k6-soak", "vegeta-baseline", "gatling-rc", "locust-headless"]);
    let name = format!("{tool}-{}", cluster.dice.ending(5));
    let mut job = cluster.draft_job(space, &name, at);
    let target = format!("http://{}.{home}.svc.cluster.local", cluster[id].called());
    job.voice = Voice::Plain;
    job.routine = vec![
        "running, 400/400 VUs, {n}00 complete and 0 interrupted iterations".to_owned(),
        "http_req_duration p(95)={ms}ms http_req_failed=4{n} rate".to_owned(),
    ];
    job.always(|template| {
        template.set_env("TARGET_URL", &target);
        template.set_env("VUS", "400");
        template.image =
            format!("registry.example/tools/{}", tool.split('-').next().unwrap_or(tool));
    });
    let runner = cluster.running_job(job);
    let asked = room * cluster.dice.range(1.6, 3.0);
    cluster.traffic.calls.push(Call {
        from: runner,
        to: Peer::In(id),
        share: asked,
        timeout: 10_000.0,
        needed: false,
        harms: Vec::new(),
    });
    let points = vec![(at + 3, 0.0), (at + 63, 1.0), (END, 1.0)];
    cluster.traffic.shifts.push((runner, Peer::In(id), points));
    let line = cluster.dice.pick(&[
        "in-flight limit reached, answering 503 to {id} (agent k6/0.53)",
        "request queue is at its limit of 512, rejecting {id}",
    ]);
    cluster[id].say(at + 50, 5, Level::Warn, line);
    let first = at - cluster.dice.between(200, 900);
    cluster.roll(id, first, |template| template.tag = newer(&template.tag));
    let alert = cluster.dice.pick(&["LatencySLOBurn", "ErrorBudgetBurn", "high_error_rate"]);
    let called = cluster[id].called().to_owned();
    Truth::new(cluster, alert, gate, cluster.reference(runner))
        .accept(cluster.parts(runner))
        .told(
            "A load test past the gate",
            &format!("{} burns its error budget since {} minutes; its own traffic is as usual.", cluster[gate].called(), -at / MIN),
            &format!("Job {name} in namespace {space} sends several times the usual load straight to {called}, which can serve only a part of it; the requests that come through the gate suffer."),
        )
        .rated("hard", cluster.effect(gate))
        .mention(&[&called, &name, cluster[id].name.as_str()])
        .mention(&["load", "traffic", "requests per second", "rate"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "third party"])
}
