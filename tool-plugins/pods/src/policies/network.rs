//! Network policies against the connections that are needed. Policies add up: a pod that none
//! selects for a direction is open, one that some select takes only what a rule of any of them
//! lets pass. A connection needs both ends to agree. What is left out is told with the policy to
//! change: the one edited last, else the one whose rule nearly fits, else the one that closes.

mod rules;

use std::collections::BTreeMap;

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::Timestamp;
use plugin_cluster::{Answer, Kind, Object};

use super::{
    Scene,
    flows::{Ends, Far, Flow},
    heard::Heard,
};
use crate::{rollouts::edits, within};
use rules::{Denial, Side};

/// An edit of a policy within this time is what changed it.
const RECENT_HOURS: i64 = 48;
/// Connections let pass that are told at most.
const MAX_ALLOWED: usize = 30;

pub(super) async fn judge(scene: &Scene<'_>, heard: &Heard, answer: &mut Answer) {
    let listed = scene.cluster.list(Kind::NetworkPolicy, None).await;
    let policies = answer.or_gap("networkpolicies", listed);
    if policies.is_empty() {
        return;
    }
    relate(scene, &policies, answer);
    let namespaces = scene.cluster.list(Kind::Namespace, None).await.unwrap_or_default();
    let side = Side { policies: &policies, namespaces: &namespaces };
    let ends = Ends::read(scene, answer).await;
    let flows = ends.flows(scene, heard);
    let mut denied: BTreeMap<(Entity, Entity, Entity), (Denial<'_>, Vec<&Flow<'_>>)> =
        BTreeMap::new();
    let mut allowed = 0;
    for flow in &flows {
        match side.denial(flow) {
            Some(denial) => {
                let policy = blamed(&denial, scene.cluster.now()).entity();
                denied
                    .entry((policy, flow.caller.clone(), flow.to.clone()))
                    .or_insert_with(|| (denial, Vec::new()))
                    .1
                    .push(flow);
            }
            None if side.isolates(flow) && allowed < MAX_ALLOWED => {
                allowed += 1;
                answer.health(passes(flow, scene.cluster.now()));
            }
            None => {}
        }
    }
    for (denial, flows) in denied.values() {
        relate_flows(flows, answer);
        answer.harm(left_out(denial, flows, scene));
    }
    for (denial, flow) in side.without_names(&flows, scene) {
        answer.harm(left_out(&denial, &[&flow], scene));
    }
}

/// Each policy governs the workloads it selects.
fn relate(scene: &Scene<'_>, policies: &[Object], answer: &mut Answer) {
    for policy in policies.iter().filter(|p| scene.covers(p)) {
        for pod in scene.pods.iter().filter(|pod| rules::selects(policy, pod)) {
            let workload = scene.owners.top(pod);
            answer.relate(Relation::new(policy.entity(), RelationKind::Governs, workload));
        }
    }
}

/// Who calls whom in vain.
fn relate_flows(flows: &[&Flow<'_>], answer: &mut Answer) {
    for flow in flows {
        let (from, to) = (flow.caller.clone(), flow.to.clone());
        answer.relate(Relation::new(from, RelationKind::Calls, to));
    }
}

/// The policy to change.
fn blamed<'a>(denial: &Denial<'a>, now: Timestamp) -> &'a Object {
    let edited = |p: &&&Object| touched(p, now);
    let newest = denial.closing.iter().filter(|p| edited(p).is_some()).max_by_key(edited);
    newest.copied().or(denial.near).unwrap_or(denial.first)
}

/// When a policy was edited or made lately.
fn touched(policy: &Object, now: Timestamp) -> Option<Timestamp> {
    let edit = edits::last_edit(policy, now).map(|e| e.time);
    edit.or_else(|| policy.created()).filter(|at| within(*at, now, RECENT_HOURS))
}

fn left_out(denial: &Denial<'_>, flows: &[&Flow<'_>], scene: &Scene<'_>) -> Observation {
    let now = scene.cluster.now();
    let policy = blamed(denial, now);
    let (caller, to) = flows
        .first()
        .map_or((Entity::default(), Entity::default()), |f| (f.caller.clone(), f.to.clone()));
    let ports: Vec<String> = flows.iter().filter_map(|f| f.port).map(|p| p.to_string()).collect();
    let port = ports.join(",");
    let failed = || flows.iter().filter_map(|f| f.failed.as_ref());
    let count: u64 = failed().map(|t| t.count).sum();
    let first = failed().filter_map(|t| t.first).min();
    let seen = match (flows.iter().any(|f| f.told), count > 0) {
        (true, true) => "env,logs",
        (false, true) => "logs",
        _ => "env",
    };
    let edited = touched(policy, now);
    let at = if port.is_empty() { String::new() } else { format!(" port {port}") };
    let tried = if count > 0 { format!("; {count} log lines tell of it") } else { String::new() };
    let by = edited.map(|t| format!("; edited or made at {t}")).unwrap_or_default();
    let says = format!(
        "NetworkPolicy {} leaves out {} from {} {} to {} {}{at}: {}{by}{tried}",
        policy.name(),
        if denial.direction == "egress" { "egress" } else { "ingress" },
        caller.kind,
        caller.name,
        to.kind,
        to.name,
        denial.says
    );
    let since = match (edited, first) {
        (Some(edit), Some(first)) if edit > first => Some(first),
        (edit, first) => edit.or(first),
    };
    let quote = failed().next().map(|t| t.quote.clone()).unwrap_or_default();
    Observation::new("policy.network_denied", policy.entity(), says)
        .maybe_since(since)
        .until(now)
        .count(count.max(1))
        .attr("direction", denial.direction)
        .attr("from", format!("{}/{}", caller.namespace, caller.name))
        .attr(
            "to",
            if to.namespace.is_empty() {
                to.name.clone()
            } else {
                format!("{}/{}", to.namespace, to.name)
            },
        )
        .attr("port", port)
        .attr("why", denial.why)
        .attr("seen", seen)
        .attr("is_new", if failed().any(|t| t.always) { "false" } else { "true" })
        .attr("edited", if edited.is_some() { "lately" } else { "" })
        .peer(caller)
        .quote(&quote)
}

fn passes(flow: &Flow<'_>, now: Timestamp) -> Observation {
    let port = flow.port.map(|p| p.to_string()).unwrap_or_default();
    let at = if port.is_empty() { String::new() } else { format!(" port {port}") };
    let says = format!(
        "the network policies let {} {} reach {} {}{at}",
        flow.caller.kind, flow.caller.name, flow.to.kind, flow.to.name
    );
    Observation::new("policy.network_allowed", flow.to.clone(), says)
        .until(now)
        .attr("port", port)
        .peer(flow.caller.clone())
}

/// The pods at the far end; none for what is outside.
fn far_pods<'a, 'b>(flow: &'b Flow<'a>) -> &'b [&'a Object] {
    match &flow.far {
        Far::Pods(pods, _) => pods,
        Far::Outside(..) => &[],
    }
}
