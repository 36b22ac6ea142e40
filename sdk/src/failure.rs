//! Why a call failed, as the caller needs to know it: closed classes, a stable reason, words for
//! people.

use std::{collections::BTreeMap, time::Duration};

use agent_proto::tool::v1 as wire;

use crate::{
    limits::{MAX_ENTRIES, MAX_MESSAGE, MAX_NAME, cut_middle},
    redact::{redact, redact_value},
};

const MAX_METADATA: usize = 16;
const MAX_REASON: usize = 63;
/// Largest single detail of a failure, in bytes: 64 of them must fit into one update.
const MAX_DETAIL: usize = 512;

/// Class of a failure; decides whether the daemon retries and who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// Passing fault inside the plugin. Retried.
    Transient,
    /// A quota or rate limit was hit. Retried after the delay given.
    RateLimited,
    /// The dependency behind the tool failed. Retried with backoff.
    External,
    /// The arguments are wrong. Never retried as they are.
    InvalidArgument,
    /// The named object does not exist. Counts as evidence, not as an outage.
    NotFound,
    /// The plugin's identity may not do this. Needs an operator.
    Permission,
    /// The plugin is misconfigured. Needs an operator.
    Config,
    /// A defect in the plugin.
    Bug,
    /// The time allowed ran out.
    Timeout,
    /// The caller withdrew the call.
    Cancelled,
}

/// How far a failed call had got in changing things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Effects {
    /// Not said: nothing where the tool only reads or the call was a dry run, else perhaps
    /// something. A repeat may do harm, so a tool that changes something says it where it can.
    #[default]
    Unsaid,
    /// Nothing was changed.
    None,
    /// Something may have been changed.
    Maybe,
    /// The change was made although the call failed.
    Applied,
}

/// A failed call, or the reason of a gap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Class.
    pub class: FailureClass,
    /// Stable word for machines, `UPPER_SNAKE_CASE`.
    pub reason: String,
    /// For people, without secrets.
    pub message: String,
    /// Values named in the message, at most 16.
    pub metadata: BTreeMap<String, String>,
    /// Earliest useful retry.
    pub retry_after: Option<Duration>,
    /// Wrong fields: path, what is wrong and how to mend it.
    pub violations: Vec<(String, String)>,
    /// Missing or forbidden object, such as `v1/Pod shop/cart-0`.
    pub resource: String,
    /// What may have been changed.
    pub effects: Effects,
}

impl Failure {
    /// A failure of `class`.
    #[must_use]
    pub fn new(class: FailureClass, reason: &str, message: impl Into<String>) -> Self {
        Self {
            class,
            reason: reason.to_owned(),
            message: message.into(),
            metadata: BTreeMap::new(),
            retry_after: None,
            violations: Vec::new(),
            resource: String::new(),
            effects: Effects::Unsaid,
        }
    }

    /// Says what was changed before it failed.
    #[must_use]
    pub fn effects(mut self, effects: Effects) -> Self {
        self.effects = effects;
        self
    }

    /// Says that it failed before anything was changed, so that trying again is safe.
    #[must_use]
    pub fn nothing_changed(self) -> Self {
        self.effects(Effects::None)
    }

    /// The dependency behind the tool failed.
    #[must_use]
    pub fn external(reason: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::External, reason, message)
    }

    /// One argument is wrong; `how` says what is wrong and how to mend it.
    #[must_use]
    pub fn invalid_argument(field: &str, how: impl Into<String>) -> Self {
        let how = how.into();
        let mut failure =
            Self::new(FailureClass::InvalidArgument, "INVALID_ARGUMENT", format!("{field}: {how}"));
        failure.violations.push((field.to_owned(), how));
        failure
    }

    /// The named object does not exist.
    #[must_use]
    pub fn not_found(resource: impl Into<String>, message: impl Into<String>) -> Self {
        let mut failure = Self::new(FailureClass::NotFound, "NOT_FOUND", message);
        failure.resource = resource.into();
        failure
    }

    /// A defect in the plugin.
    #[must_use]
    pub fn bug(reason: &str, message: impl Into<String>) -> Self {
        Self::new(FailureClass::Bug, reason, message)
    }

    /// With `effects` where nothing was said of them.
    pub(crate) fn said_or(mut self, effects: Effects) -> Self {
        if self.effects == Effects::Unsaid {
            self.effects = effects;
        }
        self
    }

    pub(crate) fn into_wire(self) -> wire::Failure {
        let (class, code) = wire_class(self.class);
        let effects = match self.effects {
            Effects::Unsaid => wire::EffectState::Unspecified,
            Effects::None => wire::EffectState::None,
            Effects::Maybe => wire::EffectState::Maybe,
            Effects::Applied => wire::EffectState::Applied,
        };
        wire::Failure {
            failure_class: class.into(),
            code,
            message: cut_middle(&redact(&self.message), MAX_MESSAGE),
            reason: upper_snake(&self.reason),
            domain: String::new(),
            metadata: self
                .metadata
                .into_iter()
                .take(MAX_METADATA)
                .map(|(key, value)| {
                    let value = cut_middle(&redact_value(&key, &value), MAX_DETAIL);
                    (cut_middle(&key, MAX_NAME), value)
                })
                .collect(),
            retry_delay: self.retry_after.and_then(|d| d.try_into().ok()),
            violations: self
                .violations
                .into_iter()
                .take(MAX_ENTRIES)
                .map(|(field, description)| wire::FieldViolation {
                    field: cut_middle(&field, MAX_NAME),
                    description: cut_middle(&redact(&description), MAX_DETAIL),
                    reason: "INVALID".to_owned(),
                })
                .collect(),
            resource: cut_middle(&redact(&self.resource), MAX_DETAIL),
            effects: effects.into(),
        }
    }
}

