//! Lines of `key=value` pairs, as logrus, slog and many Go programs write them.

use super::Line;
use crate::{level::Level, time};

pub(super) fn understand(text: &str) -> Option<Line> {
    // Cheap tests first: every line that is no JSON passes here.
    let head = text.split([' ', '=']).next().unwrap_or_default();
    let begins = matches!(
        head,
        "time" | "ts" | "t" | "level" | "lvl" | "msg" | "timestamp" | "severity" | "date"
    ) || text.contains(" level=") && text.contains(" msg=");
    if !begins || !text.contains("msg=") && !text.contains("level=") && !text.contains("lvl=") {
        return None;
    }
    let mut line = Line::new(Level::Unknown, "");
    let mut error = String::new();
    let mut beside = String::new();
    let mut rest = text;
    while let Some((key, value, after)) = pair(rest) {
        match key {
            "time" | "ts" | "t" | "timestamp" => {
                let written = time::leading(&value, jiff::Timestamp::UNIX_EPOCH);
                line.time = written.map(|(t, _)| t);
            }
            "level" | "lvl" | "severity" => {
                line.level = Level::of_word(&value).unwrap_or(Level::Unknown)
            }
            "msg" | "message" => line.message = value,
            "err" | "error" => error = value,
            "status" => line.status = value.parse().ok(),
            "caller" | "logger" | "component" | "trace_id" | "span_id" | "request_id" => {}
            _ => beside.push_str(&format!(" {key}={value}")),
        }
        rest = after;
    }
    if !error.is_empty() && !matches!(error.as_str(), "null" | "<nil>" | "nil" | "none") {
        if !line.message.is_empty() {
            line.message.push_str(": ");
        }
        line.message.push_str(&error);
    }
    if line.message.is_empty() {
        text.clone_into(&mut line.message);
    } else if line.level >= Level::Unknown && beside.len() < 400 {
        // What the words do not name the fields do: host, table, key, old and new value.
        line.message.push_str(&beside);
    }
    Some(line)
}

/// The next pair and what follows it. Words without `=` are skipped.
fn pair(text: &str) -> Option<(&str, String, &str)> {
    let mut text = text.trim_start();
    loop {
        let end = text.find(['=', ' '])?;
        let (key, after) = text.split_at_checked(end)?;
        let Some(value) = after.strip_prefix('=') else {
            text = after.trim_start();
            continue;
        };
        if let Some(quoted) = value.strip_prefix('"') {
            let (value, rest) = unquote(quoted);
            return Some((key, value, rest));
        }
        let end = value.find(' ').unwrap_or(value.len());
        let (value, rest) = value.split_at_checked(end)?;
        return Some((key, value.to_owned(), rest));
    }
}

fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return (value, text.get(index + 1..).unwrap_or_default()),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            other => value.push(other),
        }
    }
    (value, "")
}
