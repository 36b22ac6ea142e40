//! Why an investigation believes what it believes: a view of its log. While it runs, the hypotheses
//! as last told; afterwards those of the report. Nothing is weighed again here, so that what is
//! explained is what was decided.

use std::collections::BTreeMap;

use agent_proto::v1;

use crate::{
    investigation::{
        finding::{Evidence, Hypothesis, RootCause},
        report::{Conclusion, Report},
        state::State,
    },
    rpc::convert::{alert, belief, report as convert},
};

/// The explanation of an investigation, from the fold of its log.
pub(super) fn explain(state: &State) -> v1::Explanation {
    let investigation = &state.investigation;
    let mut explanation = match &investigation.report {
        Some(report) => finished(state, report),
        None => running(state),
    };
    explanation.investigation = investigation.id.resource();
    explanation.alert = Some(alert::write_alert(&investigation.alert));
    explanation.state = alert::write_phase(investigation.phase).into();
    explanation.last_sequence = i32::try_from(investigation.last_seq).unwrap_or(i32::MAX);
    explanation
}

fn finished(state: &State, report: &Report) -> v1::Explanation {
    let said = &report.conclusion;
    let causes: Vec<Hypothesis> = said.root_causes.iter().map(|c| stands(c, state)).collect();
    let standing_ids = causes.iter().map(|cause| cause.id.clone()).collect();
    let wire = convert::write_report(report);
    let hypotheses = causes.iter().chain(&said.alternatives);
    v1::Explanation {
        verdict: wire.verdict,
        summary: wire.summary,
        severity: wire.severity,
        hypotheses: hypotheses.map(belief::write_hypothesis).collect(),
        standing_ids,
        evidence: evidence(state, Some(said)),
        gaps: wire.gaps,
        timeline: wire.timeline,
        deciding_questions: wire.deciding_questions,
        unknown_signals: wire.unknown_signals,
        ..v1::Explanation::default()
    }
}

fn running(state: &State) -> v1::Explanation {
    let mut believed: Vec<&Hypothesis> = state.hypotheses.values().collect();
    believed.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.id.cmp(&b.id)));
    v1::Explanation {
        hypotheses: believed.into_iter().map(belief::write_hypothesis).collect(),
        evidence: evidence(state, None),
        gaps: state.gaps.iter().map(convert::write_gap).collect(),
        ..v1::Explanation::default()
    }
}

/// A root cause as the hypothesis it grew from. What the report does not hold of it is taken from
/// what the log told of it last.
fn stands(cause: &RootCause, state: &State) -> Hypothesis {
    let told = state.hypotheses.get(&cause.hypothesis);
    Hypothesis {
        id: cause.hypothesis.clone(),
        statement: cause.statement.clone(),
        confidence: cause.confidence,
        category: cause.category.clone(),
        culprit: cause.culprit.clone(),
        evidence: cause.evidence.clone(),
        against: cause.against.clone(),
        rejection: String::new(),
        explained_by: String::new(),
        missing_signals: told.map(|told| told.missing_signals.clone()).unwrap_or_default(),
        account: cause.account.clone(),
    }
}

/// All evidence by number; what the report says of one outranks what the log says.
fn evidence(state: &State, said: Option<&Conclusion>) -> Vec<v1::Evidence> {
    let mut all: BTreeMap<(usize, &str), &Evidence> = BTreeMap::new();
    let reported = said.into_iter().flat_map(|said| said.cited.iter().chain(&said.evidence));
    for one in state.evidence.values().chain(reported) {
        // e2 comes before e10.
        all.insert((one.id.len(), &one.id), one);
    }
    all.into_values().map(convert::write_evidence).collect()
}
