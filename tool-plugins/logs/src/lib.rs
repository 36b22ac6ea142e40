//! Logs of containers: reads them line by line in constant memory and says in the words of the
//! signal catalogue what they tell: kinds of errors, mechanisms of failure and whom they concern,
//! settings taken over, lines that began or ended. One container at a time; causes across objects
//! are not looked for.

pub mod access;
pub mod database;
pub mod earlier;
pub mod ending;
pub mod exception;
pub mod facts;
pub mod find_error_patterns;
pub mod get_logs;
pub mod level;
pub mod line;
pub mod origin;
pub mod peer;
pub mod rate;
pub mod reading;
pub mod record;
pub mod refused;
pub mod resolvers;
pub mod signals;
pub mod sources;
pub mod store;
pub mod tally;
pub mod template;
pub mod time;
pub mod waiting;

use std::sync::Arc;

use agent_sdk::{Plugin, Tool as _};
use plugin_cluster::{CheckAccess, Cluster};

use crate::{
    access::LogAccess, find_error_patterns::FindErrorPatterns, get_logs::GetLogs, store::Store,
};

/// Which rights its tools use. A test holds them against `k8s/base/rights.yaml`.
const RIGHTS: [&str; 12] = [
    "k8s:configmaps/list",
    "k8s:cronjobs/list",
    "k8s:daemonsets/list",
    "k8s:deployments/list",
    "k8s:jobs/list",
    "k8s:namespaces/list",
    "k8s:nodes/list",
    "k8s:pods/list",
    "k8s:pods/log",
    "k8s:replicasets/list",
    "k8s:services/list",
    "k8s:statefulsets/list",
];

/// The plugin with all its tools over `cluster`.
#[must_use]
pub fn plugin(cluster: &Cluster) -> Plugin {
    beside(cluster, None)
}

/// The plugin over `cluster` and a store of logs beside it.
#[must_use]
pub fn beside(cluster: &Cluster, store: Option<Arc<Store>>) -> Plugin {
    let lines = GetLogs::new(cluster.clone(), store.clone());
    let patterns = FindErrorPatterns::new(cluster.clone(), store.clone());
    let access = CheckAccess::new(cluster.clone(), &[lines.spec(), patterns.spec()]);
    Plugin::new("logs", env!("CARGO_PKG_VERSION"))
        .title("Logs of containers")
        .tool(lines)
        .tool(patterns)
        .tool(LogAccess::new(access, store))
}
