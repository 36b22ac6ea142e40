//! What a report looks like, one of each verdict.
#![allow(clippy::unwrap_used, reason = "tests")]

use agent_proto::{
    tool::v1::{EntityRef, Failure, Observation, RiskLevel, ToolRef},
    v1::{
        EndReason, EpisodeMatch, Evidence, Gap, Horizon, Hypothesis, MemoryOutcome, PlanOutcome,
        Recommendation, RootCause, Severity, StepSummary, TimelineEntry, Usage,
    },
};
use prost_types::{Duration, Timestamp};

use super::*;
use crate::cli::text::WIDTH;

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds: 1_577_934_000 + second, nanos: 0 })
}

fn object(kind: &str, name: &str) -> EntityRef {
    EntityRef {
        kind: kind.to_owned(),
        namespace: "night".to_owned(),
        name: name.to_owned(),
        ..EntityRef::default()
    }
}

fn evidence(id: &str, statement: &str, quote: &str) -> Evidence {
    Evidence {
        id: id.to_owned(),
        statement: statement.to_owned(),
        tool: Some(ToolRef {
            plugin: "probe".to_owned(),
            tool: "look".to_owned(),
            ..ToolRef::default()
        }),
        weight: 0.5,
        observation: Some(Observation {
            signal: format!("probe.{id}"),
            quote: quote.to_owned(),
            ..Observation::default()
        }),
        ..Evidence::default()
    }
}

fn advice(action: &str, horizon: Horizon, command: &str) -> Recommendation {
    Recommendation {
        action: action.to_owned(),
        horizon: horizon.into(),
        command: command.to_owned(),
        risk: RiskLevel::Medium.into(),
        ..Recommendation::default()
    }
}

fn gap(subject: &str) -> Gap {
    Gap {
        subject: subject.to_owned(),
        failure: Some(Failure { message: "timed out after 30 s".to_owned(), ..Failure::default() }),
        impact: "a crash before 03:00 would not be known".to_owned(),
    }
}

fn other(category: &str, rejection: &str) -> Hypothesis {
    Hypothesis {
        category: category.to_owned(),
        culprit: Some(object("Deployment", "owls")),
        confidence: 0.21,
        rejection: rejection.to_owned(),
        ..Hypothesis::default()
    }
}

/// What is common to reports of all verdicts.
fn report(verdict: Verdict) -> Report {
    Report {
        summary: "What was seen, in a few lines that stand alone.".to_owned(),
        verdict: verdict.into(),
        severity: Severity::P2.into(),
        evidence: vec![
            evidence(
                "e1",
                "container owl was killed 7 times, limit 512Mi",
                "Killed process 77 (owl)",
            ),
            evidence("e2", "memory of container owl reaches 100 % of its limit", ""),
            evidence("e3", "container owl was killed 7 times, limit 512Mi", ""),
        ],
        plan: Some(PlanOutcome {
            steps: ["s1.1", "s1.2", "s2.1"]
                .map(|id| StepSummary { step_id: id.to_owned(), ..StepSummary::default() })
                .into(),
            duration: Some(Duration { seconds: 4, nanos: 200_000_000 }),
            ..PlanOutcome::default()
        }),
        usage_by_stage: [("execute".to_owned(), Usage { tool_calls: 3, ..Usage::default() })]
            .into(),
        ended_by: EndReason::Concluded.into(),
        ..Report::default()
    }
}

fn found() -> Report {
    let cause = RootCause {
        statement:
            "Deployment owls is killed again and again: it needs more memory than its limit \
                    of 512Mi allows, 7 times since 2020-01-02 03:00."
                .to_owned(),
        category: "memory_full".to_owned(),
        culprit: Some(object("Deployment", "owls")),
        confidence: 0.93,
        evidence_ids: ["e1", "e2", "e3"].map(str::to_owned).into(),
        affected: vec![object("Service", "barn"), object("Service", "barn")],
        start_time: at(0),
        confirm_command: "kubectl -n night get pods".to_owned(),
        ..RootCause::default()
    };
    let moment = |second: i64| TimelineEntry {
        time: at(60 * second),
        statement: format!("moment {second}"),
        ..TimelineEntry::default()
    };
    Report {
        root_causes: vec![cause],
        recommendations: vec![
            advice("Raise the limit", Horizon::Immediate, "kubectl -n night set resources"),
            advice("Bound the cache", Horizon::Prevention, ""),
        ],
        timeline: (0..9).map(moment).collect(),
        gaps: vec![gap("logs of pod owls-1")],
        alternatives: vec![other("bad_deploy", "the newest rollout is 3 days old")],
        memory: Some(MemoryOutcome {
            similar: vec![EpisodeMatch {
                similarity: 0.91,
                reason: "same type and service".to_owned(),
                ..EpisodeMatch::default()
            }],
            tool_calls_saved: 5,
            ..MemoryOutcome::default()
        }),
        ..report(Verdict::RootCauseFound)
    }
}

fn page(report: Option<Report>, style: Style) -> String {
    let alert = Alert {
        r#type: "high_memory".to_owned(),
        service: "owls".to_owned(),
        namespace: "night".to_owned(),
        start_time: at(600),
        ..Alert::default()
    };
    investigation(
        &Investigation {
            name: "investigations/0198".to_owned(),
            alert: Some(alert),
            state: InvestigationState::Running.into(),
            report,
            ..Investigation::default()
        },
        style,
    )
}

#[test]
fn a_cause_leads_and_what_carries_it_follows() {
    insta::assert_snapshot!(page(Some(found()), Style::Plain));
}

#[test]
fn nothing_wrong_is_said_first() {
    insta::assert_snapshot!(page(Some(report(Verdict::Healthy)), Style::Plain));
}

#[test]
fn no_conclusion_says_what_would_decide() {
    let report = Report {
        deciding_questions: vec!["does the node tell of disk pressure?".to_owned()],
        gaps: ["a", "b", "c", "d", "e", "f", "g"].map(gap).into(),
        alternatives: vec![other("disk_full", ""), other("bad_deploy", "")],
        ended_by: EndReason::MaxRounds.into(),
        ..report(Verdict::Inconclusive)
    };
    insta::assert_snapshot!(page(Some(report), Style::Plain));
}

#[test]
fn what_still_runs_is_told_in_a_line() {
    assert_eq!(
        page(None, Style::Plain),
        "high_memory on owls in night: has no report yet; `agentd watch 0198` follows it\n"
    );
}

#[test]
fn a_usual_case_fits_the_page_and_is_bold_on_a_terminal_only() {
    let plain = page(Some(found()), Style::Plain);
    assert!(plain.lines().count() <= 45, "{}", plain.lines().count());
    assert!(plain.lines().all(|line| line.chars().count() <= WIDTH), "{plain}");
    let bold = page(Some(found()), Style::Terminal);
    assert!(!plain.contains('\u{1b}') && bold.contains("\u{1b}[1mBecause\u{1b}[0m"), "{bold}");
    let letters = bold.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "").replace("\u{1b}[2m", "");
    assert_eq!(letters, plain);
}

#[test]
fn three_replicas_that_tell_the_same_are_one_quote() {
    let plain = page(Some(found()), Style::Plain);
    assert_eq!(plain.matches("container owl was killed").count(), 1, "{plain}");
}
