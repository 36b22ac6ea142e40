//! Which other namespaces matter to what lies in one: those that its settings name as hosts. So a
//! call's work depends on what the alerted namespace reaches, not on how large the cluster is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object::Object;

/// Other namespaces at most.
const MOST: usize = 8;

/// The namespaces that hosts in `objects` (pods, `ConfigMap`s, Services) name, other than `home`.
/// `known` are those there are; without it only full names (`db.data.svc`) count.
pub(super) fn named(
    objects: &[Object],
    home: &str,
    known: Option<&BTreeSet<String>>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for object in objects {
        let parts = match object.kind() {
            "Pod" => ["/spec/containers", "/spec/initContainers"].as_slice(),
            "ConfigMap" => ["/data"].as_slice(),
            _ => ["/spec/externalName"].as_slice(),
        };
        for part in parts.iter().filter_map(|at| object.at(at)) {
            texts(part, &mut |text| collect(text, home, known, &mut found));
        }
    }
    found.into_iter().take(MOST).collect()
}

fn texts(value: &Value, each: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => each(text),
        Value::Array(all) => all.iter().for_each(|v| texts(v, each)),
        Value::Object(all) => all.values().for_each(|v| texts(v, each)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn collect(text: &str, home: &str, known: Option<&BTreeSet<String>>, found: &mut BTreeSet<String>) {
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    for word in text.split(|c| !in_name(c)).filter(|word| word.contains('.')) {
        let mut labels = word.split('.');
        let (Some(service), Some(namespace)) = (labels.next(), labels.next()) else { continue };
        // Of a StatefulSet's pod the namespace is the third label: db-0.db.data.svc
        let (namespace, svc) = match (namespace, labels.next(), labels.next()) {
            (_, Some(third), Some("svc")) => (third, true),
            (second, third, _) => (second, third == Some("svc")),
        };
        let exists = known.map_or(svc, |known| known.contains(namespace));
        if exists && !service.is_empty() && namespace != home && !namespace.is_empty() {
            found.insert(namespace.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts_in_settings_name_the_namespaces_that_matter() {
        let pod = Object::new(json!({"kind": "Pod", "spec": {"containers": [{
        "image": "registry.example.com/team/app:v1.data",
        "env": [
            {"name": "DB", "value": "postgres://u@db-0.db.data.svc.cluster.local:5432/x"},
            {"name": "Q", "value": "amqp://queue.messages:5672"},
            {"name": "OUT", "value": "https://api.partner.com/v1"},
            {"name": "OWN", "value": "http://cart.shop:80"},
        ]}]}}));
        let known = ["data", "messages", "shop", "other"].map(str::to_owned).into();
        let found = named(std::slice::from_ref(&pod), "shop", Some(&known));
        assert_eq!(found, ["data", "messages"].map(str::to_owned).into());
        let found = named(&[pod], "shop", None);
        assert_eq!(found, ["data"].map(str::to_owned).into(), "only full names without a list");
    }
}
