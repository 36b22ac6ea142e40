//! Events about nodes.

use plugin_cluster::Event;

use crate::gather::{Finding, Rank};

pub(super) fn read(event: &Event) -> Vec<Finding> {
    let harm = |signal, says: &str| {
        let finding = Finding::new(signal, Rank::Harm, event.about.clone(), says);
        vec![finding.attr("reason", event.reason.as_str())]
    };
    match event.reason.as_str() {
        "NodeNotReady" => harm("node.not_ready", "became not ready"),
        "NodeHasDiskPressure" => harm("node.disk_pressure", "is short of disk"),
        "NodeHasInsufficientMemory" => harm("node.memory_pressure", "is short of memory"),
        "NodeHasInsufficientPID" => harm("node.pid_pressure", "is short of process ids"),
        "EvictionThresholdMet" => reclaiming(event),
        "FreeDiskSpaceFailed" | "ImageGCFailed" if event.warning => {
            harm("node.disk_pressure", "is short of disk and cannot free enough by removing images")
        }
        "NodeNotSchedulable" => {
            vec![Finding::new("node.cordoned", Rank::Change, event.about.clone(), "was cordoned")]
        }
        "Rebooted" => harm("node.rebooted", "was rebooted"),
        _ if reclaimed(&event.reason) => {
            let says = format!("is taken away: {}", super::one_line(&event.message));
            harm("node.reclaimed", &says)
        }
        _ => tainted(event),
    }
}

/// Words of providers and autoscalers for a node that goes.
fn reclaimed(reason: &str) -> bool {
    [
        "SpotInterruption",
        "SpotInterrupted",
        "PreemptionNotice",
        "TerminateScheduled",
        "PreemptScheduled",
        "NodeTerminat",
        "NodeShutdown",
        "InstanceTerminat",
        "DisruptionTerminating",
        "DeletingNode",
        "RemovingNode",
        "ScaleDown",
        "Shutdown",
    ]
    .iter()
    .any(|word| reason.starts_with(word))
}

fn reclaiming(event: &Event) -> Vec<Finding> {
    let resource = event.message.rsplit(' ').next().unwrap_or_default();
    let signal = match resource {
        "memory" => "node.memory_pressure",
        "pids" => "node.pid_pressure",
        _ => "node.disk_pressure",
    };
    let says = format!("evicts pods to reclaim {resource}");
    let finding = Finding::new(signal, Rank::Harm, event.about.clone(), says);
    vec![finding.attr("resource", resource).attr("reason", event.reason.as_str())]
}

/// No component of the cluster's own tells taints, but operators' tools do: `taint
/// dedicated=gpu:NoSchedule added …`.
fn tainted(event: &Event) -> Vec<Finding> {
    let is_taint = |word: &&str| {
        ["NoSchedule", "NoExecute", "PreferNoSchedule"]
            .iter()
            .any(|effect| word.trim_end_matches(['.', ',']).ends_with(&format!(":{effect}")))
    };
    let Some(taint) = event.message.split_whitespace().find(is_taint) else { return Vec::new() };
    if !event.message.contains("add") {
        return Vec::new();
    }
    let taint = taint.trim_end_matches(['.', ',']);
    let says = format!("was given taint {taint}");
    let finding = Finding::new("node.tainted", Rank::Change, event.about.clone(), says);
    vec![finding.attr("taints", taint).distinct(&["taints"])]
}
