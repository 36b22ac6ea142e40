//! Which answers a verdict rests on: those that cannot be left out without changing it. Found by
//! thinking again with fewer and fewer of them, the last asked left out first, so that a repeat of
//! the case can be asked just that. What could not be answered is kept, to be asked again.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::{
    alert::Alert,
    investigation::{event::Seq, report::Conclusion},
    reasoner::{Assessment, Reasoning},
    tool::{Call, CallOutput, Failure, FailureClass, ToolRef},
};

/// How much belief may move before a verdict counts as another one.
const STILL: f64 = 0.03;
/// Most observations, each counted as often as it is thought through again, for which this is done:
/// far more than any recorded incident has, and still done within a blink.
const MOST: usize = 20_000;

/// One answer.
pub(super) struct Heard {
    /// Step that asked.
    pub(super) step: String,
    /// Tool that was asked.
    pub(super) tool: ToolRef,
    /// Event that holds it.
    pub(super) seq: Seq,
    /// What came back; none when nothing did, or when it was not there.
    pub(super) output: Option<CallOutput>,
    /// Whether something could not be told: it is to be asked again, whatever it did for this
    /// verdict.
    pub(super) holes: bool,
}

impl Heard {
    /// What a step asked, and what it came to.
    pub(super) fn of(call: &Call, seq: Seq, result: &Result<CallOutput, Failure>) -> Self {
        let holes = match result {
            Ok(output) => !output.gaps.is_empty() || output.truncated,
            Err(failure) => failure.class != FailureClass::NotFound,
        };
        // The text is for people; what is thought with are the observations.
        let output = result.as_ref().ok();
        let output = output.map(|o| CallOutput { result_json: String::new(), ..o.clone() });
        Self { step: call.step.clone(), tool: call.tool.clone(), seq, output, holes }
    }
}

/// Ids of the steps whose answers the verdict rests on; none where that is too much to find out.
pub(super) fn steps(
    heard: &[Heard],
    reasoning: &Reasoning,
    concluded: &Conclusion,
    (alert, now): (&Alert, Timestamp),
) -> BTreeSet<String> {
    let observations: usize =
        heard.iter().filter_map(|one| one.output.as_ref()).map(|o| o.observations.len()).sum();
    if observations.saturating_mul(heard.len()) > MOST {
        return BTreeSet::new();
    }
    let mut kept: Vec<&Heard> = heard.iter().collect();
    // Answers come in any order; the order in which they were asked is always the same.
    kept.sort_by_key(|one| place(&one.step));
    for at in (0..kept.len()).rev() {
        let Some(one) = kept.get(at).copied().filter(|one| !one.holes) else { continue };
        let without = kept.iter().copied().filter(|other| other.step != one.step);
        if one.output.is_none()
            || is_same(&again(without, reasoning, alert, now).conclusion, concluded)
        {
            kept.remove(at);
        }
    }
    kept.into_iter().map(|one| one.step.clone()).collect()
}

/// Round and place of a step, which its id tells.
fn place(step: &str) -> (u32, u32) {
    let (round, place) = step.trim_start_matches('s').split_once('.').unwrap_or_default();
    (round.parse().unwrap_or_default(), place.parse().unwrap_or_default())
}

fn again<'a>(
    heard: impl Iterator<Item = &'a Heard>,
    reasoning: &Reasoning,
    alert: &Alert,
    now: Timestamp,
) -> Assessment {
    let mut anew = reasoning.untaught();
    for one in heard {
        if let Some(output) = &one.output {
            anew.facts.absorb(&one.tool, one.seq, output);
        }
    }
    anew.assess(alert, now)
}

/// Whether two conclusions say the same, about as surely.
fn is_same(one: &Conclusion, other: &Conclusion) -> bool {
    let causes = one.root_causes.iter().zip(&other.root_causes);
    one.verdict == other.verdict
        && one.severity == other.severity
        && one.root_causes.len() == other.root_causes.len()
        && causes.into_iter().all(|(a, b)| {
            a.category == b.category
                && a.culprit == b.culprit
                && (a.confidence - b.confidence).abs() <= STILL
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use super::*;
    use crate::{
        fact::{Entity, Observation},
        reasoner::catalogue::Catalogue,
    };

    fn heard(step: &str, signals: &[&str]) -> Heard {
        let seen = |signal: &&str| Observation {
            signal: (*signal).to_owned(),
            subject: Entity::new("Deployment", "n", "cart"),
            count: 3,
            start: "2026-01-02T03:00:00Z".parse().ok(),
            end: "2026-01-02T03:30:00Z".parse().ok(),
            ..Observation::default()
        };
        let output = CallOutput {
            observations: signals.iter().map(seen).collect(),
            observe_time: "2026-01-02T03:30:00Z".parse().ok(),
            ..CallOutput::default()
        };
        let tool = ToolRef { tool: step.to_owned(), ..ToolRef::default() };
        Heard { step: step.to_owned(), tool, seq: 1, output: Some(output), holes: false }
    }

    /// What is carried, and the category that was concluded.
    fn carried(heard: &[Heard]) -> (BTreeSet<String>, String) {
        let mut reasoning = Reasoning::new(Arc::new(Catalogue::embedded().unwrap()));
        for one in heard.iter().filter(|one| one.output.is_some()) {
            reasoning.facts.absorb(&one.tool, one.seq, one.output.as_ref().unwrap());
        }
        let alert = Alert {
            kind: "high_memory".to_owned(),
            service: "cart".to_owned(),
            namespace: "n".to_owned(),
            ..Alert::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let concluded = reasoning.assess(&alert, now).conclusion;
        let category = concluded.root_causes.first().map(|cause| cause.category.clone());
        (steps(heard, &reasoning, &concluded, (&alert, now)), category.unwrap_or_default())
    }

    fn strings(of: &[&str]) -> BTreeSet<String> {
        of.iter().map(|one| (*one).to_owned()).collect()
    }

    #[test]
    fn a_verdict_rests_on_what_changes_it_and_on_what_could_not_be_told() {
        let absent = Heard { output: None, ..heard("s1.4", &[]) };
        let failed = Heard { output: None, holes: true, ..heard("s1.5", &[]) };
        let all = [
            // Answers come in any order.
            heard("s2.1", &["container.oom_killed"]),
            heard("s1.2", &[]),
            heard("s1.10", &["container.oom_killed"]),
            heard("s1.9", &["container.oom_killed"]),
            absent,
            failed,
        ];
        let (steps, category) = carried(&all);
        assert_eq!(category, "oom_killed");
        // What three tell alike is asked of the one that was asked first.
        assert_eq!(steps, strings(&["s1.5", "s1.9"]));
    }

    #[test]
    fn what_makes_a_verdict_less_sure_carries_it_too() {
        let against = ["container.memory_growing", "container.memory_near_limit"];
        let all = [heard("s1.1", &["container.oom_killed"]), heard("s1.2", &against)];
        let (steps, _) = carried(&all);
        assert_eq!(steps, strings(&["s1.1", "s1.2"]));
    }

    #[test]
    fn too_much_to_think_through_again_is_left() {
        let mut much = heard("s1.1", &["container.oom_killed"]);
        let output = much.output.as_mut().unwrap();
        let one = output.observations.first().cloned().unwrap();
        output.observations = vec![one; MOST + 1];
        assert_eq!(carried(&[much]).0, BTreeSet::new());
    }
}
