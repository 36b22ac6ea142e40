//! Where series of a namespace are found: under which labels installations name it, and who of
//! other namespaces names it as the one called. Selectors only; nothing is asked here.

use super::{Beyond, select::Place};
use crate::{
    families::{NAMESPACE, PEER, SERVICE},
    object,
    query::{Condition, Matcher, Selector, promql},
};

/// Labels of meshes that name the namespace of the end which a series is not about.
const OTHER_ENDS: &[&str] =
    &["source_workload_namespace", "source_namespace", "destination_namespace"];

/// File systems of nodes, which their exporter tells under its own namespace.
const OF_NODES: &[&str] = &[
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "node_filesystem_files_free",
    "node_filesystem_files",
];

/// The label of the pod that goes with a label of the namespace.
fn pod_label(namespace: &str) -> &'static str {
    match namespace {
        "exported_namespace" => "exported_pod",
        "k8s_namespace_name" => "k8s_pod_name",
        "kubernetes_namespace" => "kubernetes_pod_name",
        _ => "pod",
    }
}

fn is(label: &str, value: &str) -> Matcher {
    Matcher { label: label.to_owned(), condition: Condition::Is(value.to_owned()) }
}

fn is_not(label: &str, value: &str) -> Matcher {
    Matcher { label: label.to_owned(), condition: Condition::IsNot(value.to_owned()) }
}

/// All labels that may name a namespace.
pub(super) fn home_labels() -> impl Iterator<Item = &'static str> {
    NAMESPACE.iter().chain(OTHER_ENDS).copied()
}

/// A selector for each label that may name `namespace`.
pub(super) fn anywhere(namespace: &str) -> Vec<String> {
    home_labels().map(|label| written(vec![is(label, namespace)])).collect()
}

/// The places of `namespace` where `present` are the labels that are in use there. A label counts
/// only where no better one is set, as in [`object::namespace`]: the exporter of all namespaces'
/// objects lives in one of them, and is not about it.
pub(super) fn homes(namespace: &str, present: &[String]) -> Vec<Place> {
    let used = |label: &&str| present.iter().any(|p| p == label);
    let place = |label: &'static str, matchers| Place {
        what: format!("series with {label}={namespace}"),
        matchers,
        is_clusters: false,
        pod_label: pod_label(label),
    };
    let own: Vec<&'static str> = NAMESPACE.iter().copied().filter(used).collect();
    let mut places: Vec<Place> = own
        .iter()
        .enumerate()
        .map(|(index, label)| {
            let better = own.get(..index).unwrap_or_default();
            let mut matchers = vec![is(label, namespace)];
            matchers.extend(better.iter().map(|better| is(better, "")));
            place(label, matchers)
        })
        .collect();
    for label in OTHER_ENDS.iter().copied().filter(used) {
        places.push(place(label, vec![is(label, namespace)]));
    }
    places
}

/// Series that belong to no namespace.
pub(super) fn cluster() -> Place {
    Place {
        what: "series of no namespace".to_owned(),
        // A selector that may match everything is refused; each series has a name.
        matchers: std::iter::once(is_not("__name__", ""))
            .chain(NAMESPACE.iter().map(|label| is(label, "")))
            .collect(),
        is_clusters: true,
        pod_label: "pod",
    }
}

/// Room on nodes, as told by pods of another namespace than `namespace`.
pub(super) fn nodes(namespace: &str) -> (Place, Vec<String>) {
    let place = Place {
        what: "file systems of nodes".to_owned(),
        matchers: vec![is_not("namespace", ""), is_not("namespace", namespace)],
        is_clusters: true,
        pod_label: "pod",
    };
    (place, OF_NODES.iter().map(|name| (*name).to_owned()).collect())
}

/// Series of all namespaces, for requests only.
pub(super) fn everywhere() -> Place {
    Place {
        what: "requests of all namespaces".to_owned(),
        matchers: Vec::new(),
        is_clusters: false,
        pod_label: "pod",
    }
}

/// The place of calls to `namespace` that `label` of callers elsewhere names.
pub(super) fn callers(namespace: &str, label: &str) -> Place {
    let condition = Condition::HostIn(namespace.to_owned());
    let calls = Matcher { label: label.to_owned(), condition };
    Place {
        what: format!("calls from other namespaces, by {label}"),
        matchers: vec![calls, is_not("namespace", namespace)],
        is_clusters: false,
        pod_label: "pod",
    }
}

/// A selector for each label that may name a host of `namespace` as the one called.
pub(super) fn called_anywhere(namespace: &str) -> Vec<(&'static str, String)> {
    PEER.iter().map(|label| (*label, written(callers(namespace, label).matchers))).collect()
}

/// The places of a service of another namespace, as `homes` name namespaces here.
pub(super) fn beyond(reached: &Beyond, homes: &[&'static str]) -> Vec<Place> {
    let mut places = Vec::new();
    for home in homes {
        let what = format!("series of {} in {}", reached.service, reached.namespace);
        for label in SERVICE.iter().copied().filter(|label| *label != "job") {
            let matchers = vec![is(home, &reached.namespace), is(label, &reached.service)];
            let what = what.clone();
            places.push(Place { what, matchers, is_clusters: false, pod_label: pod_label(home) });
        }
        if !reached.pods.is_empty() {
            let pods = Condition::OneOf(reached.pods.clone());
            let pods = Matcher { label: pod_label(home).to_owned(), condition: pods };
            let matchers = vec![is(home, &reached.namespace), pods];
            places.push(Place { what, matchers, is_clusters: false, pod_label: pod_label(home) });
        }
    }
    places
}

/// The label of [`NAMESPACE`] that names the namespace in a set of labels.
pub(super) fn home_of(labels: &[(String, String)], namespace: &str) -> Option<&'static str> {
    NAMESPACE
        .iter()
        .copied()
        .find(|home| labels.iter().any(|(label, value)| label == home && value == namespace))
}

fn written(matchers: Vec<Matcher>) -> String {
    promql::selector(&Selector { metric: String::new(), matchers })
}

// A pod is named by labels that `object` knows, or series of it would be nobody's.
const _: () = assert!(!object::POD.is_empty());

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn texts(places: &[Place]) -> Vec<String> {
        places.iter().map(|p| promql::selector(&p.all())).collect()
    }

    #[test]
    fn a_namespace_is_sought_under_each_label_and_never_twice() {
        let present = ["namespace", "exported_namespace", "pod", "source_namespace"];
        let present: Vec<String> = present.iter().map(|l| (*l).to_owned()).collect();
        assert_eq!(
            texts(&homes("x", &present)),
            [
                r#"{exported_namespace="x"}"#,
                r#"{namespace="x",exported_namespace=""}"#,
                r#"{source_namespace="x"}"#,
            ]
        );
        assert_eq!(homes("x", &present).first().unwrap().pod_label, "exported_pod");
    }

    #[test]
    fn hosts_of_a_namespace_are_told_from_others() {
        let condition = Condition::HostIn("shop".to_owned());
        for host in
            ["web.shop", "web.shop.svc", "http://web.shop.svc.cluster.local:80/x", "web.shop:80"]
        {
            assert!(condition.holds(host), "{host}");
        }
        for host in ["web", "web.shop.example.com", "shop", "web.workshop", "http://shop/web.shop"]
        {
            assert!(!condition.holds(host), "{host}");
        }
    }
}
