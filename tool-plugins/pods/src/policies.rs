//! `check_policies`: what the rules of the cluster forbid. Each kind of rule is judged in a file
//! of its own over one [`Scene`]; a judge that lacks a source says so as a gap and goes on. Rules
//! are judged against what pods are seen to need, never by a guess at what was meant.

mod autoscalers;
mod certificates;
mod changes;
mod disruption;
pub(crate) mod flows;
mod heard;
mod network;
pub(crate) mod quotas;
mod rights;
mod webhooks;

use agent_sdk::{Failure, Output};
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners};
use serde::Serialize;

use crate::args::Where;

/// What every judge of policies looks at.
pub(crate) struct Scene<'a> {
    /// The cluster, for what only one judge needs.
    pub(crate) cluster: &'a Cluster,
    /// Where to look; none means everywhere.
    pub(crate) namespace: Option<&'a str>,
    /// All pods of the cluster: rules of one namespace act on callers in another.
    pub(crate) pods: Vec<Object>,
    /// Who stands behind the pods.
    pub(crate) owners: Owners,
}

/// One policy object in the result for people and models.
#[derive(Debug, Serialize)]
struct Row {
    kind: String,
    namespace: String,
    name: String,
}

/// Most policies listed in the result.
const MAX_ROWS: usize = 200;

/// The kinds of object that are policies, told when they were edited.
pub(crate) const KINDS: [Kind; 12] = [
    Kind::NetworkPolicy,
    Kind::ResourceQuota,
    Kind::LimitRange,
    Kind::HorizontalPodAutoscaler,
    Kind::PodDisruptionBudget,
    Kind::Role,
    Kind::RoleBinding,
    Kind::ClusterRole,
    Kind::ClusterRoleBinding,
    Kind::ServiceAccount,
    Kind::ValidatingWebhookConfiguration,
    Kind::MutatingWebhookConfiguration,
];

/// Looks at the policies that act on a namespace, or on the cluster when neither namespace nor
/// service says which.
///
/// # Errors
/// None today; what does not answer becomes a gap.
pub async fn check_policies(cluster: &Cluster, args: &Where) -> Result<Output, Failure> {
    let target = cluster.resolve(&args.namespace, &args.service).await;
    let namespace = target.namespace.as_deref();
    let mut answer = Answer::about(&target);
    let listed = cluster.list(Kind::Pod, None).await;
    let pods = answer.or_gap("pods", listed);
    let owners = Owners::read(cluster, None).await;
    let scene = Scene { cluster, namespace, pods, owners };

    let policies = changes::judge(&scene, &mut answer).await;
    disruption::judge(&scene, &mut answer).await;
    let heard = heard::listen(&scene, &mut answer).await;
    rights::judge(&scene, &heard, &mut answer).await;
    network::judge(&scene, &heard, &mut answer).await;
    webhooks::judge(&scene, &mut answer).await;
    quotas::judge(&scene, &mut answer).await;
    autoscalers::judge(&scene, &mut answer).await;
    certificates::judge(&scene, &heard, &mut answer).await;

    let headline =
        format!("{} policies act on {}", policies.len(), namespace.unwrap_or("the cluster"));
    let rows: Vec<Row> = policies.iter().take(MAX_ROWS).map(row).collect();
    answer.into_output(cluster, &headline, &rows)
}

fn row(policy: &Object) -> Row {
    Row {
        kind: policy.kind().to_owned(),
        namespace: policy.namespace().to_owned(),
        name: policy.name().to_owned(),
    }
}

// === impl Scene ===

impl Scene<'_> {
    /// Whether an object lies where the question looks; what is cluster-wide always does.
    pub(crate) fn covers(&self, object: &Object) -> bool {
        let home = object.namespace();
        home.is_empty() || self.namespace.is_none_or(|here| home == here)
    }
}
