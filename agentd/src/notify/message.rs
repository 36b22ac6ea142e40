//! What a receiver is told when an investigation has ended: versioned, masked, bounded in size. A
//! view of the finished investigation and of the alerts that joined it. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    fact::Entity,
    intake::own,
    investigation::{
        Investigation, Phase,
        finding::{EndReason, Severity, Verdict},
        report::Report,
    },
    store::Tally,
};

/// Version of the message; a field more does not change it.
const VERSION: &str = "v1";
/// Longest text of a field, in bytes.
const MOST_TEXT: usize = 2048;
/// Most entries of a list; what is beyond is counted nowhere, as the report has it.
const MOST: usize = 5;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Message {
    /// `agentd.notification/v1`.
    pub schema: String,
    /// The same for every try: investigation and number of the event it tells of.
    pub id: String,
    /// What happened.
    pub kind: &'static str,
    /// The mark by which we know our own messages again.
    #[serde(rename = "agentd_investigation")]
    pub mark: String,
    /// Counts from 1.
    pub attempt: u32,
    /// True when an earlier try may have arrived.
    pub repeat: bool,
    /// What it is about.
    pub investigation: Told,
}

/// The investigation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Told {
    pub name: String,
    pub state: &'static str,
    pub verdict: &'static str,
    pub severity: &'static str,
    pub needs_person: bool,
    /// Why a person is needed; empty when none is.
    pub why_person: Vec<String>,
    pub headline: String,
    pub summary: String,
    pub created: String,
    pub ended: String,
    pub alert: Alerted,
    pub attached_alerts: u32,
    pub resolved_alerts: u32,
    pub root_causes: Vec<Cause>,
    pub recommendations: Vec<Advice>,
    pub gaps: Vec<String>,
    pub tool_calls: u32,
}

/// The alert that set it off.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Alerted {
    #[serde(rename = "type")]
    pub kind: String,
    pub service: String,
    pub namespace: String,
    pub cluster: String,
    pub severity: &'static str,
    pub fingerprint: String,
    pub source: String,
}

/// One cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cause {
    pub statement: String,
    pub category: String,
    pub culprit: Culprit,
    pub confidence: f64,
    pub started: String,
    pub confirm_command: String,
}

/// The object at fault.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Culprit {
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Advice {
    pub action: String,
    pub command: String,
}

impl Message {
    /// The message about an investigation that has ended.
    pub(super) fn of(investigation: &Investigation, tally: Tally) -> Self {
        Self {
            schema: format!("{}{VERSION}", own::SCHEMA),
            id: format!("{}:{}", investigation.id, investigation.last_seq),
            kind: "investigation.finished",
            mark: investigation.id.resource(),
            attempt: 1,
            repeat: false,
            investigation: told(investigation, tally),
        }
    }
}

/// How bad it is: as measured, else as the alert said.
pub(super) fn severity(of: &Investigation) -> Option<Severity> {
    of.report.as_ref().map(|report| report.conclusion.severity).or(of.alert.severity)
}

/// Why a person must look; empty when the answer stands by itself.
pub(super) fn why_person(of: &Investigation) -> Vec<String> {
    let Some(report) = &of.report else { return vec!["there is no report".to_owned()] };
    let mut why = Vec::new();
    if report.conclusion.verdict == Verdict::Inconclusive {
        why.push("the evidence carries no conclusion".to_owned());
    }
    let cut = match report.ended_by {
        EndReason::Concluded | EndReason::Repetition | EndReason::Cancelled => None,
        EndReason::MaxRounds => Some("its rounds were used up"),
        EndReason::MaxToolCalls => Some("its tool calls were used up"),
        EndReason::Deadline => Some("its time was used up"),
        EndReason::DaemonRestarted => Some("the daemon ended before it did: ask again"),
    };
    why.extend(cut.map(str::to_owned));
    why
}

