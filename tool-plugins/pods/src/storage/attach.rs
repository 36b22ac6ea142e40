//! Volumes that one node holds while a pod on another waits for them.

use agent_sdk::{Entity, Observation};
use plugin_cluster::{Answer, Kind, Object, sayings};

use super::{Scene, claims_of};

pub(super) async fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    let attachments = if scene.cluster.records(Kind::VolumeAttachment) {
        let listed = scene.cluster.list(Kind::VolumeAttachment, None).await;
        answer.or_gap("volumeattachments", listed)
    } else {
        Vec::new()
    };
    for pod in scene.pods.iter().filter(|p| waits_on_its_node(p)) {
        for entity in claims_of(pod) {
            let Some(claim) = scene.claim(&entity) else { continue };
            let own = pod.text("/spec/nodeName");
            let volume = claim.text("/spec/volumeName");
            let of_volume = |a: &&Object| a.text("/spec/source/persistentVolumeName") == volume;
            let failed = attachments
                .iter()
                .filter(of_volume)
                .find(|a| a.text("/spec/nodeName") == own && a.at("/status/attachError").is_some());
            let holder = rival(scene, pod, claim).or_else(|| {
                let attached = |a: &&Object| {
                    a.at("/status/attached").and_then(serde_json::Value::as_bool) == Some(true)
                };
                let other = attachments.iter().filter(of_volume).filter(attached);
                let other = other.map(|a| a.text("/spec/nodeName")).find(|node| *node != own);
                other
                    .filter(|_| single_writer(claim))
                    .map(|node| (Entity::cluster_wide("Node", node), node.to_owned()))
            });
            if failed.is_some() || holder.is_some() {
                let error = failed.map_or("", |a| a.text("/status/attachError/message"));
                answer.harm(told(scene, pod, claim, (error, holder)));
            }
        }
    }
}

/// Placed, and none of its containers was ever started.
fn waits_on_its_node(pod: &Object) -> bool {
    pod.text("/status/phase") == "Pending" && !pod.text("/spec/nodeName").is_empty()
}

fn single_writer(claim: &Object) -> bool {
    let modes = claim.list("/spec/accessModes");
    modes.iter().filter_map(|m| m.as_str()).all(|m| m.starts_with("ReadWriteOnce"))
}

/// Another pod with the same claim on another node.
fn rival(scene: &Scene<'_>, pod: &Object, claim: &Object) -> Option<(Entity, String)> {
    let node = pod.text("/spec/nodeName");
    let users = scene.users(&claim.entity());
    let other = users.into_iter().find(|other| {
        let there = other.text("/spec/nodeName");
        other.name() != pod.name() && !there.is_empty() && there != node
    })?;
    single_writer(claim).then(|| (other.entity(), other.text("/spec/nodeName").to_owned()))
}

fn told(
    scene: &Scene<'_>,
    pod: &Object,
    claim: &Object,
    (error, holder): (&str, Option<(Entity, String)>),
) -> Observation {
    let volume = claim.text("/spec/volumeName");
    let why = match (&holder, sayings::attach_failure(error)) {
        (Some(_), "other") => "multi_attach",
        (_, why) => why,
    };
    let held = match &holder {
        Some((who, node)) if who.kind == "Pod" => {
            format!(" (Multi-Attach): pod {} on node {node} has it", who.name)
        }
        Some((_, node)) => format!(" (Multi-Attach): it is attached to node {node}"),
        None => format!(": {error}"),
    };
    let says = format!(
        "volume {volume} of PersistentVolumeClaim {} cannot be attached to node {} for pod {}{held}",
        claim.name(),
        pod.text("/spec/nodeName"),
        pod.name()
    );
    let since = pod.time("/status/startTime").or_else(|| pod.created());
    let seen = Observation::new("storage.attach_failed", pod.entity(), says)
        .maybe_since(since)
        .until(scene.cluster.now())
        .attr("volume", volume)
        .attr("claim", claim.name())
        .attr("why", why)
        .attr("holder", holder.as_ref().map_or("", |(_, node)| node.as_str()))
        .quote(error);
    match holder {
        Some((who, _)) => seen.peer(who),
        None => seen,
    }
}
