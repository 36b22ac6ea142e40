//! What an explanation looks like.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use agent_proto::{
    tool::v1::{EntityRef, Failure, Observation, Relation, RelationKind, ToolRef},
    v1::{Account, Alert, EvidenceShare, Factor, Gap, Severity, TimelineEntry},
};

use super::*;

fn entity(kind: &str, name: &str) -> EntityRef {
    EntityRef {
        kind: kind.to_owned(),
        namespace: "night".to_owned(),
        name: name.to_owned(),
        ..EntityRef::default()
    }
}

fn evidence(id: &str, signal: &str, statement: &str, minute: i64) -> Evidence {
    let at = prost_types::Timestamp { seconds: 1_577_934_000 + 60 * minute, nanos: 0 };
    Evidence {
        id: id.to_owned(),
        statement: statement.to_owned(),
        tool: Some(ToolRef {
            plugin: "probe".to_owned(),
            tool: "look".to_owned(),
            ..ToolRef::default()
        }),
        observation: Some(Observation {
            signal: signal.to_owned(),
            subject: Some(entity("Pod", &format!("owls-{id}"))),
            start_time: Some(at),
            quote: if id == "e1" {
                "Killed process 77 (owl)\u{1b}[2J".to_owned()
            } else {
                String::new()
            },
            ..Observation::default()
        }),
        ..Evidence::default()
    }
}

fn account(belief: f64, rivals: f64) -> Account {
    let factor = |name: &str, value: f64| Factor { name: name.to_owned(), value };
    let share = |id: &str, weight| EvidenceShare { evidence_id: id.to_owned(), weight };
    Account {
        factors: vec![factor("support", 0.95), factor("sight", belief / 0.95)],
        belief,
        rivals,
        shares: vec![share("e1", 0.88), share("e2", 0.35), share("e3", 0.88)],
        explained_evidence_ids: ["e1", "e3", "e4"].map(str::to_owned).into(),
        explained_count: 3,
        unseen_tools: vec!["logs.look".to_owned()],
        question: "Was it killed?".to_owned(),
        path: vec![
            Relation {
                from: Some(entity("Service", "barn")),
                to: Some(entity("Service", "owls")),
                kind: RelationKind::Calls.into(),
            },
            Relation {
                from: Some(entity("Service", "owls")),
                to: Some(entity("Pod", "owls-e1")),
                kind: RelationKind::Selects.into(),
            },
        ],
        reached: true,
        start_time: Some(prost_types::Timestamp { seconds: 1_577_934_000, nanos: 0 }),
        source: "plugin feathers 1.0.0".to_owned(),
    }
}

fn moments() -> Vec<TimelineEntry> {
    let at =
        |minute: i64| prost_types::Timestamp { seconds: 1_577_934_000 + 60 * minute, nanos: 0 };
    let moment = |minute| TimelineEntry {
        time: Some(at(minute)),
        statement: format!("moment {minute}"),
        evidence_id: String::new(),
    };
    (0..20).map(moment).collect()
}

fn alert() -> Alert {
    Alert {
        r#type: "high_memory".to_owned(),
        service: "owls".to_owned(),
        namespace: "night".to_owned(),
        ..Alert::default()
    }
}

