//! Volumes that only some nodes can use: by zone, or on the disk of one node. A pod that waits
//! for such a volume can go nowhere else.

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{Answer, Object, pod, selector};
use serde_json::Value;

use super::{Scene, claims::held, claims_of};

pub(super) fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    for claim in &scene.claims {
        let Some(volume) = scene.volume(claim) else { continue };
        // A volume on the disk of one node lives and dies with it.
        if let Some(node) = home(volume, &scene.nodes) {
            answer.relate(Relation::new(claim.entity(), RelationKind::RunsOn, node));
        }
    }
    for pod in scene.pods.iter().filter(|pod| held(pod)) {
        for claim in claims_of(pod).iter().filter_map(|claim| scene.claim(claim)) {
            if let Some(seen) = scene.volume(claim).and_then(|v| conflict(scene, pod, claim, v)) {
                answer.harm(seen);
            }
        }
    }
}

const TERMS: &str = "/spec/nodeAffinity/required/nodeSelectorTerms";

fn usable_on(volume: &Object, node: &Object) -> bool {
    let terms = volume.list(TERMS);
    let labels = node.labels();
    terms.is_empty()
        || terms.iter().any(|term| {
            pod::list(term, "matchExpressions")
                .iter()
                .all(|e| selector::expression_matches(e, &labels))
        })
}

/// The one node whose disk a volume is on.
fn home(volume: &Object, nodes: &[Object]) -> Option<Entity> {
    let expressions = || volume.list(TERMS).iter().flat_map(|t| pod::list(t, "matchExpressions"));
    let key = |e: &Value| e.get("key").and_then(Value::as_str) == Some("kubernetes.io/hostname");
    if !expressions().any(key) {
        return None;
    }
    let mut fits = nodes.iter().filter(|node| usable_on(volume, node));
    match (fits.next(), fits.next()) {
        (Some(only), None) => Some(only.entity()),
        // The node is gone: its name still stands in the volume.
        (None, _) => {
            let named = expressions().filter(|e| key(e)).flat_map(|e| pod::list(e, "values"));
            let name = named.filter_map(Value::as_str).next()?;
            Some(Entity::cluster_wide("Node", name))
        }
        _ => None,
    }
}

/// Where a volume is, such as `zone=a`.
fn place(volume: &Object) -> String {
    let expressions = volume.list(TERMS).iter().flat_map(|t| pod::list(t, "matchExpressions"));
    let told = expressions.map(|e| {
        let key = e.get("key").and_then(Value::as_str).unwrap_or_default();
        let values: Vec<&str> = pod::list(e, "values").iter().filter_map(Value::as_str).collect();
        format!("{}={}", key.rsplit('/').next().unwrap_or(key), values.join("|"))
    });
    told.collect::<Vec<_>>().join(",")
}

fn conflict(
    scene: &Scene<'_>,
    pod: &Object,
    claim: &Object,
    volume: &Object,
) -> Option<Observation> {
    if volume.list(TERMS).is_empty() || scene.nodes.is_empty() {
        return None;
    }
    let there: Vec<&Object> = scene.nodes.iter().filter(|n| usable_on(volume, n)).collect();
    let nodes: Vec<String> =
        there.iter().map(|n| format!("{}: {}", n.name(), ails(n))).take(6).collect();
    let nodes = if nodes.is_empty() { "none".to_owned() } else { nodes.join("; ") };
    let place = place(volume);
    let says = format!(
        "PersistentVolumeClaim {} is bound to volume {} in {place}, which pod {} cannot reach; \
         nodes there: {nodes}",
        claim.name(),
        volume.name(),
        pod.name()
    );
    let since = pod.condition("PodScheduled").and_then(|c| c.since).or_else(|| pod.created());
    Some(
        Observation::new("storage.zone_conflict", claim.entity(), says)
            .maybe_since(since)
            .until(scene.cluster.now())
            .attr("volume", volume.name())
            .attr("place", place)
            .attr("nodes", nodes)
            .peer(pod.entity()),
    )
}

/// What keeps pods off a node, in a word.
fn ails(node: &Object) -> &'static str {
    if node.condition("Ready").is_some_and(|c| c.status != "True") {
        "not ready"
    } else if node.at("/spec/unschedulable") == Some(&Value::Bool(true)) {
        "cordoned"
    } else if node.list("/spec/taints").is_empty() {
        "takes pods, but not this one"
    } else {
        "tainted"
    }
}
