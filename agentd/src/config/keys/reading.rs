//! How values are read from their sources and shown again. An error says what is wanted.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use http::HeaderValue;

use super::Raw;
use crate::{
    plugin::network::{Network, NotANetwork},
    transport::dial::Name,
};

pub(super) fn text(raw: Raw<'_>) -> Result<String, String> {
    match raw {
        Raw::Words(words) => Ok(words.to_owned()),
        Raw::Typed(toml::Value::String(text)) => Ok(text.clone()),
        Raw::Typed(other) => Err(format!("wants a text in quotes, not {}", kind(other))),
    }
}

pub(super) fn address(raw: Raw<'_>) -> Result<SocketAddr, String> {
    let text = text(raw)?;
    text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT, such as 127.0.0.1:50051"))
}

pub(super) fn address_or_off(raw: Raw<'_>) -> Result<Option<SocketAddr>, String> {
    match text(raw)?.as_str() {
        "off" => Ok(None),
        _ => address(raw).map(Some),
    }
}

pub(super) fn path(raw: Raw<'_>) -> Result<PathBuf, String> {
    match text(raw)? {
        empty if empty.is_empty() => Err("wants a path, not an empty text".to_owned()),
        path => Ok(PathBuf::from(path)),
    }
}

pub(super) fn switch(raw: Raw<'_>) -> Result<bool, String> {
    match raw {
        Raw::Typed(toml::Value::Boolean(on)) => Ok(*on),
        Raw::Words("true") => Ok(true),
        Raw::Words("false") => Ok(false),
        Raw::Words(other) => Err(format!("wants true or false, not {other:?}")),
        Raw::Typed(other) => Err(format!("wants true or false, not {}", kind(other))),
    }
}

pub(super) fn file(of: &Option<PathBuf>) -> Option<String> {
    of.as_ref().map(|file| quoted(&file.display().to_string()))
}

/// Words of a list, or of a text with commas between them.
pub(super) fn words(raw: Raw<'_>) -> Result<Vec<String>, String> {
    let wanted = "wants a list of texts, such as [\"a\", \"b\"]";
    match raw {
        Raw::Words(text) => {
            let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
            Ok(words.map(str::to_owned).collect())
        }
        Raw::Typed(toml::Value::Array(all)) => {
            let text = |one: &toml::Value| one.as_str().map(str::to_owned);
            let read: Option<Vec<String>> = all.iter().map(text).collect();
            read.ok_or_else(|| wanted.to_owned())
        }
        Raw::Typed(other) => Err(format!("{wanted}, not {}", kind(other))),
    }
}

/// Ranges of addresses.
pub(super) fn ranges(raw: Raw<'_>) -> Result<Vec<Network>, String> {
    let read = |word: &String| word.parse().map_err(|fault: NotANetwork| fault.to_string());
    words(raw)?.iter().map(read).collect()
}

/// Origins of pages: scheme, host, and a port where it is not the usual one.
pub(super) fn origins(raw: Raw<'_>) -> Result<Vec<HeaderValue>, String> {
    let read = |word: &String| {
        let wrong = || format!("{word:?} is no origin, such as https://console.example");
        let url: http::Uri = word.parse().map_err(|_| wrong())?;
        let bare = url.scheme().is_some() && url.authority().is_some() && !word.ends_with('/');
        let bare = bare && url.path_and_query().is_none_or(|rest| rest == "/");
        if bare { HeaderValue::from_str(word).map_err(|_| wrong()) } else { Err(wrong()) }
    };
    words(raw)?.iter().map(read).collect()
}

pub(super) fn spelled_origins(origins: &[HeaderValue]) -> Vec<String> {
    origins.iter().filter_map(|one| one.to_str().ok()).map(str::to_owned).collect()
}

/// A name that certificates can be for, which may hold `{plugin}`.
pub(super) fn server_name(raw: Raw<'_>) -> Result<String, String> {
    let text = text(raw)?;
    match Name::read(&text.replace("{plugin}", "name")) {
        Some(_) => Ok(text),
        None => Err(format!("{text:?} is no name of a certificate, such as \"pods.example.org\"")),
    }
}

pub(super) fn spelled_ranges(ranges: &[Network]) -> Vec<String> {
    ranges.iter().map(Network::to_string).collect()
}

pub(super) fn list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", words.join(", "))
}

pub(super) fn number(raw: Raw<'_>, least: u32, most: u32) -> Result<u32, String> {
    let given: i64 = match raw {
        Raw::Typed(toml::Value::Integer(number)) => *number,
        Raw::Typed(other) => return Err(format!("wants a whole number, not {}", kind(other))),
        Raw::Words(words) => {
            words.parse().map_err(|_| format!("wants a whole number, not {words:?}"))?
        }
    };
    let fits = u32::try_from(given).ok().filter(|n| (least..=most).contains(n));
    fits.ok_or_else(|| format!("{given} is not between {least} and {most}"))
}

/// A duration between two numbers of seconds.
pub(super) fn duration(raw: Raw<'_>, least: u64, most: u64) -> Result<Duration, String> {
    duration_between(raw, Duration::from_secs(least), Duration::from_secs(most))
}

pub(super) fn duration_between(
    raw: Raw<'_>,
    least: Duration,
    most: Duration,
) -> Result<Duration, String> {
    let wanted = "wants a duration with a unit, such as \"30s\", \"5m\" or \"1h 30m\"";
    let given = match raw {
        Raw::Typed(toml::Value::String(text)) => text.as_str(),
        Raw::Typed(other) => return Err(format!("{wanted}, not {}", kind(other))),
        Raw::Words(words) => words,
    };
    let read = parse_duration(given).ok_or_else(|| format!("{wanted}, not {given:?}"))?;
    if (least..=most).contains(&read) {
        return Ok(read);
    }
    Err(format!("{given} is not between {} and {}", spelled(least), spelled(most)))
}

/// A duration such as `30s`, `5m` or `1h 30m`; none when it is no such thing or negative.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let signed: jiff::SignedDuration = text.trim().parse().ok()?;
    Duration::try_from(signed).ok()
}

/// A duration as [`parse_duration`] reads it.
#[must_use]
pub fn spelled(duration: Duration) -> String {
    let signed = jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX);
    format!("{signed:#}")
}

pub(super) fn shown_duration(duration: Duration) -> String {
    quoted(&spelled(duration))
}

pub(in crate::config) fn quoted(text: &str) -> String {
    // JSON's texts are texts of TOML too.
    serde_json::Value::String(text.to_owned()).to_string()
}

/// What a value is, in words.
pub(in crate::config) fn kind(value: &toml::Value) -> &'static str {
    match value {
        toml::Value::String(_) => "a text",
        toml::Value::Integer(_) | toml::Value::Float(_) => "a number",
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Datetime(_) => "a time",
        toml::Value::Array(_) => "a list",
        toml::Value::Table(_) => "a section",
    }
}
