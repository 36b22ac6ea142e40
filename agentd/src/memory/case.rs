//! A case: an episode and what people said of it, folded from their records. The last judgement
//! counts; what helped stands until something else did. Not a judge of likeness: that is ranking's.
//!
//! Invariant: what the evidence said is never overwritten, only set beside what people said.

use serde::{Deserialize, Serialize};

use super::{
    episode::{Culprit, Episode, MAX_SENTENCE, Outcome, Way, cut, resource},
    feedback::Feedback,
};
use crate::{
    fact::Entity,
    investigation::{
        InvestigationId,
        finding::{Check, EpisodeMatch, Judgement},
    },
    store::sled::MAX_VALUE,
};

/// What memory knows of one investigation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What it taught.
    pub episode: Episode,
    /// The last feedback, its comment cut.
    pub feedback: Option<Feedback>,
    /// What helped, as told last; empty when nobody told.
    pub resolution: String,
    /// The records it is made from.
    pub(super) places: Places,
}

/// Numbers of the records that make a case; 0 for none.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub(super) struct Places {
    /// The last feedback.
    pub(super) feedback: u64,
    /// The feedback that told what helped.
    pub(super) resolution: u64,
    /// The episode.
    pub(super) episode: u64,
    /// Feedback in all.
    pub(super) judgements: u32,
}

// === impl Case ===

impl Case {
    /// A case that nobody has judged yet.
    pub(super) fn new(episode: Episode, position: u64) -> Self {
        let places = Places { episode: position, ..Places::default() };
        Self { episode, feedback: None, resolution: String::new(), places }
    }

    /// Takes a feedback in.
    pub(super) fn hear(&mut self, feedback: Feedback, position: u64) {
        if !feedback.resolution.is_empty() {
            self.resolution.clone_from(&feedback.resolution);
            self.places.resolution = position;
        }
        self.places.feedback = position;
        self.places.judgements = self.places.judgements.saturating_add(1);
        let comment = cut(&feedback.comment, MAX_SENTENCE);
        self.feedback = Some(Feedback { comment, ..feedback });
    }

    /// Whether it has heard the feedback of a record.
    pub(super) fn heard(&self, position: u64) -> bool {
        self.places.feedback >= position
    }

    /// Which investigation it is.
    #[must_use]
    pub fn id(&self) -> InvestigationId {
        InvestigationId(self.episode.id)
    }

    /// Judgements in all.
    #[must_use]
    pub fn judgements(&self) -> u32 {
        self.places.judgements
    }

    /// The judgement that counts.
    #[must_use]
    pub fn judgement(&self) -> Option<Judgement> {
        self.feedback.as_ref().map(|feedback| feedback.judgement)
    }

    /// What people said the cause was, when they said another one.
    fn told(&self) -> Option<&Feedback> {
        self.feedback.as_ref().filter(|feedback| match feedback.judgement {
            Judgement::Correct => false,
            Judgement::Partly | Judgement::Incorrect => !feedback.cause.is_empty(),
        })
    }

    /// Whether the cause is what people said, not what was found.
    #[must_use]
    pub fn corrected(&self) -> bool {
        self.told().is_some()
    }

    /// Whether people said that it was not so, and nothing else.
    #[must_use]
    pub fn refuted(&self) -> bool {
        self.judgement() == Some(Judgement::Incorrect) && self.told().is_none()
    }

