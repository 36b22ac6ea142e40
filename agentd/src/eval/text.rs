//! What a text says about a keyword: whether it occurs, is said of the cause, or is denied.
//!
//! These are rules of thumb over words, not a grammar. A word inside "not X, Y or Z", "no evidence
//! of X", "X was excluded" is no mention; a run of ten and more bare words is a glossary and no
//! explanation; "no endpoints" and "does not exist" are findings and stay. Which words do that is
//! in `phrases`, and how texts are cut in `cut`; this file only looks.
//!
//! Invariant: texts keep their letters' case until the last moment, as `OomKilled` is also "oom
//! killed".

mod cut;
mod phrases;

use phrases::{DENIED_AFTER, DENIED_BEFORE, DENIED_TOO};

/// A text that denies more often than this is a list of what was looked at; then a keyword counts
/// only where it is asserted.
const DENIALS_OF_A_GLOSSARY: usize = 6;
/// How many words before a keyword can deny it.
const WORDS_BEFORE: usize = 7;
/// How many characters after a keyword can deny it.
const CHARACTERS_AFTER: usize = 60;

/// True when `keyword` occurs in `text` at the start of a word, whatever stands for its spaces
/// (`memory limit`, `memory_limit`, `memory-limit`, `MemoryLimit`).
#[must_use]
pub fn has(text: &str, keyword: &str) -> bool {
    let keyword = keyword.to_lowercase();
    [text.to_lowercase(), camel(text).to_lowercase()]
        .iter()
        .any(|low| next_match(low, &keyword, 0).is_some())
}

/// True when `keyword` is asserted: it occurs at least once where neither the words before nor the
/// ones after deny it.
#[must_use]
pub fn claims(text: &str, keyword: &str) -> bool {
    let spaced = camel(text);
    if keyword.contains(' ') && spaced != text && claims(&spaced, keyword) {
        return true;
    }
    let (low, keyword) = (text.to_lowercase(), keyword.to_lowercase());
    let mut from = 0;
    while let Some((start, end)) = next_match(&low, &keyword, from) {
        if !denied_before(before(&low, start)) && !denied_after(after(&low, end)) {
            return true;
        }
        from = end;
    }
    false
}

/// True when `keyword` is said about the cause and not merely in a list of what it is not. A
/// keyword that is itself a negation ("no endpoints") only has to occur.
#[must_use]
pub fn mentions(text: &str, keyword: &str) -> bool {
    let first = cut::leading_word(keyword).to_lowercase();
    if first == "no" || first == "not" {
        return has(text, keyword);
    }
    has(&cut::without_ruled_out(text), keyword)
        && (denials(text) <= DENIALS_OF_A_GLOSSARY || claims(text, keyword))
}

