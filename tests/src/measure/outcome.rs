//! What an investigation of a case came to, beside what is true. Pure but for the words of the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use agent_proto::v1::{Verdict, event::Payload};
use agentd::{
    cli,
    eval::{Answer, CheckName, Ref, Score, Truth, score},
};
use anyhow::{Context as _, Result};

use super::{case::Case, relay::Passed, stand::Ended, thinking::Gathered};

/// Confidence from which a wrong answer is worse than none.
pub const CONFIDENT: f64 = 0.7;

/// What a report said, as far as it stands beside the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// Culprit and category are right, or rightly nothing is wrong.
    Right,
    /// It says that it does not know.
    Inconclusive,
    /// It names what is not the cause, or nothing where something is wrong.
    Wrong,
}

/// One case, measured.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The case.
    pub id: String,
    /// `easy`, `medium` or `hard`.
    pub difficulty: String,
    /// The true category.
    pub category: String,
    /// The true culprit; none when nothing is wrong.
    pub culprit: Option<Ref>,
    /// What the report came to.
    pub came: Came,
    /// Whether it found nothing wrong.
    pub healthy: bool,
    /// The scored part of the report.
    pub answer: Answer,
    /// Check by check.
    pub score: Score,
    /// Tool calls, attempts counted.
    pub calls: usize,
    /// Rounds of asking.
    pub rounds: usize,
    /// Wall time of the investigation.
    pub took: Duration,
    /// Signals that tools told of.
    pub signals: BTreeSet<String>,
    /// Tool calls that failed or left something out.
    pub holes: usize,
    /// Why there is no report; empty when there is one.
    pub trouble: String,
    /// All that was asked and answered, when it was to be kept.
    pub gathered: Option<Box<Gathered>>,
}

// === impl Came ===

impl Came {
    /// As tables and JSON have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Inconclusive => "inconclusive",
            Self::Wrong => "wrong",
        }
    }

    fn of(verdict: Verdict, score: &Score) -> Self {
        let passed = |name| score.checks.get(&name).is_some_and(|(ok, _)| *ok);
        match verdict {
            Verdict::Inconclusive | Verdict::Unspecified => Self::Inconclusive,
            Verdict::RootCauseFound | Verdict::Healthy
                if passed(CheckName::Culprit) && passed(CheckName::Category) =>
            {
                Self::Right
            }
            Verdict::RootCauseFound | Verdict::Healthy => Self::Wrong,
        }
    }
}

// === impl Outcome ===

impl Outcome {
    /// Scores the report of a case. `episodes` tells which case an episode of memory is of.
    ///
    /// # Errors
    /// When there is no report.
    pub fn of(
        case: &Case,
        ended: &Ended,
        passed: &[Passed],
        episodes: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let report = ended.investigation.report.as_ref().context("there is no report")?;
        let answer = cli::answer(report, episodes)?;
        let scored = score(&case.truth, &answer);
        let count = |wanted: fn(&Payload) -> bool| {
            ended.events.iter().filter_map(|e| e.payload.as_ref()).filter(|p| wanted(p)).count()
        };
        let observations = passed.iter().flat_map(|one| &one.result.observations);
        Ok(Self {
            came: Came::of(report.verdict(), &scored),
            healthy: report.verdict() == Verdict::Healthy,
            answer,
            score: scored,
            calls: count(|payload| matches!(payload, Payload::ToolCallStarted(_))),
            rounds: count(|payload| matches!(payload, Payload::PlanUpdated(_))),
            holes: count(|payload| {
                matches!(payload, Payload::ToolCallFinished(call)
                    if call.failure.is_some() || !call.gaps.is_empty())
            }),
            signals: observations.map(|observation| observation.signal.clone()).collect(),
            ..Self::without_report(&case.truth, String::new())
        })
    }

    /// A case that came to no report.
    #[must_use]
    pub fn without_report(truth: &Truth, trouble: String) -> Self {
        Self {
            id: truth.id.clone(),
            difficulty: truth.difficulty.clone(),
            category: truth.category.clone(),
            culprit: truth.culprit.clone().filter(|_| !truth.no_fault),
            came: Came::Inconclusive,
            healthy: false,
            answer: Answer::default(),
            score: Score::without_report(),
            calls: 0,
            rounds: 0,
            took: Duration::ZERO,
            signals: BTreeSet::new(),
            holes: 0,
            trouble,
            gathered: None,
        }
    }

