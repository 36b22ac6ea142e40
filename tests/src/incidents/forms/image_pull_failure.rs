//! Images that cannot be had.

mod elsewhere;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::MIN,
    cluster::Cluster,
    mishap::waits_for_image,
    object::{Edit, Ref},
    truth::Truth,
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("missing_tag", missing_tag),
    ("revoked_pull_secret", revoked_pull_secret),
    ("taken_from_elsewhere", elsewhere::taken_from_elsewhere),
];

/// A rollout names a tag that nobody pushed; the old pods go on serving.
fn missing_tag(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = cluster.dice.pick(&app.path.iter().map(|id| id.0).collect::<Vec<_>>());
    let id = crate::incidents::traffic::Id(id);
    let at = cluster.minutes_ago(18, 50);
    let bad = format!(
        "{}{}",
        cluster[id].template().tag,
        cluster.dice.pick(&["-rc9", "-hotfix", "-final", ".1-amd", "-beta.2"])
    );
    let places = cluster.stick(id, at, |template| template.tag.clone_from(&bad), waits_for_image);
    let image = cluster[id].template().reference();
    let said = match cluster.dice.below(3) {
        0 => format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        ),
        1 => format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": unexpected status from HEAD request: 404 Not Found"
        ),
        _ => format!(
            "Error response from daemon: manifest for {image} not found: manifest unknown: manifest unknown"
        ),
    };
    cluster.image_failures(id, &places, &said);
    let name = cluster[id].name.clone();
    let truth = Truth::new(cluster, "rollout_stuck", id, cluster.reference(id))
        .accept(cluster.parts(id))
        .claimed("warning");
    truth
        .told(
            "A rollout waits for an image that is not there",
            &format!("Deployment {name} has not finished its rollout for more than 15 minutes."),
            &format!("The new revision of {name} names image tag {bad}, which is not in the registry; its pods stay in ImagePullBackOff while the old ones serve."),
        )
        .rated("easy", "P3")
        .mention(&["ImagePullBackOff", "ErrImagePull", "image pull", "pull image", "pull the image", "image"])
        .mention(&[&bad, "tag", "not found", "manifest unknown", "does not exist"])
        .not_claim(&["OOM", "crash loop", "unauthorized", "network policy", "insufficient memory"])
}

/// The registry's credentials were replaced by wrong ones; nothing happened until the pods were
/// replaced, hours later. The alert comes from the gate.
fn revoked_pull_secret(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let space = cluster.home();
    let secret = format!("{}-pull", cluster.names.firm);
    cluster[id].always(|template| {
        template.spec.push(("imagePullSecrets".into(), json!([{"name": secret}])))
    });
    let edited = cluster.hours_ago(3, 30);
    let editor = cluster.habits.editor;
    let hidden = cluster.dice.chance(0.5);
    cluster.secret(
        (&space, &secret),
        "kubernetes.io/dockerconfigjson",
        &[".dockerconfigjson"],
        &[Edit::new(edited, editor, &["f:data.f:.dockerconfigjson"])],
    );
    let at = cluster.minutes_ago(9, 25);
    let places = cluster.replace_all(id, at, waits_for_image);
    let image = cluster[id].template().reference();
    let server = image.split('/').next().unwrap_or_default().to_owned();
    let said = match cluster.dice.below(3) {
        0 => format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": pull access denied, repository does not exist or may require authorization: authorization failed: no basic auth credentials"
        ),
        1 => format!(
            "failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": failed to authorize: failed to fetch oauth token: unexpected status from GET request to https://{server}/token: 401 Unauthorized"
        ),
        _ => format!(
            "Error response from daemon: Head \"https://{server}/v2/app/manifests/x\": denied: requested access to the resource is denied"
        ),
    };
    cluster.image_failures(id, &places, &said);
    if hidden {
        cluster.objects.hide("secret");
    }
    let name = cluster[id].name.clone();
    let truth = Truth::new(cluster, "high_error_rate", app.gate(), cluster.reference(id))
        .accept(cluster.parts(id))
        .accept([Ref::new("Secret", &space, &secret)]);
    truth
        .told(
            "New pods may not pull their image",
            &format!("Most requests of {} fail since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("The pods of {name} were replaced and cannot pull {image}: the registry refuses the pull secret {secret}, so nothing serves behind {name}."),
        )
        .rated("hard", cluster.effect(app.gate()))
        .mention(&["ImagePullBackOff", "ErrImagePull", "image pull", "pull image", "pull the image", "image"])
        .mention(&["unauthorized", "authoriz", "denied", "credentials", "pull secret", &secret])
        .not_claim(&["OOM", "tag does not exist", "dns failure", "pool exhausted"])
        .or_category(&["credentials_invalid"])
}