    /// What it came to, as known by now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.corrected() {
            Outcome::Cause
        } else if self.refuted() {
            Outcome::Inconclusive
        } else {
            self.episode.outcome
        }
    }

    /// Category of the cause, as known by now; empty when it is not known.
    #[must_use]
    pub fn category(&self) -> &str {
        match self.told() {
            Some(feedback) => &feedback.cause.category,
            None if self.outcome() == Outcome::Cause => &self.episode.category,
            None => "",
        }
    }

    /// The object at fault, as known by now.
    #[must_use]
    pub fn culprit(&self) -> Option<Entity> {
        match self.told() {
            Some(feedback) => feedback.cause.culprit.as_ref().map(Culprit::entity),
            None if self.outcome() == Outcome::Cause => {
                self.episode.culprit.as_ref().map(Culprit::entity)
            }
            None => None,
        }
    }

    /// The cause as known by now, or what was said when there was none.
    #[must_use]
    pub fn cause(&self) -> String {
        match self.told() {
            Some(feedback) => feedback.cause.told(),
            None if self.refuted() => format!("not known; it was not: {}", self.episode.cause),
            None => self.episode.cause.clone(),
        }
    }

    /// What the reason of a match has to add: how far the case can be relied on; may be empty.
    #[must_use]
    pub fn standing(&self) -> &'static str {
        match (self.judgement(), self.corrected()) {
            (None, _) if self.episode.outcome == Outcome::Inconclusive => "no cause was found then",
            (None, _) => "",
            (Some(Judgement::Correct), _) => "judged correct",
            (Some(Judgement::Partly), false) => "judged partly right",
            (Some(Judgement::Partly), true) => "judged partly right, the true cause was told",
            (Some(Judgement::Incorrect), true) => "judged wrong, the true cause was told",
            (Some(Judgement::Incorrect), false) => "judged wrong, the true cause is not known",
        }
    }

    /// Why it matched, with how far it can be relied on.
    #[must_use]
    pub fn reason(&self, matched: &str) -> String {
        let parts = [matched, self.standing()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    }

    /// Calls it would have taken had nothing been remembered.
    #[must_use]
    pub fn full_calls(&self) -> u32 {
        self.episode.tool_calls.saturating_add(self.episode.calls_saved)
    }

    /// As a recalled case. Without a known category nothing of it can be checked first.
    #[must_use]
    pub fn recalled(&self, similarity: f64, reason: String) -> EpisodeMatch {
        EpisodeMatch {
            episode: resource(self.id()),
            similarity,
            category: self.category().to_owned(),
            culprit: self.culprit(),
            root_cause: self.cause(),
            resolution: self.resolution.clone(),
            reason: self.reason(&reason),
            tool_calls: self.full_calls(),
            corrected: self.corrected(),
            check: Check::Open,
        }
    }

    /// Every text that a search looks at.
    pub(super) fn texts(&self) -> Vec<String> {
        let episode = &self.episode;
        let mut texts: Vec<String> = [
            &episode.about,
            &episode.kind,
            &episode.service,
            &episode.namespace,
            &episode.cluster,
            &self.resolution,
        ]
        .map(Clone::clone)
        .into();
        texts.extend([self.category().to_owned(), self.cause()]);
        texts.extend(self.culprit().map(|culprit| culprit.to_string()));
        texts.extend(episode.labels.values().cloned());
        texts.extend(episode.signals.iter().map(|seen| seen.signal.clone()));
        texts.extend(self.feedback.iter().map(|feedback| feedback.comment.clone()));
        texts
    }

    /// As it is kept and compared: with a stored form below the limit of a tree. What is made of
    /// escapes may pass it; what only serves the search or saves questions (labels, signals, comment,
    /// the way to the verdict) is left out then.
    #[must_use]
    pub fn fitting(mut self) -> Self {
        if self.encode().len() > MAX_VALUE {
            self.episode.labels.clear();
            self.episode.signals.clear();
            self.episode.way = Way::default();
            if let Some(feedback) = &mut self.feedback {
                feedback.comment.clear();
            }
        }
        self
    }

    /// The stored form, JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads the stored form; `None` when it is none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::{
        journal::testing::{alert, concluded, id, minute},
        memory::feedback::TrueCause,
    };

    fn case() -> Case {
        let done = concluded(id(1), &alert("high_memory", "cart"), "oom_killed", &["x.y"], 5);
        Case::new(Episode::of(&done).unwrap(), 1)
    }

    fn feedback(judgement: Judgement, cause: &str, resolution: &str) -> Feedback {
        Feedback {
            id: id(1).0,
            judgement,
            cause: TrueCause::read(cause, |name| name == "disk_full").unwrap(),
            resolution: resolution.to_owned(),
            comment: String::new(),
            principal: "p".to_owned(),
            given: minute(9),
        }
    }

    #[test]
    fn what_people_say_decides_what_is_told_of_a_case() {
        use Judgement::{Correct, Incorrect, Partly};
        let shop = Some("Deployment shop/cart");
        let table = [
            // Judgement and cause; then category, culprit and outcome as recalled.
            (None, "oom_killed", shop, Outcome::Cause),
            (Some((Correct, "")), "oom_killed", shop, Outcome::Cause),
            (Some((Correct, "disk_full")), "oom_killed", shop, Outcome::Cause),
            (Some((Partly, "")), "oom_killed", shop, Outcome::Cause),
            (Some((Partly, "disk_full Node/n")), "disk_full", Some("Node n"), Outcome::Cause),
            (Some((Incorrect, "disk_full Node/n")), "disk_full", Some("Node n"), Outcome::Cause),
            (Some((Incorrect, "disk_full")), "disk_full", None, Outcome::Cause),
            (Some((Incorrect, "a loose cable")), "", None, Outcome::Cause),
            (Some((Incorrect, "")), "", None, Outcome::Inconclusive),
        ];
        for (said, category, culprit, outcome) in table {
            let mut case = case();
            if let Some((judgement, cause)) = said {
                case.hear(feedback(judgement, cause, ""), 2);
            }
            let recalled = case.recalled(0.9, "same type".to_owned());
            assert_eq!(recalled.category, category, "{said:?}");
            assert_eq!(recalled.culprit.map(|c| c.to_string()).as_deref(), culprit, "{said:?}");
            assert_eq!(case.outcome(), outcome, "{said:?}");
            assert_eq!(recalled.reason.contains("judged"), said.is_some(), "{said:?}");
        }
    }

    #[test]
    fn the_last_judgement_counts_and_what_helped_stands_until_something_else_did() {
        let mut case = case();
        case.hear(feedback(Judgement::Incorrect, "disk_full", "cleared the disk"), 2);
        case.hear(feedback(Judgement::Correct, "", ""), 3);
        let recalled = case.recalled(1.0, String::new());
        assert_eq!((recalled.category.as_str(), case.judgements()), ("oom_killed", 2));
        assert_eq!(recalled.resolution, "cleared the disk");
        case.hear(feedback(Judgement::Correct, "", "raised the limit"), 4);
        assert_eq!(case.recalled(1.0, String::new()).resolution, "raised the limit");
        assert_eq!(case.places, Places { episode: 1, feedback: 4, resolution: 4, judgements: 3 });
        assert_eq!(Case::decode(&case.encode()), Some(case));
    }
}
