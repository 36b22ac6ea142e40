//! `check_pods`: what is wrong with containers and pods, which workloads are well, and what pods
//! belong to, run on, use and call. Judges from objects alone: it works without events.

pub(crate) mod calls;
mod containers;
mod fit;
mod health;
pub(crate) use health::{desired, ready};
mod phase;
mod preempted;
mod probed;
mod proofs;
mod pulls;
pub(crate) mod uses;

use agent_sdk::{Entity, Failure, Output, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, State, pod};
use serde::Serialize;

use crate::{args::Where, storage};

/// One pod in the result for people and models.
#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    workload: String,
    status: String,
    ready: String,
    restarts: u64,
    node: String,
}

/// Most pods listed in the result.
const MAX_ROWS: usize = 200;

/// Looks at the pods of a namespace, or of the cluster when neither namespace nor service says
/// which.
///
/// # Errors
/// What the source answers when pods cannot be listed.
pub async fn check_pods(cluster: &Cluster, args: &Where) -> Result<Output, Failure> {
    let target = cluster.resolve(&args.namespace, &args.service).await;
    let namespace = target.namespace.as_deref();
    let pods = cluster.list(Kind::Pod, namespace).await?;
    let mut answer = Answer::about(&target);
    let owners = Owners::read(cluster, namespace).await;

    for pod in &pods {
        phase::judge(pod, cluster.now(), &mut answer);
        containers::judge(pod, cluster.now(), &mut answer);
        answer.relate_all(owners.relations(pod));
        let node = pod.text("/spec/nodeName");
        if !node.is_empty() {
            let node = Entity::cluster_wide("Node", node);
            answer.relate(Relation::new(pod.entity(), RelationKind::RunsOn, node));
        }
    }
    uses::judge(cluster, (&pods, &owners), &mut answer).await;
    probed::judge(cluster, &pods, &mut answer).await;
    proofs::judge(cluster, namespace, (&pods, &owners), &mut answer).await;
    calls::relate(cluster, namespace, (&pods, &owners), &mut answer).await;
    pulls::judge(cluster, namespace, &pods, &mut answer).await;
    preempted::judge(cluster, (&pods, &owners), &mut answer).await;
    if pods.iter().any(storage::held_by_volumes) {
        storage::held(cluster, namespace, &mut answer).await;
    }
    fit::judge(cluster, &pods, &mut answer).await;
    health::judge(cluster, namespace, (&pods, &owners), &mut answer).await;

    let rows = rows(&pods, &owners, cluster.now());
    let headline = format!("{} pods in {}", pods.len(), namespace.unwrap_or("the cluster"));
    answer.into_output(cluster, &headline, &rows)
}

/// Pods in trouble first.
fn rows(pods: &[Object], owners: &Owners, now: Timestamp) -> Vec<Row> {
    let mut rows: Vec<(bool, Row)> =
        pods.iter().map(|pod| (well(pod, now), row(pod, owners))).collect();
    rows.sort_by_key(|(well, _)| *well);
    rows.into_iter().take(MAX_ROWS).map(|(_, row)| row).collect()
}

fn row(object: &Object, owners: &Owners) -> Row {
    let all = pod::containers(object);
    let main: Vec<_> = all.iter().filter(|c| !c.init).collect();
    let waiting = all.iter().find_map(|c| {
        let State::Waiting { reason, .. } = c.state() else { return None };
        (!reason.is_empty()).then_some(reason)
    });
    let reason = Some(object.text("/status/reason")).filter(|r| !r.is_empty());
    let top = owners.top(object);
    Row {
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        workload: format!("{}/{}", top.kind, top.name),
        status: reason.or(waiting).unwrap_or(object.text("/status/phase")).to_owned(),
        ready: format!("{}/{}", main.iter().filter(|c| c.ready()).count(), main.len()),
        restarts: all.iter().map(plugin_cluster::Container::restarts).sum(),
        node: object.text("/spec/nodeName").to_owned(),
    }
}

/// Whether a pod is ready, or ended well, and did not restart within the last hour.
fn well(object: &Object, now: Timestamp) -> bool {
    let ready = object.condition("Ready").is_some_and(|c| c.status == "True");
    let done = object.text("/status/phase") == "Succeeded";
    let calm = pod::containers(object).iter().all(|c| {
        let State::Terminated { finished: Some(at), .. } = c.last_state() else { return true };
        !crate::within(at, now, 1)
    });
    done || (ready && calm)
}

/// Whether a pod is on its way out: it is no longer judged as if it had to be ready.
fn leaving(object: &Object) -> bool {
    object.at("/metadata/deletionTimestamp").is_some()
}
