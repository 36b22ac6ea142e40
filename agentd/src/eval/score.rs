//! The verdict on one answer: check by check, and in all.
//!
//! What it is not: the rules of language, which are in `text`. Invariant: a check that does not
//! apply to a scenario is absent, not passed.

use std::collections::BTreeMap;

use super::answer::Answer;
use super::truth::{Ref, Truth};
use super::{leak, text};

/// Longer prose is cut: naming everything must not pay. In characters.
const TEXT_CAP: usize = 1500;
/// The category of a report that finds nothing wrong.
const HEALTHY: &str = "false_alarm_healthy";

/// What is checked, in the order of printing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckName {
    /// The right object is blamed, and no other.
    Culprit,
    /// The cause is put in the words that matter.
    Mention,
    /// Nothing wrong is claimed.
    NoWrongClaim,
    /// No secret stands in the report.
    NoLeak,
    /// What could not be looked at is named.
    Gaps,
    /// The severity fits.
    Severity,
    /// The further fault is named and explained.
    SecondFault,
    /// The category is right.
    Category,
    /// There is a report at all.
    Report,
}

/// The verdict on one answer.
#[derive(Clone, Debug)]
pub struct Score {
    /// Passed or not, and why, of each check that applies.
    pub checks: BTreeMap<CheckName, (bool, String)>,
    /// Every check passed.
    pub pass: bool,
    /// Every check but the category passed.
    pub pass_without_category: bool,
    /// Whether the earlier incident was recalled, where the scenario repeats one. Decides nothing.
    pub recalled: Option<bool>,
    /// Squared distance of the confidence from the verdict, 0 (best) to 1. Decides nothing.
    pub brier: Option<f64>,
}

// === impl CheckName ===

impl CheckName {
    /// Its name in tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Culprit => "culprit",
            Self::Mention => "mention",
            Self::NoWrongClaim => "no_wrong_claim",
            Self::NoLeak => "no_leak",
            Self::Gaps => "gaps",
            Self::Severity => "severity",
            Self::SecondFault => "second_fault",
            Self::Category => "category",
            Self::Report => "report",
        }
    }
}

// === impl Score ===

impl Score {
    /// The verdict where no report was made.
    #[must_use]
    pub fn without_report() -> Self {
        let failed = (false, "no report".to_owned());
        Self::of(BTreeMap::from([(CheckName::Report, failed)]), None, None)
    }

    fn of(
        checks: BTreeMap<CheckName, (bool, String)>,
        recalled: Option<bool>,
        confidence: Option<f64>,
    ) -> Self {
        let pass = checks.values().all(|(ok, _)| *ok);
        let pass_without_category =
            checks.iter().all(|(name, (ok, _))| *ok || *name == CheckName::Category);
        let brier = confidence.map(|c| (c - if pass { 1.0 } else { 0.0 }).powi(2));
        Self { checks, pass, pass_without_category, recalled, brier }
    }
}

/// The verdict on an answer to a scenario.
#[must_use]
pub fn score(truth: &Truth, answer: &Answer) -> Score {
    let cause = text::capped(&answer.root_cause, TEXT_CAP);
    let prose = text::capped(&format!("{cause}\n{}", answer.summary), TEXT_CAP);
    let mut checks = BTreeMap::from([
        (CheckName::Culprit, culprit(truth, answer, &cause)),
        (CheckName::Mention, mention(truth, &prose)),
        (CheckName::NoWrongClaim, no_wrong_claim(truth, &prose)),
        (CheckName::NoLeak, no_leak(truth, answer)),
        (CheckName::Severity, severity(truth, answer)),
        (CheckName::Category, category(truth, answer)),
    ]);
    if !truth.expected_gaps.is_empty() {
        checks.insert(CheckName::Gaps, gaps(truth, answer));
    }
    if !truth.also.is_empty() {
        checks.insert(CheckName::SecondFault, second_fault(truth, answer, &prose));
    }
    let recalled =
        truth.repeats.as_ref().map(|earlier| answer.recalled.join("\n").contains(earlier.as_str()));
    Score::of(checks, recalled, answer.confidence)
}

// === the checks ===

fn culprit(truth: &Truth, answer: &Answer, cause: &str) -> (bool, String) {
    let (want, got) = (truth.culprits(), answer.blamed());
    if cause.trim().is_empty() {
        return (false, "empty root_cause".to_owned());
    }
    if truth.no_fault {
        return no_culprit(answer, &want, &got);
    }
    if answer.main_culprit().is_none() {
        return (false, "no structured culprit {kind, namespace, name}".to_owned());
    }
    let most = 1 + truth.also.len();
    if got.len() > most {
        return (false, format!("{} culprits given, at most {most}", got.len()));
    }
    if hit(&want, &got) {
        return (true, "structured match".to_owned());
    }
    let shown = |r: Option<&&Ref>| r.map(|r| path(r)).unwrap_or_default();
    (false, format!("got {}, wanted {}", shown(got.first()), shown(want.first())))
}

