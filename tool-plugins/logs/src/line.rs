//! One line understood: when, how serious, and what it says once the logger's own dress (time,
//! level, thread, logger) is taken off. Formats are told by shape: JSON, logfmt, klog, access
//! logs, `level` words of Java, Python, .NET, Ruby, Rust, Go, nginx, `PostgreSQL`, `MySQL`, Redis.

mod access;
mod dressed;
mod json;
mod logfmt;

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
        .or_else(|| dressed::understand(trimmed, near))
        .unwrap_or_else(plain)
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
    start.map_or(Level::Unknown, |(_, level)| *level)
}

#[cfg(test)]
#[path = "line/tests.rs"]
mod tests;
