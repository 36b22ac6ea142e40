//! Metrics of a cluster: reads what was recorded or asks a Prometheus, puts typed questions to it, and
//! says in the words of the signal catalogue how services, calls between them and containers fare. Numbers become facts
//! about single objects here; causes across objects are not looked for.

pub mod access;
pub mod ask_query;
pub mod change;
pub mod families;
pub mod find_anomalies;
pub mod flow;
pub mod get_metrics;
pub mod judge;
pub mod labels;
pub mod live;
pub mod object;
mod openmetrics;
pub mod query;
pub mod reach;
pub mod recipes;
pub mod recording;
mod remaining;
pub mod scope;
pub mod season;
pub mod store;
pub mod thresholds;
pub mod usage;
pub mod view;
pub mod words;
pub mod world;

use std::sync::Arc;

use agent_sdk::{Plugin, Tool as _};
use plugin_cluster::CheckAccess;

use crate::{
    access::MetricAccess, ask_query::AskQuery, find_anomalies::FindAnomalies,
    get_metrics::GetMetrics, recording::Recording,
};

/// The plugin with all its tools over `recording`.
#[must_use]
pub fn plugin(recording: &Arc<Recording>) -> Plugin {
    let (metrics, anomalies, query) = (
        GetMetrics::new(recording.clone()),
        FindAnomalies::new(recording.clone()),
        AskQuery::new(recording.clone()),
    );
    let specs = [metrics.spec(), anomalies.spec(), query.spec()];
    let access = CheckAccess::new(recording.cluster().clone(), &specs);
    Plugin::new("metrics", env!("CARGO_PKG_VERSION"))
        .title("Metrics of a cluster")
        .tool(metrics)
        .tool(anomalies)
        .tool(query)
        .tool(MetricAccess::new(access, recording.clone()))
}