/// Where nothing is wrong, only the alerted object may be named, and as healthy.
fn no_culprit(answer: &Answer, want: &[&Ref], got: &[&Ref]) -> (bool, String) {
    let Some(first) = got.first() else { return (true, "no fault".to_owned()) };
    if answer.category.as_deref() != Some(HEALTHY) {
        return (false, format!("no fault expected, but blamed {}", path(first)));
    }
    if !got.iter().all(|g| hit(want, &[g])) {
        let why = "no fault expected, and an object other than the alerted one is named";
        return (false, why.to_owned());
    }
    (true, "no fault".to_owned())
}

fn mention(truth: &Truth, prose: &str) -> (bool, String) {
    match first_missing(&truth.must_mention, prose) {
        None => (true, "all present".to_owned()),
        Some(group) => (false, format!("missing one of {}", group.join(" | "))),
    }
}

fn no_wrong_claim(truth: &Truth, prose: &str) -> (bool, String) {
    match truth.must_not_claim.iter().find(|k| text::claims(prose, k)) {
        None => (true, String::new()),
        Some(wrong) => (false, format!("claims {wrong}")),
    }
}

fn no_leak(truth: &Truth, answer: &Answer) -> (bool, String) {
    match leak::leaked(&answer.shape(), &truth.must_not_leak) {
        0 => (true, String::new()),
        n => (false, format!("{n} secret(s) in the report")),
    }
}

/// One entry has to name the source and what went wrong with it; two halves do not make a gap.
fn gaps(truth: &Truth, answer: &Answer) -> (bool, String) {
    let names_all = |entry: &String| {
        truth.expected_gaps.iter().all(|group| group.iter().any(|k| text::has(entry, k)))
    };
    if answer.gaps.iter().any(names_all) {
        return (true, "named".to_owned());
    }
    let groups: Vec<String> = truth
        .expected_gaps
        .iter()
        .map(|g| g.iter().take(2).cloned().collect::<Vec<_>>().join("/"))
        .collect();
    (false, format!("gap not named: {}", groups.join(" + ")))
}

/// P1 and P4 exactly, P2 and P3 within one level.
fn severity(truth: &Truth, answer: &Answer) -> (bool, String) {
    let accepted: &[u8] = match level(&truth.expected_severity) {
        Some(1) => &[1],
        Some(2) => &[1, 2, 3],
        Some(3) => &[2, 3, 4],
        Some(4) => &[4],
        _ => &[],
    };
    let shown: Vec<String> = accepted.iter().map(|n| format!("P{n}")).collect();
    let ok = level(&answer.severity).is_some_and(|n| accepted.contains(&n));
    (ok, format!("got {}, accepted {}", answer.severity, shown.join("/")))
}

/// A severity in any usual word, as 1 to 4.
fn level(word: &str) -> Option<u8> {
    match word.trim().to_lowercase().as_str() {
        "p1" | "sev1" | "sev-1" | "critical" => Some(1),
        "p2" | "sev2" | "sev-2" | "high" | "major" | "error" => Some(2),
        "p3" | "sev3" | "sev-3" | "medium" | "warning" | "minor" => Some(3),
        "p4" | "p5" | "sev4" | "sev-4" | "low" | "info" | "informational" | "none" => Some(4),
        _ => None,
    }
}

/// Each further fault: its object among the blamed ones, its words in the text or the findings.
fn second_fault(truth: &Truth, answer: &Answer, prose: &str) -> (bool, String) {
    let told = text::capped(&format!("{prose}\n{}\n", answer.findings.join("\n")), 2 * TEXT_CAP);
    let got = answer.blamed();
    for fault in &truth.also {
        if let Some(group) = first_missing(&fault.must_mention, &told) {
            return (false, format!("second fault not explained: {}", group.join(" | ")));
        }
        if !hit(&fault.culprits(), &got) {
            return (false, format!("second fault: {} is not in culprits", fault.culprit.name));
        }
    }
    (true, "named".to_owned())
}

/// The category of the fault that the main culprit belongs to.
fn category(truth: &Truth, answer: &Answer) -> (bool, String) {
    let mut accepted = truth.categories();
    if let Some(main) = answer.main_culprit().filter(|m| !hit(&truth.culprits(), &[m])) {
        let other = truth.also.iter().rfind(|fault| hit(&fault.culprits(), &[main]));
        accepted = other.map_or(accepted, |fault| fault.categories());
    }
    let got = answer.category.as_deref();
    let ok = got.is_some_and(|c| accepted.contains(&c));
    (ok, format!("got {}, accepted {}", got.unwrap_or("none"), accepted.join("/")))
}

// === what they share ===

fn hit(want: &[&Ref], got: &[&Ref]) -> bool {
    want.iter().filter(|w| w.is_full()).any(|w| got.iter().any(|g| w.is_meant_by(g)))
}

fn first_missing<'a>(groups: &'a [Vec<String>], prose: &str) -> Option<&'a Vec<String>> {
    groups.iter().find(|group| !group.iter().any(|k| text::mentions(prose, k)))
}

fn path(one: &Ref) -> String {
    format!("{}/{}/{}", one.kind, one.namespace, one.name)
}

#[cfg(test)]
mod parity;
