//! What pods need to start and run: `ConfigMap`s, Secrets, claims. And, for pods that do not
//! start, which of it does not exist.

use std::collections::{BTreeMap, BTreeSet};

use agent_sdk::{Entity, Observation, Relation, RelationKind};
use plugin_cluster::{
    Answer, Cluster, Kind, Object, Owners,
    names::distance,
    pod::{self, list},
};
use serde_json::Value;

/// One object that a pod needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Need {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The pod starts without it, too.
    optional: bool,
}

pub(super) async fn judge(
    cluster: &Cluster,
    (pods, owners): (&[Object], &Owners),
    answer: &mut Answer,
) {
    let mut missing: BTreeMap<(String, Need, String), Vec<&Object>> = BTreeMap::new();
    let known = Known::read(cluster).await;
    for pod in pods {
        let stuck =
            pod.text("/status/phase") == "Pending" && !pod.text("/spec/nodeName").is_empty();
        let home = pod.namespace();
        for need in needs(pod) {
            let object = Entity::new(need.kind, home, need.name.as_str());
            answer.relate(Relation::new(pod.entity(), RelationKind::Uses, object));
            if stuck && !need.optional && known.lacks(home, &need) {
                missing.entry((home.to_owned(), need, String::new())).or_default().push(pod);
            }
        }
        for (need, key) in keys(pod).into_iter().filter(|_| stuck) {
            if known.lacks_key(home, &need, &key) {
                missing.entry((home.to_owned(), need, key)).or_default().push(pod);
            }
        }
    }
    for ((home, need, key), pods) in missing {
        let Some(first) = pods.first() else { continue };
        let (signal, what) = if key.is_empty() {
            ("config.missing", format!("{} {} does not exist", need.kind, need.name))
        } else {
            ("config.key_missing", format!("{} {} has no key {key}", need.kind, need.name))
        };
        let hint = known.hint(&home, &need, &key);
        let near = if hint.is_empty() { String::new() } else { format!(" ({hint})") };
        let says = format!("{what}{near}, needed by {} pods such as {}", pods.len(), first.name());
        answer.harm(
            Observation::new(signal, Entity::new(need.kind, home, need.name), says)
                .maybe_since(pods.iter().filter_map(|p| p.created()).min())
                .until(cluster.now())
                .count(u64::try_from(pods.len()).unwrap_or(1))
                .attr("key", key)
                .attr("nearest", hint)
                .peer(owners.top(first)),
        );
    }
}

/// The `ConfigMap`s and Secrets of the cluster with their keys, for the kinds where absence means
/// something.
struct Known {
    kinds: BTreeMap<&'static str, BTreeMap<(String, String), BTreeSet<String>>>,
}

impl Known {
    async fn read(cluster: &Cluster) -> Self {
        let mut kinds = BTreeMap::new();
        for kind in [Kind::ConfigMap, Kind::Secret] {
            if let (true, Ok(all)) = (cluster.records(kind), cluster.list(kind, None).await) {
                let keys = |o: &Object| {
                    let parts = ["/data", "/binaryData", "/stringData"];
                    let maps = parts.iter().filter_map(|at| o.at(at)?.as_object());
                    maps.flat_map(|map| map.keys().cloned()).collect()
                };
                let named =
                    all.iter().map(|o| ((o.namespace().to_owned(), o.name().to_owned()), keys(o)));
                kinds.insert(kind.name(), named.collect());
            }
        }
        Self { kinds }
    }

    fn lacks(&self, home: &str, need: &Need) -> bool {
        let at = (home.to_owned(), need.name.clone());
        self.kinds.get(need.kind).is_some_and(|all| !all.contains_key(&at))
    }

    /// Whether the object is there, with keys, but without this one.
    fn lacks_key(&self, home: &str, need: &Need, key: &str) -> bool {
        let at = (home.to_owned(), need.name.clone());
        let keys = self.kinds.get(need.kind).and_then(|all| all.get(&at));
        // A recording may leave out the data, keys and all.
        keys.is_some_and(|keys| !keys.is_empty() && !keys.contains(key))
    }

