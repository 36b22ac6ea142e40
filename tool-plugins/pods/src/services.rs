//! `check_service`: what stands behind each Service: pods its selector matches, which of them are
//! ready, whether they listen where it sends. And whether the Ingresses before it lead there.

mod byhand;
mod ingress;
mod nearest;
mod ports;
mod strangers;

use agent_sdk::{Entity, Failure, Observation, Output, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners, selector};
use serde::Serialize;
use serde_json::Value;

use crate::{args::Where, rollouts::edits};

#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    kind: String,
    ready: usize,
    not_ready: usize,
}

/// Most Services listed in the result.
const MAX_ROWS: usize = 200;

/// What stands behind a Service is looked up here.
struct Backing<'a> {
    pods: &'a [Object],
    workloads: &'a [Object],
    owners: &'a Owners,
    endpoints: &'a byhand::Endpoints,
    now: Timestamp,
}

/// Looks at the Services of a namespace, or of the cluster when neither namespace nor service
/// says which.
///
/// # Errors
/// What the source answers when Services or pods cannot be listed.
pub async fn check_service(cluster: &Cluster, args: &Where) -> Result<Output, Failure> {
    let target = cluster.resolve(&args.namespace, &args.service).await;
    let namespace = target.namespace.as_deref();
    let services = cluster.list(Kind::Service, namespace).await?;
    let pods = cluster.list(Kind::Pod, namespace).await?;
    let mut answer = Answer::about(&target);
    let mut workloads = Vec::new();
    for kind in [Kind::Deployment, Kind::StatefulSet, Kind::DaemonSet] {
        let listed = cluster.list(kind, namespace).await;
        workloads.extend(answer.or_gap(kind.plural(), listed));
    }
    let owners = Owners::read(cluster, namespace).await;
    let endpoints = byhand::Endpoints::read(cluster, namespace).await;
    let backing = Backing {
        pods: &pods,
        workloads: &workloads,
        owners: &owners,
        endpoints: &endpoints,
        now: cluster.now(),
    };
    let mut rows = Vec::new();
    for service in &services {
        edits::service_changed(service, cluster.now(), &mut answer);
        let (ready, not_ready) = backing.judge(service, &mut answer);
        rows.push(Row {
            namespace: service.namespace().to_owned(),
            name: service.name().to_owned(),
            kind: service.text("/spec/type").to_owned(),
            ready,
            not_ready,
        });
    }
    ingress::judge(cluster, namespace, &mut answer).await;
    rows.truncate(MAX_ROWS);
    let headline = format!("{} Services in {}", services.len(), namespace.unwrap_or("the cluster"));
    answer.into_output(cluster, &headline, &rows)
}

// === impl Backing ===

impl Backing<'_> {
    /// How many pods behind it are ready and how many not.
    fn judge(&self, service: &Object, answer: &mut Answer) -> (usize, usize) {
        if service.text("/spec/type") == "ExternalName" {
            let outside = Entity::external(service.text("/spec/externalName"));
            answer.relate(Relation::new(service.entity(), RelationKind::Calls, outside));
            return (0, 0);
        }
        let wanted = service.map("/spec/selector");
        if wanted.is_empty() {
            self.endpoints.judge(service, self.pods, self.now, answer);
            return (0, 0);
        }
        let behind: Vec<&Object> = self
            .pods
            .iter()
            .filter(|p| p.namespace() == service.namespace() && is_live(p))
            .filter(|p| selector::pairs_match(&wanted, &p.labels()))
            .collect();
        for pod in &behind {
            answer.relate(Relation::new(service.entity(), RelationKind::Selects, pod.entity()));
            answer.relate_all(self.owners.relations(pod));
        }
        let anyway = service.at("/spec/publishNotReadyAddresses") == Some(&Value::Bool(true));
        let is_ready =
            |p: &&&Object| anyway || p.condition("Ready").is_some_and(|c| c.status == "True");
        let ready = behind.iter().filter(is_ready).count();
        let not_ready = behind.len() - ready;
        if behind.is_empty() {
            self.nothing_behind(service, answer);
        } else if ready == 0 {
            let since = behind.iter().filter_map(|p| p.condition("Ready")?.since).max();
            answer.harm(no_endpoints(service, not_ready, since).until(self.now));
        }
        let mismatched = !behind.is_empty() && ports::judge(service, &behind, self.now, answer);
        let strange = strangers::judge(service, &behind, (self.workloads, self.owners), self.now);
        let lost = strange.is_some();
        if let Some(seen) = strange {
            answer.harm(seen);
        }
        if ready > 0 && !mismatched && !lost {
            let says = format!(
                "Service {} has {ready} of {} endpoints ready",
                service.name(),
                behind.len()
            );
            answer.health(
                Observation::new("service.endpoints_ready", service.entity(), says)
                    .until(self.now)
                    .attr("ready", ready.to_string())
                    .attr("not_ready", not_ready.to_string()),
            );
        }
        (ready, not_ready)
    }

    /// No pod matches: because there is none to match, or because the selector is wrong.
    fn nothing_behind(&self, service: &Object, answer: &mut Answer) {
        let wanted = service.map("/spec/selector");
        let maker = self.workloads.iter().find(|w| {
            w.namespace() == service.namespace()
                && selector::pairs_match(&wanted, &w.map("/spec/template/metadata/labels"))
        });
        if let Some(workload) = maker {
            // It stands before the workload even while no pod shows it.
            let stands = RelationKind::Selects;
            answer.relate(Relation::new(service.entity(), stands, workload.entity()));
            let asked = crate::pods::desired(workload);
            let says = format!(
                "Service {} has no endpoint: {} {} has no pod, {asked} wanted",
                service.name(),
                workload.kind(),
                workload.name()
            );
            answer.harm(
                Observation::new("service.no_endpoints", service.entity(), says)
                    .until(self.now)
                    .attr("not_ready", "0")
                    .attr("desired", asked.to_string())
                    .peer(workload.entity()),
            );
            return;
        }
        answer.harm(nearest::mismatch(service, self.workloads, self.now).until(self.now));
    }
}

fn no_endpoints(service: &Object, not_ready: usize, since: Option<Timestamp>) -> Observation {
    let says = format!(
        "Service {} has no ready endpoint, {not_ready} pods behind it are not ready",
        service.name()
    );
    Observation::new("service.no_endpoints", service.entity(), says)
        .maybe_since(since)
        .attr("not_ready", not_ready.to_string())
}

/// Whether a pod can stand behind a Service at all.
fn is_live(pod: &Object) -> bool {
    pod.at("/metadata/deletionTimestamp").is_none()
        && !matches!(pod.text("/status/phase"), "Succeeded" | "Failed")
}