fn told(of: &Investigation, tally: Tally) -> Told {
    let why = why_person(of);
    let report = of.report.as_ref();
    let said = report.map(|report| &report.conclusion);
    Told {
        name: of.id.resource(),
        state: match of.phase {
            Phase::Queued => "queued",
            Phase::Running => "running",
            Phase::Succeeded => "succeeded",
            Phase::Partial => "partial",
            Phase::Failed => "failed",
            Phase::Cancelled => "cancelled",
        },
        verdict: said.map_or("none", |said| said.verdict.as_str()),
        severity: severity(of).map_or("unknown", Severity::as_str),
        needs_person: !why.is_empty(),
        why_person: why,
        headline: text(&of.alert.headline()),
        summary: said.map_or(String::new(), |said| text(&said.summary)),
        created: of.created.to_string(),
        ended: of.ended.as_ref().map(Timestamp::to_string).unwrap_or_default(),
        alert: Alerted {
            kind: text(&of.alert.kind),
            service: text(&of.alert.service),
            namespace: text(&of.alert.namespace),
            cluster: text(&of.alert.cluster),
            severity: of.alert.severity.map_or("unknown", Severity::as_str),
            fingerprint: text(&of.alert.fingerprint),
            source: text(&of.alert.source),
        },
        attached_alerts: tally.alerts,
        resolved_alerts: tally.resolved,
        root_causes: report.map(causes).unwrap_or_default(),
        recommendations: report.map(advice).unwrap_or_default(),
        gaps: report.map(gaps).unwrap_or_default(),
        tool_calls: of.usage.tool_calls,
    }
}

fn causes(report: &Report) -> Vec<Cause> {
    let cause = |cause: &crate::investigation::finding::RootCause| {
        let Entity { kind, namespace, name, .. } = &cause.culprit;
        Cause {
            statement: text(&cause.statement),
            category: text(&cause.category),
            culprit: Culprit { kind: text(kind), namespace: text(namespace), name: text(name) },
            // Hundredths, as people are told.
            confidence: (cause.confidence * 100.0).round() / 100.0,
            started: cause.start.map(|at| at.to_string()).unwrap_or_default(),
            confirm_command: text(&cause.confirm_command),
        }
    };
    report.conclusion.root_causes.iter().take(MOST).map(cause).collect()
}

fn advice(report: &Report) -> Vec<Advice> {
    let advice = report.conclusion.recommendations.iter().take(MOST);
    advice.map(|it| Advice { action: text(&it.action), command: text(&it.command) }).collect()
}

fn gaps(report: &Report) -> Vec<String> {
    let gap = |gap: &crate::investigation::finding::Gap| {
        text(&format!("{}: {}", gap.subject, gap.impact))
    };
    report.gaps.iter().take(MOST).map(gap).collect()
}

/// Masked once more on the way out, and cut.
fn text(text: &str) -> String {
    let mut masked = agent_redact::redact(text);
    if masked.len() > MOST_TEXT {
        masked.truncate(masked.floor_char_boundary(MOST_TEXT - '…'.len_utf8()));
        masked.push('…');
    }
    masked
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::notify::testing::ended;

    #[test]
    fn the_message_has_its_version_its_mark_and_what_people_need() {
        let of = ended(Verdict::RootCauseFound, EndReason::Concluded);
        let message = Message::of(&of, Tally { alerts: 999, resolved: 1 });
        let json = serde_json::to_value(&message).unwrap();
        assert_eq!(json["schema"], "agentd.notification/v1");
        assert_eq!(json["agentd_investigation"], of.id.resource());
        assert_eq!(json["investigation"]["attached_alerts"], 999);
        assert_eq!(json["investigation"]["needs_person"], false);
        assert_eq!(json["investigation"]["root_causes"][0]["culprit"]["name"], "cart");
    }

    #[test]
    fn a_person_is_needed_where_the_answer_does_not_stand_by_itself() {
        for (verdict, end, needed) in [
            (Verdict::RootCauseFound, EndReason::Concluded, false),
            (Verdict::Healthy, EndReason::Concluded, false),
            (Verdict::Inconclusive, EndReason::Concluded, true),
            (Verdict::RootCauseFound, EndReason::Deadline, true),
            (Verdict::Inconclusive, EndReason::DaemonRestarted, true),
        ] {
            assert_eq!(!why_person(&ended(verdict, end)).is_empty(), needed, "{verdict:?} {end:?}");
        }
    }

    #[test]
    fn a_secret_is_masked_and_a_flood_of_words_is_cut() {
        let mut of = ended(Verdict::RootCauseFound, EndReason::Concluded);
        let report = of.report.as_mut().unwrap();
        report.conclusion.summary =
            format!("postgres://u:hunter2hunter2@db {}", "ä".repeat(1 << 20));
        for _ in 0..100 {
            let again = report.conclusion.root_causes[0].clone();
            report.conclusion.root_causes.push(again);
        }
        let json = serde_json::to_string(&Message::of(&of, Tally::default())).unwrap();
        assert!(!json.contains("hunter2hunter2"));
        assert!(json.len() < 64 * 1024, "{}", json.len());
    }
}
