//! New revisions: pods replaced one after the other as the controllers do it, or stuck at the
//! first ones that do not come up.

use super::{
    clock::{EVENTS_SINCE, NOW, Sec},
    cluster::Cluster,
    controllers::Refused,
    dice::count,
    event::Happening,
    traffic::Id,
    workload::{self, Kind, Pod, Revision, Template},
};

impl Cluster {
    /// Applies a change at `at` and rolls it out; all new pods come up. Gives the revision.
    pub fn roll(&mut self, id: Id, at: Sec, change: impl FnOnce(&mut Template)) -> usize {
        let revision = self.revise(id, at, change);
        let old: Vec<usize> = self.places(id);
        let (from, to) =
            (self.set_name(id, revision.saturating_sub(1)), self.set_name(id, revision));
        let all = old.len();
        for (number, place) in old.into_iter().enumerate() {
            let born = at + 1 + 14 * count(number);
            let workload = self[id].clone();
            let pod = self.pod(&workload, number, revision, born);
            let ready = pod.ready_from;
            if let Some(old) = self[id].pods.get_mut(place) {
                // The next pod of a StatefulSet or DaemonSet comes when its predecessor has gone.
                old.gone = Some(if workload.kind == Kind::Deployment { ready + 2 } else { born });
            }
            self[id].pods.push(pod);
            if workload.kind == Kind::Deployment {
                self.say_scaled(
                    id,
                    born - 1,
                    format!("Scaled up replica set {to} from {number} to {}", number + 1),
                );
                self.say_scaled(
                    id,
                    ready + 1,
                    format!(
                        "Scaled down replica set {from} from {} to {}",
                        all - number,
                        all - number - 1
                    ),
                );
            }
        }
        revision
    }

    /// Applies a change at `at` whose new pods do not come up: `fate` says what becomes of each.
    /// The old ones stay, as far as the strategy keeps them. Gives the places of the new pods.
    pub fn stick(
        &mut self,
        id: Id,
        at: Sec,
        change: impl FnOnce(&mut Template),
        fate: impl Fn(&mut Pod),
    ) -> Vec<usize> {
        let revision = self.revise(id, at, change);
        let old = self.places(id);
        let all = old.len();
        let kind = self[id].kind;
        let (surge, fewer) = match kind {
            Kind::Deployment => (all.div_ceil(4), all / 4),
            Kind::StatefulSet | Kind::DaemonSet | Kind::Job => (0, 1),
        };
        let (from, to) =
            (self.set_name(id, revision.saturating_sub(1)), self.set_name(id, revision));
        for place in old.iter().rev().take(fewer) {
            if let Some(pod) = self[id].pods.get_mut(*place) {
                pod.gone = Some(at + 1);
            }
        }
        if kind == Kind::Deployment {
            self.say_scaled(
                id,
                at,
                format!("Scaled up replica set {to} from 0 to {}", surge + fewer),
            );
            if fewer > 0 {
                self.say_scaled(
                    id,
                    at + 1,
                    format!("Scaled down replica set {from} from {all} to {}", all - fewer),
                );
            }
        }
        (0..surge + fewer)
            .map(|number| self.doomed(id, (revision, all, number), at + 1, &fate))
            .collect()
    }

    fn doomed(
        &mut self,
        id: Id,
        (revision, all, number): (usize, usize, usize),
        born: Sec,
        fate: &impl Fn(&mut Pod),
    ) -> usize {
        let workload = self[id].clone();
        let number =
            if workload.kind == Kind::StatefulSet { all - 1 - number.min(all - 1) } else { number };
        let mut pod = self.pod(&workload, number, revision, born);
        pod.ready_from = Sec::MAX;
        fate(&mut pod);
        self[id].pods.push(pod);
        self[id].pods.len() - 1
    }

    /// All present pods are replaced at `at` by new ones of the current revision that do not come
    /// up (a restart, a drain, a recreation). Gives the places of the new pods.
    pub fn replace_all(&mut self, id: Id, at: Sec, fate: impl Fn(&mut Pod)) -> Vec<usize> {
        let revision = self[id].revisions.len().saturating_sub(1);
        let old = self.places(id);
        let all = old.len();
        for place in &old {
            if let Some(pod) = self[id].pods.get_mut(*place) {
                pod.gone = Some(at);
            }
        }
        (0..all)
            .map(|number| self.doomed(id, (revision, all, all - 1 - number), at + 1, &fate))
            .collect()
    }

