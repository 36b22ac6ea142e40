//! Runs of Jobs that fail by themselves.

mod deadline;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{DAY, HOUR, Sec},
    cluster::Cluster,
    object::{Edit, Ref, digest},
    traffic::{Harm, Id, Why},
    truth::Truth,
    voice::Level,
    workload::{Ended, Kind, Saying, State},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("run_of_the_night", run_of_the_night),
    ("data_grew_old", data_grew_old),
    ("ended_before_it_is_done", deadline::ended_before_it_is_done),
];

/// What a program says before it gives up, and the word that names it.
const ENDS: [(&str, &str); 4] = [
    ("record 48213 of input is malformed: expected 14 columns, found 13; giving up", "malformed"),
    ("duplicate key in partition 2: run aborted, nothing was written", "duplicate key"),
    ("checksum mismatch for chunk 17 of source file, aborting", "checksum mismatch"),
    ("unexpected end of input after 91822 records, rolling back", "unexpected end of input"),
];

/// A CronJob whose run at `at` failed at every try. Gives the Job, its CronJob and what it said.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
fn failed_run(cluster: &mut Cluster, at: Sec, every: Sec) -> (Id, Ref, &'static str) {
    let space = cluster.home();
    let cron = cluster.names.thing(&["import", "reconcile", "rollup", "sync", "export"]);
    let (line, word) = cluster.dice.pick(&ENDS);
    let minute = (cluster.clock.fired + at) / 60;
    let name = format!("{cron}-{minute}");
    let mut job = cluster.draft(&space, &name, Kind::Job);
    job.created = at;
    job.revisions.iter_mut().for_each(|revision| revision.at = at);
    cron.clone_into(&mut job.container);
    job.cron = Some(cron.clone());
    job.routine = vec!["{n} records read".to_owned(), "chunk {n} written in {ms}ms".to_owned()];
    job.crash = vec![(Level::Error, line.to_owned(), Vec::new())];
    let run = cluster.dice.between(35, 90);
    let (mut start, mut pause) = (at, 10);
    let mut pods = Vec::new();
    for _ in 0..5 {
        let mut pod = cluster.pod(&job, 0, 0, start);
        let (started, finished) = (start + 3, start + 3 + run);
        pod.state = State::Over(Ended {
            exit: 1,
            reason: "Error",
            message: String::new(),
            started,
            finished,
        });
        (pod.ready_from, pod.ready_until) = (started + 1, finished);
        pod.ip.clear();
        pods.push(pod);
        start = finished + pause;
        pause *= 2;
    }
    let over = cluster.clock.rfc(start - pause / 2 + 1);
    job.pods = pods;
    job.job = Some(
        json!({"startTime": cluster.clock.rfc(at), "failed": 5, "ready": 0, "terminating": 0,
        "conditions": [
        {"type": "FailureTarget", "status": "True", "lastProbeTime": over, "lastTransitionTime": over,
        "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"},
        {"type": "Failed", "status": "True", "lastProbeTime": over, "lastTransitionTime": over,
        "reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}]}),
    );
    let image = job.template().reference();
    let id = cluster.add(job);
    let object = Ref::new("CronJob", &space, &cron);
    let deployer = cluster.habits.deployer;
    let mut meta =
        cluster.objects.meta(&object, -DAY * 80, &[Edit::new(-DAY * 80, deployer, &["f:spec"])]);
    meta.insert("uid".into(), json!(digest(&cron).get(..32)));
    let civil = cluster.clock.moment(at, 0).civil();
    let schedule = format!("{} {} * * *", civil.minute, civil.hour);
    let container = json!({"name": cron, "image": image});
    let good = at - every;
    let body = json!({"spec": {"schedule": schedule, "suspend": false, "concurrencyPolicy": "Forbid",
        "successfulJobsHistoryLimit": 0, "failedJobsHistoryLimit": 1, "jobTemplate": {"spec": {"backoffLimit": 4,
        "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}}},
        "status": {"lastScheduleTime": cluster.clock.rfc(at), "lastSuccessfulTime": cluster.clock.rfc(good + 300)}});
    cluster.objects.put("CronJob", meta, body);
    let labels = [("job_name", name.as_str()), ("namespace", space.as_str())];
    let values = super::super::traffic::steps();
    let failed = values
        .map(|t| {
            if t < at {
                f64::NAN
            } else if t > start {
                5.0
            } else {
                1.0
            }
        })
        .collect();
    cluster.metrics.gauge("kube_job_status_failed", &labels, failed);
    let labels = [("cronjob", cron.as_str()), ("namespace", space.as_str())];
    let success = (cluster.clock.fired + good + 300) as f64;
    cluster.metrics.constant("kube_cronjob_status_last_successful_time", &labels, success);
    (id, object, word)
}

/// The run of a CronJob fails on its input at every try; the alert is on the CronJob.
fn run_of_the_night(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    let at = -cluster.dice.between(14 * 60, 40 * 60);
    let (id, cron, word) = failed_run(cluster, at, DAY);
    let space = cluster.home();
    let job = cluster[id].name.clone();
    let said = "Job has reached the specified backoff limit".to_owned();
    let event = super::super::event::Happening::warning(
        cluster.reference(id),
        "job-controller",
        "BackoffLimitExceeded",
        said,
    );
    let ended = cluster[id].pods.last().map_or(at, |pod| pod.ready_until);
    cluster.events.push(event.at(ended + 1));
    let alert = cluster.dice.pick(&["job_failed", "kube_job_failed", "cronjob_failed"]);
    let mut truth = Truth::new(cluster, alert, id, cluster.reference(id));
    truth.service = if cluster.dice.chance(0.5) { cron.name.clone() } else { job.clone() };
    truth
        .accept(cluster.parts(id))
        .accept([cron.clone()])
        .claimed("warning")
        .told(
            "A scheduled run fails on its input",
            &format!("Job {job} in {space} failed."),
            &format!("Job {job} of CronJob {} fails at every try: its program stops on its input ({word}) until the backoff limit is reached. Nothing else is affected.", cron.name),
        )
        .rated("easy", "P3")
        .mention(&[&job, &cron.name])
        .mention(&["failed", "backoff limit", "BackoffLimitExceeded", word])
        .not_claim(&["OOM", "image pull", "node pressure", "dns failure", "quota"])
}

/// The nightly run failed hours ago; a service refuses to work with data that has grown too old.
/// The alert comes from the gate, and the events of the Job are long gone.
fn data_grew_old(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let service = app.last();
    let run = -cluster.dice.between(3 * HOUR, 9 * HOUR);
    let (id, cron, word) = failed_run(cluster, run, DAY);
    let at = cluster.minutes_ago(6, 30);
    let share = cluster.dice.range(0.4, 0.85);
    cluster.traffic.harm(service, Harm::errors(at, share, Why::Status(503)));
    let (cron_name, job) = (cron.name.clone(), cluster[id].name.clone());
    let age = (at - run + DAY) / HOUR;
    let line = match cluster.dice.below(3) {
        0 => format!(
            "data set of {cron_name} is older than its limit of {age}h, refusing request {{id}}"
        ),
        1 => format!(
            "stale snapshot: last successful {cron_name} run is too long ago, answering 503 for {{id}}"
        ),
        _ => format!(
            "snapshot of {cron_name} expired, request {{id}} rejected until a new one arrives"
        ),
    };
    let every = cluster.dice.between(4, 14);
    cluster[service].sayings.push(Saying::new(at, every, Level::Error, &line));
    let name = cluster[service].name.clone();
    Truth::new(cluster, "high_error_rate", app.gate(), cluster.reference(id))
        .accept(cluster.parts(id))
        .accept([cron])
        .told(
            "A service waits for data of a run that failed",
            &format!("{} answers many requests with errors.", cluster[app.gate()].called()),
            &format!("The last run of CronJob {cron_name} ({job}) failed at every try ({word}); the data that {name} needs has grown too old, so it refuses requests."),
        )
        .rated("hard", cluster.effect(app.gate()))
        .mention(&[&job, &cron_name])
        .mention(&["failed", "backoff limit", "BackoffLimitExceeded", word, "stale"])
        .not_claim(&["OOM", "image pull", "bad release", "dns failure", "traffic spike"])
}
