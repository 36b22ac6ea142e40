//! Events about `CronJob`s: runs that did not come.

use agent_sdk::Entity;
use plugin_cluster::Event;

use super::one_line;
use crate::gather::{Finding, Rank};

/// Why a run did not start. A run that is held back for a moment by the one before is ordinary;
/// it is told all the same, since the schedule was missed.
pub(super) fn missed(event: &Event) -> Vec<Finding> {
    let why = match event.reason.as_str() {
        "JobAlreadyActive" => "blocked",
        "MissSchedule" | "MissedSchedule" => "late",
        "TooManyMissedTimes" | "FailedNeedsStart" => "too_many",
        "UnparseableSchedule" | "UnParseableCronJobSchedule" | "InvalidSchedule" => "schedule",
        "UnknownTimeZone" => "time_zone",
        _ => return Vec::new(),
    };
    let says = format!("missed a run ({why}): {}", one_line(&event.message));
    let finding = Finding::new("job.missed", Rank::Harm, event.about.clone(), says)
        .attr("why", why)
        .distinct(&["why"]);
    // `... prior execution (shop/tidy-1) is still running`, in some versions.
    let job = event.message.split_once("execution (").and_then(|(_, rest)| rest.split_once(')'));
    vec![match job.and_then(|(job, _)| job.rsplit('/').next()) {
        Some(job) => finding.peer(Entity::new("Job", event.about.namespace.as_str(), job)),
        None => finding,
    }]
}
