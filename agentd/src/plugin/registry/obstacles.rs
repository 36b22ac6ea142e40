//! Why a tool is not called, or not by everybody: each reason with the field that decides it, or the
//! state it is in, and with what to change. For authors at their desk and for people at night.

use std::sync::Arc;

use agent_proto::tool::v1::{FieldViolation, ToolDescriptor, ToolVerdict};
use tokio::time::Instant;

use super::{Registry, offer::Offer};
use crate::{
    guard::breaker,
    plugin::{
        admission::violation,
        contracts::Held,
        instance::{Instance, Readiness},
    },
    tool::{SideEffect, ToolRef, ToolSpec, Violation},
};

impl Registry {
    /// The contract that a tool which waits for a person is compared with: what is accepted until
    /// then. None for a tool that does not wait, or of which nothing was accepted yet.
    pub(crate) fn accepted_before(&self, tool: &ToolRef) -> Option<ToolDescriptor> {
        self.swept(Instant::now()).contracts.accepted_before(tool)
    }

    /// What keeps a tool from being called that somebody offers: the reasons of its best version, or
    /// why it was refused when it registered. None when nobody offers it.
    pub(crate) fn in_the_way(&self, plugin: &str, tool: &str) -> Option<Vec<Violation>> {
        if let Some(found) = self.tool(plugin, tool, "") {
            return Some(found.obstacles);
        }
        let now = Instant::now();
        let refused = self.swept(now).refused(plugin, now);
        let named =
            |verdict: &&ToolVerdict| verdict.tool.as_ref().is_some_and(|of| of.tool == tool);
        let rejection = refused.iter().find(named)?.rejection.as_ref()?;
        let all = rejection.violations.iter();
        let read = |one: &FieldViolation| {
            let said =
                format!("was refused when it registered: {}: {}", one.field, one.description);
            violation(&one.field, &one.reason, &said)
        };
        Some(all.map(read).collect())
    }
}

/// Refusals in a row after which a tool is shown as unavailable.
pub(super) const DENIED: u32 = 3;

/// Everything that stands in the way of `offer`. `instances` are those of its plugin.
pub(super) fn of<'a>(
    offer: &Offer,
    held: &Held,
    instances: impl Iterator<Item = &'a Arc<Instance>>,
    now: Instant,
) -> Vec<Violation> {
    let spec = offer.spec();
    let mut found: Vec<Violation> = held_up(spec, held).into_iter().chain(claims(spec)).collect();
    if let breaker::Standing::Open(left) = offer.breaker().standing() {
        let why = offer.pool().last_failure().map(|failure| failure.message).unwrap_or_default();
        let said = format!(
            "it failed again and again and is left alone for another {:.1} s; last: {why}",
            left.as_secs_f64()
        );
        found.push(violation("breaker", "TRIPPED", &said));
    }
    if offer.pool().denied() >= DENIED {
        let said = format!(
            "its last {} calls were refused for want of a permission; give the plugin what it needs: {}",
            offer.pool().denied(),
            if spec.permissions.is_empty() {
                "it names none".into()
            } else {
                spec.permissions.join(", ")
            }
        );
        found.push(violation("permissions", "DENIED", &said));
    }
    if offer.pool().ready(now) == 0 {
        let own: Vec<&Arc<Instance>> =
            instances.filter(|one| one.offers.contains(&spec.id)).collect();
        if own.is_empty() {
            found.push(violation("instances", "NO_INSTANCE", "no instance offers it"));
        }
        found.extend(own.into_iter().map(|one| unready(one, spec, now)));
    }
    found
}

fn held_up(spec: &ToolSpec, held: &Held) -> Option<Violation> {
    match held {
        Held::Free => None,
        Held::Quarantined(why) => {
            let said = format!(
                "{why}; agentd tools show {} --version {} tells what it is now; agentd tools accept \
                 {} {}",
                spec.id, spec.id.version, spec.id, spec.id.digest
            );
            Some(violation("digest", "QUARANTINED", &said))
        }
        Held::Disabled(why) => {
            let said =
                format!("was switched off by a person ({why}); agentd tools enable {}", spec.id);
            Some(violation("status", "DISABLED", &said))
        }
    }
}

/// What it says of itself that keeps this daemon from calling it.
fn claims(spec: &ToolSpec) -> Vec<Violation> {
    let mut found = Vec::new();
    if spec.side_effect > SideEffect::ReadOnly {
        let said = "is not READ_ONLY, and this daemon only reads; a tool that changes nothing \
                    declares it (unset is read as DESTRUCTIVE)";
        found.push(violation("side_effect", "NOT_READ_ONLY", said));
    }
    if spec.always_ask {
        let said = "is ALWAYS: each call wants a person's approval, which cannot be given yet";
        found.push(violation("approval", "APPROVAL_REQUIRED", said));
    }
    found
}

/// Why one instance takes no calls to the tool.
fn unready(instance: &Instance, spec: &ToolSpec, now: Instant) -> Violation {
    let (reason, said) = if instance.lease_until() <= now {
        (
            "LEASE_EXPIRED",
            "its lease ran out: is the process alive, and does it reach agentd?".into(),
        )
    } else if let Some(trouble) = instance.trouble() {
        ("UNREACHABLE", trouble)
    } else {
        match instance.readiness(now) {
            Readiness::Draining => ("DRAINING", "it finishes what runs and stops".into()),
            Readiness::Ready => {
                ("TOOL_UNREADY", format!("it says that {} is out of order for now", spec.id.tool))
            }
            Readiness::Unready => {
                let said = "it says it is not ready, or its health has not answered SERVING yet";
                ("UNREADY", said.to_owned())
            }
        }
    };
    violation(&format!("instances[{}]", instance.id), reason, &said)
}
