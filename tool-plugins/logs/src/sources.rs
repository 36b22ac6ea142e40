//! Which logs a call reads, in which order, and within which bounds: the pods meant, those in
//! trouble first; of each container the run before and the current one together.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Failure};
use jiff::Timestamp;
use plugin_cluster::{
    Clients, Cluster, Container, Kind, LogFile, Object, Owners, Peers, Resolution, State, clients,
    credential::{self, Credential},
    pod, selector,
};

use crate::{
    earlier::{Earlier, Former, Stored},
    origin,
    peer::Speaker,
    resolvers,
};

/// Containers at most whose logs one call reads.
const MAX_CONTAINERS: usize = 60;

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
    /// Which Secrets its pod proves itself with.
    pub credentials: Vec<Credential>,
    /// The last words of runs that ended, with when.
    pub(crate) last_words: Vec<(Option<Timestamp>, String)>,
    pub(crate) files: Vec<LogFile>,
    /// Where its log ends for good: its pod is gone.
    pub(crate) ended: Option<Timestamp>,
    /// Lines that are there already.
    pub(crate) stored: Option<Stored>,
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
    /// Top owners of pods.
    pub tops: BTreeMap<Entity, Entity>,
    /// Names by which workloads go at servers.
    pub clients: Clients,
    /// The Service that pods ask for names.
    pub resolver: Option<Object>,
    /// Containers left out for the bound.
    pub left_out: usize,
    /// What could not be listed.
    pub gaps: Vec<(String, Failure)>,
}

// === impl Sources ===

