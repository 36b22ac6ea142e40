//! Images that cannot be pulled: the registry's words, with what stands behind them. A wrong tag is
//! the workload's; credentials that are missing or no longer taken are the pull Secret's; a registry
//! that does not answer is its own.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{Answer, Cluster, Container, Event, Kind, Object, Peers, State, pod, sayings};
use serde_json::Value;

use super::leaving;

/// What the kubelet calls a container whose image it cannot pull.
pub(super) const REASONS: [&str; 7] = [
    "ImagePullBackOff",
    "ErrImagePull",
    "InvalidImageName",
    "ErrImageNeverPull",
    "RegistryUnavailable",
    "ImageInspectError",
    "SignatureValidationFailed",
];

/// A container whose image cannot be pulled.
struct Stuck<'a> {
    pod: &'a Object,
    container: Container<'a>,
    reason: &'a str,
    message: &'a str,
}

/// What stands around them; read only when there is one.
struct Around {
    secrets: Option<BTreeSet<(String, String)>>,
    accounts: Vec<Object>,
    /// What events say of each pod's pulls, the most telling sentence.
    said: BTreeMap<Entity, String>,
    peers: Peers,
    /// Registries whose images run in other pods.
    serving: BTreeSet<String>,
}

pub(super) async fn judge(
    cluster: &Cluster,
    namespace: Option<&str>,
    pods: &[Object],
    answer: &mut Answer,
) {
    let stuck: Vec<Stuck<'_>> = pods.iter().filter(|p| !leaving(p)).flat_map(stuck).collect();
    if stuck.is_empty() {
        return;
    }
    let around = Around::read(cluster, namespace, pods).await;
    for one in &stuck {
        for secret in around.named(one.pod) {
            answer.relate(Relation::new(one.pod.entity(), RelationKind::Uses, secret));
        }
        let (seen, registry) = around.told(one);
        if let Some(registry) = registry {
            answer.relate(Relation::new(one.pod.entity(), RelationKind::Calls, registry));
        }
        answer.harm(seen.until(cluster.now()));
    }
}

fn stuck(pod: &Object) -> Vec<Stuck<'_>> {
    pod::containers(pod)
        .into_iter()
        .filter_map(|container| {
            let State::Waiting { reason, message } = container.state() else { return None };
            REASONS.contains(&reason).then_some(Stuck { pod, container, reason, message })
        })
        .collect()
}

// === impl Around ===

impl Around {
    async fn read(cluster: &Cluster, namespace: Option<&str>, pods: &[Object]) -> Self {
        let secrets = cluster.list(Kind::Secret, namespace).await.ok();
        let secrets = secrets.filter(|_| cluster.records(Kind::Secret)).map(|all| {
            all.iter().map(|s| (s.namespace().to_owned(), s.name().to_owned())).collect()
        });
        let accounts = cluster.list(Kind::ServiceAccount, namespace).await.unwrap_or_default();
        let events = cluster.list(Kind::Event, None).await.unwrap_or_default();
        let mut said: BTreeMap<Entity, String> = BTreeMap::new();
        for event in events.iter().map(|e| Event::of(e, cluster.now())) {
            let pulls = event.about.kind == "Pod"
                && matches!(event.reason.as_str(), "Failed" | "ErrImagePull" | "InspectFailed");
            if pulls && sayings::pull_failure(&event.message) != "other" {
                let pod = Entity { container: String::new(), ..event.about };
                said.insert(pod, event.message);
            }
        }
        let peers = Peers::read(cluster).await;
        let serving = pods.iter().filter(|p| stuck(p).is_empty()).flat_map(images).collect();
        Self { secrets, accounts, said, peers, serving }
    }

