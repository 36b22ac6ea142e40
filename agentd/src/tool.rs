//! Tools as the daemon knows them: what a plugin declared, a call, what came back, why it failed.
//! Pure values. A plugin declares its own limits and risk; policy may tighten them, never loosen.

use std::{collections::BTreeMap, fmt, time::Duration};

use jiff::Timestamp;
use uuid::Uuid;

use crate::fact::{Observation, Relation};

/// Addresses one tool at one version; the digest pins its descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ToolRef {
    /// Plugin namespace.
    pub plugin: String,
    /// Tool name within it.
    pub tool: String,
    /// Exact contract version.
    pub version: String,
    /// `sha256:` and hex over the canonical descriptor.
    pub digest: String,
}

/// `plugin.tool`, as people read it.
impl fmt::Display for ToolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.plugin, self.tool)
    }
}

/// What a call may change. Ordered from harmless to harmful; unset on the wire reads as the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SideEffect {
    /// Changes nothing outside the plugin.
    ReadOnly,
    /// Only adds.
    Additive,
    /// May alter existing state; can be compensated.
    Reversible,
    /// May remove or irreversibly alter state.
    Destructive,
}

/// Risk of a call. Unset on the wire reads as high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// No operational impact.
    Low,
    /// Noticeable load or exposure of internal data.
    Medium,
    /// Can degrade a workload.
    High,
    /// Can take down a service or lose data.
    Critical,
}

/// Whether repeating a call with one idempotency key is safe. Unset on the wire reads as `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// A repeat may act twice: never retried after acceptance.
    None,
    /// The plugin deduplicates by key.
    Keyed,
    /// Repeating has no further effect.
    Natural,
}

/// Retry advice of one tool. Capped by policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts including the first; at least 1.
    pub max_attempts: u32,
    /// Delay before the first retry.
    pub initial_backoff: Duration,
    /// Upper bound of a delay.
    pub max_backoff: Duration,
    /// Growth factor between delays; at least 1.
    pub multiplier: f64,
    /// Classes worth another attempt among those that can be; empty for all of these.
    pub classes: Vec<FailureClass>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(5),
            multiplier: 2.0,
            classes: Vec::new(),
        }
    }
}

/// Ceiling on the use of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls allowed in each period; 0 sets no rate.
    pub calls: u32,
    /// Length of the period.
    pub period: Duration,
    /// Calls allowed at once on top of the steady rate.
    pub burst: u32,
    /// Calls in flight at once; 0 means no ceiling of its own.
    pub max_concurrent: u32,
    /// One ceiling for all instances, as for one quota of a backend; otherwise each has its own.
    pub shared: bool,
}

/// How long the result of a tool that only reads may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRule {
    /// How old its data may be.
    pub ttl: Duration,
    /// Whether one principal may see what another asked for.
    pub shared: bool,
}

/// When a tool is worth asking without a model, and how. See `types.proto`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applicability {
    /// Alert types it answers, `*` at the end allowed; empty means any.
    pub alert_types: Vec<String>,
    /// Signals after which it is worth asking, `*` at the end allowed; empty means from the start.
    pub after_signals: Vec<String>,
    /// Kinds of object it can be asked about; empty means the alerted object.
    pub subject_kinds: Vec<String>,
    /// Arguments as JSON with placeholders.
    pub arguments_template: String,
    /// Signals it may emit.
    pub emits: Vec<String>,
}

/// One tool as declared by its plugin, read strictly.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolSpec {
    /// Reference with version and digest resolved.
    pub id: ToolRef,
    /// What it does, for people and models.
    pub description: String,
    /// What it may change.
    pub side_effect: SideEffect,
    /// Declared risk.
    pub risk: Risk,
    /// True when the plugin demands a person's approval for each call.
    pub always_ask: bool,
    /// Whether repeats are safe.
    pub idempotency: Idempotency,
    /// Permissions the plugin needs at the target.
    pub permissions: Vec<String>,
    /// Time one attempt may take.
    pub timeout: Duration,
    /// Retry advice.
    pub retry: Retry,
    /// Ceiling on use, when declared.
    pub rate_limit: Option<RateLimit>,
    /// Whether results may be used again; only for tools that only read.
    pub cache: Option<CacheRule>,
    /// Usual latency; what a question costs.
    pub typical_latency: Duration,
    /// Top-level argument names whose values are masked wherever the call is recorded.
    pub sensitive_arguments: Vec<String>,
    /// When to ask it without a model.
    pub applies: Vec<Applicability>,
}

/// A tool with arguments, as the plan wants it. Becomes a call only through the guard.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Tool, with version and digest.
    pub tool: ToolRef,
    /// Arguments: a JSON object as text. Text, so that what was judged is what is sent.
    pub arguments: String,
    /// Same for all attempts at one step with the same arguments.
    pub idempotency_key: Uuid,
    /// Investigation it belongs to, as `investigations/{id}`.
    pub investigation: String,
    /// Step of the plan.
    pub step: String,
    /// Continues a truncated result; empty from the start.
    pub page_token: String,
}

