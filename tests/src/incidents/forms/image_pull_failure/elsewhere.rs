//! Images that were moved to where the nodes cannot get them.

use crate::incidents::{
    clock::MIN, cluster::Cluster, drawn::newer, mishap::waits_for_image, truth::Truth,
};

/// A rollout takes its image from another registry, which the nodes do not find, do not trust, or
/// which has it for other processors only. The old pods serve.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn taken_from_elsewhere(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.path.get(cluster.dice.below(app.path.len())).copied().unwrap_or(app.gate());
    let at = cluster.minutes_ago(16, 50);
    let firm = cluster.names.firm.clone();
    let registry = format!("{}.{firm}.example", cluster.dice.pick(&["mirror", "harbor", "oci"]));
    let stem = cluster[id].container.clone();
    let image = format!("{registry}/apps/{stem}");
    let tag = newer(&cluster[id].template().tag);
    let places = cluster.stick(
        id,
        at,
        |template| {
            template.image.clone_from(&image);
            template.tag.clone_from(&tag);
        },
        waits_for_image,
    );
    let whole = cluster[id].template().reference();
    let resolve = format!(
        "failed to pull and unpack image \"{whole}\": failed to resolve reference \"{whole}\": failed to do request: Head \"https://{registry}/v2/apps/{stem}/manifests/{tag}\""
    );
    let (said, word) = match cluster.dice.below(3) {
        0 => (
            format!("{resolve}: dial tcp: lookup {registry} on 10.10.0.2:53: no such host"),
            "no such host",
        ),
        1 => (
            format!(
                "{resolve}: tls: failed to verify certificate: x509: certificate signed by unknown authority"
            ),
            "unknown authority",
        ),
        _ => (
            format!(
                "failed to pull and unpack image \"{whole}\": no match for platform in manifest: not found"
            ),
            "no match for platform",
        ),
    };
    let said = format!("rpc error: code = Unknown desc = {said}");
    cluster.image_failures(id, &places, &said);
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at + 200, |template| template.tag = newer(&template.tag));
    }
    cluster.forgo(&["logs", "metrics"], 0.3);
    let name = cluster[id].name.clone();
    let alert = cluster.dice.pick(&[
        "KubeDeploymentRolloutStuck",
        "KubeContainerWaiting",
        "KubeDeploymentReplicasMismatch",
    ]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning")
        .told(
            "An image from another registry",
            &format!("Deployment {}/{name} has not matched the expected number of replicas for longer than 15 minutes.", cluster.home()),
            &format!("Since {} minutes a rollout of {name} takes its image from {registry}, from where the nodes cannot pull it ({word}); the old pods serve.", -at / MIN),
        )
        .rated("easy", "P3")
        .mention(&["ImagePullBackOff", "ErrImagePull", "image pull", "pull image", "pull the image", "image"])
        .mention(&[&registry, word, &image])
        .not_claim(&["OOM", "crash loop", "network policy", "insufficient memory"])
}
