//! Outcomes as text for people: per category, in all, a line per case, and beside another run.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{
    figures::{Figures, Reliability, Tally},
    outcome::{Came, Outcome, named},
    variant::Variant,
};

/// Per category, then by difficulty, then the figures.
#[must_use]
pub fn summary(outcomes: &[Outcome]) -> String {
    let mut groups: BTreeMap<&str, Tally> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(&outcome.category).or_default().count(outcome);
    }
    let mut out = heading("category");
    for (name, tally) in &groups {
        out.push_str(&row(name, *tally));
    }
    out.push('\n');
    out.push_str(&heading("difficulty"));
    for name in ["easy", "medium", "hard", ""] {
        let of: Tally = outcomes.iter().filter(|one| one.difficulty == name).collect();
        if of.cases > 0 {
            out.push_str(&row(if name.is_empty() { "not told" } else { name }, of));
        }
    }
    out.push_str(&row("all", outcomes.iter().collect()));
    out.push('\n');
    out.push_str(&reliability(&Reliability::of(outcomes)));
    out.push_str(&figures(&Figures::of(outcomes)));
    out
}

/// How far confidence may be believed.
fn reliability(tenths: &[Reliability]) -> String {
    let mut out = String::new();
    for Reliability { from, cases, said, right } in tenths {
        let to = from + 0.1;
        let _ = writeln!(
            out,
            "said {from:.1} to {to:.1}: {cases:4} answers, mean {said:.2}, right {right:.2}"
        );
    }
    out
}

fn heading(what: &str) -> String {
    format!(
        "{what:34}{:>6}{:>7}{:>7}{:>14}{:>17}{:>13}\n",
        "cases", "right", "wrong", "inconclusive", "confident-wrong", "all checks"
    )
}

fn row(name: &str, tally: Tally) -> String {
    let Tally { cases, right, wrong, inconclusive, confident_wrong, passed } = tally;
    format!(
        "{name:34}{cases:>6}{right:>7}{wrong:>7}{inconclusive:>14}{confident_wrong:>17}{passed:>13}\n"
    )
}

fn figures(figures: &Figures) -> String {
    let mut out = String::new();
    let brier = figures.brier.map_or("none".to_owned(), |mean| format!("{mean:.3}"));
    let _ =
        writeln!(out, "Brier score    {brier} over {} with a confidence", figures.with_confidence);
    let _ = writeln!(
        out,
        "tool calls     median {}, most {}; easy cases: median {}",
        figures.calls.0, figures.calls.1, figures.easy_calls
    );
    let _ = writeln!(out, "rounds         median {}, most {}", figures.rounds.0, figures.rounds.1);
    let _ = writeln!(
        out,
        "investigation  median {} ms, longest {} ms",
        figures.millis.0, figures.millis.1
    );
    out
}

/// A line per case.
#[must_use]
pub fn list(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(|outcome| line(outcome) + "\n").collect()
}

fn line(outcome: &Outcome) -> String {
    let verdict = match (outcome.came, outcome.confident_wrong()) {
        (Came::Right, _) => "right",
        (Came::Inconclusive, _) => "open",
        (Came::Wrong, false) => "WRONG",
        (Came::Wrong, true) => "WRONG!",
    };
    let mut text = format!("{:24} {verdict:6} {}", outcome.id, told(outcome));
    let _ = write!(text, "; {} calls, {} rounds", outcome.calls, outcome.rounds);
    let failed: Vec<&str> = outcome.failed().iter().map(|name| name.as_str()).collect();
    if !failed.is_empty() {
        let _ = write!(text, "; failed: {}", failed.join(" "));
    }
    if !outcome.trouble.is_empty() {
        let _ = write!(text, "; {}", outcome.trouble);
    }
    text
}

/// Category and culprit as said, and what is true where that differs.
fn told(outcome: &Outcome) -> String {
    let truth = outcome.culprit.as_ref().map(named).unwrap_or_default();
    let said = outcome.said();
    if outcome.came == Came::Right {
        return said;
    }
    format!("{said} (true: {} {truth})", outcome.category).replace(" )", ")")
}

/// How the outcomes of a variant differ from those of the plain run, and what it asks of reports
/// beside that.
#[must_use]
pub fn beside(variant: Variant, plain: &[Outcome], varied: &[Outcome]) -> String {
    let tally: Tally = varied.iter().collect();
    let mut changed = Vec::new();
    for now in varied {
        let before = plain.iter().find(|before| before.id == now.id);
        if let Some(before) = before.filter(|before| differs(before, now)) {
            changed.push(format!("  {:24} {} -> {}\n", now.id, before.said(), told(now)));
        }
    }
    let longest = Figures::of(varied).millis.1;
    let (before, now) = (surety(plain, varied), surety(varied, plain));
    let mut out = format!(
        "{variant}: {} of {} verdicts changed; {} right, {} wrong, {} inconclusive, \
         {} confident wrong; mean confidence {before:.3} -> {now:.3}; longest {longest} ms\n",
        changed.len(),
        tally.cases,
        tally.right,
        tally.wrong,
        tally.inconclusive,
        tally.confident_wrong
    );
    out.push_str(&changed.concat());
    for wrong in varied.iter().filter(|outcome| outcome.confident_wrong()) {
        let _ = writeln!(out, "  CONFIDENT WRONG {}", line(wrong));
    }
    for broken in varied.iter().filter(|outcome| !outcome.trouble.is_empty()) {
        let _ = writeln!(out, "  NOT MEASURED {}: {}", broken.id, broken.trouble);
    }
    out.push_str(&promised(variant, varied));
    out
}

