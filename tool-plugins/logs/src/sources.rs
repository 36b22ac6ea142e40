//! Which logs a call reads, in which order, and within which bounds: the pods meant, those in
//! trouble first; of each container the run before and the current one together.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Failure};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{
    Cluster, Kind, LogFile, LogReader, Object, Owners, Peers, Resolution, State, pod, selector,
};

use crate::{
    peer::Speaker,
    rate::{PAST, Window},
    tally::Tally,
};

/// Containers at most whose logs one call reads.
const MAX_CONTAINERS: usize = 60;
/// Bytes at most of one container's logs.
const MAX_BYTES: usize = 24 * 1024 * 1024;

/// One container and its logs.
#[derive(Debug)]
pub struct Stream {
    /// The container.
    pub subject: Entity,
    /// What a person deployed to get it.
    pub owner: Option<Entity>,
    /// Who speaks.
    pub speaker: Speaker,
    /// When its first run began, if known.
    pub began: Option<Timestamp>,
    files: Vec<LogFile>,
    /// The smaller, the sooner it is read.
    health: u8,
}

/// All that a call reads.
#[derive(Debug, Default)]
pub struct Sources {
    /// Containers, those in trouble first.
    pub streams: Vec<Stream>,
    /// Pods that were looked at, for their owners.
    pub pods: Vec<Object>,
    /// Owners of these pods.
    pub owners: Owners,
    /// Names of the cluster.
    pub peers: Peers,
    /// Containers left out for the bound.
    pub left_out: usize,
    /// What could not be listed.
    pub gaps: Vec<(String, Failure)>,
}

// === impl Sources ===

impl Sources {
    /// The logs of what `resolution` found; of its whole namespace when it found nothing.
    pub async fn find(cluster: &Cluster, resolution: &Resolution) -> Self {
        let namespace = resolution.namespace.as_deref();
        let mut sources = Self { gaps: resolution.gaps.clone(), ..Self::default() };
        let mut list = async |kind: Kind| match cluster.list(kind, namespace).await {
            Ok(objects) => objects,
            Err(failure) => {
                sources.gaps.push((kind.plural().to_owned(), failure));
                Vec::new()
            }
        };
        let (pods, services) = (list(Kind::Pod).await, list(Kind::Service).await);
        let files = match cluster.log_files(namespace).await {
            Ok(files) => files,
            Err(failure) => {
                sources.gaps.push(("logs".to_owned(), failure));
                Vec::new()
            }
        };
        sources.owners = Owners::read(cluster, namespace).await;
        sources.peers = Peers::read(cluster).await;
        let meant = |pod: &Object| {
            resolution.workloads.is_empty()
                || sources.owners.chain(pod).iter().any(|step| resolution.workloads.contains(step))
        };
        let by_name: BTreeMap<(&str, &str), &Object> =
            pods.iter().map(|p| ((p.namespace(), p.name()), p)).collect();
        let mut streams: BTreeMap<Entity, Stream> = BTreeMap::new();
        for file in files {
            let pod = by_name.get(&(file.namespace.as_str(), file.pod.as_str())).copied();
            let wanted = pod.map_or_else(|| is_former(&file, resolution), meant);
            if wanted {
                let stream = streams
                    .entry(file.entity())
                    .or_insert_with(|| stream(&file, pod, &sources.owners, &services));
                stream.files.push(file);
            }
        }
        let mut streams: Vec<Stream> = streams.into_values().collect();
        streams.sort_by(|a, b| (a.health, &a.subject).cmp(&(b.health, &b.subject)));
        sources.left_out = streams.len().saturating_sub(MAX_CONTAINERS);
        streams.truncate(MAX_CONTAINERS);
        let read: BTreeSet<&str> = streams.iter().map(|s| s.subject.name.as_str()).collect();
        sources.pods = pods.iter().filter(|p| read.contains(p.name())).cloned().collect();
        sources.streams = streams;
        sources
    }
}

/// A log whose pod is gone belongs to a workload by its name.
fn is_former(file: &LogFile, resolution: &Resolution) -> bool {
    resolution.workloads.is_empty()
        || resolution.workloads.iter().any(|workload| {
            let rest = file.pod.strip_prefix(workload.name.as_str());
            workload.namespace == file.namespace && rest.is_some_and(|r| r.starts_with('-'))
        })
}

