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
        .or_else(|| bracketed(text))
        .or_else(|| python(text))
        .or_else(|| dotnet(text))
        .or_else(|| bare_level(text))
}

/// `[04-Nov-2025 19:18:40] WARNING: x`, `[Tue Nov 04 19:17:01.123 2025] [proxy:error] x`: times
/// that only people read, as the kubelet's own is there.
fn bracketed(text: &str) -> Option<Line> {
    let (stamp, rest) = text.strip_prefix('[')?.split_once(']')?;
    let is_time = stamp.len() >= 17
        && stamp.matches(':').count() >= 2
        && stamp.bytes().filter(u8::is_ascii_digit).count() >= 8;
    let rest = rest.trim_start();
    let (level, after) = is_time.then(|| level_within(rest, 3))?.unwrap_or((Level::Unknown, rest));
    Some(Line::new(level, undress(after)))
}

/// `ERROR:app.db:message` of Python's `basicConfig`.
fn python(text: &str) -> Option<Line> {
    let mut parts = text.splitn(3, ':');
    let (word, logger, message) = (parts.next()?, parts.next()?, parts.next()?);
    let capitals = word.len() > 3 && word.bytes().all(|b| b.is_ascii_uppercase());
    let plain = !logger.is_empty() && !logger.contains(char::is_whitespace);
    (capitals && plain).then(|| Some(Line::new(Level::of_word(word)?, message.trim_start())))?
}

/// `fail: Shop.Orders[0]`, whose message follows on the next line.
fn dotnet(text: &str) -> Option<Line> {
    const WORDS: &[(&str, Level)] = &[
        ("trce: ", Level::Debug),
        ("dbug: ", Level::Debug),
        ("info: ", Level::Info),
        ("warn: ", Level::Warn),
        ("fail: ", Level::Error),
        ("crit: ", Level::Fatal),
    ];
    let (word, level) = WORDS.iter().find(|(word, _)| text.starts_with(word))?;
    let rest = text.strip_prefix(word)?;
    rest.ends_with(']').then(|| Line::new(*level, rest))
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
    let found = letter(rest).or_else(|| level_within(rest, 4));
    let (level, after) = found.unwrap_or((Level::Unknown, rest));
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

/// `E NETWORK [conn1] message` of older MongoDB: a letter before a word in capitals.
fn letter(text: &str) -> Option<(Level, &str)> {
    let (first, rest) = text.split_once(' ')?;
    let component = rest.trim_start().split(' ').next()?;
    let capitals = component.len() > 2 && component.bytes().all(|b| b.is_ascii_uppercase());
    let level = Level::of_letter(*first.as_bytes().first()?).filter(|_| first.len() == 1)?;
    capitals.then(|| (level, rest.trim_start()))
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
        if let Some(level) = joined(word) {
            return Some((level, after.trim_start()));
        }
        rest = after.trim_start();
    }
    None
}

/// A level joined to others by marks: `[1][warning][config]`, `production.ERROR:`,
/// `[proxy:error]`, `UTC:10.1.2.3(5):app@shop:[7]:ERROR:`.
fn joined(word: &str) -> Option<Level> {
    let bracketed = word.starts_with('[') && word.ends_with(']');
    let dotted = word.ends_with(':') && word.contains(['.', ']']);
    if !bracketed && !dotted {
        return None;
    }
    let pieces = word.split(['[', ']', ':', '.']).filter(|piece| piece.len() > 2);
    let mut levels = pieces.filter_map(|piece| {
        let capitals = piece.bytes().all(|b| b.is_ascii_uppercase());
        (capitals || bracketed).then(|| Level::of_word(piece)).flatten()
    });
    levels.next()
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
