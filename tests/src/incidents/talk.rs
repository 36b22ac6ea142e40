//! What the pods' logs hold: routine, requests that failed as the traffic says, harmless errors
//! that were always there, and what the form lets a program say.

mod strays;

use std::collections::BTreeMap;

use super::{
    clock::{BEGIN, Clock, NOW, Sec},
    cluster::Cluster,
    dice::{Dice, count},
    traffic::{Call, Course, Id, Peer, Played, step_of},
    voice::{self, Level, Line, Runtime, Target},
    workload::{Pod, Saying, State, Workload},
};

const ROUTINE: [&str; 14] = [
    "{noun} {id} stored in {ms}ms",
    "{noun} {id} loaded in {ms}ms",
    "refreshed {n} {noun} entries",
    "{noun} {id} updated",
    "handled {noun} request {id} in {ms}ms",
    "GET /v1/{noun}/{n} 200 {ms}ms",
    "POST /v1/{noun} 201 {ms}ms",
    "cache refresh finished, {n} keys",
    "{noun} index checked, {n} documents",
    "published {noun} event {id}",
    "validated {noun} {id}",
    "{n} {noun} records listed in {ms}ms",
    "background sweep finished in {ms}ms",
    "session {id} opened",
];
const HARMLESS: [(Level, &str); 10] = [
    (Level::Warn, "request {id} had no correlation header, one was made"),
    (Level::Warn, "retrying once after optimistic lock on {id}"),
    (Level::Error, "client closed connection before response was written, id={id}"),
    (Level::Warn, "deprecated field 'legacyId' used by caller {n}"),
    (Level::Error, "could not parse user agent of request {id}"),
    (Level::Warn, "slow render: {id} took {ms}ms more than usual"),
    (Level::Error, "validation failed for {id}: field 'phone' is malformed"),
    (Level::Warn, "metrics push took longer than 1s"),
    (Level::Warn, "feature store answered with stale value for {id}"),
    (Level::Error, "broken pipe while streaming {id}"),
];
const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0)",
    "okhttp/4.12.0",
    "Go-http-client/1.1",
    "curl/8.5.0",
    "kube-probe/1.31",
];

/// Routine lines of a program called `name`, with two harmless things it says now and then.
pub fn routine(name: &str, dice: &mut Dice) -> Vec<String> {
    let noun = name.split('-').next().unwrap_or("item").to_owned();
    let noun =
        noun.strip_suffix('s').filter(|stem| !stem.ends_with('s')).unwrap_or(&noun).to_owned();
    (0..4).map(|_| dice.pick(&ROUTINE).replace("{noun}", &noun)).collect()
}

/// All logs by path below `logs/`.
#[must_use]
pub fn write(cluster: &Cluster, played: &Played, dice: &Dice) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (place, workload) in cluster.workloads.iter().enumerate().filter(|(_, w)| w.logged) {
        let scene = Scene::of(cluster, played, Id(place));
        for pod in workload.present().filter(|pod| pod.started().is_some() && pod.lost.is_none()) {
            let mut chance = dice.fork(&pod.name);
            let path = format!("{}/{}/{}", workload.namespace, pod.name, workload.container);
            if pod.runs.is_empty() {
                let lines = scene.lines(pod, &mut chance);
                files.insert(format!("{path}.log"), text(lines));
            } else {
                let (now, before) = scene.crashed(pod, &mut chance);
                files.insert(format!("{path}.log"), text(now));
                if let Some(before) = before {
                    files.insert(format!("{path}.previous.log"), text(before));
                }
            }
        }
    }
    files
}

type Lines = Vec<(Sec, u32, String)>;

