//! The index of memory: every case in a compact form in RAM, found by service, type and
//! fingerprint, so that recall reads from disk only the few cases it tells. Rebuilt at every open
//! from the trees; nothing in it that is not in them. How cases are compared is `rank`'s and
//! `search`'s; what recurs among them is `patterns`'.
//!
//! Cost: names are kept once and cases hold numbers, some 400 bytes a case with five labels, five
//! signals and forty words, so about 40 MB for 100,000 cases.

mod patterns;
mod rank;
mod search;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use uuid::Uuid;

use super::{
    case::{Case, Places},
    episode::Outcome,
    similarity::VOLATILE,
    words::{NOTHING, Word, Words, words_of},
};
use crate::{fact::Entity, investigation::finding::Judgement};

pub use search::{Asked, Hit};

/// Most words of one case that a search looks at, the first in alphabetical order.
const MAX_WORDS: usize = 512;
/// What stands between the parts of an object that is kept as one text.
const JOINT: char = '\u{1f}';

/// All cases.
#[derive(Debug, Default)]
pub(super) struct Index {
    words: Words,
    entries: Vec<Entry>,
    known: BTreeMap<Uuid, u32>,
    by_service: HashMap<Word, Vec<u32>>,
    by_kind: HashMap<Word, Vec<u32>>,
    by_fingerprint: HashMap<Word, Vec<u32>>,
    /// In how many cases a signal was seen.
    seen: HashMap<Word, u32>,
    /// In how many cases a word stands.
    said: HashMap<Word, u32>,
}

/// One case in numbers.
#[derive(Debug)]
struct Entry {
    id: Uuid,
    ended: Timestamp,
    outcome: Outcome,
    kind: Word,
    service: Word,
    namespace: Word,
    cluster: Word,
    fingerprint: Word,
    labels: Box<[(Word, Word)]>,
    signals: Box<[Word]>,
    /// Everything that a search looks at, in order of number.
    text: Box<[Word]>,
    /// The cause as known by now; words stand for the category where there is none.
    cause: Blamed,
    /// What the evidence said.
    found: Blamed,
    judged: Option<Judgement>,
    corrected: bool,
    places: Places,
}

/// A cause in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Blamed {
    /// The category, or the words that stand for it.
    category: Word,
    culprit: Word,
    /// True when it was told in words alone.
    worded: bool,
}

/// No cause.
const NOBODY: Blamed = Blamed { category: NOTHING, culprit: NOTHING, worded: false };

// === impl Index ===

impl Index {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The records that a case is made from; `None` when it is not known.
    pub(super) fn places(&self, id: Uuid) -> Option<Places> {
        self.entry(id).map(|entry| entry.places)
    }

    /// Takes a case in, new or further judged. An older state of a known one is left aside: trees
    /// that are made anew bring those first.
    pub(super) fn put(&mut self, case: &Case) {
        let known = self.known.get(&case.episode.id).copied();
        let entry = self.entry_of(case);
        if let Some(place) = known {
            self.replace(place, entry);
            return;
        }
        // More cases than a u32 counts would not fit into memory.
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.known.insert(entry.id, place);
        for (map, word) in [
            (&mut self.by_service, entry.service),
            (&mut self.by_kind, entry.kind),
            (&mut self.by_fingerprint, entry.fingerprint),
        ] {
            if word != NOTHING {
                map.entry(word).or_default().push(place);
            }
        }
        count(&mut self.seen, &entry.signals);
        count(&mut self.said, &entry.text);
        self.entries.push(entry);
    }

    /// Of a known case only what people say changes.
    fn replace(&mut self, place: u32, entry: Entry) {
        let place = usize::try_from(place).ok();
        let Some(old) = place.and_then(|place| self.entries.get_mut(place)) else { return };
        if old.places >= entry.places {
            return;
        }
        for word in &old.text {
            if let Some(cases) = self.said.get_mut(word) {
                *cases = cases.saturating_sub(1);
            }
        }
        count(&mut self.said, &entry.text);
        *old = entry;
    }

    fn entry_of(&mut self, case: &Case) -> Entry {
        let episode = &case.episode;
        let words = &mut self.words;
        let labels = episode.labels.iter().filter(|(key, _)| stable(key));
        let signals: BTreeSet<Word> =
            episode.signals.iter().map(|seen| words.take(&seen.signal)).collect();
        let text: BTreeSet<String> = case.texts().iter().flat_map(|text| words_of(text)).collect();
        let text: BTreeSet<Word> =
            text.iter().take(MAX_WORDS).map(|word| words.take(word)).collect();
        let found =
            Blamed::of(words, &episode.category, episode.culprit.as_ref().map(|c| c.entity()));
        let cause = match (case.category(), case.corrected()) {
            // In words alone: still the same cause when the same words are said again.
            ("", true) => Blamed { worded: true, ..Blamed::of(words, &case.cause(), None) },
            (category, _) => Blamed::of(words, category, case.culprit()),
        };
        Entry {
            id: episode.id,
            ended: episode.ended,
            outcome: case.outcome(),
            kind: words.take(&episode.kind),
            service: words.take(&episode.service),
            namespace: words.take(&episode.namespace),
            cluster: words.take(&episode.cluster),
            fingerprint: words.take(&episode.fingerprint),
            labels: labels.map(|(key, value)| (words.take(key), words.take(value))).collect(),
            signals: signals.into_iter().collect(),
            text: text.into_iter().collect(),
            cause,
            found,
            judged: case.judgement(),
            corrected: case.corrected(),
            places: case.places,
        }
    }

    fn entry(&self, id: Uuid) -> Option<&Entry> {
        self.at(*self.known.get(&id)?)
    }

    fn at(&self, place: u32) -> Option<&Entry> {
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// The rarer a signal among the cases, the more it says: ln(1 + cases / cases with it).
    fn rarity(&self, signal: Word) -> f64 {
        self.rare(self.seen.get(&signal).copied())
    }

    fn rare(&self, with: Option<u32>) -> f64 {
        let all = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        (f64::from(all) / f64::from(with.unwrap_or(1).max(1))).ln_1p()
    }
}

fn count(cases: &mut HashMap<Word, u32>, words: &[Word]) {
    for word in words {
        *cases.entry(*word).or_default() += 1;
    }
}

fn stable(label: &str) -> bool {
    !VOLATILE.contains(&label)
}

// === impl Blamed ===

impl Blamed {
    fn of(words: &mut Words, category: &str, culprit: Option<Entity>) -> Self {
        let culprit = culprit.map(|c| {
            [c.kind, c.namespace, c.name, c.cluster, c.container].join(&JOINT.to_string())
        });
        Self {
            category: words.take(category),
            culprit: culprit.map_or(NOTHING, |culprit| words.take(&culprit)),
            worded: false,
        }
    }

    fn culprit(self, words: &Words) -> Option<Entity> {
        let mut parts = words.text(self.culprit).split(JOINT).map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        (self.culprit != NOTHING).then(|| Entity {
            kind: next(),
            namespace: next(),
            name: next(),
            cluster: next(),
            container: next(),
        })
    }
}
