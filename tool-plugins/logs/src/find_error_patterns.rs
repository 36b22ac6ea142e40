//! The tool `find_error_patterns`: what the containers of a service, or of a namespace, say went
//! wrong, as kinds of lines and mechanisms, with when each began.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use agent_sdk::{
    Applies, CallCx, Entity, Failure, Observation, Output, Relation, RelationKind, Spec, Tool,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use plugin_cluster::Cluster;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    earlier::{Earlier, Used},
    ending::Time,
    facts::{self, Told, Whose},
    reading::{self, Begun},
    resolvers::Resolvers,
    sources::{Sources, Stream},
    store::Store,
    tally::Tally,
};

/// Containers of one workload told at most; replicas say the same.
const MAX_OF_WORKLOAD: usize = 5;
/// Part of the time allowed that may be spent reading, so that there is an answer in the end.
const READING_SHARE: f64 = 0.8;
/// Part of it by which the last lines of logs that were not read whole are there.
const ENDING_SHARE: f64 = 0.9;
/// Logs read at once: over a network most of the time is waiting.
const AT_ONCE: usize = 8;

/// Signals that are found in logs.
pub const EMITS: &[&str] = &[
    "target.resolved",
    "target.unknown",
    "log.error_pattern",
    "log.pattern_shift",
    "log.quiet",
    "log.config_reloaded",
    "log.connection_refused",
    "log.timeout",
    "log.upstream_error",
    "log.dns_failure",
    "log.tls_failure",
    "log.auth_failure",
    "log.permission_denied",
    "log.pool_exhausted",
    "log.lock_wait",
    "log.no_space",
    "log.panic",
    "log.oom",
    "log.child_killed",
    "log.exec_format",
    "log.config_error",
    "log.cache_full",
    "log.cache_bypassed",
    "log.cache_refused",
    "log.hung",
    "log.backlog_growing",
    "log.consumer_stuck",
    "log.poison_message",
    "log.broker_blocked",
    "log.gc_pressure",
    "log.overloaded",
    "log.unknown_host",
    "log.slow_statement",
    "log.schema_mismatch",
    "log.rate_limited",
    "log.protocol_error",
    "log.connection_leak",
    "log.stale_data",
    "log.transaction_open",
    "config.credential_refused",
    "db.lock_held",
    "db.deadlock",
    "db.slow_query",
    "db.connections_held",
    "db.heavy_statement",
    "db.index_dropped",
    "text.instruction",
];

/// Signals of something that many share.
const AMONG_MANY: &[&str] = &[
    "db.*",
    "pool.*",
    "log.pool_exhausted",
    "log.lock_wait",
    "log.slow_statement",
    "log.connection_leak",
];

/// See [`Tool`].
#[derive(Debug, Clone)]
pub struct FindErrorPatterns {
    cluster: Cluster,
    store: Option<Arc<Store>>,
}

/// Arguments of the tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Args {
    /// Namespace to look at; empty means where the service is found, else the whole cluster.
    pub namespace: String,
    /// A workload, Service or label; empty means all pods of the namespace.
    pub service: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    containers: usize,
    containers_left_out: usize,
    lines: u64,
    findings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<Used>,
}

/// One container's outcome.
struct Read {
    subject: Entity,
    owner: Option<Entity>,
    lines: u64,
    told: Told,
    gaps: Vec<(String, Failure)>,
}

// === impl FindErrorPatterns ===

impl FindErrorPatterns {
    /// The tool over `cluster` and the store beside it.
    #[must_use]
    pub fn new(cluster: Cluster, store: Option<Arc<Store>>) -> Self {
        Self { cluster, store }
    }
}

impl Tool for FindErrorPatterns {
    type Args = Args;

