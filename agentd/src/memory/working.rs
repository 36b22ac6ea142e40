//! Working memory: where running investigations stand, and short notes on what has just been
//! concluded. Both are folds of the journal. No clock: time comes with the question.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    case::Case,
    episode::{Outcome, cut, stamp},
};
use crate::{
    alert::Alert,
    investigation::{InvestigationId, Phase, finding::Hypothesis, state::State},
};

/// How long a note is told when nothing else is configured: a repeat within the hour is most likely
/// the same trouble still going on.
pub const NOTE_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// Leading hypotheses kept in a checkpoint.
const LEADING: usize = 3;
/// Longest hypothesis kept, in bytes.
const MAX_TEXT: usize = 512;

/// Where a running investigation stood after a round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Whose.
    pub id: Uuid,
    /// What it is about, one line.
    pub alert: String,
    /// True while it waits for capacity.
    pub queued: bool,
    /// Revisions of its plan so far.
    pub round: u32,
    /// Tool calls made.
    pub tool_calls: u32,
    /// Newest event it rests on.
    pub last_seq: u32,
    /// Leading hypotheses with their belief, best first.
    pub leading: Vec<String>,
}

/// A short note under the fingerprint of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// One line.
    pub text: String,
    /// The investigation it is about.
    pub id: Uuid,
    /// From when on it is not told any more.
    #[serde(with = "stamp")]
    pub expires: Timestamp,
}

/// All checkpoints and notes, in RAM: few, for they are of running or just ended investigations.
#[derive(Debug, Default)]
pub(super) struct Working {
    pub(super) checkpoints: BTreeMap<Uuid, Checkpoint>,
    pub(super) notes: BTreeMap<String, Note>,
}

// === impl Checkpoint ===

impl Checkpoint {
    /// Where an investigation stands; `None` once it has ended.
    #[must_use]
    pub fn of(state: &State) -> Option<Self> {
        let investigation = &state.investigation;
        if investigation.phase.terminal() {
            return None;
        }
        let mut hypotheses: Vec<&Hypothesis> =
            state.hypotheses.values().filter(|one| one.rejection.is_empty()).collect();
        hypotheses
            .sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.id.cmp(&b.id)));
        let leading = hypotheses.into_iter().take(LEADING);
        Some(Self {
            id: investigation.id.0,
            alert: cut(&investigation.alert.headline(), MAX_TEXT),
            queued: investigation.phase == Phase::Queued,
            round: state.rounds,
            tool_calls: investigation.usage.tool_calls,
            last_seq: investigation.last_seq,
            leading: leading
                .map(|one| cut(&format!("{} ({:.2})", one.statement, one.confidence), MAX_TEXT))
                .collect(),
        })
    }
}

// === impl Note ===

impl Note {
    /// The note that a case leaves for repeats of its alert.
    #[must_use]
    pub fn of(case: &Case, kept: SignedDuration) -> Self {
        let episode = &case.episode;
        let found = match (episode.outcome, &episode.culprit) {
            (Outcome::Cause, Some(culprit)) => {
                format!("{} on {}", episode.category, culprit.entity())
            }
            (outcome, _) => outcome.as_str().to_owned(),
        };
        let at = episode.ended.strftime("%H:%M");
        let mut text = format!("concluded {at} UTC: {found} ({})", case.id().resource());
        if case.judgement().is_some() {
            text.push_str(&format!("; {}", case.standing()));
        }
        if case.corrected() {
            text.push_str(&format!(": {}", case.cause()));
        }
        let expires = episode.ended.saturating_add(kept).unwrap_or(Timestamp::MAX);
        Self { text: cut(&text, MAX_TEXT), id: episode.id, expires }
    }
}

// === impl Working ===

impl Working {
    /// The note for an alert, unless it has expired.
    pub(super) fn note(&self, alert: &Alert, now: Timestamp) -> Option<Note> {
        self.notes.get(&alert.identity()).filter(|note| note.expires > now).cloned()
    }

    /// Keys of the notes that nobody is told any more.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<String> {
        let old = self.notes.iter().filter(|(_, note)| note.expires <= now);
        old.map(|(key, _)| key.clone()).collect()
    }
}

/// Tree keys: a letter for the sort, then the id or the fingerprint.
pub(super) fn checkpoint_key(id: InvestigationId) -> Vec<u8> {
    let mut key = b"c".to_vec();
    key.extend_from_slice(id.0.as_bytes());
    key
}

/// As [`checkpoint_key`], for notes.
pub(super) fn note_key(fingerprint: &str) -> Vec<u8> {
    let mut key = b"n".to_vec();
    key.extend_from_slice(fingerprint.as_bytes());
    key
}
