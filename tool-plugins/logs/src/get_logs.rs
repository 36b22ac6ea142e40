//! The tool `get_logs`: the lines of one container's log, the newest last, with the facts found in
//! them. Where the API server has no such log, or does not give it, the store beside it is asked.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use agent_sdk::{CallCx, Entity, Failure, Output, Spec, Tool};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Cluster, Kind, LogFile, Object, Peers, Span, pod};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    earlier::{Earlier, Missing, Used},
    facts::{self, Whose},
    peer::Speaker,
    rate::Window,
    reading::{self, Lines},
    store::Store,
    tally::Tally,
};

/// Lines when none are asked for.
const DEFAULT_LINES: usize = 200;
/// Lines at most.
const MAX_LINES: usize = 2000;
/// Text at most, bytes; older lines go first.
const MAX_TEXT: usize = 160 * 1024;
/// Longest line shown, bytes.
const MAX_LINE: usize = 4 * 1024;

/// How far back a store is asked: it is for the last words of who is gone.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);
/// The time of a call that a store may take.
const STORE_SHARE: f64 = 0.6;

/// See [`Tool`].
#[derive(Debug, Clone)]
pub struct GetLogs {
    cluster: Cluster,
    store: Option<Arc<Store>>,
}

/// Arguments of the tool.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Args {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Container; may be left out when the pod has one, else the first is meant.
    #[serde(default)]
    pub container: String,
    /// The run before the current one.
    #[serde(default)]
    pub previous: bool,
    /// Lines from the end, 200 when left out, at most 2000.
    #[serde(default)]
    pub tail_lines: Option<u32>,
    /// Only lines from this time on, RFC 3339.
    #[serde(default)]
    pub since: Option<String>,
}

#[derive(Debug, Serialize)]
struct Answer {
    namespace: String,
    pod: String,
    container: String,
    previous: bool,
    other_containers: Vec<String>,
    lines_in_all: u64,
    lines: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<Used>,
}

// === impl GetLogs ===

impl GetLogs {
    /// The tool over `cluster` and the store beside it.
    #[must_use]
    pub fn new(cluster: Cluster, store: Option<Arc<Store>>) -> Self {
        Self { cluster, store }
    }
}

impl Tool for GetLogs {
    type Args = Args;

    fn spec(&self) -> Spec {
        Spec::read_only(
            "get_logs",
            "The log lines of one container of a pod, from the end, of its current or its \
             previous run. Use it to read the exact words once you know which pod matters.",
        )
        .title("Log of a container")
        .permissions(&crate::RIGHTS)
        .timeout(Duration::from_secs(25))
        .typical_latency(Duration::from_millis(200))
        .example("The last lines", r#"{"namespace":"market","pod":"web-0","tail_lines":50}"#)
        .example("Before the restart", r#"{"namespace":"market","pod":"web-0","previous":true}"#)
    }

    async fn call(&self, cx: CallCx, args: Args) -> Result<Output, Failure> {
        let since = match &args.since {
            None => None,
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
                Failure::invalid_argument("since", "must be a time such as 2025-01-01T10:00:00Z")
            })?),
        };
        let wanted = args.tail_lines.map_or(DEFAULT_LINES, |n| usize::try_from(n).unwrap_or(0));
        let cluster = self.cluster.view();
        // Addresses in lines are looked up around this namespace.
        cluster.resolve(&args.namespace, "").await;
        let pod = pod(&cluster, &args).await?;
        let wanted = wanted.min(MAX_LINES);
        let span = Span { lines: Some(wanted), since };
        let earlier =
            Earlier::new(self.store.as_deref(), cluster.now(), cx.timeout().mul_f64(STORE_SHARE));
        let found = match found(&args, pod.as_ref(), &cluster, span).await {
            Ok(found) => found,
            Err(failure) => stored(&args, pod.as_ref(), &earlier, span, cluster.now())
                .await
                .ok_or_else(|| unfound(failure, &earlier))?,
        };
        let peers = Peers::read(&cluster).await;
        let (now, used) = (cluster.now(), earlier.used());
        let reading = tokio::task::spawn_blocking(move || {
            read(found, (&peers, used), Bounds { wanted, since, now }, &cx)
        });
        let output = reading.await.map_err(|error| {
            Failure::bug("READING_FAILED", format!("reading the log ended early: {error}"))
        })??;
        Ok(output.observed_at(now))
    }
}

