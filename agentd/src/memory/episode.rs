//! An episode: what is remembered of one finished investigation. A pure function of it, made once
//! when it has ended and kept as a record of its own, so that it outlives the events. Not what
//! people said of it afterwards: see [`super::case`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    fact::Entity,
    investigation::{
        Investigation, InvestigationId, Phase,
        finding::{StepSummary, Verdict},
        plan::Question,
        report::Report,
    },
};

/// Longest sentence kept, in bytes.
pub(super) const MAX_SENTENCE: usize = 2 * 1024;
/// Longest name or label value kept, in bytes.
pub(super) const MAX_WORD: usize = 256;
/// Longest line on what it was about, in bytes.
const MAX_ABOUT: usize = 512;
/// Most labels kept, in key order.
const MAX_LABELS: usize = 64;
/// Most signals kept, in order of name.
const MAX_SIGNALS: usize = 48;

/// Most questions kept.
const MAX_ASKED: usize = 16;

/// Resource name of the episode that an investigation leaves behind.
#[must_use]
pub fn resource(id: InvestigationId) -> String {
    format!("episodes/{}", id.0)
}

/// What one finished investigation taught.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// The investigation; the episode has its id.
    pub id: uuid::Uuid,
    /// Type of the alert.
    pub kind: String,
    /// Alerted service.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// Its cluster.
    pub cluster: String,
    /// Identity of the alert.
    pub fingerprint: String,
    /// Labels of the alert.
    pub labels: BTreeMap<String, String>,
    /// Signals among the evidence.
    pub signals: BTreeSet<SeenSignal>,
    /// What it came to.
    pub outcome: Outcome,
    /// Category of the main cause; empty when none was found.
    pub category: String,
    /// What it blamed; `None` when nothing was.
    pub culprit: Option<Culprit>,
    /// The cause, or the summary when there was none.
    pub cause: String,
    /// Belief in it, 0 to 1.
    pub confidence: f64,
    /// Severity as concluded, `P1` to `P4`.
    pub severity: String,
    /// Tool calls it took.
    pub tool_calls: u32,
    /// Tool calls that memory saved it.
    #[serde(default)]
    pub calls_saved: u32,
    /// What it was about, one line.
    #[serde(default)]
    pub about: String,
    /// What it takes to see the same again.
    #[serde(default)]
    pub way: Way,
    /// When it ended.
    #[serde(with = "stamp")]
    pub ended: Timestamp,
}

/// What a verdict rested on, and what it left open: who asks the same again and sees the same need
/// ask nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Way {
    /// Questions whose answers it rested on; empty when that is not known.
    asked: Vec<Asked>,
    /// Causes that stood.
    causes: u32,
    /// Signals of harm at the alerted object that none of them explained, and complaints about others.
    unexplained: BTreeSet<String>,
}

/// What a recalled episode tells of its verdict beside the cause, for who checks it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Known {
    /// Nothing was wrong.
    pub healthy: bool,
    /// Belief in the main cause, 0 to 1.
    pub confidence: f64,
    /// Causes that stood.
    pub causes: usize,
    /// Signals of harm at the alerted object that none of them explained, and complaints about others.
    pub unexplained: BTreeSet<String>,
    /// Questions that it rested on; empty when they are not known.
    pub rested_on: Vec<Question>,
}

/// A question without the words it was put in, which are the tool's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    /// Tool, as people read it.
    tool: String,
    /// Object asked about; `None` for what the alert was about.
    about: Option<Culprit>,
}

/// A signal and the kind of object it was seen on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeenSignal {
    /// Signal of the catalogue.
    pub signal: String,
    /// Kind of object.
    pub kind: String,
}

/// The verdict as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A cause was found.
    Cause,
    /// Nothing was wrong.
    Healthy,
    /// The evidence did not carry a conclusion.
    Inconclusive,
}

/// The object that was blamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Culprit {
    kind: String,
    namespace: String,
    name: String,
    cluster: String,
    container: String,
}

// === impl Episode ===

impl Episode {
    /// What it knows of the way to its verdict.
    #[must_use]
    pub fn known(&self) -> Known {
        let question = |asked: &Asked| Question {
            tool: asked.tool.clone(),
            about: asked.about.as_ref().map(Culprit::entity),
        };
        Known {
            healthy: self.outcome == Outcome::Healthy,
            confidence: self.confidence,
            causes: usize::try_from(self.way.causes).unwrap_or(usize::MAX),
            unexplained: self.way.unexplained.clone(),
            rested_on: self.way.asked.iter().map(question).collect(),
        }
    }

