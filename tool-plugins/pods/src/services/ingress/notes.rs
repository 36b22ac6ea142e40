//! Annotations of an Ingress that contradict its rules or its backend: a rewrite to a group that no
//! path has, a backend protocol that the Service's port does not speak.

use plugin_cluster::{Object, pod::shown};
use serde_json::Value;

use super::{Fault, route::Route};

pub(super) fn faults(ingress: &Object, routes: &[Route<'_>], services: &[Object]) -> Vec<Fault> {
    let mut found = Vec::new();
    found.extend(rewrite(ingress, routes));
    found.extend(protocol(ingress, routes, services));
    found
}

/// The value of the annotation whose name ends so, whoever's controller it is for.
fn note<'a>(ingress: &'a Object, ends: &[&str]) -> Option<(&'a str, &'a str)> {
    let notes = ingress.at("/metadata/annotations")?.as_object()?;
    notes.iter().find_map(|(key, value)| {
        let name = key.rsplit('/').next().unwrap_or_default();
        (ends.contains(&name)).then_some((key.as_str(), value.as_str()?))
    })
}

/// `$2` needs a second group in the path; without it the group is empty.
fn rewrite(ingress: &Object, routes: &[Route<'_>]) -> Option<Fault> {
    let (key, target) = note(ingress, &["rewrite-target"])?;
    let wanted = target
        .split('$')
        .skip(1)
        .filter_map(|part| part.chars().next().and_then(|c| c.to_digit(10)));
    let wanted = usize::try_from(wanted.max()?).ok()?;
    let short = routes
        .iter()
        .filter(|r| !r.path.is_empty())
        .find(|r| r.path.matches('(').count() < wanted)?;
    Some(Fault {
        why: "rewrite",
        says: format!(
            "{key} is {target}, but path {} has {} groups, so every request is rewritten to the wrong path",
            short.path,
            short.path.matches('(').count()
        ),
        certain: true,
        attributes: vec![
            ("rewrite", target.to_owned()),
            ("path", short.path.to_owned()),
            ("backend", short.service.to_owned()),
        ],
        peer: None,
        quote: String::new(),
    })
}

/// The protocol an annotation names against what the Service's port is called.
fn protocol(ingress: &Object, routes: &[Route<'_>], services: &[Object]) -> Option<Fault> {
    let ends = ["backend-protocol", "secure-backends", "service.serversscheme"];
    let (key, value) = note(ingress, &ends)?;
    let asked =
        if value.eq_ignore_ascii_case("true") { "HTTPS" } else { value }.to_ascii_uppercase();
    let (route, spoken) = routes.iter().find_map(|route| {
        let service = services
            .iter()
            .find(|s| s.namespace() == ingress.namespace() && s.name() == route.service)?;
        let port = service.list("/spec/ports").iter().find(|p| {
            let number = p.get("port").map(shown).unwrap_or_default();
            let name = p.get("name").and_then(Value::as_str).unwrap_or_default();
            number == route.port || name == route.port
        })?;
        let spoken = spoken(port)?;
        (!agree(&asked, spoken)).then_some((route, spoken))
    })?;
    Some(Fault {
        why: "protocol",
        says: format!(
            "{key} is {value}, but port {} of Service {} speaks {spoken}",
            route.port, route.service
        ),
        certain: true,
        attributes: vec![
            ("protocol", value.to_owned()),
            ("backend", route.service.to_owned()),
            ("port", route.port.clone()),
            ("path", route.path.to_owned()),
        ],
        peer: None,
        quote: String::new(),
    })
}

/// What a port speaks by its application protocol, its name or its well-known number.
fn spoken(port: &Value) -> Option<&'static str> {
    let text = |key: &str| port.get(key).and_then(Value::as_str).unwrap_or_default();
    let target = port.get("targetPort").map(shown).unwrap_or_default();
    [text("appProtocol"), text("name"), target.as_str()].into_iter().find_map(|word| {
        let word = word.to_ascii_lowercase();
        if word.starts_with("https") || word == "443" || word == "8443" || word == "tls" {
            Some("HTTPS")
        } else if word.starts_with("grpc") {
            Some("GRPC")
        } else if word.starts_with("http") || word == "web" || word == "80" || word == "8080" {
            Some("HTTP")
        } else {
            None
        }
    })
}

fn agree(asked: &str, spoken: &str) -> bool {
    match asked {
        "HTTP" | "AUTO_HTTP" => spoken == "HTTP",
        "HTTPS" => spoken == "HTTPS",
        "GRPC" | "GRPCS" => spoken != "HTTP",
        _ => true,
    }
}