    /// The pull Secrets a pod names, itself or by its service account.
    fn named(&self, pod: &Object) -> Vec<Entity> {
        let account = pod.text("/spec/serviceAccountName");
        let account = if account.is_empty() { "default" } else { account };
        let account =
            self.accounts.iter().find(|a| a.namespace() == pod.namespace() && a.name() == account);
        let of_pod = pod.list("/spec/imagePullSecrets").iter();
        let of_account = account.map_or(&[][..], |a| a.list("/imagePullSecrets")).iter();
        let names: BTreeSet<&str> = of_pod
            .chain(of_account)
            .filter_map(|s| s.get("name").and_then(Value::as_str))
            .collect();
        names.into_iter().map(|name| Entity::new("Secret", pod.namespace(), name)).collect()
    }

    /// The Secret at fault if rights are, and how it stands: `missing`, `present`, `unknown` when
    /// Secrets cannot be listed, `none` when the pod names none.
    fn secret(&self, pod: &Object) -> (Option<Entity>, &'static str) {
        let named = self.named(pod);
        let Some(known) = &self.secrets else {
            let state = if named.is_empty() { "none" } else { "unknown" };
            return (named.into_iter().next(), state);
        };
        let there =
            |secret: &Entity| known.contains(&(secret.namespace.clone(), secret.name.clone()));
        if let Some(absent) = named.iter().find(|secret| !there(secret)) {
            return (Some(absent.clone()), "missing");
        }
        match named.into_iter().next() {
            Some(secret) => (Some(secret), "present"),
            None => (None, "none"),
        }
    }

    /// The registry as callers name it: a Service of the cluster, or a host outside.
    fn registry(&self, image: &str, namespace: &str) -> Entity {
        let host = sayings::registry(image);
        self.peers.host(host, namespace).unwrap_or_else(|| Entity::external(host))
    }

    fn told(&self, one: &Stuck<'_>) -> (Observation, Option<Entity>) {
        let image = one.container.image();
        let tag = sayings::tag(image);
        let own = format!("{} {}", one.reason, one.message);
        let event = self.said.get(&one.pod.entity());
        let (why, quote) = match (sayings::pull_failure(&own), event) {
            ("other", Some(said)) => (sayings::pull_failure(said), said.as_str()),
            (why, _) => (why, one.message),
        };
        let (secret, state) = self.secret(one.pod);
        let registry = self.registry(image, one.pod.namespace());
        let because = match why {
            "not_found" => format!(": tag {tag} not found"),
            "unauthorized" => match (&secret, state) {
                (Some(secret), "missing") => {
                    format!(
                        ": the registry refuses access, and pull Secret {} does not exist",
                        secret.name
                    )
                }
                (Some(secret), _) => {
                    format!(": the registry refuses access with pull Secret {}", secret.name)
                }
                (None, _) => {
                    ": the registry refuses access, and no pull Secret is named".to_owned()
                }
            },
            "unreachable" => format!(": registry {} is not reached", registry.name),
            "other" => format!(" ({})", one.reason),
            why => format!(": {}", why.replace('_', " ")),
        };
        let subject = one.pod.entity().container(one.container.name);
        let says = format!(
            "container {} of pod {} cannot pull image {image}{because}",
            one.container.name,
            one.pod.name()
        );
        let since = one.pod.condition("Ready").filter(|c| c.status != "True").and_then(|c| c.since);
        let since =
            since.or_else(|| one.pod.time("/status/startTime")).or_else(|| one.pod.created());
        let host = sayings::registry(image);
        let seen = Observation::new("container.image_pull_failed", subject, says)
            .maybe_since(since)
            .attr("image", image)
            .attr("tag", tag)
            .attr("registry", host)
            .attr("why", why)
            .attr("reason", one.reason)
            .attr("secret", secret.as_ref().map_or("", |s| s.name.as_str()))
            .attr("secret_state", state)
            .attr("others_pull", if self.serving.contains(host) { "true" } else { "" })
            .quote(quote);
        match (why, secret) {
            ("unauthorized", Some(secret)) => (seen.peer(secret), None),
            ("unreachable" | "certificate", _) => (seen.peer(registry.clone()), Some(registry)),
            _ => (seen, None),
        }
    }
}

/// The registries of a pod's images.
fn images(pod: &Object) -> Vec<String> {
    pod::containers(pod).iter().map(|c| sayings::registry(c.image()).to_owned()).collect()
}
