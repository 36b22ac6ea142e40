//! Two faults at once that have nothing to do with each other.

use super::told;
use crate::incidents::{
    clock::MIN, cluster::Cluster, mishap::waits_for_image, traffic::Peer, truth::Truth,
};

/// One service is killed for memory, and another one's rollout names an image that is not there:
/// the alert is about the namespace.
pub(in super::super) fn two_at_once(cluster: &mut Cluster) -> Truth {
    let app = cluster.app(2);
    let id = app.last();
    let (home, name) = (cluster.home(), cluster.names.service());
    let other = cluster.service(&home, &name);
    cluster.call(app.gate(), Peer::In(other), false);
    let (old, new) = cluster.dice.pick(&[(1024_i64, 192_i64), (768, 128), (512, 96)]);
    cluster[id].always(|t| (t.memory_limit, t.memory_request) = (old, old / 2));
    cluster[id].memory_used = new as f64 * 0.8;
    let at = cluster.minutes_ago(9, 40);
    cluster.roll(id, at, |t| (t.memory_limit, t.memory_request) = (new, new / 2));
    cluster.kill_for_memory(id, at + 30, (6, 12), None);
    let tag = format!("{}-rc2", cluster[other].template().tag);
    let later = cluster.minutes_ago(12, 45);
    let places = cluster.stick(other, later, |t| t.tag.clone_from(&tag), waits_for_image);
    let image = cluster[other].template().reference();
    let said = format!(
        "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
    );
    cluster.image_failures(other, &places, &said);
    let gate = app.gate();
    let alert = cluster.dice.pick(&["namespace_degraded", "WorkloadsNotReady"]);
    let (killed, stuck) = (cluster[id].name.clone(), cluster[other].name.clone());
    let severity = cluster.lasting_effect(gate);
    let cause = format!(
        "The memory limit of {killed} was lowered from {old}Mi to {new}Mi and it is OOMKilled; independently, the rollout of {stuck} waits for image tag {tag}, which does not exist."
    );
    let description = format!(
        "Several workloads of {home} are not ready since {} minutes; requests of {} fail.",
        -at / MIN,
        cluster[gate].called()
    );
    let mut truth = told(cluster, (alert, gate, id), (&description, &cause))
        .rated("hard", severity)
        .mention(&[&killed, cluster[id].called()])
        .or_category(&["config_change_regression"]);
    let words = [["image", "ImagePullBackOff", "ErrImagePull"].as_slice(), &[&stuck, &name]];
    let words = words.iter().map(|group| group.iter().map(|&w| w.to_owned()).collect()).collect();
    truth.also = Some(("image_pull_failure", cluster.reference(other), words));
    truth
}
