//! Logs of containers: reads them line by line in constant memory and says in the words of the
//! signal catalogue what they tell: kinds of errors, mechanisms of failure and whom they concern,
//! settings taken over, lines that began or ended. One container at a time; causes across objects
//! are not looked for.

pub mod database;
pub mod exception;
pub mod facts;
pub mod find_error_patterns;
pub mod get_logs;
pub mod level;
pub mod line;
pub mod origin;
pub mod peer;
pub mod rate;
pub mod record;
pub mod refused;
pub mod resolvers;
pub mod signals;
pub mod sources;
pub mod tally;
pub mod template;
pub mod time;
pub mod waiting;

use agent_sdk::{Plugin, Tool as _};
use plugin_cluster::{CheckAccess, Cluster};

use crate::{find_error_patterns::FindErrorPatterns, get_logs::GetLogs};

/// The plugin with all its tools over `cluster`.
#[must_use]
pub fn plugin(cluster: &Cluster) -> Plugin {
    let (lines, patterns) =
        (GetLogs::new(cluster.clone()), FindErrorPatterns::new(cluster.clone()));
    let access = CheckAccess::new(cluster.clone(), &[lines.spec(), patterns.spec()]);
    Plugin::new("logs", env!("CARGO_PKG_VERSION"))
        .title("Logs of containers")
        .tool(lines)
        .tool(patterns)
        .tool(access)
}
