//! The verdict "healthy" in words: the health that answers the alert's claim, what set the alert off
//! without being a fault, and what was wrong but is over. It judges nothing: [`health`] did.

use super::{CITED, evidence, subject};
use crate::{
    alert::Alert,
    investigation::{
        finding::{Evidence, Severity, Verdict},
        report::Conclusion,
    },
    reasoner::{case::Case, health, template::fill, weigh::Weighed, words::values},
};

/// What would be reported where all is well on the alerted object; `elsewhere` stands beside it.
pub(super) fn conclude(
    case: &Case<'_>,
    alert: &Alert,
    healthy: &[usize],
    elsewhere: &[(&Weighed<'_>, f64)],
) -> Conclusion {
    let over = health::over(case).unwrap_or_default();
    let remarkable = health::remarkable(case);
    let mut summary = format!(
        "False alarm, no fault: {} is healthy. {}.",
        subject(case, alert),
        list(case, healthy, 3)
    );
    if !over.is_empty() {
        summary.push_str(&format!(
            " What set the alert off is over, and it has recovered: {}.",
            list(case, &over, 2)
        ));
    }
    if !remarkable.is_empty() {
        summary.push_str(&format!(" What is remarkable there: {}.", list(case, &remarkable, 2)));
    }
    if remarkable.iter().any(|index| health::is_callers_fault(case, *index)) {
        summary.push_str(" Callers cause 4xx answers, not the service.");
    }
    for (weighed, _) in elsewhere {
        let said = fill(&weighed.cause.statement, &values(case, weighed));
        summary.push_str(&if !over.is_empty() && health::is_past(case, weighed) {
            format!(" The cause while it lasted: {said}")
        } else {
            format!(" Beside it, and not its concern as far as is known: {said}")
        });
    }
    let cited = healthy.iter().take(CITED).chain(&remarkable).chain(&over);
    let evidence: Vec<Evidence> =
        cited.filter_map(|index| evidence(case, *index, 1.0, false)).collect();
    Conclusion {
        verdict: Verdict::Healthy,
        summary,
        root_causes: Vec::new(),
        severity: Severity::P4,
        timeline: Vec::new(),
        evidence,
        recommendations: Vec::new(),
        alternatives: Vec::new(),
        deciding_questions: Vec::new(),
        unknown_signals: Vec::new(),
        cited: Vec::new(),
    }
}

fn list(case: &Case<'_>, indices: &[usize], most: usize) -> String {
    let seen = indices.iter().filter_map(|index| case.facts.seen().get(*index));
    let said: Vec<&str> = seen.map(|seen| seen.observation.statement.as_str()).take(most).collect();
    said.join("; ")
}
