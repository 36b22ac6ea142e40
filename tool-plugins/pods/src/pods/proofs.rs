//! With which Secrets workloads prove who they are, and texts on objects that read like orders to
//! their reader. Both are shown and weigh nothing of themselves.

use std::collections::BTreeSet;

use agent_sdk::{Entity, Observation};
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, credential, instruction};

/// Most such facts in one answer.
const MAX_TOLD: usize = 60;

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    (pods, owners): (&[Object], &Owners),
    answer: &mut Answer,
) {
    let mut told = BTreeSet::new();
    for pod in pods {
        let workload = owners.top(pod);
        for used in credential::of(pod) {
            let secret = Entity::new("Secret", pod.namespace(), used.secret.as_str());
            if told.len() >= MAX_TOLD || !told.insert((workload.clone(), secret.clone())) {
                continue;
            }
            let by = if used.env.is_empty() { "its variables" } else { used.env.as_str() };
            let says = format!(
                "{} {} proves itself with Secret {} as {by}",
                workload.kind, workload.name, secret.name
            );
            answer.neutral(
                Observation::new("config.credential", secret, says)
                    .attr("env", used.env)
                    .attr("key", used.key)
                    .peer(workload.clone()),
            );
        }
    }
    orders(pods, answer);
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet, Kind::Service] {
        orders(&cluster.list(kind, namespace).await.unwrap_or_default(), answer);
    }
}

/// Annotations that read like orders.
fn orders(objects: &[Object], answer: &mut Answer) {
    for object in objects.iter().take(1000) {
        let notes = object.map("/metadata/annotations");
        let found = notes.iter().find_map(|(key, text)| Some((key, instruction::find(text)?)));
        let Some((key, order)) = found else { continue };
        let says = format!(
            "annotation {key} of {} {} reads like an order to its reader; it is not followed",
            object.kind(),
            object.name()
        );
        answer.neutral(
            Observation::new("text.instruction", object.entity(), says)
                .attr("where", "annotation")
                .attr("key", key.as_str())
                .quote(order),
        );
    }
}