/// Mean confidence of `these` over the cases that are right in both runs; 0 of none.
fn surety(these: &[Outcome], those: &[Outcome]) -> f64 {
    let right = |one: &&Outcome| one.came == Came::Right;
    let both = these
        .iter()
        .filter(right)
        .filter(|one| those.iter().filter(right).any(|other| other.id == one.id));
    let sure: Vec<f64> = both.filter_map(|one| one.answer.confidence).collect();
    sure.iter().sum::<f64>() / sure.iter().map(|_| 1.0).sum::<f64>().max(1.0)
}

/// How many reports have what the variant asks of them, and which do not.
fn promised(variant: Variant, varied: &[Outcome]) -> String {
    let asked: Vec<(&str, &str, bool)> = varied
        .iter()
        .filter_map(|outcome| {
            let (what, kept) = variant.promise(outcome)?;
            Some((outcome.id.as_str(), what, kept))
        })
        .collect();
    let Some((_, what, _)) = asked.first() else { return String::new() };
    let missing: Vec<&str> =
        asked.iter().filter(|(_, _, kept)| !kept).map(|(id, _, _)| *id).collect();
    let mut out = format!("  {} of {} reports {what}", asked.len() - missing.len(), asked.len());
    if !missing.is_empty() {
        let _ = write!(out, "; not {}", missing.join(" "));
    }
    out + "\n"
}

/// Whether the verdict is another one: how it stands to the truth, or its category. Names of
/// objects may differ, as a variant may have renamed them.
#[must_use]
pub fn differs(before: &Outcome, now: &Outcome) -> bool {
    before.came != now.came
        || (now.came != Came::Inconclusive && before.answer.category != now.answer.category)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::outcome::tests::outcome;

    #[test]
    fn the_summary_counts_by_category_and_in_all() {
        let outcomes = [
            outcome("a", "oom_killed", Some(("oom_killed", 0.9))),
            outcome("b", "oom_killed", Some(("disk_full", 0.9))),
            outcome("c", "disk_full", None),
        ];
        let summary = summary(&outcomes);
        let numbers = |name: &str| -> Vec<String> {
            let line = summary.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().skip(1).map(str::to_owned).collect()
        };
        assert_eq!(numbers("oom_killed"), ["2", "1", "1", "0", "1", "1"], "{summary}");
        assert_eq!(numbers("disk_full"), ["1", "0", "0", "1", "0", "0"]);
        assert_eq!(numbers("all"), ["3", "1", "1", "1", "1", "1"]);
        let tenth = "said 0.9 to 1.0:    2 answers, mean 0.90, right 0.50";
        assert!(summary.contains(tenth), "{summary}");
        assert!(summary.contains("Brier score    0.410 over 2"), "{summary}");
    }

    #[test]
    fn a_line_tells_what_was_said_what_is_true_and_what_failed() {
        let outcome = outcome("b", "oom_killed", Some(("disk_full", 0.9)));
        let line = list(&[outcome]);
        for part in [
            "b ",
            "WRONG!",
            "disk_full Deployment/a/web 0.90",
            "true: oom_killed",
            "failed: category",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }

    #[test]
    fn a_variant_tells_which_verdicts_changed_and_which_are_sure_and_wrong() {
        let plain = [
            outcome("a", "oom_killed", Some(("oom_killed", 0.9))),
            outcome("b", "oom_killed", Some(("oom_killed", 0.9))),
        ];
        let varied = [
            outcome("a", "oom_killed", Some(("oom_killed", 0.6))),
            outcome("b", "oom_killed", Some(("disk_full", 0.8))),
        ];
        let told = beside(Variant::FailHalf(3), &plain, &varied);
        let first = "half of the calls fail (seed 3): 1 of 2 verdicts changed; 1 right, 1 wrong";
        assert!(told.starts_with(first), "{told}");
        assert!(told.contains("mean confidence 0.900 -> 0.600"), "{told}");
        assert_eq!(told.matches("CONFIDENT WRONG b").count(), 1, "{told}");
        assert!(told.ends_with("0 of 2 reports name a gap; not a b\n"), "{told}");
    }
}
