//! `check_rollouts`: what was changed and when (pod templates, replicas, configuration,
//! Services), which rollouts do not get on, which replicas are missing, how Jobs ended.

pub(crate) mod drift;
pub mod edits;
mod jobs;
mod revisions;
mod state;
pub mod templates;
mod topics;

use agent_sdk::{Failure, Output};
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, Rules};
use serde::Serialize;

use crate::{args::Where, intent};

#[derive(Debug, Serialize)]
struct Row {
    kind: String,
    namespace: String,
    name: String,
    ready: i64,
    desired: i64,
    images: Vec<String>,
}

/// Most workloads listed in the result.
const MAX_ROWS: usize = 200;

/// Looks at the workloads of a namespace, or of the cluster when neither namespace nor service
/// says which.
///
/// # Errors
/// What the source answers when none of the kinds of workload can be listed.
pub async fn check_rollouts(cluster: &Cluster, args: &Where) -> Result<Output, Failure> {
    let target = cluster.resolve(&args.namespace, &args.service).await;
    let namespace = target.namespace.as_deref();
    let mut answer = Answer::about(&target);
    let (mut workloads, mut refused) = (Vec::new(), Vec::new());
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
        match cluster.list(kind, namespace).await {
            Ok(found) => workloads.extend(found),
            Err(why) => refused.push((kind.plural(), why)),
        }
    }
    if let (3, Some((_, why))) = (refused.len(), refused.first()) {
        return Err(why.clone());
    }
    for (kind, why) in refused {
        answer.gap(kind, why);
    }
    let listed = cluster.list(Kind::Pod, namespace).await;
    let pods = answer.or_gap("pods", listed);
    let owners = Owners::read(cluster, namespace).await;
    let rules = Rules::read(cluster, namespace).await;
    let revisions = revisions::Revisions::read(cluster, namespace, &mut answer).await;
    let mut webhooks = Vec::new();
    for kind in [Kind::ValidatingWebhookConfiguration, Kind::MutatingWebhookConfiguration] {
        webhooks.extend(cluster.list(kind, None).await.unwrap_or_default());
    }
    for workload in &workloads {
        let entity = workload.entity();
        let own: Vec<&Object> = pods.iter().filter(|p| owners.top(p) == entity).collect();
        revisions.judge(workload, cluster.now(), &mut answer);
        state::judge(workload, &own, (&rules, &webhooks), cluster.now(), &mut answer);
        let settled = revisions.in_force_since(workload, cluster.now());
        if let Some(seen) = state::pods_replaced(workload, &own, settled, cluster.now()) {
            answer.change(seen);
        }
        revisions.stuck(workload, &own, cluster.now(), &mut answer);
    }
    jobs::judge(cluster, namespace, &mut answer).await;
    edits::judge(cluster, namespace, &workloads, &mut answer).await;
    intent::judge(cluster, namespace, (&workloads, &pods, &owners), &mut answer).await;
    let headline =
        format!("{} workloads in {}", workloads.len(), namespace.unwrap_or("the cluster"));
    answer.into_output(cluster, &headline, &rows(&workloads))
}

fn rows(workloads: &[Object]) -> Vec<Row> {
    let mut rows: Vec<Row> = workloads
        .iter()
        .map(|w| Row {
            kind: w.kind().to_owned(),
            namespace: w.namespace().to_owned(),
            name: w.name().to_owned(),
            ready: crate::pods::ready(w),
            desired: crate::pods::desired(w),
            images: w
                .list("/spec/template/spec/containers")
                .iter()
                .filter_map(|c| Some(c.get("image")?.as_str()?.to_owned()))
                .collect(),
        })
        .collect();
    rows.sort_by_key(|r| r.ready >= r.desired);
    rows.truncate(MAX_ROWS);
    rows
}
