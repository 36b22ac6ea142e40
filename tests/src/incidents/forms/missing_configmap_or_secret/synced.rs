//! Secrets that a controller makes from a store outside.

use super::cannot_be_made;
use crate::incidents::{
    clock::{MIN, NOW},
    cluster::Cluster,
    drawn::newer,
    event::Happening,
    object::Ref,
    truth::Truth,
    voice::{Level, Runtime, Voice},
    workload::{Kind, State},
};

/// The controller that brings secrets from outside is made anew, cannot find one of them any
/// more, and removed what it had made; its user was restarted since and cannot start.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
pub(super) fn no_longer_brought_in(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let (id, gate, home) = (app.last(), app.gate(), cluster.home());
    let stem = cluster[id].called().to_owned();
    let secret = format!("{stem}-{}", cluster.dice.pick(&["signing", "vault", "runtime-keys"]));
    let key = format!("prod/{home}/{stem}");
    cluster[id].always(|t| t.env_from_secret("SIGNING_KEY", &secret, "signing_key"));
    let mut draft = cluster.draft("external-secrets", "external-secrets", Kind::Deployment);
    draft.always(|template| {
        "ghcr.io/external-secrets/external-secrets".clone_into(&mut template.image);
        "v0.9.20".clone_into(&mut template.tag);
    });
    (draft.runtime, draft.voice, draft.replicas) = (Runtime::Go, Voice::Plain, 1);
    draft.instrumented = false;
    let line = |level: &str, text: &str, rest: &str| {
        format!(
            "{{\"level\":\"{level}\",\"ts\":173{{n}}.12,\"logger\":\"controllers.ExternalSecret\",\"msg\":\"{text}\",{rest}}}"
        )
    };
    draft.routine = vec![line(
        "info",
        "reconciled secret",
        "\"ExternalSecret\":{\"name\":\"registry\",\"namespace\":\"default\"}",
    )];
    let controller = cluster.add(draft);
    let at = cluster.minutes_ago(7, 35);
    let lost = at - cluster.dice.between(120, 900);
    let why = cluster.dice.pick(&[
        "ResourceNotFoundException: Secrets Manager can't find the specified secret.",
        "Secret does not exist",
        "rpc error: code = NotFound desc = Secret version [latest] not found",
    ]);
    let failed = format!("error processing spec.data[0] (key: {key}), err: {why}");
    let object = format!("\"ExternalSecret\":{{\"name\":\"{secret}\",\"namespace\":\"{home}\"}}");
    let removed =
        line("info", "secret deleted: provider secret is gone and deletionPolicy=Delete", &object);
    cluster[controller].say(lost, 0, Level::Info, &removed);
    let text = line(
        "error",
        "could not get secret data from provider",
        &format!("{object},\"error\":\"{failed}\""),
    );
    cluster[controller].say(lost + 2, 60, Level::Error, &text);
    let named = Ref::new("ExternalSecret", &home, &secret);
    let event = Happening::warning(named, "external-secrets", "UpdateFailed", failed);
    cluster.events.push(event.times(lost, NOW - 9, (NOW - lost) / 60));
    let said = format!("secret \"{secret}\" not found");
    let fate = |pod: &mut crate::incidents::workload::Pod| {
        pod.state = State::Waiting("CreateContainerConfigError", said.clone());
    };
    let places = cluster.replace_all(id, at, fate);
    cannot_be_made(cluster, id, &places, &said);
    if let Some(&side) = app.sides.first() {
        cluster.roll(side, at - 90, |template| template.tag = newer(&template.tag));
    }
    let alert =
        cluster.dice.pick(&["KubeDeploymentReplicasMismatch", "high_error_rate", "probe_failed"]);
    let name = cluster[id].name.clone();
    Truth::new(cluster, alert, gate, Ref::new("Secret", &home, &secret))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "A secret that is no longer brought in",
            &format!("{} cannot be used since {} minutes.", cluster[gate].called(), -at / MIN),
            &format!("Secret {secret} was removed because {key} is not found in the store outside any more; the pods of {name}, made anew since, wait for it with CreateContainerConfigError."),
        )
        .rated("medium", cluster.effect(gate))
        .mention(&[&secret])
        .mention(&["not found", "missing", "does not exist", "deleted", "removed"])
        .not_claim(&["OOM", "bad release", "dns failure", "network policy", "password authentication"])
}
