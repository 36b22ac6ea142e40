//! The names under which programs, meshes and ingresses count requests, as data: which metric,
//! which labels say who answers, who calls and how it went. What is not listed is recognised by
//! its shape. No judgement here.

pub(crate) mod shape;

use std::collections::BTreeSet;

use crate::store::Store;

/// From whose side a family counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The one who answers.
    Server,
    /// The one who calls.
    Client,
    /// Both ends are named, as a mesh does.
    Edge,
}

/// Requests as counted under certain names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// From whose side.
    pub side: Side,
    /// Counter of requests, with outcome; the `_count` of a histogram may serve.
    pub requests: String,
    /// Base name of the histogram or sum and count of durations, when there is one.
    pub durations: Option<String>,
    /// Labels of the request counter that are used.
    pub keys: Keys,
    /// The label and value that only the series of this side carry, where both sides are counted
    /// under one name.
    pub only: Option<(String, String)>,
}

/// Which label says what in one family. An empty name: no label says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Who answers; on the client side, who calls.
    pub subject: String,
    /// Its namespace.
    pub namespace: String,
    /// The other side.
    pub peer: String,
    /// The other side's namespace.
    pub peer_namespace: String,
    /// How it went.
    pub outcome: String,
}

/// Names of a family: side, request counters, base of durations.
struct Names {
    side: Side,
    requests: &'static str,
    durations: &'static str,
}

const fn names(side: Side, requests: &'static str, durations: &'static str) -> Names {
    Names { side, requests, durations }
}

/// A mesh counts each request at both ends, under one name.
const MESH: &str = "istio_requests_total";

/// Better sources first: of a service counted twice, the first family that knows it is taken.
const LISTED: &[Names] = &[
    names(Side::Server, "http_requests_total", "http_request_duration_seconds"),
    names(
        Side::Server,
        "http_server_request_duration_seconds_count",
        "http_server_request_duration_seconds",
    ),
    names(Side::Server, "http_request_duration_seconds_count", "http_request_duration_seconds"),
    names(Side::Server, "http_server_requests_total", "http_server_request_duration_seconds"),
    names(Side::Server, "http_server_requests_seconds_count", "http_server_requests_seconds"),
    names(
        Side::Server,
        "http_server_duration_milliseconds_count",
        "http_server_duration_milliseconds",
    ),
    names(Side::Server, "grpc_server_handled_total", "grpc_server_handling_seconds"),
    names(
        Side::Server,
        "rpc_server_duration_milliseconds_count",
        "rpc_server_duration_milliseconds",
    ),
    names(
        Side::Server,
        "nginx_ingress_controller_requests",
        "nginx_ingress_controller_request_duration_seconds",
    ),
    names(
        Side::Server,
        "traefik_service_requests_total",
        "traefik_service_request_duration_seconds",
    ),
    names(Side::Server, MESH, "istio_request_duration_milliseconds"),
    names(Side::Edge, MESH, "istio_request_duration_milliseconds"),
    names(Side::Edge, "hubble_http_requests_total", "hubble_http_request_duration_seconds"),
    names(Side::Client, "http_client_requests_total", "http_client_request_duration_seconds"),
    names(
        Side::Client,
        "http_client_request_duration_seconds_count",
        "http_client_request_duration_seconds",
    ),
    names(Side::Client, "http_client_requests_seconds_count", "http_client_requests_seconds"),
    names(
        Side::Client,
        "http_client_duration_milliseconds_count",
        "http_client_duration_milliseconds",
    ),
    names(Side::Client, "grpc_client_handled_total", "grpc_client_handling_seconds"),
    // Linkerd's proxies, both ways under one name.
    names(Side::Server, "response_total", "response_latency_ms"),
];