/// Class of a failure: decides on retry, breaker and who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// Passing fault inside the plugin or on the wire.
    Transient,
    /// A quota or rate limit was hit.
    RateLimited,
    /// The dependency behind the tool failed.
    External,
    /// The arguments are wrong.
    InvalidArgument,
    /// The named object does not exist: evidence, not an outage.
    NotFound,
    /// The plugin's identity may not do this.
    Permission,
    /// The plugin is misconfigured.
    Config,
    /// A defect in the plugin.
    Bug,
    /// The time allowed ran out.
    Timeout,
    /// The caller withdrew the call.
    Cancelled,
}

impl FailureClass {
    /// The word people and metrics see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::External => "external",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::Permission => "permission",
            Self::Config => "config",
            Self::Bug => "bug",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
        }
    }

    /// Canonical gRPC code of the class (PROTOCOL 4.9).
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Transient | Self::External => 14,
            Self::RateLimited => 8,
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::Permission => 7,
            Self::Config => 9,
            Self::Bug => 13,
            Self::Timeout => 4,
            Self::Cancelled => 1,
        }
    }

    /// Whether the class is worth another attempt at all.
    #[must_use]
    pub fn retryable(self) -> bool {
        matches!(self, Self::Transient | Self::RateLimited | Self::External | Self::Timeout)
    }
}

/// How far a failed call had got in changing things. Unset on the wire reads as `Maybe`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effects {
    /// Nothing was changed.
    None,
    /// Something may have been changed.
    Maybe,
    /// The change was made although the call failed.
    Applied,
}

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path, such as `alert.severity`.
    pub field: String,
    /// What is wrong and how to mend it.
    pub description: String,
    /// Stable word for machines.
    pub reason: String,
}

/// A failed call, or the reason of a gap. Data, never an `Err` of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// Class.
    pub class: FailureClass,
    /// Canonical gRPC code, 1 to 16.
    pub code: i32,
    /// For people, without secrets.
    pub message: String,
    /// Stable word for machines, `UPPER_SNAKE_CASE`.
    pub reason: String,
    /// Who coined the reason: plugin namespace, backend or `agentd`.
    pub domain: String,
    /// Values named in the message.
    pub metadata: BTreeMap<String, String>,
    /// Earliest useful retry.
    pub retry_after: Option<Duration>,
    /// Wrong fields or unmet conditions.
    pub violations: Vec<Violation>,
    /// Missing or forbidden object.
    pub resource: String,
    /// What may have been changed.
    pub effects: Effects,
}

impl Failure {
    /// A failure that agentd itself states, with nothing changed.
    #[must_use]
    pub fn ours(class: FailureClass, reason: &str, message: impl Into<String>) -> Self {
        Self {
            class,
            code: class.code(),
            message: message.into(),
            reason: reason.to_owned(),
            domain: "agentd".to_owned(),
            metadata: BTreeMap::new(),
            retry_after: None,
            violations: Vec::new(),
            resource: String::new(),
            effects: Effects::None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason)
    }
}

/// A hole in a result that is otherwise usable.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultGap {
    /// What is missing, such as `logs of pod b-2`.
    pub subject: String,
    /// Why.
    pub failure: Failure,
}

/// Whether a plugin may have this name: 2 to 24 letters (PROTOCOL 4.4).
#[must_use]
pub fn is_plugin_name(name: &str) -> bool {
    is_name(name, 24)
}

/// Whether a tool may have this name: 2 to 32 letters (PROTOCOL 4.4).
#[must_use]
pub fn is_tool_name(name: &str) -> bool {
    is_name(name, 32)
}

/// `[a-z][a-z0-9_]{1,max-1}` without a double underscore, which parts plugin and tool for models.
fn is_name(name: &str, max: usize) -> bool {
    (2..=max).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && !name.contains("__")
}

/// What a call did against the contract although it succeeded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flaw {
    /// Stable word for machines.
    pub reason: String,
    /// For the tool's author.
    pub said: String,
}

impl Flaw {
    /// A flaw, in words.
    #[must_use]
    pub fn new(reason: &str, said: &str) -> Self {
        Self { reason: reason.to_owned(), said: said.to_owned() }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.said)
    }
}

/// What a successful call gave back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallOutput {
    /// Structured outcome as JSON text.
    pub result_json: String,
    /// A few lines for people.
    pub summary: String,
    /// True when something was left out.
    pub truncated: bool,
    /// Size before that, in bytes; 0 when it is not known.
    pub total_bytes: u64,
    /// Continues where it was cut; empty when nothing can.
    pub next_page_token: String,
    /// References for people, each with its title: dashboards, queries, objects.
    pub links: Vec<(String, String)>,
    /// Holes in the outcome.
    pub gaps: Vec<ResultGap>,
    /// Time the data describes.
    pub observe_time: Option<Timestamp>,
    /// Typed facts.
    pub observations: Vec<Observation>,
    /// Edges of the topology.
    pub relations: Vec<Relation>,
    /// What the plugin did against its contract that cost nothing: for its author.
    pub flaws: Vec<Flaw>,
}
