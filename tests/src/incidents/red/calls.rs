//! Calls as the callers measure them.

use super::{Out, Scheme};
use crate::incidents::{series::Type, traffic::Course};

struct Naming {
    /// Family of the requests.
    requests: &'static str,
    /// Whether requests are a counter of their own, not the count of the durations.
    total: bool,
    /// Family of the durations, where there is one.
    duration: Option<&'static str>,
    /// Labels: caller, its namespace, callee, status.
    labels: [&'static str; 4],
}

fn naming(scheme: Scheme) -> Naming {
    let (requests, total, duration, labels) = match scheme {
        Scheme::Istio => (
            "istio_requests",
            true,
            None,
            [
                "source_workload",
                "source_workload_namespace",
                "destination_service_name",
                "response_code",
            ],
        ),
        Scheme::Otel => {
            let family = "http_client_request_duration_seconds";
            (
                family,
                false,
                Some(family),
                [
                    "service_name",
                    "service_namespace",
                    "server_address",
                    "http_response_status_code",
                ],
            )
        }
        Scheme::Micrometer => {
            let family = "http_client_requests_seconds";
            (family, false, Some(family), ["application", "namespace", "client_name", "status"])
        }
        Scheme::Grpc => (
            "grpc_client_handled",
            true,
            None,
            ["service", "namespace", "grpc_target", "grpc_code"],
        ),
        Scheme::Plain | Scheme::House => (
            "http_client_requests",
            true,
            Some("http_client_request_duration_seconds"),
            ["service", "namespace", "peer", "code"],
        ),
    };
    Naming { requests, total, duration, labels }
}

/// Writes the calls of one workload to one peer: caller, its namespace, the peer and its namespace.
pub(super) fn write(
    scheme: Scheme,
    [service, namespace, peer, space]: [&str; 4],
    (course, code): (&Course, u16),
    (metrics, chance): Out<'_>,
) {
    let naming = naming(scheme);
    let [who, whose, whom, status] = naming.labels;
    let base = [(who, service), (whose, namespace), (whom, peer)];
    let start = chance.range(5_000.0, 90_000.0);
    let both = course.rate.iter().zip(&course.errors);
    let good: Vec<f64> = both.clone().map(|(rate, errors)| rate * (1.0 - errors)).collect();
    let bad: Vec<f64> = both.map(|(rate, errors)| rate * errors.max(0.0005)).collect();
    for (failed, rates, part) in [(None, &good, 1.0), (Some(code), &bad, 0.001)] {
        let code = scheme.code(failed);
        let mut pairs = base.to_vec();
        pairs.push((status, &code));
        if scheme == Scheme::Istio {
            pairs.extend([("destination_service_namespace", space), ("reporter", "source")]);
        }
        if naming.total {
            metrics.counter(naming.requests, &pairs, start * part, rates);
        } else {
            let name = format!("{}_count", naming.requests);
            metrics.growing((naming.requests, Type::Histogram, &name), &pairs, start * part, rates);
        }
    }
    let Some(family) = naming.duration else { return };
    let both = course.rate.iter().zip(&course.latency);
    let sum: Vec<f64> = both.map(|(rate, latency)| rate * latency / 1000.0).collect();
    metrics.growing((family, Type::Histogram, &format!("{family}_sum")), &base, start * 0.03, &sum);
    if naming.total {
        let name = format!("{family}_count");
        metrics.growing((family, Type::Histogram, &name), &base, start, &course.rate);
    }
}
