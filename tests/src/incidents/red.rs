//! Requests, errors and durations, as the usual libraries name them.

mod calls;
mod stores;

use super::{
    cluster::Cluster,
    dice::Dice,
    series::{Metrics, Type, along},
    traffic::{Course, Peer, Played, Why, steps},
};

/// How requests are measured in this cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// `http_requests_total{code}` and `http_request_duration_seconds`.
    #[default]
    Plain,
    /// OpenTelemetry: `http_server_request_duration_seconds`.
    Otel,
    /// Micrometer: `http_server_requests_seconds`.
    Micrometer,
    /// A mesh: `istio_requests_total` from both sides.
    Istio,
    /// `grpc_server_handled_total`.
    Grpc,
    /// Names of the house: `app_requests_total{status}`.
    House,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Plain, Self::Otel, Self::Micrometer, Self::Istio, Self::Grpc, Self::House];

    fn names(self) -> Naming {
        let (requests, total, code, duration, service, namespace) = match self {
            Self::Plain => (
                "http_requests",
                true,
                "code",
                "http_request_duration_seconds",
                "service",
                "namespace",
            ),
            Self::Otel => (
                "http_server_request_duration_seconds",
                false,
                "http_response_status_code",
                "http_server_request_duration_seconds",
                "service_name",
                "service_namespace",
            ),
            Self::Micrometer => (
                "http_server_requests_seconds",
                false,
                "status",
                "http_server_requests_seconds",
                "application",
                "namespace",
            ),
            Self::Istio => (
                "istio_requests",
                true,
                "response_code",
                "istio_request_duration_milliseconds",
                "destination_service_name",
                "destination_service_namespace",
            ),
            Self::Grpc => (
                "grpc_server_handled",
                true,
                "grpc_code",
                "grpc_server_handling_seconds",
                "service",
                "namespace",
            ),
            Self::House => {
                ("app_requests", true, "status", "app_request_duration_seconds", "app", "namespace")
            }
        };
        Naming { requests, total, code, duration, service, namespace }
    }

    fn code(self, failed: Option<u16>) -> String {
        match (self, failed) {
            (Self::Grpc, None) => "OK".to_owned(),
            (Self::Grpc, Some(503)) => "Unavailable".to_owned(),
            (Self::Grpc, Some(504)) => "DeadlineExceeded".to_owned(),
            (Self::Grpc, Some(_)) => "Internal".to_owned(),
            (_, None) => "200".to_owned(),
            (_, Some(code)) => code.to_string(),
        }
    }
}

struct Naming {
    requests: &'static str,
    /// Whether requests are a counter of their own, not the count of the durations.
    total: bool,
    code: &'static str,
    duration: &'static str,
    service: &'static str,
    namespace: &'static str,
}

const BOUNDS: [(&str, f64); 8] = [
    ("0.025", 25.0),
    ("0.1", 100.0),
    ("0.25", 250.0),
    ("0.5", 500.0),
    ("1.0", 1000.0),
    ("2.5", 2500.0),
    ("5.0", 5000.0),
    ("+Inf", f64::INFINITY),
];
const BOUNDS_MS: [(&str, f64); 8] = [
    ("25", 25.0),
    ("100", 100.0),
    ("250", 250.0),
    ("500", 500.0),
    ("1000", 1000.0),
    ("2500", 2500.0),
    ("5000", 5000.0),
    ("+Inf", f64::INFINITY),
];

/// Writes the requests of all measured stations, and the calls between them.
pub fn write(cluster: &Cluster, played: &Played, metrics: &mut Metrics, chance: &mut Dice) {
    let scheme = cluster.habits.scheme;
    for (station, course) in cluster.traffic.stations.iter().zip(&played.stations) {
        let workload = &cluster[station.id];
        if workload.instrumented {
            // Who is not there measures nothing.
            let up: Vec<f64> =
                steps().map(|at| if workload.ready(at) > 0 { 1.0 } else { f64::NAN }).collect();
            let failure = failure_code(cluster, station.id);
            let strays = cluster.traffic.strays.iter().find(|(id, _)| *id == station.id);
            let strays = strays.map_or_else(Vec::new, |(_, points)| along(points));
            served(
                scheme,
                (workload.called(), &workload.namespace),
                (course, &up, failure, &strays),
                (metrics, chance),
            );
        }
    }
    for (call, course) in cluster.traffic.calls.iter().zip(&played.calls) {
        let caller = &cluster[call.from];
        if !caller.instrumented || !(cluster.habits.clients || scheme == Scheme::Istio) {
            continue;
        }
        let (peer, space) = match call.to {
            Peer::In(id) => (cluster[id].called().to_owned(), cluster[id].namespace.clone()),
            Peer::Out(at) => (
                cluster.traffic.outside.get(at).map(|o| o.host.clone()).unwrap_or_default(),
                String::new(),
            ),
        };
        if let Peer::In(store) = call.to
            && cluster[store].runtime == super::voice::Runtime::Store
        {
            let kind = cluster[store].voice.system();
            let parties = [caller.called(), &caller.namespace, &peer, kind];
            stores::write(scheme, parties, course, (metrics, chance));
            continue;
        }
        let code = call_code(cluster, call, course);
        let parties = [caller.called(), &caller.namespace, &peer, &space];
        calls::write(scheme, parties, (course, code), (metrics, chance));
    }
}

