//! Poolers that stand before a database: clients that wait there for a server connection.

use agent_sdk::{Entity, Observation};

use crate::{
    judge::{since, timed},
    view::{Course, Read, View, number},
};

/// Clients that wait in a pooler for a connection to the server behind it.
const WAITING: &[&str] = &[
    "pgbouncer_pools_client_waiting_connections",
    "pgbouncer_pools_client_waiting",
    "pgbouncer_pools_cl_waiting",
    "pgbouncer_client_waiting_connections",
    "pgbouncer_show_pools_cl_waiting",
    "pgcat_pools_waiting_clients",
    "pgcat_pools_cl_waiting",
    "odyssey_database_clients_waiting",
    "odyssey_clients_waiting",
    "pgpool2_frontend_waiting",
    "proxysql_client_connections_waiting",
];
/// Clients that wait before a pooler counts as full.
const QUEUE: f64 = 3.0;

/// Poolers in which clients wait.
pub(super) fn judge(view: View<'_>) -> Vec<Observation> {
    let mut facts: Vec<(Entity, Observation)> = Vec::new();
    for metric in WAITING.iter().filter(|m| view.store.has(m)) {
        for (pooler, values) in view.summed(metric, Read::Level, |l| Some(view.object(l))) {
            let Some(course) = Course::of(&values) else { continue };
            let told = facts.iter().any(|(told, _)| *told == pooler);
            if told || course.now < QUEUE || course.now < 3.0 * course.before {
                continue;
            }
            let rise = course.rise();
            let says = format!(
                "{} clients wait in {} for a server connection {}, usually {}",
                number(course.now),
                pooler.name,
                since(rise, view.frame),
                number(course.before)
            );
            let fact = Observation::new("db.connections_exhausted", pooler.clone(), says)
                .value(course.now, "1")
                .baseline(course.before)
                .attr("max", "")
                .attr("metric", *metric);
            facts.push((pooler, timed(fact, rise, view.frame)));
        }
    }
    facts.into_iter().map(|(_, fact)| fact).collect()
}
