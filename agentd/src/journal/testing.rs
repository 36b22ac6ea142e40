//! What tests of the journal and of memory share: a codec that needs no wire, and small
//! investigations. Its bytes mean something to this process only.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    sync::{LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Codec, Error};
use crate::{
    alert::Alert,
    fact::{Entity, Observation},
    investigation::{
        Autonomy, Bounds, Investigation, InvestigationId, Phase, Usage,
        event::{Event, Kind, Seq},
        finding::{EndReason, Evidence, RootCause, Severity, Verdict},
        report::{Conclusion, MemoryOutcome, Report},
    },
    tool::ToolRef,
};

static EVENTS: LazyLock<Mutex<HashMap<Vec<u8>, Event>>> = LazyLock::new(Mutex::default);

/// Encodes an event as the digest of its text, and remembers it under that.
pub(crate) const CODEC: Codec = Codec { encode, decode };

fn encode(event: &Event) -> Bytes {
    let bytes = Sha256::digest(format!("{event:?}")).to_vec();
    EVENTS.lock().unwrap().entry(bytes.clone()).or_insert_with(|| event.clone());
    bytes.into()
}

fn decode(bytes: &Bytes) -> Result<Event, Error> {
    let known = EVENTS.lock().unwrap().get(bytes.as_ref()).cloned();
    known.ok_or_else(|| Error::Undecodable { detail: "no such event in this process".to_owned() })
}

/// Minute `n` of the tests' time.
pub(crate) fn minute(n: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000 + n * 60).unwrap()
}

/// The `n`th investigation.
pub(crate) fn id(n: u64) -> InvestigationId {
    InvestigationId(Uuid::from_u128((0x0193_0000_u128 << 96) | u128::from(n)))
}

/// An alert of a type on a service.
pub(crate) fn alert(kind: &str, service: &str) -> Alert {
    Alert {
        kind: kind.to_owned(),
        service: service.to_owned(),
        namespace: "shop".to_owned(),
        ..Alert::default()
    }
}

/// An event of an investigation with nothing in it.
pub(crate) fn event(of: InvestigationId, seq: Seq) -> Event {
    said(of, seq, Kind::StepStarted)
}

/// An event of an investigation.
pub(crate) fn said(of: InvestigationId, seq: Seq, kind: Kind) -> Event {
    let mut summary = String::new();
    write!(summary, "event {seq}").unwrap();
    Event { investigation: of, seq, time: minute(0), summary, step: String::new(), kind }
}

/// The first event.
pub(crate) fn started(of: InvestigationId, alert: &Alert) -> Event {
    said(of, 1, Kind::Started(Box::new(running(of, alert))))
}

/// The last event.
pub(crate) fn finished(seq: Seq, investigation: Investigation) -> Event {
    said(investigation.id, seq, Kind::Finished(Box::new(investigation)))
}

fn running(of: InvestigationId, alert: &Alert) -> Investigation {
    Investigation {
        id: of,
        alert: alert.clone(),
        phase: Phase::Running,
        autonomy: Autonomy::Production,
        bounds: Bounds::default(),
        usage: Usage::default(),
        principal: "tests".to_owned(),
        created: minute(0),
        ended: None,
        last_seq: 1,
        report: None,
        labels: BTreeMap::new(),
    }
}

/// A finished investigation: what it found (an empty category is no conclusion, `healthy` is none
/// at all), the signals it saw, and the minute it ended.
pub(crate) fn concluded(
    of: InvestigationId,
    alert: &Alert,
    category: &str,
    signals: &[&str],
    ended: i64,
) -> Investigation {
    let verdict = match category {
        "" => Verdict::Inconclusive,
        "healthy" => Verdict::Healthy,
        _ => Verdict::RootCauseFound,
    };
    let culprit = Entity::new("Deployment", &alert.namespace, &alert.service);
    let cause = RootCause {
        statement: format!("{} suffers from {category}", alert.service),
        category: category.to_owned(),
        culprit: culprit.clone(),
        confidence: 0.8,
        ..RootCause::default()
    };
    let evidence = signals.iter().map(|signal| Evidence {
        id: format!("e-{signal}"),
        seq: 1,
        tool: ToolRef::default(),
        weight: 0.5,
        contradicts: false,
        observation: Observation {
            signal: (*signal).to_owned(),
            subject: culprit.clone(),
            ..Observation::default()
        },
    });
    let conclusion = Conclusion {
        verdict,
        summary: "in short".to_owned(),
        root_causes: if verdict == Verdict::RootCauseFound { vec![cause] } else { Vec::new() },
        severity: Severity::P2,
        evidence: evidence.collect(),
        recommendations: Vec::new(),
        alternatives: Vec::new(),
        timeline: Vec::new(),
        deciding_questions: Vec::new(),
        unknown_signals: Vec::new(),
        cited: Vec::new(),
    };
    let report = Report {
        conclusion,
        gaps: Vec::new(),
        steps: Vec::new(),
        plan_reason: String::new(),
        duration: Duration::from_secs(3),
        memory: MemoryOutcome::default(),
        tool_calls: 9,
        ended_by: EndReason::Concluded,
        unexplained: BTreeSet::new(),
    };
    Investigation {
        phase: Phase::Succeeded,
        ended: Some(minute(ended)),
        report: Some(report),
        ..running(of, alert)
    }
}
