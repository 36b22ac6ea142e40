//! Scores as a table for people: a line per scenario, then sums by check and by difficulty.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::score::{CheckName, Score};

/// The score of one scenario and what the table says about it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Name of the scenario.
    pub id: String,
    /// `easy`, `medium` or `hard`.
    pub difficulty: String,
    /// The true category.
    pub category: String,
    /// The verdict.
    pub score: Score,
}

/// Passed, passed without category, of how many.
#[derive(Clone, Copy, Default)]
struct Sum {
    passed: u32,
    without_category: u32,
    of: u32,
}

/// The table: per scenario whether it passed and what failed, then the sums, recall and Brier score.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    let mut out: String = rows.iter().map(line).collect();
    out.push_str(&by_check(rows));
    out.push_str(&by_difficulty(rows));
    out.push_str(&beside(rows));
    out
}

fn line(row: &Row) -> String {
    let failed = row.score.checks.iter().filter(|(_, (ok, _))| !ok);
    let why: Vec<String> =
        failed.map(|(name, (_, why))| format!("{}: {why}", name.as_str())).collect();
    let verdict = if row.score.pass { "PASS" } else { "FAIL" };
    let text =
        format!("{} {verdict} {:6} {:32} {}", row.id, row.difficulty, row.category, why.join("; "));
    format!("{}\n", text.trim_end())
}

fn by_check(rows: &[Row]) -> String {
    let mut sums: BTreeMap<CheckName, (u32, u32)> = BTreeMap::new();
    for (name, (ok, _)) in rows.iter().flat_map(|r| &r.score.checks) {
        let sum = sums.entry(*name).or_default();
        *sum = (sum.0 + u32::from(*ok), sum.1 + 1);
    }
    let shown: Vec<String> =
        sums.iter().map(|(n, (a, b))| format!("{} {a}/{b}", n.as_str())).collect();
    format!("\nchecks:  {}\n", shown.join("  "))
}

fn by_difficulty(rows: &[Row]) -> String {
    let mut out = String::new();
    for name in ["easy", "medium", "hard", "overall"] {
        let mut sum = Sum::default();
        for row in rows.iter().filter(|r| name == "overall" || r.difficulty == name) {
            sum.passed += u32::from(row.score.pass);
            sum.without_category += u32::from(row.score.pass_without_category);
            sum.of += 1;
        }
        if sum.of == 0 {
            continue;
        }
        let share = |n: u32| {
            format!("{n:3}/{:<3} {:5.1}%", sum.of, 100.0 * f64::from(n) / f64::from(sum.of))
        };
        let (all, most) = (share(sum.passed), share(sum.without_category));
        let _ = writeln!(out, "{name:8} pass {all}   without category {most}");
    }
    out
}

/// What is told and decides nothing.
fn beside(rows: &[Row]) -> String {
    let mut out = String::new();
    let recalled: Vec<bool> = rows.iter().filter_map(|r| r.score.recalled).collect();
    if !recalled.is_empty() {
        let named = recalled.iter().filter(|r| **r).count();
        let of = recalled.len();
        let _ = writeln!(
            out,
            "recall   {named:3}/{of:<3} (repeats that name the earlier incident; no part of passing)"
        );
    }
    let brier: Vec<f64> = rows.iter().filter_map(|r| r.score.brier).collect();
    if let Ok(of @ 1..) = u32::try_from(brier.len()) {
        let mean = brier.iter().sum::<f64>() / f64::from(of);
        let _ = writeln!(out, "brier    {mean:.3} over {of} reports with a confidence");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CheckName, Row, Score, table};

    fn row(id: &str, difficulty: &str, category_ok: bool, recalled: Option<bool>) -> Row {
        let checks = BTreeMap::from([
            (CheckName::Culprit, (true, "structured match".to_owned())),
            (CheckName::Category, (category_ok, "got disk_full, accepted oom_killed".to_owned())),
        ]);
        let score = Score {
            checks,
            pass: category_ok,
            pass_without_category: true,
            recalled,
            brier: Some(0.25),
        };
        Row { id: id.into(), difficulty: difficulty.into(), category: "oom_killed".into(), score }
    }

    #[test]
    fn the_table_tells_what_failed_and_sums_up() {
        let missing = Row { score: Score::without_report(), ..row("s003", "hard", true, None) };
        let rows =
            [row("s001", "easy", true, None), row("s002", "easy", false, Some(true)), missing];
        let expected = "\
s001 PASS easy   oom_killed
s002 FAIL easy   oom_killed                       category: got disk_full, accepted oom_killed
s003 FAIL hard   oom_killed                       report: no report

checks:  culprit 2/2  category 1/2  report 0/1
easy     pass   1/2    50.0%   without category   2/2   100.0%
hard     pass   0/1     0.0%   without category   0/1     0.0%
overall  pass   1/3    33.3%   without category   2/3    66.7%
recall     1/1   (repeats that name the earlier incident; no part of passing)
brier    0.250 over 2 reports with a confidence
";
        assert_eq!(table(&rows), expected);
    }
}
