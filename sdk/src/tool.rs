//! What an author implements: one [`Tool`] per ability, with a [`Spec`] that says what it does
//! and what the daemon must enforce.

use std::{future::Future, time::Duration};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{call::CallCx, failure::Failure, output::Output};

/// One ability of a plugin.
pub trait Tool: Send + Sync + 'static {
    /// Arguments: their JSON Schema is made from this type, and they are read into it.
    type Args: DeserializeOwned + JsonSchema + Send;

    /// What the tool is and what must be enforced.
    fn spec(&self) -> Spec;

    /// Does the work. The future is dropped when the call is cancelled or its time is over.
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

/// What a tool is and what the daemon must enforce. Starts as the harmless read-only tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) side_effect: SideEffect,
    pub(crate) risk: Risk,
    pub(crate) permissions: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) typical_latency: Option<Duration>,
    pub(crate) always_ask: bool,
    pub(crate) reports_progress: bool,
    pub(crate) sensitive_arguments: Vec<String>,
    pub(crate) examples: Vec<(String, String)>,
    pub(crate) applies: Vec<Applies>,
}

impl Spec {
    /// A read-only tool of low risk, version 1.0.0, with 30 s for an attempt. `name` matches
    /// `[a-z][a-z0-9_]{1,31}`; `description` says what it does and when to use it.
    #[must_use]
    pub fn read_only(name: &str, description: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            title: String::new(),
            description: description.to_owned(),
            side_effect: SideEffect::ReadOnly,
            risk: Risk::Low,
            permissions: Vec::new(),
            timeout: Duration::from_secs(30),
            max_attempts: 0,
            rate_limit: None,
            typical_latency: None,
            always_ask: false,
            reports_progress: false,
            sensitive_arguments: Vec::new(),
            examples: Vec::new(),
            applies: Vec::new(),
        }
    }

    /// Its name and the permissions it was given, for plugins that check what they may.
    #[must_use]
    pub fn needs(&self) -> (&str, &[String]) {
        (&self.name, &self.permissions)
    }

    /// Semantic version of the contract.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Short title for people.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// What it may change, and the risk of that.
    #[must_use]
    pub fn changes(mut self, side_effect: SideEffect, risk: Risk) -> Self {
        self.side_effect = side_effect;
        self.risk = risk;
        self
    }

    /// Permissions the plugin needs at the target, such as `k8s:pods/list`.
    #[must_use]
    pub fn permissions(mut self, permissions: &[&str]) -> Self {
        self.permissions = permissions.iter().map(|s| (*s).to_owned()).collect();
        self
    }

    /// Time one attempt may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Attempts including the first; 1 means no retry.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// Ceiling on use.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Usual latency, for planning: cheaper questions are asked first.
    #[must_use]
    pub fn typical_latency(mut self, latency: Duration) -> Self {
        self.typical_latency = Some(latency);
        self
    }

    /// Demands a person's approval for each call.
    #[must_use]
    pub fn always_ask(mut self) -> Self {
        self.always_ask = true;
        self
    }

    /// Says that long calls report progress.
    #[must_use]
    pub fn reports_progress(mut self) -> Self {
        self.reports_progress = true;
        self
    }

    /// Top-level arguments whose values are masked in logs, events and audit.
    #[must_use]
    pub fn sensitive_arguments(mut self, names: &[&str]) -> Self {
        self.sensitive_arguments = names.iter().map(|s| (*s).to_owned()).collect();
        self
    }

    /// Example arguments that are valid and harmless.
    #[must_use]
    pub fn example(mut self, title: &str, arguments: &str) -> Self {
        self.examples.push((title.to_owned(), arguments.to_owned()));
        self
    }

    /// When to ask it without a model.
    #[must_use]
    pub fn applies(mut self, applies: Applies) -> Self {
        self.applies.push(applies);
        self
    }
}
