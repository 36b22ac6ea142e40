//! From a report of the wire to the answer that is scored. Pure.

use std::collections::BTreeMap;

use agent_proto::{
    tool::v1::EntityRef,
    v1::{Gap, Report, Severity, Verdict},
};

use crate::{
    cli::{Error, json},
    eval::{Answer, Ref},
};

/// The category of a report that finds nothing wrong.
const HEALTHY: &str = "false_alarm_healthy";

/// The scored part of a report. `episodes` tells which scenario an episode of memory is of.
///
/// # Errors
/// When the report cannot be written as JSON.
pub fn answer(report: &Report, episodes: &BTreeMap<String, String>) -> Result<Answer, Error> {
    let causes = &report.root_causes;
    let first = causes.first();
    let statements: Vec<&str> = causes.iter().map(|cause| cause.statement.as_str()).collect();
    let healthy = report.verdict() == Verdict::Healthy;
    let root_cause = match statements.as_slice() {
        // An empty cause counts as none, also where the finding is that there is none.
        [] => report.summary.clone(),
        some => some.join(" "),
    };
    let similar = report.memory.iter().flat_map(|memory| &memory.similar);
    Ok(Answer {
        root_cause,
        summary: report.summary.clone(),
        severity: severity(report.severity()).to_owned(),
        category: match first {
            Some(cause) => Some(cause.category.clone()),
            None => healthy.then(|| HEALTHY.to_owned()),
        },
        culprit: first.and_then(|cause| cause.culprit.as_ref()).map(refer),
        more_culprits: causes
            .iter()
            .skip(1)
            .filter_map(|c| c.culprit.as_ref())
            .map(refer)
            .collect(),
        findings: report.evidence.iter().map(|evidence| evidence.statement.clone()).collect(),
        gaps: report.gaps.iter().map(gap).collect(),
        recalled: similar.filter_map(|one| episodes.get(&one.episode).cloned()).collect(),
        confidence: first.map(|cause| cause.confidence),
        whole_report_json: json::report(report)?.to_string(),
    })
}

fn refer(entity: &EntityRef) -> Ref {
    Ref {
        kind: entity.kind.clone(),
        namespace: entity.namespace.clone(),
        name: entity.name.clone(),
    }
}

fn gap(gap: &Gap) -> String {
    let why = gap.failure.as_ref().map_or("", |failure| failure.message.as_str());
    format!("{}: {why} ({})", gap.subject, gap.impact)
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::P1 => "P1",
        Severity::P2 => "P2",
        Severity::P3 => "P3",
        Severity::P4 => "P4",
        Severity::Unspecified => "",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use agent_proto::{
        tool::v1::Failure,
        v1::{EpisodeMatch, MemoryOutcome, RootCause},
    };

    use super::*;

    fn cause(name: &str, confidence: f64) -> RootCause {
        RootCause {
            statement: format!("{name} is full."),
            category: format!("{name}_full"),
            culprit: Some(EntityRef {
                kind: "Pod".to_owned(),
                name: name.to_owned(),
                ..EntityRef::default()
            }),
            confidence,
            ..RootCause::default()
        }
    }

    #[test]
    fn causes_gaps_and_what_was_recalled_are_answered() {
        let report = Report {
            verdict: Verdict::RootCauseFound.into(),
            severity: Severity::P2.into(),
            root_causes: vec![cause("a", 0.9), cause("b", 0.6)],
            gaps: vec![Gap {
                subject: "events".to_owned(),
                failure: Some(Failure { message: "timed out".to_owned(), ..Failure::default() }),
                impact: "less is known".to_owned(),
            }],
            memory: Some(MemoryOutcome {
                similar: vec![
                    EpisodeMatch { episode: "episodes/1".to_owned(), ..EpisodeMatch::default() },
                    EpisodeMatch { episode: "episodes/2".to_owned(), ..EpisodeMatch::default() },
                ],
                ..MemoryOutcome::default()
            }),
            ..Report::default()
        };
        let episodes = BTreeMap::from([("episodes/1".to_owned(), "s7".to_owned())]);
        let answer = answer(&report, &episodes).unwrap();
        assert_eq!(answer.root_cause, "a is full. b is full.");
        assert_eq!((answer.severity.as_str(), answer.category.as_deref()), ("P2", Some("a_full")));
        assert_eq!((answer.culprit.unwrap().name, answer.more_culprits.len()), ("a".to_owned(), 1));
        assert_eq!(answer.gaps, ["events: timed out (less is known)"]);
        assert_eq!((answer.recalled, answer.confidence), (vec!["s7".to_owned()], Some(0.9)));
        assert!(answer.whole_report_json.contains("rootCauses"));
    }

    #[test]
    fn nothing_wrong_is_an_answer_without_a_culprit() {
        let report = Report {
            verdict: Verdict::Healthy.into(),
            summary: "all is well".to_owned(),
            ..Report::default()
        };
        let answer = answer(&report, &BTreeMap::new()).unwrap();
        assert_eq!((answer.category.as_deref(), answer.culprit), (Some(HEALTHY), None));
        assert_eq!(answer.root_cause, "all is well");
        let open = Report { verdict: Verdict::Inconclusive.into(), ..report };
        assert_eq!(super::answer(&open, &BTreeMap::new()).unwrap().category, None);
    }
}
