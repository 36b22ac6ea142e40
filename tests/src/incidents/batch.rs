//! Jobs and CronJobs: runs that are under way, that ended well and that failed.

use serde_json::{Value, json};

use super::{
    clock::{DAY, NOW, Sec},
    cluster::Cluster,
    dice::count,
    event::Happening,
    object::{Edit, Ref},
    traffic::Id,
    workload::{Ended, Kind, State, Workload},
};

impl Cluster {
    /// A Job made at `at`, drafted without pods: give it to [`Cluster::running_job`] or
    /// [`Cluster::ended_job`] when it is as you want it.
    pub fn draft_job(&mut self, namespace: &str, name: &str, at: Sec) -> Workload {
        let mut job = self.draft(namespace, name, Kind::Job);
        job.created = at;
        job.revisions.iter_mut().for_each(|revision| revision.at = at);
        (job.port, job.instrumented) = (0, false);
        job
    }

    /// Adds a Job whose pod runs since it was made.
    pub fn running_job(&mut self, mut job: Workload) -> Id {
        let at = job.created;
        let mut pod = self.pod(&job, 0, 0, at + 1);
        pod.ready_from = pod.created + 4;
        job.job = Some(json!({"startTime": self.clock.rfc(at), "active": 1, "ready": 1}));
        self.made(&job, &pod.name, at + 1);
        job.pods = vec![pod];
        self.add(job)
    }

    /// Adds a Job whose tries ran from and until these times and ended with `exit` because of
    /// `reason`. Exit 0 is a run that went well.
    pub fn ended_job(
        &mut self,
        mut job: Workload,
        tries: &[(Sec, Sec)],
        (exit, reason): (i64, &'static str),
    ) -> Id {
        for &(started, finished) in tries {
            let mut pod = self.pod(&job, 0, 0, started - 2);
            let message = String::new();
            pod.state = State::Over(Ended { exit, reason, message, started, finished });
            (pod.ready_from, pod.ready_until) = (started + 1, finished);
            self.made(&job, &pod.name, started - 2);
            job.pods.push(pod);
        }
        let end = tries.last().map_or(job.created, |run| run.1) + 2;
        let (begun, over) = (self.clock.rfc(job.created), self.clock.rfc(end));
        let condition = |kind: &str, reason: &str, message: &str| {
            json!([{"type": kind, "status": "True", "lastProbeTime": over,
                "lastTransitionTime": over, "reason": reason, "message": message}])
        };
        job.job = Some(if exit == 0 {
            json!({"startTime": begun, "completionTime": over, "succeeded": 1, "conditions":
                condition("Complete", "CompletionsReached", "Reached expected number of succeeded pods")})
        } else {
            json!({"startTime": begun, "failed": tries.len(), "conditions":
                condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")})
        });
        let object = Ref::new("Job", &job.namespace, &job.name);
        let (warning, reason, message) = if exit == 0 {
            (false, "Completed", "Job completed")
        } else {
            (true, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
        };
        let event = Happening::warning(object, "job-controller", reason, message.to_owned());
        self.events.push(Happening { warning, ..event }.at(end));
        self.add(job)
    }

    fn made(&mut self, job: &Workload, pod: &str, at: Sec) {
        let object = Ref::new("Job", &job.namespace, &job.name);
        let message = format!("Created pod: {pod}");
        let event = Happening::normal(object, "job-controller", "SuccessfulCreate", message);
        self.events.push(event.at(at));
    }

    /// A CronJob that ran at `last` for the last time, with the Job `job` as its pattern; `active`
    /// says that this run is still under way.
    pub fn cron_job(&mut self, job: &Workload, schedule: &str, (last, active): (Sec, bool)) -> Ref {
        let name = job.cron.clone().unwrap_or_else(|| job.name.clone());
        let named = Ref::new("CronJob", &job.namespace, &name);
        let made = -DAY * self.dice.between(60, 300);
        let edits = [Edit::new(made, self.habits.deployer, &["f:spec.f:schedule"])];
        let meta = self.objects.meta(&named, made, &edits);
        let inner = super::kubelet::pod_spec(job, &job.template());
        let mut status = json!({"lastScheduleTime": self.clock.rfc(last)});
        if let Some(status) = status.as_object_mut() {
            let good = if active { last - DAY } else { last };
            status.insert(
                "lastSuccessfulTime".into(),
                json!(self.clock.rfc(good + 1500.min(NOW - last))),
            );
            if active {
                status.insert(
                    "active".into(),
                    json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job.name,
                        "namespace": job.namespace}]),
                );
            }
        }
        let body = json!({"spec": {"schedule": schedule, "concurrencyPolicy": "Forbid", "suspend": false,
            "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1, "jobTemplate": {"spec": {
            "backoffLimit": 4, "template": {"spec": Value::Object(inner)}}}}, "status": status});
        self.objects.put("CronJob", meta, body);
        named
    }

    /// The number that a CronJob gives to the Job of a run at `at`: minutes since 1970.
    #[must_use]
    pub fn run_number(&self, at: Sec) -> i64 {
        (self.clock.fired + at) / 60
    }

    /// The schedule of a CronJob that runs every day at the time of day of `at`.
    #[must_use]
    pub fn daily(&self, at: Sec) -> String {
        let civil = self.clock.moment(at, 0).civil();
        format!("{} {} * * *", civil.minute, civil.hour)
    }
}

/// Start and end of tries that take `run` seconds each, with a Job's pauses between them.
#[must_use]
pub fn tries(first: Sec, run: Sec, times: usize) -> Vec<(Sec, Sec)> {
    let mut all = Vec::new();
    let (mut at, mut pause) = (first, 10);
    for _ in 0..times {
        all.push((at, at + run));
        at += run + pause;
        pause = (pause * 2).min(360);
    }
    debug_assert!(count(all.len()) <= 10, "a Job gives up before");
    all
}
