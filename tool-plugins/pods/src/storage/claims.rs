//! Why a claim has no volume. Waiting for a first pod is in order as long as no pod waits for the
//! claim in turn.

use agent_sdk::{Entity, Observation};
use plugin_cluster::{Answer, Object, names, quantity, sayings};

use super::{Scene, claims_of, is_bound};

/// Marks the class that claims without one get.
const DEFAULT_CLASS: [&str; 2] = [
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
];

/// A provisioner is given this long, in seconds.
const PATIENCE_SECS: i64 = 120;

/// Why a claim is not bound, with what tells it.
struct Why {
    word: &'static str,
    says: String,
    nearest: String,
}

pub(super) fn judge(scene: &Scene<'_>, answer: &mut Answer) {
    for claim in scene.claims.iter().filter(|claim| is_bound(claim)) {
        answer.health(bound(claim));
    }
    unbound(scene, |_| true, answer);
}

/// Only of claims that a pod waits for by the scheduler's word.
pub(super) fn judge_held(scene: &Scene<'_>, answer: &mut Answer) {
    unbound(scene, |pods| pods.iter().any(|pod| held(pod)), answer);
}

fn unbound(scene: &Scene<'_>, wanted: impl Fn(&[&Object]) -> bool, answer: &mut Answer) {
    for claim in scene.claims.iter().filter(|claim| !is_bound(claim)) {
        let users = scene.users(&claim.entity());
        let why = why(scene, claim, &users);
        let age = claim
            .created()
            .map_or(i64::MAX, |made| scene.cluster.now().duration_since(made).as_secs());
        // Nobody wants it yet, or its first pod waits for something else than volumes.
        let idle = why.word == "waits_for_pod" || (why.word == "other" && age < PATIENCE_SECS);
        if !idle && wanted(&users) {
            answer.harm(pending(scene, claim, &users, &why));
        }
    }
    for pod in &scene.pods {
        for claim in claims_of(pod).into_iter().filter(|claim| scene.claim(claim).is_none()) {
            let waits = pod.text("/status/phase") == "Pending";
            if waits && scene.cluster.records(plugin_cluster::Kind::PersistentVolumeClaim) {
                answer.harm(absent(scene, claim, pod));
            }
        }
    }
}

fn bound(claim: &Object) -> Observation {
    let size = claim.text("/status/capacity/storage");
    let class = claim.text("/spec/storageClassName");
    let says = format!("PersistentVolumeClaim {} is bound, {size} of class {class}", claim.name());
    Observation::new("storage.claim_bound", claim.entity(), says)
        .attr("class", class)
        .attr("size", size)
}

fn absent(scene: &Scene<'_>, claim: Entity, pod: &Object) -> Observation {
    let near = scene
        .claims
        .iter()
        .filter(|c| c.namespace() == claim.namespace)
        .min_by_key(|c| names::distance(c.name(), &claim.name))
        .map_or("", Object::name);
    let like = if near.is_empty() { String::new() } else { format!(" (there is {near})") };
    let says = format!(
        "PersistentVolumeClaim {} does not exist, needed by pod {}{like}",
        claim.name,
        pod.name()
    );
    Observation::new("storage.claim_pending", claim, says)
        .maybe_since(pod.created())
        .until(scene.cluster.now())
        .attr("why", "absent")
        .attr("nearest", near)
        .peer(scene.owners.top(pod))
}

fn pending(scene: &Scene<'_>, claim: &Object, users: &[&Object], why: &Why) -> Observation {
    let class = claim.text("/spec/storageClassName");
    let asks = claim.text("/spec/resources/requests/storage");
    let mode = claim.list("/spec/accessModes").iter().filter_map(|m| m.as_str());
    let mode = mode.collect::<Vec<_>>().join(",");
    let phase = claim.text("/status/phase");
    let says = format!(
        "PersistentVolumeClaim {} is {phase}: asks for {asks} {mode} of class {class}{}",
        claim.name(),
        why.says
    );
    let missing = match (why.word, &scene.classes) {
        ("class_missing", _) => "true",
        (_, Some(_)) => "false",
        _ => "",
    };
    let provisioner = scene.class(class).map_or("", |c| c.text("/provisioner"));
    let seen = Observation::new("storage.claim_pending", claim.entity(), says)
        .maybe_since(claim.created())
        .until(scene.cluster.now())
        .attr("class", class)
        .attr("why", why.word)
        .attr("class_missing", missing)
        .attr("nearest", why.nearest.as_str())
        .attr("asks", asks)
        .attr("mode", mode)
        .attr("provisioner", provisioner);
    match users.first() {
        Some(pod) => seen.peer(pod.entity()),
        None => seen,
    }
}

fn why(scene: &Scene<'_>, claim: &Object, users: &[&Object]) -> Why {
    let word = |word, says: String| Why { word, says, nearest: String::new() };
    if claim.text("/status/phase") == "Lost" {
        let says = format!("; its volume {} is gone", claim.text("/spec/volumeName"));
        return word("volume_lost", says);
    }
    let class = claim.at("/spec/storageClassName").and_then(|c| c.as_str());
    let asked_volume = claim.text("/spec/volumeName");
    if !asked_volume.is_empty() {
        return of_volume(scene, claim, asked_volume);
    }
    match (class, &scene.classes) {
        (Some(""), _) => of_static(scene, claim),
        (None, Some(classes)) if !classes.iter().any(is_default) => {
            word("no_class", "none, and no class is the default".to_owned())
        }
        (Some(name), Some(classes)) if !classes.iter().any(|c| c.name() == name) => {
            // A class may stand for volumes made by hand, without any object of its own.
            if scene.volumes.iter().any(|v| v.text("/spec/storageClassName") == name) {
                return of_static(scene, claim);
            }
            class_missing(name, classes)
        }
        (Some(name), Some(_)) => of_class(scene, claim, name, users),
        _ => word("other", String::new()),
    }
}

