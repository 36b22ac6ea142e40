//! Calls to databases, caches and brokers as their clients measure them: not with the names of
//! HTTP, and not in every house.

use super::{Out, Scheme};
use crate::incidents::{series::Type, traffic::Course};

/// Writes the calls of one workload (name, namespace) to one store.
pub(super) fn write(
    scheme: Scheme,
    [service, namespace, store, kind]: [&str; 4],
    course: &Course,
    (metrics, chance): Out<'_>,
) {
    let start = chance.range(5_000.0, 90_000.0);
    let both = course.rate.iter().zip(&course.errors);
    let good: Vec<f64> = both.clone().map(|(rate, errors)| rate * (1.0 - errors)).collect();
    let bad: Vec<f64> = both.map(|(rate, errors)| rate * errors.max(0.0002)).collect();
    let both = course.rate.iter().zip(&course.latency);
    let sums: Vec<f64> = both.map(|(rate, latency)| rate * latency / 1000.0).collect();
    let (family, base) = match scheme {
        Scheme::Otel => (
            "db_client_operation_duration_seconds",
            vec![
                ("service_name", service),
                ("service_namespace", namespace),
                ("db_system_name", kind),
                ("server_address", store),
            ],
        ),
        Scheme::Plain | Scheme::House => {
            let base = vec![("namespace", namespace), ("service", service), ("db", store)];
            for (status, rates, part) in [("ok", &good, 1.0), ("error", &bad, 0.0005)] {
                let mut pairs = base.clone();
                pairs.push(("status", status));
                metrics.counter("db_queries", &pairs, start * part, rates);
            }
            ("db_query_duration_seconds", base)
        }
        Scheme::Istio => {
            // A mesh knows connections only.
            let base = [
                ("source_workload", service),
                ("source_workload_namespace", namespace),
                ("destination_service_name", store),
                ("reporter", "source"),
            ];
            let rates: Vec<f64> = course.rate.iter().map(|rate| rate * 0.01).collect();
            metrics.counter("istio_tcp_connections_opened", &base, start * 0.01, &rates);
            return;
        }
        Scheme::Micrometer | Scheme::Grpc => return,
    };
    metrics.growing(
        (family, Type::Histogram, &format!("{family}_sum")),
        &base,
        start * 0.01,
        &sums,
    );
    let name = format!("{family}_count");
    metrics.growing((family, Type::Histogram, &name), &base, start, &course.rate);
}