    /// Wrong, and sure of it. That nothing is wrong is said without a number and counts as sure.
    #[must_use]
    pub fn confident_wrong(&self) -> bool {
        self.came == Came::Wrong
            && (self.healthy || self.answer.confidence.is_some_and(|sure| sure >= CONFIDENT))
    }

    /// Squared distance of the confidence from whether culprit and category are right.
    #[must_use]
    pub fn brier(&self) -> Option<f64> {
        let right = if self.came == Came::Right { 1.0 } else { 0.0 };
        self.answer.confidence.map(|sure| (sure - right).powi(2))
    }

    /// Checks of the scorer that failed.
    #[must_use]
    pub fn failed(&self) -> Vec<CheckName> {
        let failed = self.score.checks.iter().filter(|(_, (ok, _))| !ok);
        failed.map(|(name, _)| *name).collect()
    }

    /// What was said about the cause, in few words: verdict, category and culprit.
    #[must_use]
    pub fn said(&self) -> String {
        let culprit = self.answer.culprit.as_ref().map(named).unwrap_or_default();
        match (&self.answer.category, self.came) {
            (_, Came::Inconclusive) => "inconclusive".to_owned(),
            (category, _) => {
                let sure = self.answer.confidence.map(|c| format!(" {c:.2}")).unwrap_or_default();
                let category = category.as_deref().unwrap_or("none");
                format!("{category} {culprit}{sure}").trim_end().replace("  ", " ")
            }
        }
    }
}

/// An object in one word.
#[must_use]
pub fn named(one: &Ref) -> String {
    match one.namespace.as_str() {
        "" => format!("{}/{}", one.kind, one.name),
        namespace => format!("{}/{namespace}/{}", one.kind, one.name),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// An outcome of a case of `category` with `answer` as category and confidence.
    pub(crate) fn outcome(id: &str, category: &str, answer: Option<(&str, f64)>) -> Outcome {
        let text = format!(
            r#"{{"id": "{id}", "difficulty": "easy", "category": "{category}",
                "culprit": {{"kind": "Deployment", "namespace": "a", "name": "web"}},
                "expected_severity": "P2"}}"#
        );
        let truth: Truth = serde_json::from_str(&text).unwrap();
        let said = Answer {
            root_cause: "it is so".to_owned(),
            severity: "P2".to_owned(),
            category: answer.map(|(category, _)| category.to_owned()),
            culprit: answer.and(truth.culprit.clone()),
            confidence: answer.map(|(_, sure)| sure),
            whole_report_json: "{}".to_owned(),
            ..Answer::default()
        };
        let scored = score(&truth, &said);
        let verdict = answer.map_or(Verdict::Inconclusive, |_| Verdict::RootCauseFound);
        Outcome {
            came: Came::of(verdict, &scored),
            answer: said,
            score: scored,
            ..Outcome::without_report(&truth, String::new())
        }
    }

    #[test]
    fn right_wrong_and_not_known_are_told_apart() {
        for (answer, came, sure) in [
            (Some(("oom_killed", 0.9)), Came::Right, false),
            (Some(("disk_full", 0.71)), Came::Wrong, true),
            (Some(("disk_full", 0.69)), Came::Wrong, false),
            (None, Came::Inconclusive, false),
        ] {
            let outcome = outcome("x", "oom_killed", answer);
            assert_eq!((outcome.came, outcome.confident_wrong()), (came, sure), "{answer:?}");
        }
    }

    #[test]
    fn nothing_wrong_where_something_is_wrong_counts_as_sure() {
        let mut outcome = outcome("x", "oom_killed", Some(("false_alarm_healthy", 0.0)));
        outcome.answer.confidence = None;
        outcome.healthy = true;
        assert!(outcome.confident_wrong());
        assert_eq!(outcome.brier(), None);
    }

    #[test]
    fn confidence_is_measured_against_culprit_and_category() {
        let right = outcome("x", "oom_killed", Some(("oom_killed", 0.9))).brier().unwrap();
        let wrong = outcome("x", "oom_killed", Some(("disk_full", 0.9))).brier().unwrap();
        assert!((right - 0.01).abs() < 1e-9 && (wrong - 0.81).abs() < 1e-9, "{right} {wrong}");
    }

    #[test]
    fn what_was_said_is_told_in_few_words() {
        let said = outcome("x", "oom_killed", Some(("disk_full", 0.5))).said();
        assert_eq!(said, "disk_full Deployment/a/web 0.50");
        assert_eq!(outcome("x", "oom_killed", None).said(), "inconclusive");
    }
}
