//! What programs and the cluster said of being refused: rights that the API server denied, ends
//! that were not reached. Only these sentences are picked out of logs, events and last words of
//! containers; what else a log tells is not read here.

use std::collections::BTreeMap;

use agent_sdk::Entity;
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{
    Answer, Event, Kind, LogFile, Object, State, pod,
    sayings::{self, Forbidden, TlsFailure, Unreached},
};

use super::Scene;

/// Logs read at most, those of pods in trouble first.
const MAX_LOGS: usize = 60;
/// Lines read of one log at most.
const MAX_LINES: usize = 200_000;
/// Kinds of sentences kept at most.
const MAX_KINDS: usize = 256;
/// Logs longer than this have an earlier part to compare with.
const LONG: SignedDuration = SignedDuration::from_mins(40);

/// How often something was said, when, and the last words.
#[derive(Debug, Clone, Default)]
pub(super) struct Times {
    pub(super) count: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) quote: String,
    /// A pod that said it; none for an event about something else.
    pub(super) pod: Option<Entity>,
    /// It was said from the beginning of a log that goes far back: no news.
    pub(super) always: bool,
}

/// All that was heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) refusals: BTreeMap<Forbidden, Times>,
    /// By namespace and workload of the speaker.
    pub(super) unreached: BTreeMap<(Entity, Unreached), Times>,
    /// Complaints about certificates: by the speaker, of whom when told.
    pub(super) certificates: BTreeMap<(Entity, TlsFailure, Option<String>), Times>,
}

pub(super) async fn listen(scene: &Scene<'_>, answer: &mut Answer) -> Heard {
    let mut heard = Heard::default();
    let listed = scene.cluster.log_files(scene.namespace).await;
    let mut files = answer.or_gap("logs", listed);
    let pods: BTreeMap<(&str, &str), &Object> =
        scene.pods.iter().map(|p| ((p.namespace(), p.name()), p)).collect();
    let pod_of = |file: &LogFile| pods.get(&(file.namespace.as_str(), file.pod.as_str())).copied();
    files.sort_by_key(|file| pod_of(file).is_some_and(is_ready));
    for file in files.iter().take(MAX_LOGS) {
        let speaker = pod_of(file).map_or_else(|| former(file), |pod| scene.owners.top(pod));
        let at = Entity::new("Pod", file.namespace.as_str(), file.pod.as_str());
        let Ok(Some(lines)) = scene.cluster.last_lines(file, MAX_LINES).await else { continue };
        let started = pod_of(file).and_then(|p| p.time("/status/startTime").or(p.created()));
        let (mut fresh, mut begun) = (None, None);
        for line in lines {
            let always = is_early(line.time, begun, scene.cluster.now());
            let complains = heard.line(&line.text, line.time, (&speaker, &at, always));
            // Only a log that tells of other things before says that a complaint is old; one that
            // begins with its pod says nothing of the time before.
            let fresh = *fresh.get_or_insert_with(|| is_near(line.time, started));
            if begun.is_none() && !complains && !fresh {
                begun = line.time;
            }
        }
    }
    for pod in scene.pods.iter().filter(|p| scene.covers(p)) {
        heard.last_words(pod, &scene.owners.top(pod));
    }
    let events = scene.cluster.list(Kind::Event, scene.namespace).await;
    for event in answer.or_gap("events", events) {
        heard.event(&Event::of(&event, scene.cluster.now()));
    }
    heard
}

/// Whether a line stands in the first part of a log that goes back for most of an hour or more.
fn is_early(time: Option<Timestamp>, begun: Option<Timestamp>, now: Timestamp) -> bool {
    let (Some(time), Some(begun)) = (time, begun) else { return false };
    let span = now.duration_since(begun);
    span > LONG && time.duration_since(begun) < span / 12
}

fn is_near(time: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    time.zip(other).is_some_and(|(a, b)| a.duration_since(b).abs() < SignedDuration::from_mins(10))
}

fn is_ready(pod: &Object) -> bool {
    pod.condition("Ready").is_some_and(|c| c.status == "True")
}

/// The workload of a pod that is gone, by its name alone.
fn former(file: &LogFile) -> Entity {
    Entity::new("Pod", file.namespace.as_str(), file.pod.as_str())
}

// === impl Heard ===

impl Heard {
    /// Takes a line; whether it is a complaint.
    fn line(
        &mut self,
        text: &str,
        time: Option<Timestamp>,
        (speaker, pod, always): (&Entity, &Entity, bool),
    ) -> bool {
        let note = |times: Option<&mut Times>| {
            if let Some(times) = times {
                times.add(text, time, 1);
                times.always |= always;
                times.pod.get_or_insert_with(|| pod.clone());
            }
        };
        if let Some(refusal) = sayings::forbidden(text) {
            note(room(&mut self.refusals, refusal));
            return true;
        }
        if let Some(failure) = sayings::tls_failure(text) {
            let whom = sayings::ends(text).into_iter().next_back().map(|end| end.host);
            note(room(&mut self.certificates, (speaker.clone(), failure, whom)));
            return true;
        }
        let ends = sayings::unreached(text);
        let complains = !ends.is_empty();
        for end in ends {
            note(room(&mut self.unreached, (speaker.clone(), end)));
        }
        complains
    }

    /// Termination messages: a program that ends on a refusal says it there, too.
    fn last_words(&mut self, pod: &Object, speaker: &Entity) {
        for container in pod::containers(pod) {
            for state in [container.state(), container.last_state()] {
                let State::Terminated { message, finished, .. } = state else { continue };
                for line in message.lines() {
                    self.line(line, finished, (speaker, &pod.entity(), false));
                }
            }
        }
    }

    fn event(&mut self, event: &Event) {
        let Some(refusal) = sayings::forbidden(&event.message) else { return };
        if let Some(times) = room(&mut self.refusals, refusal) {
            times.add(&event.message, event.first, event.count);
            times.last = times.last.max(event.last);
        }
    }
}

/// The entry of `key`, unless the table is full.
fn room<K: Ord, V: Default>(table: &mut BTreeMap<K, V>, key: K) -> Option<&mut V> {
    if table.len() >= MAX_KINDS && !table.contains_key(&key) {
        return None;
    }
    Some(table.entry(key).or_default())
}

// === impl Times ===

impl Times {
    fn add(&mut self, text: &str, time: Option<Timestamp>, count: u64) {
        self.count += count;
        self.first = [self.first, time].into_iter().flatten().min();
        self.last = [self.last, time].into_iter().flatten().max();
        text.clone_into(&mut self.quote);
    }
}