    /// What is worth remembering of an investigation; `None` while it runs, when it was withdrawn
    /// or failed, and when it has no report.
    #[must_use]
    pub fn of(investigation: &Investigation) -> Option<Self> {
        if !matches!(investigation.phase, Phase::Succeeded | Phase::Partial) {
            return None;
        }
        // Nobody was asked: there is nothing to remember.
        Self::judged(investigation).filter(|episode| episode.tool_calls > 0)
    }

    /// The episode of an investigation that people judged, which makes it worth remembering
    /// whatever it came to; `None` without a report or an end.
    #[must_use]
    pub fn judged(investigation: &Investigation) -> Option<Self> {
        let (report, ended) = (investigation.report.as_ref()?, investigation.ended?);
        let (alert, conclusion) = (&investigation.alert, &report.conclusion);
        let main = conclusion.root_causes.first();
        let signals = conclusion.evidence.iter().map(|evidence| SeenSignal {
            signal: cut(&evidence.observation.signal, MAX_WORD),
            kind: cut(&evidence.observation.subject.kind, MAX_WORD),
        });
        let labels = alert.labels.iter().take(MAX_LABELS);
        Some(Self {
            id: investigation.id.0,
            kind: cut(&alert.kind, MAX_WORD),
            service: cut(&alert.service, MAX_WORD),
            namespace: cut(&alert.namespace, MAX_WORD),
            cluster: cut(&alert.cluster, MAX_WORD),
            fingerprint: cut(&alert.identity(), MAX_WORD),
            labels: labels.map(|(key, value)| (cut(key, MAX_WORD), cut(value, MAX_WORD))).collect(),
            signals: signals.collect::<BTreeSet<_>>().into_iter().take(MAX_SIGNALS).collect(),
            outcome: Outcome::of(conclusion.verdict),
            category: main.map(|cause| cut(&cause.category, MAX_WORD)).unwrap_or_default(),
            culprit: main.map(|cause| Culprit::of(&cause.culprit)),
            cause: cut(main.map_or(&conclusion.summary, |cause| &cause.statement), MAX_SENTENCE),
            confidence: main.map_or(0.0, |cause| cause.confidence),
            severity: conclusion.severity.as_str().to_owned(),
            tool_calls: report.tool_calls,
            calls_saved: report.memory.tool_calls_saved,
            about: cut(&alert.headline(), MAX_ABOUT),
            way: Way::of(report),
            ended,
        })
    }
}

impl Way {
    fn of(report: &Report) -> Self {
        let carried: Vec<&StepSummary> = report.steps.iter().filter(|step| step.carried).collect();
        // A part of the way is none.
        if carried.len() > MAX_ASKED || report.unexplained.len() > MAX_SIGNALS {
            return Self::default();
        }
        let asked = carried.into_iter().map(|step| Asked {
            tool: cut(&step.tool.to_string(), MAX_WORD),
            about: step.about.as_ref().map(Culprit::of),
        });
        Self {
            asked: asked.collect(),
            causes: u32::try_from(report.conclusion.root_causes.len()).unwrap_or(u32::MAX),
            unexplained: report.unexplained.iter().map(|signal| cut(signal, MAX_WORD)).collect(),
        }
    }
}

impl Outcome {
    fn of(verdict: Verdict) -> Self {
        match verdict {
            Verdict::RootCauseFound => Self::Cause,
            Verdict::Healthy => Self::Healthy,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }

    /// The word people see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cause => Verdict::RootCauseFound.as_str(),
            Self::Healthy => Verdict::Healthy.as_str(),
            Self::Inconclusive => Verdict::Inconclusive.as_str(),
        }
    }
}

impl Culprit {
    pub(super) fn of(entity: &Entity) -> Self {
        Self {
            kind: cut(&entity.kind, MAX_WORD),
            namespace: cut(&entity.namespace, MAX_WORD),
            name: cut(&entity.name, MAX_WORD),
            cluster: cut(&entity.cluster, MAX_WORD),
            container: cut(&entity.container, MAX_WORD),
        }
    }

    /// As the object it is.
    #[must_use]
    pub fn entity(&self) -> Entity {
        Entity {
            kind: self.kind.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            cluster: self.cluster.clone(),
            container: self.container.clone(),
        }
    }
}

/// The text, or its beginning up to a whole character with an ellipsis behind it.
pub(super) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let ellipsis = '…';
    let room = max.saturating_sub(ellipsis.len_utf8());
    let mut short = String::with_capacity(max);
    for letter in text.chars() {
        if short.len() + letter.len_utf8() > room {
            break;
        }
        short.push(letter);
    }
    short.push(ellipsis);
    short
}

/// Times as RFC 3339 text, to the nanosecond.
pub(super) mod stamp {
    use jiff::Timestamp;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(in crate::memory) fn serialize<S: Serializer>(
        time: &Timestamp,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(time)
    }

    pub(in crate::memory) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Timestamp, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
