//! What a metric's name alone tells of requests: enough to choose what to read of a server.

use super::{DURATIONS, ENDINGS, LISTED, SIDES};

/// Labels of meshes and proxies that name both ends of a request.
pub(crate) const ENDS: &[&str] = &[
    "source_canonical_service",
    "source_app",
    "source_workload",
    "source_workload_namespace",
    "source_namespace",
    "destination_namespace",
];

/// Labels that tell the sides apart which are counted under one name.
pub(crate) fn sides() -> impl Iterator<Item = &'static str> {
    SIDES.iter().map(|(label, _, _)| *label)
}

/// Whether a metric counts requests, or is the sum, count or buckets of their durations.
pub(crate) fn is_of_requests(name: &str) -> bool {
    let listed = |n: &super::Names| n.requests == name;
    LISTED.iter().any(listed)
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
        || ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .any(is_of_durations)
}

/// Whether a base name is one of durations of requests.
fn is_of_durations(base: &str) -> bool {
    LISTED.iter().any(|n| n.durations == base)
        || DURATIONS.iter().any(|ending| base.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::is_of_requests;

    #[test]
    fn names_of_requests_are_known_by_list_and_by_form() {
        for name in [
            "http_requests_total",
            "nginx_ingress_controller_requests",
            "grpc_server_handling_seconds_bucket",
            "acme_api_request_duration_seconds_sum",
            "svc_outbound_total",
        ] {
            assert!(is_of_requests(name), "{name}");
        }
        for name in ["redis_up", "jvm_gc_pause_seconds_bucket", "queue_messages_ready"] {
            assert!(!is_of_requests(name), "{name}");
        }
    }
}