    /// What was perhaps meant: the same name in another namespace, else the nearest name or key.
    fn hint(&self, home: &str, need: &Need, key: &str) -> String {
        let Some(all) = self.kinds.get(need.kind) else { return String::new() };
        if !key.is_empty() {
            let keys = all.get(&(home.to_owned(), need.name.clone())).into_iter().flatten();
            let nearest = keys.min_by_key(|k| distance(k, key));
            return nearest.map_or(String::new(), |k| format!("it has {k}"));
        }
        if let Some((elsewhere, _)) = all.keys().find(|(ns, name)| ns != home && *name == need.name)
        {
            return format!("one of that name is in namespace {elsewhere}");
        }
        let here = all.keys().filter(|(ns, _)| ns == home).map(|(_, name)| name);
        let nearest = here
            .map(|name| (distance(name, &need.name), name))
            .filter(|(far, name)| *far <= 8 && *far < name.len())
            .min();
        nearest.map_or(String::new(), |(_, name)| format!("the nearest is {name}"))
    }
}

/// The keys a pod refers to one by one, each with its object.
fn keys(pod: &Object) -> BTreeSet<(Need, String)> {
    let mut found = BTreeSet::new();
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut need = |kind, source: Option<&Value>, field: &str, keys: Vec<String>| {
        let Some(source) = source else { return };
        let Some(name) = text(source, field) else { return };
        if source.get("optional").and_then(Value::as_bool) != Some(true) {
            let need = Need { kind, name, optional: false };
            found.extend(keys.into_iter().map(|key| (need.clone(), key)));
        }
    };
    let items = |source: Option<&Value>| -> Vec<String> {
        let items = source.map_or(&[][..], |s| list(s, "items"));
        items.iter().filter_map(|item| text(item, "key")).collect()
    };
    for volume in pod.list("/spec/volumes") {
        let (config, secret) = (volume.get("configMap"), volume.get("secret"));
        need("ConfigMap", config, "name", items(config));
        need("Secret", secret, "secretName", items(secret));
        for source in volume.get("projected").map_or(&[][..], |p| list(p, "sources")) {
            let (config, secret) = (source.get("configMap"), source.get("secret"));
            need("ConfigMap", config, "name", items(config));
            need("Secret", secret, "name", items(secret));
        }
    }
    for container in pod::containers(pod) {
        for from in list(container.spec, "env").iter().filter_map(|e| e.get("valueFrom")) {
            let (config, secret) = (from.get("configMapKeyRef"), from.get("secretKeyRef"));
            let key = |source: Option<&Value>| source.and_then(|s| text(s, "key"));
            need("ConfigMap", config, "name", key(config).into_iter().collect());
            need("Secret", secret, "name", key(secret).into_iter().collect());
        }
    }
    found
}

/// Everything a pod refers to, each once.
pub(crate) fn needs(pod: &Object) -> BTreeSet<Need> {
    let mut needs = BTreeSet::new();
    let mut need = |kind, value: Option<&Value>, field: &str| {
        let Some(value) = value else { return };
        let Some(name) = value.get(field).and_then(Value::as_str) else { return };
        let optional = value.get("optional").and_then(Value::as_bool) == Some(true);
        // Put into every pod by the cluster itself.
        if name != "kube-root-ca.crt" {
            needs.insert(Need { kind, name: name.to_owned(), optional });
        }
    };
    for volume in pod.list("/spec/volumes") {
        need("ConfigMap", volume.get("configMap"), "name");
        need("Secret", volume.get("secret"), "secretName");
        need("PersistentVolumeClaim", volume.get("persistentVolumeClaim"), "claimName");
        for source in volume.get("projected").map_or(&[][..], |p| list(p, "sources")) {
            need("ConfigMap", source.get("configMap"), "name");
            need("Secret", source.get("secret"), "name");
        }
    }
    for container in pod::containers(pod) {
        for from in list(container.spec, "envFrom") {
            need("ConfigMap", from.get("configMapRef"), "name");
            need("Secret", from.get("secretRef"), "name");
        }
        for from in list(container.spec, "env").iter().filter_map(|e| e.get("valueFrom")) {
            need("ConfigMap", from.get("configMapKeyRef"), "name");
            need("Secret", from.get("secretKeyRef"), "name");
        }
    }
    for secret in pod.list("/spec/imagePullSecrets") {
        // The kubelet goes on without a missing one.
        if let Some(name) = secret.get("name").and_then(Value::as_str) {
            needs.insert(Need { kind: "Secret", name: name.to_owned(), optional: true });
        }
    }
    needs
}