/// The status with which a station answers its own failures.
fn failure_code(cluster: &Cluster, id: super::traffic::Id) -> u16 {
    let station = cluster.traffic.stations.iter().find(|station| station.id == id);
    let own = station
        .and_then(|s| s.harms.iter().rev().find(|harm| harm.errors > 0.0))
        .map(|harm| &harm.why);
    match own {
        Some(Why::Status(code)) => *code,
        _ if station.is_some_and(|s| s.capacity > 0.0) => 503,
        _ if id.0.is_multiple_of(2) => 502,
        _ => 500,
    }
}

fn call_code(cluster: &Cluster, call: &super::traffic::Call, course: &Course) -> u16 {
    let worst = steps().zip(&course.errors).filter(|(_, e)| **e > 0.02).map(|(at, _)| at).last();
    match worst.map(|at| cluster.traffic.why(call, at, &cluster.workloads)) {
        Some(Why::Status(code)) => code,
        Some(Why::Timeout) => 504,
        _ => 503,
    }
}

type Out<'a> = (&'a mut Metrics, &'a mut Dice);

fn served(
    scheme: Scheme,
    (service, namespace): (&str, &str),
    (course, up, failure, strays): (&Course, &[f64], u16, &[f64]),
    (metrics, chance): Out<'_>,
) {
    let naming = scheme.names();
    let base = [(naming.namespace, namespace), (naming.service, service)];
    let start = chance.range(20_000.0, 400_000.0);
    let rates = |share: &dyn Fn(f64) -> f64| -> Vec<f64> {
        course
            .rate
            .iter()
            .zip(&course.errors)
            .zip(up)
            .map(|((rate, error), up)| rate * share(*error) * up)
            .collect()
    };
    let (ok, bad, odd) = (
        scheme.code(None),
        scheme.code(Some(failure)),
        if scheme == Scheme::Grpc { "NotFound" } else { "404" },
    );
    for (code, values, part) in [
        (ok.as_str(), rates(&|e| (1.0 - e) * 0.985), 1.0),
        (odd, rates(&|e| (1.0 - e) * 0.015), 0.015),
        (bad.as_str(), rates(&|e| e.max(0.0008)), 0.001),
    ] {
        let mut pairs = base.to_vec();
        pairs.push((naming.code, code));
        let mut values = values;
        if code == odd {
            values.iter_mut().zip(strays).for_each(|(rate, more)| *rate += more);
        }
        if scheme == Scheme::Istio {
            pairs.push(("reporter", "destination"));
        }
        if naming.total {
            metrics.counter(naming.requests, &pairs, start * part, &values);
        } else {
            let name = format!("{}_count", naming.requests);
            metrics.growing(
                (naming.duration, Type::Histogram, &name),
                &pairs,
                start * part,
                &values,
            );
        }
    }
    durations(scheme, &base, (course, up), start, metrics);
}

fn durations(
    scheme: Scheme,
    base: &[(&str, &str)],
    (course, up): (&Course, &[f64]),
    start: f64,
    metrics: &mut Metrics,
) {
    let naming = scheme.names();
    let (bounds, unit) = if scheme == Scheme::Istio { (BOUNDS_MS, 1.0) } else { (BOUNDS, 1000.0) };
    let family = naming.duration;
    for (le, bound) in bounds {
        let share = |latency: f64| {
            if bound.is_finite() { 1.0 - (-bound / latency.max(0.5)).exp() } else { 1.0 }
        };
        let rates: Vec<f64> = course
            .rate
            .iter()
            .zip(&course.latency)
            .zip(up)
            .map(|((r, l), up)| r * share(*l) * up)
            .collect();
        let mut pairs = base.to_vec();
        pairs.push(("le", le));
        let first = course.latency.first().copied().unwrap_or(20.0);
        metrics.growing(
            (family, Type::Histogram, &format!("{family}_bucket")),
            &pairs,
            start * share(first),
            &rates,
        );
    }
    let sums: Vec<f64> = course
        .rate
        .iter()
        .zip(&course.latency)
        .zip(up)
        .map(|((r, l), up)| r * l / unit * up)
        .collect();
    metrics.growing((family, Type::Histogram, &format!("{family}_sum")), base, start * 0.03, &sums);
    if naming.total {
        let counts: Vec<f64> = course.rate.iter().zip(up).map(|(r, up)| r * up).collect();
        metrics.growing(
            (family, Type::Histogram, &format!("{family}_count")),
            base,
            start,
            &counts,
        );
    }
}