fn is_default(class: &Object) -> bool {
    DEFAULT_CLASS.iter().any(|key| class.annotation(key) == Some("true"))
}

fn class_missing(name: &str, classes: &[Object]) -> Why {
    let nearest = classes
        .iter()
        .min_by_key(|c| names::distance(c.name(), name))
        .map(|c| c.name().to_owned())
        .unwrap_or_default();
    let there: Vec<&str> = classes.iter().map(Object::name).take(6).collect();
    let says = format!(", which does not exist; there are {}", there.join(", "));
    Why { word: "class_missing", says, nearest }
}

/// A class that exists: its provisioner, or the pod it waits for.
fn of_class(scene: &Scene<'_>, claim: &Object, name: &str, users: &[&Object]) -> Why {
    let class = scene.class(name);
    let late = class.is_some_and(|c| c.text("/volumeBindingMode") == "WaitForFirstConsumer");
    let provisioner = class.map_or("", |c| c.text("/provisioner"));
    let chosen = claim.annotation("volume.kubernetes.io/selected-node").is_some();
    if provisioner == "kubernetes.io/no-provisioner" && (!late || users.iter().any(|p| held(p))) {
        return of_static(scene, claim);
    }
    let word = match (late, chosen, users) {
        (true, false, []) => "waits_for_pod",
        (true, false, pods) if !pods.iter().any(|p| held(p)) => "waits_for_pod",
        (true, false, _) => "other",
        _ => "waits_for_provisioner",
    };
    let says = match word {
        "waits_for_provisioner" => format!("; provisioner {provisioner} has made no volume"),
        _ => String::new(),
    };
    Why { word, says, nearest: String::new() }
}

/// Whether volumes keep a pod from a node, by the scheduler's words.
pub(crate) fn held(pod: &Object) -> bool {
    let placed = pod.condition("PodScheduled").filter(|c| c.status == "False");
    placed.is_some_and(|c| {
        let read = sayings::unschedulable(c.message).unwrap_or_default();
        read.exclusions.iter().any(|e| e.why == "volume")
    })
}

/// A volume asked for by name.
fn of_volume(scene: &Scene<'_>, claim: &Object, name: &str) -> Why {
    let why = |word, says| Why { word, says, nearest: String::new() };
    let Some(volume) = scene.volumes.iter().find(|v| v.name() == name) else {
        return why("volume_missing", format!("; volume {name} does not exist"));
    };
    let holder = volume.text("/spec/claimRef/name");
    let own = holder == claim.name()
        && volume.text("/spec/claimRef/namespace") == claim.namespace()
        && volume.text("/spec/claimRef/uid") == claim.text("/metadata/uid");
    if !holder.is_empty() && !own {
        let says = format!("; volume {name} belongs to claim {holder}");
        return why("volume_taken", says);
    }
    let misfit = misfit(claim, volume).unwrap_or_default();
    why("volume_mismatch", format!("; volume {name} {misfit}"))
}

/// Volumes made by hand: what keeps each from fitting.
fn of_static(scene: &Scene<'_>, claim: &Object) -> Why {
    let class = claim.text("/spec/storageClassName");
    let told: Vec<String> = scene
        .volumes
        .iter()
        .filter(|v| v.text("/spec/storageClassName") == class)
        .map(|v| {
            let misfit = misfit(claim, v).unwrap_or_else(|| "fits".to_owned());
            format!("{} {misfit}", v.name())
        })
        .take(4)
        .collect();
    let says = if told.is_empty() {
        "; no volume of that class exists and nobody makes one".to_owned()
    } else {
        format!("; no volume fits: {}", told.join("; "))
    };
    Why { word: "volume_mismatch", says, nearest: String::new() }
}

/// Why a volume cannot be a claim's.
fn misfit(claim: &Object, volume: &Object) -> Option<String> {
    let phase = volume.text("/status/phase");
    let holder = volume.text("/spec/claimRef/name");
    if matches!(phase, "Released" | "Failed") {
        return Some(format!("is {phase}, left by claim {holder}"));
    }
    if phase == "Bound" && holder != claim.name() {
        return Some(format!("is bound to claim {holder}"));
    }
    let modes = volume.list("/spec/accessModes");
    if let Some(mode) = claim.list("/spec/accessModes").iter().find(|m| !modes.contains(m)) {
        return Some(format!("does not offer {}", mode.as_str().unwrap_or_default()));
    }
    let (wants, has) =
        (claim.text("/spec/resources/requests/storage"), volume.text("/spec/capacity/storage"));
    let small = quantity::parse(wants).zip(quantity::parse(has)).is_some_and(|(w, h)| h < w);
    if small {
        return Some(format!("has {has} where {wants} is asked for"));
    }
    let classes = (claim.text("/spec/storageClassName"), volume.text("/spec/storageClassName"));
    (classes.0 != classes.1).then(|| format!("is of class {}", classes.1))
}