fn stream(file: &LogFile, pod: Option<&Object>, owners: &Owners, services: &[Object]) -> Stream {
    let mut speaker = Speaker { namespace: file.namespace.clone(), names: BTreeSet::new() };
    speaker.names.extend([file.container.clone(), file.pod.clone()]);
    let owner = pod.map(|pod| owners.top(pod));
    let (mut began, mut health) = (None, 2);
    if let Some(pod) = pod {
        speaker.names.extend(owner.iter().map(|o| o.name.clone()));
        let labels = pod.labels();
        let selecting = services.iter().filter(|s| {
            s.namespace() == pod.namespace()
                && selector::pairs_match(&s.map("/spec/selector"), &labels)
        });
        speaker.names.extend(selecting.map(|s| s.name().to_owned()));
        for container in pod::containers(pod).iter().filter(|c| c.name == file.container) {
            // After a restart only the pod's own beginning is surely before the first run.
            began = match container.state() {
                _ if container.restarts() > 0 => pod.created(),
                State::Running { since } => since,
                State::Terminated { started, .. } => started,
                State::Waiting { .. } | State::Unknown => pod.created(),
            };
            let well = container.ready() && container.restarts() == 0;
            health = if well { 2 } else { u8::from(container.ready()) };
        }
    }
    Stream { subject: file.entity(), owner, speaker, began, files: Vec::new(), health }
}

/// A stream with its logs open.
#[derive(Debug)]
pub struct Opened {
    /// The container.
    pub stream: Stream,
    readers: Vec<LogReader>,
    first: Option<Timestamp>,
    head: Option<(Option<Timestamp>, String)>,
    gaps: Vec<(String, Failure)>,
}

/// Opens a stream's logs, the run before first, and reads the first line for its time.
pub async fn open(cluster: &Cluster, mut stream: Stream) -> Opened {
    stream.files.sort_by_key(|file| !file.previous);
    let mut opened =
        Opened { readers: Vec::new(), first: None, head: None, gaps: Vec::new(), stream };
    for file in &opened.stream.files {
        match cluster.logs(file).await {
            Ok(Some(reader)) => opened.readers.push(reader),
            Ok(None) => {}
            Err(failure) => opened.gaps.push((format!("log of {file}"), failure)),
        }
    }
    if let Some(Ok(line)) = opened.readers.first_mut().and_then(Iterator::next) {
        let inside = || crate::line::understand(&line.text, cluster.now()).time;
        opened.first = line.time.or_else(inside);
        opened.head = Some((line.time, line.text));
    }
    opened
}

// === impl Opened ===

impl Opened {
    /// The window of this log. A container whose log reaches back to its beginning has a lead.
    #[must_use]
    pub fn window(&self, now: Timestamp) -> Window {
        let from = self.first.unwrap_or(now).min(now);
        let whole = self
            .stream
            .began
            .is_some_and(|began| from.duration_since(began).abs() <= SignedDuration::from_mins(3));
        let lead = if whole { PAST - now.duration_since(from) } else { SignedDuration::ZERO };
        Window { from, to: now, lead: lead.max(SignedDuration::ZERO) }
    }

    /// Feeds all lines to `tally`; answers what could not be read. `stop` is asked now and then.
    pub fn feed(self, tally: &mut Tally<'_>, stop: impl Fn() -> bool) -> Vec<(String, Failure)> {
        let mut gaps = self.gaps;
        if let Some((time, text)) = self.head {
            tally.line(time, &text);
        }
        let mut bytes = 0;
        for reader in self.readers {
            for (number, line) in reader.enumerate() {
                match line {
                    Ok(line) => {
                        bytes += line.text.len();
                        tally.line(line.time, &line.text);
                    }
                    Err(failure) => gaps.push((named(&self.stream.subject), failure)),
                }
                if bytes > MAX_BYTES || number % 256 == 0 && stop() {
                    let says = format!("only its first {} lines were read", tally.lines());
                    let cut = Failure::external("LOG_TOO_LONG", says);
                    gaps.push((named(&self.stream.subject), cut));
                    tally.end_of_log();
                    return gaps;
                }
            }
            tally.end_of_log();
        }
        gaps
    }
}

fn named(subject: &Entity) -> String {
    format!("log of {}/{}/{}", subject.namespace, subject.name, subject.container)
}