    /// From `at` on the API server refuses new pods of the Deployment `id` and says `said`. With a
    /// `change`, it is a rollout that gets none of its pods; else its present pods are lost
    /// except for `left` of them, and get no successors.
    pub fn refuse_pods<F: FnOnce(&mut Template)>(
        &mut self,
        id: Id,
        (at, left): (Sec, usize),
        change: Option<F>,
        said: &str,
    ) {
        let all = self[id].replicas;
        let missing = if let Some(change) = change {
            let revision = self.revise(id, at, change);
            let (to, surge) = (self.set_name(id, revision), all.div_ceil(4));
            self.say_scaled(id, at, format!("Scaled up replica set {to} from 0 to {surge}"));
            surge
        } else {
            for place in self.places(id).into_iter().skip(left) {
                if let Some(pod) = self[id].pods.get_mut(place) {
                    pod.gone = Some(at);
                }
            }
            all.saturating_sub(left)
        };
        let set = self.set_name(id, self[id].revisions.len().saturating_sub(1));
        let object = super::object::Ref::new("ReplicaSet", &self[id].namespace, &set);
        let message = said.to_owned();
        let event = Happening::warning(
            object,
            "replicaset-controller",
            "FailedCreate",
            format!("Error creating: {said}"),
        );
        // Tries come at growing distances, up to a quarter of an hour.
        let tries = workload::crashes(at + 1, 0, NOW);
        let last = tries.last().map_or(at + 1, |run| run.0);
        self.events.push(event.times(at + 1, last, count(tries.len()) + 4));
        self[id].refused = Some(Refused { at: at + 1, missing, message });
    }

    /// Adds a revision without touching pods.
    fn revise(&mut self, id: Id, at: Sec, change: impl FnOnce(&mut Template)) -> usize {
        let mut template = self[id].template();
        change(&mut template);
        let by = self.habits.deployer;
        let hash = self.dice.ending(10);
        self[id].revisions.push(Revision { at, by, template, hash });
        self[id].revisions.len() - 1
    }

    fn places(&self, id: Id) -> Vec<usize> {
        let present = |(place, pod): (usize, &Pod)| pod.gone.is_none().then_some(place);
        self[id].pods.iter().enumerate().filter_map(present).collect()
    }

    /// The pods at these places.
    #[must_use]
    pub fn pods_at(&self, id: Id, places: &[usize]) -> Vec<Pod> {
        places.iter().filter_map(|place| self[id].pods.get(*place)).cloned().collect()
    }

    /// What a controller says of pods that came and went within the last hour.
    pub(super) fn comings(&self, id: Id) -> Vec<Happening> {
        let workload = &self[id];
        let mut said = Vec::new();
        if workload.kind == Kind::Job || workload.kind == Kind::DaemonSet {
            return said;
        }
        for pod in &workload.pods {
            let (kind, name, by) = match workload.kind {
                Kind::Deployment => {
                    ("ReplicaSet", self.set_name(id, pod.revision), "replicaset-controller")
                }
                Kind::StatefulSet | Kind::DaemonSet | Kind::Job => {
                    ("StatefulSet", workload.name.clone(), "statefulset-controller")
                }
            };
            let object = super::object::Ref::new(kind, &workload.namespace, &name);
            if pod.created >= EVENTS_SINCE {
                let message = match workload.kind {
                    Kind::Deployment => format!("Created pod: {}", pod.name),
                    Kind::StatefulSet | Kind::DaemonSet | Kind::Job => format!(
                        "create Pod {} in StatefulSet {} successful",
                        pod.name, workload.name
                    ),
                };
                said.push(
                    Happening::normal(object.clone(), by, "SuccessfulCreate", message)
                        .at(pod.created),
                );
            }
            if let Some(gone) = pod.gone.filter(|_| workload.kind == Kind::Deployment) {
                let message = format!("Deleted pod: {}", pod.name);
                said.push(Happening::normal(object, by, "SuccessfulDelete", message).at(gone - 1));
            }
        }
        said
    }
}
