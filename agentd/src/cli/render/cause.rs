//! The head of a report, by its verdict.

use agent_proto::v1::{Alert, Evidence, Report, RootCause, Severity};

use super::{Page, alerted_at, bold, evidence};
use crate::cli::text::{cut, minute, object, percent, time, wrapped};

/// Most quotes shown for the first cause.
const QUOTES: usize = 3;
/// Most quotes shown for each further one.
const FURTHER_QUOTES: usize = 2;
/// Longest quote shown, in characters.
const LONGEST_QUOTE: usize = 190;

/// One cause or several.
pub(super) fn found(page: &mut Page, report: &Report, alert: Option<&Alert>) {
    for (rank, cause) in report.root_causes.iter().enumerate() {
        if rank > 0 {
            page.block("\nAnd independently of it:");
        }
        lead(page, report, cause, alert);
        let most = if rank > 0 { FURTHER_QUOTES } else { QUOTES };
        let quotes: Vec<String> = carrying(report, cause, most).into_iter().map(quote).collect();
        page.headed("Because", &quotes);
        if !cause.confirm_command.is_empty() {
            page.headed("Make sure", &[command(&cause.confirm_command)]);
        }
    }
}

/// Nothing is wrong.
pub(super) fn healthy(page: &mut Page, report: &Report) {
    page.block(&bold(page.style, "Nothing is wrong now."));
    page.block(&wrapped("", &report.summary));
    let quotes: Vec<String> = heaviest(report, QUOTES).into_iter().map(quote).collect();
    page.headed("Because", &quotes);
}

/// No conclusion.
pub(super) fn open(page: &mut Page, report: &Report) {
    page.block(&bold(page.style, "No conclusion: the evidence does not carry one."));
    page.block(&wrapped("", &report.summary));
    page.block(&wrapped("", &format!("Severity {}.", severity(report.severity()))));
    let quotes: Vec<String> = heaviest(report, QUOTES).into_iter().map(quote).collect();
    page.headed("Seen", &quotes);
    let asked: Vec<String> =
        report.deciding_questions.iter().take(4).map(|asked| wrapped("  - ", asked)).collect();
    page.headed("What would decide", &asked);
}

fn lead(page: &mut Page, report: &Report, cause: &RootCause, alert: Option<&Alert>) {
    let culprit = cause.culprit.as_ref().map(object).unwrap_or_default();
    page.block(&bold(page.style, &cause.statement));
    page.block(&wrapped("Culprit   ", &format!("{culprit}  [{}]", cause.category)));
    let mut standing = format!(
        "{} ({}), severity {}",
        confidence(cause.confidence),
        percent(cause.confidence),
        severity(report.severity())
    );
    if let Some(start) = time(cause.start_time.as_ref()) {
        standing.push_str(&format!(", since {}", minute(start)));
        let before = alerted_at(alert).map(|at| at.duration_since(start).as_mins());
        if let Some(minutes @ 1..=1440) = before {
            standing.push_str(&format!(", {minutes} min before the alert"));
        }
    }
    page.block(&wrapped("Standing  ", &standing));
}

/// Confidence in words.
pub(super) fn confidence(share: f64) -> &'static str {
    match share {
        s if s >= 0.9 => "almost certain",
        s if s >= 0.75 => "very likely",
        s if s >= 0.6 => "likely",
        s if s >= 0.4 => "possible",
        _ => "a guess",
    }
}

/// Severity with what it means.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::P1 => "P1 (users cannot be served)",
        Severity::P2 => "P2 (users are served badly, or soon not at all)",
        Severity::P3 => "P3 (degraded, little effect on users)",
        Severity::P4 => "P4 (for information)",
        Severity::Unspecified => "not judged",
    }
}

/// The evidence for a cause that carries it.
fn carrying<'a>(report: &'a Report, cause: &RootCause, most: usize) -> Vec<&'a Evidence> {
    let cited = cause.evidence_ids.iter().filter_map(|id| evidence(report, id));
    chosen(cited.collect(), most)
}

fn heaviest(report: &Report, most: usize) -> Vec<&Evidence> {
    chosen(report.evidence.iter().filter(|e| !e.contradicts).collect(), most)
}

/// The heaviest first, each of another signal while there are any: three replicas that tell the
/// same carry less than one replica, its memory and its log.
fn chosen(mut all: Vec<&Evidence>, most: usize) -> Vec<&Evidence> {
    fn signal(evidence: &Evidence) -> &str {
        evidence.observation.as_ref().map_or("", |o| o.signal.as_str())
    }
    all.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    let mut told: Vec<&Evidence> = Vec::new();
    for new_only in [true, false] {
        for one in &all {
            let again = told.iter().any(|other| {
                one.statement == other.statement || (new_only && signal(one) == signal(other))
            });
            if told.len() < most && !again {
                told.push(one);
            }
        }
    }
    told
}

/// What was observed, the words of the source, and who saw it.
fn quote(evidence: &Evidence) -> String {
    let tool = evidence.tool.as_ref().map(|of| format!("{}.{}", of.plugin, of.tool));
    let seen = tool.map(|tool| format!(" [{tool}]")).unwrap_or_default();
    let mut said = wrapped("  - ", &format!("{}{seen}", evidence.statement));
    let words = evidence.observation.as_ref().map_or("", |o| o.quote.as_str());
    if !words.trim().is_empty() && !evidence.statement.contains(words.trim()) {
        said.push('\n');
        said.push_str(&wrapped(
            "      \u{201c}",
            &format!("{}\u{201d}", cut(words, LONGEST_QUOTE)),
        ));
    }
    said
}

/// A command as it is typed; never wrapped, so that it can be copied.
pub(super) fn command(command: &str) -> String {
    format!("    $ {command}")
}