    fn spec(&self) -> Spec {
        Spec::read_only(
            "find_error_patterns",
            "Reads the current and previous logs of a service's pods (or of a namespace's, those \
             in trouble first) and tells the kinds of error lines, what mechanism they speak of \
             (refused connections, timeouts, DNS, TLS, credentials, pools, locks, full disks, \
             crashes, settings) and to whom, since when, and whether they are new.",
        )
        .title("Error patterns in logs")
        .permissions(&crate::RIGHTS)
        .timeout(Duration::from_secs(25))
        .typical_latency(Duration::from_millis(900))
        .example("One service", r#"{"namespace":"market","service":"web"}"#)
        .example("A whole namespace", r#"{"namespace":"market"}"#)
        .applies(
            Applies::from_start(r#"{"namespace":"{namespace}","service":"{service}"}"#)
                .emits(EMITS),
        )
        .applies(
            Applies::after(
                &[
                    "dependency.*",
                    "service.*",
                    "log.*",
                    "workload.*",
                    "container.*",
                    "pod.*",
                    "job.*",
                    "metric.*",
                ],
                &["Service", "Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob", "Pod"],
                r#"{"namespace":"{namespace}","service":"{name}"}"#,
            )
            .emits(EMITS),
        )
        .applies(
            // Who holds what others wait for may be anyone near: a batch run, a report.
            Applies::after(AMONG_MANY, &[], r#"{"namespace":"{namespace}","service":""}"#).emits(
                &[
                    "db.*",
                    "log.lock_wait",
                    "log.slow_statement",
                    "log.connection_leak",
                    "log.transaction_open",
                ],
            ),
        )
        .applies(
            // Names are resolved for the whole cluster there.
            Applies::after(
                &["log.dns_failure"],
                &[],
                r#"{"namespace":"kube-system","service":""}"#,
            )
            .emits(&["log.dns_failure", "log.error_pattern", "log.config_reloaded"]),
        )
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let within = cx.timeout().mul_f64(READING_SHARE);
        let began = Instant::now();
        let ends = (began + within, began + cx.timeout().mul_f64(ENDING_SHARE));
        let cluster = self.cluster.view();
        let now = cluster.now();
        let earlier = Earlier::new(self.store.as_deref(), now, within);
        let resolution = cluster.resolve(&args.namespace, &args.service).await;
        let mut sources = Sources::find(&cluster, &resolution, &earlier).await;
        let streams = std::mem::take(&mut sources.streams);
        let sources = Arc::new(sources);
        let desk = Desk { cluster: cluster.clone(), sources, earlier: &earlier, ends, cx };
        let reading = stream::iter(streams).map(|stream| desk.read(stream)).buffered(AT_ONCE);
        let reads: Vec<Read> = reading.try_collect().await?;
        let lost = |read: &Read| read.told.facts.iter().any(|f| f.signal() == "log.dns_failure");
        let resolvers = if reads.iter().any(lost) {
            Resolvers::read(&cluster, desk.sources.resolver.as_ref()).await
        } else {
            Resolvers::default()
        };
        let output = told(reads, (&desk.sources, &resolvers), &earlier)?;
        Ok(output.observe_all(resolution.observations()).observed_at(now))
    }
}

/// What the reading of one call shares.
struct Desk<'a> {
    cluster: Cluster,
    sources: Arc<Sources>,
    earlier: &'a Earlier<'a>,
    /// When time is short, and when it is over.
    ends: (Instant, Instant),
    cx: CallCx,
}

impl Desk<'_> {
    /// Opens one container's logs and reads them on threads that may block.
    async fn read(&self, stream: Stream) -> Result<Read, Failure> {
        let opened = reading::open(&self.cluster, stream).await;
        let now = self.cluster.now();
        let mut begun = blocking(move || opened.begin(now)).await?;
        begun.reach_back(self.earlier, now).await;
        let (sources, cx, ends) = (Arc::clone(&self.sources), self.cx.clone(), self.ends);
        let title = self.earlier.title();
        blocking(move || {
            let past = |end: Instant| cx.is_cancelled() || Instant::now() >= end;
            let (is_short, is_over) = (|| past(ends.0), || past(ends.1));
            let time = Time { is_short: &is_short, is_over: &is_over };
            read(begun, (&sources, title), now, &time)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let reading = tokio::task::spawn_blocking(work);
    reading.await.map_err(|error| {
        Failure::bug("READING_FAILED", format!("reading logs ended early: {error}"))
    })
}

fn read(log: Begun, (sources, title): (&Sources, &str), now: Timestamp, time: &Time<'_>) -> Read {
    let window = log.window(now);
    let is_from_store = log.is_from_store;
    let (subject, owner) = (log.stream.subject.clone(), log.stream.owner.clone());
    let is_gone = log.stream.ended.is_some();
    let speaker = log.stream.speaker.clone();
    let credentials = log.stream.credentials.clone();
    let mut tally = Tally::new(window, &speaker, &sources.peers);
    let gaps = log.feed(&mut tally, time);
    let workload = owner.clone().unwrap_or_else(|| whole(&subject));
    let whose = Whose {
        subject: &subject,
        workload: &workload,
        credentials: &credentials,
        tops: &sources.tops,
        clients: &sources.clients,
    };
    let mut told = facts::of(whose, &tally);
    if is_from_store {
        let facts = std::mem::take(&mut told.facts).into_iter();
        told.facts = facts.map(|fact| fact.attr("log_store", title)).collect();
    }
    if let (true, Some(owner)) = (is_gone, &owner) {
        // Nobody else tells whose it was.
        let pod = whole(&subject);
        told.relations.push(Relation::new(pod, RelationKind::OwnedBy, owner.clone()));
    }
    Read { subject, owner, lines: tally.lines(), told, gaps }
}

fn whole(container: &Entity) -> Entity {
    Entity { container: String::new(), ..container.clone() }
}

fn told(
    mut reads: Vec<Read>,
    (sources, resolvers): (&Sources, &Resolvers),
    earlier: &Earlier<'_>,
) -> Result<Output, Failure> {
    reads.sort_by(|a, b| {
        (std::cmp::Reverse(a.told.new_harm), &a.subject)
            .cmp(&(std::cmp::Reverse(b.told.new_harm), &b.subject))
    });
    let lines = reads.iter().map(|r| r.lines).sum();
    let containers = reads.len();
    let mut of_workload: BTreeMap<(Option<Entity>, String), usize> = BTreeMap::new();
    let mut facts = Vec::new();
    let mut gaps = sources.gaps.clone();
    gaps.extend(earlier.gap());
    let mut relations = Vec::new();
    for read in reads {
        gaps.extend(read.gaps);
        let key = (read.owner, read.subject.container.clone());
        let told = of_workload.entry(key).or_default();
        *told += 1;
        if *told <= MAX_OF_WORKLOAD {
            facts.extend(read.told.facts);
            relations.extend(read.told.relations);
        }
    }
    if facts.iter().any(|fact| fact.signal() == "log.dns_failure") {
        relations.extend(resolvers.central.iter().cloned());
        relations.extend(asks_its_node(&facts, (sources, resolvers)));
    }
    let findings: Vec<String> = facts.iter().map(|f| f.as_wire().statement.clone()).collect();
    let (containers_left_out, store) = (sources.left_out, earlier.used());
    let answer = Answer { containers, containers_left_out, lines, findings, store };
    let mut output = Output::new(&answer)?
        .summary(summary(&facts, containers))
        .relate_all(owners(&facts, sources))
        .relate_all(relations)
        .observe_all(facts);
    for (subject, failure) in gaps {
        output = output.gap(subject, failure);
    }
    Ok(if sources.left_out > 0 { output.truncated("") } else { output })
}

/// Pods that cannot resolve names and whose node has a caching resolver that is not ready: they use
/// that one.
fn asks_its_node(
    facts: &[Observation],
    (sources, resolvers): (&Sources, &Resolvers),
) -> Vec<Relation> {
    let lost: BTreeSet<String> = facts
        .iter()
        .filter(|fact| fact.signal() == "log.dns_failure")
        .filter_map(|fact| fact.as_wire().subject.as_ref().map(|subject| subject.name.clone()))
        .collect();
    let pods = sources.pods.iter().filter(|pod| lost.contains(pod.name()));
    pods.filter_map(|pod| {
        let (resolver, edges) = resolvers.of_nodes.get(pod.text("/spec/nodeName"))?;
        let uses = Relation::new(pod.entity(), RelationKind::Uses, resolver.clone());
        Some(edges.iter().cloned().chain([uses]))
    })
    .flatten()
    .collect()
}

fn owners(facts: &[Observation], sources: &Sources) -> Vec<Relation> {
    let told = |name: &str| {
        facts.iter().any(|f| f.as_wire().subject.as_ref().is_some_and(|s| s.name == name))
    };
    let pods = sources.pods.iter().filter(|pod| told(pod.name()));
    pods.flat_map(|pod| sources.owners.relations(pod)).collect()
}

fn summary(facts: &[Observation], containers: usize) -> String {
    let is_news = |fact: &&Observation| {
        let wire = fact.as_wire();
        wire.attributes.get("is_new").is_some_and(|v| v == "true")
            || wire.signal == "log.config_reloaded"
    };
    let says: Vec<&str> =
        facts.iter().filter(is_news).map(|f| f.as_wire().statement.as_str()).take(12).collect();
    if says.is_empty() {
        return format!("no new errors in the logs of {containers} containers");
    }
    says.join("\n")
}