/// A log, open.
struct Found {
    file: LogFile,
    /// The pod's other containers.
    others: Vec<String>,
    lines: Lines,
    gap: Option<Failure>,
}

/// The log that the API server has.
async fn found(
    args: &Args,
    pod: Option<&Object>,
    cluster: &Cluster,
    span: Span,
) -> Result<Found, Failure> {
    let (container, others) = container(args, pod, cluster).await?;
    let file = file(args, container);
    match cluster.logs(&file, span).await? {
        Some(reader) => Ok(Found { file, others, lines: Box::new(reader), gap: None }),
        None => {
            let resource = format!("v1/Pod {}/{}", file.namespace, file.pod);
            Err(Failure::not_found(resource, format!("there is no log of {file}")))
        }
    }
}

/// The log that the store has.
async fn stored(
    args: &Args,
    pod: Option<&Object>,
    earlier: &Earlier<'_>,
    span: Span,
    now: Timestamp,
) -> Option<Found> {
    let asked = Entity::new("Pod", &*args.namespace, &*args.pod).container(&*args.container);
    let from = span.since.or_else(|| now.checked_sub(REMEMBERED).ok())?;
    let to = if args.previous { run_began(pod, &args.container).unwrap_or(now) } else { now };
    let missing = Missing { from, to };
    let mut all = earlier.of_pod(&asked, missing, span.lines.unwrap_or(MAX_LINES)).await;
    // Where several spoke and none is named, the one that spoke most.
    all.sort_by_key(|(_, had)| had.lines.len());
    let (container, had) = all.pop()?;
    let others = all.into_iter().map(|(container, _)| container).collect();
    let lines = reading::lines(had.lines);
    Some(Found { file: file(args, container), others, lines, gap: had.gap })
}

/// When the current run of a container began: what was before is of earlier runs.
fn run_began(pod: Option<&Object>, container: &str) -> Option<Timestamp> {
    let all = pod::containers(pod?);
    let named = all.iter().find(|c| container.is_empty() || c.name == container)?;
    match named.state() {
        pod::State::Running { since } => since,
        pod::State::Terminated { started, .. } => started,
        pod::State::Waiting { .. } | pod::State::Unknown => None,
    }
}

/// Why there is no log; that the store failed as well is said with it.
fn unfound(mut failure: Failure, earlier: &Earlier<'_>) -> Failure {
    if let Some((what, why)) = earlier.gap() {
        failure.message = format!("{}; {what}: {}", failure.message, why.message);
    }
    failure
}

fn file(args: &Args, container: String) -> LogFile {
    LogFile {
        namespace: args.namespace.clone(),
        pod: args.pod.clone(),
        container,
        previous: args.previous,
    }
}

async fn pod(cluster: &Cluster, args: &Args) -> Result<Option<Object>, Failure> {
    let pods = cluster.list(Kind::Pod, Some(&args.namespace)).await?;
    Ok(pods.into_iter().find(|p| p.name() == args.pod))
}

