//! The rules of an Ingress as a flat list: host, path, Service, port.

use plugin_cluster::{
    Object,
    pod::{list, shown},
};
use serde_json::Value;

/// One way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route<'a> {
    /// Empty means every host.
    pub(super) host: &'a str,
    /// Empty for the default backend.
    pub(super) path: &'a str,
    /// `Exact`, `Prefix` or `ImplementationSpecific`.
    pub(super) path_type: &'a str,
    pub(super) service: &'a str,
    /// Its name or its number; empty when none is given.
    pub(super) port: String,
}

/// Every route of an Ingress, the default backend last.
pub(super) fn routes(ingress: &Object) -> Vec<Route<'_>> {
    let mut found = Vec::new();
    for rule in ingress.list("/spec/rules") {
        let host = rule.get("host").and_then(Value::as_str).unwrap_or_default();
        let http = rule.get("http").unwrap_or(&Value::Null);
        for entry in list(http, "paths") {
            let text = |key| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            let place = (host, text("path"), text("pathType"));
            found.extend(route(entry.get("backend"), place));
        }
    }
    found.extend(route(ingress.at("/spec/defaultBackend"), ("", "", "")));
    found
}

/// A backend that is a Service; others have no port to be wrong.
fn route<'a>(
    backend: Option<&'a Value>,
    (host, path, path_type): (&'a str, &'a str, &'a str),
) -> Option<Route<'a>> {
    let service = backend?.get("service")?;
    let port = service.get("port").and_then(|p| p.get("number").or_else(|| p.get("name")));
    Some(Route {
        host,
        path,
        path_type,
        service: service.get("name")?.as_str()?,
        port: port.map(shown).unwrap_or_default(),
    })
}

/// The Secrets of the certificates an Ingress serves, each with its hosts.
pub(super) fn certificates(ingress: &Object) -> Vec<(&str, Vec<&str>)> {
    ingress
        .list("/spec/tls")
        .iter()
        .filter_map(|entry| {
            let hosts = list(entry, "hosts").iter().filter_map(Value::as_str).collect();
            Some((entry.get("secretName")?.as_str()?, hosts))
        })
        .collect()
}

/// Name and number of each port of a Service.
pub(super) fn ports(service: &Object) -> Vec<(&str, String)> {
    service
        .list("/spec/ports")
        .iter()
        .map(|port| {
            let name = port.get("name").and_then(Value::as_str).unwrap_or_default();
            (name, port.get("port").map(shown).unwrap_or_default())
        })
        .collect()
}

// === impl Route ===

impl Route<'_> {
    /// Host and path as people write them.
    pub(super) fn shown(&self) -> String {
        match (self.host, self.path) {
            ("", "") => "its default backend".to_owned(),
            ("", path) => format!("path {path}"),
            (host, path) => format!("{host}{path}"),
        }
    }

    pub(super) fn attributes(&self, nearest: &str) -> Vec<(&'static str, String)> {
        vec![
            ("backend", self.service.to_owned()),
            ("port", self.port.clone()),
            ("host", self.host.to_owned()),
            ("path", self.path.to_owned()),
            ("nearest", nearest.to_owned()),
        ]
    }

    /// Whether a request for `host` and `path` goes this way. `None` for a host that is not told.
    pub(super) fn takes(&self, host: Option<&str>, path: &str) -> bool {
        let host_fits = match (self.host, host) {
            ("", _) | (_, None) => true,
            (rule, Some(host)) => match rule.strip_prefix("*.") {
                Some(parent) => {
                    host.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(parent))
                }
                None => rule.eq_ignore_ascii_case(host),
            },
        };
        let rule = self.path;
        let regex = rule.contains(['(', '*', '[', '$']);
        let stem = rule.split(['(', '*', '[', '$']).next().unwrap_or_default();
        let path_fits = match self.path_type {
            "Exact" => path == rule,
            _ if rule.is_empty() || rule == "/" => true,
            _ if regex => path.starts_with(stem.trim_end_matches('/')),
            _ => {
                let rule = rule.trim_end_matches('/');
                path == rule || path.strip_prefix(rule).is_some_and(|rest| rest.starts_with('/'))
            }
        };
        host_fits && path_fits
    }
}
