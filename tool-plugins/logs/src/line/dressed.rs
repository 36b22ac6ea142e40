//! Lines of text loggers: a time, a level word within the first few words, then the message. Also
//! klog's letter, Redis's mark and serilog's bracket.

use jiff::Timestamp;

use super::Line;
use crate::{level::Level, time};

pub(super) fn understand(text: &str, near: Timestamp) -> Option<Line> {
    klog(text, near)
        .or_else(|| ruby(text, near))
        .or_else(|| redis(text))
        .or_else(|| serilog(text))
        .or_else(|| timed(text, near))
        .or_else(|| bare_level(text))
}

/// `E0630 21:23:53.189614       1 file.go:12] message`.
fn klog(text: &str, near: Timestamp) -> Option<Line> {
    let bytes = text.as_bytes();
    let level = Level::of_letter(*bytes.first()?)?;
    if !bytes.get(1..5)?.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (head, message) = text.split_once("] ")?;
    let mut line = Line::new(level, message);
    line.time = time::leading(head, near).map(|(t, _)| t);
    Some(line)
}

/// `E, [2025-06-30T20:45:44.970449 #1] ERROR -- : message`.
fn ruby(text: &str, near: Timestamp) -> Option<Line> {
    let rest = text.get(1..)?.strip_prefix(", [")?;
    let (stamp, rest) = rest.split_once(']')?;
    let (word, message) = rest.split_once(" -- ")?;
    let message = message.split_once(": ").map_or(message, |(_, m)| m);
    let mut line = Line::new(Level::of_word(word.trim())?, message);
    line.time = time::leading(stamp, near).map(|(t, _)| t);
    Some(line)
}

/// `1:M 04 Nov 2025 19:50:01.123 # message`: `#` warns, `*` and `-` and `.` do not.
fn redis(text: &str) -> Option<Line> {
    let (pid, rest) = text.split_once(':')?;
    if pid.is_empty() || !pid.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let role = rest.get(..2)?;
    if !matches!(role, "M " | "S " | "C " | "X ") {
        return None;
    }
    let mut words = rest.splitn(7, ' ');
    let mark = words.nth(5)?;
    let message = words.next()?;
    let level = match mark {
        "#" => Level::Warn,
        "*" | "-" => Level::Info,
        "." => Level::Debug,
        _ => return None,
    };
    Some(Line::new(level, message))
}

/// `[19:17:01 ERR] message`.
fn serilog(text: &str) -> Option<Line> {
    let (head, message) = text.strip_prefix('[')?.split_once("] ")?;
    let (clock, word) = head.rsplit_once(' ')?;
    if !clock.contains(':') || !clock.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(Line::new(Level::of_word(word)?, message))
}

/// A time first, then perhaps a level within a few words; the rest of the dress is taken off as
/// far as its form is known.
fn timed(text: &str, near: Timestamp) -> Option<Line> {
    let (time, used) = time::leading(text, near)?;
    let rest = text.get(used..)?.trim_start_matches([']', ' ', '"', '\t']);
    let (level, after) = level_within(rest, 4).unwrap_or((Level::Unknown, rest));
    let mut line = Line::new(level, undress(after));
    line.time = Some(time);
    Some(line)
}

/// `ERROR: message`, `[error] message`, `ERROR message`: capitals or a bracket; a small word with a
/// colon may be anything.
fn bare_level(text: &str) -> Option<Line> {
    if !text.starts_with(|c: char| c.is_ascii_uppercase() || c == '[' || c == '<') {
        return None;
    }
    let (level, after) = level_within(text, 1)?;
    Some(Line::new(level, undress(after)))
}

/// The first word within `words` words that is a level as loggers write it, and what follows.
fn level_within(text: &str, words: usize) -> Option<(Level, &str)> {
    let mut rest = text;
    for _ in 0..words {
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        let bare =
            word.trim_matches(|c: char| matches!(c, '[' | ']' | '<' | '>' | '|' | ':' | ','));
        let marked = bare.len() < word.len();
        let capitals = !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_uppercase());
        if (marked || capitals)
            && let Some(level) = Level::of_word(bare)
        {
            return Some((level, after.trim_start_matches([' ', '\t', '|'])));
        }
        rest = after.trim_start();
    }
    None
}

/// Takes off what stands between level and message: `1 --- [thread] logger : message` of Spring,
/// `[logger] message` of Python, `12#12: *3 message` of nginx, `target: message` of Rust.
fn undress(text: &str) -> &str {
    if let Some((head, message)) = text.split_once(" : ")
        && head.contains("---")
    {
        return message;
    }
    if let Some((head, message)) = text.strip_prefix('[').and_then(|rest| rest.split_once("] "))
        && !head.contains(' ')
    {
        return message;
    }
    if let Some((head, message)) = text.split_once(": ")
        && let Some((pid, thread)) = head.split_once('#')
        && [pid, thread].iter().all(|n| n.bytes().all(|b| b.is_ascii_digit()))
    {
        let (id, rest) = message.split_once(' ').unwrap_or((message, ""));
        return if id.starts_with('*') { rest } else { message };
    }
    if let Some((head, message)) = text.split_once(": ")
        && !head.is_empty()
        && head
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b':')
        && (head.contains('_') || head.contains("::"))
    {
        return message;
    }
    text
}
