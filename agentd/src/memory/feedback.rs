//! Feedback: what people say of an outcome once they know better, and the true cause in the forms
//! in which they name it. Pure. Not what it changes in recall: that is the case's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::episode::{Culprit, MAX_SENTENCE, MAX_WORD, cut, stamp};
use crate::{
    fact::Entity,
    investigation::{InvestigationId, finding::Judgement},
};

/// Longest cause and longest resolution, in bytes.
pub const MAX_CAUSE: usize = MAX_SENTENCE;
/// Longest comment, in bytes.
pub const MAX_COMMENT: usize = 16 * 1024;
/// What stands in front of a category that is meant as one.
const CATEGORY: &str = "category:";
/// Longest category, in bytes.
const MAX_CATEGORY: usize = 64;

/// What people said of one investigation, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The investigation; its episode has the same id.
    pub id: Uuid,
    /// The judgement.
    #[serde(with = "word")]
    pub judgement: Judgement,
    /// The true cause, when another.
    pub cause: TrueCause,
    /// What helped; may be empty.
    pub resolution: String,
    /// Free words; may be empty.
    pub comment: String,
    /// Who said it.
    pub principal: String,
    /// When.
    #[serde(with = "stamp")]
    pub given: Timestamp,
}

/// The true cause as people name it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrueCause {
    /// Category; empty when it was told in words alone.
    pub category: String,
    /// The object at fault, when named.
    pub culprit: Option<Culprit>,
    /// Free words; empty when category and object say it all.
    pub words: String,
}

/// A cause that begins as a category and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "write category:NAME with letters, digits, _ and . in the name, or \"category:NAME Kind/namespace/name\", or free words"
)]
pub struct BadCause;

// === impl Feedback ===

impl Feedback {
    /// Whose outcome it judges.
    #[must_use]
    pub fn of(&self) -> InvestigationId {
        InvestigationId(self.id)
    }

    /// How it was understood, one line for who gave it.
    #[must_use]
    pub fn understood(&self) -> String {
        let (judged, cause) = (self.judgement.as_str(), &self.cause);
        let mut said = match (self.judgement, cause.is_empty(), cause.category.is_empty()) {
            (Judgement::Correct, true, _) => format!("noted as {judged}: the cause is confirmed"),
            (Judgement::Correct, false, _) => {
                format!("noted as {judged}: the cause found stands, the one given is kept as words")
            }
            (Judgement::Partly, true, _) => format!("noted as {judged} right: the cause stands"),
            (Judgement::Incorrect, true, _) => {
                format!("noted as {judged}: its cause is not checked first any more")
            }
            (Judgement::Partly | Judgement::Incorrect, false, false) => {
                format!("noted as {judged}: the true cause is {}", cause.told())
            }
            (Judgement::Partly | Judgement::Incorrect, false, true) => format!(
                "noted as {judged}: the true cause is kept in words, its category is not known \
                 (write category:NAME to name one)"
            ),
        };
        if !self.resolution.is_empty() {
            said.push_str("; what helped is shown when the case is recalled");
        }
        said
    }
}

// === impl TrueCause ===

impl TrueCause {
    /// Reads what people wrote: `category:NAME` and, after it, an object `Kind/namespace/name` and
    /// words; or the name of a category that is `known`, alone or with an object; else free words.
    ///
    /// # Errors
    /// When it begins with `category:` and no category follows.
    pub fn read(given: &str, known: impl Fn(&str) -> bool) -> Result<Self, BadCause> {
        let given = given.trim();
        let meant = given.get(..CATEGORY.len()).filter(|head| head.eq_ignore_ascii_case(CATEGORY));
        let rest = if meant.is_some() { given.get(CATEGORY.len()..).unwrap_or("") } else { given };
        let mut words: Vec<&str> = rest.split_whitespace().collect();
        let name = words.first().copied().unwrap_or_default();
        if meant.is_some() && !is_category(name) {
            return Err(BadCause);
        }
        if meant.is_none() && !known(name) {
            return Ok(Self { words: given.to_owned(), ..Self::default() });
        }
        words.remove(0);
        let (culprit, taken) = object(&words);
        let left = words.get(taken..).unwrap_or_default();
        if meant.is_none() && !left.is_empty() {
            // A sentence that happens to begin with the name of a category.
            return Ok(Self { words: given.to_owned(), ..Self::default() });
        }
        Ok(Self { category: name.to_owned(), culprit, words: left.join(" ") })
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.category.is_empty() && self.words.is_empty()
    }

    /// One sentence.
    #[must_use]
    pub fn told(&self) -> String {
        let mut said = self.category.clone();
        if let Some(culprit) = &self.culprit {
            said.push_str(&format!(" of {}", culprit.entity()));
        }
        match (said.is_empty(), self.words.is_empty()) {
            (_, true) => said,
            (true, false) => self.words.clone(),
            (false, false) => format!("{said}: {}", self.words),
        }
    }
}

