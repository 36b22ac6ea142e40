//! Events about containers: health checks, restarts, images, creation.

use agent_sdk::Entity;
use plugin_cluster::{
    Event,
    sayings::{self, ProbeFailure},
};

use crate::gather::{Finding, Rank};

pub(super) fn probe(event: &Event) -> Vec<Finding> {
    let Some(ProbeFailure { probe, port, path, why, status, fault }) =
        sayings::probe_failure(&event.message)
    else {
        return Vec::new();
    };
    let signal = match probe {
        "liveness" => "container.liveness_failed",
        "readiness" => "container.readiness_failed",
        _ => "container.startup_failed",
    };
    let at = if port.is_empty() { String::new() } else { format!(" on port {port}{path}") };
    let how = match why {
        "refused" => ": connection refused".to_owned(),
        "timeout" => ": timeout".to_owned(),
        "status" if !status.is_empty() => format!(": status {status}"),
        "scheme" => ": it speaks another protocol there".to_owned(),
        "host" => ": the host it names does not resolve".to_owned(),
        "command" => ": its command cannot be run".to_owned(),
        "reset" => ": connection reset".to_owned(),
        _ => String::new(),
    };
    let finding = Finding::new(
        signal,
        Rank::Harm,
        event.about.clone(),
        format!("fails its {probe} probe{at}{how}"),
    )
    .attr("port", port)
    .attr("path", path)
    .attr("probe", probe)
    .attr("why", why)
    .attr("fault", fault)
    .attr("status", status);
    vec![finding]
}

/// Only the kubelet's own kills tell something; the rest is the ordinary end of a pod.
pub(super) fn killing(event: &Event) -> Vec<Finding> {
    let said = event.message.to_ascii_lowercase();
    let (probe, signal) = if said.contains("failed liveness probe") {
        ("liveness", "container.liveness_failed")
    } else if said.contains("failed startup probe") {
        ("startup", "container.startup_failed")
    } else {
        return Vec::new();
    };
    let says = format!("is killed by the kubelet as it fails its {probe} probe");
    let finding = Finding::new(signal, Rank::Harm, event.about.clone(), says)
        .attr("killed", "true")
        .distinct(&["killed"]);
    vec![finding]
}

pub(super) fn back_off(event: &Event) -> Vec<Finding> {
    if event.message.contains("pulling image") {
        return vec![pull(event)];
    }
    if event.message.contains("restarting failed container") {
        let says = "crash-loops: the kubelet backs off from restarting it";
        return vec![Finding::new(
            "container.crash_looping",
            Rank::Harm,
            event.about.clone(),
            says,
        )];
    }
    Vec::new()
}

pub(super) fn failed(event: &Event) -> Vec<Finding> {
    let said = &event.message;
    if let Some(missing) = sayings::missing(said) {
        let pod = Entity { container: String::new(), ..event.about.clone() };
        let object =
            Entity::new(missing.kind, event.about.namespace.as_str(), missing.name.as_str());
        let (signal, what) = if missing.key.is_empty() {
            ("config.missing", format!("{} {} does not exist", missing.kind, missing.name))
        } else {
            let what = format!("{} {} has no key {}", missing.kind, missing.name, missing.key);
            ("config.key_missing", what)
        };
        let about = Finding::new(
            "container.config_missing",
            Rank::Harm,
            event.about.clone(),
            format!("cannot be created: {what}"),
        )
        .attr("key", missing.key.as_str())
        .peer(object.clone());
        let says = if missing.key.is_empty() {
            format!("does not exist, needed by pod {}", pod.name)
        } else {
            format!("has no key {}, needed by pod {}", missing.key, pod.name)
        };
        let of = Finding::new(signal, Rank::Harm, object, says).attr("key", missing.key).peer(pod);
        return vec![about, of];
    }
    let lower = said.to_ascii_lowercase();
    let pulls =
        ["image", "errimagepull", "imagepullbackoff"].iter().any(|word| lower.contains(word));
    if pulls && !lower.contains("exec format") {
        return vec![pull(event)];
    }
    let why = sayings::start_failure(said);
    let creates = [
        "failed to create",
        "failed to start",
        "containerd task",
        "runc",
        "oci runtime",
        "runcontainererror",
    ];
    if why != "other" || creates.iter().any(|word| lower.contains(word)) {
        let finding = Finding::new(
            "container.create_failed",
            Rank::Harm,
            event.about.clone(),
            format!("cannot be started ({why})"),
        )
        .attr("why", why);
        return vec![finding];
    }
    Vec::new()
}

/// Several events tell one failed pull; only some name the image or the reason.
fn pull(event: &Event) -> Finding {
    let image = event.message.split_once("image \"").and_then(|(_, rest)| rest.split_once('"'));
    let image = image.map_or("", |(image, _)| image);
    let why = sayings::pull_failure(&event.message);
    let tag = if image.is_empty() { "" } else { sayings::tag(image) };
    let because = match why {
        "not_found" => format!(": tag {tag} not found"),
        "unauthorized" => ": the registry refuses access".to_owned(),
        "unreachable" => ": the registry is not reached".to_owned(),
        "other" => String::new(),
        why => format!(": {}", why.replace('_', " ")),
    };
    let says = format!("cannot pull image {image}{because}");
    let registry = if image.is_empty() { "" } else { sayings::registry(image) };
    Finding::new("container.image_pull_failed", Rank::Harm, event.about.clone(), says)
        .attr("image", image)
        .attr("tag", tag)
        .attr("why", why)
        .attr("registry", registry)
}

/// `Unable to retrieve some image pull secrets (a, b); attempting to pull the image may not
/// succeed.` The kubelet goes on without them, so this alone is no harm.
pub(super) fn pull_secret(event: &Event) -> Vec<Finding> {
    let names = event.message.split_once("secrets (").and_then(|(_, rest)| rest.split_once(')'));
    let Some((names, _)) = names else { return Vec::new() };
    let pod = Entity { container: String::new(), ..event.about.clone() };
    names
        .split(',')
        .map(|name| {
            let secret = Entity::new("Secret", pod.namespace.as_str(), name.trim());
            let says = format!("asks for image pull Secret {}, which does not exist", secret.name);
            Finding::new("container.pull_secret_missing", Rank::Neutral, pod.clone(), says)
                .attr("secret", secret.name.as_str())
                .peer(secret)
        })
        .collect()
}
