//! Events about volumes and claims.

use agent_sdk::Entity;
use plugin_cluster::{Event, sayings};

use super::one_line;
use crate::gather::{Finding, Rank};

pub(super) fn mount(event: &Event) -> Vec<Finding> {
    let said = &event.message;
    let volume = sayings::volume(said).unwrap_or_default();
    let why = sayings::attach_failure(said);
    let attaching = event.reason == "FailedAttachVolume"
        || matches!(why, "multi_attach" | "in_use" | "limit")
        || said.starts_with("AttachVolume.");
    let (signal, cannot) = if attaching {
        ("storage.attach_failed", "attach")
    } else {
        ("storage.mount_failed", "mount")
    };
    let says = format!("cannot {cannot} volume {volume}: {}", one_line(said));
    let mut findings = vec![
        Finding::new(signal, Rank::Harm, event.about.clone(), says)
            .attr("volume", volume)
            .attr("why", why)
            .distinct(&["volume"]),
    ];
    if let Some(missing) = sayings::missing(said) {
        let object =
            Entity::new(missing.kind, event.about.namespace.as_str(), missing.name.as_str());
        let what = format!("cannot start: {} {} does not exist", missing.kind, missing.name);
        findings.push(
            Finding::new("container.config_missing", Rank::Harm, event.about.clone(), what)
                .attr("key", missing.key.as_str())
                .attr("volume", volume)
                .peer(object.clone()),
        );
        let says = format!("does not exist, needed by pod {}", event.about.name);
        let signal = if missing.key.is_empty() { "config.missing" } else { "config.key_missing" };
        findings.push(
            Finding::new(signal, Rank::Harm, object, says)
                .attr("key", missing.key)
                .peer(event.about.clone()),
        );
    } else if let Some(key) = sayings::missing_volume_key(said) {
        let says = format!("cannot start: volume {volume} asks for key {key}, which is not there");
        findings.push(
            Finding::new("container.config_missing", Rank::Harm, event.about.clone(), says)
                .attr("key", key)
                .attr("volume", volume),
        );
    }
    findings
}

/// A claim is on its way for this long at most before it is called waiting.
const PATIENCE_MINUTES: i64 = 5;

/// A claim that is not bound. Waiting for a first pod is its ordinary state, and so is waiting
/// for a provisioner for a while.
pub(super) fn claim(event: &Event) -> Vec<Finding> {
    let said = event.message.as_str();
    let kind = event.about.kind.as_str();
    let minutes =
        event.first.zip(event.last).map_or(0, |(first, last)| last.duration_since(first).as_mins());
    let brief =
        !event.warning && minutes < PATIENCE_MINUTES && event.reason == "ExternalProvisioning";
    if kind != "PersistentVolumeClaim" || said.contains("waiting for first consumer") || brief {
        return Vec::new();
    }
    let class = said
        .split_once("storageclass.storage.k8s.io \"")
        .or_else(|| said.split_once("StorageClass \""));
    let class = class.and_then(|(_, rest)| rest.split_once('"')).map_or("", |(class, _)| class);
    let why = sayings::provision_failure(said);
    let says = format!("is not bound: {}", one_line(said));
    let pending = Finding::new("storage.claim_pending", Rank::Harm, event.about.clone(), says)
        .attr("class", class)
        .attr("why", why)
        .attr("class_missing", if why == "class_missing" { "true" } else { "" });
    if why != "parameters" || class.is_empty() {
        return vec![pending];
    }
    let says = format!("cannot provision {}: {}", event.about.name, one_line(said));
    let of_class = Finding::new(
        "storage.provisioning_failed",
        Rank::Harm,
        Entity::cluster_wide("StorageClass", class),
        says,
    );
    vec![pending, of_class.attr("why", why).peer(event.about.clone())]
}
