//! What people give to memory and ask of it: judgements of outcomes, and searches of earlier cases.
//! Texts are masked here as alerts are. Not memory's rules: those are its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Engine, Error};
use crate::{
    alert::Alert,
    investigation::{
        InvestigationId,
        finding::{Judgement, LearnedPattern},
    },
    memory::{
        self, Hit,
        case::Case,
        episode::{Episode, SeenSignal},
        feedback::{Feedback, MAX_CAUSE, MAX_COMMENT, TrueCause, plain},
    },
    nearest::nearest,
    reasoner::catalogue::Cause,
    store::RequestKey,
};

/// Most patterns told with a search.
const PATTERNS: usize = 20;

/// What people say of one outcome, as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The investigation.
    pub id: InvestigationId,
    /// The judgement.
    pub judgement: Judgement,
    /// The true cause, in any form that people use.
    pub cause: String,
    /// What helped.
    pub resolution: String,
    /// Free words.
    pub comment: String,
    /// Repeating it with equal content keeps nothing more.
    pub request_id: Option<Uuid>,
    /// Who says it.
    pub principal: String,
}

/// What is searched for among earlier cases.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words and filters; whom to be like is found by `like`.
    pub asked: memory::Asked,
    /// Investigation to be like.
    pub like: Option<InvestigationId>,
}

impl Engine {
    /// Keeps what people say of an outcome and gives it as it was understood.
    ///
    /// # Errors
    /// When the cause is told in no known form, when there is no such investigation, when it has
    /// not ended, or when the request id was used for other content.
    pub async fn judge(&self, judged: Judged) -> Result<Feedback, Error> {
        let parts = &self.shared.parts;
        let now = (parts.clock)();
        let request = judged.request_id.map(|request_id| RequestKey {
            principal: judged.principal.clone(),
            request_id,
            content_hash: judged.content_hash(),
            now,
        });
        let catalogue = parts.tools.catalogue();
        let feedback =
            judged.feedback(now, |category| catalogue.of_category(category).next().is_some())?;
        parts.memory.judge(feedback.clone(), request).await?;
        parts.metrics.feedback(feedback.judgement.as_str());
        Ok(feedback)
    }

    /// How a judgement was understood, one line for who gave it. A category that no document has is
    /// kept, since people may know causes that rules do not; a slip is told with what was meant.
    #[must_use]
    pub fn understood(&self, feedback: &Feedback) -> String {
        let mut said = feedback.understood();
        let category = feedback.cause.category.as_str();
        let catalogue = self.shared.parts.tools.catalogue();
        let known: BTreeSet<&str> = catalogue.causes().iter().map(Cause::category).collect();
        if !category.is_empty() && !known.contains(category) {
            said.push_str(&format!("; no cause of the catalogue is called {category}"));
            if let Some(meant) = nearest(category, known) {
                said.push_str(&format!(
                    ": if {meant} was meant, say it again, the last judgement counts"
                ));
            }
        }
        said
    }

    /// The earlier cases that fit, most alike first.
    ///
    /// # Errors
    /// When there is no investigation to be like, or its log cannot be read.
    pub async fn search(&self, search: Search) -> Result<Vec<Hit>, Error> {
        let memory = &self.shared.parts.memory;
        if let Err(error) = memory.catch_up().await {
            tracing::warn!(%error, "memory is behind the journal");
        }
        let mut asked = search.asked;
        if let Some(id) = search.like {
            let (alert, signals) = self.seen_of(id)?;
            asked.like = Some((alert, signals, id.0));
        }
        Ok(memory.search(&asked))
    }

    /// What recurs among cases, strongest first.
    #[must_use]
    pub fn recurring(&self, hits: &[Hit]) -> Vec<LearnedPattern> {
        let ids: Vec<Uuid> = hits.iter().map(|hit| hit.id).collect();
        let parts = &self.shared.parts;
        parts.memory.recurring(&ids, (parts.clock)(), PATTERNS)
    }

    /// One earlier case; `None` when it is not remembered.
    #[must_use]
    pub fn case(&self, id: Uuid) -> Option<Case> {
        self.shared.parts.memory.case(id)
    }

    /// Alert and signals of an investigation, from memory when its events may be gone.
    fn seen_of(&self, id: InvestigationId) -> Result<(Alert, Vec<String>), Error> {
        let episode = match self.case(id.0) {
            Some(case) => case.episode,
            None => {
                let investigation = self.get(id)?;
                match Episode::judged(&investigation) {
                    Some(episode) => episode,
                    None => return Ok((investigation.alert, Vec::new())),
                }
            }
        };
        let alert = Alert {
            kind: episode.kind,
            service: episode.service,
            namespace: episode.namespace,
            cluster: episode.cluster,
            labels: episode.labels,
            fingerprint: episode.fingerprint,
            ..Alert::default()
        };
        let signals = episode.signals.into_iter().map(|SeenSignal { signal, .. }| signal);
        Ok((alert, signals.collect()))
    }
}

// === impl Judged ===

impl Judged {
    /// As it is kept: masked, without what a terminal would obey.
    fn feedback(&self, given: Timestamp, known: impl Fn(&str) -> bool) -> Result<Feedback, Error> {
        let text = |text: &str, max: usize| plain(&agent_redact::redact(text), max);
        Ok(Feedback {
            id: self.id.0,
            judgement: self.judgement,
            cause: TrueCause::read(&text(&self.cause, MAX_CAUSE), known)?,
            resolution: text(&self.resolution, MAX_CAUSE),
            comment: text(&self.comment, MAX_COMMENT),
            principal: self.principal.clone(),
            given,
        })
    }

    /// SHA-256 over what is said, the request's id left out.
    fn content_hash(&self) -> [u8; 32] {
        let content = format!(
            "feedback|{}|{:?}|{:?}|{:?}|{:?}",
            self.id, self.judgement, self.cause, self.resolution, self.comment
        );
        Sha256::digest(content.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::journal::testing::{id, minute};

    #[test]
    fn what_people_paste_into_a_judgement_is_masked_before_it_is_kept() {
        let url = "https://user:hunter2hunter2@host/x".to_owned();
        let judged = Judged {
            id: id(1),
            judgement: Judgement::Incorrect,
            cause: format!("the url {url}"),
            resolution: url.clone(),
            comment: url,
            request_id: None,
            principal: "p".to_owned(),
        };
        let kept = judged.feedback(minute(1), |_| false).unwrap();
        assert!(!format!("{kept:?}").contains("hunter2"), "{kept:?}");
    }
}
