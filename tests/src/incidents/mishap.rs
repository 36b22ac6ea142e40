//! Ways in which pods do not come up, in the words of the kubelet and the scheduler, with the
//! events that go with them.

use super::{
    clock::{NOW, Sec},
    cluster::Cluster,
    dice::count,
    event::Happening,
    object::Ref,
    traffic::Id,
    workload::{Ended, Pod, State, crashes},
};

/// The pod waits for an image that cannot be had.
pub fn waits_for_image(pod: &mut Pod) {
    pod.state = State::Waiting("ImagePullBackOff", String::new());
}

/// The pod found no node; the scheduler says `message`.
pub fn unscheduled(pod: &mut Pod, message: &str) {
    pod.state = State::Unscheduled(message.to_owned());
    pod.node.clear();
    pod.ip.clear();
    pod.ready_from = Sec::MAX;
}

/// The container runs `run` seconds, ends with `exit` because of `reason`, and is started again,
/// since `first`.
pub fn crashes_since(pod: &mut Pod, (first, run): (Sec, Sec), (exit, reason): (i64, &'static str)) {
    let runs = crashes(first, run, NOW);
    let running = runs.last().is_some_and(|last| last.1 > NOW);
    let ended = runs.iter().rev().find(|run| run.1 <= NOW);
    pod.last = ended.map(|&(started, finished)| Ended {
        exit,
        reason,
        message: String::new(),
        started,
        finished,
    });
    pod.restarts = count(runs.len()) - 1;
    pod.ready_until = pod.ready_until.min(first);
    if pod.ready_from >= first {
        pod.ready_from = Sec::MAX;
    }
    pod.state = if running {
        State::Running(runs.last().map_or(first, |run| run.0))
    } else {
        State::Waiting("CrashLoopBackOff", pause(runs.len()))
    };
    pod.runs = runs;
}

/// The kubelet's word for the pause after so many runs; the pod's name is filled in later.
fn pause(runs: usize) -> String {
    let seconds = 10_i64.saturating_mul(1 << runs.saturating_sub(1).min(5)).min(300);
    let said = if seconds >= 60 {
        format!("{}m{}s", seconds / 60, seconds % 60)
    } else {
        format!("{seconds}s")
    };
    format!("back-off {said} restarting failed container")
}

impl Cluster {
    /// Completes waiting messages and adds the kubelet's events for pods that cannot get their
    /// image: `said` is what the registry or the runtime answered.
    pub fn image_failures(&mut self, id: Id, places: &[usize], said: &str) {
        for pod in self.pods_at(id, places) {
            let image = self[id].template_of(pod.revision).reference();
            let failed = format!("Failed to pull image \"{image}\": {said}");
            let back = format!("Back-off pulling image \"{image}\"");
            let first = pod.created + 3;
            let pulls = crashes(first, 2, NOW);
            let last = pulls.last().map_or(first, |pull| pull.0);
            let times = count(pulls.len());
            let whole = format!("{back}: ErrImagePull: {said}");
            let message = if self.habits.modern { whole } else { back.clone() };
            self.set_waiting(id, &pod.name, &message);
            let object = Ref::new("Pod", &self[id].namespace, &pod.name);
            let container = self[id].container.clone();
            let mut say =
                |warning: bool, reason, message: String, first: Sec, last: Sec, times: i64| {
                    let event = Happening {
                        warning,
                        ..Happening::warning(object.clone(), "kubelet", reason, message)
                    };
                    let mut event =
                        event.on(&pod.node).of_container(&container).times(first, last, times);
                    event.uid.clone_from(&pod.uid);
                    self.events.push(event);
                };
            say(false, "Pulling", format!("Pulling image \"{image}\""), first, last, times);
            say(true, "Failed", failed, first + 1, last + 1, times);
            say(true, "Failed", "Error: ErrImagePull".to_owned(), first + 1, last + 1, times);
            say(false, "BackOff", back, first + 14, NOW - 8, (NOW - first) / 70 + 1);
            say(
                true,
                "Failed",
                "Error: ImagePullBackOff".to_owned(),
                first + 14,
                NOW - 8,
                (NOW - first) / 70 + 1,
            );
        }
    }

    pub(super) fn set_waiting(&mut self, id: Id, name: &str, message: &str) {
        for pod in self[id].pods.iter_mut().filter(|pod| pod.name == name) {
            if let State::Waiting(_, said) = &mut pod.state {
                message.clone_into(said);
            }
        }
    }

    /// Completes the messages of pods that crash, and adds the kubelet's events for them.
    pub fn crash_events(&mut self, id: Id) {
        let workload = self[id].clone();
        for pod in workload.present().filter(|pod| pod.runs.len() > 1 || pod.last.is_some()) {
            let name = format!("{}_{}({})", pod.name, workload.namespace, pod.uid);
            if let State::Waiting("CrashLoopBackOff", said) = &pod.state {
                let whole = format!("{said}={} pod={name}", workload.container);
                self.set_waiting(id, &pod.name, &whole);
            }
            let Some(first) = pod.runs.first().map(|run| run.1) else { continue };
            let message = format!(
                "Back-off restarting failed container {} in pod {name}",
                workload.container
            );
            self.warn_pod(id, pod, ("BackOff", message), (first + 2, 28));
        }
    }

    /// The scheduler's events for a pod that found no node, and for its waiting message.
    pub fn unscheduled_events(&mut self, id: Id) {
        let workload = self[id].clone();
        for pod in workload.present() {
            let State::Unscheduled(message) = &pod.state else { continue };
            let object = Ref::new("Pod", &workload.namespace, &pod.name);
            let event = Happening::warning(
                object,
                "default-scheduler",
                "FailedScheduling",
                message.clone(),
            );
            let mut event = event.times(
                pod.created,
                NOW - (NOW - pod.created) % 300,
                (NOW - pod.created) / 300 + 1,
            );
            event.uid.clone_from(&pod.uid);
            self.events.push(event);
        }
    }
}
