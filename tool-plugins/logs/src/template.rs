//! Kinds of lines in constant memory: what varies in a line (numbers, ids, addresses, quoted
//! values) is masked, and lines of one shape become one template.
//!
//! The way of Drain (He et al., "Drain: an online log parsing approach with fixed depth tree",
//! ICWS 2017), kept small: a fixed-depth key (level, number of words, first words) leads to a
//! bounded group; within it a line joins the template it shares enough words with, and words that
//! differ become wildcards.
//!
//! Invariant: whatever is fed, at most [`MAX_TEMPLATES`] templates of at most [`MAX_WORDS`] words
//! are held. When room is needed the least telling one goes: the lowest level first, then the
//! rarest; its lines are still counted in [`Miner::forgotten`].

use std::collections::HashMap;

use crate::level::Level;

/// Templates held at once.
pub const MAX_TEMPLATES: usize = 300;
/// Words of a line that are looked at; the rest is one wildcard.
pub const MAX_WORDS: usize = 40;
/// Longest word kept, bytes.
const MAX_WORD: usize = 80;
/// Share of equal words from which two lines are of one kind.
const ALIKE: f64 = 0.6;
/// What stands for anything.
const ANY: &str = "<*>";

/// Number of a template; never given twice.
pub type Id = u64;

/// One kind of line.
#[derive(Debug, Clone)]
struct Template {
    level: Level,
    words: Vec<String>,
    count: u64,
}

/// Finds the template of each line.
#[derive(Debug, Default)]
pub struct Miner {
    templates: HashMap<Id, Template>,
    groups: HashMap<Key, Vec<Id>>,
    next: Id,
    forgotten: u64,
}

type Key = (Level, usize, String);

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mined {
    /// Its template.
    pub id: Id,
    /// The template that had to go to make room, if one had.
    pub evicted: Option<Id>,
}

// === impl Miner ===

impl Miner {
    /// The template of a message.
    pub fn add(&mut self, level: Level, message: &str) -> Mined {
        let words = masked(message);
        let key = (level, words.len(), words.first().cloned().unwrap_or_default());
        if let Some(id) = self.alike(&key, &words) {
            self.merge(id, &words);
            return Mined { id, evicted: None };
        }
        let evicted = (self.templates.len() >= MAX_TEMPLATES).then(|| self.evict()).flatten();
        let id = self.next;
        self.next += 1;
        self.templates.insert(id, Template { level, words, count: 1 });
        self.groups.entry(key).or_default().push(id);
        Mined { id, evicted }
    }

    fn alike(&self, key: &Key, words: &[String]) -> Option<Id> {
        let group = self.groups.get(key)?;
        let scored = group.iter().filter_map(|id| {
            let template = self.templates.get(id)?;
            Some((likeness(&template.words, words), *id))
        });
        scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|s| s.1)
    }

    fn merge(&mut self, id: Id, words: &[String]) {
        let Some(template) = self.templates.get_mut(&id) else { return };
        template.count += 1;
        for (own, word) in template.words.iter_mut().zip(words) {
            if own != word && own != ANY {
                ANY.clone_into(own);
            }
        }
    }

    /// Drops the least telling template.
    fn evict(&mut self) -> Option<Id> {
        let id = self
            .templates
            .iter()
            .min_by_key(|(id, t)| (t.level.max(Level::Unknown), t.count, **id))
            .map(|(id, _)| *id)?;
        let gone = self.templates.remove(&id)?;
        self.forgotten += gone.count;
        self.groups.retain(|_, ids| {
            ids.retain(|other| *other != id);
            !ids.is_empty()
        });
        Some(id)
    }

    /// The template's words; `None` when it had to go.
    #[must_use]
    pub fn text(&self, id: Id) -> Option<String> {
        self.templates.get(&id).map(|t| t.words.join(" "))
    }

    /// How many templates are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.templates.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty()
    }

    /// Lines whose templates had to go.
    #[must_use]
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Share of words that are equal or already wild.
fn likeness(template: &[String], words: &[String]) -> f64 {
    let same = template.iter().zip(words).filter(|(own, word)| own == word || *own == ANY).count();
    real(same) / real(template.len().max(1))
}

fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The words of a message with what varies masked.
fn masked(message: &str) -> Vec<String> {
    let mut words: Vec<String> = message.split_whitespace().take(MAX_WORDS).map(mask).collect();
    if message.split_whitespace().nth(MAX_WORDS).is_some()
        && let Some(last) = words.last_mut()
    {
        ANY.clone_into(last);
    }
    words
}

