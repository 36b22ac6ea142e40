//! Whether the pods behind a Service declare the ports it sends to, in the same protocol. A name that nobody declares
//! leads nowhere; a number may be open all the same, so it is told as less certain, and as edited
//! when somebody changed the ports lately and none of them fits now.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{
    Answer, Object,
    pod::{self, shown},
};
use serde_json::Value;

use crate::{rollouts::edits, within};

/// An edit of the ports within this time is news.
const RECENT_HOURS: i64 = 48;

/// Tells mismatches; whether one was found with which no endpoint counts as well.
pub(super) fn judge(
    service: &Object,
    behind: &[&Object],
    now: Timestamp,
    answer: &mut Answer,
) -> bool {
    let declared = declared(behind);
    let mut amiss = false;
    let edited = edited_amiss(service, &declared, now);
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
        amiss |= sure || edited;
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
        let since = edits::last_edit(service, now).map(|e| e.time);
        answer.harm(
            Observation::new("service.port_mismatch", service.entity(), says)
                .maybe_since(since)
                .until(now)
                .attr("target_port", target)
                .attr("declared", numbers)
                .attr("protocol", if other { spoken } else { "" })
                .attr("certain", if sure { "true" } else { "false" })
                .attr("edited", if edited { "true" } else { "false" }),
        );
    }
    amiss
}

/// Whether the ports were edited lately and none of them leads to one that the pods declare.
fn edited_amiss(service: &Object, declared: &[(String, i64, String)], now: Timestamp) -> bool {
    let edited = edits::last_edit(service, now).is_some_and(|edit| {
        within(edit.time, now, RECENT_HOURS) && edits::paths(&edit).contains("ports")
    });
    let fits = |port: &Value| {
        let target = port.get("targetPort").or_else(|| port.get("port")).map(shown);
        target.is_some_and(|target| {
            declared.iter().any(|(name, n, _)| *name == target || n.to_string() == target)
        })
    };
    edited && !declared.is_empty() && !service.list("/spec/ports").iter().any(fits)
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