fn is_category(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    !name.is_empty() && name.len() <= MAX_CATEGORY && name.chars().all(allowed)
}

/// An object at the beginning of the words, and how many of them it takes: `Kind/namespace/name`,
/// `Kind/name` or `Kind namespace/name`, with `of` or `on` before it as reports have it.
fn object(words: &[&str]) -> (Option<Culprit>, usize) {
    let skip = usize::from(matches!(words.first(), Some(&("of" | "on"))));
    let at = |n: usize| words.get(skip + n).copied().unwrap_or_default();
    let whole: Vec<&str> = at(0).split('/').collect();
    let (parts, taken) = match whole.as_slice() {
        [kind] if is_kind(kind) && !at(1).is_empty() => {
            (std::iter::once(*kind).chain(at(1).split('/')).collect::<Vec<_>>(), skip + 2)
        }
        _ => (whole, skip + 1),
    };
    let entity = match parts.as_slice() {
        [kind, namespace, name] if is_kind(kind) && !namespace.is_empty() && !name.is_empty() => {
            Entity::new(kind, namespace, name)
        }
        [kind, name] if is_kind(kind) && !name.is_empty() => Entity::new(kind, "", name),
        _ => return (None, 0),
    };
    (Some(Culprit::of(&entity)), taken)
}

fn is_kind(word: &str) -> bool {
    word.len() <= MAX_WORD
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric())
}

/// A text as it is kept: without control characters, which a terminal would obey, and at most `max`
/// bytes.
#[must_use]
pub fn plain(text: &str, max: usize) -> String {
    let shown: String =
        text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect();
    cut(shown.trim(), max)
}

/// A judgement as its word.
mod word {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::investigation::finding::Judgement;

    pub(super) fn serialize<S: Serializer>(judged: &Judgement, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(judged.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Judgement, D::Error> {
        let word = String::deserialize(from)?;
        Judgement::from_word(&word).ok_or_else(|| D::Error::custom("no judgement"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn known(name: &str) -> bool {
        ["oom_killed", "disk_full"].contains(&name)
    }

    #[test]
    fn a_cause_is_read_in_every_form_people_write_it() {
        let table = [
            ("oom_killed", "oom_killed", None, ""),
            ("category:oom_killed", "oom_killed", None, ""),
            (" Category: disk_full ", "disk_full", None, ""),
            ("category:a_new_one", "a_new_one", None, ""),
            ("oom_killed Deployment/shop/cart", "oom_killed", Some("Deployment shop/cart"), ""),
            ("oom_killed of Deployment shop/cart", "oom_killed", Some("Deployment shop/cart"), ""),
            ("disk_full on Node/n-1", "disk_full", Some("Node n-1"), ""),
            ("category:disk_full Node n-1", "disk_full", Some("Node n-1"), ""),
            (
                "category:oom_killed Deployment/shop/cart the limit was halved",
                "oom_killed",
                Some("Deployment shop/cart"),
                "the limit was halved",
            ),
            ("category:oom_killed by the sale", "oom_killed", None, "by the sale"),
            // Words that begin like a category are words.
            ("oom_killed was only the symptom", "", None, "oom_killed was only the symptom"),
            ("a_new_one", "", None, "a_new_one"),
            ("the proxy lost its certificate", "", None, "the proxy lost its certificate"),
            ("", "", None, ""),
        ];
        for (given, category, culprit, words) in table {
            let read = TrueCause::read(given, known).unwrap();
            let found = read.culprit.as_ref().map(|culprit| culprit.entity().to_string());
            assert_eq!(
                (read.category.as_str(), found.as_deref(), read.words.as_str()),
                (category, culprit, words),
                "{given:?}"
            );
        }
        for bad in ["category:", "category: ", "category:OOM Killed", "category:a/b"] {
            assert_eq!(TrueCause::read(bad, known), Err(BadCause), "{bad:?}");
        }
    }

    #[test]
    fn what_was_understood_says_whether_the_category_is_known() {
        let said = |judgement, cause: &str| {
            Feedback {
                id: Uuid::nil(),
                judgement,
                cause: TrueCause::read(cause, known).unwrap(),
                resolution: String::new(),
                comment: String::new(),
                principal: String::new(),
                given: Timestamp::UNIX_EPOCH,
            }
            .understood()
        };
        let corrected = said(Judgement::Incorrect, "disk_full Node/n-1");
        assert!(corrected.ends_with("the true cause is disk_full of Node n-1"), "{corrected}");
        assert!(said(Judgement::Incorrect, "a cable").contains("its category is not known"));
        assert!(said(Judgement::Incorrect, "").contains("not checked first any more"));
        assert!(said(Judgement::Correct, "").contains("confirmed"));
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(plain(" a\u{1b}[31mb\r\nc\u{0} ", 100), "a [31mb \nc");
        assert_eq!(plain("größer", 6), "gr…");
    }
}
