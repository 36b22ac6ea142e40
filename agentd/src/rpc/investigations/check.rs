//! Requests as they must be: every fault of a request is told at once, with its field and how to
//! mend it.

use std::{collections::BTreeSet, time::Duration};

use tonic::Status;
use uuid::Uuid;

use agent_proto::v1;

use crate::{
    alert::{Alert, MAX_ENTRIES, MAX_NAME, MAX_VALUE},
    engine::Wishes,
    investigation::{InvestigationId, event::Seq},
    plugin::wire,
    rpc::{convert::alert as convert, status::Problem},
    tool::Violation,
};

/// How long `Investigate` waits when nothing is said.
const WAIT: Duration = Duration::from_secs(60);
/// The longest it waits.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Names of event payloads, as `kinds` may list them.
const KINDS: [&str; 21] = [
    "started",
    "memory_recalled",
    "plan_updated",
    "step_started",
    "step_finished",
    "tool_call_started",
    "tool_call_progressed",
    "tool_call_finished",
    "model_called",
    "hypothesis_updated",
    "evidence_recorded",
    "gap_recorded",
    "approval_requested",
    "approval_resolved",
    "guard_tripped",
    "budget_reported",
    "rollback_updated",
    "escalated",
    "finished",
    "alert_attached",
    "resumed",
];

/// An `Investigate` request, checked.
pub(super) struct Asked {
    pub(super) alert: Alert,
    pub(super) wishes: Wishes,
    pub(super) wait: Duration,
}

/// A `StreamEvents` request, checked.
pub(super) struct Follow {
    pub(super) id: InvestigationId,
    pub(super) after: Seq,
    pub(super) replay_only: bool,
    pub(super) kinds: BTreeSet<String>,
}

/// Faults collected so far.
#[derive(Default)]
pub(super) struct Faults(Vec<Violation>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, reason: &str, description: impl Into<String>) {
        self.0.push(Violation {
            field: field.to_owned(),
            description: description.into(),
            reason: reason.to_owned(),
        });
    }

    /// Nothing, or all of them as one refusal.
    pub(super) fn none(self) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid(self.0).into()) }
    }
}

/// A text of at most `max` bytes.
pub(super) fn bounded(field: &str, text: &str, max: usize, faults: &mut Faults) {
    if text.len() > max {
        faults.add(field, "TOO_LONG", format!("has {} bytes; send at most {max}", text.len()));
    }
}

/// Checks the name of an investigation.
pub(super) fn name(name: &str) -> Result<InvestigationId, Status> {
    name.parse().map_err(|error: crate::investigation::BadName| {
        let mut faults = Faults::default();
        faults.add("name", "MALFORMED", error.to_string());
        Problem::invalid(faults.0).into()
    })
}

/// Checks an `Investigate` request.
pub(super) fn investigate(
    request: v1::InvestigateRequest,
    principal: String,
) -> Result<Asked, Status> {
    let mut faults = Faults::default();
    let message = request.alert.unwrap_or_default();
    if v1::Severity::try_from(message.severity).is_err() {
        faults.add("alert.severity", "UNKNOWN", "use SEVERITY_P1 to SEVERITY_P4, or leave it out");
    }
    if message.start_time.is_some()
        && message.start_time.as_ref().and_then(|t| wire::timestamp_from(Some(t))).is_none()
    {
        faults.add("alert.start_time", "OUT_OF_RANGE", "not a time of the years 1 to 9999");
    }
    let alert = convert::read_alert(message);
    faults.0.extend(alert.violations());
    if v1::AutonomyProfile::try_from(request.autonomy).is_err() {
        faults.add("autonomy", "UNKNOWN", "use a value of AutonomyProfile, or leave it out");
    }
    let request_id = request_id(&request.request_id, &mut faults);
    let wait = wait(request.wait, &mut faults);
    let budget = request.budget.unwrap_or_default();
    let max_duration = max_duration(budget.max_duration, &mut faults);
    if budget.max_tool_calls < 0 {
        faults.add("budget.max_tool_calls", "OUT_OF_RANGE", "must not be negative");
    }
    labels(&request.labels, &mut faults);
    if !request.runbook.is_empty() {
        faults.add("runbook", "NOT_YET", "runbooks cannot be used yet; leave it out");
    }
    if request.validate_only {
        faults.add("validate_only", "NOT_YET", "cannot be used yet; leave it out");
    }
    faults.none()?;
    let wishes = Wishes {
        request_id,
        autonomy: convert::read_autonomy(crate::rpc::convert::known(request.autonomy)),
        max_duration,
        max_tool_calls: u32::try_from(budget.max_tool_calls).ok().filter(|calls| *calls > 0),
        labels: request.labels,
        principal,
    };
    Ok(Asked { alert, wishes, wait })
}

/// Checks a `StreamEvents` request.
pub(super) fn stream(request: &v1::StreamEventsRequest) -> Result<Follow, Status> {
    let id = name(&request.name)?;
    let mut faults = Faults::default();
    let after = Seq::try_from(request.after_sequence).unwrap_or_else(|_| {
        faults.add("after_sequence", "OUT_OF_RANGE", "must not be negative; 0 begins at the first");
        0
    });
    for kind in &request.kinds {
        if !KINDS.contains(&kind.as_str()) {
            let known = KINDS.join(", ");
            faults.add("kinds", "UNKNOWN", format!("{kind:?} is no event payload; known: {known}"));
        }
    }
    faults.none()?;
    let kinds = request.kinds.iter().cloned().collect();
    Ok(Follow { id, after, replay_only: request.replay_only, kinds })
}

pub(super) fn request_id(given: &str, faults: &mut Faults) -> Option<Uuid> {
    if given.is_empty() {
        return None;
    }
    let read = given.parse().ok();
    if read.is_none() {
        faults.add("request_id", "MALFORMED", "must be a UUID, or empty");
    }
    read
}

fn wait(given: Option<prost_types::Duration>, faults: &mut Faults) -> Duration {
    let Some(given) = given else { return WAIT };
    match wire::duration_from(Some(&given)) {
        Some(wait) if wait <= LONGEST_WAIT => wait,
        _ => {
            faults.add("wait", "OUT_OF_RANGE", "give 0s to 600s; follow longer by StreamEvents");
            WAIT
        }
    }
}

fn max_duration(given: Option<prost_types::Duration>, faults: &mut Faults) -> Option<Duration> {
    let given = given?;
    let read = wire::duration_from(Some(&given));
    if read.is_none() {
        faults.add("budget.max_duration", "OUT_OF_RANGE", "must not be negative");
    }
    read.filter(|duration| !duration.is_zero())
}

fn labels(labels: &std::collections::BTreeMap<String, String>, faults: &mut Faults) {
    if labels.len() > MAX_ENTRIES {
        faults.add("labels", "TOO_MANY", format!("send at most {MAX_ENTRIES} labels"));
    }
    if labels.iter().any(|(key, value)| key.len() > MAX_NAME || value.len() > MAX_VALUE) {
        let said = format!("keys up to {MAX_NAME} bytes, values up to {MAX_VALUE}");
        faults.add("labels", "TOO_LONG", said);
    }
}
