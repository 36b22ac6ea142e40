//! What an author implements: one [`Tool`] per ability, with a [`Spec`] that says what it does
//! and what the daemon must enforce.

use std::{future::Future, time::Duration};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    call::CallCx,
    failure::{Failure, FailureClass},
    output::Output,
};

mod spec;

pub use spec::Spec;

/// One ability of a plugin.
pub trait Tool: Send + Sync + 'static {
    /// Arguments: their JSON Schema is made from this type, and they are read into it.
    type Args: DeserializeOwned + JsonSchema + Send;

    /// What the tool is and what must be enforced.
    fn spec(&self) -> Spec;

    /// Does the work. The future is dropped when the call is cancelled or its time is over, but for
    /// what stands in [`CallCx::protect`], and but for tools of [`Idempotency::Keyed`].
    fn call(
        &self,
        cx: CallCx,
        args: Self::Args,
    ) -> impl Future<Output = Result<Output, Failure>> + Send;
}

/// What a call may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SideEffect {
    /// Changes nothing outside the plugin.
    ReadOnly,
    /// Only adds.
    Additive,
    /// May alter existing state, and the change can be compensated.
    Reversible,
    /// May remove or irreversibly alter state.
    Destructive,
}

/// Declared risk; the daemon's policy may raise it, never lower it.
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

/// Whether a tool may be called again when it is not known what came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotency {
    /// A repeat may act twice: agentd never retries once a call was accepted.
    None,
    /// Calls with one idempotency key have one effect and equal results; the SDK sees to that, see
    /// [`Spec::keyed`].
    Keyed,
    /// Repeating has no further effect, as with setting a number of replicas.
    Natural,
}

/// Who may share a cached result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Only the principal it was fetched for.
    Private,
    /// Everybody.
    Shared,
}

/// Advice on trying again; agentd caps every value by its own policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// Attempts including the first; 1 means no retry, 0 agentd's default.
    pub max_attempts: u32,
    /// Pause before the first retry; zero means agentd's default.
    pub initial_backoff: Duration,
    /// Longest pause; zero means agentd's default.
    pub max_backoff: Duration,
    /// Growth from pause to pause, at least 1; 0 means agentd's default.
    pub multiplier: f64,
    /// Classes of failures worth another try; empty means transient, rate limited and external.
    pub classes: Vec<FailureClass>,
}

impl Retry {
    /// At most so many attempts, the first included, and agentd's defaults for the rest.
    #[must_use]
    pub fn attempts(max_attempts: u32) -> Self {
        Self {
            max_attempts,
            initial_backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
            multiplier: 0.0,
            classes: Vec::new(),
        }
    }

    /// Pauses from `initial` to `longest`, growing by `multiplier`.
    #[must_use]
    pub fn backoff(mut self, initial: Duration, longest: Duration, multiplier: f64) -> Self {
        self.initial_backoff = initial;
        self.max_backoff = longest;
        self.multiplier = multiplier;
        self
    }

    /// Only failures of these classes.
    #[must_use]
    pub fn classes(mut self, classes: &[FailureClass]) -> Self {
        self.classes = classes.to_vec();
        self
    }
}

/// Ceiling on the use of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Calls allowed in each period.
    pub calls: u32,
    /// Length of the period.
    pub period: Duration,
    /// Calls allowed at once on top of the steady rate.
    pub burst: u32,
    /// Calls in flight at once; 0 means no ceiling of its own.
    pub max_concurrent: u32,
}

/// When a tool is worth asking, and how to ask it without a model. See `Applicability` in
/// `types.proto`: a tool without one is called only by models and people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applies {
    /// Alert types it answers, `*` at the end allowed; empty means any.
    pub alert_types: Vec<String>,
    /// Signals after which it is worth asking; empty means from the start.
    pub after_signals: Vec<String>,
    /// Kinds of object it can be asked about; empty means the alerted object.
    pub subject_kinds: Vec<String>,
    /// Arguments as JSON with placeholders `{kind}` `{namespace}` `{name}` `{cluster}`
    /// `{service}` `{start_time}` `{end_time}`.
    pub arguments: String,
    /// Signals it may emit.
    pub emits: Vec<String>,
}

impl Applies {
    /// Worth asking from the start about the alerted object.
    #[must_use]
    pub fn from_start(arguments: &str) -> Self {
        Self { arguments: arguments.to_owned(), ..Self::default() }
    }

    /// Worth asking about an object of one of `kinds` once one of `signals` was seen on it.
    /// A signal may end in `*`.
    #[must_use]
    pub fn after(signals: &[&str], kinds: &[&str], arguments: &str) -> Self {
        Self {
            after_signals: signals.iter().map(|s| (*s).to_owned()).collect(),
            subject_kinds: kinds.iter().map(|s| (*s).to_owned()).collect(),
            arguments: arguments.to_owned(),
            ..Self::default()
        }
    }

    /// Limits it to alert types.
    #[must_use]
    pub fn for_alerts(mut self, types: &[&str]) -> Self {
        self.alert_types = types.iter().map(|s| (*s).to_owned()).collect();
        self
    }

    /// Names the signals it may emit.
    #[must_use]
    pub fn emits(mut self, signals: &[&str]) -> Self {
        self.emits = signals.iter().map(|s| (*s).to_owned()).collect();
        self
    }
}
