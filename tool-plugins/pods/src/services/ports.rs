//! Whether the pods behind a Service declare the ports it sends to, in the same protocol. A name that nobody declares
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
        let fits: Vec<&(String, i64, String)> = declared
            .iter()
            .filter(|(name, number, _)| *name == target || number.to_string() == target)
            .collect();
        let spoken = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
        let same = fits.iter().any(|(.., protocol)| protocol == spoken);
        if same || (!named && declared.is_empty()) {
            continue;
        }
        // The port is there, for another protocol: packets go nowhere.
        let other = !fits.is_empty();
        let sure = named || other;
        certain |= sure;
        let numbers: Vec<String> = declared
            .iter()
            .map(|(name, n, protocol)| {
                let number =
                    if protocol == "TCP" { n.to_string() } else { format!("{n}/{protocol}") };
                if name.is_empty() { number } else { format!("{name}:{number}") }
            })
            .collect();
        let numbers = numbers.join(",");
        let from = port.get("port").and_then(Value::as_i64).unwrap_or_default();
        let says = format!(
            "Service {} sends port {from}/{spoken} to target port {target}, its pods declare {}",
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
                .attr("protocol", if other { spoken } else { "" })
                .attr("certain", if sure { "true" } else { "false" }),
        );
    }
    certain
}

/// Name, number and protocol of each port.
fn declared(behind: &[&Object]) -> Vec<(String, i64, String)> {
    let mut all: Vec<(String, i64, String)> = behind
        .iter()
        .flat_map(|pod| pod::containers(pod))
        .flat_map(|c| pod::list(c.spec, "ports").iter())
        .filter_map(|port| {
            let text = |key: &str| port.get(key).and_then(Value::as_str);
            let number = port.get("containerPort")?.as_i64()?;
            let protocol = text("protocol").unwrap_or("TCP").to_owned();
            Some((text("name").unwrap_or_default().to_owned(), number, protocol))
        })
        .collect();
    all.sort();
    all.dedup();
    all
}
