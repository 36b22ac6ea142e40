//! Who is meant to call whom: hosts named in environment, arguments and the `ConfigMap`s a pod
//! uses. What is named is not proof of a call; edges from metrics outrank these.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Relation, RelationKind};
use plugin_cluster::{
    Answer, Cluster, Kind, Object, Owners,
    pod::{self, list},
    sayings, selector,
};
use serde_json::Value;

use super::uses;

pub(super) async fn relate(
    cluster: &Cluster,
    namespace: Option<&str>,
    (pods, owners): (&[Object], &Owners),
    answer: &mut Answer,
) {
    let services = cluster.list(Kind::Service, None).await;
    let services = answer.or_gap("services", services);
    let configs = cluster.list(Kind::ConfigMap, namespace).await;
    let configs = answer.or_gap("configmaps", configs);
    let known: BTreeMap<(&str, &str), &Object> =
        services.iter().map(|s| ((s.namespace(), s.name()), s)).collect();
    // Pods of one workload name the same hosts: one is enough.
    let mut done = BTreeSet::new();
    for pod in pods {
        let caller = owners.top(pod);
        if !done.insert(caller.clone()) {
            continue;
        }
        for (callee, _) in callees(pod, &configs, &known) {
            answer.relate(Relation::new(caller.clone(), RelationKind::Calls, callee));
        }
    }
}

/// Services by namespace and name.
pub(crate) type Known<'a> = BTreeMap<(&'a str, &'a str), &'a Object>;

/// Whom a pod is told to call, with the port where it is told.
pub(crate) fn callees(
    pod: &Object,
    configs: &[Object],
    known: &Known<'_>,
) -> BTreeSet<(Entity, Option<u16>)> {
    let mut found = BTreeSet::new();
    for text in texts(pod, configs) {
        for mention in mentions(&text) {
            found.extend(mention.entity(pod.namespace(), known).map(|e| (e, mention.port)));
        }
    }
    for mention in settings(pod).iter().flat_map(|text| mentions(text)) {
        found.extend(mention.outside().map(|host| (Entity::external(host), mention.port)));
    }
    let labels = pod.labels();
    // A program that is told its own name does not call itself.
    found.retain(|(entity, _)| {
        known
            .get(&(entity.namespace.as_str(), entity.name.as_str()))
            .filter(|_| entity.kind == "Service" && entity.namespace == pod.namespace())
            .is_none_or(|s| !selector::pairs_match(&s.map("/spec/selector"), &labels))
    });
    found
}

/// Values that are given to a pod's programs directly.
fn settings(pod: &Object) -> Vec<String> {
    let mut texts = Vec::new();
    for container in pod::containers(pod) {
        let values = list(container.spec, "env").iter().filter_map(|e| e.get("value"));
        let words = list(container.spec, "args").iter().chain(list(container.spec, "command"));
        texts.extend(values.chain(words).filter_map(Value::as_str).map(str::to_owned));
    }
    texts
}

/// Settings and the contents of the `ConfigMap`s a pod uses.
fn texts(pod: &Object, configs: &[Object]) -> Vec<String> {
    let mut texts = settings(pod);
    let used = uses::needs(pod);
    for config in configs.iter().filter(|c| c.namespace() == pod.namespace()) {
        if used.iter().any(|n| n.kind == "ConfigMap" && n.name == config.name()) {
            texts.extend(config.map("/data").into_values());
        }
    }
    texts
}

/// A host in a text, with what stands around it.
#[derive(Debug, PartialEq, Eq)]
struct Mention<'a> {
    host: &'a str,
    /// Behind `://`, with or without a user before it.
    in_url: bool,
    /// Before a port.
    with_port: bool,
    /// That port, else the one its URL's scheme means.
    port: Option<u16>,
    /// The whole text.
    alone: bool,
}