/// The container meant, and the pod's others.
async fn container(
    args: &Args,
    pod: Option<&Object>,
    cluster: &Cluster,
) -> Result<(String, Vec<String>), Failure> {
    let mut names: Vec<String> = pod
        .map(|pod| {
            let mut all = pod::containers(pod);
            all.sort_by_key(|c| c.init);
            all.iter().map(|c| c.name.to_owned()).collect()
        })
        .unwrap_or_default();
    if names.is_empty() {
        let files = cluster.log_files(Some(&args.namespace)).await?;
        names = files.into_iter().filter(|f| f.pod == args.pod).map(|f| f.container).collect();
        names.dedup();
    }
    let resource = format!("v1/Pod {}/{}", args.namespace, args.pod);
    let Some(first) = names.first() else {
        let says = format!("there is no pod {} in namespace {}", args.pod, args.namespace);
        return Err(Failure::not_found(resource, says));
    };
    let chosen = if args.container.is_empty() { first.clone() } else { args.container.clone() };
    if !names.contains(&chosen) {
        let says = format!("pod {} has no container {chosen}, but {}", args.pod, names.join(", "));
        return Err(Failure::not_found(resource, says));
    }
    names.retain(|name| *name != chosen);
    Ok((chosen, names))
}

struct Bounds {
    wanted: usize,
    since: Option<Timestamp>,
    now: Timestamp,
}

fn read(
    found: Found,
    (peers, store): (&Peers, Option<Used>),
    bounds: Bounds,
    cx: &CallCx,
) -> Result<Output, Failure> {
    let Found { file, others, lines, gap } = found;
    let speaker = Speaker {
        namespace: file.namespace.clone(),
        names: [file.container.clone(), file.pod.clone()].into(),
        ..Speaker::default()
    };
    let mut reader = lines.peekable();
    let first = match reader.peek() {
        Some(Ok(line)) => {
            line.time.or_else(|| crate::line::understand(&line.text, bounds.now).time)
        }
        _ => None,
    };
    let from = first.unwrap_or(bounds.now).min(bounds.now);
    let window = Window { from, to: bounds.now, lead: jiff::SignedDuration::ZERO };
    let mut tally = Tally::new(window, &speaker, peers);
    let mut kept: VecDeque<String> = VecDeque::new();
    let mut unread = gap;
    for line in reader {
        let line = match line {
            Ok(line) => line,
            Err(failure) => {
                unread = Some(failure);
                break;
            }
        };
        if cx.is_cancelled() {
            return Err(Failure::new(agent_sdk::FailureClass::Cancelled, "WITHDRAWN", "withdrawn"));
        }
        if bounds.since.is_some_and(|since| line.time.is_some_and(|time| time < since)) {
            continue;
        }
        tally.line(line.time, &line.text);
        kept.push_back(shown(line.time, &line.text));
        if kept.len() > bounds.wanted {
            kept.pop_front();
        }
    }
    tally.end_of_log();
    let cut = cut_to_text(&mut kept) || u64::try_from(kept.len()).is_ok_and(|n| n < tally.lines());
    let (container, pod) = (file.entity(), Entity::new("Pod", &*file.namespace, &*file.pod));
    let told = facts::of(Whose::alone(&container, &pod), &tally);
    let answer = Answer {
        namespace: file.namespace.clone(),
        pod: file.pod.clone(),
        container: file.container.clone(),
        previous: file.previous,
        other_containers: others,
        lines_in_all: tally.lines(),
        lines: kept.into(),
        store,
    };
    let summary = told.facts.iter().map(|f| f.as_wire().statement.as_str()).take(10);
    let summary = summary.collect::<Vec<_>>().join("\n");
    let mut output = Output::new(&answer)?.summary(summary).observe_all(told.facts);
    if let Some(failure) = unread {
        output = output.gap(format!("log of {file}"), failure);
    }
    Ok(if cut { output.truncated("") } else { output })
}

fn shown(time: Option<Timestamp>, text: &str) -> String {
    let text = agent_sdk::limits::cut_middle(text, MAX_LINE);
    time.map_or_else(|| text.clone(), |time| format!("{time} {text}"))
}

/// Drops the oldest lines until the text fits; whether any went.
fn cut_to_text(lines: &mut VecDeque<String>) -> bool {
    let mut size: usize = lines.iter().map(|l| l.len() + 4).sum();
    let mut cut = false;
    while size > MAX_TEXT {
        let Some(gone) = lines.pop_front() else { break };
        size -= gone.len() + 4;
        cut = true;
    }
    cut
}
