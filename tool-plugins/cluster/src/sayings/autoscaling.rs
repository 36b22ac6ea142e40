//! What the autoscaler's controller says when it cannot scale.

use super::between;

/// Why an autoscaler cannot do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalingFailure {
    /// `target_missing`, `requests_missing`, `container_missing`, `metrics_api` (nobody serves the
    /// metrics), `metric_missing` (the metric is not there), `no_samples` (pods too young or
    /// silent), `two_autoscalers` or `other`.
    pub why: &'static str,
    /// The metric that lacks; empty when not told.
    pub metric: String,
    /// The container that lacks the request; empty when not told.
    pub container: String,
}

/// Reads the sentence of a condition or event of an autoscaler, with the reason in front.
#[must_use]
pub fn scaling_failure(reason: &str, message: &str) -> ScalingFailure {
    let said = message.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|w| said.contains(w));
    let why = if says(&["controlled by multiple hpas"]) || reason == "AmbiguousSelector" {
        "two_autoscalers"
    } else if reason == "FailedGetScale"
        || says(&["unable to get the target's current scale", "no matches for kind"])
    {
        "target_missing"
    } else if says(&["missing request for"]) {
        "requests_missing"
    } else if says(&["not present in metrics for pod", "container not found"]) {
        "container_missing"
    } else if says(&[
        "could not find the requested resource",
        "unable to handle the request",
        "no custom metrics api",
        "no external metrics api",
        "unable to fetch metrics from resource metrics api",
        "connection refused",
        "no endpoints available",
        "unable to create external metrics api client",
    ]) {
        "metrics_api"
    } else if says(&["did not receive metrics for", "no recommendation", "not yet ready"]) {
        "no_samples"
    } else if says(&[
        "no metrics returned from custom",
        "no metrics returned from external",
        "could not find the metric",
        "unable to get metric ",
        "unable to get external metric",
        "unable to fetch metrics from custom",
        "unable to fetch metrics from external",
        "metric not found",
    ]) {
        "metric_missing"
    } else if says(&["no metrics returned from resource metrics api"]) {
        "no_samples"
    } else {
        "other"
    };
    ScalingFailure { why, metric: metric(message), container: container(message) }
}

fn metric(message: &str) -> String {
    for (before, after) in [
        ("unable to get external metric ", ":"),
        ("could not find the metric ", " for"),
        ("unable to get metric ", ":"),
        ("failed to get pods metric value: unable to get metric ", ":"),
        ("missing request for ", " in"),
        ("missing request for ", " "),
        ("failed to get ", " utilization"),
        ("failed to get ", " resource metric"),
    ] {
        if let Some(found) = between(message, before, after) {
            // An external metric is told as namespace/name/selector.
            let mut parts = found.split('/');
            let name = parts.nth(1).unwrap_or(found);
            return name.trim_matches('"').to_owned();
        }
    }
    String::new()
}

fn container(message: &str) -> String {
    between(message, "in container ", " of")
        .or_else(|| between(message, "container ", " not present"))
        .unwrap_or_default()
        .trim_matches('"')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_an_autoscaler_cannot_scale_is_told_apart() {
        for (reason, said, why, metric) in [
            (
                "FailedGetResourceMetric",
                "the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container app of Pod web-7d-x",
                "requests_missing",
                "cpu",
            ),
            (
                "FailedGetResourceMetric",
                "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
                "metrics_api",
                "cpu",
            ),
            (
                "FailedGetResourceMetric",
                "failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API",
                "no_samples",
                "cpu",
            ),
            (
                "FailedGetResourceMetric",
                "failed to get cpu utilization: did not receive metrics for targeted pods (pods might be unready)",
                "no_samples",
                "cpu",
            ),
            (
                "FailedGetPodsMetric",
                "the HPA was unable to compute the replica count: unable to get metric http_requests_per_second: no metrics returned from custom metrics API",
                "metric_missing",
                "http_requests_per_second",
            ),
            (
                "FailedGetPodsMetric",
                "unable to get metric rps: unable to fetch metrics from custom metrics API: the server could not find the metric rps for pods",
                "metric_missing",
                "rps",
            ),
            (
                "FailedGetExternalMetric",
                "the HPA was unable to compute the replica count: unable to get external metric shop/queue_depth/&LabelSelector{MatchLabels:map[string]string{queue: a,},}: no metrics returned from external metrics API",
                "metric_missing",
                "queue_depth",
            ),
            (
                "FailedGetScale",
                "the HPA controller was unable to get the target's current scale: deployments.apps \"web\" not found",
                "target_missing",
                "",
            ),
            (
                "AmbiguousSelector",
                "pods by selector app=web are controlled by multiple HPAs: [shop/a shop/b]",
                "two_autoscalers",
                "",
            ),
        ] {
            let read = scaling_failure(reason, said);
            assert_eq!((read.why, read.metric.as_str()), (why, metric), "{said}");
        }
    }

    #[test]
    fn the_container_without_a_request_is_named() {
        let read = scaling_failure("", "missing request for cpu in container app of Pod web-1");
        assert_eq!(read.container, "app");
    }
}
