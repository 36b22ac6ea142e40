//! Containers that work for a while, end, and are started again: memory that runs out, heaps that
//! are full. The pods are ready in between, unlike those that never come up.

use super::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    dice::count,
    traffic::{Id, step_of},
    workload::{Ended, Pod, State},
};

/// Lives of a container that ends at `first` and lasts `length()` seconds each time from then on,
/// with the kubelet's pauses: doubled up to five minutes, short again after ten good minutes.
pub fn lives(born: Sec, first: Sec, mut length: impl FnMut() -> Sec) -> Vec<(Sec, Sec)> {
    let mut all = vec![(born, first)];
    let (mut at, mut pause) = (first + 2, 10);
    while at <= NOW {
        let run = length().max(1);
        all.push((at, at + run));
        pause = if run >= 10 * MIN { 10 } else { pause };
        at += run + pause;
        pause = (pause * 2).min(5 * MIN);
    }
    all
}

/// The pod's container has these lives, each ended with `exit` because of `reason`; `warm`
/// seconds after each start it is ready. None is never.
pub fn ends(
    pod: &mut Pod,
    runs: Vec<(Sec, Sec)>,
    warm: Option<Sec>,
    (exit, reason, message): (i64, &'static str, &str),
) {
    let ended = runs.iter().rev().find(|run| run.1 <= NOW);
    pod.last = ended.map(|&(started, finished)| Ended {
        exit,
        reason,
        message: message.to_owned(),
        started,
        finished,
    });
    pod.restarts += count(runs.len()) - 1;
    pod.warm = warm;
    if warm.is_none() {
        pod.ready_until = runs.first().map_or(pod.ready_until, |run| run.1);
    }
    pod.state = match runs.last() {
        Some(&(from, until)) if until > NOW => State::Running(from),
        _ => {
            let after = runs.last().map_or(0, |run| run.1);
            let short = runs.iter().rev().take_while(|run| run.1 - run.0 < 10 * MIN).count();
            let pause = 10_i64.saturating_mul(1 << short.saturating_sub(1).min(5)).min(300);
            let said = if pause >= 60 {
                format!("{}m{}s", pause / 60, pause % 60)
            } else {
                format!("{pause}s")
            };
            pod.ready_until = pod.ready_until.min(after.max(pod.created));
            State::Waiting(
                "CrashLoopBackOff",
                format!("back-off {said} restarting failed container"),
            )
        }
    };
    pod.runs = runs;
}

/// Memory in MiB over the lives of a pod: each begins with `low`, and ends with `high`; `bend` is
/// the share of a life during which it stays low (0 is a steady growth).
pub fn sawtooth(pod: &mut Pod, (low, high): (f64, f64), bend: f64) {
    pod.memory.clear();
    for &(from, until) in &pod.runs {
        let whole = (until - from) as f64;
        let turn = from + super::dice::whole(whole * bend);
        pod.memory.push((from, low));
        pod.memory.push((turn, low * 1.03));
        pod.memory.push((until - 1, high));
    }
}

impl Pod {
    /// When it became ready or ceased to be ready the last time, seen from now.
    #[must_use]
    pub fn turned(&self) -> Sec {
        let changes = |warm: Sec| {
            self.runs.iter().flat_map(move |&(from, until)| [(from + warm).min(until), until])
        };
        match self.warm {
            Some(warm) => changes(warm).filter(|&at| at <= NOW).max().unwrap_or(self.created),
            None if self.ready(NOW) => self.ready_from,
            None => self.ready_until.min(NOW),
        }
    }

    /// When it ceased to be ready; `Sec::MAX` is not yet.
    #[must_use]
    pub fn fell(&self) -> Sec {
        match self.warm {
            Some(_) if self.ready(NOW) => Sec::MAX,
            Some(_) => self.turned(),
            None => self.ready_until,
        }
    }
}

impl Cluster {
    /// How bad it is for the users of `id` over the last minutes, where pods come and go: what
    /// plainly cannot be served is P1.
    #[must_use]
    pub fn lasting_effect(&self, id: Id) -> &'static str {
        let played = self.traffic.play(&self.workloads, &mut self.dice.fork("effect"));
        let place = self.traffic.stations.iter().position(|station| station.id == id);
        let course = place.and_then(|place| played.stations.get(place));
        let last: Vec<f64> = course.map_or_else(Vec::new, |course| {
            let (from, until) = (step_of(NOW - 6 * MIN), step_of(NOW));
            course.errors.iter().take(until + 1).skip(from).copied().collect()
        });
        let share = last.iter().sum::<f64>() / last.len().max(1) as f64;
        match share {
            share if share >= 0.6 => "P1",
            share if share >= 0.04 => "P2",
            _ => "P3",
        }
    }

    /// All pods of `id` are killed for memory again and again since `at`, after `run.0` to `run.1`
    /// seconds each; `warm` seconds after each start they are ready, or never. Before that they
    /// lived well.
    pub fn kill_for_memory(&mut self, id: Id, at: Sec, run: (Sec, Sec), warm: Option<Sec>) {
        let limit = self[id].template().memory_limit as f64;
        let usual = (limit * 0.55).min(self[id].memory_used);
        for place in 0..self[id].pods.len() {
            let mut dice = self.dice.fork(&format!("life {place}"));
            let Some(pod) = self[id].pods.get_mut(place).filter(|pod| pod.gone.is_none()) else {
                continue;
            };
            let first = (at + dice.between(0, 40)).max(pod.ready_from + 12);
            let born = pod.created + 3;
            ends(
                pod,
                lives(born, first, || dice.between(run.0, run.1)),
                warm,
                (137, "OOMKilled", ""),
            );
            sawtooth(pod, (usual, limit), 0.6);
            // The first life was an ordinary one until shortly before its end.
            let rest = pod.memory.split_off(3.min(pod.memory.len()));
            pod.memory = vec![(born, usual), (first - 20, usual * 1.04), (first - 1, limit)];
            pod.memory.extend(rest);
        }
        self.end_events(id);
    }

    /// The kubelet's words about containers that ended and were started again: back-offs, as far
    /// as there were any. Completes waiting messages.
    pub fn end_events(&mut self, id: Id) {
        let workload = self[id].clone();
        for pod in workload.present().filter(|pod| pod.runs.len() > 1) {
            let name = format!("{}_{}({})", pod.name, workload.namespace, pod.uid);
            let ending = format!("{} in pod {name}", workload.container);
            if let State::Waiting("CrashLoopBackOff", said) = &pod.state {
                let whole = format!("{said}={} pod={name}", workload.container);
                self.set_waiting(id, &pod.name, &whole);
            }
            let pauses: Vec<(Sec, Sec)> = pod
                .runs
                .iter()
                .zip(pod.runs.iter().skip(1).map(|run| run.0).chain([NOW]))
                .map(|(run, next)| (run.1, next.min(NOW)))
                .filter(|(from, until)| until - from > 5 && *from >= super::clock::EVENTS_SINCE)
                .collect();
            let times: Sec = pauses.iter().map(|(from, until)| (until - from) / 12 + 1).sum();
            let (Some(first), Some(last)) = (pauses.first(), pauses.last()) else { continue };
            let message = format!("Back-off restarting failed container {ending}");
            let object = super::object::Ref::new("Pod", &workload.namespace, &pod.name);
            let event = super::event::Happening::warning(object, "kubelet", "BackOff", message);
            let mut event = event.on(&pod.node).of_container(&workload.container).times(
                first.0 + 3,
                (last.1 - 2).max(first.0 + 3),
                times,
            );
            event.uid.clone_from(&pod.uid);
            self.events.push(event);
        }
    }
}