/// Labels that tell from which side a series of a common name counts, with the values of the side
/// that answers and of the one that calls.
const SIDES: &[(&str, &str, &str)] = &[
    ("direction", "inbound", "outbound"),
    ("direction", "in", "out"),
    ("span_kind", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT"),
    ("span_kind", "server", "client"),
    ("kind", "server", "client"),
    ("side", "server", "client"),
    ("reporter", "server", "client"),
];

/// How the names of request counters end when nobody listed them.
const ENDINGS: &[&str] = &[
    "_requests_total",
    "_requests",
    "_calls_total",
    "_request_count",
    "_responses_total",
    "_response_total",
    "_outbound_total",
    "_upstream_total",
    "_client_total",
    "_rpcs_total",
    "_rpc_total",
];
/// How the names of their durations end.
const DURATIONS: &[&str] = &[
    "_request_duration_seconds",
    "_request_latency_seconds",
    "_latency_seconds",
    "_duration_seconds",
    "_response_time_seconds",
    "_request_duration_milliseconds",
    "_duration_milliseconds",
    "_response_latency_ms",
    "_latency_ms",
];

/// Labels that name who a series is about, better ones first.
pub const SERVICE: &[&str] = &[
    "exported_service",
    "service",
    "service_name",
    "app_kubernetes_io_name",
    "app",
    "application",
    "destination_service_name",
    "destination_workload",
    "deployment",
    "statefulset",
    "daemonset",
    "job",
];
/// Labels that name its namespace.
pub const NAMESPACE: &[&str] = &[
    "exported_namespace",
    "service_namespace",
    "k8s_namespace_name",
    "destination_service_namespace",
    "destination_workload_namespace",
    "namespace",
    "kubernetes_namespace",
    "ns",
];
/// Labels that name the other side of a call.
pub(crate) const PEER: &[&str] = &[
    "peer",
    "peer_service",
    "server_address",
    "upstream",
    "target",
    "target_service",
    "destination",
    "dependency",
    "remote_service",
    "net_peer_name",
    "client_name",
    "clientName",
    "grpc_target",
    "rpc_target",
    "remote_host",
    "upstream_host",
    "upstream_name",
    "upstream_cluster",
    "callee",
    "to_service",
    "dst_service",
    "dst_deployment",
    "destination_service",
    "downstream",
    "downstream_service",
    "remote",
    "peer_address",
    "authority",
    "host",
];
/// Labels that say how a request went.
pub(crate) const OUTCOME: &[&str] = &[
    "http_response_status_code",
    "status_code",
    "response_code",
    "http_status_code",
    "grpc_code",
    "rpc_grpc_status_code",
    "code",
    "status",
    "http_status",
    "outcome",
    "result",
    "response_status",
    "result_code",
    "status_class",
    "classification",
];

impl Family {
    /// The end of each request that another family of the same counter counts, by its label
    /// `reporter`; `None` where each request is counted once.
    #[must_use]
    pub fn other_end(&self) -> Option<&'static str> {
        match self.side {
            Side::Edge => Some("destination"),
            Side::Server if self.requests == MESH => Some("source"),
            Side::Server | Side::Client => None,
        }
    }
}

/// The families that `store` has, listed ones first.
#[must_use]
pub fn found_in(store: &Store) -> Vec<Family> {
    let mut found: Vec<Family> = LISTED
        .iter()
        .filter(|names| store.has(names.requests))
        .filter(|n| n.side != Side::Server || n.requests != MESH || is_counted_inside(store))
        .flat_map(|n| sided(store, family(store, n.side, n.requests, n.durations)))
        .collect();
    found.extend(by_shape(store));
    found.retain(|family| !family.keys.subject.is_empty());
    found.retain(|family| family.side == Side::Server || !family.keys.peer.is_empty());
    found
}

/// Whether a mesh also counts where requests arrive: only there is seen what comes from outside it.
fn is_counted_inside(store: &Store) -> bool {
    store.named(MESH).any(|series| series.labels.get("reporter") == "destination")
}

/// Counters whose names end as those of requests do and whose labels say who and how it went.
fn by_shape(store: &Store) -> Vec<Family> {
    let listed: BTreeSet<&str> = LISTED.iter().map(|n| n.requests).collect();
    let mut found = Vec::new();
    for name in store.names() {
        let base = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
        let Some(base) = base else { continue };
        if listed.contains(&*name) || !store.is_counter(&name) && !name.ends_with("_requests") {
            continue;
        }
        let spoken = |words: &[&str]| words.iter().any(|w| name.contains(w));
        let mut durations = DURATIONS.iter().map(|ending| format!("{base}{ending}"));
        let durations = durations.find(|base| has_durations(store, base));
        let mut family = family(store, Side::Server, &name, durations.as_deref().unwrap_or(""));
        if family.keys.outcome.is_empty() {
            continue;
        }
        let split = sided(store, family.clone());
        if split.iter().any(|side| side.only.is_some()) {
            found.extend(split);
            continue;
        }
        let peer = label_of(store, &name, PEER);
        if !peer.is_empty() && (spoken(&["client", "outbound", "upstream"]) || peer != "host") {
            family.side = Side::Client;
            family.keys.peer = peer;
        }
        found.push(family);
    }
    found
}

