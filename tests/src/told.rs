//! What a report says, in the words stories compare: pods count as the workload they belong to.

use agent_proto::v1::{Investigation, Report, RootCause, Verdict};

use crate::alert::{Object, Scenario};

/// The report of an investigation that ended.
///
/// # Panics
/// When there is none yet.
#[must_use]
#[expect(clippy::panic, reason = "a test's assertion")]
pub fn report(investigation: &Investigation) -> &Report {
    let state = investigation.state();
    let Some(report) = &investigation.report else { panic!("no report in state {state:?}") };
    report
}

/// Whether the first root cause is the one that is true: its category and its culprit, or a pod of
/// the culprit's.
#[must_use]
pub fn is_true(report: &Report, scenario: &Scenario) -> bool {
    report.verdict() == Verdict::RootCauseFound
        && report.root_causes.first().is_some_and(|cause| {
            cause.category == scenario.category
                && scenario.culprit.as_ref().is_some_and(|truth| is_of(cause, truth))
        })
}

/// Whether a cause blames `object`, or a pod of it.
#[must_use]
pub fn is_of(cause: &RootCause, object: &Object) -> bool {
    let culprit = cause.culprit.clone().unwrap_or_default();
    let of_it = culprit.kind == "Pod"
        && culprit.name.strip_prefix(&object.name).is_some_and(|rest| rest.starts_with('-'));
    culprit.namespace == object.namespace && (culprit.name == object.name || of_it)
}

/// Verdict, causes and gaps of a report on one line, for messages.
#[must_use]
pub fn in_short(report: &Report) -> String {
    let causes: Vec<String> = report
        .root_causes
        .iter()
        .map(|cause| {
            let culprit = cause.culprit.clone().unwrap_or_default();
            let (kind, name) = (culprit.kind, culprit.name);
            format!(
                "{} {kind} {}/{name} {:.2}",
                cause.category, culprit.namespace, cause.confidence
            )
        })
        .collect();
    let gaps: Vec<&str> = report.gaps.iter().map(|gap| gap.subject.as_str()).collect();
    format!("{:?}; causes {causes:?}; gaps {gaps:?}; {}", report.verdict(), report.summary)
}
