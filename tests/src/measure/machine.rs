//! Outcomes as JSON: the plain run's answers by id, as the corpus's own scorer reads them, and
//! under `runs` what was measured, run by run.

use agentd::eval::json_shape;
use serde_json::{Map, Value, json};

use super::{
    figures::{Figures, Tally},
    outcome::Outcome,
};

/// Where the runs stand; no incident is called so.
const RUNS: &str = "runs";

/// Everything of all runs; the first is the plain one.
#[must_use]
pub fn json(runs: &[(String, Vec<Outcome>)]) -> Value {
    let plain = runs.first().map(|(_, outcomes)| outcomes.as_slice()).unwrap_or_default();
    let reported = plain.iter().filter(|outcome| outcome.trouble.is_empty());
    let mut shape = json_shape(reported.map(|outcome| (outcome.id.as_str(), &outcome.answer)));
    let told: Map<String, Value> =
        runs.iter().map(|(name, outcomes)| (name.clone(), run(outcomes))).collect();
    if let Value::Object(shape) = &mut shape {
        shape.insert(RUNS.to_owned(), told.into());
    }
    shape
}

fn run(outcomes: &[Outcome]) -> Value {
    let tally: Tally = outcomes.iter().collect();
    let figures = Figures::of(outcomes);
    let cases: Map<String, Value> =
        outcomes.iter().map(|outcome| (outcome.id.clone(), case(outcome))).collect();
    json!({
        "cases": tally.cases,
        "right": tally.right,
        "wrong": tally.wrong,
        "inconclusive": tally.inconclusive,
        "confident_wrong": tally.confident_wrong,
        "passed": tally.passed,
        "brier": figures.brier,
        "calls": {"median": figures.calls.0, "most": figures.calls.1, "easy_median": figures.easy_calls},
        "rounds": {"median": figures.rounds.0, "most": figures.rounds.1},
        "millis": {"median": figures.millis.0, "longest": figures.millis.1},
        "outcomes": cases,
    })
}

fn case(outcome: &Outcome) -> Value {
    let failed: Vec<&str> = outcome.failed().iter().map(|name| name.as_str()).collect();
    json!({
        "came": outcome.came.as_str(),
        "confident_wrong": outcome.confident_wrong(),
        "difficulty": outcome.difficulty,
        "category": outcome.answer.category,
        "true_category": outcome.category,
        "culprit": outcome.answer.culprit,
        "true_culprit": outcome.culprit,
        "confidence": outcome.answer.confidence,
        "calls": outcome.calls,
        "rounds": outcome.rounds,
        "millis": u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX),
        "failed": failed,
        "trouble": outcome.trouble,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::outcome::tests::outcome;

    #[test]
    fn the_scorer_finds_its_answers_and_machines_find_each_run() {
        let of = |sure| vec![outcome("s1", "oom_killed", Some(("oom_killed", sure)))];
        let mut broken = outcome("s2", "oom_killed", None);
        broken.trouble = "no daemon".to_owned();
        let mut plain = of(0.9);
        plain.push(broken);
        let json = json(&[("plain".to_owned(), plain), ("shuffled".to_owned(), of(0.5))]);
        assert_eq!(json["s1"]["culprit"]["name"], "web");
        assert_eq!(json.get("s2"), None);
        assert_eq!(json["runs"]["plain"]["cases"], 2);
        assert_eq!(json["runs"]["shuffled"]["outcomes"]["s1"]["confidence"], 0.5);
        assert_eq!(json["runs"]["plain"]["outcomes"]["s2"]["trouble"], "no daemon");
    }
}