fn family(store: &Store, side: Side, requests: &str, durations: &str) -> Family {
    let label = |names: &[&str]| label_of(store, requests, names);
    let mut keys = Keys {
        subject: label(SERVICE),
        namespace: label(NAMESPACE),
        outcome: label(OUTCOME),
        ..Keys::default()
    };
    match side {
        Side::Server if requests == MESH => {
            keys.subject = label(&["destination_service_name", "destination_workload"]);
            keys.namespace =
                label(&["destination_service_namespace", "destination_workload_namespace"]);
        }
        Side::Server => {}
        Side::Client => keys.peer = label(PEER),
        Side::Edge => {
            keys.subject = label(&["source_canonical_service", "source_app", "source_workload"]);
            keys.namespace = label(&["source_workload_namespace", "source_namespace"]);
            keys.peer = label(&["destination_service_name", "destination_workload"]);
            keys.peer_namespace = label(&[
                "destination_service_namespace",
                "destination_workload_namespace",
                "destination_namespace",
            ]);
        }
    }
    let durations = Some(durations.to_owned()).filter(|base| has_durations(store, base));
    Family { side, requests: requests.to_owned(), durations, keys, only: None }
}

/// One family for each side that is counted under the name, where a label tells them apart.
fn sided(store: &Store, family: Family) -> Vec<Family> {
    let carries = |label: &str, value: &str| {
        store.named(&family.requests).any(|series| series.labels.get(label) == value)
    };
    let told = SIDES.iter().find(|(label, server, client)| {
        family.side != Side::Edge && (carries(label, server) || carries(label, client))
    });
    let Some((label, server, client)) = told else { return vec![family] };
    let only = |value: &str| Some(((*label).to_owned(), value.to_owned()));
    let mut calls = Family { side: Side::Client, only: only(client), ..family.clone() };
    calls.keys.peer = label_of(store, &family.requests, PEER);
    vec![Family { side: Side::Server, only: only(server), ..family }, calls]
}

fn has_durations(store: &Store, base: &str) -> bool {
    !base.is_empty() && (store.has(&format!("{base}_bucket")) || store.has(&format!("{base}_sum")))
}

/// The first of `names` that any series of the metric carries.
fn label_of(store: &Store, metric: &str, names: &[&str]) -> String {
    let carried = |name: &&&str| store.named(metric).any(|s| !s.labels.get(name).is_empty());
    names.iter().find(carried).map(|name| (*name).to_owned()).unwrap_or_default()
}

/// How a request went, by the value of its outcome label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Fine,
    /// Refused for the caller's own fault.
    CallersFault,
    /// The one who answers failed.
    Failed,
}

/// Reads the value of an outcome label: an HTTP status or its class, a gRPC code by name or
/// number's name, or a word.
#[must_use]
pub fn outcome(value: &str) -> Outcome {
    match value {
        "0" | "Unknown" | "DeadlineExceeded" | "ResourceExhausted" | "Unimplemented"
        | "Internal" | "Unavailable" | "DataLoss" => return Outcome::Failed,
        "Canceled" | "InvalidArgument" | "NotFound" | "AlreadyExists" | "PermissionDenied"
        | "Unauthenticated" | "FailedPrecondition" | "Aborted" | "OutOfRange" => {
            return Outcome::CallersFault;
        }
        _ => {}
    }
    let lower = value.to_ascii_lowercase();
    match lower.as_bytes() {
        [b'5', _, _] => Outcome::Failed,
        [b'4', _, _] => Outcome::CallersFault,
        _ => match lower.as_str() {
            "error" | "errors" | "failure" | "failed" | "fail" | "server_error" | "timeout"
            | "exception" | "unavailable" | "connection_error" | "io_error" => Outcome::Failed,
            "client_error" => Outcome::CallersFault,
            _ => Outcome::Fine,
        },
    }
}

