//! One line understood: when, how serious, and what it says once the logger's own dress (time,
//! level, thread, logger) is taken off. Formats are told by shape: JSON, logfmt, klog, access
//! logs, `level` words of Java, Python, .NET, Ruby, Rust, Go, nginx, `PostgreSQL`, `MySQL`, Redis.

mod access;
mod dressed;
mod json;
mod logfmt;
mod postgres;

use std::borrow::Cow;

use jiff::Timestamp;

use crate::level::Level;

/// What a line turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When the program wrote it, if the line says so.
    pub time: Option<Timestamp>,
    /// How serious.
    pub level: Level,
    /// The message proper.
    pub message: String,
    /// Whether the line has a logger's form of its own: then it begins a record and is never a
    /// continuation of the line before.
    pub formatted: bool,
    /// Whether it says itself that it belongs to the line before, as a database's detail does.
    pub continues: bool,
    /// HTTP status of an access log line.
    pub status: Option<u16>,
    /// A stack trace carried in a field of the line.
    pub stack: Option<String>,
}

impl Line {
    fn new(level: Level, message: impl Into<String>) -> Self {
        Self {
            time: None,
            level,
            message: message.into(),
            formatted: true,
            continues: false,
            status: None,
            stack: None,
        }
    }
}

/// Understands one line, without the kubelet's time. `near` helps where a year is left out.
#[must_use]
pub fn understand(text: &str, near: Timestamp) -> Line {
    let trimmed = text.trim_end();
    let plain = || Line { formatted: false, ..Line::new(spoken_level(trimmed), trimmed) };
    json::understand(trimmed)
        .or_else(|| logfmt::understand(trimmed))
        .or_else(|| access::understand(trimmed))
        .or_else(|| postgres::understand(trimmed, near))
        .or_else(|| dressed::understand(trimmed, near))
        .unwrap_or_else(plain)
}

/// The line without what others put around it: colours, `stdout F` of the container runtime,
/// `[pod/a/b]` and `name |` of tools that merge logs.
#[must_use]
pub fn undressed(text: &str) -> Cow<'_, str> {
    let text = if text.contains('\u{1b}') { Cow::Owned(colourless(text)) } else { text.into() };
    let skipped = merged(&text);
    if skipped == 0 {
        return text;
    }
    match text {
        Cow::Borrowed(text) => text.get(skipped..).unwrap_or_default().into(),
        Cow::Owned(text) => text.get(skipped..).unwrap_or_default().to_owned().into(),
    }
}

/// Bytes that a runtime or a merging tool put before the line.
fn merged(text: &str) -> usize {
    for mark in [" stdout F ", " stderr F ", " stdout P ", " stderr P "] {
        let at = text.find(mark).filter(|at| *at <= 40 && text.starts_with("20"));
        if let Some(at) = at {
            return at + mark.len();
        }
    }
    for mark in ["stdout F ", "stderr F "] {
        if text.starts_with(mark) {
            return mark.len();
        }
    }
    let prefix = text.strip_prefix("[pod/").and_then(|rest| rest.split_once("] "));
    prefix.map_or(0, |(name, _)| "[pod/".len() + name.len() + "] ".len())
}

fn colourless(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        let codes = after.strip_prefix('[').unwrap_or(after);
        let end = codes.find(|c: char| c.is_ascii_alphabetic()).map_or(codes.len(), |at| at + 1);
        rest = codes.get(end..).unwrap_or_default();
    }
    plain.push_str(rest);
    plain
}

/// The level of a line in no logger's form, told only by how such lines begin: a word like
/// `error:` at the very start. Words further inside say nothing ("0 errors found").
fn spoken_level(text: &str) -> Level {
    let head = text.split([':', '!', ']']).next().unwrap_or_default().trim_start_matches('[');
    let lower = head.to_ascii_lowercase();
    match lower.as_str() {
        "panic" | "fatal" | "fatal error" => return Level::Fatal,
        "error" | "err" | "uncaught exception" | "unhandled exception" => return Level::Error,
        "warn" | "warning" => return Level::Warn,
        _ => {}
    }
    const STARTS: &[(&str, Level)] = &[
        ("thread '", Level::Fatal),
        ("exception in thread", Level::Fatal),
        ("traceback (most recent", Level::Error),
        ("unhandled exception", Level::Fatal),
        ("uncaught ", Level::Fatal),
        ("terminate called", Level::Fatal),
        ("segmentation fault", Level::Fatal),
        ("exec ", Level::Unknown),
    ];
    let start = STARTS.iter().find(|(start, _)| {
        text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
    });
    start.map_or_else(|| complaint(&text.to_ascii_lowercase()), |(_, level)| *level)
}

/// A plain sentence that says that something failed is an error, without a word for it.
fn complaint(lower: &str) -> Level {
    const ERRORS: &[&str] = &[
        "failed to ",
        "unable to ",
        "could not ",
        "couldn't ",
        "cannot ",
        "can't ",
        " failed: ",
        " failed with ",
        " error: ",
        "exception: ",
        "fatal error",
        "php fatal",
        "missing required",
        " is required",
        " not set",
        "must be set",
        " refused",
        " denied",
        "invalid ",
        "[error]",
        "[fatal]",
        "[emerg]",
        "[crit]",
        "error]",
    ];
    if ERRORS.iter().any(|words| lower.contains(words)) { Level::Error } else { Level::Unknown }
}

#[cfg(test)]
#[path = "line/tests.rs"]
mod tests;
