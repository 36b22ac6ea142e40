//! What follows the head of a report, the same for every verdict: what to do, what suffers, when
//! it happened, what was not seen, what was set aside, what was done.

use std::collections::BTreeSet;

use agent_proto::{
    tool::v1::RiskLevel,
    v1::{EndReason, Horizon, Report, TimelineEntry},
};

use super::{Page, cause::command};
use crate::cli::text::{clock, counted, cut, object, percent, time, took, wrapped};

/// Most entries of each kind; what is left out is counted.
const MOST: usize = 4;
/// Most moments of the timeline.
const MOMENTS: usize = 6;
/// Longest sentence of what comes late on the page, in characters.
const LONG: usize = 180;

/// Everything below the head. `of` names the investigation.
pub(super) fn all(page: &mut Page, report: &Report, of: &str) {
    page.headed("Do now", &advice(report, Horizon::Immediate));
    page.headed("So that it stays away", &advice(report, Horizon::Prevention));
    page.headed("Suffers from it", &affected(report));
    page.headed("What happened (UTC)", &timeline(&report.timeline));
    page.headed("Not seen", &gaps(report));
    page.headed("Set aside", &alternatives(report));
    page.headed("Done", &done(report, of));
}

fn advice(report: &Report, horizon: Horizon) -> Vec<String> {
    let wanted = report.recommendations.iter().filter(|advice| match advice.horizon() {
        Horizon::Prevention => horizon == Horizon::Prevention,
        Horizon::Immediate | Horizon::Unspecified => horizon == Horizon::Immediate,
    });
    let mut lines = Vec::new();
    for one in wanted.take(MOST) {
        let risk = match one.risk() {
            RiskLevel::Unspecified | RiskLevel::Low => "",
            RiskLevel::Medium => " (medium risk)",
            RiskLevel::High => " (high risk)",
            RiskLevel::Critical => " (critical risk)",
        };
        lines.push(wrapped("  - ", &format!("{}{risk}", one.action)));
        if horizon == Horizon::Immediate && !one.command.is_empty() {
            lines.push(command(&one.command));
        }
    }
    lines
}

fn affected(report: &Report) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let all = report.root_causes.iter().flat_map(|cause| &cause.affected).map(object);
    let named: Vec<String> = all.filter(|name| seen.insert(name.clone())).collect();
    if named.is_empty() {
        return Vec::new();
    }
    vec![wrapped("  ", &listed(&named, 2 * MOST))]
}

/// The moments, with the ones in the middle left out when there are many: how it began and how it
/// stands tell most.
fn timeline(entries: &[TimelineEntry]) -> Vec<String> {
    let line = |entry: &TimelineEntry| {
        let at = time(entry.time.as_ref()).map(clock).unwrap_or_default();
        wrapped(&format!("  {at}  "), &cut(&entry.statement, LONG))
    };
    let mut told = BTreeSet::new();
    let new: Vec<&TimelineEntry> =
        entries.iter().filter(|entry| told.insert(entry.statement.as_str())).collect();
    if new.len() <= MOMENTS {
        return new.into_iter().map(line).collect();
    }
    let (first, last) = (MOMENTS - 2, 2);
    let mut lines: Vec<String> = new.iter().take(first).map(|entry| line(entry)).collect();
    lines.push(format!("            … {} more", new.len() - first - last));
    lines.extend(new.iter().skip(new.len() - last).map(|entry| line(entry)));
    lines
}

fn gaps(report: &Report) -> Vec<String> {
    let line = |gap: &agent_proto::v1::Gap| {
        let why = gap.failure.as_ref().map_or("", |failure| failure.message.as_str());
        let cost = if gap.impact.is_empty() { String::new() } else { format!("; {}", gap.impact) };
        wrapped("  - ", &cut(&format!("{}: {why}{cost}", gap.subject), LONG))
    };
    bounded(report.gaps.iter().map(line).collect())
}

fn alternatives(report: &Report) -> Vec<String> {
    let line = |other: &agent_proto::v1::Hypothesis| {
        let culprit = other.culprit.as_ref().map(object).unwrap_or_default();
        let why = match (other.rejection.as_str(), other.missing_signals.as_slice()) {
            ("", []) => String::new(),
            ("", missing) => format!(": not seen: {}", listed(missing, 2)),
            (said, _) => format!(": {said}"),
        };
        let belief = percent(other.confidence);
        let said = format!("{} of {culprit}, {belief}{why}", other.category);
        wrapped("  - ", &cut(&said, 2 * 96 - 4))
    };
    bounded(report.alternatives.iter().map(line).collect())
}

fn done(report: &Report, of: &str) -> Vec<String> {
    let plan = report.plan.clone().unwrap_or_default();
    let calls: i32 = report.usage_by_stage.values().map(|usage| usage.tool_calls).sum();
    // The planner numbers steps as s{round}.{step}.
    let rounds: BTreeSet<&str> =
        plan.steps.iter().filter_map(|step| Some(step.step_id.split_once('.')?.0)).collect();
    let mut said = format!(
        "{} in {} and {}",
        counted(usize::try_from(calls).unwrap_or_default(), "tool call"),
        counted(rounds.len(), "round"),
        took(plan.duration.as_ref()),
    );
    if let Some(end) = ended(report.ended_by()) {
        said.push_str(&format!("; {end}"));
    }
    let mut lines = vec![wrapped("  ", of), wrapped("  ", &said)];
    lines.extend(remembered(report));
    lines
}

/// What memory gave: the cases that were like this one, and what became of their causes.
fn remembered(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let memory = report.memory.clone().unwrap_or_default();
    if let Some(best) = memory.similar.first() {
        let saved = match usize::try_from(memory.tool_calls_saved).unwrap_or_default() {
            0 => String::new(),
            calls => format!("; memory saved {}", counted(calls, "call")),
        };
        let cases = counted(memory.similar.len(), "earlier case");
        let said =
            format!("{cases}, the best {} alike: {}{saved}", percent(best.similarity), best.reason);
        lines.push(wrapped("  ", &said));
        lines.push(wrapped("  ", &memory.statement));
    }
    if let Some(pattern) = memory.patterns.first() {
        lines.push(wrapped("  ", &pattern.statement));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

/// What cut it short, if anything did.
fn ended(by: EndReason) -> Option<&'static str> {
    match by {
        EndReason::Unspecified | EndReason::Concluded => None,
        EndReason::MaxRounds => Some("ended as its rounds were used up"),
        EndReason::MaxToolCalls => Some("ended as its tool calls were used up"),
        EndReason::Deadline => Some("ended as its time was used up"),
        EndReason::Budget => Some("ended as its budget was used up"),
        EndReason::Repetition => Some("ended as it went in circles"),
        EndReason::KillSwitch => Some("ended by the kill switch"),
        EndReason::Cancelled => Some("withdrawn"),
        EndReason::DaemonRestarted => Some("ended as the daemon was restarted"),
    }
}

fn bounded(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > MOST + 1 {
        let left = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("    … {left} more"));
    }
    lines
}

fn listed(words: &[String], most: usize) -> String {
    let shown: Vec<&str> = words.iter().map(String::as_str).take(most).collect();
    match words.len().saturating_sub(most) {
        0 => shown.join(", "),
        left => format!("{} and {left} more", shown.join(", ")),
    }
}