/// Seconds per unit of a duration metric, by its name.
#[must_use]
pub fn seconds_per_unit(durations: &str) -> f64 {
    if durations.contains("milliseconds") || durations.ends_with("_ms") { 0.001 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use crate::store::{Limits, read};

    fn found(text: &str) -> Vec<Family> {
        found_in(&read(text.as_bytes(), i64::MAX, Limits::default()).unwrap())
    }

    #[test]
    fn labels_are_found_under_their_several_names() {
        let table = [
            (
                "http_requests_total{service=\"a\",namespace=\"n\",code=\"200\"} 1 1\n",
                "service",
                "namespace",
                "",
                "code",
            ),
            (
                "http_server_request_duration_seconds_count{service_name=\"a\",service_namespace=\"n\",http_response_status_code=\"200\"} 1 1\n",
                "service_name",
                "service_namespace",
                "",
                "http_response_status_code",
            ),
            (
                "http_client_requests_total{service=\"a\",namespace=\"n\",peer=\"b\",status=\"200\"} 1 1\n",
                "service",
                "namespace",
                "peer",
                "status",
            ),
            (
                "istio_requests_total{source_workload=\"a\",source_workload_namespace=\"n\",destination_service_name=\"b\",response_code=\"200\"} 1 1\n",
                "source_workload",
                "source_workload_namespace",
                "destination_service_name",
                "response_code",
            ),
            (
                "grpc_server_handled_total{app=\"a\",namespace=\"n\",grpc_code=\"OK\"} 1 1\n",
                "app",
                "namespace",
                "",
                "grpc_code",
            ),
            (
                "acme_api_requests_total{service=\"a\",namespace=\"n\",result=\"ok\"} 1 1\n",
                "service",
                "namespace",
                "",
                "result",
            ),
        ];
        for (text, subject, namespace, peer, outcome) in table {
            let found = found(text);
            assert_eq!(found.len(), 1, "{text}");
            let keys = &found[0].keys;
            assert_eq!(
                (&*keys.subject, &*keys.namespace, &*keys.peer, &*keys.outcome),
                (subject, namespace, peer, outcome),
                "{text}"
            );
        }
    }

    #[test]
    fn both_sides_under_one_name_are_told_apart_by_their_label() {
        let linkerd = "response_total{deployment=\"a\",namespace=\"n\",direction=\"inbound\",status_code=\"200\"} 1 1\n\
             response_total{deployment=\"a\",namespace=\"n\",direction=\"outbound\",dst_service=\"b\",status_code=\"502\"} 1 1\n";
        let spans = "spans_calls_total{service_name=\"a\",span_kind=\"SPAN_KIND_CLIENT\",peer_service=\"b\",status_code=\"200\"} 1 1\n";
        for (text, label, value) in
            [(linkerd, "direction", "outbound"), (spans, "span_kind", "SPAN_KIND_CLIENT")]
        {
            let found = found(text);
            assert_eq!(
                found.iter().map(|f| f.side).collect::<Vec<_>>(),
                [Side::Server, Side::Client]
            );
            assert_eq!(found[0].keys.peer, "");
            assert_ne!(found[1].keys.peer, "");
            assert_eq!(found[1].only, Some((label.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn calls_under_a_name_of_ones_own_are_known_by_whom_they_name() {
        let text =
            "svc_outbound_total{app=\"a\",ns=\"n\",target=\"orders-db\",outcome=\"error\"} 1 1\n";
        let found = found(text);
        assert_eq!((found[0].side, found[0].keys.peer.as_str()), (Side::Client, "target"));
        assert_eq!(found[0].keys.namespace, "ns");
    }

    #[test]
    fn a_mesh_that_counts_at_both_ends_tells_of_calls_and_of_what_arrives() {
        let line = |reporter: &str| {
            format!(
                "istio_requests_total{{source_workload=\"a\",destination_service_name=\"b\",destination_service_namespace=\"n\",response_code=\"200\",app=\"c\",reporter=\"{reporter}\"}} 1 1\n"
            )
        };
        let told = found(&format!("{}{}", line("source"), line("destination")));
        let seen: Vec<_> =
            told.iter().map(|f| (f.side, f.keys.subject.as_str(), f.other_end())).collect();
        assert_eq!(
            seen,
            [
                (Side::Server, "destination_service_name", Some("source")),
                (Side::Edge, "source_workload", Some("destination")),
            ]
        );
        assert_eq!(found(&line("source")).len(), 1);
    }

    #[test]
    fn a_counter_without_outcome_is_no_family_by_shape() {
        assert_eq!(found("acme_requests_total{service=\"a\",version=\"1\"} 1 1\n"), Vec::new());
    }

    #[test]
    fn outcomes_are_read_in_every_form() {
        let table = [
            ("200", Outcome::Fine),
            ("301", Outcome::Fine),
            ("404", Outcome::CallersFault),
            ("4xx", Outcome::CallersFault),
            ("503", Outcome::Failed),
            ("5XX", Outcome::Failed),
            ("0", Outcome::Failed),
            ("OK", Outcome::Fine),
            ("NotFound", Outcome::CallersFault),
            ("Unavailable", Outcome::Failed),
            ("SERVER_ERROR", Outcome::Failed),
            ("success", Outcome::Fine),
            ("", Outcome::Fine),
        ];
        for (value, expected) in table {
            assert_eq!(outcome(value), expected, "{value}");
        }
    }
}
