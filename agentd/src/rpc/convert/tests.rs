//! Every event survives the wire, and encodes to the same bytes each time.

use std::{collections::BTreeMap, time::Duration};

use uuid::Uuid;

use super::*;
use crate::{
    alert::Alert,
    fact::{Entity, Observation, Relation, RelationKind},
    investigation::{
        Autonomy, Bounds, Investigation, InvestigationId, Phase, Usage,
        event::*,
        finding::*,
        plan::{Plan, Step},
        report::{Conclusion, MemoryOutcome, Report},
    },
    tool::{Effects, Failure, FailureClass, ResultGap, Risk, ToolRef, Violation},
};

fn time(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

fn tool() -> ToolRef {
    ToolRef {
        plugin: "pods".to_owned(),
        tool: "look".to_owned(),
        version: "1.2.0".to_owned(),
        digest: "sha256:00".to_owned(),
    }
}

fn observation() -> Observation {
    Observation {
        signal: "container.oom_killed".to_owned(),
        subject: Entity {
            container: "main".to_owned(),
            cluster: "c".to_owned(),
            ..Entity::new("Pod", "ns", "a-1")
        },
        statement: "killed".to_owned(),
        start: Some(time("2026-01-02T03:04:05.678Z")),
        end: Some(time("2026-01-02T04:04:05Z")),
        count: 7,
        value: Some(1.5),
        baseline: Some(0.0),
        unit: "1".to_owned(),
        attributes: BTreeMap::from([
            ("b".to_owned(), "2".to_owned()),
            ("a".to_owned(), "1".to_owned()),
        ]),
        quote: "„Ende\"".to_owned(),
        peer: Some(Entity::new("Service", "ns", "b")),
    }
}

fn failure() -> Failure {
    Failure {
        metadata: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
        retry_after: Some(Duration::from_millis(1500)),
        violations: vec![Violation {
            field: "f".to_owned(),
            description: "d".to_owned(),
            reason: "R".to_owned(),
        }],
        resource: "v1/Pod a/b".to_owned(),
        effects: Effects::Maybe,
        ..Failure::ours(FailureClass::External, "BACKEND", "it said no")
    }
}

fn evidence() -> Evidence {
    Evidence {
        id: "e1".to_owned(),
        seq: 9,
        tool: tool(),
        weight: 0.25,
        contradicts: true,
        observation: observation(),
    }
}

fn hypothesis() -> Hypothesis {
    Hypothesis {
        id: "h1".to_owned(),
        statement: "s".to_owned(),
        confidence: 0.5,
        category: "oom_killed".to_owned(),
        culprit: Entity::new("Deployment", "ns", "a"),
        evidence: vec!["e1".to_owned()],
        against: vec!["e2".to_owned()],
        rejection: "weak".to_owned(),
        explained_by: "h2".to_owned(),
        missing_signals: vec!["log.oom".to_owned()],
        account: Some(Box::new(account(None))),
    }
}

fn account(path: Option<Vec<Relation>>) -> Account {
    Account {
        factors: vec![Factor { name: "support".to_owned(), value: 0.9 }],
        belief: 0.9,
        rivals: 0.8,
        shares: vec![Share { evidence: "e1".to_owned(), weight: 0.7 }],
        explained: vec!["e1".to_owned()],
        explained_count: 3,
        unseen: vec!["logs.look".to_owned()],
        question: "q".to_owned(),
        start: Some(time("2026-01-02T03:00:00Z")),
        path,
        source: "agentd".to_owned(),
    }
}

fn gap() -> Gap {
    Gap { subject: "logs".to_owned(), failure: failure(), impact: "i".to_owned() }
}

fn root_cause() -> RootCause {
    let path = Relation {
        from: Entity::new("Service", "ns", "a"),
        to: Entity::new("Service", "ns", "b"),
        kind: RelationKind::Calls,
    };
    RootCause {
        statement: "s".to_owned(),
        category: "oom_killed".to_owned(),
        culprit: Entity::new("Deployment", "ns", "a"),
        confidence: 0.9,
        evidence: vec!["e1".to_owned()],
        against: vec![],
        affected: vec![Entity::new("Service", "ns", "a")],
        hypothesis: "h1".to_owned(),
        start: Some(time("2026-01-02T03:00:00Z")),
        account: Some(Box::new(account(Some(vec![path.clone()])))),
        path: vec![path],
        confirm_command: "kubectl get".to_owned(),
    }
}

fn report() -> Report {
    Report {
        conclusion: Conclusion {
            verdict: Verdict::RootCauseFound,
            summary: "sum".to_owned(),
            root_causes: vec![root_cause()],
            severity: Severity::P2,
            evidence: vec![evidence()],
            recommendations: vec![Recommendation {
                action: "a".to_owned(),
                reason: "r".to_owned(),
                risk: Risk::Medium,
                horizon: Horizon::Prevention,
                command: "c".to_owned(),
                confirm_command: "cc".to_owned(),
            }],
            alternatives: vec![hypothesis()],
            timeline: vec![TimelineEntry {
                time: time("2026-01-02T03:00:00Z"),
                statement: "t".to_owned(),
                evidence: "e1".to_owned(),
            }],
            deciding_questions: vec!["q?".to_owned()],
            unknown_signals: vec!["x.y".to_owned()],
            cited: vec![evidence()],
        },
        gaps: vec![gap()],
        steps: vec![StepSummary {
            step: "s1.1".to_owned(),
            // Reports name tools as people do, without version and digest.
            tool: ToolRef { version: String::new(), digest: String::new(), ..tool() },
            purpose: "p".to_owned(),
            outcome: StepOutcome::Partial,
            summary: "su".to_owned(),
            duration: Duration::from_millis(20),
            attempts: 2,
            about: Some(Entity::new("Deployment", "ns", "b")),
            carried: true,
        }],
        plan_reason: "why".to_owned(),
        duration: Duration::from_secs(3),
        memory: MemoryOutcome {
            episode: "episodes/1".to_owned(),
            similar: vec![recalled()],
            patterns: vec![pattern()],
            statement: "the same again".to_owned(),
            total_episodes: 4,
            tool_calls_saved: 3,
        },
        tool_calls: 12,
        ended_by: EndReason::MaxRounds,
        unexplained: ["log.error_pattern".to_owned()].into(),
    }
}

fn recalled() -> EpisodeMatch {
    EpisodeMatch {
        episode: "episodes/0".to_owned(),
        similarity: 0.8,
        category: "oom_killed".to_owned(),
        culprit: Some(Entity::new("Deployment", "ns", "a")),
        root_cause: "then".to_owned(),
        resolution: "more memory".to_owned(),
        reason: "same type".to_owned(),
        tool_calls: 7,
        corrected: true,
        check: Check::NotConfirmed,
    }
}

fn pattern() -> LearnedPattern {
    LearnedPattern {
        statement: "again and again".to_owned(),
        kind: "high_memory".to_owned(),
        service: "a".to_owned(),
        namespace: "ns".to_owned(),
        category: "oom_killed".to_owned(),
        culprit: Some(Entity::new("Deployment", "ns", "a")),
        signals: vec!["container.oom_killed".to_owned()],
        seen: 4,
        confirmed: 3,
        contradicted: 1,
        share: 0.8,
        last: time("2026-01-02T03:04:05Z"),
    }
}

fn investigation(phase: Phase) -> Box<Investigation> {
    Box::new(Investigation {
        id: InvestigationId(Uuid::from_u128(5)),
        alert: Alert {
            kind: "high_memory".to_owned(),
            severity: Some(Severity::P1),
            start: Some(time("2026-01-02T03:04:05Z")),
            labels: BTreeMap::from([("l".to_owned(), "v".to_owned())]),
            ..Alert::default()
        },
        phase,
        autonomy: Autonomy::Staging,
        bounds: Bounds { max_tool_calls: 9, ..Bounds::default() },
        usage: Usage { tool_calls: 12 },
        principal: "local".to_owned(),
        created: time("2026-01-02T03:04:05Z"),
        ended: phase.terminal().then(|| time("2026-01-02T03:05:05Z")),
        last_seq: 3,
        report: phase.terminal().then(report),
        labels: BTreeMap::new(),
    })
}

/// A call that gave something, and one that failed.
fn call_ends() -> [Kind; 2] {
    let finished = ToolCallFinished {
        cached: true,
        call_id: "c".to_owned(),
        duration: Duration::from_millis(7),
        result_json: "{\"n\":9007199254740993}".to_owned(),
        truncated: true,
        failure: None,
        will_retry: false,
        summary: "s".to_owned(),
        observations: vec![observation()],
        observation_count: 3,
        relation_count: 4,
        gaps: vec![ResultGap { subject: "x".to_owned(), failure: failure() }],
        observe_time: Some(time("2026-01-02T03:04:05Z")),
    };
    let failed = ToolCallFinished {
        failure: Some(failure()),
        will_retry: true,
        ..ToolCallFinished::default()
    };
    [finished, failed].map(|ended| Kind::ToolCallFinished(Box::new(ended)))
}

fn every_kind() -> Vec<Kind> {
    let plan = Plan {
        revision: 2,
        steps: vec![Step {
            id: "s2.1".to_owned(),
            purpose: "p".to_owned(),
            tool: tool(),
            arguments: "{}".to_owned(),
            about: Some(Entity::new("Deployment", "ns", "b")),
            needs: vec!["s1.1".to_owned()],
        }],
        reason: "r".to_owned(),
    };
    let started = ToolCallStarted {
        call_id: "c".to_owned(),
        tool: tool(),
        arguments: "{}".to_owned(),
        attempt: 2,
        instance_id: "i".to_owned(),
    };
    let mut kinds = vec![
        Kind::Started(investigation(Phase::Running)),
        Kind::MemoryRecalled(vec![recalled()], vec![pattern()]),
        Kind::PlanUpdated(plan),
        Kind::StepStarted,
        Kind::ToolCallStarted(started),
        Kind::ToolCallProgressed(ToolCallProgressed {
            call_id: "c".to_owned(),
            fraction: Some(0.5),
            message: "half".to_owned(),
        }),
        Kind::HypothesisUpdated(hypothesis(), 0.1),
        Kind::EvidenceRecorded(Box::new(evidence())),
        Kind::GapRecorded(gap()),
    ];
    kinds.extend(call_ends());
    for outcome in
        [StepOutcome::Succeeded, StepOutcome::Partial, StepOutcome::Failed, StepOutcome::Skipped]
    {
        kinds.push(Kind::StepFinished(outcome));
    }
    for guard in [
        Guard::Timeout,
        Guard::RateLimit,
        Guard::CircuitBreaker,
        Guard::Loop,
        Guard::Budget,
        Guard::Policy,
    ] {
        kinds.push(Kind::GuardTripped(GuardTripped {
            guard,
            subject: "tool:a.b".to_owned(),
            consequence: "c".to_owned(),
        }));
    }
    for phase in [Phase::Succeeded, Phase::Partial, Phase::Failed, Phase::Cancelled] {
        kinds.push(Kind::Finished(investigation(phase)));
    }
    kinds
}

#[test]
fn every_event_comes_back_as_it_went_and_encodes_the_same_twice() {
    for kind in every_kind() {
        let event = Event {
            investigation: InvestigationId(Uuid::from_u128(5)),
            seq: 4,
            time: time("2026-01-02T03:04:05.000000001Z"),
            summary: "s".to_owned(),
            step: "s1.1".to_owned(),
            kind,
        };
        let stored = encode(&event);
        assert_eq!(stored, encode(&event.clone()));
        assert_eq!(decode(&stored).unwrap(), event);
    }
}

#[test]
fn a_payload_of_a_newer_version_is_kept_out_and_the_event_still_read() {
    let mut message = event::write(&Event {
        investigation: InvestigationId(Uuid::from_u128(5)),
        seq: 1,
        time: time("2026-01-02T03:04:05Z"),
        summary: "s".to_owned(),
        step: String::new(),
        kind: Kind::StepStarted,
    });
    message.payload = Some(v1::event::Payload::Resumed(v1::InvestigationResumed::default()));
    assert_eq!(event::read(message.clone()).unwrap().kind, Kind::Unknown);
    message.payload = None;
    assert_eq!(event::read(message).unwrap().kind, Kind::Unknown);
}

#[test]
fn bytes_that_are_no_event_are_told() {
    assert!(decode(&Bytes::from_static(b"\xff\xff\xff")).is_err());
    assert!(decode(&Bytes::new()).is_err());
}
