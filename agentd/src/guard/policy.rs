//! The policy: which calls may run unasked. Its simplest form: what only reads runs, everything
//! else is refused. Autonomy profiles, approvals and budgets take their place here later.

use super::Cleared;
use crate::tool::{Call, Failure, FailureClass, SideEffect, ToolSpec};

/// Decides over calls. Pure.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    _private: (),
}

impl Policy {
    /// Clears `call` to the tool that `spec` describes.
    ///
    /// # Errors
    /// A failure of class PERMISSION with what was refused and what would allow it: the tool may
    /// change something, demands a person's approval, or is not the one that was looked at.
    pub fn clear(&self, call: Call, spec: &ToolSpec) -> Result<Cleared<Call>, Failure> {
        if call.tool != spec.id {
            return Err(refusal(
                "DESCRIPTOR_MISMATCH",
                format!("{} changed between plan and call; plan again", spec.id),
            ));
        }
        if spec.side_effect > SideEffect::ReadOnly {
            return Err(refusal(
                "NOT_READ_ONLY",
                format!(
                    "{} is not declared READ_ONLY and this daemon only reads; \
                     a tool that changes nothing declares side_effect READ_ONLY",
                    spec.id
                ),
            ));
        }
        if spec.always_ask {
            return Err(refusal(
                "APPROVAL_REQUIRED",
                format!("{} demands a person's approval, which cannot be given yet", spec.id),
            ));
        }
        Ok(Cleared(call))
    }
}

fn refusal(reason: &str, message: String) -> Failure {
    Failure::ours(FailureClass::Permission, reason, message)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tool::{Idempotency, Retry, Risk, ToolRef};

    pub(crate) fn spec(name: &str, side_effect: SideEffect) -> ToolSpec {
        ToolSpec {
            id: ToolRef {
                plugin: "probe".to_owned(),
                tool: name.to_owned(),
                version: "1.0.0".to_owned(),
                digest: format!("sha256:{name}"),
            },
            description: String::new(),
            side_effect,
            risk: Risk::Low,
            always_ask: false,
            idempotency: Idempotency::Natural,
            permissions: Vec::new(),
            timeout: Duration::from_secs(1),
            retry: Retry::default(),
            rate_limit: None,
            cache: None,
            typical_latency: Duration::from_millis(100),
            sensitive_arguments: Vec::new(),
            applies: Vec::new(),
        }
    }

    /// A call that nobody judged, for tests of what comes after.
    pub(crate) fn unguarded(call: Call) -> Cleared<Call> {
        Cleared(call)
    }

    pub(crate) fn call(spec: &ToolSpec) -> Call {
        Call {
            tool: spec.id.clone(),
            arguments: "{}".to_owned(),
            idempotency_key: uuid::Uuid::nil(),
            investigation: "investigations/x".to_owned(),
            step: "s1".to_owned(),
            page_token: String::new(),
        }
    }

    #[test]
    fn only_what_reads_runs() {
        for (side_effect, allowed) in [
            (SideEffect::ReadOnly, true),
            (SideEffect::Additive, false),
            (SideEffect::Reversible, false),
            (SideEffect::Destructive, false),
        ] {
            let spec = spec("look", side_effect);
            let cleared = Policy::default().clear(call(&spec), &spec);
            assert_eq!(cleared.is_ok(), allowed, "{side_effect:?}");
        }
    }

    #[test]
    fn a_tool_that_demands_a_person_and_one_that_changed_are_refused() {
        let mut asks = spec("look", SideEffect::ReadOnly);
        asks.always_ask = true;
        let refused = Policy::default().clear(call(&asks), &asks).unwrap_err();
        assert_eq!(refused.reason, "APPROVAL_REQUIRED");

        let seen = spec("look", SideEffect::ReadOnly);
        let mut now = seen.clone();
        now.id.digest = "sha256:other".to_owned();
        let refused = Policy::default().clear(call(&seen), &now).unwrap_err();
        assert_eq!(refused.reason, "DESCRIPTOR_MISMATCH");
    }
}
