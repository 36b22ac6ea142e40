//! The answer is found, not known: names that occur in recorded incidents, and where they stand in
//! code or catalogues. Names are collected from the recordings themselves, so a new incident is
//! covered the day it comes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Fault, rust::production, tree::File};

/// Names of incidents that are words of the field as well, each looked at: they name parts of
/// Kubernetes itself or everyday things, and no incident is recognised by them.
const GENERIC: [&str; 16] = [
    // Parts of every cluster.
    "default",
    "kubernetes",
    "kube-system",
    "kube-public",
    "kube-node-lease",
    "kube-dns",
    "coredns",
    "metrics-server",
    "kube-root-ca.crt",
    // Words of English and of protocols that somebody called a namespace or a service by.
    "people",
    "settle",
    "login",
    "web",
    "api",
    "data",
    "docs",
];

/// Names up to this length, without a dash, are words of prose as well: they are looked for in
/// quotes only.
const SHORT: usize = 4;

/// Names of objects, namespaces, nodes and hosts in a recorded incident's file: `scenario.json`
/// or one of `kube/*.json`. Other files give none.
#[must_use]
pub fn names(file: &File) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(value) = serde_json::from_str::<Value>(&file.text) else { return found };
    if file.path.ends_with("/scenario.json") {
        for key in ["alert", "culprit", "culprit_accept", "also"] {
            collect(value.get(key).unwrap_or(&Value::Null), &mut found);
        }
    } else if file.path.contains("/kube/") {
        objects(&value, &mut found);
    }
    found.retain(|name| !GENERIC.contains(&name.as_str()) && name.len() > 2);
    found
}

/// Names and namespaces of a list of objects, and what their containers and hosts are called.
fn objects(value: &Value, found: &mut BTreeSet<String>) {
    let items = value.get("items").unwrap_or(value);
    for object in items.as_array().into_iter().flatten() {
        collect(object.get("metadata").unwrap_or(&Value::Null), found);
        walk(object.get("spec").unwrap_or(&Value::Null), found);
    }
}

/// The values that name something, in an object of any shape.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for key in ["name", "namespace", "service", "cluster"] {
                found.extend(map.get(key).and_then(Value::as_str).map(str::to_owned));
            }
            for key in ["labels", "second", "culprit", "culprit_accept"] {
                match map.get(key) {
                    Some(Value::Object(labels)) if key == "labels" => {
                        let cluster = labels.get("cluster").and_then(Value::as_str);
                        found.extend(cluster.map(str::to_owned));
                    }
                    Some(inner) => collect(inner, found),
                    None => {}
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Node names, hosts and names of configuration that a spec refers to.
fn walk(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for key in ["nodeName", "externalName", "host", "claimName", "secretName"] {
                found.extend(map.get(key).and_then(Value::as_str).map(str::to_owned));
            }
            map.values().for_each(|inner| walk(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Where one of `names` stands as a whole word, tests left out. A name is a word of letters,
/// digits, dashes and dots; a short one counts when it stands in quotes.
#[must_use]
pub fn faults(file: &File, names: &BTreeSet<String>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let text = if file.path.ends_with(".rs") { production(&file.text) } else { file.text.clone() };
    for (number, line) in text.lines().enumerate() {
        let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.');
        for word in words.map(|word| word.trim_matches(['-', '.'])) {
            let quoted = || line.contains(&format!("\"{word}\""));
            let told = word.contains('-') || word.len() > SHORT || quoted();
            if told && names.contains(word) {
                let at = number + 1;
                faults.push(format!("{}:{at}: names {word} of a recorded incident", file.path));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn names_come_from_alerts_truths_and_objects() {
        let scenario = file(
            "tests/scenarios/s1/scenario.json",
            r#"{"alert":{"type":"slow","service":"cart-api","namespace":"bazaar","labels":{"cluster":"oak-prod"}},
                "culprit":{"kind":"Deployment","name":"cart-db","namespace":"stock"},
                "must_mention":[["nothing-here"]]}"#,
        );
        let pods = file(
            "tests/scenarios/s1/kube/pod.json",
            r#"[{"metadata":{"name":"cart-api-1","namespace":"bazaar"},"spec":{"nodeName":"oak-7","x":[{"secretName":"cart-keys"}]}},
                {"metadata":{"name":"coredns","namespace":"kube-system"}}]"#,
        );
        let mut found = names(&scenario);
        found.extend(names(&pods));
        let found: Vec<_> = found.iter().map(String::as_str).collect();
        let expected = [
            "bazaar",
            "cart-api",
            "cart-api-1",
            "cart-db",
            "cart-keys",
            "oak-7",
            "oak-prod",
            "stock",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_name_in_code_is_found_as_a_whole_word() {
        let names = ["cart-api", "bazaar", "mall"].map(str::to_owned).into();
        for (text, expected) in [
            ("if service == \"cart-api\" {}", 1),
            ("// as seen in bazaar.", 1),
            ("cart-api-gateway and bazaars and mall", 0),
            ("{\"namespace\":\"mall\"}", 1),
            ("#[cfg(test)]\nmod tests { const A: &str = \"bazaar\"; }", 0),
        ] {
            assert_eq!(faults(&file("a.rs", text), &names).len(), expected, "{text}");
        }
    }
}