fn found() -> Explanation {
    let leads = Hypothesis {
        id: "h1".to_owned(),
        statement: "Deployment owls needs more memory than it may have.".to_owned(),
        confidence: 0.8,
        category: "memory_full".to_owned(),
        culprit: Some(entity("Deployment", "owls")),
        missing_signals: vec!["log.oom".to_owned()],
        account: Some(account(0.9, 0.89)),
        ..Hypothesis::default()
    };
    let rival = Hypothesis {
        id: "h2".to_owned(),
        statement: "The new version of owls misbehaves.".to_owned(),
        confidence: 0.21,
        category: "bad_deploy".to_owned(),
        culprit: Some(entity("Deployment", "owls")),
        evidence_ids: vec!["e3".to_owned(), "e5".to_owned()],
        against_evidence_ids: vec!["e5".to_owned()],
        rejection: "all that speaks for it is explained by memory_full of Deployment owls"
            .to_owned(),
        explained_by: "h1".to_owned(),
        ..Hypothesis::default()
    };
    Explanation {
        investigation: "investigations/0198".to_owned(),
        alert: Some(alert()),
        state: InvestigationState::Partial.into(),
        verdict: Verdict::RootCauseFound.into(),
        summary: "Deployment owls needs more memory than it may have.".to_owned(),
        severity: Severity::P2.into(),
        hypotheses: vec![leads, rival],
        standing_ids: vec!["h1".to_owned()],
        evidence: vec![
            evidence("e1", "container.oom_killed", "owl was killed 7 times", 0),
            evidence("e2", "container.memory_near_limit", "its memory is full", 1),
            evidence("e3", "container.oom_killed", "another owl was killed", 2),
            evidence("e4", "service.error_ratio_high", "barn answers 9 % with errors", 3),
            evidence("e5", "workload.healthy", "all 3 are ready", -2000),
            evidence("e6", "feathers.ruffled", "its feathers are ruffled", 4),
        ],
        gaps: vec![Gap {
            subject: "logs.look".to_owned(),
            failure: Some(Failure {
                message: "timed out after 30 s".to_owned(),
                ..Failure::default()
            }),
            impact: "could not look for log.oom".to_owned(),
        }],
        timeline: moments(),
        deciding_questions: vec![],
        unknown_signals: vec!["feathers.ruffled".to_owned()],
        last_sequence: 40,
    }
}

#[test]
fn a_cause_is_explained_with_all_that_carries_it_and_what_set_the_others_aside() {
    insta::assert_snapshot!(explanation(&found(), Style::Plain, 100));
}

#[test]
fn no_line_is_wider_than_the_terminal_and_nothing_steers_it() {
    for width in [60, 80, 140] {
        let text = explanation(&found(), Style::Plain, width);
        assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let wide = explanation(&found(), Style::Plain, 140);
    assert!(wide.lines().any(|line| line.chars().count() > 100), "{wide}");
}

#[test]
fn one_that_runs_says_how_far_it_is() {
    let running = Explanation {
        state: InvestigationState::Running.into(),
        verdict: Verdict::Unspecified.into(),
        summary: String::new(),
        standing_ids: Vec::new(),
        ..found()
    };
    let text = explanation(&running, Style::Plain, 100);
    assert!(
        text.starts_with("So far, memory_full of Deployment night/owls leads with 80 %\n"),
        "{text}"
    );
    assert!(text.contains("still running, as of event 40"), "{text}");
    let nothing = Explanation { hypotheses: Vec::new(), ..running };
    assert!(explanation(&nothing, Style::Plain, 100).starts_with("So far, nothing is believed\n"));
}

#[test]
fn what_an_earlier_version_stored_is_told_without_numbers() {
    let mut old = found();
    for hypothesis in &mut old.hypotheses {
        hypothesis.account = None;
        hypothesis.evidence_ids = vec!["e1".to_owned()];
    }
    let text = explanation(&old, Style::Plain, 100);
    assert!(text.contains("     - container.oom_killed: owl was killed 7 times"), "{text}");
    assert!(text.contains("an earlier version of agentd wrote this"), "{text}");
    assert!(!text.contains("The numbers"), "{text}");
}

#[test]
fn that_nothing_is_wrong_is_explained_by_what_clears_it() {
    let mut well = found();
    well.verdict = Verdict::Healthy.into();
    well.hypotheses.clear();
    well.evidence[4].weight = 1.0;
    let text = explanation(&well, Style::Plain, 100);
    assert!(text.starts_with("Why nothing is wrong\n"), "{text}");
    assert!(text.contains("What clears it\n  - workload.healthy: all 3 are ready"), "{text}");
}
