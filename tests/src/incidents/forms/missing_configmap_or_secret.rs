//! Pods that refer to settings or keys which are not there.

mod synced;

use serde_json::json;

use super::Tale;
use crate::incidents::{
    clock::{MIN, NOW, Sec},
    cluster::Cluster,
    drawn::newer,
    event::Happening,
    object::{Edit, Ref},
    traffic::Id,
    truth::Truth,
    workload::{Pod, State},
};

pub(super) const FORMS: &[(&str, Tale)] = &[
    ("map_was_never_made", map_was_never_made),
    ("key_was_taken_out", key_was_taken_out),
    ("no_longer_brought_in", synced::no_longer_brought_in),
];

/// The kubelet cannot make the container: it says so every few seconds, and that the image is
/// there.
fn cannot_be_made(cluster: &mut Cluster, id: Id, places: &[usize], said: &str) {
    for pod in cluster.pods_at(id, places) {
        let image = cluster[id].template_of(pod.revision).reference();
        let container = cluster[id].container.clone();
        let object = Ref::new("Pod", &cluster[id].namespace, &pod.name);
        let (first, every) = (pod.created + 2, 12);
        let last = NOW - (NOW - first) % every;
        let times = (NOW - first) / every + 1;
        cluster.warn_pod(id, &pod, ("Failed", format!("Error: {said}")), (first, every));
        let message = format!("Container image \"{image}\" already present on machine");
        let mut event = Happening::normal(object, "kubelet", "Pulled", message)
            .on(&pod.node)
            .of_container(&container)
            .times(first, last, times);
        event.uid.clone_from(&pod.uid);
        cluster.events.push(event);
    }
}

/// The kubelet cannot mount the volume: it tries with growing pauses of up to about two minutes.
fn cannot_be_mounted(
    cluster: &mut Cluster,
    id: Id,
    places: &[usize],
    (volume, said): (&str, &str),
) {
    for pod in cluster.pods_at(id, places) {
        let object = Ref::new("Pod", &cluster[id].namespace, &pod.name);
        let first = pod.created + 1;
        let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {said}");
        let times = (NOW - first) / 122 + 7;
        let last = NOW - (NOW - first) % 61;
        let mut event = Happening::warning(object, "kubelet", "FailedMount", message)
            .on(&pod.node)
            .times(first, last, times);
        event.uid.clone_from(&pod.uid);
        cluster.events.push(event);
    }
}

/// A rollout refers to a ConfigMap or Secret that was never made under this name; the old pods
/// go on serving. A release of another service a little later is innocent.
#[expect(clippy::too_many_lines, reason = "one story, told in the order of its events")]
fn map_was_never_made(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let place = cluster.dice.below(app.path.len());
    let id = app.path.get(place).copied().unwrap_or(app.gate());
    let space = cluster.home();
    let kind = cluster.dice.pick(&["ConfigMap", "Secret"]);
    let stem = cluster[id].called().to_owned();
    let (old, new) = match cluster.dice.below(3) {
        0 => (format!("{stem}-runtime"), format!("{stem}-runtime-v2")),
        1 => (format!("{stem}-params"), format!("{stem}-parameters")),
        _ => (format!("{stem}-flags"), format!("{stem}-flags-{}", cluster.dice.hex(6))),
    };
    let mounted = cluster.dice.chance(0.4);
    if kind == "ConfigMap" {
        let pairs = [("LIMITS_FILE", "limits.csv".to_owned()), ("PAGE_SIZE", "40".to_owned())];
        cluster.config_map((&space, &old), &pairs, &[]);
    } else {
        cluster.secret((&space, &old), "Opaque", &["SIGNING_KEY", "API_TOKEN"], &[]);
    }
    let source = |name: &str| match kind {
        "ConfigMap" => json!({"configMap": {"name": name, "defaultMode": 420}}),
        _ => json!({"secret": {"secretName": name, "defaultMode": 420}}),
    };
    let from = |name: &str| match kind {
        "ConfigMap" => json!({"configMapRef": {"name": name}}),
        _ => json!({"secretRef": {"name": name}}),
    };
    cluster[id].always(|template| {
        if mounted {
            template.mount("params", "/etc/params", source(&old));
        } else {
            template.env_from.push(from(&old));
        }
    });
    let at = cluster.minutes_ago(16, 48);
    let said = match kind {
        "ConfigMap" => format!("configmap \"{new}\" not found"),
        _ => format!("secret \"{new}\" not found"),
    };
    let fate = |pod: &mut Pod| {
        pod.state = if mounted {
            pod.ip.clear();
            State::Waiting("ContainerCreating", String::new())
        } else {
            State::Waiting("CreateContainerConfigError", said.clone())
        };
    };
    let places = cluster.stick(
        id,
        at,
        |template| {
            template.tag = newer(&template.tag);
            if mounted {
                template.volumes.pop();
                template.mounts.pop();
                template.mount("params", "/etc/params", source(&new));
            } else {
                template.env_from.pop();
                template.env_from.push(from(&new));
            }
        },
        fate,
    );
    if mounted {
        cannot_be_mounted(cluster, id, &places, ("params", &said));
    } else {
        cannot_be_made(cluster, id, &places, &said);
    }
    if let Some(&side) = app.sides.first() {
        let other: Sec = at + cluster.dice.between(60, 600);
        cluster.roll(side, other, |template| template.tag = newer(&template.tag));
    }
    let name = cluster[id].name.clone();
    let alert =
        cluster.dice.pick(&["rollout_stuck", "deployment_replicas_mismatch", "pod_not_ready"]);
    Truth::new(cluster, alert, id, cluster.reference(id))
        .accept(cluster.parts(id))
        .accept([Ref::new(kind, &space, &new)])
        .claimed("warning")
        .told(
            "A rollout waits for settings that nobody made",
            &format!("Deployment {name} has pods that are not ready for more than 15 minutes."),
            &format!("The new revision of {name} refers to {kind} {new}, which does not exist in {space}; its containers cannot be made. The old pods serve on."),
        )
        .rated("easy", "P3")
        .mention(&[&new])
        .mention(&["not found", "does not exist", "missing", "CreateContainerConfigError", "FailedMount"])
        .not_claim(&["OOM", "image pull", "liveness probe", "insufficient memory", "network policy"])
}

