//! Claims that get no volume.

use super::Tale;
use crate::incidents::{
    clock::NOW, cluster::Cluster, event::Happening, mishap::unscheduled, object::Ref,
    storage::Store, truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] =
    &[("class_does_not_exist", class_does_not_exist), ("provisioner_refuses", provisioner_refuses)];

fn new_store(
    cluster: &mut Cluster,
    class: &str,
    at: i64,
) -> (crate::incidents::traffic::Id, Ref, i64) {
    let home = cluster.home();
    let name = cluster.names.thing(&["db", "store", "search", "queue", "archive"]);
    let kind = cluster.dice.pick(&[Store::Postgres, Store::Redis, Store::Mongo, Store::Mysql]);
    let size = cluster.dice.pick(&[20, 50, 100, 200]);
    let id = cluster.store(&home, &name, (kind, 1, size));
    // It is new: one pod, and its claim has no volume.
    let claim = Ref::new("PersistentVolumeClaim", &home, &format!("data-{name}-0"));
    cluster.objects.remove(&claim);
    cluster[id].created = at;
    let only = cluster[id].revisions.pop();
    cluster[id].revisions = only
        .into_iter()
        .map(|mut revision| {
            revision.at = at;
            revision
        })
        .collect();
    if let Some(template) = cluster[id].claims.first_mut()
        && let Some(spec) = template.pointer_mut("/spec/storageClassName")
    {
        *spec = serde_json::json!(class);
    }
    let nodes = cluster.nodes.len();
    let message = format!(
        "0/{nodes} nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: 0/{nodes} nodes are available: {nodes} Preemption is not helpful for scheduling."
    );
    for pod in &mut cluster[id].pods {
        (pod.created, pod.revision) = (at + 1, 0);
        unscheduled(pod, &message);
    }
    cluster.pending_claim(&claim, (class, size), at);
    (id, claim, size)
}

/// A new store asks for a class that this cluster does not have.
fn class_does_not_exist(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2);
    cluster.app(hops);
    let at = cluster.minutes_ago(12, 50);
    let class = cluster.dice.pick(&[
        "fast-local",
        "gp2-legacy",
        "premium-zrs",
        "nfs-shared",
        "ssd-replicated",
    ]);
    let (id, claim, _) = new_store(cluster, class, at);
    cluster.unscheduled_events(id);
    let said = format!("storageclass.storage.k8s.io \"{class}\" not found");
    let event = Happening::warning(
        claim.clone(),
        "persistentvolume-controller",
        "ProvisioningFailed",
        said,
    );
    cluster.events.push(event.times(at + 2, NOW - 6, (NOW - at) / 15));
    finish(cluster, (id, &claim), class, ("easy", "P3"))
}

/// The provisioner answers every try with an error of the storage behind it; the events are the
/// only word of it.
fn provisioner_refuses(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(2) + 1;
    let app = cluster.app(hops);
    let at = cluster.minutes_ago(14, 55);
    let class = format!("{}-quota", cluster.names.tree());
    cluster.storage_class(&class, "Immediate", false);
    let (id, claim, size) = new_store(cluster, &class, at);
    cluster.call(app.last(), crate::incidents::traffic::Peer::In(id), true);
    cluster.unscheduled_events(id);
    let driver = cluster.provisioner();
    let said = match cluster.dice.below(3) {
        0 => format!(
            "failed to provision volume with StorageClass \"{class}\": rpc error: code = ResourceExhausted desc = VolumeLimitExceeded: maximum number of volumes of {size}Gi reached for this account"
        ),
        1 => format!(
            "failed to provision volume with StorageClass \"{class}\": rpc error: code = Internal desc = pool is full: 0 bytes available of 4398046511104"
        ),
        _ => format!(
            "failed to provision volume with StorageClass \"{class}\": rpc error: code = InvalidArgument desc = parameter type 'gp9' is not supported"
        ),
    };
    let event = Happening::warning(claim.clone(), driver, "ProvisioningFailed", said);
    cluster.events.push(event.times(at + 4, NOW - 20, (NOW - at) / 60 + 1));
    let wait = format!(
        "Waiting for a volume to be created either by the external provisioner '{driver}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered."
    );
    let event = Happening::normal(
        claim.clone(),
        "persistentvolume-controller",
        "ExternalProvisioning",
        wait,
    );
    cluster.events.push(event.times(at + 4, NOW - 9, (NOW - at) / 15));
    let severity = cluster.effect(app.gate());
    finish(cluster, (id, &claim), &class, ("medium", severity))
}

fn finish(
    cluster: &Cluster,
    (id, claim): (crate::incidents::traffic::Id, &Ref),
    class: &str,
    (difficulty, severity): (&'static str, &'static str),
) -> Truth {
    let name = cluster[id].name.clone();
    Truth::new(cluster, "statefulset_not_ready", id, claim.clone())
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .accept([Ref::new("StorageClass", "", class)].into_iter().filter(|object| cluster.objects.holds(object)))
        .claimed("warning")
        .told(
            "A store waits for its volume",
            &format!("{name} has 0 of 1 pods ready."),
            &format!("Claim {} of {name} stays Pending: class {class} provides no volume, so its pod finds no node.", claim.name),
        )
        .rated(difficulty, severity)
        .mention(&["claim", "PVC", "PersistentVolumeClaim", "volume", &claim.name])
        .mention(&[class, "storage class", "StorageClass", "provision"])
        .not_claim(&["insufficient cpu", "insufficient memory", "taint", "OOM", "image pull"])
}
