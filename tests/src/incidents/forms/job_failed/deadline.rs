//! Runs that are ended before they are done.

use serde_json::json;

use crate::incidents::{
    batch::tries,
    clock::{DAY, MIN},
    cluster::Cluster,
    event::Happening,
    object::Ref,
    truth::Truth,
    voice::Level,
};

/// A nightly run takes a little longer every night; tonight it is longer than it may run, and is
/// ended at every try.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn ended_before_it_is_done(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    let home = cluster.home();
    let cron =
        cluster.names.thing(&["settlement", "rollup", "ledger-close", "snapshot", "billing"]);
    let limit = cluster.dice.pick(&[420_i64, 480, 540]);
    let at = -cluster.dice.between(3050, 3200);
    let (mut accept, mut named) = (Vec::new(), None);
    for night in [3_i64, 2, 1, 0] {
        let begun = at - night * DAY;
        let mut job =
            cluster.draft_job(&home, &format!("{cron}-{}", cluster.run_number(begun)), begun);
        job.cron = Some(cron.clone());
        job.container.clone_from(&cron);
        job.always(|t| {
            t.tag = "4.12.0".to_owned();
            t.spec.push(("activeDeadlineSeconds".to_owned(), json!(limit)));
        });
        job.routine = vec!["account {n} of 1200 closed in {ms}ms".to_owned()];
        if night > 0 {
            let length = limit - 14 * night - cluster.dice.between(2, 9);
            cluster.ended_job(job, &[(begun + 3, begun + 3 + length)], (0, "Completed"));
            continue;
        }
        job.crash = vec![(
            Level::Info,
            "caught signal 15, 1130 of 1200 accounts closed, rolling back".to_owned(),
            Vec::new(),
        )];
        let schedule = cluster.daily(at);
        let object = cluster.cron_job(&job, &schedule, (at, false));
        let runs = tries(at + 3, limit, 5);
        let id = cluster.ended_job(job, &runs, (143, "Error"));
        for pod in cluster[id].pods.clone() {
            let message =
                "Pod was active on the node longer than the specified deadline".to_owned();
            let object = Ref::new("Pod", &home, &pod.name);
            let end = pod.ready_until;
            let event = Happening::normal(object, "kubelet", "DeadlineExceeded", message);
            let mut event = event.on(&pod.node).at(end - 1);
            event.uid.clone_from(&pod.uid);
            cluster.events.push(event);
        }
        let name = cluster[id].name.clone();
        let pairs = [("namespace", home.as_str()), ("job_name", name.as_str())];
        let end = runs.last().map_or(0, |run| run.1);
        let failed = crate::incidents::series::along(&[(end, 0.0), (end + 1, 1.0)]);
        let pairs = [pairs[0], pairs[1], ("reason", "BackoffLimitExceeded")];
        cluster.metrics.gauge("kube_job_status_failed", &pairs, failed);
        accept.extend([object, cluster.reference(id)]);
        accept.extend(cluster.parts(id));
        named = Some(id);
    }
    let id = named.unwrap_or(crate::incidents::traffic::Id(0));
    let culprit = accept.first().cloned().unwrap_or(cluster.reference(id));
    let alert = cluster.dice.pick(&["KubeJobFailed", "KubeJobFailing", "daily_closing_missing"]);
    Truth::new(cluster, alert, id, culprit)
        .accept(accept)
        .claimed("warning")
        .told(
            "A run that may not run as long as it has to",
            &format!("Job {home}/{} failed to complete.", cluster[id].name),
            &format!("The run of CronJob {cron} needs more than the {} minutes that activeDeadlineSeconds allows it: it took a little longer every night, and tonight it was ended before its end at every try.", limit / MIN),
        )
        .rated("medium", "P3")
        .mention(&[&cron])
        .mention(&["deadline", "activeDeadlineSeconds", "longer than", "DeadlineExceeded", "timed out"])
        .not_claim(&["OOM", "image pull", "dns failure", "network policy", "bad release"])
}