/// A word, or a wildcard for one that varies: with digits, except names that merely contain one
/// (`ipv4`, `s3-sync`), and hexadecimal ids. Marks around it stay; `key=value` keeps its key; a
/// status such as 503 stays, as it tells kinds apart.
fn mask(word: &str) -> String {
    let marks = |c: char| matches!(c, '"' | '\'' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '.');
    let core = word.trim_matches(marks);
    let Some(start) = word.find(core).filter(|_| !core.is_empty()) else { return short(word) };
    let (before, rest) = word.split_at_checked(start).unwrap_or(("", word));
    let after = rest.get(core.len()..).unwrap_or_default();
    let inner = match core.split_once('=') {
        Some((key, value)) if varies(value) => format!("{key}={ANY}"),
        _ if varies(core) => masked_path(core),
        _ => return short(word),
    };
    short(&format!("{before}{inner}{after}"))
}

/// Of a path or URL only the varying parts are masked.
fn masked_path(word: &str) -> String {
    if !word.contains('/') {
        return ANY.to_owned();
    }
    let parts = word.split('/').map(|part| if varies(part) { ANY } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn varies(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        let hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit());
        return hex;
    }
    let letters = word.bytes().filter(u8::is_ascii_alphabetic).count();
    let is_status = word.len() == 3 && letters == 0 && word.starts_with(['4', '5']);
    let is_name = digits <= 2
        && letters >= digits
        && word.starts_with(|c: char| c.is_ascii_alphabetic())
        && !word.bytes().all(|b| b.is_ascii_hexdigit())
        && !word.contains(['/', '#']);
    !is_status && !is_name
}

fn short(word: &str) -> String {
    word.get(..word.floor_char_boundary(MAX_WORD)).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn templates(messages: &[&str]) -> Vec<String> {
        let mut miner = Miner::default();
        let mut ids: Vec<Id> = messages.iter().map(|m| miner.add(Level::Info, m).id).collect();
        ids.dedup();
        ids.iter().map(|id| miner.text(*id).unwrap()).collect()
    }

    #[test]
    fn what_varies_is_masked() {
        let table = [
            (
                "Priced parcel 9233cc60 (685 lines) in 7 ms",
                "Priced parcel <*> (<*> lines) in <*> ms",
            ),
            (
                "resize 54b63f7b took 5295ms (soft budget 800ms)",
                "resize <*> took <*> (soft budget <*>)",
            ),
            (
                "upstream parcel failed: 502 bad gateway rid=4b7",
                "upstream parcel failed: 502 bad gateway rid=<*>",
            ),
            ("GET /v1/items/295 answered", "GET /v1/items/<*> answered"),
            ("dial tcp 10.0.0.1:5432: refused", "dial tcp <*>: refused"),
            ("id deadbeef gone", "id <*> gone"),
            ("ipv4 of s3-sync", "ipv4 of s3-sync"),
        ];
        for (message, expected) in table {
            assert_eq!(templates(&[message]), [expected]);
        }
    }

    #[test]
    fn lines_of_one_shape_are_one_template() {
        assert_eq!(
            templates(&["Rate for PLN found in 25 ms", "Rate for SEK found in 83 ms"]),
            ["Rate for <*> found in <*> ms"]
        );
        assert_eq!(templates(&["pool is full now", "disk is broken too"]).len(), 2);
        assert_eq!(templates(&["x answered 502", "x answered 503"]).len(), 1);
    }

    #[test]
    fn memory_stays_level_whatever_is_fed() {
        let mut miner = Miner::default();
        let mut fed = 0_u64;
        let mut state = 7_u32;
        let mut word = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (0..5)
                .map(|i| char::from(b'g' + u8::try_from((state >> (8 + 3 * i)) & 7).unwrap()))
                .collect::<String>()
        };
        miner.add(Level::Error, "the one error that counts");
        for _ in 0..30_000 {
            let message: Vec<String> = (0..8).map(|_| word()).collect();
            miner.add(Level::Info, &message.join(" "));
            fed += 1;
            assert!(miner.len() <= MAX_TEMPLATES);
        }
        let held: u64 = miner.templates.values().map(|t| t.count).sum();
        assert_eq!(held + miner.forgotten(), fed + 1);
        assert!(miner.forgotten() > 0, "the stream was varied enough to need the bound");
        let groups: usize = miner.groups.values().map(Vec::len).sum();
        assert_eq!(groups, miner.len());
        assert!(miner.templates.values().any(|t| t.level == Level::Error), "errors go last");
    }

    #[test]
    fn long_lines_are_cut() {
        let mut miner = Miner::default();
        let id = miner.add(Level::Info, &"word ".repeat(10_000)).id;
        assert_eq!(miner.text(id).unwrap().split(' ').count(), MAX_WORDS);
        let id = miner.add(Level::Info, &"x".repeat(100_000)).id;
        assert!(miner.text(id).unwrap().len() <= MAX_WORD);
    }
}
