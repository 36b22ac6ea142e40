//! Lines that are one JSON object, as most structured loggers write them.

use serde_json::{Map, Value};

use super::Line;
use crate::{level::Level, time};

const MESSAGE: &[&str] = &[
    "msg",
    "message",
    "@m",
    "@message",
    "Message",
    "RenderedMessage",
    "@mt",
    "MessageTemplate",
    "short_message",
    "event",
    "body",
    "log",
    "text",
    "MESSAGE",
];
const LEVEL: &[&str] = &[
    "level",
    "severity",
    "lvl",
    "log.level",
    "levelname",
    "level_name",
    "levelName",
    "log_level",
    "@level",
    "@l",
    "loglevel",
    "logLevel",
    "LogLevel",
    "Level",
    "severity_text",
    "severityText",
    "error_severity",
    "s",
];
const TIME: &[&str] =
    &["ts", "time", "timestamp", "@timestamp", "@t", "date", "datetime", "Timestamp", "t"];
const ERROR: &[&str] = &[
    "error",
    "err",
    "exception",
    "Exception",
    "cause",
    "error.message",
    "error_message",
    "errorMessage",
    "errmsg",
    "exception.message",
    "@x",
    "thrown",
    "throwable",
    "detail",
    "reason",
];
const STACK: &[&str] = &[
    "stack",
    "stacktrace",
    "stackTrace",
    "stack_trace",
    "exc_info",
    "error.stack_trace",
    "exception.stacktrace",
    "extendedStackTrace",
    "Exception",
    "@x",
    "traceback",
];
/// What names the other side or the statement; it stands beside the message as `key=value`.
const BESIDE: &[&str] = &[
    "host",
    "hostname",
    "peer",
    "addr",
    "address",
    "upstream",
    "upstream_host",
    "upstream_cluster",
    "target",
    "dependency",
    "server",
    "url",
    "endpoint",
    "remote",
    "service",
    "table",
    "statement",
    "key",
    "setting",
    "user",
    "code",
    "errorCode",
    "error_code",
    "old",
    "new",
    "old_value",
    "new_value",
    "from",
    "to",
    "value",
];

pub(super) fn understand(text: &str) -> Option<Line> {
    if !text.starts_with('{') {
        return None;
    }
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(text) else { return None };
    let mut message = first(&fields, MESSAGE).map(shown).unwrap_or_default();
    // What failed often stands beside the message; the line means both together.
    if let Some(error) = first(&fields, ERROR) {
        let error = match error.as_object() {
            Some(inner) => first(inner, MESSAGE).map(shown).unwrap_or_default(),
            None => shown(error),
        };
        if !error.is_empty() && error != "null" && !message.contains(&error) {
            message = if message.is_empty() { error } else { format!("{message}: {error}") };
        }
    }
    if message.is_empty() {
        message = text.to_owned();
    } else {
        beside(&fields, &mut message);
    }
    let mut line = Line::new(level(&fields), message);
    line.time = first(&fields, TIME).and_then(when);
    line.status = status(&fields);
    if line.level == Level::Unknown && line.status.is_some_and(|s| s >= 500) {
        line.level = Level::Error;
    }
    let nested = first(&fields, ERROR).and_then(Value::as_object).and_then(|o| first(o, STACK));
    line.stack = first(&fields, STACK).or(nested).map(shown).filter(|s| s.contains('\n'));
    Some(line)
}

/// Puts what names the other side behind the message, once.
fn beside(fields: &Map<String, Value>, message: &mut String) {
    let inner = fields.get("attr").and_then(Value::as_object);
    let inner = inner.map(|attr| attr.iter().map(|(k, v)| format!(" {k}={}", shown(v))));
    for text in inner.into_iter().flatten().filter(|text| text.len() < 400) {
        message.push_str(&text);
    }
    for (key, value) in BESIDE.iter().filter_map(|key| Some((key, fields.get(*key)?))) {
        let value = shown(value);
        let fits = !value.is_empty() && value != "null" && value.len() < 200;
        if fits && !message.contains(value.as_str()) {
            message.push_str(&format!(" {key}={value}"));
        }
    }
}

fn first<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a Value> {
    names.iter().find_map(|name| fields.get(*name)).filter(|v| !v.is_null())
}

fn level(fields: &Map<String, Value>) -> Level {
    let level = first(fields, LEVEL).or_else(|| fields.get("log").and_then(|l| l.get("level")));
    let of_letter = |word: &str| {
        let letter = word.as_bytes().first().filter(|_| word.len() == 1);
        letter.and_then(|letter| Level::of_letter(*letter))
    };
    let of_word =
        |value: &Value| value.as_str().and_then(|w| Level::of_word(w).or_else(|| of_letter(w)));
    let of_number = |value: &Value| value.as_u64().and_then(Level::of_number);
    level.and_then(|value| of_word(value).or_else(|| of_number(value))).unwrap_or(Level::Unknown)
}

fn when(value: &Value) -> Option<jiff::Timestamp> {
    let value = value.get("$date").unwrap_or(value);
    match value.as_str() {
        Some(text) => time::leading(text, jiff::Timestamp::UNIX_EPOCH).map(|(t, _)| t),
        None => value.as_f64().and_then(time::number),
    }
}

fn status(fields: &Map<String, Value>) -> Option<u16> {
    let value = ["status", "status_code", "statusCode"].iter().find_map(|k| fields.get(*k))?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|s| (100..600).contains(s))
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