/// The first `most` characters.
#[must_use]
pub fn capped(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// `ResourceQuota` as `Resource Quota`, so that either spelling satisfies a keyword.
fn camel(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut last = ' ';
    for c in text.chars() {
        let hump = (last.is_ascii_lowercase() || last.is_ascii_digit()) && c.is_ascii_uppercase();
        if hump {
            out.push(' ');
        }
        out.push(c);
        last = c;
    }
    out
}

// === where a keyword stands ===

/// Where `keyword` stands next at or after `from`, as bytes from and to. Both are in small letters.
fn next_match(low: &str, keyword: &str, from: usize) -> Option<(usize, usize)> {
    let anchored = keyword.chars().next()?.is_alphanumeric();
    for (offset, _) in after(low, from).char_indices() {
        let at = from + offset;
        let inside = before(low, at)
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if anchored && inside {
            continue;
        }
        if let Some(length) = keyword_length(after(low, at), keyword) {
            return Some((at, at + length));
        }
    }
    None
}

/// How many bytes at the start of `rest` are `keyword`, when it stands there. A space of the
/// keyword takes one or more blanks, `_` or `-`, as many as leave a match.
fn keyword_length(rest: &str, keyword: &str) -> Option<usize> {
    let Some(next) = keyword.chars().next() else { return Some(0) };
    let keyword = after(keyword, next.len_utf8());
    if next != ' ' {
        let rest = rest.strip_prefix(next)?;
        return keyword_length(rest, keyword).map(|n| n + next.len_utf8());
    }
    let gap = |c: &char| c.is_whitespace() || *c == '_' || *c == '-';
    let mut taken: usize = rest.chars().take_while(gap).map(char::len_utf8).sum();
    while taken > 0 {
        if let Some(more) = keyword_length(after(rest, taken), keyword) {
            return Some(taken + more);
        }
        taken -= before(rest, taken).chars().next_back()?.len_utf8();
    }
    None
}

// === denial ===

/// True when the last words of the clause that ends here deny what follows.
fn denied_before(low: &str) -> bool {
    let clause = last_clause(low);
    let words: Vec<&str> = clause.split_whitespace().collect();
    let near = words.get(words.len().saturating_sub(WORDS_BEFORE)..).unwrap_or_default().join(" ");
    first_phrase(&near, 0, DENIED_BEFORE).is_some()
}

/// What comes after the last `.`, `;`, line end or the word "but".
fn last_clause(low: &str) -> &str {
    let stop = low.char_indices().rev().find_map(|(at, c)| {
        if matches!(c, '.' | ';' | '\n') {
            return Some(at + c.len_utf8());
        }
        (c == 'b' && is_phrase_at(low, at, "but")).then_some(at + "but".len())
    });
    after(low, stop.unwrap_or(0))
}

/// True when what follows, or what follows up to three words later, is a denial.
fn denied_after(low: &str) -> bool {
    let near = capped(low, CHARACTERS_AFTER);
    let mut rest = near.trim_start_matches(|c| !in_word(c));
    for _ in 0..=3 {
        if DENIED_AFTER.iter().any(|p| rest.starts_with(p)) {
            return true;
        }
        rest = rest.trim_start_matches(in_word).trim_start_matches(|c| !in_word(c));
    }
    false
}

/// How often the text denies anything.
fn denials(text: &str) -> usize {
    let low = text.to_lowercase();
    let (mut count, mut from) = (0, 0);
    loop {
        let found = [DENIED_BEFORE, DENIED_TOO]
            .iter()
            .filter_map(|some| first_phrase(&low, from, some))
            .min();
        let Some((_, end)) = found else { return count };
        (count, from) = (count + 1, end);
    }
}

// === words ===

/// True for what words are made of.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// True when `phrase` stands at `at` as whole words.
fn is_phrase_at(low: &str, at: usize, phrase: &str) -> bool {
    after(low, at).strip_prefix(phrase).is_some_and(|rest| !rest.starts_with(in_word))
        && !before(low, at).ends_with(in_word)
}

/// The first place at or after `from` where one of the phrases stands as whole words.
fn first_phrase(low: &str, from: usize, phrases: &[&str]) -> Option<(usize, usize)> {
    after(low, from).char_indices().map(|(offset, _)| from + offset).find_map(|at| {
        let phrase = phrases.iter().find(|p| is_phrase_at(low, at, p))?;
        Some((at, at + phrase.len()))
    })
}

/// The text before a byte; empty when that is no boundary of a character.
fn before(text: &str, at: usize) -> &str {
    text.get(..at).unwrap_or_default()
}

/// The text from a byte on; empty when that is no boundary of a character.
fn after(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{capped, claims, has, mentions};

    #[test]
    fn a_keyword_is_found_in_any_spelling_and_at_the_start_of_a_word_only() {
        let found = [
            "memory limit",
            "MemoryLimit",
            "the memory_limits",
            "memory - limit",
            "(Memory\nLimit)",
        ];
        assert_eq!(found.map(|t| has(t, "memory limit")), [true; 5]);
        assert!(!has("inmemory limit", "memory limit"));
        assert!(!has("zoom", "OOM"));
        assert!(has("OOMKilled", "OOM"));
    }

    #[test]
    fn a_denied_keyword_is_not_claimed() {
        let denied = [
            "this is not a memory leak",
            "There is no evidence of a memory leak",
            "a memory leak was ruled out",
            "memory leak: unlikely",
            "neither quota nor memory leak",
            "the limit, rather than a memory leak",
        ];
        for text in denied {
            assert!(!claims(text, "memory leak"), "{text}");
        }
        let said = [
            "a memory leak",
            "not the network. A memory leak",
            "no crash but a memory leak",
            "MemoryLeak in cache",
        ];
        for text in said {
            assert!(claims(text, "memory leak"), "{text}");
        }
    }

    #[test]
    fn a_list_of_what_was_ruled_out_mentions_nothing() {
        assert!(!mentions("Ruled out: OOM, image pull, DNS.", "image pull"));
        assert!(!mentions("OOM, image pull and DNS were excluded", "OOM"));
        assert!(mentions("Not the network, but the memory limit is too small", "memory limit"));
        assert!(mentions("The config map does not exist", "config map"));
        assert!(mentions("Service has no endpoints", "no endpoints"));
    }

    #[test]
    fn a_glossary_mentions_nothing() {
        let glossary =
            "OOM, DNS, TLS, quota, node, disk, image pull, probe, selector, lease, limit, tag";
        assert!(!mentions(glossary, "image pull"));
        assert!(mentions("The image pull fails, as the tag is wrong, DNS, TLS", "image pull"));
    }

    #[test]
    fn a_text_is_cut_by_characters() {
        assert_eq!(capped("größer", 4), "größ");
    }
}
