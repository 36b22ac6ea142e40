//! The contract of one tool as its author writes it down. What contradicts itself is told when the
//! plugin is put together, see `descriptor/faults.rs`.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;

use super::{Applies, Idempotency, RateLimit, Retry, Risk, Scope, SideEffect};
use crate::descriptor::output_schema;

/// What a tool is and what the daemon must enforce. Begins as one of four kinds, from the harmless
/// [`Spec::read_only`] to [`Spec::destructive`].
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
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) retry: Option<Retry>,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) rate_shared: bool,
    pub(crate) cached: Option<(Duration, Scope)>,
    pub(crate) undo: Option<(String, bool)>,
    pub(crate) dry_run: bool,
    pub(crate) output_schema: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) deprecation: String,
    pub(crate) typical_latency: Option<Duration>,
    pub(crate) typical_result_bytes: u32,
    pub(crate) usd_per_call: f64,
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
            idempotency: None,
            retry: None,
            rate_limit: None,
            rate_shared: false,
            cached: None,
            undo: None,
            dry_run: false,
            output_schema: None,
            labels: BTreeMap::new(),
            deprecation: String::new(),
            typical_latency: None,
            typical_result_bytes: 0,
            usd_per_call: 0.0,
            always_ask: false,
            reports_progress: false,
            sensitive_arguments: Vec::new(),
            examples: Vec::new(),
            applies: Vec::new(),
        }
    }

    /// A tool that only adds: nothing that exists is altered or removed. Of medium risk.
    #[must_use]
    pub fn additive(name: &str, description: &str) -> Self {
        Self::read_only(name, description).changes(SideEffect::Additive, Risk::Medium)
    }

    /// A tool whose change can be taken back. Of high risk. It must say by which tool, see
    /// [`Self::compensated_by`], and gives the undo of each call with
    /// [`Output::compensation`](crate::Output::compensation).
    #[must_use]
    pub fn reversible(name: &str, description: &str) -> Self {
        Self::read_only(name, description).changes(SideEffect::Reversible, Risk::High)
    }

    /// A tool that may remove or alter what cannot be brought back. Of critical risk.
    #[must_use]
    pub fn destructive(name: &str, description: &str) -> Self {
        Self::read_only(name, description).changes(SideEffect::Destructive, Risk::Critical)
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

    /// Another risk than that of the kind of change. agentd raises what is below its floor.
    #[must_use]
    pub fn risk(mut self, risk: Risk) -> Self {
        self.risk = risk;
        self
    }

    /// Whether a repeat is safe. Unset means natural for a tool that only reads, and none for one
    /// that changes something.
    #[must_use]
    pub fn idempotency(mut self, idempotency: Idempotency) -> Self {
        self.idempotency = Some(idempotency);
        self
    }

    /// Calls with one idempotency key have one effect and equal results: the SDK remembers the
    /// outcome of each key for an hour, 1,024 keys at most, in memory; a second call while the first
    /// still works waits for it; other arguments under the same key are refused.
    ///
    /// For that the work of such a tool is not dropped when a call is withdrawn or out of time, as
    /// the connection may have been cut and the retry wants the outcome. It is told, see
    /// [`CallCx::cancelled`](crate::CallCx::cancelled), and should stop there before it has changed
    /// something; it is dropped after 25 s, and the key then answers that the outcome is unknown.
    /// An attempt that failed and says that nothing was changed leaves the key free. A call without
    /// a key, and a dry run, is worked on as any other.
    #[must_use]
    pub fn keyed(self) -> Self {
        self.idempotency(Idempotency::Keyed)
    }

    /// Names the tool of the same plugin that undoes this one; a reversible tool needs one. With
    /// `accepts_call_id` that tool also takes `{"call_id": …}` alone, for calls whose result was
    /// lost.
    #[must_use]
    pub fn compensated_by(mut self, tool: &str, accepts_call_id: bool) -> Self {
        self.undo = Some((tool.to_owned(), accepts_call_id));
        self
    }

    /// Says that [`CallCx::dry_run`](crate::CallCx::dry_run) is heeded: such a call checks all that
    /// a real one does, changes nothing, and tells the effects it would have with
    /// [`Output::planned_effect`](crate::Output::planned_effect).
    #[must_use]
    pub fn supports_dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    /// Results stay fresh so long, and for whom. Only for tools that only read.
    #[must_use]
    pub fn cached(mut self, ttl: Duration, scope: Scope) -> Self {
        self.cached = Some((ttl, scope));
        self
    }

    /// The type of the result, given to [`Output::new`](crate::Output::new): its JSON Schema is
    /// announced, and agentd holds results against it.
    #[must_use]
    pub fn returns<T: JsonSchema>(mut self) -> Self {
        self.output_schema = Some(output_schema::<T>());
        self
    }

    /// A label for selection, such as `domain` and `network`.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Says that another should be used, and which, such as `use 2.0.0`.
    #[must_use]
    pub fn deprecated(mut self, instead: &str) -> Self {
        instead.clone_into(&mut self.deprecation);
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
    pub fn max_attempts(self, attempts: u32) -> Self {
        self.retry(Retry::attempts(attempts))
    }

    /// When and how often to try again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Ceiling on use.
    #[must_use]
    pub fn rate_limit(mut self, limit: RateLimit) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// Says that all instances of the plugin share one ceiling, as with one quota at the backend.
    #[must_use]
    pub fn shared_across_instances(mut self) -> Self {
        self.rate_shared = true;
        self
    }

    /// Usual latency, for planning: cheaper questions are asked first.
    #[must_use]
    pub fn typical_latency(mut self, latency: Duration) -> Self {
        self.typical_latency = Some(latency);
        self
    }

    /// Usual size of `result_json` in bytes, for planning.
    #[must_use]
    pub fn typical_result_bytes(mut self, bytes: u32) -> Self {
        self.typical_result_bytes = bytes;
        self
    }

    /// Money that one call costs, in US dollars.
    #[must_use]
    pub fn usd_per_call(mut self, usd: f64) -> Self {
        self.usd_per_call = usd;
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
