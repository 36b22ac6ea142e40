//! Whether the pods behind a Service declare the ports it sends to. A name that nobody declares
//! leads nowhere; a number may be open all the same, so it is told as less certain.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{
    Answer, Object,
    pod::{self, shown},
};
use serde_json::Value;

/// Tells mismatches; whether a certain one was found.
pub(super) fn judge(
    service: &Object,
    behind: &[&Object],
    now: Timestamp,
    answer: &mut Answer,
) -> bool {
    let declared = declared(behind);
    let mut certain = false;
    for port in service.list("/spec/ports") {
        let Some(target) = port.get("targetPort").or_else(|| port.get("port")) else { continue };
        let target = shown(target);
        let named = target.parse::<i64>().is_err();
        let known =
            declared.iter().any(|(name, number)| *name == target || number.to_string() == target);
        if known || (!named && declared.is_empty()) {
            continue;
        }
        certain |= named;
        let numbers: Vec<String> = declared
            .iter()
            .map(|(name, n)| if name.is_empty() { n.to_string() } else { format!("{name}:{n}") })
            .collect();
        let numbers = numbers.join(",");
        let from = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        let says = format!(
            "Service {} sends port {from} to target port {target}, its pods declare {}",
            service.name(),
            if numbers.is_empty() { "none" } else { &numbers }
        );
        let since = crate::rollouts::edits::last_edit(service, now).map(|e| e.time);
        answer.harm(
            Observation::new("service.port_mismatch", service.entity(), says)
                .maybe_since(since)
                .until(now)
                .attr("target_port", target)
                .attr("declared", numbers)
                .attr("certain", if named { "true" } else { "false" }),
        );
    }
    certain
}

fn declared(behind: &[&Object]) -> Vec<(String, i64)> {
    let mut all: Vec<(String, i64)> = behind
        .iter()
        .flat_map(|pod| pod::containers(pod))
        .flat_map(|c| c.ports())
        .map(|(name, number)| (name.to_owned(), number))
        .collect();
    all.sort();
    all.dedup();
    all
}
