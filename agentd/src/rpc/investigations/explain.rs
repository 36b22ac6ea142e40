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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

    use super::*;
    use crate::{fact::Observation, investigation::event::Kind, journal::testing, tool::ToolRef};

    fn told(state: &mut State, kind: Kind) {
        let (of, seq) = (state.investigation.id, state.investigation.last_seq + 1);
        let event = testing::said(of, seq, kind);
        state.apply(&event).unwrap();
    }

    fn seen(id: &str) -> Kind {
        Kind::EvidenceRecorded(Box::new(Evidence {
            id: id.to_owned(),
            seq: 1,
            tool: ToolRef::default(),
            weight: 0.0,
            contradicts: false,
            observation: Observation::default(),
        }))
    }

    fn believed(id: &str, confidence: f64) -> Kind {
        let hypothesis = Hypothesis { id: id.to_owned(), confidence, ..Hypothesis::default() };
        Kind::HypothesisUpdated(hypothesis, 0.0)
    }

    #[test]
    fn while_it_runs_the_log_so_far_is_explained_and_afterwards_the_report() {
        let alert = testing::alert("high_memory", "a");
        let first = testing::started(testing::id(1), &alert);
        let mut state = State::open(&first).unwrap();
        for kind in [seen("e10"), seen("e2"), believed("h1", 0.3), believed("h2", 0.6)] {
            told(&mut state, kind);
        }
        let now = explain(&state);
        let ids: Vec<&str> = now.hypotheses.iter().map(|h| h.id.as_str()).collect();
        assert_eq!(ids, ["h2", "h1"]);
        let ids: Vec<&str> = now.evidence.iter().map(|e| e.id.as_str()).collect();
        assert_eq!(ids, ["e2", "e10"]);
        assert_eq!((now.verdict(), now.last_sequence), (v1::Verdict::Unspecified, 5));

        let ended = testing::concluded(first.investigation, &alert, "oom_killed", &["a.b"], 9);
        told(&mut state, Kind::Finished(Box::new(ended)));
        let then = explain(&state);
        assert_eq!(then.verdict(), v1::Verdict::RootCauseFound);
        assert_eq!(then.hypotheses[0].category, "oom_killed");
        assert_eq!(then.standing_ids, [then.hypotheses[0].id.clone()]);
    }
}
