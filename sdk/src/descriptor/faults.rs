//! What contradicts itself in the contracts of a plugin's tools, found before anybody is told of
//! them. agentd checks names, sizes and schemas; here is what only the author can have meant
//! otherwise.

use std::collections::BTreeSet;

use agent_proto::tool::v1::{self as wire, Idempotency, SideEffect, ToolDescriptor};
use serde_json::Value;

/// A sentence for each contradiction in one catalog.
pub(crate) fn contradictions(tools: &[ToolDescriptor]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for tool in tools {
        if !seen.insert((&tool.name, &tool.version)) {
            faults.push(format!("tool {} {} is there twice", tool.name, tool.version));
        }
        let of_tool = within(tool).into_iter().chain(undo(tool, tools));
        faults.extend(of_tool.map(|fault| format!("tool {}: {fault}", tool.name)));
    }
    faults
}

/// Contradictions of a tool with itself.
fn within(tool: &ToolDescriptor) -> Vec<String> {
    let reads = tool.side_effect() == SideEffect::ReadOnly;
    let mut faults = Vec::new();
    let mut check = |is_wrong: bool, fault: &str| {
        if is_wrong {
            faults.push(fault.to_owned());
        }
    };
    check(
        reads && tool.idempotency() == Idempotency::Keyed,
        "it only reads, so a repeat is safe anyway: leave keyed() out",
    );
    check(
        !reads && tool.cache.is_some(),
        "it changes something, and only results of tools that only read are cached: leave cached() \
         out",
    );
    check(
        tool.side_effect() == SideEffect::Reversible && tool.compensation.is_none(),
        "it is reversible and does not say by which tool: name it with compensated_by(), or make it \
         destructive",
    );
    check(
        reads && tool.compensation.is_some(),
        "it only reads and has nothing to undo: leave compensated_by() out",
    );
    if let Some(retry) = &tool.retry {
        faults.extend(retry_fault(retry));
    }
    faults
}

fn retry_fault(retry: &wire::RetryPolicy) -> Option<String> {
    let span = |d: &Option<prost_types::Duration>| d.as_ref().map(|d| (d.seconds, d.nanos));
    let (initial, longest) = (span(&retry.initial_backoff), span(&retry.max_backoff));
    let multiplier = retry.backoff_multiplier;
    // Written so that what is not a number is wrong as well.
    if !(multiplier == 0.0 || multiplier >= 1.0) || multiplier.is_infinite() {
        return Some(format!("its pauses grow by {multiplier}; that is at least 1"));
    }
    (initial.is_some() && longest.is_some() && initial > longest)
        .then(|| "its first pause is longer than its longest".to_owned())
}

/// Contradictions of a tool with the one that undoes it.
fn undo(tool: &ToolDescriptor, tools: &[ToolDescriptor]) -> Option<String> {
    let compensation = tool.compensation.as_ref()?;
    let name = &compensation.tool;
    let Some(undoing) = tools.iter().rfind(|tool| tool.name == *name) else {
        let known: BTreeSet<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Some(format!("it is undone by {name}, which is no tool of the plugin ({known})"));
    };
    if undoing.side_effect() == SideEffect::ReadOnly {
        return Some(format!("it is undone by {name}, which only reads"));
    }
    if compensation.accepts_call_id && !takes_call_id(&undoing.input_schema_json) {
        return Some(format!(
            "it says that {name} takes a call_id alone; give that tool an argument call_id and make \
             its others optional"
        ));
    }
    None
}

/// Whether `{"call_id": …}` alone can be an argument, as far as the root of the schema tells.
fn takes_call_id(schema: &str) -> bool {
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    // A root that is a choice tells nothing here.
    if ["oneOf", "anyOf", "allOf", "$ref"].iter().any(|word| schema.get(*word).is_some()) {
        return true;
    }
    let known = schema.get("properties").is_some_and(|known| known.get("call_id").is_some());
    let needed = schema.get("required").and_then(Value::as_array);
    known && needed.is_none_or(|needed| needed.iter().all(|name| name == "call_id"))
}
