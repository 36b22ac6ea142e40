//! `check_storage`: claims that are not bound and why, volumes that no reachable node can use or
//! that another pod holds, provisioners that are down; and claims that are in order. Judged from
//! objects alone: it works without events.

mod attach;
mod claims;
mod place;
mod provisioner;

use agent_sdk::{Entity, Failure, Output, Relation, RelationKind};
use plugin_cluster::{Answer, Cluster, Kind, Object, Owners};
use serde::Serialize;

pub(crate) use self::claims::held as held_by_volumes;
use crate::args::Where;

/// What every judge of storage looks at.
struct Scene<'a> {
    cluster: &'a Cluster,
    claims: Vec<Object>,
    volumes: Vec<Object>,
    /// None when classes were not recorded: then no class is known to be missing.
    classes: Option<Vec<Object>>,
    /// Pods of the namespace asked about.
    pods: Vec<Object>,
    nodes: Vec<Object>,
    owners: Owners,
}

#[derive(Debug, Serialize)]
struct Row {
    namespace: String,
    name: String,
    phase: String,
    class: String,
    size: String,
    volume: String,
    used_by: Vec<String>,
}

/// Most claims listed in the result.
const MAX_ROWS: usize = 200;

/// Looks at the claims of a namespace, or of the cluster when neither namespace nor service says
/// which.
///
/// # Errors
/// What the source answers when claims cannot be listed.
pub async fn check_storage(cluster: &Cluster, args: &Where) -> Result<Output, Failure> {
    let target = cluster.resolve(&args.namespace, &args.service).await;
    let namespace = target.namespace.as_deref();
    let mut answer = Answer::about(&target);
    let scene = Scene::read(cluster, namespace, &mut answer).await?;
    scene.relate(&mut answer);
    claims::judge(&scene, &mut answer);
    provisioner::judge(&scene, &mut answer).await;
    place::judge(&scene, &mut answer);
    attach::judge(&scene, &mut answer).await;
    let unbound = scene.claims.iter().filter(|c| !is_bound(c)).count();
    let headline = format!(
        "{} claims in {}, {unbound} not bound",
        scene.claims.len(),
        namespace.unwrap_or("the cluster")
    );
    answer.into_output(cluster, &headline, &scene.rows())
}

/// Tells of the claims that pods wait for by the scheduler's word. A source that does not answer
/// becomes a gap.
pub(crate) async fn held(cluster: &Cluster, namespace: Option<&str>, answer: &mut Answer) {
    match Scene::read(cluster, namespace, answer).await {
        Ok(scene) => claims::judge_held(&scene, answer),
        Err(why) => answer.gap("persistentvolumeclaims", why),
    }
}

/// Whether a claim has its volume.
fn is_bound(claim: &Object) -> bool {
    claim.text("/status/phase") == "Bound"
}

/// The claims that a pod mounts, those made for it alone included.
pub(crate) fn claims_of(pod: &Object) -> Vec<Entity> {
    let named = |volume: &serde_json::Value| -> Option<String> {
        if let Some(claim) = volume.get("persistentVolumeClaim") {
            return Some(claim.get("claimName")?.as_str()?.to_owned());
        }
        volume.get("ephemeral")?;
        Some(format!("{}-{}", pod.name(), volume.get("name")?.as_str()?))
    };
    let volumes = pod.list("/spec/volumes").iter().filter_map(named);
    volumes.map(|name| Entity::new("PersistentVolumeClaim", pod.namespace(), name)).collect()
}

// === impl Scene ===

impl<'a> Scene<'a> {
    async fn read(
        cluster: &'a Cluster,
        namespace: Option<&str>,
        answer: &mut Answer,
    ) -> Result<Self, Failure> {
        let claims = cluster.list(Kind::PersistentVolumeClaim, namespace).await?;
        let listed = cluster.list(Kind::PersistentVolume, None).await;
        let volumes = answer.or_gap("persistentvolumes", listed);
        let listed = cluster.list(Kind::StorageClass, None).await;
        let known = listed.is_ok() && cluster.records(Kind::StorageClass);
        let classes = answer.or_gap("storageclasses", listed);
        let listed = cluster.list(Kind::Pod, namespace).await;
        let pods = answer.or_gap("pods", listed);
        let listed = cluster.list(Kind::Node, None).await;
        let nodes = answer.or_gap("nodes", listed);
        let owners = Owners::read(cluster, namespace).await;
        let classes = known.then_some(classes);
        Ok(Self { cluster, claims, volumes, classes, pods, nodes, owners })
    }

    fn relate(&self, answer: &mut Answer) {
        for pod in &self.pods {
            let claims = claims_of(pod);
            if !claims.is_empty() {
                answer.relate_all(self.owners.relations(pod));
            }
            for claim in claims {
                answer.relate(Relation::new(pod.entity(), RelationKind::Uses, claim));
            }
        }
        for claim in &self.claims {
            let class = claim.text("/spec/storageClassName");
            if self.class(class).is_some() {
                let class = Entity::cluster_wide("StorageClass", class);
                answer.relate(Relation::new(claim.entity(), RelationKind::Uses, class));
            }
        }
    }

    fn class(&self, name: &str) -> Option<&Object> {
        self.classes.iter().flatten().find(|class| class.name() == name)
    }

    fn claim(&self, entity: &Entity) -> Option<&Object> {
        self.claims.iter().find(|claim| claim.entity() == *entity)
    }

    /// The volume of a claim.
    fn volume(&self, claim: &Object) -> Option<&Object> {
        let name = claim.text("/spec/volumeName");
        self.volumes.iter().find(|volume| !name.is_empty() && volume.name() == name)
    }

    /// Pods that mount a claim and are not done.
    fn users(&self, claim: &Entity) -> Vec<&Object> {
        let done = |p: &Object| matches!(p.text("/status/phase"), "Succeeded" | "Failed");
        self.pods.iter().filter(|p| !done(p) && claims_of(p).contains(claim)).collect()
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self
            .claims
            .iter()
            .map(|claim| Row {
                namespace: claim.namespace().to_owned(),
                name: claim.name().to_owned(),
                phase: claim.text("/status/phase").to_owned(),
                class: claim.text("/spec/storageClassName").to_owned(),
                size: claim.text("/spec/resources/requests/storage").to_owned(),
                volume: claim.text("/spec/volumeName").to_owned(),
                used_by: self.users(&claim.entity()).iter().map(|p| p.name().to_owned()).collect(),
            })
            .collect();
        rows.sort_by_key(|row| row.phase == "Bound");
        rows.truncate(MAX_ROWS);
        rows
    }
}