/// The class on the wire, and the canonical code of google.rpc.Code that PROTOCOL's table of classes
/// gives it.
pub(crate) fn wire_class(class: FailureClass) -> (wire::FailureClass, i32) {
    match class {
        FailureClass::Transient => (wire::FailureClass::Transient, 14),
        FailureClass::RateLimited => (wire::FailureClass::RateLimited, 8),
        FailureClass::External => (wire::FailureClass::External, 14),
        FailureClass::InvalidArgument => (wire::FailureClass::InvalidArgument, 3),
        FailureClass::NotFound => (wire::FailureClass::NotFound, 5),
        FailureClass::Permission => (wire::FailureClass::Permission, 7),
        FailureClass::Config => (wire::FailureClass::Config, 9),
        FailureClass::Bug => (wire::FailureClass::Bug, 13),
        FailureClass::Timeout => (wire::FailureClass::Timeout, 4),
        FailureClass::Cancelled => (wire::FailureClass::Cancelled, 1),
    }
}

/// A reason as the contract wants it, whatever the author wrote: `UPPER_SNAKE_CASE`, at most 63
/// characters, never empty.
fn upper_snake(reason: &str) -> String {
    let reason: String = reason
        .chars()
        .take(MAX_REASON)
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
        .collect();
    if reason.is_empty() { "UNSPECIFIED".to_owned() } else { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_and_code_agree_with_the_contract() {
        for (class, wire_class, code) in [
            (FailureClass::Transient, wire::FailureClass::Transient, 14),
            (FailureClass::RateLimited, wire::FailureClass::RateLimited, 8),
            (FailureClass::External, wire::FailureClass::External, 14),
            (FailureClass::InvalidArgument, wire::FailureClass::InvalidArgument, 3),
            (FailureClass::NotFound, wire::FailureClass::NotFound, 5),
            (FailureClass::Permission, wire::FailureClass::Permission, 7),
            (FailureClass::Config, wire::FailureClass::Config, 9),
            (FailureClass::Bug, wire::FailureClass::Bug, 13),
            (FailureClass::Timeout, wire::FailureClass::Timeout, 4),
            (FailureClass::Cancelled, wire::FailureClass::Cancelled, 1),
        ] {
            let failure = Failure::new(class, "X", "m").into_wire();
            assert_eq!((failure.failure_class(), failure.code), (wire_class, code));
        }
    }

    #[test]
    fn a_failure_is_bounded_and_masked_however_long_it_is() {
        let message = format!("begins {} and says why", "token=abcdef ".repeat(2000));
        let mut failure = Failure::external("too long & odd", message);
        for n in 0..100 {
            failure.metadata.insert(format!("k{n}"), "v".repeat(9000));
            failure.violations.push((format!("f{n}"), "password=hunter2".to_owned()));
        }
        failure.retry_after = Some(Duration::from_secs(3));
        let failure = failure.into_wire();
        let message = &failure.message;
        assert!(message.len() <= MAX_MESSAGE, "{} bytes", message.len());
        assert!(message.starts_with("begins ") && message.ends_with("and says why"), "{message}");
        assert_eq!(failure.reason, "TOO_LONG___ODD");
        assert_eq!((failure.metadata.len(), failure.violations.len()), (16, 64));
        assert_eq!(failure.retry_delay.map(|d| d.seconds), Some(3));
        let text = format!("{failure:?}");
        assert!(!text.contains("abcdef") && !text.contains("hunter2"));
    }
}
