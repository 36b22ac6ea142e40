//! Sums over outcomes. Pure.

use std::collections::BTreeMap;

use super::outcome::{Came, Outcome};

/// How many came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All.
    pub cases: usize,
    /// Culprit and category right.
    pub right: usize,
    /// Wrong.
    pub wrong: usize,
    /// Not known, and said so; or without a report.
    pub inconclusive: usize,
    /// Wrong and sure of it.
    pub confident_wrong: usize,
    /// Every check of the scorer passed.
    pub passed: usize,
}

/// What it cost and how good the confidence is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Mean Brier score; none without a confidence.
    pub brier: Option<f64>,
    /// Reports with a confidence.
    pub with_confidence: usize,
    /// Tool calls: median and most.
    pub calls: (usize, usize),
    /// Median of the tool calls of easy cases.
    pub easy_calls: usize,
    /// Rounds: median and most.
    pub rounds: (usize, usize),
    /// Milliseconds of an investigation: median and longest.
    pub millis: (usize, usize),
}

/// Answers that were said with about the same confidence, and how many of them are right: calibrated
/// means that of those said at 0.8 eight in ten are (Brier, Monthly Weather Review 78, 1950; the
/// table is a reliability diagram in numbers).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reliability {
    /// Confidence from which answers are counted here, up to a tenth more.
    pub from: f64,
    /// Answers.
    pub cases: usize,
    /// Their mean confidence.
    pub said: f64,
    /// Share of them that is right.
    pub right: f64,
}

// === impl Reliability ===

impl Reliability {
    /// By tenths of confidence, lowest first; tenths in which nothing was said are left out.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Vec<Self> {
        let mut told: BTreeMap<u32, Vec<(f64, bool)>> = BTreeMap::new();
        for outcome in outcomes {
            let Some(sure) = outcome.answer.confidence else { continue };
            let tenth = (1..10_u32).rev().find(|tenth| sure >= f64::from(*tenth) / 10.0);
            told.entry(tenth.unwrap_or(0)).or_default().push((sure, outcome.came == Came::Right));
        }
        told.into_iter().map(|(tenth, of)| Self::tenth(tenth, &of)).collect()
    }

    fn tenth(tenth: u32, of: &[(f64, bool)]) -> Self {
        let cases = of.len();
        Self {
            from: f64::from(tenth) / 10.0,
            cases,
            said: of.iter().map(|(sure, _)| sure).sum::<f64>() / number(cases),
            right: number(of.iter().filter(|(_, right)| *right).count()) / number(cases),
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Counts one more.
    pub fn count(&mut self, outcome: &Outcome) {
        self.cases += 1;
        match outcome.came {
            Came::Right => self.right += 1,
            Came::Wrong => self.wrong += 1,
            Came::Inconclusive => self.inconclusive += 1,
        }
        self.confident_wrong += usize::from(outcome.confident_wrong());
        self.passed += usize::from(outcome.score.pass);
    }

    /// Whether at least this share is right. No case at all meets nothing.
    #[must_use]
    pub fn meets(&self, share: f64) -> bool {
        self.cases > 0 && number(self.right) >= share * number(self.cases)
    }
}

impl<'a> FromIterator<&'a Outcome> for Tally {
    fn from_iter<T: IntoIterator<Item = &'a Outcome>>(outcomes: T) -> Self {
        let mut tally = Self::default();
        outcomes.into_iter().for_each(|outcome| tally.count(outcome));
        tally
    }
}

// === impl Figures ===

impl Figures {
    /// The figures of outcomes.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Self {
        let brier: Vec<f64> = outcomes.iter().filter_map(Outcome::brier).collect();
        let easy = outcomes.iter().filter(|outcome| outcome.difficulty == "easy");
        let millis =
            |outcome: &Outcome| usize::try_from(outcome.took.as_millis()).unwrap_or(usize::MAX);
        Self {
            brier: (!brier.is_empty()).then(|| brier.iter().sum::<f64>() / number(brier.len())),
            with_confidence: brier.len(),
            calls: middle_and_most(outcomes.iter().map(|outcome| outcome.calls)),
            easy_calls: middle_and_most(easy.map(|outcome| outcome.calls)).0,
            rounds: middle_and_most(outcomes.iter().map(|outcome| outcome.rounds)),
            millis: middle_and_most(outcomes.iter().map(millis)),
        }
    }
}

/// The lower median and the most; 0 of nothing.
fn middle_and_most(of: impl Iterator<Item = usize>) -> (usize, usize) {
    let mut sorted: Vec<usize> = of.collect();
    sorted.sort_unstable();
    let middle = sorted.get(sorted.len().saturating_sub(1) / 2).copied();
    (middle.unwrap_or_default(), sorted.last().copied().unwrap_or_default())
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::outcome::tests::outcome;

    #[test]
    fn the_share_that_is_right_is_held_against_what_is_wanted() {
        let right = outcome("a", "oom_killed", Some(("oom_killed", 0.9)));
        let wrong = outcome("b", "oom_killed", Some(("disk_full", 0.9)));
        let half: Tally = [&right, &wrong].into_iter().collect();
        assert!(half.meets(0.5) && !half.meets(0.51));
        assert!(!Tally::default().meets(0.0));
    }

    #[test]
    fn medians_are_of_all_and_of_the_easy_ones() {
        let mut outcomes = ["a", "b", "c", "d"].map(|id| outcome(id, "oom_killed", None));
        for (outcome, calls) in outcomes.iter_mut().zip([9, 3, 30, 5]) {
            outcome.calls = calls;
        }
        "hard".clone_into(&mut outcomes[2].difficulty);
        let figures = Figures::of(&outcomes);
        assert_eq!((figures.calls, figures.easy_calls), ((5, 30), 5));
        assert_eq!((figures.brier, figures.with_confidence), (None, 0));
    }

    #[test]
    fn what_was_said_is_held_against_what_was_right_by_tenths_of_confidence() {
        let said = |id, category, sure| outcome(id, "oom_killed", Some((category, sure)));
        let outcomes = [
            said("a", "oom_killed", 0.82),
            said("b", "disk_full", 0.88),
            said("c", "oom_killed", 0.8),
            said("d", "oom_killed", 1.0),
            outcome("e", "oom_killed", None),
        ];
        let tenths = Reliability::of(&outcomes);
        let told: Vec<(f64, usize)> = tenths.iter().map(|one| (one.from, one.cases)).collect();
        assert_eq!(told, [(0.8, 3), (0.9, 1)]);
        assert!((tenths[0].said - 2.5 / 3.0).abs() < 1e-9, "{tenths:?}");
        assert!((tenths[0].right - 2.0 / 3.0).abs() < 1e-9, "{tenths:?}");
    }
}
