//! Sums over outcomes. Pure.

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
}