impl Sources {
    /// The logs of what `resolution` found; of its whole namespace when it found nothing. Of pods
    /// that are gone as `earlier` tells them.
    pub async fn find(cluster: &Cluster, resolution: &Resolution, earlier: &Earlier<'_>) -> Self {
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
        // Without them only less is known of where settings come from.
        let configs = cluster.list(Kind::ConfigMap, namespace).await.unwrap_or_default();
        let files = match cluster.log_files(namespace).await {
            Ok(files) => files,
            // Each is tried, and sought in the store then.
            Err(_) if earlier.has_store() => Cluster::logs_of(&pods),
            Err(failure) => {
                sources.gaps.push(("logs".to_owned(), failure));
                Vec::new()
            }
        };
        sources.owners = Owners::read(cluster, namespace).await;
        sources.peers = Peers::read(cluster).await;
        sources.tops = pods.iter().map(|p| (p.entity(), sources.owners.top(p))).collect();
        for pod in &pods {
            let spec = pod.at("/spec").unwrap_or(&serde_json::Value::Null);
            let told = clients::settings(spec, pod.namespace(), &configs);
            sources.clients.learn(&sources.owners.top(pod), &told);
        }
        sources.resolver = resolvers::service(cluster).await;
        let around = Around {
            owners: &sources.owners,
            services: &services,
            configs: &configs,
            resolver: sources.resolver.as_ref(),
        };
        let mut streams = around.streams(files, &pods, resolution);
        let present: BTreeSet<&str> = pods.iter().map(Object::name).collect();
        for former in earlier.former(resolution, &present).await {
            let subject = former.subject.clone();
            streams.entry(subject).or_insert_with(|| around.former(former));
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

/// What a stream is told by.
struct Around<'a> {
    owners: &'a Owners,
    services: &'a [Object],
    configs: &'a [Object],
    resolver: Option<&'a Object>,
}

impl Around<'_> {
    /// The containers meant, with their logs.
    fn streams(
        &self,
        files: Vec<LogFile>,
        pods: &[Object],
        resolution: &Resolution,
    ) -> BTreeMap<Entity, Stream> {
        let meant = |pod: &Object| {
            resolution.workloads.is_empty()
                || self.owners.chain(pod).iter().any(|step| resolution.workloads.contains(step))
        };
        let by_name: BTreeMap<(&str, &str), &Object> =
            pods.iter().map(|p| ((p.namespace(), p.name()), p)).collect();
        let mut streams: BTreeMap<Entity, Stream> = BTreeMap::new();
        for file in files {
            let pod = by_name.get(&(file.namespace.as_str(), file.pod.as_str())).copied();
            let wanted = pod.map_or_else(|| is_former(&file, resolution), meant);
            if wanted {
                let entity = file.entity();
                let stream =
                    streams.entry(entity.clone()).or_insert_with(|| self.stream(entity, pod));
                stream.files.push(file);
            }
        }
        // A container without a log may have left its last words in the pod's status.
        for pod in pods.iter().filter(|pod| meant(pod)) {
            for container in pod::containers(pod).iter().filter(|c| !last_words(c).is_empty()) {
                let entity = pod.entity().container(container.name);
                streams.entry(entity.clone()).or_insert_with(|| self.stream(entity, Some(pod)));
            }
        }
        streams
    }

    fn stream(&self, subject: Entity, pod: Option<&Object>) -> Stream {
        let mut speaker = Speaker { namespace: subject.namespace.clone(), ..Speaker::default() };
        speaker.names.extend([subject.container.clone(), subject.name.clone()]);
        let mut stream = Stream {
            owner: pod.map(|pod| self.owners.top(pod)),
            subject,
            speaker,
            began: None,
            credentials: pod.map(credential::of).unwrap_or_default(),
            last_words: Vec::new(),
            files: Vec::new(),
            ended: None,
            stored: None,
            health: 2,
        };
        if let Some(pod) = pod {
            self.tell(&mut stream, pod);
        }
        stream
    }

    /// A container of a pod that is gone. It matters as much as one in trouble.
    fn former(&self, former: Former) -> Stream {
        let Former { subject, owner, had } = former;
        let mut stream = self.stream(subject, None);
        stream.speaker.names.insert(owner.name.clone());
        stream.ended = had.lines.last().and_then(|line| line.time);
        Stream { owner: Some(owner), stored: Some(had), health: 0, ..stream }
    }

    fn tell(&self, stream: &mut Stream, pod: &Object) {
        let name = stream.subject.container.clone();
        let speaker = &mut stream.speaker;
        speaker.names.extend(stream.owner.iter().map(|o| o.name.clone()));
        let labels = pod.labels();
        let selects = |s: &Object| {
            s.namespace() == pod.namespace()
                && selector::pairs_match(&s.map("/spec/selector"), &labels)
        };
        let selecting = self.services.iter().filter(|s| selects(s));
        speaker.names.extend(selecting.map(|s| s.name().to_owned()));
        speaker.is_resolver = self.resolver.is_some_and(selects);
        speaker.resolver = self.resolver.filter(|s| !selects(s)).map(Object::entity);
        (speaker.origins, speaker.server) = origin::of(pod, &name, self.configs);
        for container in pod::containers(pod).iter().filter(|c| c.name == name) {
            // After a restart only the pod's own beginning is surely before the first run.
            stream.began = match container.state() {
                _ if container.restarts() > 0 => pod.created(),
                State::Running { since } => since,
                State::Terminated { started, .. } => started,
                State::Waiting { .. } | State::Unknown => pod.created(),
            };
            stream.last_words = last_words(container);
            let well = container.ready() && container.restarts() == 0;
            stream.health = if well { 2 } else { u8::from(container.ready()) };
        }
    }
}

/// The termination messages of a container that ended with an error, the older first.
fn last_words(container: &Container<'_>) -> Vec<(Option<Timestamp>, String)> {
    let ends = [container.last_state(), container.state()];
    let said = ends.into_iter().filter_map(|state| {
        let State::Terminated { exit_code, message, finished, .. } = state else { return None };
        (exit_code != 0 && !message.is_empty()).then(|| (finished, message.to_owned()))
    });
    said.collect()
}