fn mentions(text: &str) -> Vec<Mention<'_>> {
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let mut found = Vec::new();
    let mut rest_at = 0;
    while let Some(start) = text.get(rest_at..).and_then(|r| r.find(is_host)).map(|i| i + rest_at) {
        let rest = text.get(start..).unwrap_or_default();
        let end = rest.find(|c| !is_host(c)).unwrap_or(rest.len());
        let host = rest.get(..end).unwrap_or_default().trim_end_matches('.');
        let before = text.get(..start).unwrap_or_default();
        let after = rest.get(end..).unwrap_or_default();
        let digits = after.strip_prefix(':').unwrap_or_default();
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        // `//user:123@host` is no port.
        let with_port = !digits.is_empty() && !before.ends_with(':');
        let scheme = before.rsplit_once("://").and_then(|(head, _)| sayings::default_port(head));
        let in_url = before.ends_with("://") || (before.ends_with('@') && in_authority(before));
        found.push(Mention {
            host,
            in_url,
            with_port,
            port: if with_port { digits.parse().ok() } else { scheme.filter(|_| in_url) },
            alone: text.trim() == host,
        });
        rest_at = start + end.max(1);
    }
    found
}

/// Whether the word that ends `before` is the user part of a URL.
fn in_authority(before: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
    word.rsplit_once("://").is_some_and(|(_, user)| !user.contains('/'))
}

// === impl Mention ===

impl<'a> Mention<'a> {
    fn entity(&self, namespace: &str, known: &Known<'_>) -> Option<Entity> {
        let mut parts = self.host.split('.');
        let (name, second, third) = (parts.next()?, parts.next(), parts.next());
        let service = |namespace: &str| {
            known.contains_key(&(namespace, name)).then(|| Entity::new("Service", namespace, name))
        };
        match (second, third) {
            (Some(ns), Some("svc")) => Some(Entity::new("Service", ns, name)),
            (Some(ns), None) if service(ns).is_some() => service(ns),
            (None, _) if self.in_url || self.with_port || self.alone => service(namespace),
            _ => None,
        }
    }

    /// A host outside the cluster: a name with a domain in a URL, not an address.
    fn outside(&self) -> Option<&'a str> {
        let (_, domain) = self.host.split_once('.')?;
        let last = domain.rsplit('.').next().unwrap_or_default();
        let named = last.len() > 1 && last.chars().all(|c| c.is_ascii_alphabetic());
        let inside = domain == "svc" || domain.contains(".svc") || last == "local";
        (self.in_url && named && domain.contains('.') && !inside).then_some(self.host)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let services: Vec<Object> = [("shop", "cart"), ("shop", "db"), ("pay", "api")]
            .iter()
            .map(|(ns, n)| {
                Object::new(json!({"kind": "Service", "metadata": {"namespace": ns, "name": n}}))
            })
            .collect();
        let known = services.iter().map(|s| ((s.namespace(), s.name()), s)).collect();
        mentions(text)
            .iter()
            .filter_map(|m| m.entity("shop", &known).or_else(|| m.outside().map(Entity::external)))
            .map(|e| format!("{} {}/{}", e.kind, e.namespace, e.name))
            .collect()
    }

    #[test]
    fn a_service_is_recognised_by_the_ways_it_is_written() {
        for (text, want) in [
            ("http://cart:8080/x", vec!["Service shop/cart"]),
            ("cart", vec!["Service shop/cart"]),
            ("db:5432", vec!["Service shop/db"]),
            ("postgresql://job:pw@db.shop.svc:5432/x", vec!["Service shop/db"]),
            ("https://api.pay.svc.cluster.local/v1", vec!["Service pay/api"]),
            ("api.pay:80", vec!["Service pay/api"]),
            ("db:5432,cart:80", vec!["Service shop/db", "Service shop/cart"]),
            ("https://hooks.partner.example/v2", vec!["External /hooks.partner.example"]),
            ("https://user:pw@hooks.partner.example", vec!["External /hooks.partner.example"]),
            ("no-reply@partner.example", vec![]),
            ("nobody:80", vec![]),
            ("the cart is full", vec![]),
            ("http://10.1.2.3:80", vec![]),
            ("500m", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(found(text), want, "{text}");
        }
    }
}