fn text(mut lines: Lines) -> String {
    lines.sort_by_key(|(at, nanos, _)| (*at, *nanos));
    let mut text = String::with_capacity(lines.len() * 140);
    for (_, _, line) in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

struct Scene<'a> {
    cluster: &'a Cluster,
    workload: &'a Workload,
    clock: Clock,
    course: Option<&'a Course>,
    calls: Vec<(&'a Call, &'a Course)>,
    harmless: Vec<(Level, &'static str)>,
}

impl<'a> Scene<'a> {
    fn of(cluster: &'a Cluster, played: &'a Played, id: Id) -> Self {
        let place = cluster.traffic.stations.iter().position(|station| station.id == id);
        let calls = cluster
            .traffic
            .calls
            .iter()
            .zip(&played.calls)
            .filter(|(call, _)| call.from == id)
            .collect();
        let mut dice = cluster.dice.fork(&cluster[id].name);
        let harmless = (0..2).map(|_| dice.pick(&HARMLESS)).collect();
        let course = place.and_then(|place| played.stations.get(place));
        Self { cluster, workload: &cluster[id], clock: cluster.clock, course, calls, harmless }
    }

    /// A whole life without restarts.
    fn lines(&self, pod: &Pod, chance: &mut Dice) -> Lines {
        let mut lines = Lines::new();
        let from = pod.started().unwrap_or(BEGIN).max(BEGIN);
        let until = match &pod.state {
            State::Over(ended) => ended.finished,
            State::Running(_) | State::Waiting(..) | State::Unscheduled(_) | State::Evicted(_) => {
                NOW
            }
        };
        // To whom no request is led, none comes.
        let served = self.course.is_none() || pod.ready_from != Sec::MAX;
        let mut at = from + 1;
        while at < until && served {
            self.moment(pod, at, &mut lines, chance);
            at += chance.between(15, 60);
        }
        if pod.started().is_some_and(|since| since >= BEGIN) {
            self.say(
                pod,
                (
                    from,
                    Level::Info,
                    &match self.workload.port {
                        0 => format!("starting {}", self.workload.name),
                        port => format!("starting {} on port {port}", self.workload.name),
                    },
                    &[],
                ),
                &mut lines,
                chance,
            );
        }
        if let State::Over(ended) = &pod.state {
            for (level, text, trace) in &self.workload.crash {
                self.say(pod, (ended.finished - 1, *level, text, trace), &mut lines, chance);
            }
        }
        for saying in self.sayings(pod) {
            self.repeat((pod, saying), (from, until), &mut lines, chance);
        }
        lines
    }

    /// The last run and the one before it, of a container that is started again and again.
    fn crashed(&self, pod: &Pod, chance: &mut Dice) -> (Lines, Option<Lines>) {
        let mut logs: Vec<Lines> = Vec::new();
        for (from, until) in pod.runs.iter().rev().take(2) {
            let mut lines = Lines::new();
            let mut at = (from + 3).max(BEGIN);
            while at < (*until).min(NOW) - 1 {
                self.moment(pod, at, &mut lines, chance);
                at += chance.between(5, 30);
            }
            for (number, (level, text, trace)) in self.workload.crash.iter().enumerate() {
                let first = *level <= Level::Warn && number == 0;
                let at = if first { *from } else { (*until - 1).max(*from) };
                if at <= NOW {
                    self.say(pod, (at, *level, text, trace), &mut lines, chance);
                }
            }
            for saying in self.sayings(pod) {
                self.repeat((pod, saying), (*from, (*until).min(NOW)), &mut lines, chance);
            }
            logs.push(lines);
        }
        let mut logs = logs.into_iter();
        (logs.next().unwrap_or_default(), logs.next())
    }

    fn sayings(&self, pod: &'a Pod) -> impl Iterator<Item = &'a Saying> {
        self.workload.sayings.iter().filter(|saying| {
            saying.revision.is_none_or(|revision| revision == pod.revision)
                && saying.pod.as_ref().is_none_or(|name| *name == pod.name)
        })
    }

    fn repeat(
        &self,
        (pod, saying): (&Pod, &Saying),
        (from, until): (Sec, Sec),
        lines: &mut Lines,
        chance: &mut Dice,
    ) {
        let mut at = saying.from;
        if at < from {
            if saying.every == 0 {
                return;
            }
            at += (from - at) / saying.every * saying.every;
        }
        while at < until.min(saying.until) {
            if at >= from {
                self.say(pod, (at, saying.level, &saying.text, &saying.trace), lines, chance);
            }
            if saying.every == 0 {
                break;
            }
            at += (saying.every * chance.between(60, 140) / 100).max(1);
        }
    }

    /// What is said at some moment: a request that failed, with the share that the traffic has, a
    /// harmless error, or routine.
    fn moment(&self, pod: &Pod, at: Sec, lines: &mut Lines, chance: &mut Dice) {
        let step = step_of(at);
        if self.strayed(at) && chance.chance(0.55) {
            return self.stray(pod, at, lines, chance);
        }
        let failing = self.calls.iter().find(|(_, course)| {
            course.errors.get(step).is_some_and(|share| *share > 0.01 && chance.chance(*share))
        });
        if let Some((call, _)) = failing {
            return self.failed_call(pod, (at, call), lines, chance);
        }
        let rate = self.course.and_then(|course| course.rate.get(step));
        if rate.is_some_and(|rate| *rate < 0.02) && self.workload.runtime != Runtime::Store {
            return;
        }
        let errors = self.course.and_then(|course| course.errors.get(step)).copied().unwrap_or(0.0);
        if self.workload.voice.is_access() {
            let status = if chance.chance(errors) { 503 } else { 200 };
            let path =
                format!("/{}/{}", chance.pick(&["v1", "api", "p", "assets"]), chance.below(900));
            let agent = chance.pick(&AGENTS);
            return self.access((at, status), (&path, agent), lines, chance);
        }
        let server =
            self.workload.runtime != Runtime::Store && self.workload.namespace != "kube-system";
        if server && chance.chance(0.04) {
            let (level, text) = chance.pick(&self.harmless);
            return self.say(pod, (at, level, text, &[]), lines, chance);
        }
        if self.workload.runtime == Runtime::Store && self.workload.routine.is_empty() {
            return;
        }
        let place = chance.below(self.workload.routine.len());
        let text = self.workload.routine.get(place).cloned().unwrap_or_default();
        self.say(pod, (at, Level::Info, &text, &[]), lines, chance);
    }

    fn failed_call(
        &self,
        pod: &Pod,
        (at, call): (Sec, &Call),
        lines: &mut Lines,
        chance: &mut Dice,
    ) {
        let why = self.cluster.traffic.why(call, at, &self.cluster.workloads);
        let to = self.target(call, chance);
        let runtime = self.workload.runtime;
        let store = match call.to {
            Peer::In(id) => Some(&self.cluster[id]).filter(|w| w.runtime == Runtime::Store),
            Peer::Out(_) => None,
        };
        let said = store.map_or_else(
            || runtime.wording(&why, &to),
            |store| voice::stores::wording(runtime, store.voice, &why, &to),
        );
        let level = if call.needed { Level::Error } else { Level::Warn };
        self.say(pod, (at, level, &said.text, &said.trace), lines, chance);
        if self.workload.voice.is_access() {
            let path = format!("/{}/{}", chance.pick(&["v1", "api", "p"]), chance.below(900));
            self.access((at, 502), (&path, AGENTS[0]), lines, chance);
        }
    }

    fn target(&self, call: &Call, chance: &mut Dice) -> Target {
        let path = format!("/v1/{}", chance.pick(&["items", "lookup", "query", "check", "list"]));
        let timeout = super::dice::whole(call.timeout);
        match call.to {
            Peer::In(id) => {
                let callee = &self.cluster[id];
                let port = callee.front.as_ref().map_or(callee.port, |front| front.port);
                let near = callee.namespace == self.workload.namespace;
                let host = if near {
                    callee.called().to_owned()
                } else {
                    format!("{}.{}.svc.cluster.local", callee.called(), callee.namespace)
                };
                let address = format!(
                    "10.96.{}.{}",
                    callee.called().len() * 7 % 250,
                    callee.created.rem_euclid(250)
                );
                let secure = matches!(port, 443 | 8443);
                Target { host, port, address, path, timeout, secure }
            }
            Peer::Out(place) => {
                let host = self
                    .cluster
                    .traffic
                    .outside
                    .get(place)
                    .map(|o| o.host.clone())
                    .unwrap_or_default();
                Target {
                    host,
                    port: 443,
                    address: "203.0.113.46".to_owned(),
                    path,
                    timeout,
                    secure: true,
                }
            }
        }
    }

    fn access(
        &self,
        (at, status): (Sec, u16),
        (path, agent): (&str, &str),
        lines: &mut Lines,
        chance: &mut Dice,
    ) {
        let nanos = u32::try_from(chance.below(999_999_999)).unwrap_or_default();
        let moment = self.clock.moment(at, nanos);
        let civil = moment.civil();
        let address = format!("10.244.{}.{}", chance.below(8), chance.below(250));
        let (size, took) = (chance.between(120, 9000), chance.between(3, 180));
        let line = if self.workload.voice == super::voice::Voice::EnvoyJson {
            serde_json::json!({"start_time": format!("{}Z", moment.iso('T', 3)), "method": "GET", "path": path,
                "response_code": status, "response_flags": if status >= 500 { "UF" } else { "-" }, "duration": took,
                "bytes_sent": size, "upstream_cluster": "outbound", "user_agent": agent}).to_string()
        } else {
            format!(
                "{address} - - [{:02}/{}/{}:{} +0000] \"GET {path} HTTP/1.1\" {status} {size} \"-\" \"{agent}\"",
                civil.day,
                civil.month_name(),
                civil.year,
                civil.time(),
            )
        };
        lines.push((at, nanos, format!("{}Z {line}", moment.iso('T', 9))));
    }

    fn say(
        &self,
        pod: &Pod,
        (at, level, text, trace): (Sec, Level, &str, &[String]),
        lines: &mut Lines,
        chance: &mut Dice,
    ) {
        if at > NOW {
            return;
        }
        let nanos = u32::try_from(chance.below(990_000_000)).unwrap_or_default();
        let moment = self.clock.moment(at, nanos);
        let text = fill(text, chance);
        let line = Line {
            at: moment,
            level,
            unit: &self.workload.name,
            pod: &pod.name,
            text: &text,
            trace,
        };
        for (number, written) in line.written(self.workload.voice, chance).into_iter().enumerate() {
            let nanos = nanos + u32::try_from(number).unwrap_or_default() * 1000;
            let prefix = self.clock.moment(at, nanos).iso('T', 9);
            lines.push((at, nanos, format!("{prefix}Z {written}")));
        }
    }
}

/// Draws what stands in braces.
fn fill(text: &str, chance: &mut Dice) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    text.replace("{id}", &chance.hex(8))
        .replace("{n}", &(chance.between(2, 950)).to_string())
        .replace("{ms}", &(chance.between(3, 95) + count(text.len() % 7)).to_string())
}
