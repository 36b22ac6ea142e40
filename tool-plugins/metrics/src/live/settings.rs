//! Which Prometheus is meant, as arguments of the command line and variables of the environment.

use plugin_http::Source;

/// A Prometheus, for the words of failures.
pub(super) const PROMETHEUS: Source = Source {
    title: "Prometheus",
    flag: "prometheus",
    code: "PROMETHEUS",
    api: "/api/v1",
    patience: "timeout",
};

plugin_http::flags!(
    /// Which Prometheus is meant and how to be let in.
    Settings,
    PROMETHEUS,
    "prometheus",
    "PROMETHEUS",
    "Address of a Prometheus, or of what answers its API: Thanos, Mimir, VictoriaMetrics. With a \
     path prefix where it has one. Wins over metrics.om of a --snapshot"
);
