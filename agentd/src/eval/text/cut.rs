//! Cuts a text into sentences and clauses and drops those that only say what the cause is not.
//!
//! Invariant: every cut keeps its separators, so that what stays reads as before.

use super::phrases::{
    CLOSERS, JOINERS, LEADS, NOT_IS_A_FINDING, OPENERS, REJECTED, REJECTING, TURNS, VERBS,
};
use super::{after, before, first_phrase, in_word, is_phrase_at};

/// So many bare items in a row are a glossary.
const GLOSSARY: usize = 10;
/// A bare item has at most so many words.
const ITEM_WORDS: usize = 4;

/// The first word of a text, empty when it begins otherwise.
pub(super) fn leading_word(text: &str) -> &str {
    text.find(|c| !in_word(c)).map_or(text, |end| before(text, end))
}

/// The text less clauses and lists that only say what the cause is not.
pub(super) fn without_ruled_out(text: &str) -> String {
    let text = without_glossaries(text);
    pieces(&text, sentence_stop)
        .iter()
        .map(|p| without_denied_clauses(p.body) + p.separator)
        .collect()
}

/// Cuts runs of ten and more bare words or phrases.
fn without_glossaries(text: &str) -> String {
    let parts = pieces(text, item_stop);
    let (mut run, mut dropped) = (Vec::new(), Vec::new());
    for (at, part) in parts.iter().enumerate() {
        let body = part.body.trim();
        if body.is_empty() {
            continue;
        }
        if is_bare(body) {
            run.push(at);
            continue;
        }
        if run.len() >= GLOSSARY {
            dropped.append(&mut run);
        }
        run.clear();
    }
    if run.len() >= GLOSSARY {
        dropped.append(&mut run);
    }
    joined(&parts, &dropped)
}

/// One sentence less its denied clauses.
fn without_denied_clauses(sentence: &str) -> String {
    let parts = pieces(sentence, clause_stop);
    let (mut dropped, mut denying, mut joiner) = (Vec::new(), false, String::new());
    for (at, part) in parts.iter().enumerate() {
        let body = part.body.trim_matches([' ', '\t', '\'', '"', '[', ']', '*', '-']);
        if !body.is_empty() {
            let goes_on = denying && !TURNS.contains(&joiner.as_str()) && is_bare(body);
            denying = opens_denial(body) || goes_on;
            if denying {
                dropped.push(at);
            }
            if closes_denial(body) {
                dropped.push(at);
                dropped.extend(items_before(&parts, at));
            }
        }
        joiner = part.separator.trim().to_lowercase();
    }
    joined(&parts, &dropped)
}

/// The bare items right before a clause that closes a denial ("OOM, DNS and quota were excluded").
fn items_before(parts: &[Piece<'_>], at: usize) -> Vec<usize> {
    let joined_on = |p: &Piece<'_>| {
        matches!(p.separator.trim().to_lowercase().as_str(), "," | "and" | "or" | ":")
    };
    let earlier = parts.iter().enumerate().take(at).collect::<Vec<_>>();
    earlier
        .into_iter()
        .rev()
        .take_while(|(_, p)| joined_on(p) && (p.body.trim().is_empty() || is_bare(p.body)))
        .map(|(k, _)| k)
        .collect()
}

/// True for a bare item of a list such as "OOM" or "image pull", no statement of its own.
fn is_bare(clause: &str) -> bool {
    clause.split_whitespace().count() <= ITEM_WORDS
        && first_phrase(&clause.to_lowercase(), 0, VERBS).is_none()
}

// === denials ===

/// True when a clause begins with a denial, at once or after a few small words.
fn opens_denial(body: &str) -> bool {
    let low = body.to_lowercase();
    is_opener(&low) || is_opener(after_leads(&low))
}

fn is_opener(low: &str) -> bool {
    if is_phrase_at(low, 0, "not") {
        return !is_finding(after(low, "not".len()));
    }
    let rejects = REJECTING
        .iter()
        .filter_map(|p| low.strip_prefix(p))
        .any(|rest| REJECTED.iter().any(|what| rest.starts_with(what)));
    rejects || OPENERS.iter().any(|p| is_phrase_at(low, 0, p))
}

/// What stands behind a "not" makes it a finding: "not found", "not scheduled".
fn is_finding(low: &str) -> bool {
    let word = low.trim_start();
    let scheduled = word.strip_prefix("schedul").is_some_and(|rest| rest.starts_with(in_word));
    word.len() < low.len() && (scheduled || NOT_IS_A_FINDING.iter().any(|p| word.starts_with(p)))
}

fn after_leads(low: &str) -> &str {
    let mut rest = low;
    while let Some(lead) = LEADS.iter().find(|w| is_phrase_at(rest, 0, w)) {
        let blank = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '(' | '[' | '*' | '-');
        rest = after(rest, lead.len()).trim_start_matches(blank);
    }
    rest
}

fn closes_denial(body: &str) -> bool {
    let low = body.to_lowercase();
    CLOSERS.iter().any(|p| low.trim_end().ends_with(p))
}

// === cutting ===

/// A stretch of text and the separator behind it (empty at the end).
struct Piece<'a> {
    body: &'a str,
    separator: &'a str,
}

/// Cuts at every separator; `stop` says how long the one at a place is, 0 for none.
fn pieces(text: &str, stop: fn(&str) -> usize) -> Vec<Piece<'_>> {
    let (mut out, mut from, mut at) = (Vec::new(), 0, 0);
    while let Some(c) = after(text, at).chars().next() {
        let length = stop(after(text, at));
        if length == 0 {
            at += c.len_utf8();
            continue;
        }
        let body = text.get(from..at).unwrap_or_default();
        out.push(Piece { body, separator: text.get(at..at + length).unwrap_or_default() });
        at += length;
        from = at;
    }
    out.push(Piece { body: after(text, from), separator: "" });
    out
}

/// The text again, a blank in place of each dropped piece.
fn joined(parts: &[Piece<'_>], dropped: &[usize]) -> String {
    let mut out = String::new();
    for (at, part) in parts.iter().enumerate() {
        out.push_str(if dropped.contains(&at) { " " } else { part.body });
        out.push_str(part.separator);
    }
    out
}

/// `.`, `!` or `?` before a blank or the end: not the one in "3.2".
fn full_stop(rest: &str) -> bool {
    rest.strip_prefix(['.', '!', '?'])
        .is_some_and(|r| r.chars().next().is_none_or(char::is_whitespace))
}

fn sentence_stop(rest: &str) -> usize {
    usize::from(full_stop(rest) || rest.starts_with([';', '\n']))
}

fn item_stop(rest: &str) -> usize {
    usize::from(full_stop(rest) || rest.starts_with([';', ',', '\n', '|']))
}

/// Commas, colons, brackets, free-standing slashes and dashes, and joining words between blanks.
fn clause_stop(rest: &str) -> usize {
    if rest.starts_with([',', ':', '(', ')']) {
        return 1;
    }
    let Some(first) = rest.chars().next().filter(|c| c.is_whitespace()) else { return 0 };
    let inner = after(rest, first.len_utf8());
    let slash = usize::from(inner.starts_with('/'));
    let dashes = inner.len() - inner.trim_start_matches(['-', '\u{2013}', '\u{2014}']).len();
    let word = leading_word(inner);
    let joiner = if JOINERS.contains(&word.to_lowercase().as_str()) { word.len() } else { 0 };
    let length = slash.max(dashes).max(joiner);
    match after(inner, length).chars().next() {
        Some(last) if length > 0 && last.is_whitespace() => {
            first.len_utf8() + length + last.len_utf8()
        }
        _ => 0,
    }
}
