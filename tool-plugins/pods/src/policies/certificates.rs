//! Certificates: until when those are valid that workloads, Ingresses and webhooks use, as far as
//! their public part can be read; what cert-manager says of their renewal; and, where Secrets
//! cannot be read, which Secret a server uses whose callers complain of its certificate.

mod served;

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use jiff::{SignedDuration, Timestamp};
use plugin_cluster::{Answer, Certificate, Kind, Object, certificate};

use super::{Scene, flows, heard::Heard};
use crate::pods::uses;

/// A certificate that ends within this time should have been renewed.
const SOON: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Certificates told as valid at most.
const MAX_VALID: usize = 40;

/// Who uses which Secret or `ConfigMap`.
pub(super) type Users = BTreeMap<Entity, BTreeSet<Entity>>;

pub(super) async fn judge(scene: &Scene<'_>, heard: &Heard, answer: &mut Answer) {
    let users = users(scene, answer).await;
    let mut holders = Vec::new();
    for kind in [Kind::Secret, Kind::ConfigMap] {
        let listed = scene.cluster.list(kind, None).await;
        holders.extend(answer.or_gap(kind.plural(), listed));
    }
    let listed = scene.cluster.list(Kind::Certificate, None).await;
    let kept = answer.or_gap("certificates", listed);
    let mut told: BTreeMap<Entity, &'static str> = BTreeMap::new();
    for certificate in kept.iter().filter(|c| scene.covers(c)) {
        managed(certificate, (&users, scene.cluster.now()), &mut told, answer);
    }
    let mut valid = 0;
    for holder in &holders {
        let entity = holder.entity();
        let wanted = scene.covers(holder) || used_here(scene, users.get(&entity));
        let all = certificate::of(holder);
        // Bundles of authorities hold dead ones that nobody looks at.
        let bundle =
            holder.kind() == "ConfigMap" && (all.len() > 1 || !users.contains_key(&entity));
        let Some((key, first)) = all.into_iter().next().filter(|_| wanted && !bundle) else {
            continue;
        };
        match (state(&first, scene.cluster.now()), told.get(&entity).copied()) {
            (State::Valid, None) if valid < MAX_VALID => {
                valid += 1;
                told.insert(entity, "certificate.valid");
                answer.health(
                    fact("certificate.valid", holder, (&key, &first)).until(scene.cluster.now()),
                );
            }
            (State::Valid, _) => {}
            (State::Dead(why), known) if known != Some("certificate.expired") => {
                told.insert(entity.clone(), "certificate.expired");
                let seen = dead(holder, (&key, &first), why, scene.cluster.now());
                answer.harm(match served_by(&users, &entity) {
                    Some(server) => seen.peer(server),
                    None => seen,
                });
            }
            (State::Soon, None) if holder.kind() == "Secret" => {
                answer.harm(
                    fact("certificate.expiring", holder, (&key, &first)).until(scene.cluster.now()),
                );
            }
            (State::Dead(_) | State::Soon, _) => {}
        }
    }
    served::judge(scene, heard, (&holders, &users), (&told, answer)).await;
}

