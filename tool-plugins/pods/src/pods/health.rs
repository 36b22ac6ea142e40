//! Workloads that are well: it clears suspects, so it is told as carefully as harm.

use agent_sdk::Observation;
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, server};

use super::{leaving, well};

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    (pods, owners): (&[Object], &Owners),
    answer: &mut Answer,
) {
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
        let workloads = cluster.list(kind, namespace).await;
        for workload in answer.or_gap(kind.plural(), workloads) {
            let desired = desired(&workload);
            let ready = ready(&workload);
            let entity = workload.entity();
            if desired > 0 && ready == 0 {
                let down = cache_down(&workload, (pods, owners), cluster.now());
                down.into_iter().for_each(|down| answer.harm(down));
            }
            let calm = pods
                .iter()
                .filter(|pod| owners.top(pod) == entity && !leaving(pod))
                .filter(|pod| pod.text("/status/phase") != "Failed")
                .all(|pod| well(pod, cluster.now()));
            if desired == 0 || ready < desired || !calm {
                continue;
            }
            let says = format!(
                "{} {}: {ready} of {desired} ready, no restart within the last hour",
                workload.kind(),
                workload.name()
            );
            answer.health(
                Observation::new("workload.healthy", entity, says)
                    .until(cluster.now())
                    .attr("ready", ready.to_string())
                    .attr("desired", desired.to_string()),
            );
        }
    }
}

/// A cache of which no replica is ready does not answer, whatever keeps it from it.
fn cache_down(
    workload: &Object,
    (pods, owners): (&[Object], &Owners),
    now: Timestamp,
) -> Option<Observation> {
    let spec = workload.at("/spec/template/spec")?;
    let system = server::of_spec(spec).filter(|system| server::is_cache(system))?;
    let entity = workload.entity();
    let own = pods.iter().filter(|pod| owners.top(pod) == entity);
    let unready =
        own.filter_map(|pod| pod.condition("Ready").filter(|c| c.status != "True")?.since);
    let since = unready.max();
    let says = format!(
        "no replica of {} {}, a cache ({system}), is ready{}",
        workload.kind(),
        workload.name(),
        since.map(|at| format!(" since {at}")).unwrap_or_default()
    );
    let down = Observation::new("cache.down", entity, says).maybe_since(since).until(now);
    Some(down.attr("system", system))
}

/// Replicas wanted; one when the spec is silent, as the API has it.
pub(crate) fn desired(workload: &Object) -> i64 {
    let asked = if workload.kind() == "DaemonSet" {
        "/status/desiredNumberScheduled"
    } else {
        "/spec/replicas"
    };
    workload.number(asked).unwrap_or(i64::from(workload.kind() != "DaemonSet"))
}

/// Replicas ready.
pub(crate) fn ready(workload: &Object) -> i64 {
    let told = if workload.kind() == "DaemonSet" {
        "/status/numberReady"
    } else {
        "/status/readyReplicas"
    };
    workload.number(told).unwrap_or(0)
}
