//! Quotas on numbers of objects.

use serde_json::json;

use crate::incidents::{
    clock::{DAY, HOUR, NOW},
    cluster::Cluster,
    drawn::newer,
    object::{Edit, Ref},
    truth::Truth,
};

/// A CronJob keeps too many of its Jobs, and the namespace's quota on their number is used up: no
/// further run can be made. The alert misses what the runs bring.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn no_further_job(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    let app = cluster.app(hops);
    cluster.settled = true;
    let home = cluster.home();
    let cron = cluster.names.thing(&["feed", "payout", "sync", "statement"]);
    let quota = cluster.dice.pick(&["object-counts", "tenant-objects", "batch-budget"]);
    let most = cluster.dice.pick(&[6_i64, 8, 5]);
    let every = cluster.dice.pick(&[600_i64, 900]);
    let stop = -cluster.dice.between(2000, 2900);
    let mut object = None;
    let mut last = None;
    for number in (0..most).rev() {
        let begun = stop - every * (number + 1);
        let name = format!("{cron}-{}", cluster.run_number(begun));
        let mut job = cluster.draft_job(&home, &name, begun);
        job.cron = Some(cron.clone());
        job.container.clone_from(&cron);
        job.routine = vec!["{n} records delivered in {ms}ms".to_owned()];
        if number == 0 {
            let schedule = format!("*/{} * * * *", every / 60);
            object = Some(cluster.cron_job(&job, &schedule, (begun, false)));
        }
        last = Some(cluster.ended_job(job, &[(begun + 3, begun + 130)], (0, "Completed")));
    }
    let editor = cluster.habits.editor;
    let named = Ref::new("ResourceQuota", &home, quota);
    let edit = Edit::new(stop - HOUR, editor, &["f:spec.f:hard"]);
    let meta = cluster.objects.meta(&named, -DAY * 120, &[edit]);
    let count = most.to_string();
    let hard = json!({"count/jobs.batch": count, "pods": "80", "services": "40"});
    let used = json!({"count/jobs.batch": count, "pods": "19", "services": "8"});
    let body = json!({"spec": {"hard": hard}, "status": {"hard": hard, "used": used}});
    cluster.objects.put("ResourceQuota", meta, body);
    let cronjob = object.unwrap_or(Ref::new("CronJob", &home, &cron));
    let mut at = stop;
    while at < NOW {
        let name = format!("{cron}-{}", cluster.run_number(at));
        let why = format!(
            "Error creating job: jobs.batch \"{name}\" is forbidden: exceeded quota: {quota}, requested: count/jobs.batch=1, used: count/jobs.batch={most}, limited: count/jobs.batch={most}"
        );
        let tries = (at, (at + every - 20).min(NOW - 4), every.min(NOW - at) / 10);
        cluster.warn((&cronjob, "cronjob-controller"), ("FailedCreate", why), tries);
        at += every;
    }
    let points = [(0, (cluster.clock.fired + stop - every) as f64)];
    let pairs = [("namespace", home.as_str()), ("cronjob", cron.as_str())];
    let seen = crate::incidents::series::along(&points);
    cluster.metrics.gauge("kube_cronjob_status_last_schedule_time", &pairs, seen);
    cluster.roll(app.last(), stop - 300, |template| template.tag = newer(&template.tag));
    cluster.forgo(&["logs"], 0.3);
    let id = last.unwrap_or(app.last());
    let alert =
        cluster.dice.pick(&["CronJobNotRunning", "feed_delivery_overdue", "KubeCronJobStale"]);
    let mut truth = Truth::new(cluster, alert, id, named)
        .accept([cronjob])
        .claimed("warning")
        .told(
            "No further run can be made",
            &format!("No run of {cron} has started for more than {} minutes, it is due every {}.", -stop / 60, every / 60),
            &format!("ResourceQuota {quota} allows {most} Jobs, and as many ended ones of CronJob {cron} are kept: every further run is forbidden."),
        )
        .rated("medium", "P3")
        .mention(&["quota"])
        .mention(&[quota, "jobs.batch", "count/jobs", &cron])
        .not_claim(&["OOM", "image pull", "dns failure", "network policy", "insufficient memory"]);
    truth.service.clone_from(&cron);
    truth
}