/// What a certificate is now.
enum State {
    Valid,
    /// With the reason.
    Dead(&'static str),
    Soon,
}

fn state(certificate: &Certificate, now: Timestamp) -> State {
    if certificate.not_after <= now {
        State::Dead("expired")
    } else if certificate.not_before > now {
        State::Dead("not_yet_valid")
    } else if certificate.not_after.duration_since(now) < SOON {
        State::Soon
    } else {
        State::Valid
    }
}

fn used_here(scene: &Scene<'_>, users: Option<&BTreeSet<Entity>>) -> bool {
    let here = |user: &Entity| scene.namespace.is_none_or(|ns| user.namespace == ns);
    users.is_some_and(|users| users.iter().any(here))
}

fn served_by(users: &Users, holder: &Entity) -> Option<Entity> {
    users.get(holder).and_then(|users| users.first().cloned())
}

/// Workloads that mount or read Secrets and `ConfigMap`s, and Ingresses that serve them.
async fn users(scene: &Scene<'_>, answer: &mut Answer) -> Users {
    let mut users = Users::new();
    for pod in &scene.pods {
        let workload = scene.owners.top(pod);
        for need in uses::needs(pod).into_iter().filter(|n| n.kind != "PersistentVolumeClaim") {
            let holder = Entity::new(need.kind, pod.namespace(), need.name);
            users.entry(holder).or_default().insert(workload.clone());
        }
    }
    for ingress in scene.cluster.list(Kind::Ingress, None).await.unwrap_or_default() {
        for entry in ingress.list("/spec/tls") {
            let Some(name) = entry.get("secretName").and_then(|n| n.as_str()) else { continue };
            let holder = Entity::new("Secret", ingress.namespace(), name);
            let edge = Relation::new(ingress.entity(), RelationKind::Uses, holder.clone());
            answer.relate(edge);
            // Whoever asks for the Services behind it from outside meets this certificate.
            for (service, _) in flows::backends(&ingress) {
                answer.relate(Relation::new(service, RelationKind::Uses, holder.clone()));
            }
            users.entry(holder).or_default().insert(ingress.entity());
        }
    }
    users
}

fn fact(signal: &str, holder: &Object, (key, read): (&str, &Certificate)) -> Observation {
    let names = shown(read);
    let says = format!(
        "{} {} holds a certificate for {names} (key {key}), valid from {} until {}, by {}",
        holder.kind(),
        holder.name(),
        read.not_before,
        read.not_after,
        read.issuer
    );
    Observation::new(signal, holder.entity(), says)
        .attr("not_after", read.not_after.to_string())
        .attr("not_before", read.not_before.to_string())
        .attr("names", names)
        .attr("issuer", read.issuer.as_str())
        .attr("key", key)
        .attr("source", "secret")
}

fn shown(read: &Certificate) -> String {
    let names: Vec<&str> = read.names.iter().map(String::as_str).take(4).collect();
    if names.is_empty() { read.subject.clone() } else { names.join(",") }
}

fn dead(
    holder: &Object,
    (key, read): (&str, &Certificate),
    why: &'static str,
    now: Timestamp,
) -> Observation {
    let seen = fact("certificate.expired", holder, (key, read)).until(now).attr("why", why);
    if why == "expired" { seen.since(read.not_after) } else { seen }
}

/// What cert-manager says: of the Secret it keeps, with the reason when it does not renew.
fn managed(
    certificate: &Object,
    (users, now): (&Users, Timestamp),
    told: &mut BTreeMap<Entity, &'static str>,
    answer: &mut Answer,
) {
    let secret =
        Entity::new("Secret", certificate.namespace(), certificate.text("/spec/secretName"));
    if secret.name.is_empty() {
        return;
    }
    for user in users.get(&secret).into_iter().flatten() {
        let edge = Relation::new(user.clone(), RelationKind::Uses, certificate.entity());
        answer.relate(edge);
        answer.relate(Relation::new(user.clone(), RelationKind::Uses, secret.clone()));
    }
    answer.relate(Relation::new(certificate.entity(), RelationKind::Governs, secret.clone()));
    let until = certificate.time("/status/notAfter");
    let renewal = renewal(certificate);
    let names: Vec<&str> =
        certificate.list("/spec/dnsNames").iter().filter_map(|n| n.as_str()).take(4).collect();
    for service in names.iter().filter_map(|name| service_of(name, certificate.namespace())) {
        answer.relate(Relation::new(service, RelationKind::Uses, secret.clone()));
    }
    let names = names.join(",");
    let issuer = certificate.text("/spec/issuerRef/name");
    let gone = until.is_some_and(|t| t <= now);
    let soon = until.is_some_and(|t| t.duration_since(now) < SOON) && !renewal.is_empty();
    let signal = match (gone, soon) {
        (true, _) => "certificate.expired",
        (false, true) => "certificate.expiring",
        (false, false) if renewal.is_empty() && until.is_some() => "certificate.valid",
        (false, false) => return,
    };
    let ends = until.map(|t| t.to_string()).unwrap_or_default();
    let because =
        if renewal.is_empty() { String::new() } else { format!("; not renewed: {renewal}") };
    let says = format!(
        "the certificate for {names} in Secret {} is valid until {ends} (Certificate {}, issuer {issuer}){because}",
        secret.name,
        certificate.name()
    );
    let seen = Observation::new(signal, secret.clone(), says)
        .until(now)
        .attr("not_after", ends)
        .attr("names", names)
        .attr("issuer", issuer)
        .attr("source", "certificate")
        .attr("renewal", renewal.as_str())
        .quote(&renewal)
        .peer(certificate.entity());
    told.insert(secret, signal);
    match signal {
        "certificate.valid" => answer.health(seen),
        "certificate.expired" => answer.harm(seen.maybe_since(until).attr("why", "expired")),
        _ => answer.harm(seen),
    }
}

/// The Service that a name within the cluster stands for: `web`, `web.shop`, `web.shop.svc`.
fn service_of(name: &str, namespace: &str) -> Option<Entity> {
    let (service, rest) = name.split_once('.').unwrap_or((name, namespace));
    let inside = rest == namespace || rest.starts_with(&format!("{namespace}.svc"));
    (inside && !service.is_empty() && service != "*")
        .then(|| Entity::new("Service", namespace, service))
}

/// Why a Certificate is not renewed: its conditions' words; empty when all is well.
fn renewal(certificate: &Object) -> String {
    let ready = certificate.condition("Ready").filter(|c| c.status == "False");
    let issuing = certificate.condition("Issuing").filter(|c| {
        c.status == "True"
            || c.reason == "Failed"
            || c.message.to_ascii_lowercase().contains("fail")
    });
    let told = [issuing, ready].into_iter().flatten().find(|c| !c.message.is_empty());
    told.map_or(String::new(), |c| format!("{}: {}", c.reason, c.message))
}
