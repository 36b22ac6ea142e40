//! Numbers for operators, as Prometheus reads them. Names are those of [`TABLE`], in base units;
//! labels are bounded: no ids, and tools of strangers beyond the first [`MOST_TOOLS`] are counted
//! together as `other`.

mod table;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Metric, Registry},
};

use self::table::{
    ACTIVE, ALERTS, CACHE_HITS, CALL_SECONDS, CALLS, ERRORS, FEEDBACK, INSTANCES,
    INVESTIGATION_SECONDS, INVESTIGATION_STEPS, INVESTIGATIONS, LEASES, NOTIFICATIONS, QUEUED,
    TOOLS,
};
pub use self::table::{Described, TABLE};

/// Content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Different tools that are told apart; a process that registers ever new names must not grow
/// the numbers without end.
const MOST_TOOLS: usize = 500;
/// Label value of what is beyond the bound.
const OTHER: &str = "other";

/// Upper bounds in seconds: a cached read to a slow query.
const CALL_BOUNDS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];
/// Upper bounds in seconds: a recorded incident to the longest allowed run.
const RUN_BOUNDS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// Upper bounds in steps.
const STEP_BOUNDS: [f64; 7] = [1.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judgement {
    judgement: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    plugin: String,
    tool: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct Tool {
    plugin: String,
    tool: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Instance {
    plugin: String,
    state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Cache {
    cache: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Standing {
    standing: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Intake {
    source: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Notification {
    receiver: String,
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

/// Makes the histograms of calls.
#[derive(Debug, Clone, Copy)]
struct CallSeconds;

impl MetricConstructor<Histogram> for CallSeconds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(CALL_BOUNDS)
    }
}

/// A handle on the numbers; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    tools: Arc<Mutex<BTreeSet<Tool>>>,
    investigations: Family<Verdict, Counter>,
    seconds: Histogram,
    steps: Histogram,
    active: Gauge,
    queued: Gauge,
    calls: Family<Call, Counter>,
    call_seconds: Family<Tool, Histogram, CallSeconds>,
    cache_hits: Family<Cache, Counter>,
    instances: Family<Instance, Gauge>,
    leases: Counter,
    standings: Family<Standing, Gauge>,
    feedback: Family<Judgement, Counter>,
    alerts: Family<Intake, Counter>,
    notifications: Family<Notification, Counter>,
    errors: Family<Kind, Counter>,
}

fn expose(registry: &mut Registry, of: Described, metric: impl Metric) {
    // The encoder adds the ending of counters and the full stop of the help itself.
    let name = of.name.strip_suffix("_total").unwrap_or(of.name);
    registry.register(name, of.help.trim_end_matches('.'), metric);
}

fn gauged(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All numbers at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let investigations = Family::<Verdict, Counter>::default();
        let calls = Family::<Call, Counter>::default();
        let errors = Family::<Kind, Counter>::default();
        let feedback = Family::<Judgement, Counter>::default();
        let alerts = Family::<Intake, Counter>::default();
        let notifications = Family::<Notification, Counter>::default();
        let cache_hits = Family::<Cache, Counter>::default();
        let instances = Family::<Instance, Gauge>::default();
        let standings = Family::<Standing, Gauge>::default();
        let call_seconds = Family::<Tool, Histogram, _>::new_with_constructor(CallSeconds);
        let (seconds, steps) = (Histogram::new(RUN_BOUNDS), Histogram::new(STEP_BOUNDS));
        let (active, queued, leases) = (Gauge::default(), Gauge::default(), Counter::default());
        let into = &mut registry;
        expose(into, INVESTIGATIONS, Family::clone(&investigations));
        expose(into, INVESTIGATION_SECONDS, Histogram::clone(&seconds));
        expose(into, INVESTIGATION_STEPS, Histogram::clone(&steps));
        expose(into, ACTIVE, Gauge::<i64>::clone(&active));
        expose(into, QUEUED, Gauge::<i64>::clone(&queued));
        expose(into, CALLS, Family::clone(&calls));
        expose(into, CALL_SECONDS, Family::clone(&call_seconds));
        expose(into, CACHE_HITS, Family::clone(&cache_hits));
        expose(into, INSTANCES, Family::clone(&instances));
        expose(into, LEASES, Counter::<u64>::clone(&leases));
        expose(into, TOOLS, Family::clone(&standings));
        expose(into, FEEDBACK, Family::clone(&feedback));
        expose(into, ALERTS, Family::clone(&alerts));
        expose(into, NOTIFICATIONS, Family::clone(&notifications));
        expose(into, ERRORS, Family::clone(&errors));
        Self {
            registry: Arc::new(registry),
            tools: Arc::default(),
            investigations,
            seconds,
            steps,
            active,
            queued,
            calls,
            call_seconds,
            cache_hits,
            instances,
            leases,
            standings,
            feedback,
            alerts,
            notifications,
            errors,
        }
    }

    /// An investigation began to work.
    pub fn investigation_started(&self) {
        self.active.inc();
    }

    /// An investigation that had begun has its report. `verdict` is one of the closed list.
    pub fn investigation_ended(&self, verdict: &str, took: Duration, steps: usize) {
        self.active.dec();
        self.investigations.get_or_create(&Verdict { verdict: verdict.to_owned() }).inc();
        self.seconds.observe(took.as_secs_f64());
        self.steps.observe(f64::from(u32::try_from(steps).unwrap_or(u32::MAX)));
    }

    /// An investigation that had begun ends without a report, as the journal was lost.
    pub fn investigation_lost(&self) {
        self.active.dec();
    }

    /// So many investigations wait for their turn now.
    pub fn queue_depth(&self, waiting: usize) {
        self.queued.set(gauged(waiting));
    }

    /// An attempt at a call ended. `outcome` is `ok` or the class of its failure.
    pub fn tool_call(&self, plugin: &str, tool: &str, outcome: &str, took: Duration) {
        let of = self.bounded(Tool { plugin: plugin.to_owned(), tool: tool.to_owned() });
        let call =
            Call { plugin: of.plugin.clone(), tool: of.tool.clone(), outcome: outcome.to_owned() };
        self.calls.get_or_create(&call).inc();
        self.call_seconds.get_or_create(&of).observe(took.as_secs_f64());
    }

    /// So many instances of a plugin are in that state now. `state` is one of the closed list.
    pub fn plugin_instances(&self, plugin: &str, state: &str, count: usize) {
        let of = Instance { plugin: plugin.to_owned(), state: state.to_owned() };
        self.instances.get_or_create(&of).set(gauged(count));
    }

    /// So many versions of tools have that standing now. `standing` is one of the closed list.
    pub fn tools(&self, standing: &str, count: usize) {
        let of = Standing { standing: standing.to_owned() };
        self.standings.get_or_create(&of).set(gauged(count));
    }

    /// A plugin is not known any more.
    pub fn plugin_forgotten(&self, plugin: &str, states: &[&str]) {
        for state in states {
            let of = Instance { plugin: plugin.to_owned(), state: (*state).to_owned() };
            self.instances.remove(&of);
        }
    }

    /// So many more leases ran out.
    pub fn leases_expired(&self, more: u64) {
        self.leases.inc_by(more);
    }

    /// So many more questions were answered by what a cache had. `cache` is one of the closed list.
    pub fn cache_hits(&self, cache: &str, more: u64) {
        self.cache_hits.get_or_create(&Cache { cache: cache.to_owned() }).inc_by(more);
    }

    /// People judged an outcome. `judgement` is one of the closed list.
    pub fn feedback(&self, judgement: &str) {
        self.feedback.get_or_create(&Judgement { judgement: judgement.to_owned() }).inc();
    }

    /// So many alerts of one message came to that end. Both words are of closed lists.
    pub fn alerts(&self, source: &str, outcome: &str, alerts: usize) {
        if alerts > 0 {
            let of = Intake { source: source.to_owned(), outcome: outcome.to_owned() };
            self.alerts.get_or_create(&of).inc_by(u64::try_from(alerts).unwrap_or(u64::MAX));
        }
    }

    /// A message to a configured receiver was tried. `outcome` is one of the closed list.
    pub fn notification(&self, receiver: &str, outcome: &str) {
        let of = Notification { receiver: receiver.to_owned(), outcome: outcome.to_owned() };
        self.notifications.get_or_create(&of).inc();
    }

    /// A fault of the daemon itself. `kind` is one of the closed list.
    pub fn error(&self, kind: &str) {
        self.errors.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    /// All numbers in the text form of [`CONTENT_TYPE`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    fn bounded(&self, tool: Tool) -> Tool {
        let mut known = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&tool) || known.len() < MOST_TOOLS {
            known.insert(tool.clone());
            return tool;
        }
        Tool { plugin: OTHER.to_owned(), tool: OTHER.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used() -> Metrics {
        let metrics = Metrics::new();
        metrics.investigation_started();
        metrics.investigation_ended("healthy", Duration::from_secs(3), 12);
        metrics.queue_depth(2);
        metrics.tool_call("probe", "look", "ok", Duration::from_millis(30));
        metrics.plugin_instances("probe", "ready", 1);
        metrics.leases_expired(1);
        metrics.tools("active", 3);
        metrics.cache_hits("results", 2);
        metrics.feedback("correct");
        metrics.alerts("alertmanager", "attached", 9);
        metrics.notification("on-call", "delivered");
        metrics.error("internal");
        metrics
    }

    #[test]
    fn what_is_exposed_is_what_the_table_says() {
        let text = used().text();
        let exposed: BTreeSet<(String, String)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("# TYPE "))
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .collect();
        let documented: BTreeSet<(String, String)> = TABLE
            .iter()
            .map(|row| {
                let name = row.name.strip_suffix("_total").unwrap_or(row.name);
                (name.to_owned(), row.kind.to_owned())
            })
            .collect();
        assert_eq!(exposed, documented);
        for row in TABLE {
            let name = if row.kind == "histogram" {
                format!("{}_count", row.name)
            } else {
                row.name.to_owned()
            };
            let line = text
                .lines()
                .find(|line| line.starts_with(&name) && !line.starts_with('#'))
                .unwrap_or_else(|| panic!("no sample of {name} in\n{text}"));
            for label in row.labels {
                assert!(line.contains(&format!("{label}=\"")), "{label} of {line}");
            }
            let help = text.lines().find(|line| line.ends_with(row.help));
            assert!(help.is_some(), "help of {}", row.name);
        }
    }

    #[test]
    fn clones_count_together() {
        let metrics = used();
        metrics.clone().leases_expired(1);
        assert!(metrics.text().contains("agentd_lease_expirations_total 2"), "{}", metrics.text());
        assert!(metrics.text().contains("agentd_active_investigations 0"));
    }

    #[test]
    fn a_flood_of_tool_names_is_counted_as_one() {
        let metrics = used();
        for n in 0..2 * MOST_TOOLS {
            metrics.tool_call("flood", &format!("tool_{n}"), "ok", Duration::ZERO);
        }
        let text = metrics.text();
        let told = text.lines().filter(|l| l.starts_with("agentd_tool_calls_total")).count();
        assert_eq!(told, MOST_TOOLS + 1);
        assert!(text.contains("plugin=\"other\",tool=\"other\",outcome=\"ok\"} 501"), "{text}");
    }

    #[test]
    fn a_forgotten_plugin_leaves_no_series() {
        let metrics = used();
        metrics.plugin_forgotten("probe", &["ready", "expired"]);
        assert!(!metrics.text().contains("agentd_plugin_instances{plugin=\"probe\""));
    }
}
