//! Masks the common shapes of secrets in text, on both sides of the wire: before it leaves a plugin,
//! and at the daemon's door. It knows shapes, not meanings: a key with a value, a header, a token
//! with a known beginning, a private key. Names of objects (`secret "x" not found`) are evidence
//! and stay. Masking twice is masking once.

mod shapes;

use std::{borrow::Cow, sync::LazyLock};

use regex::{Captures, Regex};
use shapes::{HARD, RULES, SOFT};

/// What stands where a secret stood.
pub const MASK: &str = "[REDACTED]";

/// Words that begin prose rather than being a value: `password: must be set`, `--token is gone`.
const PROSE: [&str; 28] = [
    "a",
    "an",
    "and",
    "are",
    "argument",
    "authentication",
    "cannot",
    "expired",
    "failed",
    "flag",
    "for",
    "has",
    "in",
    "incorrect",
    "invalid",
    "is",
    "must",
    "not",
    "of",
    "option",
    "or",
    "required",
    "requires",
    "the",
    "to",
    "was",
    "with",
    "wrong",
];
/// Values that say there is none.
const ABSENT: [&str; 12] = [
    "",
    "null",
    "nil",
    "none",
    "undefined",
    "empty",
    "true",
    "false",
    "missing",
    "unset",
    "unknown",
    MASK,
];

/// Masks the secrets in `text`.
#[must_use]
pub fn redact(text: &str) -> String {
    redact_cow(text).into_owned()
}

/// Masks the secrets in `text`; borrows when there are none.
#[must_use]
pub fn redact_cow(text: &str) -> Cow<'_, str> {
    // One rule may bare another's match, so it goes on until nothing changes; the bound is only
    // against a defect here.
    let mut text = Cow::Borrowed(text);
    for _ in 0..8 {
        match pass(&text) {
            Some(changed) => text = Cow::Owned(changed),
            None => break,
        }
    }
    text
}

/// Masks a value that stands under `key`, as an attribute does.
#[must_use]
pub fn redact_value(key: &str, value: &str) -> String {
    if names_secret(key, value) { MASK.to_owned() } else { redact(value) }
}

/// Masks the strings of a JSON text, each by itself and by the key it stands under. All other
/// bytes stay as they are, so that numbers keep their digits.
#[must_use]
pub fn redact_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut key = String::new();
    // {"name": "DB_PASSWORD", "value": …}: the name stands beside the value instead of before it.
    let mut named = String::new();
    let mut rest = json;
    while let Some(start) = rest.find('"') {
        let (before, from) = rest.split_at(start);
        let (token, after) = from.split_at(string_end(from));
        out.push_str(before);
        let is_key = after.trim_start().starts_with(':');
        match serde_json::from_str::<String>(token) {
            Ok(text) => {
                let masked = match key.as_str() {
                    _ if is_key => redact(&text),
                    "value" if !named.is_empty() => redact_value(&named, &text),
                    key => redact_value(key, &text),
                };
                if masked == text {
                    out.push_str(token);
                } else {
                    out.push_str(&serde_json::Value::String(masked).to_string());
                }
                if is_key {
                    key = text;
                } else if key == "name" || key == "key" {
                    named = text;
                } else if key == "value" {
                    named.clear();
                }
            }
            // Not JSON after all: the text as such is still masked.
            Err(_) => out.push_str(&redact(token)),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Where the JSON string that `text` begins with ends, in bytes.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// One application of all rules that may match; nothing when none changed anything.
fn pass(text: &str) -> Option<String> {
    let mut current = Cow::Borrowed(text);
    for rule in RULES.that_may_match(text) {
        let replaced = rule.shape.replace_all(&current, |found: &Captures<'_>| {
            (rule.masked)(found).unwrap_or_else(|| group(found, 0).to_owned())
        });
        if let Cow::Owned(replaced) = replaced
            && replaced != *current
        {
            current = Cow::Owned(replaced);
        }
    }
    match current {
        Cow::Owned(changed) if changed != text => Some(changed),
        Cow::Owned(_) | Cow::Borrowed(_) => None,
    }
}

fn group<'t>(found: &Captures<'t>, number: usize) -> &'t str {
    found.get(number).map_or("", |group| group.as_str())
}

fn put_mask(found: &Captures<'_>) -> String {
    format!("{}{MASK}{}", group(found, 1), group(found, 3))
}

fn whole(_: &Captures<'_>) -> Option<String> {
    Some(MASK.to_owned())
}

/// Masks unless there is no value or it is only the name of one.
fn value(found: &Captures<'_>) -> Option<String> {
    let (key, value) = (group(found, 1), group(found, 2));
    let is_path = value.starts_with('/')
        && key.trim_end_matches([' ', '=', ':', '"', '\'']).to_ascii_lowercase().ends_with("pwd");
    (!is_absent(value) && !is_path).then(|| put_mask(found))
}

fn worded_value(found: &Captures<'_>) -> Option<String> {
    let word = group(found, 2).trim_end_matches(['.', '!', ')']);
    if PROSE.iter().any(|prose| word.eq_ignore_ascii_case(prose)) { None } else { value(found) }
}

fn authorization(found: &Captures<'_>) -> Option<String> {
    let has_scheme = group(found, 1).ends_with(char::is_whitespace)
        && !group(found, 1).trim_end().ends_with([':', '=']);
    if has_scheme { value(found) } else { opaque_value(found) }
}

fn opaque_value(found: &Captures<'_>) -> Option<String> {
    let value = group(found, 2);
    (!is_absent(value) && is_opaque(value) && !is_object_name(value)).then(|| put_mask(found))
}

fn mixed_value(found: &Captures<'_>) -> Option<String> {
    let value = group(found, 2).as_bytes();
    let is_mixed = value.iter().any(u8::is_ascii_uppercase)
        && value.iter().any(u8::is_ascii_lowercase)
        && value.iter().any(u8::is_ascii_digit);
    is_mixed.then(|| put_mask(found))
}

fn is_absent(value: &str) -> bool {
    let is_reference = ["${", "$(", "{{"].iter().any(|open| value.starts_with(open))
        && value
            .trim_end_matches(['}', ')'])
            .bytes()
            .skip(2)
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b' '));
    is_reference
        || !value.chars().any(char::is_alphanumeric)
        || ABSENT.iter().any(|word| value.eq_ignore_ascii_case(word))
}

/// Whether a word is hardly one of a language: it has digits, or is long and of mixed case.
fn is_opaque(value: &str) -> bool {
    let has = |test: fn(&u8) -> bool| value.as_bytes().iter().any(test);
    (value.len() >= 8 && has(u8::is_ascii_digit))
        || (value.len() >= 12 && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
}

/// Whether it reads as the name of an object: lower case, parts of which most are words.
fn is_object_name(value: &str) -> bool {
    let is_name = value.len() <= 253
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./".contains(&b));
    let words: usize = value
        .split(['-', '.', '/'])
        .filter(|part| part.bytes().all(|b| b.is_ascii_lowercase()))
        .map(str::len)
        .sum();
    is_name && words * 2 >= value.len()
}

static KEY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!("(?i)(?:({HARD}|token)|{SOFT})$")).ok());

/// Whether `key` says that `value` is a secret. `secret` alone is also what names a Secret.
fn names_secret(key: &str, value: &str) -> bool {
    let Some(found) = KEY.as_ref().and_then(|shape| shape.captures(key)) else { return false };
    let is_path = value.starts_with('/') && key.to_ascii_lowercase().ends_with("pwd");
    !is_absent(value) && !is_path && (found.get(1).is_some() || !is_object_name(value))
}

#[cfg(test)]
mod tests;
