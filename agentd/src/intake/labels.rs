//! From the labels of a monitoring system to an [`Alert`]. Which label tells what is data, in the
//! tables below; what no label tells stays empty, and the words of the alert must do. Pure.

use std::collections::BTreeMap;

use crate::{alert::Alert, investigation::finding::Severity};

/// A label that names the object an alert is about.
struct Names {
    label: &'static str,
    /// The value is a pod's name, and what owns the pod is meant.
    pod: bool,
    /// The value may be the exporter's own, where one speaks for others.
    of_exporter: bool,
    #[expect(dead_code, reason = "for the reader of this table")]
    why: &'static str,
}

const fn names(label: &'static str, why: &'static str) -> Names {
    Names { label, pod: false, of_exporter: false, why }
}

/// In the order they are believed: workloads are the most exact, then what stands for one.
const OBJECTS: [Names; 16] = [
    names("deployment", "a workload of kube-state-metrics"),
    names("statefulset", "a workload of kube-state-metrics"),
    names("daemonset", "a workload of kube-state-metrics"),
    names("cronjob", "what makes the jobs, so all of its jobs are one"),
    names("job_name", "a Job of kube-state-metrics; `job` is the scrape job and no object"),
    names("horizontalpodautoscaler", "what scales and cannot"),
    names("persistentvolumeclaim", "what is full or does not bind"),
    names("exported_service", "the object's own label where the exporter has one of that name"),
    Names {
        of_exporter: true,
        ..names("service", "the Service in front; an exporter's own if scraped")
    },
    names("destination_workload", "a mesh's word for who was called"),
    names("app_kubernetes_io_name", "what the workload calls itself"),
    names("app", "what the workload calls itself"),
    Names { pod: true, ..names("exported_pod", "the object's own label beside the exporter's") },
    Names { pod: true, of_exporter: false, ..names("pod", "one of the workload's pods") },
    names("node", "a machine, for alerts about machines"),
    names("service_name", "OpenTelemetry's word for a service"),
];
/// Labels that name the namespace; an exporter that speaks for others renames the object's own.
const NAMESPACES: [&str; 4] =
    ["exported_namespace", "namespace", "kubernetes_namespace", "destination_workload_namespace"];
/// Scrape jobs that speak for others: their `service` label is their own.
const EXPORTERS: [&str; 6] =
    ["kube-state-metrics", "kubelet", "cadvisor", "node-exporter", "apiserver", "blackbox"];
/// Labels with a word of severity.
const SEVERITIES: [&str; 2] = ["severity", "priority"];
/// Annotations that tell what is wrong, in the order they are put together.
const WORDS: [&str; 3] = ["summary", "description", "message"];
/// Letters that Kubernetes makes up names from.
const DRAWN: &str = "bcdfghjklmnpqrstvwxz2456789";

/// An alert with what its labels and annotations tell.
pub(super) fn alert(
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
) -> Alert {
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|name| labels.get(*name).filter(|v| !v.is_empty()));
        found.cloned().unwrap_or_default()
    };
    let mut words: Vec<&str> = Vec::new();
    for told in WORDS.iter().filter_map(|name| annotations.get(*name)) {
        if !told.is_empty() && !words.contains(&told.as_str()) {
            words.push(told);
        }
    }
    Alert {
        kind: first(&["alertname"]),
        service: object(&labels),
        namespace: first(&NAMESPACES),
        cluster: first(&["cluster"]),
        environment: first(&["environment", "env"]),
        severity: SEVERITIES.iter().find_map(|name| Severity::from_word(labels.get(*name)?)),
        description: words.join("\n"),
        start: None,
        fingerprint: String::new(),
        source: String::new(),
        labels,
        annotations,
    }
}

fn object(labels: &BTreeMap<String, String>) -> String {
    let job = labels.get("job").map(String::as_str).unwrap_or_default();
    let exporter = EXPORTERS.iter().any(|name| job.contains(name));
    for names in &OBJECTS {
        let Some(value) = labels.get(names.label).filter(|value| !value.is_empty()) else {
            continue;
        };
        if exporter && names.of_exporter {
            continue;
        }
        return if names.pod { owner(value) } else { value.clone() };
    }
    String::new()
}

/// The workload that a pod's name was made from: `cart-7d9f8b6c5-x2x4z` and `cart-0` are of `cart`.
fn owner(pod: &str) -> String {
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod.to_owned() };
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return rest.to_owned();
    }
    if last.len() != 5 || !drawn(last) {
        return pod.to_owned();
    }
    match rest.rsplit_once('-') {
        Some((workload, hash)) if (8..=10).contains(&hash.len()) && drawn(hash) => {
            workload.to_owned()
        }
        Some(_) | None => rest.to_owned(),
    }
}

fn drawn(part: &str) -> bool {
    part.chars().all(|letter| DRAWN.contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn the_object_is_the_most_exact_that_the_labels_tell() {
        for (labels, object) in [
            (&[("deployment", "cart"), ("pod", "other-0")][..], "cart"),
            (&[("service", "cart"), ("pod", "cart-7d9f8b6c5-x2x4z")], "cart"),
            // An exporter's own Service says nothing of the object.
            (
                &[
                    ("service", "ksm"),
                    ("job", "kube-state-metrics"),
                    ("pod", "cart-7d9f8b6c5-x2x4z"),
                ],
                "cart",
            ),
            (&[("pod", "db-0")], "db"),
            (&[("pod", "agent-x2x4z")], "agent"),
            (&[("pod", "hand-made")], "hand-made"),
            (&[("pod", "cart-worker-zebra")], "cart-worker-zebra"),
            (&[("job", "cart-scrape"), ("instance", "10.0.0.1:80")], ""),
            (&[("job_name", "nightly-28391040"), ("cronjob", "nightly")], "nightly"),
            (&[("node", "worker-3")], "worker-3"),
        ] {
            assert_eq!(alert(pairs(labels), BTreeMap::new()).service, object, "{labels:?}");
        }
    }

    #[test]
    fn severity_namespace_and_words_are_read_where_they_are_told() {
        let labels = pairs(&[
            ("alertname", "Slow"),
            ("severity", "high"),
            ("namespace", "monitoring"),
            ("exported_namespace", "shop"),
            ("env", "prod"),
        ]);
        let words =
            pairs(&[("description", "p99 is 4 s"), ("summary", "slow"), ("runbook_url", "x")]);
        let alert = alert(labels, words);
        assert_eq!((alert.kind.as_str(), alert.namespace.as_str()), ("Slow", "shop"));
        assert_eq!(alert.severity, Some(Severity::P2));
        assert_eq!(alert.description, "slow\np99 is 4 s");
        assert_eq!(alert.environment, "prod");
    }
}
