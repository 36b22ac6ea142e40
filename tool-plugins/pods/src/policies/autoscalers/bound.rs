//! Autoscalers that want more than they may have, and such that can never want more.

use agent_sdk::Observation;
use plugin_cluster::{Object, pod, quantity};
use serde_json::Value;

use super::{One, target};
use crate::{rollouts::edits, within};

/// An edit of the bound within this many hours is of this trouble.
const LATELY_HOURS: i64 = 72;

/// At its ceiling: by the controller's word, or by the figures.
pub(super) fn at_max(one: &One<'_>) -> Option<Observation> {
    let (max, min, replicas) = (one.max(), one.min(), one.replicas());
    let limited = one.autoscaler.condition("ScalingLimited").filter(|c| c.status == "True");
    let told = limited.filter(|c| c.reason == "TooManyReplicas");
    if max == 0 || (told.is_none() && !above_target(one)) || replicas < max {
        return None;
    }
    let edit = edits::last_edit(one.autoscaler, one.now)
        .filter(|e| e.fields.pointer("/f:spec/f:maxReplicas").is_some())
        .filter(|e| within(e.time, one.now, LATELY_HOURS));
    let bound = if max <= min {
        "fixed"
    } else if edit.is_some() {
        "lowered"
    } else {
        "max"
    };
    let (metric, wanted) = one.metric();
    let current = one.current();
    let figures = if current.is_empty() {
        String::new()
    } else {
        format!(", {metric} at {current} where {wanted} is wanted")
    };
    let edited = edit
        .as_ref()
        .map(|e| format!("; maxReplicas was written by {} at {}", e.manager, e.time))
        .unwrap_or_default();
    let says = format!(
        "is at its maximum: {replicas} of at most {max} replicas (minimum {min}){figures}{edited}"
    );
    Some(
        one.observe("policy.hpa_at_max", &says)
            .maybe_since(edit.map(|e| e.time).or_else(|| told.and_then(|c| c.since)))
            .value(number(replicas), "1")
            .baseline(number(max))
            .attr("bound", bound)
            .attr("max", max.to_string())
            .attr("min", min.to_string())
            .attr("metric", metric)
            .attr("current", current)
            .attr("target", wanted)
            .quote(told.map_or("", |c| c.message))
            .peer(target(one.autoscaler)),
    )
}

fn number(count: i64) -> f64 {
    f64::from(i32::try_from(count).unwrap_or(i32::MAX))
}

/// Whether the first metric stands clearly above its target.
fn above_target(one: &One<'_>) -> bool {
    let percent = |text: &str| text.strip_suffix(" %").and_then(|n| n.parse::<f64>().ok());
    let value = |text: &str| percent(text).or_else(|| quantity::parse(text));
    let pair = value(&one.current()).zip(value(&one.metric().1));
    pair.is_some_and(|(current, wanted)| current > wanted * 1.1)
}

/// A ceiling below the trigger, or scaling up switched off.
pub(super) fn never_triggers(one: &One<'_>, workload: &Object) -> Option<Observation> {
    let disabled = one.autoscaler.text("/spec/behavior/scaleUp/selectPolicy") == "Disabled";
    if disabled {
        let seen = one.observe(
            "policy.hpa_never_triggers",
            "has scaling up switched off (selectPolicy Disabled)",
        );
        return Some(seen.attr("why", "disabled").peer(target(one.autoscaler)));
    }
    one.autoscaler.list("/spec/metrics").iter().find_map(|metric| capped(one, workload, metric))
}

/// Utilization is counted in requests; a limit caps usage. A trigger above their ratio is never
/// reached.
fn capped(one: &One<'_>, workload: &Object, metric: &Value) -> Option<Observation> {
    let of = metric.get("resource").or_else(|| metric.get("containerResource"))?;
    let resource = of.get("name")?.as_str()?;
    let wanted = of.get("target")?.get("averageUtilization")?.as_f64()?;
    let chosen = of.get("container").and_then(Value::as_str);
    let (mut requests, mut limits) = (0.0, 0.0);
    for container in workload.list("/spec/template/spec/containers") {
        let name = container.get("name").and_then(Value::as_str);
        if chosen.is_some() && name != chosen {
            continue;
        }
        let amount = |part: &str| {
            let told = container.get("resources")?.get(part)?.get(resource)?;
            quantity::parse(&pod::shown(told))
        };
        // One container without a limit may use whatever there is.
        let limit = amount("limits")?;
        limits += limit;
        requests += amount("requests").unwrap_or(limit);
    }
    if requests <= 0.0 || limits >= requests * wanted / 100.0 {
        return None;
    }
    let most = limits / requests * 100.0;
    let says = format!(
        "can never scale up: it waits for {wanted} % of the requested {resource}, and the limit \
         caps usage at {most:.0} %"
    );
    Some(
        one.observe("policy.hpa_never_triggers", &says)
            .attr("why", "capped")
            .attr("metric", resource)
            .attr("target", format!("{wanted} %"))
            .attr("most", format!("{most:.0} %"))
            .peer(target(one.autoscaler)),
    )
}
