//! Searching cases by words, by likeness to another investigation, or both. The likeness by words is
//! the share of their weight that a case has, where a word weighs more the fewer cases have it; the
//! one to an investigation is recall's; of both it is the mean. Every case is looked at: at some
//! 20 ns a word and case, 100,000 of them take 10 ms.

use jiff::Timestamp;
use uuid::Uuid;

use super::{Entry, Index, rank::Query};
use crate::{
    alert::Alert,
    memory::words::{Word, words_of},
};

/// The query that finds every case.
const ALL: &str = "*";
/// Most different words of a query that are compared.
const MOST_WORDS: usize = 64;

/// What is searched for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Words; `*` for all cases; empty for none.
    pub query: String,
    /// An investigation to be like: its alert, the signals seen, and its id, which is left out.
    pub like: Option<(Alert, Vec<String>, Uuid)>,
    /// Only of this service, when not empty.
    pub service: String,
    /// Only in this namespace, when not empty.
    pub namespace: String,
    /// Only of this type of alert, when not empty.
    pub kind: String,
    /// Only at least this alike, 0 to 1.
    pub least: f64,
}

/// A case that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Id of its investigation.
    pub id: Uuid,
    /// Likeness, 0 to 1, to three places.
    pub similarity: f64,
    /// When it ended.
    pub ended: Timestamp,
    /// Why it was found.
    pub reason: String,
}

/// Words of a query with their weights.
struct Sought(Vec<(Word, String, f64)>);

impl Index {
    /// The cases that fit, most alike first; equal ones newest first.
    pub(in crate::memory) fn search(&self, asked: &Asked) -> Vec<Hit> {
        let sought = self.sought(&asked.query);
        let like =
            asked.like.as_ref().map(|(alert, signals, id)| (self.query(alert, signals), *id));
        let wanted = [&asked.service, &asked.namespace, &asked.kind]
            .map(|text| (!text.is_empty()).then(|| self.words.find(text)));
        let mut hits: Vec<Hit> = self
            .entries
            .iter()
            .filter(|case| {
                [case.service, case.namespace, case.kind]
                    .iter()
                    .zip(wanted)
                    .all(|(word, wanted)| wanted.is_none_or(|wanted| wanted == *word))
            })
            .filter_map(|case| self.hit(case, sought.as_ref(), like.as_ref()))
            .filter(|hit| hit.similarity > 0.0 && hit.similarity >= asked.least)
            .collect();
        hits.sort_by(|a, b| {
            b.similarity.total_cmp(&a.similarity).then(b.ended.cmp(&a.ended)).then(b.id.cmp(&a.id))
        });
        hits
    }

    fn hit(
        &self,
        case: &Entry,
        sought: Option<&Sought>,
        like: Option<&(Query, Uuid)>,
    ) -> Option<Hit> {
        let by_words = sought.map(|sought| sought.score(case));
        let by_likeness = match like {
            Some((_, own)) if *own == case.id => return None,
            Some((query, _)) => {
                let comparison = self.compare(query, case);
                let reason = comparison.reason(&self.rarest_shared(query, case));
                Some((comparison.score(), reason))
            }
            None => None,
        };
        let (similarity, reason) = match (by_words, by_likeness) {
            (Some((words, why)), None) => (words, why),
            (None, Some((likeness, why))) => (likeness, why),
            (Some((words, why)), Some((likeness, as_well))) if words > 0.0 && likeness > 0.0 => {
                (f64::midpoint(words, likeness), format!("{why}; {as_well}"))
            }
            (Some(_), Some(_)) | (None, None) => return None,
        };
        let similarity = (similarity * 1000.0).round() / 1000.0;
        Some(Hit { id: case.id, similarity, ended: case.ended, reason })
    }

    /// The words of a query in numbers; `None` without a query.
    fn sought(&self, query: &str) -> Option<Sought> {
        let query = query.trim();
        if query.is_empty() {
            return None;
        }
        if query == ALL {
            return Some(Sought(Vec::new()));
        }
        let mut words = words_of(query);
        words.sort();
        words.dedup();
        let weighed = words.into_iter().take(MOST_WORDS).map(|name| {
            let word = self.words.find(&name);
            let weight = self.rare(self.said.get(&word).copied());
            (word, name, weight)
        });
        let weighed: Vec<_> = weighed.collect();
        // Nothing but signs: there is nothing to find.
        (!weighed.is_empty()).then_some(Sought(weighed))
    }
}

impl Sought {
    /// The likeness and the words in common. No words at all mean every case.
    fn score(&self, case: &Entry) -> (f64, String) {
        if self.0.is_empty() {
            return (1.0, String::new());
        }
        let (mut all, mut shared, mut named) = (0.0, 0.0, Vec::new());
        for (word, name, weight) in &self.0 {
            all += weight;
            if case.text.binary_search(word).is_ok() {
                shared += weight;
                named.push(name.as_str());
            }
        }
        let score = if all > 0.0 { shared / all } else { 0.0 };
        (score, format!("same words: {}", named.join(", ")))
    }
}