/// A key was taken out of a Secret or ConfigMap hours ago; nobody noticed until the pods were
/// replaced, and then none could start. The alert comes from the gate.
fn key_was_taken_out(cluster: &mut Cluster) -> Truth {
    let hops = cluster.dice.below(3) + 1;
    let app = cluster.app(hops);
    let id = app.last();
    let space = cluster.home();
    let kind = cluster.dice.pick(&["ConfigMap", "Secret"]);
    let end = cluster.dice.pick(&["access", "vault", "keys"]);
    let object = format!("{}-{end}", cluster[id].called());
    let (key, successor) = cluster.dice.pick(&[
        ("PARTNER_TOKEN", "PARTNER_TOKEN_V2"),
        ("cursor-salt", "cursor-salt-next"),
        ("LICENCE", "LICENCE_KEY"),
        ("signing.key", "signing.pem"),
    ]);
    let variable = key.to_uppercase().replace(['-', '.'], "_");
    let edited = cluster.hours_ago(2, 40);
    let editor = cluster.habits.editor;
    let path = format!("f:data.f:{successor}");
    let edit = [Edit::new(edited, editor, &[&path])];
    if kind == "Secret" {
        cluster.secret((&space, &object), "Opaque", &[successor, "REGION"], &edit);
    } else {
        let pairs = [(successor, "b71f-42aa".to_owned()), ("REGION", "north".to_owned())];
        cluster.config_map((&space, &object), &pairs, &edit);
    }
    let from = if kind == "Secret" { "secretKeyRef" } else { "configMapKeyRef" };
    cluster[id].always(|template| {
        let source = json!({from: {"name": object, "key": key}});
        template.env.push(json!({"name": variable, "valueFrom": source}));
    });
    let hidden = kind == "Secret" && cluster.dice.chance(0.5);
    let at = cluster.minutes_ago(7, 30);
    let said = format!("couldn't find key {key} in {kind} {space}/{object}");
    let waiting = State::Waiting("CreateContainerConfigError", said.clone());
    let places = cluster.replace_all(id, at, |pod| pod.state = waiting.clone());
    cannot_be_made(cluster, id, &places, &said);
    if hidden {
        cluster.objects.hide("secret");
    }
    let name = cluster[id].name.clone();
    Truth::new(cluster, "high_error_rate", app.gate(), Ref::new(kind, &space, &object))
        .accept([cluster.reference(id)])
        .accept(cluster.parts(id))
        .told(
            "Pods came back and miss a key",
            &format!("Most requests of {} fail since about {} minutes.", cluster[app.gate()].called(), -at / MIN),
            &format!("Key {key} was taken out of {kind} {object} (now {successor}) while {name} still refers to it; since its pods were replaced none can start."),
        )
        .rated(if hops > 1 { "hard" } else { "medium" }, cluster.effect(app.gate()))
        .mention(&[&object])
        .mention(&[key, "key", "CreateContainerConfigError"])
        .not_claim(&["OOM", "image pull", "liveness probe", "dns failure", "pool exhausted"])
}
